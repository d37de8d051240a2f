// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/poll"
)

var errSome = errors.New("some fault")

// one is work with a lock that tells whether it is held.
func one(stragglers *sync.WaitGroup) (w Work, held func() bool) {
	lock := make(chan struct{}, 1)
	return Work{
		Of: "test", Patience: time.Second, Stragglers: stragglers,
		Lock: func(ctx context.Context) (func(), error) {
			select {
			case lock <- struct{}{}:
				return func() { <-lock }, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}, func() bool { return len(lock) == 1 }
}

func TestResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stragglers sync.WaitGroup
		w, held := one(&stragglers)
		got, err := Do(t.Context(), w, func(context.Context) (int, error) {
			assert.True(t, held())
			return 3, errSome
		})
		require.ErrorIs(t, err, errSome)
		assert.Equal(t, 3, got)
		synctest.Wait()
		assert.False(t, held())
	})
}

func TestWorkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stragglers sync.WaitGroup
		w, held := one(&stragglers)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := Do(ctx, w, func(context.Context) (int, error) {
			stragglers.Go(func() { _ = poll.Pause(t.Context(), 3*time.Minute) })
			return 0, poll.Pause(t.Context(), 2*time.Minute)
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "test: what was begun is being undone")
		assert.Equal(t, time.Minute+time.Second, time.Since(start))

		waiting, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		_, err = Do(waiting, w, func(context.Context) (int, error) { panic("the lock is held") })
		require.ErrorIs(t, err, context.DeadlineExceeded)

		got, err := Do(t.Context(), w, func(context.Context) (int, error) { return 3, nil })
		require.NoError(t, err)
		assert.Equal(t, 3, got)
		assert.Equal(t, 3*time.Minute, time.Since(start), "the straggler kept the lock")
		synctest.Wait()
		assert.False(t, held())
	})
}

func TestWorkEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stragglers sync.WaitGroup
		w, _ := one(&stragglers)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Do(ctx, w, func(ctx context.Context) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, errSome
		})
		require.ErrorIs(t, err, errSome, "what it says is better than the context's error")
	})
}
