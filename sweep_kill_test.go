// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/internal/libtest"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(workEnv); spec != "" {
		os.Exit(workingChild(spec))
	}
	os.Exit(libtest.Main(m, killedChild))
}

// killedChild is the process that is killed: it opens the world and runs one verb. It
// returns only if the step does not exist.
func killedChild(ctx context.Context, job string) error {
	fields := strings.Split(job, "|") // DIR|VERB|STEP|AFTER|URL
	at, _ := strconv.Atoi(fields[2])
	w, err := openWorld(ctx, fields[0], fields[4])
	if err != nil {
		return err
	}
	for _, verb := range verbs {
		if verb.name != fields[1] {
			continue
		}
		w.steps.start(at, fields[3] == "true", func() error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		})
		return verb.run(ctx, w)
	}
	return errors.New("there is no verb " + fields[1])
}

func TestKillSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	t.Parallel()
	t.Run("json", func(t *testing.T) { t.Parallel(); killSweep(t, jsonFile) })
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); killSweep(t, sqliteFile) })
}

func TestKillSweepMySQL(t *testing.T) {
	mysqltest.Need(t)
	killSweep(t, mariaDB)
}

func killSweep(t *testing.T, store func(*testing.T, string) string) {
	var mu sync.Mutex
	kills, settled := 0, 0
	t.Run("verbs", func(t *testing.T) {
		for _, verb := range verbs {
			t.Run(verb.name, func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					reached := false
					for _, after := range []bool{false, true} {
						killed, by := killAt(t, store, verb.name, verb.prepare, at, after)
						reached = reached || killed
						if killed {
							mu.Lock()
							kills++
							settled += by
							mu.Unlock()
						}
					}
					if !reached {
						return
					}
				}
			})
		}
	})
	t.Logf("%d kills in %d verbs; Recover settled %d records", kills, len(verbs), settled)
	assert.Greater(t, kills, 150)
}

func killAt(t *testing.T, store func(*testing.T, string) string, name string, prepare step, at int, after bool) (killed bool, settled int) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	url := store(t, dir)
	w, err := openWorld(ctx, dir, url)
	require.NoError(t, err)
	require.NoError(t, w.furnish(ctx))
	if prepare != nil {
		require.NoError(t, prepare(ctx, w))
	}
	w.close(t)

	killed, err = libtest.RunChild(ctx, fmt.Sprintf("%s|%s|%d|%v|%s", dir, name, at, after, url))
	require.NoError(t, err)
	if !killed {
		return false, 0
	}

	w, err = openWorld(ctx, dir, url)
	require.NoError(t, err)
	defer w.close(t)
	return true, w.recovered(t, name, fmt.Sprintf("%s: killed in step %d, after: %v", name, at, after))
}

// recovered recovers what was cut off, checks that everything agrees then, and
// returns how many records that took.
func (w *world) recovered(t *testing.T, verb, where string) (settled int) {
	t.Helper()
	// A server may take a moment to notice that the holder of a lock is dead.
	busy := func(d cinderlib.Recovery) bool { return d.Busy }
	for looks := 0; ; looks++ {
		done, err := w.backend.Recover(t.Context())
		require.NoError(t, err, where)
		settled += len(done)
		if !slices.ContainsFunc(done, busy) {
			break
		}
		require.Less(t, looks, 1000, "%s: a dead process still holds a lock", where)
		<-time.After(5 * time.Millisecond)
	}
	require.True(t, t.Run("", func(t *testing.T) {
		w.settled(t, verb == "unmanage")
		w.unharmed(t, verb)
	}), where)
	again, err := w.backend.Recover(t.Context())
	require.NoError(t, err, where)
	require.Empty(t, again, "%s: nothing is left for a second Recover", where)
	return settled
}

// TestServerKillSweep kills the database server in the middle of every verb,
// before and after each call of the store. It is back at once, and the verb goes
// on, or it comes back when the verb has given up.
func TestServerKillSweep(t *testing.T) {
	mysqltest.Need(t)
	if testing.Short() {
		t.Skip("starts a server a hundred times")
	}
	stride := 2
	if os.Getenv("CINDERLIB_MYSQL_SWEEP") == "all" {
		stride = 1
	}
	kills, finished, settled := 0, 0, 0
	for i, verb := range verbs {
		t.Run(verb.name, func(t *testing.T) {
			for at, reached := 1+i%stride, true; reached; at += stride {
				reached = false
				for _, how := range []struct{ after, back bool }{{false, false}, {false, true}, {true, true}} {
					hit, there, done, by := serverKilledAt(t, verb.name, verb.prepare, verb.run, at, how.after, how.back)
					reached = reached || there
					if hit {
						kills++
						settled += by
					}
					if hit && done {
						finished++
					}
				}
			}
		})
	}
	t.Logf("%d times the server was killed in %d verbs; %d verbs went on, Recover settled %d records", kills, len(verbs), finished, settled)
	assert.Greater(t, kills, 100/stride)
	assert.Greater(t, finished, 50/stride)
}

// serverKilledAt returns whether the verb has the step, whether that is one of
// the store, whether the verb succeeded nevertheless, and what Recover settled.
func serverKilledAt(t *testing.T, name string, prepare, run step, at int, after, back bool) (hit, there, done bool, settled int) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	url := mysqltest.Fresh(t)
	w, err := openWorld(ctx, dir, url)
	require.NoError(t, err)
	require.NoError(t, w.furnish(ctx))
	if prepare != nil {
		require.NoError(t, prepare(ctx, w))
	}
	w.close(t)
	patience := 500 * time.Millisecond
	if back {
		patience = 30 * time.Second
	}
	w, err = openWorld(ctx, dir, url, gormdb.WithPatience(patience))
	require.NoError(t, err)
	w.steps.only = "store."
	w.steps.start(at, after, func() error {
		hit = true
		err := mysqltest.Server(ctx, "kill")
		if back && err == nil {
			err = mysqltest.Server(ctx, "start")
		}
		return err
	})
	err = run(ctx, w)
	there = len(w.steps.stop()) >= at
	where := fmt.Sprintf("%s: server killed at step %d of the store, after: %v, back at once: %v; the verb's error: %v", name, at, after, back, err)
	if hit {
		require.NoError(t, mysqltest.Server(ctx, "start"), where)
	}
	if err != nil {
		require.NotErrorIs(t, err, cinderlib.ErrInternal, where)
	}
	w.close(t)
	if !hit {
		require.NoError(t, err, where)
		return false, there, true, 0
	}
	again, err2 := openWorld(ctx, dir, url)
	require.NoError(t, err2, where)
	defer again.close(t)
	return true, true, err == nil, again.recovered(t, name, where)
}
