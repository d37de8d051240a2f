// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// TestCephData follows data on attached images through every operation, mapped by
// the kernel and by rbd-nbd, on the cluster of tools/test-ceph.sh.
func TestCephData(t *testing.T) {
	need(t)
	for _, c := range []struct{ name, pool, conf, device string }{
		{"krbd", "volumes", "cluster/ceph.conf", "/dev/rbd"},
		{"rbd-nbd", "journaled", "journaled.conf", "/dev/nbd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := openWith(t.Context(), t.TempDir(), cinderlib.Options{
				"volume_backend_name": c.name, "volume_driver": "rbd", "rbd_user": "cinder", "rbd_pool": c.pool,
				"rbd_ceph_conf": "/mnt/ceph/" + c.conf, "rbd_keyring_conf": "/mnt/ceph/cluster/ceph.client.cinder.keyring",
				"rbd_max_clone_depth": 1,
			})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, w.lib.Close(context.WithoutCancel(t.Context()))) })
			w.followData(t, c.device)
			w.empty(t)
			maps, err := filepath.Glob("/sys/bus/rbd/devices/*")
			require.NoError(t, err)
			assert.Empty(t, maps)
		})
	}
}

func (w *world) followData(t *testing.T, device string) {
	t.Helper()
	ctx := t.Context()
	const bytes = 32 * mib
	v := w.create(t)
	c := w.attach(t, v)
	require.True(t, strings.HasPrefix(c.Path(), device), c.Path())
	first, err := write(c.Path(), 1, bytes, nil)
	require.NoError(t, err)
	snap, err := v.CreateSnapshot(ctx)
	require.NoError(t, err)
	second, err := write(c.Path(), 2, bytes, nil)
	require.NoError(t, err)
	clone, err := v.Clone(ctx)
	require.NoError(t, err)
	flat, err := clone.Clone(ctx) // the chain is too long: its data is its own
	require.NoError(t, err)
	size, err := v.Extend(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, int64(2*drivers.GiB), size, "extended online")
	assert.Equal(t, second, checksum(t, c.Path(), bytes), "after extending")
	third, err := write(c.Path(), 3, bytes, nil)
	require.NoError(t, err)
	require.NoError(t, v.Detach(ctx))

	old, err := snap.CreateVolume(ctx)
	require.NoError(t, err)
	assert.Equal(t, first, w.contentOf(t, old, bytes), "the volume from the snapshot")
	assert.Equal(t, second, w.contentOf(t, clone, bytes), "the clone")
	assert.Equal(t, second, w.contentOf(t, flat, bytes), "the clone with data of its own")
	assert.Equal(t, third, w.contentOf(t, v, bytes), "the volume")
	require.NoError(t, v.Revert(ctx, snap))
	assert.Equal(t, first, w.contentOf(t, v, bytes), "the volume, reverted")
	require.NoError(t, old.Delete(ctx))
	require.NoError(t, snap.Delete(ctx))
	require.NoError(t, v.Delete(ctx))
	assert.Equal(t, second, w.contentOf(t, clone, bytes), "the clone of a volume that is deleted")
	require.NoError(t, clone.Delete(ctx))
	assert.Equal(t, second, w.contentOf(t, flat, bytes), "what was copied")
}
