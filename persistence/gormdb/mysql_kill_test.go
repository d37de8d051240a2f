// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// load writes and reads with several goroutines until stop is closed, then checks
// that all was done, once.
func load(t *testing.T, s *gormdb.Store, stop <-chan struct{}) {
	t.Helper()
	const writers = 8
	var wg sync.WaitGroup
	var writes, reads atomic.Int64
	made := make([]int, writers)
	fails := func(err error) bool { return !assert.NoError(t, err) }
	for w := range writers {
		wg.Go(func() {
			for n := w; ; n += writers {
				select {
				case <-stop:
					return
				default:
				}
				v := volume(n)
				renamed := v.Clone()
				renamed.Name, renamed.Status, renamed.Metadata = "renamed", "in-use", map[string]string{"new": canary}
				count := &persistence.KeyValue{Key: fmt.Sprint("count ", w), Value: fmt.Sprint(made[w] + 1)}
				if fails(s.Write(t.Context(), persistence.Insert(v), persistence.Insert(snapshot(n)), persistence.Put(count))) ||
					fails(s.Write(t.Context(), persistence.Update(v, renamed), persistence.Insert(connection(n)))) ||
					fails(s.Write(t.Context(), persistence.Delete(snapshot(n)))) {
					return
				}
				made[w]++
				writes.Add(3)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				found, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
				if fails(err) {
					return
				}
				for _, v := range found {
					assert.Len(t, v.Metadata, 1)
				}
				reads.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d writes, %d reads", writes.Load(), reads.Load())
	assert.NotZero(t, reads.Load())
	total := 0
	for w := range writers {
		total += made[w]
		keys, err := s.KeyValues(t.Context(), fmt.Sprint("count ", w))
		require.NoError(t, err)
		if made[w] > 0 && assert.Len(t, keys, 1) {
			assert.Equal(t, fmt.Sprint(made[w]), keys[0].Value)
		}
	}
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	assert.Len(t, found, total)
	for _, v := range found {
		assert.Equal(t, "renamed", v.Name)
		assert.Equal(t, map[string]string{"new": canary}, v.Metadata)
	}
	connections, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
	require.NoError(t, err)
	assert.Len(t, connections, total)
	snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	assert.Empty(t, snapshots)
}

// kill ends the connections that others have to the database of a URL.
func kill(t *testing.T, db *sql.DB, url string) (killed int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	rows, err := db.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = ?", url[strings.LastIndex(url, "/")+1:])
	require.NoError(t, err)
	defer rows.Close()
	var list []int
	for rows.Next() {
		var id int
		require.NoError(t, rows.Scan(&id))
		list = append(list, id)
	}
	require.NoError(t, rows.Err())
	for _, id := range list {
		if _, err := db.ExecContext(ctx, fmt.Sprint("KILL CONNECTION ", id)); err == nil {
			killed++
		}
	}
	return killed
}

// An administrator kills connections while many goroutines use them.
func TestMySQLConnectionsKilled(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	admin := mysqltest.Pool(t, os.Getenv(mysqltest.URLEnv))
	defer admin.Close()
	var log bytes.Buffer
	s := open(t, url, gormdb.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		defer close(stop)
		kills := 0
		for range 60 {
			kills += kill(t, admin, url)
			<-time.After(rand.N(50 * time.Millisecond))
		}
		t.Logf("%d connections killed", kills)
		assert.Greater(t, kills, 60)
	})
	load(t, s, stop)
	killer.Wait()
	require.NoError(t, s.Close())
	for _, secret := range append(secrets, "INSERT", "SELECT", "UPDATE") {
		assert.NotContains(t, log.String(), secret)
	}
}

// Connections are killed while the tables are made: it goes on, or the next one
// goes on, and they are made once.
func TestMySQLCreationKilled(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	admin := mysqltest.Pool(t, os.Getenv(mysqltest.URLEnv))
	defer admin.Close()
	kills, opened, failed := 0, 0, 0
	for range 10 {
		url := freshMySQL(t)
		results := make(chan error, 4)
		for range cap(results) {
			go func() {
				s, err := gormdb.Open(t.Context(), url)
				if err == nil {
					err = s.Close()
				}
				results <- err
			}()
		}
		for range cap(results) {
			for waits := true; waits; {
				kills += kill(t, admin, url)
				select {
				case err := <-results:
					waits = false
					if err == nil {
						opened++
						continue
					}
					failed++
					assert.ErrorIs(t, err, persistence.ErrUnavailable)
				case <-time.After(rand.N(20 * time.Millisecond)):
				}
			}
		}
		require.NoError(t, open(t, url).Close())
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM volume_types WHERE name = '__DEFAULT__'"))
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM cinderlib_schema"))
	}
	t.Logf("%d connections killed; %d opened, %d did not", kills, opened, failed)
}

// ownServer starts a server for this test alone, and makes mysqltest use it. The
// test must not be parallel.
func ownServer(t *testing.T) {
	t.Helper()
	mysqltest.Need(t)
	base := os.Getenv(mysqltest.URLEnv)
	dir := t.TempDir()
	t.Setenv(mysqltest.FolderEnv, dir)
	server(t, "start")
	t.Cleanup(func() { server(t, "kill") })
	port, err := os.ReadFile(filepath.Join(dir, "port"))
	require.NoError(t, err)
	t.Setenv(mysqltest.URLEnv, at(t, base, "127.0.0.1:"+strings.TrimSpace(string(port))))
}

func server(t *testing.T, do string) {
	t.Helper()
	require.NoError(t, mysqltest.Server(context.WithoutCancel(t.Context()), do))
}

// All that kills the server is here, and on a server of its own.
func TestServerKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and kills it, again and again")
	}
	ownServer(t)
	t.Run("idle", serverKilledIdle)
	t.Run("down", serverDown)
	t.Run("locks", serverKilledLocks)
	t.Run("busy", serverKilledBusy)
}

// The server was killed and is there again: nobody notices.
func serverKilledIdle(t *testing.T) {
	s := open(t, freshMySQL(t))
	fill(t, s, 3)
	for range 2 {
		server(t, "kill")
		server(t, "start")
		assert.Len(t, ids(t, s), 3)
		server(t, "kill")
		server(t, "start")
		require.NoError(t, s.Write(t.Context(), persistence.Put(volume(1)), persistence.Put(keyValue(1))))
	}
}

// The server is gone for longer than a call may take, and comes back.
func serverDown(t *testing.T) {
	url := freshMySQL(t)
	s, hasty := open(t, url), open(t, url, gormdb.WithPatience(2*time.Second))
	fill(t, s, 3)
	server(t, "kill")
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	_, err := s.Volumes(within(300*time.Millisecond), persistence.VolumeFilter{})
	code(t, err, context.DeadlineExceeded, "database", "refused")
	code(t, s.Write(within(300*time.Millisecond), persistence.Insert(volume(7))), context.DeadlineExceeded, "database", "refused")
	_, err = hasty.KeyValues(t.Context(), "")
	code(t, err, persistence.ErrUnavailable, "database", "no answer within 2s", "refused")
	code(t, hasty.Write(t.Context(), persistence.Insert(volume(8))), persistence.ErrUnavailable, "database", "no answer within 2s", "refused")
	_, err = s.Locks().Lock(within(300*time.Millisecond), "x")
	code(t, err, context.DeadlineExceeded, "lock test_", "/x", "refused")
	_, err = hasty.Locks().Lock(t.Context(), "x")
	code(t, err, persistence.ErrUnavailable, "lock test_", "/x", "refused")
	_, ok, err := s.Locks().TryLock(t.Context(), "x")
	assert.False(t, ok)
	code(t, err, persistence.ErrUnavailable, "lock test_", "/x", "refused")
	start := time.Now()
	_, err = gormdb.Open(t.Context(), url)
	code(t, err, persistence.ErrUnavailable, "database", "refused")
	assert.Less(t, time.Since(start), 10*time.Second)

	// One who waits is served when the server is there again.
	waits := make(chan error, 1)
	go func() { waits <- s.Write(t.Context(), persistence.Insert(volume(3))) }()
	server(t, "start")
	require.NoError(t, <-waits)
	assert.Len(t, ids(t, s), 4)
	assert.Len(t, ids(t, hasty), 4)
	require.NoError(t, hasty.Write(t.Context(), persistence.Put(volume(1))))
	unlock, err := s.Locks().Lock(t.Context(), "x")
	require.NoError(t, err)
	unlock()
}

// Locks that went with the server are taken again by the next use.
func serverKilledLocks(t *testing.T) {
	url := freshMySQL(t)
	s, other := open(t, url), open(t, url)
	unlock, err := s.Locks().Lock(t.Context(), "held")
	require.NoError(t, err)
	server(t, "kill")
	server(t, "start")
	again, err := s.Locks().Lock(t.Context(), "another")
	require.NoError(t, err)
	again()
	isHeld(t, other, "held", true)
	unlock()
	isHeld(t, other, "held", false)
}

// The server is killed in the middle of writes, at any moment.
func serverKilledBusy(t *testing.T) {
	s := open(t, freshMySQL(t))
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		defer close(stop)
		for range 20 {
			<-time.After(rand.N(200 * time.Millisecond))
			assert.NoError(t, mysqltest.Server(context.WithoutCancel(t.Context()), "kill"))
			assert.NoError(t, mysqltest.Server(context.WithoutCancel(t.Context()), "start"))
		}
	})
	load(t, s, stop)
	killer.Wait()
}
