// SPDX-License-Identifier: Apache-2.0

package librbd_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
)

func connect(t testing.TB) ceph.Cluster {
	t.Helper()
	conf := os.Getenv("CINDERLIB_CEPH_CONF")
	if conf == "" {
		t.Skip("needs Ceph: tools/test-ceph.sh")
	}
	c, err := librbd.Connect(t.Context(), librbd.Config{File: conf, User: "cinder", Timeout: 30 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	c := connect(t)
	t.Log(c.FSID())
	out, err := c.Command(ctx, `{"prefix":"mon dump","format":"json"}`)
	require.NoError(t, err)
	t.Log(string(out))
	_, err = c.Command(ctx, `{"prefix":"nonsense"}`)
	t.Log(err)
	_, err = c.Pool(ctx, "nopool")
	t.Log(err)
	p, err := c.Pool(ctx, "volumes")
	require.NoError(t, err)
	f, err := c.Option("rbd_default_features")
	require.NoError(t, err)
	t.Log(f)
	require.NoError(t, p.Create(ctx, "a", 1<<30, ceph.ImageOptions{Features: 61, Order: 22}))
	t.Log(p.Create(ctx, "a", 1<<30, ceph.ImageOptions{}))
	i, err := p.Open(ctx, "a", ceph.OpenOptions{})
	require.NoError(t, err)
	info, err := i.Info(ctx)
	require.NoError(t, err)
	t.Logf("%+v", info)
	require.NoError(t, i.WriteAt(ctx, []byte("hello"), 4096))
	require.NoError(t, i.CreateSnapshot(ctx, "s"))
	require.NoError(t, i.Protect(ctx, "s"))
	snaps, err := i.Snapshots(ctx)
	require.NoError(t, err)
	t.Logf("%+v", snaps)
	require.NoError(t, p.Clone(ctx, "a", "s", "b", ceph.ImageOptions{Features: 61}))
	kids, err := i.Children(ctx)
	require.NoError(t, err)
	t.Logf("%+v", kids)
	b, err := p.Open(ctx, "b", ceph.OpenOptions{})
	require.NoError(t, err)
	par, err := b.Parent(ctx)
	require.NoError(t, err)
	t.Logf("%+v", par)
	buf := make([]byte, 5)
	require.NoError(t, b.ReadAt(ctx, buf, 4096))
	require.Equal(t, "hello", string(buf))
	require.NoError(t, b.SetMetadata(ctx, "k", "v"))
	m, err := b.Metadata(ctx)
	t.Log(m, err)
	w, err := b.Watchers(ctx)
	t.Log(w, err)
	// a flatten that is cancelled
	over, cancel := context.WithTimeout(ctx, time.Millisecond)
	start := time.Now()
	err = b.Flatten(over)
	cancel()
	t.Log(time.Since(start), err)
	_, err = b.Parent(ctx)
	t.Log("parent after", time.Since(start), err)
	t.Log(b.Flatten(ctx))
	require.NoError(t, b.Close())
	require.NoError(t, p.Remove(ctx, "b"))
	require.NoError(t, i.Unprotect(ctx, "s"))
	require.NoError(t, i.RemoveSnapshot(ctx, "s"))
	require.NoError(t, i.Close())
	t.Log(i.Resize(ctx, 1))
	require.NoError(t, p.TrashMove(ctx, "a", time.Hour))
	tr, err := p.Trash(ctx)
	require.NoError(t, err)
	t.Logf("%+v", tr)
	for _, x := range tr {
		t.Log(p.TrashRemove(ctx, x.ID))
	}
	names, err := p.Images(ctx)
	t.Log(names, err)
}

func BenchmarkCreate(b *testing.B) {
	c := connect(b)
	p, err := c.Pool(b.Context(), "volumes")
	require.NoError(b, err)
	n := 0
	for b.Loop() {
		n++
		require.NoError(b, p.Create(b.Context(), fmt.Sprintf("bench-%d", n), 1<<30, ceph.ImageOptions{Features: 61, Order: 22}))
	}
	b.StopTimer()
	for ; n > 0; n-- {
		require.NoError(b, p.Remove(b.Context(), fmt.Sprintf("bench-%d", n)))
	}
}

func BenchmarkOption(b *testing.B) {
	c := connect(b)
	for b.Loop() {
		_, _ = c.Option("rbd_default_features")
	}
}
