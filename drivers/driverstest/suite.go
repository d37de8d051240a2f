// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// suite is one test's view of its array. Calls that it does not name a driver
// for are of the first one.
type suite struct {
	*testing.T
	calls

	h     Harness
	array *Array
	pool  drivers.PoolStats
	name  string // of the backend
}

// open opens a driver and closes it after the test.
func (s *suite) open() calls {
	s.Helper()
	d := s.array.Open(s.T)
	require.NotNil(s, d, "Open gives a driver")
	s.Cleanup(func() { assert.NoError(s, d.Close(), "Close") })
	return calls{t: s.T, d: d}
}

func (s *suite) firstPool() drivers.PoolStats {
	s.Helper()
	st, err := s.Stats(s.Context())
	require.NoError(s, err, "Stats")
	require.NotNil(s, st)
	require.NotEmpty(s, st.Pools, "Stats has at least one pool")
	s.name = st.BackendName
	return st.Pools[0]
}

// host gives the properties of the n-th host.
func (s *suite) host(n int) *connector.Properties {
	if s.h.Host != nil {
		return s.h.Host(n)
	}
	return host(n)
}

// volume is the record of a volume that is about to be made.
func (s *suite) volume(size int) *drivers.Volume { return s.volumeOf(uuid.NewString(), size) }

func (s *suite) volumeOf(id string, size int) *drivers.Volume {
	return &drivers.Volume{
		ID: id, Size: size, Name: "volume of driverstest", Host: "driverstest@" + s.name + "#" + s.pool.Name,
		Status: drivers.StatusCreating, AttachStatus: "detached", UserID: "user", ProjectID: "project",
		VolumeTypeID: id, VolumeType: &drivers.VolumeType{ID: id, Name: id, IsPublic: true},
		Metadata: map[string]string{}, AdminMetadata: map[string]string{}, CreatedAt: time.Now().UTC(),
	}
}

// snapshot is the record of a snapshot of v that is about to be made.
func (s *suite) snapshot(v *drivers.Volume) *drivers.Snapshot {
	return s.snapshotOf(uuid.NewString(), v)
}

func (s *suite) snapshotOf(id string, v *drivers.Volume) *drivers.Snapshot {
	return &drivers.Snapshot{
		ID: id, VolumeID: v.ID, VolumeSize: v.Size, Name: "snapshot of driverstest", Progress: s.name,
		Status: drivers.StatusCreating, UserID: "user", ProjectID: "project", VolumeTypeID: v.VolumeTypeID,
		Metadata: map[string]string{}, CreatedAt: time.Now().UTC(),
	}
}

// created makes a volume; the record is what the library would store.
func (s *suite) created(size int) *drivers.Volume {
	s.Helper()
	v := s.volume(size)
	u, err := s.CreateVolume(s.Context(), v)
	require.NoError(s, err, "CreateVolume")
	return available(v, u)
}

// available is the record after a call that made v.
func available(v *drivers.Volume, u *drivers.VolumeUpdate) *drivers.Volume {
	n := v.Clone()
	u.Apply(n)
	n.Status = drivers.StatusAvailable
	return n
}

// with is the record with another status.
func with(v *drivers.Volume, status string) *drivers.Volume {
	n := v.Clone()
	n.PreviousStatus, n.Status = n.Status, status
	return n
}

// snapped makes a snapshot; the record is what the library would store.
func (s *suite) snapped(v *drivers.Volume) *drivers.Snapshot {
	s.Helper()
	snap := s.snapshot(v)
	u, err := s.CreateSnapshot(s.Context(), snap, v)
	require.NoError(s, err, "CreateSnapshot")
	return snapAvailable(snap, u)
}

func snapAvailable(snap *drivers.Snapshot, u *drivers.SnapshotUpdate) *drivers.Snapshot {
	n := snap.Clone()
	u.Apply(n)
	n.Status = drivers.StatusAvailable
	return n
}

// restored makes a volume from a snapshot of v.
func (s *suite) restored(snap *drivers.Snapshot, v *drivers.Volume) *drivers.Volume {
	s.Helper()
	n := s.volume(snap.VolumeSize)
	n.SnapshotID = snap.ID
	u, err := s.VolumeFromSnapshot(s.Context(), n, snap, v)
	require.NoError(s, err, "VolumeFromSnapshot")
	return available(n, u)
}

// cloned makes a clone of src.
func (s *suite) cloned(src *drivers.Volume) *drivers.Volume {
	s.Helper()
	n := s.volume(src.Size)
	n.SourceVolumeID = src.ID
	u, err := s.CloneVolume(s.Context(), n, src)
	require.NoError(s, err, "CloneVolume")
	return available(n, u)
}

// assertSame checks that two records, or the data of two connections, are equal.
func (s *suite) assertSame(want, got any, what string) {
	s.Helper()
	if !reflect.DeepEqual(want, got) {
		s.Errorf("%s: %s", what, differences(want, got))
	}
}

// assertSameInfo checks that two answers to the same Connect are equal.
func (s *suite) assertSameInfo(want, got *connector.ConnInfo, what string) {
	s.Helper()
	s.requireInfo(got)
	require.Equal(s, want.Protocol, got.Protocol, what)
	require.IsType(s, want.Data, got.Data, what)
	s.assertSame(want.Data, got.Data, what)
}

// bytes is what a volume of size GiB has on this array.
func (s *suite) bytes(size int) int64 {
	b, g := int64(size)*drivers.GiB, s.h.Granule
	if g == 0 {
		return b
	}
	return (b + g - 1) / g * g
}

// requireSize checks that the array has v with size GiB.
func (s *suite) requireSize(v *drivers.Volume, size int) {
	s.Helper()
	state, err := s.InspectVolume(s.Context(), v)
	require.NoError(s, err, "InspectVolume")
	require.NotNil(s, state)
	require.Equal(s, s.bytes(size), state.SizeBytes, "bytes of a volume of %d GiB", size)
}

// requireGone checks that the array does not have v, or soon does not.
func (s *suite) requireGone(v *drivers.Volume) {
	s.Helper()
	var err error
	s.soon(s.h.Settle, func() bool {
		_, err = s.InspectVolume(s.Context(), v)
		return err != nil
	})
	require.ErrorIs(s, err, drivers.ErrNotFound, "InspectVolume of a volume that is not there")
}

// requireSnapshotGone checks that no volume can be made from snap.
func (s *suite) requireSnapshotGone(snap *drivers.Snapshot, v *drivers.Volume) {
	s.Helper()
	n := s.volume(snap.VolumeSize)
	var err error
	s.soon(s.h.Settle, func() bool {
		_, err = s.VolumeFromSnapshot(s.Context(), n, snap, v)
		return err != nil
	})
	require.ErrorIs(s, err, drivers.ErrNotFound, "VolumeFromSnapshot of a snapshot that is not there")
	s.requireGone(n)
}

// soon asks again and again until done says so or the time is up.
func (s *suite) soon(limit time.Duration, done func() bool) bool {
	end := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-end:
			return done()
		case <-tick.C:
		}
	}
}

// expired is a context that has ended.
func (s *suite) expired() context.Context {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx
}
