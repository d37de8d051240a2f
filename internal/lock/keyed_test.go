// SPDX-License-Identifier: Apache-2.0

package lock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/lock"
)

func TestKeyedExcludes(t *testing.T) {
	t.Parallel()
	var k lock.Keyed
	count := map[string]*int{"a": new(int), "b": new(int)}
	var wg sync.WaitGroup
	for range 8 {
		for name, n := range count {
			wg.Go(func() {
				for range 500 {
					unlock, err := k.Lock(t.Context(), name)
					if !assert.NoError(t, err) {
						return
					}
					*n++
					unlock()
					unlock() // harmless
				}
			})
		}
	}
	wg.Wait()
	assert.Equal(t, 4000, *count["a"])
	assert.Equal(t, 4000, *count["b"])
}

func TestKeyedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k lock.Keyed
		unlock, err := k.Lock(t.Context(), "a")
		require.NoError(t, err)
		var order []int
		for i := range 5 {
			go func() {
				unlock, err := k.Lock(t.Context(), "a")
				assert.NoError(t, err)
				order = append(order, i)
				unlock()
			}()
			synctest.Wait()
		}
		_, ok := k.TryLock("a")
		assert.False(t, ok)
		unlock()
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, order)
	})
}

func TestKeyedGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k lock.Keyed
		unlock, ok := k.TryLock("volume-1")
		require.True(t, ok)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := k.Lock(ctx, "volume-1")
		require.EqualError(t, err, "wait for lock volume-1: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = k.Lock(ctx, "free")
		require.ErrorIs(t, err, context.DeadlineExceeded, "an ended context gets nothing")

		// Of three who wait, the one in the middle leaves.
		var got []string
		wait := func(name string, ctx context.Context) {
			go func() {
				if unlock, err := k.Lock(ctx, "volume-1"); err == nil {
					got = append(got, name)
					unlock()
				}
			}()
			synctest.Wait()
		}
		leaving, leave := context.WithCancel(t.Context())
		wait("first", t.Context())
		wait("leaves", leaving)
		wait("last", t.Context())
		leave()
		synctest.Wait()
		unlock()
		synctest.Wait()
		assert.Equal(t, []string{"first", "last"}, got)

		unlock() // a second time: it must not free what somebody else has
		again, ok := k.TryLock("volume-1")
		require.True(t, ok)
		unlock()
		_, ok = k.TryLock("volume-1")
		assert.False(t, ok)
		again()
	})
}

// TestKeyedPassesOn ends the context of the one that waits while it is handed
// the lock, many times: the lock must never be lost.
func TestKeyedPassesOn(t *testing.T) {
	t.Parallel()
	var k lock.Keyed
	for range 2000 {
		unlock, err := k.Lock(t.Context(), "a")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if unlock, err := k.Lock(ctx, "a"); err == nil {
				unlock()
			}
		})
		wg.Go(cancel)
		wg.Go(unlock)
		wg.Wait()
		again, ok := k.TryLock("a")
		require.True(t, ok)
		again()
	}
}

func BenchmarkKeyed(b *testing.B) {
	var k lock.Keyed
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		unlock, err := k.Lock(ctx, "volume-0b8c0a2e-6cc4-4e2a-a1a5-3d2a4dd2cbd1")
		if err != nil {
			b.Fatal(err)
		}
		unlock()
	}
}
