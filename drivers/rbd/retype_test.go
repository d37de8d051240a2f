// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func TestRetype(t *testing.T) { t.Parallel(); retype(t, fakePlace(t, true)) }

func TestCephRetype(t *testing.T) { retype(t, realPlace(t)) }

// retype: an image has the limits of its volume's type, and no others.
func retype(t *testing.T, at place) {
	t.Helper()
	ctx := t.Context()
	w, err := at.world(ctx, t.TempDir(), verb{})
	require.NoError(t, err)
	qos := func(specs map[string]string) cinderlib.TypeOption { return cinderlib.WithQoSSpecs(specs) }
	v, err := w.Backend.CreateVolume(ctx, 1, qos(map[string]string{"total_iops_sec": "100", "read_bytes_sec_max": "9"}))
	require.NoError(t, err)
	metadataOf := func(v *cinderlib.Volume) (all map[string]string) {
		require.NoError(t, with(ctx, at.pool, v.NameOnArray(), toRead, func(img ceph.Image) error {
			all, err = img.Metadata(ctx)
			return err
		}))
		return all
	}
	metadata := func() map[string]string { return metadataOf(v) }
	assert.Equal(t, map[string]string{"conf_rbd_qos_iops_limit": "100", "conf_rbd_qos_read_bps_burst": "9"}, metadata())
	require.NoError(t, with(ctx, at.pool, v.NameOnArray(), toWrite, func(img ceph.Image) error {
		return img.SetMetadata(ctx, "somebody", "else's")
	}))
	require.NoError(t, v.Retype(ctx, qos(map[string]string{"total_iops_sec": "200", "write_iops_sec": "7", "of_the_hypervisor": "x"})))
	assert.Equal(t, map[string]string{
		"somebody": "else's", "conf_rbd_qos_iops_limit": "200", "conf_rbd_qos_write_iops_limit": "7",
	}, metadata())
	require.ErrorIs(t, v.Retype(ctx, qos(map[string]string{"total_iops_sec": "many"})), cinderlib.ErrInvalid)
	require.ErrorIs(t, v.Retype(ctx, cinderlib.WithExtraSpecs(map[string]string{"multiattach": "<is> True"})), errors.ErrUnsupported)
	assert.Equal(t, "200", v.QoSSpecs()["total_iops_sec"])
	assert.Equal(t, "available", v.Status())
	// Ceph gives a clone all that its source has.
	clone, err := v.Clone(ctx, qos(map[string]string{"read_iops_sec": "5"}))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"somebody": "else's", "conf_rbd_qos_read_iops_limit": "5"}, metadataOf(clone))
	require.NoError(t, clone.Delete(ctx))
	clone, err = v.Clone(ctx, qos(nil))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"somebody": "else's"}, metadataOf(clone))
	require.NoError(t, clone.Delete(ctx))
	require.NoError(t, v.Retype(ctx, qos(nil)))
	assert.Equal(t, map[string]string{"somebody": "else's"}, metadata())
	require.NoError(t, v.Delete(ctx))
	require.NoError(t, w.Lib.Close(ctx))
}
