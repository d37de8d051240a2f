// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// isHeld checks whether a lock is held, by asking for it.
func isHeld(t testing.TB, s *gormdb.Store, name string, want bool) {
	t.Helper()
	unlock, ok, err := s.Locks().TryLock(t.Context(), name)
	require.NoError(t, err)
	assert.Equal(t, !want, ok, name)
	assert.Equal(t, ok, unlock != nil)
	if ok {
		unlock()
	}
}

// becomesFree takes a lock: the server needs a moment to see the end of a
// connection.
func becomesFree(t testing.TB, s *gormdb.Store, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	unlock, err := s.Locks().Lock(ctx, name)
	require.NoError(t, err)
	unlock()
}

func locked(t testing.TB, s *gormdb.Store, name string) (unlock func()) {
	t.Helper()
	unlock, err := s.Locks().Lock(t.Context(), name)
	if !assert.NoError(t, err) {
		return func() {}
	}
	return unlock
}

func TestLocksOfSQLite(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"sqlite://", freshFile(t)} {
		var s persistence.Locking = open(t, url)
		assert.True(t, s.Locks() == nil, "the interface itself is nil") //nolint:testifylint // Nil is true for a nil in an interface
	}
}

// pair are two stores on one database of MariaDB.
func pair(t *testing.T) (a, b *gormdb.Store) {
	t.Helper()
	mysqltest.Need(t)
	url := freshMySQL(t)
	return open(t, url), open(t, url)
}

func TestLocksExclude(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	var inside, times atomic.Int32
	var wg sync.WaitGroup
	for _, s := range []*gormdb.Store{a, b, a, b} {
		wg.Go(func() {
			for range 15 {
				unlock := locked(t, s, "x")
				assert.Equal(t, int32(1), inside.Add(1))
				times.Add(1)
				inside.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int32(60), times.Load())
}

func TestLocksTryAndUnlock(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	unlock := locked(t, a, "x")
	isHeld(t, a, "x", true)
	isHeld(t, b, "x", true)
	isHeld(t, b, "X", false)
	isHeld(t, b, "x ", false)
	isHeld(t, b, "y", false)
	isHeld(t, b, string(bytes.Repeat([]byte("long"), 1000)), false)
	isHeld(t, b, "\x00\xff'", false)
	unlock()
	unlock()
	isHeld(t, a, "x", false)
	isHeld(t, b, "x", false)
	mine := locked(t, b, "x")
	unlock() // once more, when it is another's
	isHeld(t, a, "x", true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(mine)
	}
	wg.Wait()
	isHeld(t, a, "x", false)
}

// A wait ends with its context, leaves nothing behind and harms no other lock.
func TestLocksWaitEnds(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	unlock, kept := locked(t, a, "x"), locked(t, b, "kept")
	defer kept()
	for _, s := range []*gormdb.Store{a, b} { // within the process, and beyond
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := s.Locks().Lock(ctx, "x")
		code(t, err, context.DeadlineExceeded, "lock test_", "/x")
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err = s.Locks().Lock(ctx, "x")
		code(t, err, context.Canceled, "lock test_", "/x")
		_, err = s.Locks().Lock(ctx, "free")
		code(t, err, context.Canceled, "lock test_", "/free")
		_, ok, err := s.Locks().TryLock(ctx, "free")
		assert.False(t, ok)
		code(t, err, context.Canceled, "lock test_", "/free")
	}
	isHeld(t, a, "kept", true)
	isHeld(t, b, "free", false)
	isHeld(t, a, "free", false)
	waits := make(chan func(), 1)
	go func() { waits <- locked(t, b, "x") }()
	unlock()
	(<-waits)()
}

// Many cancels at all moments lose nobody's lock, and leave none behind.
func TestLocksManyCancels(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	a, b, c := open(t, url), open(t, url), open(t, url)
	kept, other := locked(t, a, "kept"), locked(t, b, "other")
	var wg sync.WaitGroup
	for n := range 12 {
		s := []*gormdb.Store{a, b, c}[n%3] // c has no lock to lose
		wg.Go(func() {
			for r := range 25 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r)*200*time.Microsecond)
				unlock, err := s.Locks().Lock(ctx, fmt.Sprint("contended ", r%3))
				if err == nil {
					unlock()
				} else {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	isHeld(t, b, "kept", true)
	isHeld(t, a, "other", true)
	for n := range 3 {
		becomesFree(t, a, fmt.Sprint("contended ", n))
		isHeld(t, b, fmt.Sprint("contended ", n), false)
	}
	kept()
	other()
}

func TestLocksEndWithTheStore(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	b := open(t, url)
	a, err := gormdb.Open(t.Context(), url)
	require.NoError(t, err)
	unlock := locked(t, a, "x")
	waits := make(chan func(), 1)
	go func() { waits <- locked(t, b, "x") }()
	require.NoError(t, a.Close())
	(<-waits)()
	unlock()
	_, err = a.Locks().Lock(t.Context(), "x")
	code(t, err, persistence.ErrClosed, "lock test_", "/x")
	isHeld(t, b, "x", false)
}

// Nothing is taken after Close, however close to it one asks.
func TestLocksCloseRace(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	b := open(t, url)
	for r := range 10 {
		a, err := gormdb.Open(t.Context(), url)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				_, err := a.Locks().Lock(t.Context(), fmt.Sprint(r, n))
				if err != nil {
					assert.ErrorIs(t, err, persistence.ErrClosed)
				}
			})
		}
		require.NoError(t, a.Close())
		wg.Wait()
		for n := range 4 {
			becomesFree(t, b, fmt.Sprint(r, n))
		}
	}
}

// A connection that the server ends takes its locks with it. The next use takes
// them again, or logs which it lost.
func TestLocksConnectionKilled(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	admin := mysqltest.Pool(t, os.Getenv(mysqltest.URLEnv))
	defer admin.Close()
	var log bytes.Buffer
	a := open(t, url, gormdb.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	b := open(t, url)
	first, second, third := locked(t, a, "first"), locked(t, a, "second"), locked(t, a, "third")
	require.Positive(t, kill(t, admin, url))
	stolen := locked(t, b, "second") // it was quicker
	locked(t, a, "fourth")()
	isHeld(t, b, "first", true)
	isHeld(t, b, "third", true)
	assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=WARN")), log.String())
	assert.Contains(t, log.String(), "/second")

	// To give back what was lost takes nothing from the other, nor twice.
	second()
	isHeld(t, a, "second", true)
	stolen()
	isHeld(t, a, "second", false)

	// The end of one lock does not lose the others, when the connection is gone.
	require.Positive(t, kill(t, admin, url))
	first()
	isHeld(t, a, "fourth", false)
	isHeld(t, b, "third", true)
	isHeld(t, b, "first", false)
	third()
	isHeld(t, b, "third", false)
	assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=WARN")), log.String())
}

func TestLocksMany(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	const names = 200
	unlocks := make([]func(), names)
	var wg sync.WaitGroup
	for n := range names {
		wg.Go(func() { unlocks[n] = locked(t, []*gormdb.Store{a, b}[n%2], fmt.Sprint("name ", n)) })
	}
	wg.Wait()
	for n := range names {
		isHeld(t, []*gormdb.Store{b, a}[n%2], fmt.Sprint("name ", n), true)
	}
	for _, unlock := range unlocks {
		wg.Go(unlock)
	}
	wg.Wait()
	for n := range names {
		isHeld(t, []*gormdb.Store{b, a}[n%2], fmt.Sprint("name ", n), false)
	}
}

func TestLocksOfOtherDatabases(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	a, b := open(t, freshMySQL(t)), open(t, freshMySQL(t))
	unlock := locked(t, a, "x")
	isHeld(t, b, "x", false)
	isHeld(t, a, "x", true)
	unlock()
}

// A holder that is killed holds nothing any more.
func TestLocksHolderKilled(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	s := open(t, url)
	cmd := child(t, "lock", url)
	lines := started(t, cmd)
	line, ok := said(lines)
	require.True(t, ok)
	require.Equal(t, "held", line)
	isHeld(t, s, "held by a child", true)
	require.NoError(t, cmd.Process.Kill())
	locked(t, s, "held by a child")()
	require.Error(t, cmd.Wait())
}

// A server that is not heard any more: whoever waits for it does so no longer
// than its context says, or while the locks of others depend on it the time the
// server has to answer.
func TestLocksSilentServer(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	p, url := newProxy(t, freshMySQL(t))
	s, holder := open(t, url), open(t, url)
	held := locked(t, holder, "held")
	p.do(func([]byte) harm { return freeze })
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := s.Locks().Lock(ctx, "x")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Less(t, time.Since(start), 3*time.Second)
	}
	_, ok, err := holder.Locks().TryLock(t.Context(), "x")
	assert.False(t, ok)
	code(t, err, persistence.ErrUnavailable, "lock test_", "/x", "no answer within 5s")
	p.do(nil)
	locked(t, s, "x")()
	locked(t, holder, "x")()
	isHeld(t, s, "held", true)
	held()
	isHeld(t, s, "held", false)
}
