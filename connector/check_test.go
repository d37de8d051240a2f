// SPDX-License-Identifier: Apache-2.0

package connector_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

const mib = 1 << 20

func requestFor(path string, size int64, wwids ...string) connector.Request {
	return connector.Request{
		Info: &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &connector.LocalData{
			Shared: connector.Common{DeviceWWIDs: wwids},
		}},
		Device:    &connector.Device{Path: path},
		SizeBytes: size,
	}
}

func TestCheckFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 5000), 0o600))
	h := &connector.Host{Run: connector.NewRunner("", nil)}

	require.NoError(t, h.Check(t.Context(), requestFor(file, 5000)))
	require.NoError(t, h.Check(t.Context(), requestFor(file, 0, "naa.6001")), "a file has no WWID")
	require.NoError(t, h.Check(t.Context(), connector.Request{Device: &connector.Device{Path: file}}))

	err := h.Check(t.Context(), requestFor(file, 5001))
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	require.EqualError(t, err, "device "+file+" has 5000 bytes, and the volume 5001")

	err = h.Check(t.Context(), requestFor(file+"x", 1))
	require.ErrorIs(t, err, connector.ErrNotFound)
	err = h.Check(t.Context(), requestFor("/dev/null", 0))
	require.ErrorIs(t, err, connector.ErrInvalid)
	err = h.Check(t.Context(), requestFor(filepath.Dir(file), 0))
	require.ErrorIs(t, err, connector.ErrInvalid)
	err = h.Check(t.Context(), connector.Request{})
	require.ErrorIs(t, err, connector.ErrInvalid)

	require.NoError(t, os.Truncate(file, 0))
	err = h.Check(t.Context(), requestFor(file, 0))
	require.ErrorIs(t, err, connector.ErrDeviceNotUsable)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Check(ctx, requestFor(file, 0)), context.Canceled)
}

func TestCheckDevice(t *testing.T) {
	t.Parallel()
	const wwid = "naa.60014051234567890abcdef012345678"
	f := fakehost.New(t)
	f.AddDisk("sda", 4*mib, wwid)
	f.AddDisk("sdb", 4*mib, "t10.ATA     VBOX HARDDISK   VB1234")
	f.AddDisk("dm-0", 4*mib, "")
	f.Write("/sys/block/dm-0/dm/uuid", "mpath-360014051234567890abcdef012345678\n")
	f.AddDisk("sdz", 4*mib, "")
	f.Link("/dev/disk/by-path/pci-1", "../../sda")
	h := f.Connector()

	for path, ids := range map[string][]string{
		"/dev/sda":                {wwid, "60014051234567890abcdef012345678", "360014051234567890ABCDEF012345678", "0x60014051234567890abcdef012345678"},
		"/dev/disk/by-path/pci-1": {wwid},
		"/dev/dm-0":               {wwid, "60014051234567890abcdef012345678", "360014051234567890abcdef012345678"},
		"/dev/sdb":                {"t10.ATA VBOX HARDDISK VB1234", "1ATA_VBOX_HARDDISK_VB1234"},
		"/dev/sdz":                {wwid}, // the kernel does not know
	} {
		for _, id := range ids {
			require.NoError(t, h.Check(t.Context(), requestFor(path, 4*mib, "naa.5000", id)), "%s %s", path, id)
		}
	}
	for _, path := range []string{"/dev/sda", "/dev/sdb", "/dev/dm-0"} {
		err := h.Check(t.Context(), requestFor(path, 4*mib, "naa.60014051234567890abcdef012345679", "eui.1"))
		require.ErrorIs(t, err, connector.ErrWrongDevice, path)
		require.ErrorContains(t, err, "naa.60014051234567890abcdef012345679, eui.1")
	}
	err := h.Check(t.Context(), requestFor("/dev/sda", 0, "naa.6"))
	require.EqualError(t, err, "device /dev/sda is "+wwid+", and the volume naa.6")

	// The size is the kernel's: a multipath map that has not grown yet.
	f.Write("/sys/block/sda/size", "2048\n")
	err = h.Check(t.Context(), requestFor("/dev/sda", 4*mib, wwid))
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	require.EqualError(t, err, "device /dev/sda has 1048576 bytes, and the volume 4194304")

	f.Write("/sys/block/sda/device/state", "transport-offline\n")
	err = h.Check(t.Context(), requestFor("/dev/sda", 0))
	require.ErrorIs(t, err, connector.ErrDeviceNotUsable)
	assert.Zero(t, f.Count(""))
}

// TestCheckAsRoot: what we may not read, the root helper may.
func TestCheckAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read every file")
	}
	f := fakehost.New(t)
	f.AddDisk("sda", mib, "")
	require.NoError(t, os.Chmod(f.Path("/dev/sda"), 0))
	h := f.Connector()

	err := h.Check(t.Context(), requestFor("/dev/sda", mib))
	require.ErrorIs(t, err, connector.ErrPermission)

	result := connector.Result{}
	f.Handle("dd", func(context.Context, []string, []byte) connector.Result { return result })
	require.NoError(t, h.Check(t.Context(), requestFor("/dev/sda", mib)))
	assert.True(t, f.Calls()[1].Root)

	result = connector.Result{Code: 1, Stderr: []byte("dd: error reading: Input/output error")}
	require.ErrorIs(t, h.Check(t.Context(), requestFor("/dev/sda", mib)), connector.ErrDeviceNotUsable)

	result = connector.Result{Code: 1, Stderr: []byte("dd: failed to open: Permission denied")}
	require.ErrorIs(t, h.Check(t.Context(), requestFor("/dev/sda", mib)), connector.ErrPermission)
}
