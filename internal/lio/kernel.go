// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/hostfile"
	"github.com/gocinder/cinderlib/internal/secret"
)

// lockName is the host-wide lock of all that change targets, Python's Cinder
// among them.
const lockName = "cinder-lioadm"

const (
	patience  = 500 * time.Millisecond // with a step, after the context has ended
	longest   = time.Minute            // that a step which hangs keeps the host's lock
	undoGrace = 10 * time.Second
)

// NoSaveConfig as Kernel.SaveConfig: keep no file.
const NoSaveConfig = "-"

// Kernel is the target side of one host's kernel. It is safe for concurrent use
// and must not be copied after the first.
type Kernel struct {
	Root string // what is put before every path; "" is the host
	// Lock takes a host-wide lock. Without it nothing keeps processes apart.
	Lock func(ctx context.Context, name string) (unlock func(), err error)
	Log  *slog.Logger // nil: nothing is logged
	// Modprobe loads a kernel module. Without it a module that is missing is an
	// error that names it.
	Modprobe func(ctx context.Context, module string) error
	// Files changes configfs and reads it; nil: the system calls of this process.
	Files hostfile.Files
	// Run runs a program with root's rights, for what Files cannot do and this
	// process may not: mount(8), and install(1), sync(1) and mv(1) for SaveConfig.
	// nil: that is refused then.
	Run func(ctx context.Context, stdin []byte, args ...string) error
	// SaveConfig is the file that targetctl restores targets from. Empty: the
	// one of this distribution's rtslib.
	SaveConfig string

	fs    files // nil: the host's
	mu    sync.Mutex
	stuck map[string]*tree // by IQN: what hangs in the kernel
}

// Export is one block device as a target.
type Export struct {
	IQN     string
	Device  string           // path of the block device, without commas
	Serial  string           // unit serial: the volume's id; makes the WWN
	Portals []netip.AddrPort // at least one
	ISER    bool             // RDMA on every portal
	Discard bool             // let initiators unmap; ignored where the device cannot
	// ReadOnly opens the device for reading only.
	ReadOnly bool
}

// Initiator is a client of a target and the CHAP credentials it must show.
type Initiator struct {
	IQN      string
	User     string
	Password secret.Text
	ReadOnly bool
	// KeepWrite leaves one that may write already as it is, ReadOnly or not.
	KeepWrite bool
}

// Session is an initiator that is logged in. Of several sessions that one
// initiator has, the kernel shows the latest.
type Session struct {
	Initiator string
	Addresses []netip.Addr
}

// TargetState is what there is of a target.
type TargetState struct {
	IQN        string
	Device     string // path, as it was when the device was opened
	Serial     string
	Portals    []netip.AddrPort
	Enabled    bool
	Initiators []string
	// Complete tells that an initiator which is allowed gets LUN 0.
	Complete bool
}

func (k *Kernel) log() *slog.Logger {
	if k.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return k.Log
}

func (k *Kernel) tree() *tree {
	if k.fs != nil {
		return &tree{fs: k.fs}
	}
	return &tree{fs: k.host()}
}

func (k *Kernel) host() host {
	h := host{root: k.Root, files: k.Files, run: k.Run}
	if h.files == nil {
		h.files = hostfile.Direct{}
	}
	return h
}

// read runs f, which changes nothing.
func (k *Kernel) read(ctx context.Context, what string, f func(context.Context, *tree) error) error {
	t := k.tree()
	done := make(chan error, 1)
	go func() { done <- f(ctx, t) }()
	_, err := wait(ctx, t, done)
	return failed(what, err)
}

// change runs f, which changes the target iqn, under the host's lock.
func (k *Kernel) change(ctx context.Context, what, iqn string, f func(context.Context, *tree) error) error {
	what = strings.TrimSpace(what + " " + iqn)
	if err := k.free(iqn); err != nil {
		return failed(what, err)
	}
	unlock := func() {}
	if k.Lock != nil {
		release, err := k.Lock(ctx, lockName)
		if err != nil {
			return failed(what, err)
		}
		unlock = sync.OnceFunc(release)
	}
	if err := k.free(iqn); err != nil { // it got stuck while we waited
		unlock()
		return failed(what, err)
	}
	t := k.tree()
	done, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer unlock()
		done <- f(ctx, t)
	}()
	hangs, err := wait(ctx, t, done)
	if hangs {
		k.watch(what, iqn, t, ended, unlock)
	}
	return failed(what, err)
}

// wait gives the outcome of the work on t. hangs tells that it goes on, in a
// step that the end of ctx did not stop; then the error names the step.
func wait(ctx context.Context, t *tree, done <-chan error) (hangs bool, err error) {
	select {
	case err := <-done:
		return false, err
	case <-ctx.Done():
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return false, err
	case <-timer.C:
		return true, fmt.Errorf("%s still blocks in the kernel: %w", t.doing(), ctx.Err())
	}
}

// watch marks the target as stuck until the work has ended, and sees to it that
// the host's lock is free in the end.
func (k *Kernel) watch(what, iqn string, t *tree, ended <-chan struct{}, unlock func()) {
	k.mu.Lock()
	if k.stuck == nil {
		k.stuck = map[string]*tree{}
	}
	k.stuck[iqn] = t
	k.mu.Unlock()
	go func() {
		timer := time.NewTimer(longest)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			k.log().Warn("lio: still blocks in the kernel, lock released", slog.String("call", what), slog.String("step", t.doing()))
			unlock()
			<-ended
		}
		k.mu.Lock()
		delete(k.stuck, iqn)
		k.mu.Unlock()
	}()
}

// free refuses a target that an earlier call hangs in.
func (k *Kernel) free(iqn string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.stuck[iqn]; t != nil {
		return fault.Errorf(fault.ErrUnavailable, "an earlier call still blocks in the kernel: %s", t.doing())
	}
	return nil
}
