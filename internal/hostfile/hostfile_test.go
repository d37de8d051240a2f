// SPDX-License-Identifier: Apache-2.0

package hostfile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/hostfile"
)

func TestBlockDevice(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/dev/null", t.TempDir(), os.Args[0]} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		_, _, ok := hostfile.BlockDevice(info)
		assert.False(t, ok, path)
	}
	if os.Geteuid() != 0 {
		return // nobody else makes devices
	}
	path := filepath.Join(t.TempDir(), "device")
	// makedev(3) of 259:300, whose minor number has more than eight bits.
	if err := syscall.Mknod(path, syscall.S_IFBLK|0o600, 259<<8|300&0xff|300&^0xff<<12); err != nil {
		t.Log(err) // a container may not
		return
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	major, minor, ok := hostfile.BlockDevice(info)
	require.True(t, ok)
	assert.EqualValues(t, 259, major)
	assert.EqualValues(t, 300, minor)
}

// TestDropBuffers: what is no device has no buffers of its own.
func TestDropBuffers(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "f")
	require.NoError(t, err)
	require.NoError(t, hostfile.DropBuffers(f))
	require.NoError(t, f.Close())
	require.Error(t, hostfile.DropBuffers(f))
}
