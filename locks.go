// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/persistence"
)

// locker has the locks of records, which hold against everybody who sees them:
// this process, if no other does.
func (l *Library) locker() persistence.Locker {
	if e, ok := l.Persistence().(persistence.Ephemeral); ok && e.Ephemeral() {
		return (*processLocks)(&l.keyed)
	}
	return l.sharedLocker()
}

// sharedLocker has locks that hold against other processes: on all hosts if the
// store has such, otherwise on this one.
func (l *Library) sharedLocker() persistence.Locker {
	if s, ok := l.Persistence().(persistence.Locking); ok {
		if locks := s.Locks(); locks != nil {
			return locks
		}
	}
	return l.files
}

// driverLocks are what a driver locks of its backend.
type driverLocks struct {
	lib     *Library
	backend string
}

// Lock implements connector.Locker.
func (d driverLocks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	return d.lib.sharedLocker().Lock(ctx, "backend-"+d.backend+"-"+name)
}

// processLocks are the locks of one process.
type processLocks lock.Keyed

func (p *processLocks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	return (*lock.Keyed)(p).Lock(ctx, name)
}

func (p *processLocks) TryLock(_ context.Context, name string) (unlock func(), ok bool, err error) {
	unlock, ok = (*lock.Keyed)(p).TryLock(name)
	return unlock, ok, nil
}

// defaultLocksPath is a folder that all processes of this user find.
func defaultLocksPath() string {
	if os.Geteuid() == 0 {
		return "/run/lock/cinderlib"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "cinderlib")
	}
	return filepath.Join(os.TempDir(), "cinderlib-"+strconv.Itoa(os.Geteuid()))
}

// lazyLocks are the locks against other processes. The file is made when the
// first lock is taken, so that a program that needs none leaves nothing.
type lazyLocks struct {
	path string

	mu   sync.Mutex
	file *lock.File
}

func (f *lazyLocks) open() (*lock.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		return f.file, nil
	}
	file, err := lock.OpenFile(filepath.Join(f.path, "cinderlib.lock"))
	if err != nil {
		return nil, fmt.Errorf("file_locks_path %s: %w", f.path, err)
	}
	f.file = file
	return file, nil
}

// Lock implements connector.Locker.
func (f *lazyLocks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	return file.Lock(ctx, name)
}

// TryLock implements persistence.Locker.
func (f *lazyLocks) TryLock(_ context.Context, name string) (unlock func(), ok bool, err error) {
	file, err := f.open()
	if err != nil {
		return nil, false, err
	}
	return file.TryLock(name)
}

func (f *lazyLocks) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
