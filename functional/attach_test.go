// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
)

// attach attaches a volume to this host.
func (b *backend) attach(t *testing.T, v *cinderlib.Volume, opts ...cinderlib.ConnectOption) *cinderlib.Connection {
	t.Helper()
	c, err := v.Attach(t.Context(), opts...)
	b.needPermission(t, err)
	require.NoError(t, err)
	b.note(c)
	return c
}

// needPermission skips the rest of a test where the user lacks a right. Root has
// all rights but, in a container, those over loop devices.
func (b *backend) needPermission(t *testing.T, err error) {
	t.Helper()
	if cinderlib.CodeOf(err) == cinderlib.CodePermissionDenied && (os.Geteuid() != 0 || b.loops) {
		cannot(t, err.Error())
	}
}

// note remembers what must be gone at the end.
func (b *backend) note(c *cinderlib.Connection) {
	b.devices[madeFor(c)] = true
}

// detach detaches a volume from this host, where nothing of it may remain.
func (b *backend) detach(t *testing.T, v *cinderlib.Volume) {
	t.Helper()
	made := madeFor(v.LocalAttach())
	require.NoError(t, v.Detach(t.Context()))
	assertGone(t, made)
}

// madeFor is what attaching made on this host: the path of a device, or of the
// file that has a loop device; empty if nothing was made.
func madeFor(c *cinderlib.Connection) string {
	if data, ok := c.ConnInfo().Data.(*connector.LocalData); ok {
		if data.Loop {
			return "loop:" + data.DevicePath
		}
		return ""
	}
	return c.Path()
}

func assertGone(t *testing.T, made string) {
	t.Helper()
	file, loop := strings.CutPrefix(made, "loop:")
	switch {
	case loop:
		assert.Empty(t, loopsOf(t, func(path string) bool { return path == file }), "loop devices of %s", file)
	case strings.HasPrefix(made, "/dev/nbd"): // the node is always there
		assert.NoFileExists(t, "/sys/block/"+filepath.Base(made)+"/pid", "%s has somebody behind it", made)
	case made != "":
		assert.NoFileExists(t, made)
	}
}

// volumeSize attaches a volume to see its size.
func (b *backend) volumeSize(t *testing.T, v *cinderlib.Volume) int64 {
	t.Helper()
	c := b.attach(t, v)
	size := deviceSize(t, c.Path())
	b.detach(t, v)
	return size
}

// write and read attach a volume to get at its data.
func (b *backend) write(t *testing.T, v *cinderlib.Volume, p []byte) {
	t.Helper()
	c := b.attach(t, v)
	b.device(c).write(t, deviceSize(t, c.Path()), p)
	b.detach(t, v)
}

func (b *backend) read(t *testing.T, v *cinderlib.Volume) []byte {
	t.Helper()
	c := b.attach(t, v)
	p := b.device(c).read(t, deviceSize(t, c.Path()))
	b.detach(t, v)
	return p
}

func connections(t *testing.T, v *cinderlib.Volume) []*cinderlib.Connection {
	t.Helper()
	list, err := v.Connections(t.Context())
	require.NoError(t, err)
	return list
}

// skipUnsupported skips the rest of a test where the driver says that it cannot.
func skipUnsupported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
}

func testAttachVolume(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.attach(t, v)
	assert.Same(t, c, v.LocalAttach())
	assert.Contains(t, connections(t, v), c)
	assert.True(t, c.Connected())
	assert.True(t, c.Attached())
	_, err := os.Stat(c.Path())
	require.NoError(t, err)
}

func testAttachDetachVolume(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.attach(t, v)
	assert.Contains(t, connections(t, v), c)
	b.detach(t, v)
	assert.Nil(t, v.LocalAttach())
	assert.NotContains(t, connections(t, v), c)
	assert.Empty(t, connections(t, v))
	require.ErrorIs(t, v.Detach(t.Context()), cinderlib.ErrNotLocal)
}

func testAttachDetachVolumeViaAttachment(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	c := b.attach(t, v)
	made := madeFor(c)
	assert.True(t, c.Attached())
	_, err := os.Stat(c.Path())
	require.NoError(t, err)
	require.ErrorIs(t, c.Disconnect(t.Context()), cinderlib.ErrInUse, "the host has the device")

	require.NoError(t, c.Detach(t.Context()))
	assertGone(t, made)
	assert.False(t, c.Attached())
	assert.True(t, c.Connected())
	assert.Nil(t, v.LocalAttach())
	assert.Contains(t, connections(t, v), c)

	require.NoError(t, c.Disconnect(t.Context()))
	assert.False(t, c.Connected())
	assert.NotContains(t, connections(t, v), c)
}

func testDiskIO(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	assert.Equal(t, data, b.read(t, v))
}

func testReadOnlyAttach(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	c := b.attach(t, v, cinderlib.WithAttachMode(connector.ReadOnly))
	assert.Equal(t, connector.ReadOnly, c.AttachMode())
	assert.Equal(t, connector.ReadOnly, c.ConnInfo().Data.Common().AccessMode)
	d := b.device(c)
	assert.Equal(t, data, d.read(t, deviceSize(t, c.Path())))
	if c.Device().Type == "block" {
		require.Error(t, d.store(t.Context(), 0, otherData), "a read-only device was written to")
	} else {
		t.Logf("%s is a plain file, and nothing enforces the mode", c.Path())
	}
	b.detach(t, v)
	assert.Equal(t, data, b.read(t, v))
}
