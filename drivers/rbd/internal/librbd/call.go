// SPDX-License-Identifier: Apache-2.0

package librbd

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// atOnce is how many calls of one connection are in the libraries at one time:
// each holds a thread while it waits for the cluster.
const atOnce = 64

// letGoWait is how long a caller waits for what is closed.
const letGoWait = 500 * time.Millisecond

// calls runs the calls of one connection. A call that its caller has given up
// goes on; others that have to do with the same name wait for it.
type calls struct {
	slots   chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	names  map[string]*turn
}

// turn is whose turn it is with a name.
type turn struct {
	token chan struct{} // holds one while it is nobody's
	users int
}

func newCalls() *calls {
	return &calls{slots: make(chan struct{}, atOnce), names: map[string]*turn{}}
}

// do runs f, which is about name, and gives what it gave, or the error of ctx.
func do[T any](ctx context.Context, c *calls, op, what, name string, f func() (T, syscall.Errno)) (T, error) {
	return doOr(ctx, c, op, what, name, f, func(T) {})
}

// doOr is do for what must be taken back if nobody waits for it any more.
func doOr[T any](ctx context.Context, c *calls, op, what, name string, f func() (T, syscall.Errno), discard func(T)) (T, error) {
	type answer struct {
		value T
		errno syscall.Errno
	}
	var none T
	leave, err := c.enter(ctx, name, false)
	if err != nil {
		return none, given(op, what, err)
	}
	answers, gaveUp := make(chan answer), make(chan struct{})
	go func() {
		defer leave()
		var a answer
		a.value, a.errno = f()
		select {
		case answers <- a:
		case <-gaveUp:
			if a.errno == 0 {
				discard(a.value)
			}
		}
	}()
	select {
	case a := <-answers:
		if a.errno != 0 {
			return none, &ceph.Error{Op: op, What: what, Errno: a.errno}
		}
		return a.value, nil
	case <-ctx.Done():
		close(gaveUp)
		return none, given(op, what, ctx.Err())
	}
}

func given(op, what string, err error) error { return fmt.Errorf("%s %s: %w", op, what, err) }

// run is do for what gives nothing.
func run(ctx context.Context, c *calls, op, what, name string, f func() int32) error {
	_, err := do(ctx, c, op, what, name, func() (struct{}, syscall.Errno) { return struct{}{}, number(f()) })
	return err
}

// enter waits for a turn with name, if it is not empty, and for a slot. Closing
// is for what lets go of things.
func (c *calls) enter(ctx context.Context, name string, closing bool) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed && !closing {
		c.mu.Unlock()
		return nil, errClosed
	}
	c.running.Add(1)
	t := c.names[name]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		t.token <- struct{}{}
		c.names[name] = t
	}
	t.users++
	c.mu.Unlock()
	out := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(c.names, name)
		}
		c.running.Done()
	}
	if name != "" {
		select {
		case <-t.token:
		case <-ctx.Done():
			out()
			return nil, ctx.Err()
		}
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		if name != "" {
			t.token <- struct{}{}
		}
		out()
		return nil, ctx.Err()
	}
	return func() {
		<-c.slots
		if name != "" {
			t.token <- struct{}{}
		}
		out()
	}, nil
}

// letGo runs f, which closes what the libraries hold for name. It comes back soon:
// what takes longer goes on.
func (c *calls) letGo(name string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		leave, err := c.enter(context.Background(), name, true)
		if err != nil {
			return // it is Background
		}
		defer leave()
		f()
	}()
	timer := time.NewTimer(letGoWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// close refuses further calls and waits for those that are under way.
func (c *calls) close() (ended <-chan struct{}) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.running.Wait()
		close(done)
	}()
	return done
}

// Long calls ask now and then whether to go on; the libraries pass a number.
var (
	watched   sync.Map // uintptr to context.Context
	watchedMu sync.Mutex
	lastWatch uintptr
)

// watch gives a number for ctx.
func watch(ctx context.Context) (arg uintptr, forget func()) {
	watchedMu.Lock()
	lastWatch++
	arg = lastWatch
	watchedMu.Unlock()
	watched.Store(arg, ctx)
	return arg, func() { watched.Delete(arg) }
}

// onProgress is called by the libraries: 0 goes on.
func onProgress(_, _ uint64, arg uintptr) uintptr {
	if ctx, ok := watched.Load(arg); ok && ctx.(context.Context).Err() != nil { //nolint:forcetypeassert // watch put it there
		return ^uintptr(syscall.ECANCELED) + 1
	}
	return 0
}
