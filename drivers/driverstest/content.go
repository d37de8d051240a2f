// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// The content of a volume is looked at in places: what an array is likely to get
// wrong is wrong at the beginning, at the end, or by a whole volume.
const placeBytes = 64 << 10

func places(size int) []int64 {
	end := int64(size) * drivers.GiB
	return []int64{0, 3<<20 + placeBytes, end / 2, end - placeBytes}
}

// pattern is what fill writes at a place.
func pattern(seed uint64, place int64) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(place)))
	b := make([]byte, 0, placeBytes)
	for len(b) < placeBytes {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64()|1) // never all zeros
	}
	return b
}

func (s *suite) hasData() bool { return s.array.Data != nil }

// needData ends a test that is about content where that cannot be reached.
func (s *suite) needData() {
	s.Helper()
	if !s.hasData() {
		s.Skip("the harness has no Data: the content of volumes cannot be reached")
	}
}

// attachment is a connection of the n-th host.
func (s *suite) attachment(n int, others ...*connector.Properties) *drivers.Attachment {
	return &drivers.Attachment{ID: uuid.NewString(), Host: s.host(n), Mode: connector.ReadWrite, Others: others}
}

// connected exports v and connects the first host. The record is what the
// library would store; undo takes both back.
func (s *suite) connected(v *drivers.Volume) (inUse *drivers.Volume, info *connector.ConnInfo, undo func()) {
	s.Helper()
	u, err := s.Export(s.Context(), v)
	require.NoError(s, err, "Export")
	exported := available(v, u)
	a := s.attachment(0)
	info, err = s.Connect(s.Context(), exported, a)
	require.NoError(s, err, "Connect")
	s.requireInfo(info)
	inUse = exported.Clone()
	inUse.Status = drivers.StatusInUse
	return inUse, info, func() {
		s.Helper()
		require.NoError(s, s.Disconnect(s.Context(), inUse, a), "Disconnect")
		require.NoError(s, s.Unexport(s.Context(), exported), "Unexport")
	}
}

// requireInfo checks that a connection's data are of its protocol's type.
func (s *suite) requireInfo(info *connector.ConnInfo) {
	s.Helper()
	require.NotNil(s, info, "Connect says how the volume is reached")
	require.NotNil(s, info.Data)
	require.NotNil(s, info.Data.Common())
	switch info.Protocol {
	case connector.ProtocolISCSI, connector.ProtocolISER:
		require.IsType(s, &connector.ISCSIData{}, info.Data)
	case connector.ProtocolFC:
		require.IsType(s, &connector.FCData{}, info.Data)
	case connector.ProtocolRBD:
		require.IsType(s, &connector.RBDData{}, info.Data)
	case connector.ProtocolLocal:
		require.IsType(s, &connector.LocalData{}, info.Data)
	default:
		require.NotEmpty(s, info.Protocol)
		require.IsType(s, &connector.RawData{}, info.Data)
	}
}

// use reaches the content of v as the first host.
func (s *suite) use(v *drivers.Volume, do func(Data)) {
	s.Helper()
	_, info, undo := s.connected(v)
	s.reach(info, do)
	undo()
}

// reach reaches the content by a connection.
func (s *suite) reach(info *connector.ConnInfo, do func(Data)) {
	s.Helper()
	data := s.array.Data(s.T, info)
	require.NotNil(s, data, "Data")
	do(data)
	require.NoError(s, data.Close())
}

// fill writes the pattern of seed, if the content can be reached.
func (s *suite) fill(v *drivers.Volume, seed uint64) {
	s.Helper()
	if s.hasData() {
		s.use(v, func(d Data) { s.write(d, v.Size, seed) })
	}
}

func (s *suite) write(d Data, size int, seed uint64) {
	s.Helper()
	for _, at := range places(size) {
		_, err := d.WriteAt(pattern(seed, at), at)
		require.NoError(s, err, "write at %d", at)
	}
}

// requireFilled checks that v begins with size GiB of the pattern of seed and is
// zero behind, if the content can be reached.
func (s *suite) requireFilled(v *drivers.Volume, size int, seed uint64) {
	s.Helper()
	if !s.hasData() {
		return
	}
	s.use(v, func(d Data) {
		s.read(d, size, seed)
		if v.Size == size {
			return
		}
		for _, at := range []int64{int64(size) * drivers.GiB, int64(size)*drivers.GiB + 5<<20, int64(v.Size)*drivers.GiB - placeBytes} {
			s.requireBytes(d, at, make([]byte, placeBytes), "zeros behind what was taken over")
		}
	})
}

func (s *suite) read(d Data, size int, seed uint64) {
	s.Helper()
	for _, at := range places(size) {
		s.requireBytes(d, at, pattern(seed, at), "what was written")
	}
}

func (s *suite) requireBytes(d Data, at int64, want []byte, what string) {
	s.Helper()
	got := make([]byte, len(want))
	_, err := d.ReadAt(got, at)
	require.NoError(s, err, "read at %d", at)
	require.True(s, bytes.Equal(want, got), "%s at %d: the content is another", what, at)
}

// assertAccess checks what the array says of a host's access, if it can be asked.
func (s *suite) assertAccess(v *drivers.Volume, n int, want bool) {
	s.Helper()
	if s.array.Access != nil {
		assert.Equal(s, want, s.array.Access(s.T, v, s.host(n)), "access of host %d", n)
	}
}
