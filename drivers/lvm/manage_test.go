// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

func TestManageRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(thinly())
	own, v := r.created(d, 1), volume(1)
	s := r.snapped(d, own)
	r.foreign("large", gibs(2), linear)
	r.foreign("root", gibs(1), linear)
	r.foreign("half", gibs(1), linear).tags = []string{copying}
	before := r.names()
	for ref, want := range map[string]error{
		"":                       drivers.ErrInvalid,
		"-x":                     drivers.ErrInvalid,
		"a/b":                    drivers.ErrInvalid,
		`x" || lv_name="root`:    drivers.ErrInvalid,
		"none":                   drivers.ErrNotFound,
		poolName:                 drivers.ErrInvalid,
		snapName(s):              drivers.ErrInvalid,
		"large":                  drivers.ErrInvalid,
		"half":                   drivers.ErrInvalid,
		own.NameOnArray():        drivers.ErrExists,
		clonePrefix + own.ID:     drivers.ErrNotFound,
		"volume-" + volume(1).ID: drivers.ErrExists,
	} {
		_, err := d.ManageVolume(t.Context(), v, ref)
		require.ErrorIs(t, err, want, "%q", ref)
		require.ErrorContains(t, err, "lvm: manage ", ref)
		assert.Equal(t, before, r.names())
	}
	_, err := d.ManageVolume(t.Context(), own, "root")
	require.ErrorIs(t, err, drivers.ErrExists, "the volume is there, and root is not it")
	_, err = d.ManageVolume(t.Context(), &drivers.Volume{ID: "x", Size: 1 << 30}, "root")
	require.ErrorIs(t, err, drivers.ErrInvalid, "more than extents can be numbered")
	_, err = d.ManageVolume(t.Context(), &drivers.Volume{ID: own.ID, Size: 1}, own.NameOnArray())
	require.NoError(t, err, "its own volume")
}

func TestList(t *testing.T) {
	t.Parallel()
	r := newRig(t, 51200)
	thinDriver, d := r.open(thinly()), r.open(thick())
	v := r.created(thinDriver, 1)
	r.snapped(thinDriver, v)
	r.foreign("b-open", gibs(1), linear).open = 1
	r.foreign("c-half", gibs(1), linear).tags = []string{copying, "other"}
	r.foreign("d-origin", gibs(1), linear)
	r.foreign("e-plain", 64<<20, linear)
	require.NoError(t, d.snapshot(t.Context(), "d-snapshot", "d-origin"))
	require.NoError(t, d.snapshot(t.Context(), clonePrefix+"1", "d-origin"))
	r.foreign(revertPrefix+"1", gibs(1), thinLV)
	r.set(func() { r.lvs["d-origin"].open = 1 })
	require.NoError(t, d.change(t.Context(), "lvconvert", "--merge", "-b", groupName+"/d-snapshot"))
	r.set(func() { r.lvs["d-origin"].open = 0 })
	list, err := d.ListVolumes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []drivers.ExistingVolume{
		{Reference: "b-open", SizeBytes: gibs(1), NotSafe: "volume in use"},
		{Reference: "c-half", SizeBytes: gibs(1), NotSafe: "its content was not copied to the end"},
		{Reference: "d-origin", SizeBytes: gibs(1), NotSafe: "a snapshot is being merged into it"},
		{Reference: "e-plain", SizeBytes: 64 << 20},
		{Reference: v.NameOnArray(), VolumeID: v.ID, SizeBytes: gibs(1)},
	}, list)
	r.set(func() { r.missing = true })
	_, err = d.ListVolumes(t.Context())
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	require.ErrorIs(t, d.UnmanageVolume(t.Context(), &drivers.Volume{ID: "a/b"}), drivers.ErrInvalid)
}

// A volume that content was being copied to when the process died is none, to
// anybody, until the copy is made again; and it is not overwritten by a volume
// that shall be empty.
func TestHalfCopied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(thick())
	src, v := r.created(d, 1), volume(1)
	_, err := d.make(t.Context(), v.NameOnArray(), 1, copying)
	require.NoError(t, err)
	_, err = d.InspectVolume(t.Context(), v)
	require.ErrorIs(t, err, drivers.ErrNotFound)
	_, err = d.CreateVolume(t.Context(), v)
	require.ErrorIs(t, err, drivers.ErrExists)
	r.write(src.NameOnArray(), "content", 0)
	_, err = d.CloneVolume(t.Context(), v, src)
	require.NoError(t, err)
	assert.Equal(t, "content", r.read(v.NameOnArray(), 7, 0))
	_, err = d.InspectVolume(t.Context(), v)
	require.NoError(t, err)
}

// The name is another's.
func TestExists(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, isThin bool) {
		r := newRig(t)
		d := r.open(o)
		a, b := r.created(d, 1), r.created(d, 1)
		s := r.snapped(d, a)
		_, err := d.CreateSnapshot(t.Context(), s, b)
		require.ErrorIs(t, err, drivers.ErrExists, "a snapshot of another volume")
		other := volume(2)
		other.ID = b.ID
		_, err = d.CreateVolume(t.Context(), other)
		require.ErrorIs(t, err, drivers.ErrExists)
		if isThin {
			_, err = d.CloneVolume(t.Context(), b, a)
			require.ErrorIs(t, err, drivers.ErrExists, "a volume that is no clone of it")
			_, err = d.CloneVolume(t.Context(), b, volume(1))
			require.Error(t, err)
		}
		assert.ElementsMatch(t, []string{snapName(s), a.NameOnArray(), b.NameOnArray()}, r.names())
	})
}

// A thin driver finds thick volumes, of the time before or taken over.
func TestThickInThin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(thinly())
	r.foreign("root", gibs(1), linear)
	v := volume(1)
	_, err := d.ManageVolume(t.Context(), v, "root")
	require.NoError(t, err)
	r.write(v.NameOnArray(), "content", 0)
	s := r.snapped(d, v)
	assert.Equal(t, cowMost(256), r.lv(snapName(s)).extents)
	clone, from := volume(2), volume(2)
	for range 2 {
		_, err = d.CloneVolume(t.Context(), clone, v)
		require.NoError(t, err)
		_, err = d.VolumeFromSnapshot(t.Context(), from, s, v)
		require.NoError(t, err)
	}
	for _, n := range []*drivers.Volume{clone, from} {
		assert.Equal(t, thinLV, r.lv(n.NameOnArray()).kind)
		assert.Equal(t, "content", r.read(n.NameOnArray(), 7, 0))
		assert.Empty(t, r.lv(n.NameOnArray()).tags)
		require.NoError(t, d.DeleteVolume(t.Context(), n))
	}
	require.ErrorIs(t, d.DeleteVolume(t.Context(), v), drivers.ErrHasDependents)
	r.write(v.NameOnArray(), "another", 0)
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
	assert.Equal(t, "content", r.read(v.NameOnArray(), 7, 0))
	require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
	require.NoError(t, d.DeleteVolume(t.Context(), v))
	assert.Empty(t, r.names())
	assert.Empty(t, r.leaked)
}

// A snapshot that has not room for every block of its volume is not made: it
// would overflow, and be lost.
func TestNoRoomForSnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t, 256+257)
	d := r.open(thick())
	v := r.created(d, 1)
	_, err := d.CreateSnapshot(t.Context(), snapshotOf(v), v)
	require.ErrorIs(t, err, drivers.ErrExhausted)
	assert.Equal(t, []string{v.NameOnArray()}, r.names())
	r.devices = []int64{256 + 258}
	s := r.snapped(d, v)
	err = d.ExtendVolume(t.Context(), v, 2)
	require.ErrorIs(t, err, drivers.ErrExhausted, "the snapshot needs room too")
	assert.Equal(t, gibs(1), r.lv(v.NameOnArray()).bytes())
	assert.True(t, r.lv(v.NameOnArray()).active)
	r.devices = []int64{4096}
	require.NoError(t, d.ExtendVolume(t.Context(), v, 2))
	assert.Equal(t, cowMost(512), r.lv(snapName(s)).extents)
	require.ErrorIs(t, d.ExtendVolume(t.Context(), v, 1), drivers.ErrInvalid)
	r.set(func() { r.lvs[v.NameOnArray()].open = 1 })
	require.ErrorIs(t, d.ExtendVolume(t.Context(), v, 3), drivers.ErrInUse)
}
