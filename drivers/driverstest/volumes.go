// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"encoding/json"
	"math"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

func testStats(s *suite) {
	for range 2 {
		st, err := s.Stats(s.Context())
		require.NoError(s, err)
		assert.NotEmpty(s, st.BackendName, "BackendName")
		assert.NotEmpty(s, st.VendorName, "VendorName")
		assert.NotEmpty(s, st.DriverVersion, "DriverVersion")
		assert.NotEmpty(s, st.StorageProtocol, "StorageProtocol")
		names := map[string]bool{}
		for _, p := range st.Pools {
			assert.NotEmpty(s, p.Name, "a pool's name")
			assert.False(s, names[p.Name], "two pools called %s", p.Name)
			names[p.Name] = true
			assert.True(s, p.Total.IsUnknown() || p.Total > 0, "pool %s: Total is %v; say Unknown if it is", p.Name, p.Total)
			assert.True(s, p.Free.IsUnknown() || p.Free >= 0, "pool %s: Free is %v", p.Name, p.Free)
			if p.Free > p.Total { // which what is Unknown is not
				s.Errorf("pool %s: Free %v is more than Total %v", p.Name, p.Free, p.Total)
			}
			assert.True(s, p.ThinProvisioning || p.ThickProvisioning, "pool %s is neither thin nor thick", p.Name)
			assert.True(s, p.ReservedPercentage >= 0 && p.ReservedPercentage <= 100, "pool %s: ReservedPercentage is %d", p.Name, p.ReservedPercentage)
			assert.GreaterOrEqual(s, p.TotalVolumes, 0)
			if p.ThinProvisioning {
				assert.GreaterOrEqual(s, p.MaxOverSubscription, 1.0, "pool %s: a thin pool has MaxOverSubscription", p.Name)
			}
		}
		_, err = json.Marshal(st.Map())
		require.NoError(s, err, "statistics can be written as JSON")
		s.created(1)
	}
}

// What was made is found, by another process too, and can be made again as long
// as the first answer has not come.
func testCreate(s *suite) {
	v := s.volume(1)
	s.requireGone(v)
	first, err := s.CreateVolume(s.Context(), v)
	require.NoError(s, err)
	s.requireSize(v, 1)
	s.requireSize(available(v, first), 1)

	second := s.open()
	for _, c := range []calls{s.calls, second, second} {
		u, err := c.CreateVolume(s.Context(), v)
		require.NoError(s, err, "a volume that is there is taken as made")
		again := available(v, u)
		s.requireSize(again, 1)
		s.assertSame(available(v, first), again, "the update of a repeated CreateVolume says the same")
	}
	large := s.created(3)
	s.requireSize(large, 3)
	s.requireSize(v, 1)
}

// What is written is there, for another process too, and only where it was
// written. Whether a new volume is empty is the array's affair.
func testContent(s *suite) {
	s.needData()
	v, other := s.created(1), s.created(2)
	s.fill(v, 1)
	s.fill(other, 2)
	for _, c := range []calls{s.calls, s.open()} {
		s.calls = c
		s.requireFilled(v, 1, 1)
		s.requireFilled(other, 2, 2)
	}
}

func testCreateOtherSize(s *suite) {
	v := s.created(2)
	for _, size := range []int{1, 3} {
		other := s.volumeOf(v.ID, size)
		_, err := s.CreateVolume(s.Context(), other)
		require.ErrorIs(s, err, drivers.ErrExists, "%d GiB under the id of a volume of 2 GiB", size)
		s.requireSize(v, 2)
	}
}

// What is too large is refused as such, and leaves nothing; an array may also
// believe that it has that much.
func testCreateHuge(s *suite) {
	v := s.volume(math.MaxInt32) // the largest that the library lets through, 2 EiB
	u, err := s.CreateVolume(s.Context(), v)
	if err == nil {
		require.NoError(s, s.DeleteVolume(s.Context(), available(v, u)))
	}
	if err != nil {
		assert.True(s, isAny(err, drivers.ErrExhausted, drivers.ErrInvalid), "2 EiB are ErrExhausted or ErrInvalid, not: %v", err)
	}
	s.requireGone(v)
	require.NoError(s, s.DeleteVolume(s.Context(), v))

	small := s.created(1)
	if err := s.ExtendVolume(s.Context(), small, math.MaxInt32); err != nil {
		assert.True(s, isAny(err, drivers.ErrExhausted, drivers.ErrInvalid), "2 EiB are ErrExhausted or ErrInvalid, not: %v", err)
		s.requireSize(small, 1)
	}
	require.NoError(s, s.DeleteVolume(s.Context(), small))
}

func testDelete(s *suite) {
	stays := s.created(1)
	s.fill(stays, 1)
	v := s.created(1)
	for range 3 {
		require.NoError(s, s.DeleteVolume(s.Context(), v), "deleting what is gone is success")
		s.requireGone(v)
	}
	require.NoError(s, s.open().DeleteVolume(s.Context(), v))
	require.NoError(s, s.DeleteVolume(s.Context(), s.volume(1)), "deleting what never was is success")
	s.requireSize(stays, 1)
	s.requireFilled(stays, 1, 1)

	u, err := s.CreateVolume(s.Context(), v)
	require.NoError(s, err, "the id can be used again")
	s.requireSize(v, 1)
	if s.hasData() {
		s.fill(available(v, u), 2)
		s.requireFilled(available(v, u), 1, 2)
	}
}

// The update of the call that made an object was never stored.
func testDeleteWithoutUpdate(s *suite) {
	src := s.created(1)
	snap := s.snapped(src)
	second := s.open()

	created, cloned, restored := s.volume(1), s.volume(1), s.volume(1)
	_, err := s.CreateVolume(s.Context(), created)
	require.NoError(s, err)
	_, err = s.CloneVolume(s.Context(), cloned, src)
	require.NoError(s, err)
	_, err = s.VolumeFromSnapshot(s.Context(), restored, snap, src)
	require.NoError(s, err)
	for _, v := range []*drivers.Volume{created, cloned, restored} {
		s.requireSize(v, 1)
		require.NoError(s, second.DeleteVolume(s.Context(), v))
		s.requireGone(v)
	}
	lost := s.snapshot(src)
	_, err = s.CreateSnapshot(s.Context(), lost, src)
	require.NoError(s, err)
	require.NoError(s, second.DeleteSnapshot(s.Context(), lost, src))
	s.requireSnapshotGone(lost, src)
}

func testExtend(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	second := s.open()
	extending := with(v, drivers.StatusExtending)
	for _, c := range []calls{s.calls, s.calls, second} {
		require.NoError(s, c.ExtendVolume(s.Context(), extending, 3), "a volume that has the size is success")
		s.requireSize(v, 3)
	}
	grown := v.Clone()
	grown.Size = 3
	s.requireFilled(grown, 1, 1)
	require.NoError(s, s.ExtendVolume(s.Context(), with(grown, drivers.StatusExtending), 4))
	s.requireSize(grown, 4)
	require.NoError(s, s.DeleteVolume(s.Context(), v), "also with a record that does not know of the growth")
	s.requireGone(grown)
}

// The record says 1 GiB, because the answer to growing to 3 was lost; 2 GiB is
// then a growth for the library, and must not become a loss.
func testExtendNeverShrinks(s *suite) {
	v := s.created(1)
	require.NoError(s, s.ExtendVolume(s.Context(), v, 3))
	_ = s.ExtendVolume(s.Context(), v, 2)
	s.requireSize(v, 3)
}

func testExtendConnected(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	inUse, info, undo := s.connected(v)
	err := s.ExtendVolume(s.Context(), with(inUse, drivers.StatusExtending), 2)
	if err != nil {
		require.True(s, isAny(err, drivers.ErrInUse, drivers.ErrPrecondition), "an array that cannot says ErrInUse, not: %v", err)
		s.requireSize(v, 1)
		undo()
		return
	}
	s.requireSize(v, 2)
	if s.hasData() {
		s.reach(info, func(d Data) { s.read(d, 1, 1) })
	}
	undo()
	grown := v.Clone()
	grown.Size = 2
	s.requireFilled(grown, 1, 1)
}

func testClone(s *suite) {
	src := s.created(1)
	s.fill(src, 1)
	v := s.volume(1)
	v.SourceVolumeID = src.ID
	first, err := s.CloneVolume(s.Context(), v, src)
	require.NoError(s, err)
	stored := available(v, first)
	s.requireSize(stored, 1)
	s.requireFilled(stored, 1, 1)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.CloneVolume(s.Context(), v, src)
		require.NoError(s, err, "a clone that is there is taken as made")
		s.assertSame(stored, available(v, u), "the update of a repeated CloneVolume says the same")
		s.requireFilled(stored, 1, 1)
	}
	s.fill(stored, 2)
	s.requireFilled(src, 1, 1)
	s.fill(src, 3)
	s.requireFilled(stored, 1, 2)

	second := s.cloned(stored)
	s.requireFilled(second, 1, 2)
}

func testCloneLarger(s *suite) {
	src := s.created(1)
	s.fill(src, 1)
	v := s.volume(3)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.CloneVolume(s.Context(), v, src)
		require.NoError(s, err)
		stored := available(v, u)
		s.requireSize(stored, 3)
		s.requireFilled(stored, 1, 1)
	}
	s.requireSize(src, 1)
}

// What is not there is ErrNotFound to those who need it, and leaves nothing.
func testUnknown(s *suite) {
	v, none, gone := s.created(1), s.volume(1), s.created(1)
	require.NoError(s, s.DeleteVolume(s.Context(), gone))
	none.Status = drivers.StatusAvailable
	for _, missing := range []*drivers.Volume{none, gone} {
		_, err := s.InspectVolume(s.Context(), missing)
		require.ErrorIs(s, err, drivers.ErrNotFound, "InspectVolume")
		require.ErrorIs(s, s.ExtendVolume(s.Context(), missing, 2), drivers.ErrNotFound, "ExtendVolume")
		n := s.volume(1)
		_, err = s.CloneVolume(s.Context(), n, missing)
		require.ErrorIs(s, err, drivers.ErrNotFound, "CloneVolume")
		s.requireGone(n)
		snap := s.snapshot(missing)
		_, err = s.CreateSnapshot(s.Context(), snap, missing)
		require.ErrorIs(s, err, drivers.ErrNotFound, "CreateSnapshot")
		s.requireSnapshotGone(s.snapshot(v), v)
		_, err = s.Connect(s.Context(), missing, s.attachment(0))
		require.ErrorIs(s, err, drivers.ErrNotFound, "Connect")
		require.NoError(s, s.DeleteSnapshot(s.Context(), snap, missing), "DeleteSnapshot")
		require.NoError(s, s.Disconnect(s.Context(), missing, s.attachment(0)), "Disconnect")
		require.NoError(s, s.Unexport(s.Context(), missing), "Unexport")
		if r, ok := s.d.(drivers.Reverter); ok && r != nil {
			require.ErrorIs(s, s.RevertToSnapshot(s.Context(), v, s.snapshot(v)), drivers.ErrNotFound, "RevertToSnapshot")
		}
	}
	s.requireSize(v, 1)
}
