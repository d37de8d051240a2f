// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// thisHost is what an array is told of this host.
func (s *suite) thisHost(t *testing.T) *connector.Properties {
	t.Helper()
	if s.host != nil {
		return s.host.Clone()
	}
	host, err := s.lib.HostProperties(t.Context(), connector.PropertiesOptions{})
	require.NoError(t, err)
	return host
}

// connect connects a volume to this host, without a device here.
func (b *backend) connect(t *testing.T, v *cinderlib.Volume) *cinderlib.Connection {
	t.Helper()
	before := connections(t, v)
	host := b.suite.thisHost(t)
	require.NoError(t, b.ValidateConnector(host))
	c, err := v.Connect(t.Context(), host)
	require.NoError(t, err)
	assert.True(t, c.Connected())
	assert.False(t, c.Attached())
	assert.Empty(t, c.Path())
	assert.NotEmpty(t, c.Protocol())
	assert.Equal(t, host, c.ConnectorInfo())
	assert.Nil(t, v.LocalAttach())
	assert.Equal(t, drivers.StatusInUse, v.Status())
	assert.Equal(t, append(before, c), connections(t, v))
	stored, err := b.suite.lib.ConnectionByID(t.Context(), c.ID())
	require.NoError(t, err)
	assert.Equal(t, c.ConnInfo(), stored.ConnInfo())
	return c
}

// disconnect takes a connection back; the volume keeps the others.
func (b *backend) disconnect(t *testing.T, v *cinderlib.Volume, c *cinderlib.Connection) {
	t.Helper()
	before := len(connections(t, v))
	require.NoError(t, c.Disconnect(t.Context()))
	assert.False(t, c.Connected())
	assert.Nil(t, c.ConnInfo())
	assert.NotContains(t, connections(t, v), c)
	assert.Len(t, connections(t, v), before-1)
	_, err := b.suite.lib.ConnectionByID(t.Context(), c.ID())
	require.ErrorIs(t, err, cinderlib.ErrNotFound)
	want := drivers.StatusAvailable
	if before > 1 {
		want = drivers.StatusInUse
	}
	assert.Equal(t, want, v.Status())
}

// assertReachable attaches a connection, where that can be, and takes the device
// off again.
func (b *backend) assertReachable(t *testing.T, c *cinderlib.Connection) {
	t.Helper()
	if b.unattachable != "" {
		t.Logf("not attached: %s", b.unattachable)
		return
	}
	made := b.attachConnection(t, c)
	b.assertSize(t, 1, deviceSize(t, c.Path()))
	require.NoError(t, c.Detach(t.Context()))
	assertGone(t, made)
}

// attachConnection attaches a connection that was made without a device, and
// says what that made.
func (b *backend) attachConnection(t *testing.T, c *cinderlib.Connection) (made string) {
	t.Helper()
	require.NoError(t, c.Attach(t.Context()))
	b.note(c)
	t.Cleanup(func() { assert.NoError(t, c.Detach(context.WithoutCancel(t.Context()))) })
	return madeFor(c)
}

func testConnectDisconnectVolume(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.connect(t, v)
	require.ErrorIs(t, v.Delete(t.Context()), cinderlib.ErrInUse)
	b.assertReachable(t, c)
	b.disconnect(t, v, c)
	require.NoError(t, c.Disconnect(t.Context()), "what is gone is disconnected")
	require.NoError(t, v.Delete(t.Context()))
}

func testConnectDisconnectMultipleVolumes(t *testing.T, b *backend) {
	first, second := b.createVolume(t, 1), b.createVolume(t, 1)
	c, d := b.connect(t, first), b.connect(t, second)
	assert.NotEqual(t, c.ConnInfo(), d.ConnInfo())
	b.assertReachable(t, c)
	b.disconnect(t, first, c)
	// The host keeps its way to the other.
	assert.Equal(t, drivers.StatusInUse, second.Status())
	assert.Len(t, connections(t, second), 1)
	b.assertReachable(t, d)
	b.disconnect(t, second, d)
}

func testConnectDisconnectMultipleTimes(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	// One after the other.
	for range 3 {
		c := b.connect(t, v)
		b.assertReachable(t, c)
		b.disconnect(t, v, c)
	}
	// All at once: the host keeps its way to the volume until the last goes.
	list := []*cinderlib.Connection{b.connect(t, v), b.connect(t, v), b.connect(t, v)}
	for _, c := range list {
		b.assertReachable(t, c)
		b.disconnect(t, v, c)
	}
}
