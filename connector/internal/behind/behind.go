// SPDX-License-Identifier: Apache-2.0

// Package behind has work go on behind the call that asked for it, where to stop it
// midway would leave more to clean up than to end it: a login of iscsid, a map of
// the kernel. See connector/iscsi and connector/rbd.
package behind

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Work is what a call does.
type Work struct {
	Of string // who does it; errors begin with it
	// Patience is how long the call waits for work that should end because the
	// context has.
	Patience time.Duration
	Lock     func(context.Context) (unlock func(), err error)
	// Stragglers are parts of the work that go on after its result is there.
	Stragglers *sync.WaitGroup
}

// Do does the work under its lock. When ctx ends and the work does not, Do returns
// ctx's error; the work goes on, undoes what it has begun, and keeps the lock until
// it and its stragglers have ended.
func Do[T any](ctx context.Context, w Work, work func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		unlock, err := w.Lock(ctx)
		if err != nil {
			done <- outcome{err: err}
			return
		}
		defer unlock()
		value, err := work(ctx)
		done <- outcome{value, err}
		w.Stragglers.Wait()
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(w.Patience)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("%s: what was begun is being undone: %w", w.Of, ctx.Err())
	}
}
