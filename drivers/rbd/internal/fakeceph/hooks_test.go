// SPDX-License-Identifier: Apache-2.0

package fakeceph_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/fakeceph"
)

const mib = int64(1) << 20

func connect(t *testing.T, c *fakeceph.Cluster) (ceph.Cluster, ceph.Pool) {
	t.Helper()
	conn, err := c.Connect(t.Context(), "cinder")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	pool, err := conn.Pool(t.Context(), "volumes")
	require.NoError(t, err)
	return conn, pool
}

func TestHooks(t *testing.T) {
	t.Parallel()
	c := fakeceph.New(fakeceph.Options{})
	_, pool := connect(t, c)
	c.ResetCalls()
	create := func(name string) error { return pool.Create(t.Context(), name, mib, ceph.ImageOptions{}) }

	c.SetHooks(fakeceph.Hooks{Before: fakeceph.Nth("create", 2, syscall.EIO)})
	require.NoError(t, create("a"))
	err := create("b")
	require.ErrorIs(t, err, syscall.EIO)
	assert.EqualError(t, err, "create volumes/b: input/output error")
	require.NoError(t, create("c"))

	lost := errors.New("lost")
	c.SetHooks(fakeceph.Hooks{After: fakeceph.Nth("", 4, lost)})
	require.ErrorIs(t, create("d"), lost)
	require.ErrorIs(t, create("a"), syscall.EEXIST)
	c.SetHooks(fakeceph.Hooks{})

	names, err := pool.Images(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "c", "d"}, names)
	assert.Equal(t, 5, c.Count("create"))
	assert.Len(t, c.Calls(), 6)
	assert.Equal(t, fakeceph.Call{Op: "list", What: "volumes", N: 1, All: 6}, c.Calls()[5])
}

// TestLostOpen: an image whose opening seemed to fail is not open.
func TestLostOpen(t *testing.T) {
	t.Parallel()
	c := fakeceph.New(fakeceph.Options{})
	_, pool := connect(t, c)
	require.NoError(t, pool.Create(t.Context(), "a", mib, ceph.ImageOptions{}))
	c.SetHooks(fakeceph.Hooks{After: fakeceph.Nth("open", 1, syscall.ETIMEDOUT)})
	_, err := pool.Open(t.Context(), "a", ceph.OpenOptions{})
	require.ErrorIs(t, err, syscall.ETIMEDOUT)
	require.NoError(t, pool.Remove(t.Context(), "a"))
}

// TestHang: a call that hangs holds up those on the same image, and nothing else.
func TestHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakeceph.New(fakeceph.Options{})
		_, pool := connect(t, c)
		require.NoError(t, pool.Create(t.Context(), "a", mib, ceph.ImageOptions{}))
		i, err := pool.Open(t.Context(), "a", ceph.OpenOptions{})
		require.NoError(t, err)
		c.SetHooks(fakeceph.Hooks{Before: fakeceph.Hang("resize")})

		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, i.Resize(ctx, 2*mib), context.Canceled) })
		synctest.Wait()
		soon, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		_, err = i.Info(soon)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = pool.Images(t.Context())
		require.NoError(t, err)
		cancel()
		all.Wait()
		info, err := i.Info(t.Context())
		require.NoError(t, err)
		assert.Equal(t, mib, info.Bytes)
	})
}

func TestDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakeceph.New(fakeceph.Options{Timeout: 2 * time.Second})
		_, pool := connect(t, c)
		c.SetDown(true)
		began := time.Now()
		require.ErrorIs(t, pool.Create(t.Context(), "a", mib, ceph.ImageOptions{}), syscall.ETIMEDOUT)
		_, err := c.Connect(t.Context(), "cinder")
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		assert.Equal(t, 4*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, pool.Create(ctx, "a", mib, ceph.ImageOptions{}), context.DeadlineExceeded)

		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, pool.Create(t.Context(), "a", mib, ceph.ImageOptions{})) })
		synctest.Wait()
		c.SetDown(false)
		all.Wait()
		names, err := pool.Images(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"a"}, names)
	})
}

// TestFull: what changes a full pool waits, what reads it does not.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakeceph.New(fakeceph.Options{
			Pools: []fakeceph.Pool{{Name: "volumes", Quota: mib}}, Timeout: time.Second,
		})
		_, pool := connect(t, c)
		require.NoError(t, pool.Create(t.Context(), "a", 1<<30, ceph.ImageOptions{}))
		i, err := pool.Open(t.Context(), "a", ceph.OpenOptions{})
		require.NoError(t, err)
		require.NoError(t, i.WriteAt(t.Context(), make([]byte, mib), 0))
		require.ErrorIs(t, i.WriteAt(t.Context(), []byte("x"), 0), syscall.ETIMEDOUT)
		require.ErrorIs(t, pool.Remove(t.Context(), "a"), syscall.ETIMEDOUT)
		require.NoError(t, i.ReadAt(t.Context(), make([]byte, 1), 0))
		c.SetQuota("volumes", 2*mib)
		require.NoError(t, i.WriteAt(t.Context(), []byte("x"), 0))
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	c := fakeceph.New(fakeceph.Options{Users: []string{"cinder"}})
	_, err := c.Connect(t.Context(), "nobody")
	require.ErrorIs(t, err, syscall.EACCES)
	connect(t, c)
}

// TestSparse: large volumes, clones and their flattening cost nothing.
func TestSparse(t *testing.T) {
	t.Parallel()
	c := fakeceph.New(fakeceph.Options{CloneV2: true})
	conn, pool := connect(t, c)
	ctx := t.Context()
	require.NoError(t, pool.Create(ctx, "a", 1<<30, ceph.ImageOptions{}))
	i, err := pool.Open(ctx, "a", ceph.OpenOptions{})
	require.NoError(t, err)
	require.NoError(t, i.WriteAt(ctx, []byte("x"), 1<<30-1))
	require.NoError(t, i.CreateSnapshot(ctx, "s"))
	require.NoError(t, pool.Clone(ctx, "a", "s", "b", ceph.ImageOptions{}))
	clone, err := pool.Open(ctx, "b", ceph.OpenOptions{})
	require.NoError(t, err)
	require.NoError(t, clone.Flatten(ctx))
	answer, err := conn.Command(ctx, `{"prefix":"osd pool get-quota","pool":"volumes"}`)
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"current_num_bytes":131072`)
}

// TestMixedClones: clones of version 1 keep their parent's snapshot protected when
// the cluster makes others by now.
func TestMixedClones(t *testing.T) {
	t.Parallel()
	c := fakeceph.New(fakeceph.Options{})
	_, pool := connect(t, c)
	ctx := t.Context()
	require.NoError(t, pool.Create(ctx, "a", mib, ceph.ImageOptions{}))
	i, err := pool.Open(ctx, "a", ceph.OpenOptions{})
	require.NoError(t, err)
	require.NoError(t, i.CreateSnapshot(ctx, "s"))
	require.NoError(t, i.Protect(ctx, "s"))
	require.NoError(t, pool.Clone(ctx, "a", "s", "old", ceph.ImageOptions{}))
	c.SetCloneV2(true)
	require.NoError(t, pool.Clone(ctx, "a", "s", "new", ceph.ImageOptions{}))
	require.ErrorIs(t, i.Unprotect(ctx, "s"), syscall.EBUSY)
	require.NoError(t, pool.Remove(ctx, "old"))
	require.NoError(t, i.Unprotect(ctx, "s"))
}
