// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// createSnapshot makes a snapshot as all tests use it.
func createSnapshot(t *testing.T, v *cinderlib.Volume) *cinderlib.Snapshot {
	t.Helper()
	s, err := v.CreateSnapshot(t.Context(), cinderlib.WithName(v.ID()))
	require.NoError(t, err)
	assert.Equal(t, drivers.StatusAvailable, s.Status())
	assert.Equal(t, v.Size(), s.VolumeSize())
	assert.Equal(t, v.ID(), s.Name())
	assert.Contains(t, snapshots(t, v), s)
	return s
}

func snapshots(t *testing.T, v *cinderlib.Volume) []*cinderlib.Snapshot {
	t.Helper()
	list, err := v.Snapshots(t.Context())
	require.NoError(t, err)
	return list
}

func testCreateSnapshot(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	s := createSnapshot(t, v)
	of, err := s.Volume(t.Context())
	require.NoError(t, err)
	assert.Same(t, v, of)
}

func testCreateDeleteSnapshot(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	s := createSnapshot(t, v)
	require.ErrorIs(t, v.Delete(t.Context()), cinderlib.ErrHasSnapshots)
	// Once more: a driver takes what is gone for deleted.
	for range 2 {
		require.NoError(t, s.Delete(t.Context()))
		assert.Equal(t, drivers.StatusDeleted, s.Status())
		assert.True(t, s.Deleted())
		assert.NotContains(t, snapshots(t, v), s)
		_, err := b.suite.lib.SnapshotByID(t.Context(), s.ID())
		require.ErrorIs(t, err, cinderlib.ErrNotFound)
	}
}

// frozen makes a volume with data, a snapshot of it, and then other data.
func (b *backend) frozen(t *testing.T) (*cinderlib.Volume, *cinderlib.Snapshot) {
	t.Helper()
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	s := createSnapshot(t, v)
	b.write(t, v, otherData)
	return v, s
}

func testCreateVolumeFromSnapshot(t *testing.T, b *backend) {
	v, s := b.frozen(t)
	size := b.volumeSize(t, v)
	made, err := s.CreateVolume(t.Context())
	require.NoError(t, err)
	assert.Equal(t, drivers.StatusAvailable, made.Status())
	assert.Equal(t, v.Size(), made.Size())
	assert.Equal(t, s.ID(), made.Info().SnapshotID)
	assert.Contains(t, b.volumes(t), made)
	assert.Equal(t, size, b.volumeSize(t, made))
	assert.Equal(t, data, b.read(t, made))
	assert.Equal(t, otherData, b.read(t, v), "the source")
}

func testRevertToSnapshot(t *testing.T, b *backend) {
	v, s := b.frozen(t)
	require.NoError(t, v.Revert(t.Context(), s))
	assert.Equal(t, drivers.StatusAvailable, v.Status())
	assert.Equal(t, drivers.StatusAvailable, s.Status())
	assert.Contains(t, snapshots(t, v), s)
	assert.Equal(t, data, b.read(t, v))
	b.assertSize(t, 1, b.volumeSize(t, v))
}
