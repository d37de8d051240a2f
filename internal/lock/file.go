// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The pauses between two looks at a lock that another process holds.
const (
	firstPause = time.Millisecond
	longPause  = 25 * time.Millisecond
)

// Open file description locks (include/uapi/asm-generic/fcntl.h, Linux 3.15):
// unlike the classic ones they belong to the open file and not to the process,
// so a stray close of the same file elsewhere in the program keeps them.
const ofdSetlk = 37

// File is a set of locks between all processes that open the same lock file.
// Each name is one byte of it, so there is one file however many names there
// are, and it stays empty. The end of a process, however it comes, releases its
// locks. Within the process the locks exclude as those of Keyed do; between
// processes the order is that of luck.
type File struct {
	path string
	in   Keyed
	mu   sync.Mutex // while the file is opened again, and closed
	file atomic.Pointer[os.File]
}

// OpenFile opens the lock file at path and makes it, and its folder, if need
// be. A folder that it makes is the user's own (0700). All programs that share
// locks must be able to write the file.
func OpenFile(path string) (*File, error) {
	l := &File{path: path}
	file, err := l.open()
	if err != nil {
		return nil, err
	}
	l.file.Store(file)
	return l, nil
}

func (l *File) open() (*os.File, error) {
	folder := filepath.Dir(l.path)
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		var file *os.File
		// NOFOLLOW: the folder may be one that others can write to.
		file, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o660)
		if err == nil {
			return file, nil
		}
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, fault.Errorf(fault.ErrPermission, "folder %s for locks must be writable: %w", folder, err)
	}
	return nil, fmt.Errorf("folder %s for locks: %w", folder, err)
}

// Lock waits until name is free in all processes or ctx ends; then the error
// names the lock and wraps ctx.Err(). After Close it is fault.ErrClosed. unlock
// may be called again, and from any goroutine.
func (l *File) Lock(ctx context.Context, name string) (unlock func(), err error) {
	release, err := l.in.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	at := offset(name)
	var timer *time.Timer
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		file, err := l.take(at)
		if file != nil {
			return l.unlocker(file, at, release), nil
		}
		if err != nil {
			release()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if timer == nil {
			timer = time.NewTimer(pause)
			defer timer.Stop()
		} else {
			timer.Reset(pause)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			release()
			return nil, gaveUp(ctx, name)
		}
	}
}

// TryLock locks name if it is free in all processes. That it is not is no error.
func (l *File) TryLock(name string) (unlock func(), ok bool, err error) {
	release, ok := l.in.TryLock(name)
	if !ok {
		return nil, false, nil
	}
	at := offset(name)
	file, err := l.take(at)
	if file != nil {
		return l.unlocker(file, at, release), true, nil
	}
	release()
	if err != nil {
		err = fmt.Errorf("lock %s: %w", name, err)
	}
	return nil, false, err
}

// Close closes the lock file and with it releases every lock that is held; see
// to it that none is. It may be called twice.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.file.Swap(nil)
	if file == nil {
		return nil
	}
	return file.Close()
}

func (l *File) unlocker(file *os.File, at int64, release func()) func() {
	var done atomic.Bool
	return func() {
		if done.Swap(true) {
			return
		}
		// It fails only if the file is closed, which has released the lock.
		_ = setLock(file, at, syscall.F_UNLCK)
		release()
	}
}

// take locks one byte and returns the file it is locked in, or nil if somebody
// else has it.
func (l *File) take(at int64) (*os.File, error) {
	for {
		file := l.file.Load()
		if file == nil {
			return nil, fault.Errorf(fault.ErrClosed, "%s is closed", l.path)
		}
		switch err := setLock(file, at, syscall.F_WRLCK); {
		case err != nil && l.file.Load() != file: // closed in between
			continue
		case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES): // fcntl(2): either
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("lock file %s: %w", l.path, err)
		}
		removed, err := l.removed(file)
		if err != nil {
			return nil, err
		}
		if !removed {
			return file, nil
		}
	}
}

// removed tells whether somebody deleted the lock file, a cleaner of /tmp for
// one: other processes then lock a new one, and so must we. Locks held in the
// old one stay with it until they are released.
func (l *File) removed(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("lock file %s: %w", l.path, err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Nlink > 0 {
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file.Load() != file { // closed, or opened again by another goroutine
		return true, nil
	}
	fresh, err := l.open()
	if err != nil {
		return false, err
	}
	l.file.Store(fresh) // the old one is closed when its last lock is forgotten
	return true, nil
}

// setLock sets or releases the lock of one byte. It never waits.
func setLock(file *os.File, at int64, kind int16) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	lk := syscall.Flock_t{Type: kind, Start: at, Len: 1}
	var lockErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if lockErr = syscall.FcntlFlock(fd, ofdSetlk, &lk); lockErr != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return lockErr
}

// offset gives the place of a name in the lock file. Programs of any version
// share it, so it never changes. Of 62 bits, two names of one host do not meet.
func offset(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 2)
}
