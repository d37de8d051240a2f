// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// createVolume makes a volume as all tests use it.
func (b *backend) createVolume(t *testing.T, size int) *cinderlib.Volume {
	t.Helper()
	opts := []cinderlib.CreateOption{cinderlib.WithName(b.ID())}
	if b.suite.pool != "" {
		opts = append(opts, cinderlib.WithPool(b.suite.pool))
	}
	v, err := b.CreateVolume(t.Context(), size, opts...)
	require.NoError(t, err)
	assert.Equal(t, drivers.StatusAvailable, v.Status())
	assert.Equal(t, size, v.Size())
	assert.Equal(t, b.ID(), v.Name())
	assert.Contains(t, b.volumes(t), v)
	return v
}

func (b *backend) volumes(t *testing.T) []*cinderlib.Volume {
	t.Helper()
	volumes, err := b.Volumes(t.Context())
	require.NoError(t, err)
	return volumes
}

func testCreateVolume(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.assertSize(t, 1, b.volumeSize(t, v))
}

func testCreateDeleteVolume(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	// Once more: a driver takes what is gone for deleted.
	for range 2 {
		require.NoError(t, v.Delete(t.Context()))
		assert.Equal(t, drivers.StatusDeleted, v.Status())
		assert.True(t, v.Deleted())
		assert.NotContains(t, b.volumes(t), v)
		_, err := b.suite.lib.VolumeByID(t.Context(), v.ID())
		require.ErrorIs(t, err, cinderlib.ErrNotFound)
	}
}

func testExtend(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.assertSize(t, 1, b.volumeSize(t, v))
	// Through another handle, as another program would.
	other, err := b.suite.lib.VolumeByID(t.Context(), v.ID())
	require.NoError(t, err)
	_, err = other.Extend(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, 2, other.Size())
	require.NoError(t, v.Refresh(t.Context()))
	assert.Equal(t, 2, v.Size())
	assert.Equal(t, drivers.StatusAvailable, v.Status())
	b.assertSize(t, 2, b.volumeSize(t, v))
}

func testExtendAttached(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.attach(t, v)
	b.assertSize(t, 1, deviceSize(t, c.Path()))
	bytes, err := v.Extend(t.Context(), 2)
	skipUnsupported(t, err)
	b.needPermission(t, err)
	require.NoError(t, err)
	assert.Equal(t, 2, v.Size())
	assert.Equal(t, drivers.StatusInUse, v.Status())
	b.assertSize(t, 2, bytes)
	b.assertSize(t, 2, deviceSize(t, c.Path()))
	b.detach(t, v)
}

func testClone(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.attach(t, v)
	size := deviceSize(t, c.Path())
	b.device(c).write(t, size, data)
	b.detach(t, v)

	clone, err := v.Clone(t.Context())
	require.NoError(t, err)
	assert.Equal(t, drivers.StatusAvailable, clone.Status())
	assert.Equal(t, v.Size(), clone.Size())
	assert.Equal(t, v.ID(), clone.Info().SourceVolumeID)
	assert.Contains(t, b.volumes(t), clone)
	c = b.attach(t, clone)
	assert.Equal(t, size, deviceSize(t, c.Path()))
	assert.Equal(t, data, b.device(c).read(t, size))
	b.detach(t, clone)
}

func testManageUnmanage(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	require.NoError(t, v.Unmanage(t.Context()))
	reference := b.reference(t, v.ID(), "")
	managed := false
	t.Cleanup(func() { // before that of all tests, which removes it then
		if !managed {
			_, err := b.ManageVolume(t.Context(), reference)
			assert.NoError(t, err)
		}
	})
	assert.NotContains(t, b.volumes(t), v)
	_, err := b.suite.lib.VolumeByID(t.Context(), v.ID())
	require.ErrorIs(t, err, cinderlib.ErrNotFound)

	again, err := b.ManageVolume(t.Context(), reference, cinderlib.WithName("taken over"))
	require.NoError(t, err)
	managed = true
	assert.Equal(t, drivers.StatusAvailable, again.Status())
	assert.Equal(t, "taken over", again.Name())
	assert.Equal(t, v.Size(), again.Size())
	assert.Contains(t, b.volumes(t), again)
	reference = b.reference(t, again.ID(), "already managed")
	_, err = b.ManageVolume(t.Context(), reference)
	require.ErrorIs(t, err, cinderlib.ErrPrecondition)
	assert.Equal(t, data, b.read(t, again))
}

// reference finds a volume among those that the array lists, which must say
// notSafe of it.
func (b *backend) reference(t *testing.T, id, notSafe string) string {
	t.Helper()
	list, err := b.ManageableVolumes(t.Context())
	require.NoError(t, err)
	at := slices.IndexFunc(list, func(e drivers.ExistingVolume) bool { return e.VolumeID == id })
	require.GreaterOrEqual(t, at, 0, "the array does not list volume %s", id)
	assert.Equal(t, notSafe, list[at].NotSafe)
	b.assertSize(t, 1, list[at].SizeBytes)
	return list[at].Reference
}

// testRetype gives a volume a spec that no driver knows, and takes it away.
func testRetype(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	for _, specs := range []map[string]string{{"functional": "one"}, {"functional": "two"}, {}} {
		require.NoError(t, v.Retype(t.Context(), cinderlib.WithExtraSpecs(specs)))
		assert.Equal(t, specs, v.ExtraSpecs())
		stored, err := b.suite.lib.VolumeByID(t.Context(), v.ID())
		require.NoError(t, err)
		assert.Equal(t, specs, stored.ExtraSpecs())
		assert.Equal(t, drivers.StatusAvailable, stored.Status())
	}
}
