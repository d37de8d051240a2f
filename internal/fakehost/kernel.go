// SPDX-License-Identifier: Apache-2.0

package fakehost

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Kernel is a host that does things by itself: what simulations of kernels and
// their daemons are built on. Its methods are for their goroutines, too.
type Kernel struct {
	*Host

	Delay time.Duration // of what is not at once
	Mu    sync.Mutex    // while anything changes; Soon takes it, the others need it

	later      sync.WaitGroup
	ended      chan struct{}
	violations []string
}

// NewKernel makes one. At the end of the test nothing may have been done to it that
// must not be done to a host.
func NewKernel(tb testing.TB, delay time.Duration) *Kernel {
	tb.Helper()
	k := &Kernel{Host: New(tb), Delay: delay, ended: make(chan struct{})}
	tb.Cleanup(func() {
		close(k.ended)
		k.later.Wait()
		k.Mu.Lock()
		defer k.Mu.Unlock()
		assert.Empty(tb, k.violations, "what must not be done to a host")
	})
	return k
}

// Soon does something after the delay.
func (k *Kernel) Soon(f func()) {
	k.later.Go(func() {
		timer := time.NewTimer(k.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-k.ended:
			return
		}
		k.Mu.Lock()
		defer k.Mu.Unlock()
		f()
	})
}

// Go does something that goes on until Ended.
func (k *Kernel) Go(f func()) { k.later.Go(f) }

// Ended is closed when the test ends.
func (k *Kernel) Ended() <-chan struct{} { return k.ended }

// Violated fails the test, at its end.
func (k *Kernel) Violated(format string, args ...any) {
	k.violations = append(k.violations, fmt.Sprintf(format, args...))
}

// Folder makes a folder, with those above it.
func (k *Kernel) Folder(path string) { k.must(os.MkdirAll(k.Path(path), 0o755)) }

// Put gives a file a text. Nobody ever sees half of it.
func (k *Kernel) Put(path, text string) {
	k.Folder(filepath.Dir(path))
	temp := k.temp(path)
	k.must(os.WriteFile(temp, []byte(text), 0o600))
	k.must(os.Rename(temp, k.Path(path)))
}

// Lead makes a symbolic link to another path of the host.
func (k *Kernel) Lead(path, to string) {
	k.Folder(filepath.Dir(path))
	rel, err := filepath.Rel(filepath.Dir(path), to)
	k.must(err)
	k.must(os.Symlink(rel, k.Path(path)))
}

// Drop removes a file or folder and all in it.
func (k *Kernel) Drop(path string) { k.must(os.RemoveAll(k.Path(path))) }

// Node makes a device node, or gives it a size. It is never there without one.
func (k *Kernel) Node(name string, size int64) {
	path := k.Path("/dev/" + name)
	if os.Truncate(path, size) == nil {
		return
	}
	temp := k.temp("/dev/" + name)
	k.must(os.WriteFile(temp, nil, 0o600))
	k.must(os.Truncate(temp, size))
	k.must(os.Rename(temp, path))
}

// temp is a place that no folder of the host shows.
func (k *Kernel) temp(path string) string {
	return filepath.Join(k.Root, ".new-"+filepath.Base(filepath.Dir(path))+"-"+filepath.Base(path))
}

// must: what fails here is the test's own folder, unless that is being removed.
func (k *Kernel) must(err error) {
	if err == nil {
		return
	}
	select {
	case <-k.ended:
	default:
		k.Violated("simulation: %v", err)
	}
}
