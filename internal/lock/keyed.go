// SPDX-License-Identifier: Apache-2.0

// Package lock holds locks that are known by name: Keyed within one process,
// File between all processes that open the same lock file. Waiting for either
// ends with the context. Neither is reentrant.
package lock

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Keyed is a set of locks within one process. The zero Keyed is ready; it must
// not be copied. A name takes memory only while it is locked.
type Keyed struct {
	mu   sync.Mutex
	held map[string]struct{}
	// waiting has those who wait for a name, in the order they came; a name for
	// which nobody does is not in it. Closing a channel hands over the lock.
	waiting map[string][]chan struct{}
}

// Lock waits until name is free or ctx ends; then the error names the lock and
// wraps ctx.Err(). Those who wait get the lock in the order they came. unlock
// may be called again, and from any goroutine.
func (k *Keyed) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, name)
	}
	k.mu.Lock()
	if k.hold(name) {
		k.mu.Unlock()
		return k.unlocker(name), nil
	}
	mine := make(chan struct{})
	if k.waiting == nil {
		k.waiting = map[string][]chan struct{}{}
	}
	k.waiting[name] = append(k.waiting[name], mine)
	k.mu.Unlock()

	select {
	case <-mine:
		return k.unlocker(name), nil
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-mine: // the lock came together with the end of ctx: to the next
		k.pass(name)
	default:
		k.forget(name, mine)
	}
	return nil, gaveUp(ctx, name)
}

// TryLock locks name if it is free.
func (k *Keyed) TryLock(name string) (unlock func(), ok bool) {
	k.mu.Lock()
	ok = k.hold(name)
	k.mu.Unlock()
	if !ok {
		return nil, false
	}
	return k.unlocker(name), true
}

func (k *Keyed) unlocker(name string) func() {
	var done atomic.Bool
	return func() {
		if done.Swap(true) {
			return
		}
		k.mu.Lock()
		k.pass(name)
		k.mu.Unlock()
	}
}

// hold marks name as locked, if it is not. Like the three below it is called
// with mu held.
func (k *Keyed) hold(name string) bool {
	if k.held == nil {
		k.held = map[string]struct{}{}
	}
	n := len(k.held) // to look the name up once
	k.held[name] = struct{}{}
	return len(k.held) > n
}

// pass hands the lock to the first who waits, or frees it.
func (k *Keyed) pass(name string) {
	if len(k.waiting) > 0 {
		if waiters := k.waiting[name]; len(waiters) > 0 {
			close(waiters[0])
			k.keep(name, waiters[1:])
			return
		}
	}
	delete(k.held, name)
}

func (k *Keyed) forget(name string, waiter chan struct{}) {
	k.keep(name, slices.DeleteFunc(k.waiting[name], func(w chan struct{}) bool { return w == waiter }))
}

func (k *Keyed) keep(name string, waiters []chan struct{}) {
	if len(waiters) == 0 {
		delete(k.waiting, name)
		return
	}
	k.waiting[name] = waiters
}

func gaveUp(ctx context.Context, name string) error {
	return fmt.Errorf("wait for lock %s: %w", name, ctx.Err())
}
