// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"slices"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

// needReverter ends a test of a driver that does not claim to revert. One that
// claims it and then refuses fails the test.
func (s *suite) needReverter() {
	s.Helper()
	if !drivers.CapabilitiesOf(s.d).Revert {
		s.Skip("the driver is no drivers.Reverter")
	}
}

func (s *suite) needRetyper() {
	s.Helper()
	if !drivers.CapabilitiesOf(s.d).Retype {
		s.Skip("the driver is no drivers.Retyper")
	}
}

func (s *suite) needManager() {
	s.Helper()
	if !drivers.CapabilitiesOf(s.d).Manage {
		s.Skip("the driver is no drivers.Manager")
	}
}

func testRevert(s *suite) {
	s.needReverter()
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapped(v)
	s.fill(v, 2)
	later := s.snapped(v)
	s.fill(v, 3)
	reverting := with(v, drivers.StatusReverting)
	restoring := snap.Clone()
	restoring.Status = drivers.StatusRestoring
	for _, c := range []calls{s.calls, s.calls, s.open()} {
		require.NoError(s, c.RevertToSnapshot(s.Context(), reverting, restoring))
		s.requireSize(v, 1)
		s.requireFilled(v, 1, 1)
	}
	s.fill(v, 4)
	for i, of := range []*drivers.Snapshot{snap, later} {
		n := s.restored(of, v)
		s.requireFilled(n, 1, uint64(i+1))
		require.NoError(s, s.DeleteVolume(s.Context(), n))
	}
	s.requireFilled(v, 1, 4)
	require.NoError(s, s.DeleteSnapshot(s.Context(), later, v))
	require.NoError(s, s.DeleteSnapshot(s.Context(), snap, v))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
}

// A volume that has grown since may come back with either size.
func testRevertGrown(s *suite) {
	s.needReverter()
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapped(v)
	require.NoError(s, s.ExtendVolume(s.Context(), v, 2))
	v.Size = 2
	s.fill(v, 2)
	require.NoError(s, s.RevertToSnapshot(s.Context(), with(v, drivers.StatusReverting), snap))
	state, err := s.InspectVolume(s.Context(), v)
	require.NoError(s, err)
	require.Contains(s, []int64{s.bytes(1), s.bytes(2)}, state.SizeBytes)
	require.NoError(s, s.ExtendVolume(s.Context(), v, 2))
	s.requireSize(v, 2)
	if s.hasData() {
		s.use(v, func(d Data) { s.read(d, 1, 1) })
	}
}

// A volume has a type that no driver knows anything of, another one, and none, as often
// as it takes.
func testRetype(s *suite) {
	s.needRetyper()
	v := s.created(1)
	s.fill(v, 1)
	typed := func(specs map[string]string) *drivers.VolumeType {
		return &drivers.VolumeType{ID: v.ID, Name: v.ID, IsPublic: true, ExtraSpecs: specs}
	}
	for _, t := range []*drivers.VolumeType{typed(map[string]string{"driverstest": "one"}), typed(map[string]string{"driverstest": "two"}), nil} {
		for _, c := range []calls{s.calls, s.calls, s.open()} {
			u, err := c.RetypeVolume(s.Context(), with(v, drivers.StatusRetyping), t)
			require.NoError(s, err)
			stored := available(v, u)
			s.requireSize(stored, 1)
			s.requireFilled(stored, 1, 1)
		}
		if v.VolumeType = t; t != nil {
			v.VolumeTypeID = t.ID
		} else {
			v.VolumeTypeID = ""
		}
	}
	_, err := s.RetypeVolume(s.expired(), v, typed(nil))
	require.True(s, err == nil || ended(err), "cancelled: %v", err)
	none := s.volume(1)
	_, err = s.RetypeVolume(s.Context(), none, typed(map[string]string{"driverstest": "one"}))
	require.ErrorIs(s, err, drivers.ErrNotFound, "RetypeVolume of a volume that is not there")
	s.requireGone(none)
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
}

// listed finds a volume in the list, which must be in order.
func (s *suite) listed(v *drivers.Volume) (drivers.ExistingVolume, []drivers.ExistingVolume) {
	s.Helper()
	list, err := s.ListVolumes(s.Context())
	require.NoError(s, err, "ListVolumes")
	require.True(s, slices.IsSortedFunc(list, func(a, b drivers.ExistingVolume) int {
		if a.Reference < b.Reference {
			return -1
		}
		return 1 // equal ones are out of order too
	}), "the list is in the order of its references, each once")
	i := slices.IndexFunc(list, func(e drivers.ExistingVolume) bool { return e.VolumeID == v.ID })
	require.GreaterOrEqual(s, i, 0, "the list has the volume %s that the library made: %v", v.ID, list)
	return list[i], list
}

func testManage(s *suite) {
	s.needManager()
	v, other := s.created(1), s.created(2)
	s.fill(v, 1)
	entry, before := s.listed(v)
	assert.Equal(s, s.bytes(1), entry.SizeBytes)
	assert.NotEmpty(s, entry.Reference)
	second, _ := s.listed(other)
	assert.Equal(s, s.bytes(2), second.SizeBytes)
	snap := s.snapped(v)
	_, after := s.listed(v)
	assert.Equal(s, before, after, "a snapshot is no volume")
	require.NoError(s, s.DeleteSnapshot(s.Context(), snap, v))

	for range 2 {
		require.NoError(s, s.UnmanageVolume(s.Context(), v), "UnmanageVolume")
	}
	let, list := s.listed(v)
	assert.Len(s, list, len(before), "what was let go stays")
	assert.Empty(s, let.NotSafe, "what was let go may be managed again")
	again := s.volumeOf(v.ID, 1)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.ManageVolume(s.Context(), again, let.Reference)
		require.NoError(s, err, "ManageVolume")
		s.requireSize(again, 1)
		s.requireFilled(available(again, u), 1, 1)
	}
	_, err := s.ManageVolume(s.Context(), s.volume(1), "driverstest-none")
	require.ErrorIs(s, err, drivers.ErrNotFound, "ManageVolume of a reference that does not exist")
	require.NoError(s, s.DeleteVolume(s.Context(), again))
	s.requireGone(v)
	s.requireSize(other, 2)
}

// A volume that the library did not make becomes one of its own.
func testManageForeign(s *suite) {
	s.needManager()
	require.NotNil(s, s.array.Foreign, "the driver is a drivers.Manager: the harness needs Foreign")
	const odd = drivers.GiB + drivers.GiB/2
	ref := s.array.Foreign(s.T, odd)
	list, err := s.ListVolumes(s.Context())
	require.NoError(s, err)
	i := slices.IndexFunc(list, func(e drivers.ExistingVolume) bool { return e.Reference == ref })
	require.GreaterOrEqual(s, i, 0, "the list has %s, which the library did not make: %v", ref, list)
	assert.Empty(s, list[i].VolumeID)
	assert.Empty(s, list[i].NotSafe)
	assert.GreaterOrEqual(s, list[i].SizeBytes, int64(odd))

	v := s.volume(2)
	v.Status = drivers.StatusManaging
	_, err = s.ManageVolume(s.expired(), v, ref)
	assert.True(s, err == nil || ended(err), "cancelled: %v", err)
	u, err := s.ManageVolume(s.Context(), v, ref)
	require.NoError(s, err)
	s.requireSize(v, 2)
	entry, _ := s.listed(v)
	assert.Equal(s, s.bytes(2), entry.SizeBytes)
	stored := available(v, u)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.ManageVolume(s.Context(), v, ref)
		require.NoError(s, err, "a volume that has been taken over already")
		s.assertSame(stored, available(v, u), "the update of a repeated ManageVolume says the same")
	}
	_, err = s.ManageVolume(s.Context(), s.volume(2), ref)
	require.Error(s, err, "a second volume cannot take it over")
	s.fill(stored, 1)
	s.requireFilled(stored, 2, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), stored))
	s.requireGone(v)
}
