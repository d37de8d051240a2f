// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"errors"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

// isAny tells whether err is a case of one of the sentinels.
func isAny(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

func testSnapshot(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapshot(v)
	first, err := s.CreateSnapshot(s.Context(), snap, v)
	require.NoError(s, err)
	second := s.open()
	for _, c := range []calls{s.calls, second} {
		u, err := c.CreateSnapshot(s.Context(), snap, v)
		require.NoError(s, err, "a snapshot that is there is taken as made")
		s.assertSame(snapAvailable(snap, first), snapAvailable(snap, u), "the update of a repeated CreateSnapshot says the same")
	}
	stored := snapAvailable(snap, first)
	s.fill(v, 2)
	later := s.snapped(v)

	n := s.volume(1)
	n.SnapshotID = snap.ID
	u, err := s.VolumeFromSnapshot(s.Context(), n, stored, v)
	require.NoError(s, err)
	made := available(n, u)
	s.requireSize(made, 1)
	s.requireFilled(made, 1, 1)
	for _, c := range []calls{s.calls, second} {
		u, err := c.VolumeFromSnapshot(s.Context(), n, stored, v)
		require.NoError(s, err, "a volume that is there is taken as made")
		s.assertSame(made, available(n, u), "the update of a repeated VolumeFromSnapshot says the same")
	}
	s.fill(made, 3)
	again := s.restored(stored, v)
	s.requireFilled(again, 1, 1)
	s.requireFilled(v, 1, 2)
	newer := s.restored(later, v)
	s.requireFilled(newer, 1, 2)
}

func testSnapshotLarger(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapped(v)
	n := s.volume(3)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.VolumeFromSnapshot(s.Context(), n, snap, v)
		require.NoError(s, err)
		s.requireSize(available(n, u), 3)
		s.requireFilled(available(n, u), 1, 1)
	}
	// A snapshot keeps the size that its volume had.
	require.NoError(s, s.ExtendVolume(s.Context(), v, 2))
	grown := v.Clone()
	grown.Size = 2
	s.fill(grown, 2)
	small := s.volume(1)
	u, err := s.VolumeFromSnapshot(s.Context(), small, snap, grown)
	require.NoError(s, err)
	s.requireSize(small, 1)
	s.requireFilled(available(small, u), 1, 1)
}

// An array freezes a connected volume, or says that it cannot.
func testSnapshotConnected(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	inUse, info, undo := s.connected(v)
	snap, n := s.snapshot(v), s.volume(1)
	su, err := s.CreateSnapshot(s.Context(), snap, inUse)
	if err != nil {
		require.ErrorIs(s, err, drivers.ErrInUse, "a snapshot that the array cannot make")
	}
	made := err == nil
	u, err := s.CloneVolume(s.Context(), n, inUse)
	if err != nil {
		require.ErrorIs(s, err, drivers.ErrInUse, "a clone that the array cannot make")
		s.requireGone(n)
	}
	cloned := err == nil
	if s.hasData() {
		s.reach(info, func(d Data) { s.write(d, 1, 2) })
	}
	undo()
	if cloned {
		s.requireFilled(available(n, u), 1, 1)
	}
	if !made {
		s.requireSnapshotGone(snap, v)
		return
	}
	s.requireFilled(s.restored(snapAvailable(snap, su), v), 1, 1)
}

func testSnapshotDelete(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	snap, stays := s.snapped(v), s.snapped(v)
	second := s.open()
	for _, c := range []calls{s.calls, s.calls, second} {
		require.NoError(s, c.DeleteSnapshot(s.Context(), snap, v), "deleting what is gone is success")
	}
	require.NoError(s, s.DeleteSnapshot(s.Context(), s.snapshot(v), v), "deleting what never was is success")
	s.requireSnapshotGone(snap, v)
	n := s.restored(stays, v)
	s.requireFilled(n, 1, 1)
	s.requireFilled(v, 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), n))
	require.NoError(s, s.DeleteSnapshot(s.Context(), stays, v))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
	require.NoError(s, s.DeleteSnapshot(s.Context(), stays, v), "also with the volume gone")
}

// What others need is refused and stays whole, or goes without hurting them.
func testDependents(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapped(v)
	fromSnap, fromVolume := s.restored(snap, v), s.cloned(v)

	refused := func(what string, err error) bool {
		if err == nil {
			return false
		}
		require.True(s, isAny(err, drivers.ErrHasDependents, drivers.ErrPrecondition), "%s: %v", what, err)
		return true
	}
	// The volume, with a snapshot and a clone.
	if refused("DeleteVolume with dependents", s.DeleteVolume(s.Context(), v)) {
		s.requireSize(v, 1)
		s.requireFilled(v, 1, 1)
	} else {
		s.requireGone(v)
	}
	n := s.restored(snap, v) // which is whole
	s.requireFilled(n, 1, 1)
	s.requireFilled(fromVolume, 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), n))

	// The snapshot, with a volume made from it.
	kept := refused("DeleteSnapshot with dependents", s.DeleteSnapshot(s.Context(), snap, v))
	s.requireFilled(fromSnap, 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), fromSnap))
	if kept {
		require.NoError(s, s.DeleteSnapshot(s.Context(), snap, v), "nothing needs it any more")
	}
	s.requireFilled(fromVolume, 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), fromVolume))
	require.NoError(s, s.DeleteVolume(s.Context(), v), "nothing needs it any more")
	for _, gone := range []*drivers.Volume{v, fromSnap, fromVolume} {
		s.requireGone(gone)
	}
}
