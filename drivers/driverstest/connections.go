// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"errors"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// exported exports v; the record is what the library would store.
func (s *suite) exported(v *drivers.Volume) *drivers.Volume {
	s.Helper()
	u, err := s.Export(s.Context(), v)
	require.NoError(s, err, "Export")
	return available(v, u)
}

func testExport(s *suite) {
	v := s.created(1)
	require.NoError(s, s.Unexport(s.Context(), v), "what is not exported is success")
	stored := s.exported(v)
	for _, c := range []calls{s.calls, s.open()} {
		u, err := c.Export(s.Context(), stored)
		require.NoError(s, err, "Export again")
		s.assertSame(stored, available(stored, u), "what is there is kept, secrets included")
	}
	for _, c := range []calls{s.calls, s.calls, s.open()} {
		require.NoError(s, c.Unexport(s.Context(), stored), "Unexport again")
	}
	require.NoError(s, s.Unexport(s.Context(), v), "also with a record that does not know of it")

	// The update of an Export was never stored.
	_, err := s.Export(s.Context(), v)
	require.NoError(s, err)
	stored = s.exported(v)
	a := s.attachment(0)
	_, err = s.Connect(s.Context(), stored, a)
	require.NoError(s, err)
	require.NoError(s, s.Disconnect(s.Context(), stored, a))
	require.NoError(s, s.Unexport(s.Context(), stored))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	require.NoError(s, s.Unexport(s.Context(), stored), "also of a volume that is gone")
}

func testConnect(s *suite) {
	v := s.created(1)
	stored := s.exported(v)
	a := s.attachment(0)
	first, err := s.Connect(s.Context(), stored, a)
	require.NoError(s, err)
	s.requireInfo(first)
	s.assertAccess(v, 0, true)
	kept := first.Clone()
	for _, c := range []calls{s.calls, s.open()} {
		again, err := c.Connect(s.Context(), stored, a)
		require.NoError(s, err)
		s.assertSameInfo(first, again, "a second Connect of the same host gives the same answer")
	}
	s.assertSameInfo(kept, first, "an answer given is not changed afterwards")
	if s.hasData() {
		s.reach(first, func(d Data) { s.write(d, 1, 1) })
	}
	require.NoError(s, s.Disconnect(s.Context(), stored, a))
	s.assertAccess(v, 0, false)
	require.NoError(s, s.Unexport(s.Context(), stored))
	s.requireFilled(v, 1, 1)

	stored = s.exported(v)
	readOnly := s.attachment(0)
	readOnly.Mode = connector.ReadOnly
	info, err := s.Connect(s.Context(), stored, readOnly)
	require.NoError(s, err, "Connect for reading")
	s.requireInfo(info)
	require.NoError(s, s.Disconnect(s.Context(), stored, readOnly))
	require.NoError(s, s.Unexport(s.Context(), stored))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
}

// Each host has its own access.
func testConnectTwoHosts(s *suite) {
	v := s.created(1)
	stored := s.exported(v)
	a := s.attachment(0)
	first, err := s.Connect(s.Context(), stored, a)
	require.NoError(s, err)
	stored.Status = drivers.StatusInUse
	stored = s.reexported(stored)
	b := s.attachment(1, a.Host)
	second, err := s.Connect(s.Context(), stored, b)
	if !s.pool.MultiAttach && isAny(err, drivers.ErrPrecondition, errors.ErrUnsupported) {
		s.assertAccess(v, 0, true)
		s.Skip("the array lets one host at a time use a volume, as it says")
	}
	require.NoError(s, err, "a second host")
	s.requireInfo(second)
	s.assertAccess(v, 0, true)
	s.assertAccess(v, 1, true)
	if s.hasData() {
		s.reach(first, func(d Data) { s.write(d, 1, 1) })
		s.reach(second, func(d Data) { s.read(d, 1, 1) })
	}
	a.Others = []*connector.Properties{b.Host}
	for range 2 {
		require.NoError(s, s.Disconnect(s.Context(), stored, a))
		s.assertAccess(v, 0, false)
		s.assertAccess(v, 1, true)
	}
	if s.hasData() {
		s.reach(second, func(d Data) { s.read(d, 1, 1) })
	}
	again, err := s.Connect(s.Context(), stored, s.sameAttachment(b))
	require.NoError(s, err)
	s.assertSameInfo(second, again, "the connection of the other host is as before")
	b.Others = nil
	require.NoError(s, s.Disconnect(s.Context(), stored, b))
	s.assertAccess(v, 1, false)
	require.NoError(s, s.Unexport(s.Context(), stored))
}

// reexported calls Export again, as the library does before each Connect.
func (s *suite) reexported(v *drivers.Volume) *drivers.Volume {
	s.Helper()
	u, err := s.Export(s.Context(), v)
	require.NoError(s, err, "Export of a volume that is connected")
	n := v.Clone()
	u.Apply(n)
	return n
}

// sameAttachment is a with nobody beside it.
func (s *suite) sameAttachment(a *drivers.Attachment) *drivers.Attachment {
	return &drivers.Attachment{ID: a.ID, Host: a.Host, Mode: a.Mode}
}

// Two connections of one host: the host keeps its access until the second goes.
func testConnectOneHostTwice(s *suite) {
	v := s.created(1)
	stored := s.exported(v)
	a := s.attachment(0)
	first, err := s.Connect(s.Context(), stored, a)
	require.NoError(s, err)
	stored.Status = drivers.StatusInUse
	stored = s.reexported(stored)
	b := s.attachment(0, s.host(0))
	second, err := s.Connect(s.Context(), stored, b)
	require.NoError(s, err, "the same host once more")
	s.assertSameInfo(first, second, "the same host is given the same answer")
	a.Others = []*connector.Properties{s.host(0)}
	require.NoError(s, s.Disconnect(s.Context(), stored, a))
	s.assertAccess(v, 0, true)
	if s.hasData() {
		s.reach(second, func(d Data) { s.write(d, 1, 1) })
	}
	b.Others = nil
	require.NoError(s, s.Disconnect(s.Context(), stored, b))
	s.assertAccess(v, 0, false)
	require.NoError(s, s.Unexport(s.Context(), stored))
	s.requireFilled(v, 1, 1)
}

// Disconnect is success wherever there is nothing to do, forced or not.
func testDisconnect(s *suite) {
	v := s.created(1)
	for _, force := range []bool{false, true} {
		a := s.attachment(0)
		a.Force = force
		require.NoError(s, s.Disconnect(s.Context(), v, a), "a host that is not connected, of a volume that is not exported")
		stored := s.exported(v)
		require.NoError(s, s.Disconnect(s.Context(), stored, a), "a host that is not connected")
		_, err := s.Connect(s.Context(), stored, a)
		require.NoError(s, err)
		for _, c := range []calls{s.calls, s.calls, s.open()} {
			require.NoError(s, c.Disconnect(s.Context(), stored, a), "Disconnect again")
			s.assertAccess(v, 0, false)
		}
		other := &drivers.Attachment{ID: uuid.NewString(), Host: s.host(1), Mode: connector.ReadWrite, Force: force}
		require.NoError(s, s.Disconnect(s.Context(), stored, other), "a host that never was connected")
		require.NoError(s, s.Unexport(s.Context(), stored))
		require.NoError(s, s.Disconnect(s.Context(), stored, a), "of a volume that is not exported any more")
	}
	a := s.attachment(0)
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	require.NoError(s, s.Disconnect(s.Context(), v, a), "of a volume that is gone")
}
