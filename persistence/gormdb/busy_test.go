// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// hold locks what writers of volume 1 need, as another process would, until
// release is called.
func hold(t testing.TB, s *gormdb.Store, url string) (release func()) {
	t.Helper()
	lock := "BEGIN IMMEDIATE"
	var db *sql.DB
	switch path, file := strings.CutPrefix(url, "sqlite:///"); {
	case file:
		db = raw(t, path)
	case url == "sqlite://": // nobody else sees it: a connection that only reads takes the lock
		db, _ = s.Pools()
	default:
		db = mysqltest.Pool(t, url)
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		lock = "START TRANSACTION"
	}
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), lock)
	require.NoError(t, err)
	if lock == "START TRANSACTION" {
		_, err = conn.ExecContext(t.Context(), "UPDATE volumes SET size = size WHERE id = ?", id(1))
		require.NoError(t, err)
	}
	release = sync.OnceFunc(func() {
		_, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
		assert.NoError(t, err)
		assert.NoError(t, conn.Close())
	})
	t.Cleanup(release)
	return release
}

// sized is volume 1 with another size.
func sized(n int) *drivers.Volume {
	v := volume(1)
	v.Size = n
	return v
}

func size(t testing.TB, s persistence.Store) int {
	t.Helper()
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(1)})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0].Size
}

// busy is what the error of a write says that waited in vain.
func busy(url string) string {
	if strings.HasPrefix(url, "sqlite") {
		return "locked"
	}
	return "database test_"
}

func TestBusyWriteWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 3)
		release := hold(t, s, url)
		done := make(chan error, 3)
		go func() { done <- s.Write(t.Context(), persistence.Put(sized(11))) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		code(t, s.Write(ctx, persistence.Put(sized(12))), context.DeadlineExceeded, "database", busy(url))
		if url != "sqlite://" {
			assert.Equal(t, 1, size(t, s), "readers go on")
		}
		select {
		case err := <-done:
			require.NoError(t, err)
			require.Fail(t, "it did not wait")
		default:
		}
		release()
		require.NoError(t, <-done)
		assert.Equal(t, 11, size(t, s))
	})
}

func TestBusyPatience(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url, gormdb.WithPatience(2*time.Second))
		fill(t, s, 3)
		release := hold(t, s, url)
		// Each has its own patience, however many they are.
		start := time.Now()
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				code(t, s.Write(t.Context(), persistence.Put(sized(100+n))), persistence.ErrUnavailable, "database", "no answer within 2s", busy(url))
			})
		}
		wg.Wait()
		assert.Less(t, time.Since(start), 30*time.Second)
		release()
		assert.Equal(t, 1, size(t, s))
		require.NoError(t, s.Write(t.Context(), persistence.Put(sized(2))))
		assert.Equal(t, 2, size(t, s))
	})
}

// A write that is cancelled while it waits ends at once, however long those
// before it wait, and is not done later.
func TestBusyCancel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 3)
		release := hold(t, s, url)
		var patient sync.WaitGroup
		for range 3 {
			patient.Go(func() { assert.NoError(t, s.Write(t.Context(), persistence.Put(sized(11)))) })
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 5)
		for n := range cap(results) {
			go func() { results <- s.Write(ctx, persistence.Insert(volume(100+n)), persistence.Put(sized(12))) }()
		}
		start := time.Now()
		time.AfterFunc(200*time.Millisecond, cancel)
		for range cap(results) {
			code(t, <-results, context.Canceled, "database")
		}
		assert.Less(t, time.Since(start), 30*time.Second)
		release()
		patient.Wait()
		require.NoError(t, s.Close())
		if url != "sqlite://" {
			s = open(t, url)
			assert.Equal(t, 11, size(t, s))
			assert.Len(t, ids(t, s), 3)
		}
	})
}

// Of many writes at once, half of which are cancelled at some time, those are in
// the store that returned nil, and no other.
func TestCancelIsExact(t *testing.T) {
	t.Parallel()
	const writers, rounds = 16, 15
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		var mu sync.Mutex
		done := map[string]bool{}
		failed := 0
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for r := range rounds {
					ctx, cancel := context.WithCancel(t.Context())
					var timer *time.Timer
					if (w+r)%2 == 0 {
						timer = time.AfterFunc(rand.N(20*time.Millisecond), cancel)
					}
					n := w*rounds + r
					err := s.Write(ctx, persistence.Insert(volume(n)), persistence.Insert(snapshot(n)))
					if err != nil {
						assert.ErrorIs(t, err, context.Canceled)
						assert.NotNil(t, timer, "nobody cancelled it")
					}
					mu.Lock()
					done[id(n)] = err == nil
					if err != nil {
						failed++
					}
					mu.Unlock()
					cancel()
				}
			})
		}
		wg.Wait()
		t.Logf("%d of %d writes were cancelled", failed, writers*rounds)
		assert.NotZero(t, failed)
		check := func(s persistence.Store) {
			stored := map[string]bool{}
			for _, id := range ids(t, s) {
				stored[id] = true
			}
			for id, want := range done {
				assert.Equal(t, want, stored[id], id)
			}
			snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
			require.NoError(t, err)
			assert.Len(t, snapshots, len(stored))
		}
		check(s)
		if url != "sqlite://" {
			require.NoError(t, s.Close())
			check(open(t, url))
		}
	})
}

func TestReadersCancelled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 30)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 15 {
					ctx, cancel := context.WithTimeout(t.Context(), rand.N(10*time.Millisecond))
					found, err := s.Volumes(ctx, persistence.VolumeFilter{})
					if err == nil {
						assert.Len(t, found, 30)
					} else {
						assert.ErrorIs(t, err, context.DeadlineExceeded)
						assert.ErrorContains(t, err, "database")
					}
					cancel()
				}
			})
		}
		wg.Wait()
		assert.Len(t, ids(t, s), 30, "the connections are as good as before")
	})
}

// However many make a database at once, it is made once.
func TestCreationRace(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				s, err := gormdb.Open(t.Context(), url)
				if assert.NoError(t, err) {
					assert.NoError(t, s.Write(t.Context(), persistence.Insert(volume(n)), persistence.Insert(volume(n+10))))
					assert.NoError(t, s.Close())
				}
			})
		}
		wg.Wait()
		assert.Len(t, ids(t, open(t, url)), 16)
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM volume_types WHERE name = '__DEFAULT__'"))
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM cinderlib_schema"))
	})
}

// transactions counts those that a file's journal has: a page that ends one says
// so (https://www.sqlite.org/fileformat.html#the_write_ahead_log).
func transactions(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	const header, frameHeader = 32, 24
	require.Greater(t, len(wal), header)
	frame := frameHeader + int(binary.BigEndian.Uint32(wal[8:]))
	salt := string(wal[16:24])
	for at := header; at+frame <= len(wal) && string(wal[at+8:at+16]) == salt; at += frame {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// Writes that wait for each other share a transaction; what one does wrong
// leaves the others alone.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	path := file(t, 1)
	s := open(t, "sqlite:///"+path)
	release := hold(t, s, "sqlite:///"+path)
	const writers = 64
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() { assert.NoError(t, s.Write(t.Context(), persistence.Insert(volume(100+n)))) })
	}
	for range 8 {
		wg.Go(func() {
			code(t, s.Write(t.Context(), persistence.Insert(volume(500)), persistence.Insert(snapshot(0))), persistence.ErrExists, path, "snapshot "+id(0))
			gone := volume(501)
			gone.Name = "gone"
			code(t, s.Write(t.Context(), persistence.Insert(volume(502)), persistence.Update(volume(501), gone)), persistence.ErrNotFound, path, id(501))
		})
	}
	release()
	wg.Wait()
	n := transactions(t, path)
	t.Logf("%d writes in %d transactions", writers, n)
	assert.Less(t, n, writers/2)
	assert.NotZero(t, n)
	assert.Len(t, ids(t, s), 1+writers)
	assert.NotContains(t, ids(t, s), id(500))
	assert.NotContains(t, ids(t, s), id(502))
	require.NoError(t, s.Close())
	integrity(t, path)
}

func integrity(t testing.TB, path string) {
	t.Helper()
	var verdict string
	require.NoError(t, raw(t, path).QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict))
	assert.Equal(t, "ok", verdict)
}

// Two records are written in one order by some and in the other by others.
func TestCrosswise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 2)
		const writers, rounds = 8, 15
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for r := range rounds {
					key := fmt.Sprint(w, " ", r)
					first, second := &persistence.KeyValue{Key: id(w % 2), Value: key}, &persistence.KeyValue{Key: id(1 - w%2), Value: key}
					v1, v2 := volume(w%2), volume(1-w%2)
					v1.Name, v2.Name = key, key
					assert.NoError(t, s.Write(t.Context(), persistence.Put(first), persistence.Put(v1), persistence.Put(second), persistence.Put(v2),
						persistence.Insert(&persistence.KeyValue{Key: key})))
				}
			})
		}
		wg.Wait()
		found, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
		require.NoError(t, err)
		assert.Equal(t, found[0].Name, found[1].Name)
		keys, err := s.KeyValues(t.Context(), "")
		require.NoError(t, err)
		assert.Len(t, keys, 2+writers*rounds)
	})
}

// Closing ends nothing that was asked for before.
func TestCloseFinishes(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		s, err := gormdb.Open(t.Context(), url)
		require.NoError(t, err)
		results := make([]error, 32)
		var wg sync.WaitGroup
		for n := range results {
			wg.Go(func() { results[n] = s.Write(t.Context(), persistence.Insert(volume(n))) })
		}
		require.NoError(t, s.Close())
		wg.Wait()
		stored := map[string]bool{}
		for _, id := range ids(t, open(t, url)) {
			stored[id] = true
		}
		for n, err := range results {
			assert.Equal(t, err == nil, stored[id(n)], err)
			if err != nil {
				assert.ErrorIs(t, err, persistence.ErrClosed)
			}
		}
	})
}
