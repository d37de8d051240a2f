// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/fakeceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// verb is one thing done to an empty pool, after what comes before it, in words of
// libtest.
type verb struct {
	name    string
	options cinderlib.Options
	before  string
	run     string
}

var verbs = []verb{
	{name: "create", run: "a+"},
	{name: "delete", before: "a+", run: "a-"},
	{name: "extend", before: "a+", run: "a="},
	{name: "snapshot", before: "a+", run: "a*"},
	{name: "delete a snapshot", before: "a+ a*", run: "a/"},
	{name: "revert", before: "a+ a*", run: "a<"},
	{name: "retype", before: "a+", run: "a%"},
	{name: "clone", before: "a+", run: "a>b"},
	{name: "clone, the chain is long", options: cinderlib.Options{"rbd_max_clone_depth": 1}, before: "a+ a>b", run: "b>c"},
	{name: "copy", options: cinderlib.Options{"rbd_max_clone_depth": 0}, before: "a+", run: "a>b"},
	{name: "from a snapshot", before: "a+ a*", run: "a*>b"},
	{name: "from a snapshot, flattened", options: cinderlib.Options{"rbd_flatten_volume_from_snapshot": true}, before: "a+ a*", run: "a*>b"},
	{name: "delete a snapshot that a volume stands on", before: "a+ a* a*>b", run: "a/"},
	{name: "delete the source of a clone", before: "a+ a>b", run: "a-"},
	{name: "delete the last clone", before: "a+ a>b b>c b- a-", run: "c-"},
	{name: "delete a clone in the middle", before: "a+ a>b b>c", run: "b-"},
	{name: "delete, with the trash", options: cinderlib.Options{"enable_deferred_deletion": true}, before: "a+ a>b a-", run: "b-"},
	{name: "statistics", before: "a+", run: "?"},
}

// place is where a sweep takes place: a cluster that has a pool for it.
type place struct {
	pool   ceph.Pool
	name   string // of the pool
	dial   dialer
	stride int // takes every n-th step
}

func fakePlace(t *testing.T, cloneV2 bool) place {
	t.Helper()
	c := fakeceph.New(fakeceph.Options{CloneV2: cloneV2})
	dial := func(ctx context.Context) (ceph.Cluster, error) { return c.Connect(ctx, "cinder") }
	data, err := dial(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, data.Close()) })
	p, err := data.Pool(t.Context(), poolName)
	require.NoError(t, err)
	return place{pool: p, name: poolName, dial: dial, stride: 1}
}

func realPlace(t *testing.T) place {
	t.Helper()
	c := admin(t)
	name := newPool(t, c)
	p, err := c.Pool(t.Context(), name)
	require.NoError(t, err)
	stride := 8
	if os.Getenv("CINDERLIB_CEPH_SWEEP") == "all" {
		stride = 1
	}
	return place{pool: p, name: name, dial: dialReal, stride: stride}
}

func dialReal(ctx context.Context) (ceph.Cluster, error) {
	return librbd.Connect(ctx, librbd.Config{File: confFile(), Timeout: time.Minute})
}

// world opens one in a folder for a verb.
func (at place) world(ctx context.Context, folder string, v verb) (*world, error) {
	options := cinderlib.Options{"volume_backend_name": "rbd", "volume_driver": "rbd", "rbd_pool": at.name, "deferred_deletion_purge_interval": 3600}
	maps.Copy(options, v.options)
	return openWorld(ctx, folder, at.dial, options)
}

// sweep has each call to the cluster of each verb go wrong, before and after it
// has acted. Then all is deleted, and nothing may be left.
func sweep(t *testing.T, at place, wrong func(t *testing.T, w *world, folder string, v verb, step int, after bool)) {
	t.Helper()
	ctx := t.Context()
	tried := 0
	for i, v := range verbs {
		folder := t.TempDir()
		w, err := at.world(ctx, folder, v)
		require.NoError(t, err)
		fresh := func() {
			require.NoError(t, w.Do(ctx, v.before), v.name)
		}
		empty := func(where string) {
			w.steps.plan(0, false, nil)
			require.NoError(t, w.Settle(ctx), where)
			require.NoError(t, w.Clear(ctx), where)
			require.NoError(t, w.purge(ctx), where)
			found, err := left(ctx, at.pool)
			require.NoError(t, err)
			require.Empty(t, found, where)
		}
		fresh()
		w.steps.plan(0, false, nil)
		require.NoError(t, w.Do(ctx, v.run), v.name)
		n := len(w.steps.counted())
		empty(v.name)
		for step := 1 + i%at.stride; step <= n; step += at.stride {
			for _, after := range []bool{false, true} {
				fresh()
				wrong(t, w, folder, v, step, after)
				empty(fmt.Sprintf("%s, step %d of %d (%v), after it: %v", v.name, step, n, w.steps.counted(), after))
				tried++
			}
		}
		require.NoError(t, w.Lib.Close(ctx))
	}
	t.Logf("%d faults", tried)
}

func injected(t *testing.T, w *world, _ string, v verb, step int, after bool) {
	t.Helper()
	w.steps.plan(step, after, func() error { return errInjected })
	if err := w.Do(t.Context(), v.run); err != nil {
		require.ErrorIs(t, err, errInjected, "%s, step %d", v.name, step)
	}
}

func TestFaultSweep(t *testing.T) {
	t.Parallel()
	for _, version := range []bool{false, true} {
		t.Run(fmt.Sprintf("clones of version 2: %t", version), func(t *testing.T) {
			sweep(t, fakePlace(t, version), injected)
		})
	}
}

func TestCephFaultSweep(t *testing.T) { sweep(t, realPlace(t), injected) }

// TestCephKillSweep: the process is killed at a step. Another one recovers.
func TestCephKillSweep(t *testing.T) {
	at := realPlace(t)
	sweep(t, at, func(t *testing.T, _ *world, folder string, v verb, step int, after bool) {
		t.Helper()
		_, err := libtest.RunChild(t.Context(), strings.Join([]string{folder, at.name, v.name, strconv.Itoa(step), strconv.FormatBool(after)}, "|"))
		require.NoError(t, err, v.name)
	})
}

func TestMain(m *testing.M) { os.Exit(libtest.Main(m, killedInVerb)) }

// killedInVerb is the process that is killed. Its job is FOLDER|POOL|VERB|STEP|AFTER.
func killedInVerb(ctx context.Context, job string) error {
	args := strings.Split(job, "|")
	at := place{name: args[1], dial: dialReal}
	step, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	for _, v := range verbs {
		if v.name != args[2] {
			continue
		}
		w, err := at.world(ctx, args[0], v)
		if err != nil {
			return err
		}
		w.steps.plan(step, args[4] == "true", func() error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		})
		return w.Do(ctx, v.run)
	}
	return fmt.Errorf("no verb %s", args[2])
}
