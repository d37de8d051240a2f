// SPDX-License-Identifier: Apache-2.0

package scsi_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

func TestLUN(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][2]int{"": {5, 300}, "SAM": {5, 300}, "transparent": {5, 300}, "SAM2": {5, 16684}, "SAM3-flat": {16389, 16684}} {
		for i, lun := range []int{5, 300} {
			got, err := scsi.LUN(mode, lun)
			require.NoError(t, err)
			assert.Equal(t, want[i], got, "%s %d", mode, lun)
		}
	}
	_, err := scsi.LUN("SAM4", 1)
	require.ErrorIs(t, err, connector.ErrInvalid)
	_, err = scsi.LUN("", -1)
	require.ErrorIs(t, err, connector.ErrInvalid)
}

func TestUdevWWID(t *testing.T) {
	t.Parallel()
	for wwid, want := range map[string]string{
		"naa.6001405abc":             "36001405abc",
		"eui.0025385b71b0a0c5\n":     "20025385b71b0a0c5",
		"t10.LIO-ORG  disk one  123": "1LIO-ORG_disk_one_123",
		"uuid.1":                     "8.1",
		"":                           "",
		"x":                          "",
	} {
		assert.Equal(t, want, scsi.UdevWWID(wwid), wwid)
	}
	assert.True(t, scsi.OneOf("naa.6001", []string{"36001"}))
	assert.False(t, scsi.OneOf("", []string{""}))
}

func TestDesignators(t *testing.T) {
	t.Parallel()
	page := []byte{0, 0x83, 0, 0, // T10 name, NAA, NAA of the port, EUI
		2, 1, 0, 4, 'L', 'I', 'O', ' ',
		1, 3, 0, 8, 0x60, 1, 4, 5, 0xab, 0xcd, 0xef, 1,
		1, 0x13, 0, 2, 0x50, 1,
		1, 2, 0, 2, 0xab, 0xcd,
		1, 3, 0, 200}
	page[3] = byte(len(page) - 4)
	want := []string{"naa.60010405abcdef01", "eui.abcd"}
	assert.Equal(t, want, scsi.Designators(page))
	for n := range page {
		scsi.Designators(page[:n]) // whatever is cut off
	}
	assert.Empty(t, scsi.Designators(nil))
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	a, ok := scsi.ParseAddress("12:0:3:16684")
	require.True(t, ok)
	assert.Equal(t, scsi.Address{Host: 12, Target: 3, LUN: 16684}, a)
	assert.Equal(t, "12:0:3:16684", a.String())
	for _, bad := range []string{"", "1:2:3", "1:2:3:4:5", "a:0:0:0", "1:0:0:-1"} {
		_, ok := scsi.ParseAddress(bad)
		assert.False(t, ok, bad)
	}
}

// TestScanThatHangs: the caller is free when its context ends, the host is not.
func TestScanThatHangs(t *testing.T) {
	t.Parallel()
	h := fakehost.New(t).Connector()
	release := make(chan struct{})
	h.Files = blocked{until: release}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, scsi.Scan(ctx, h, scsi.Address{Host: 3}), context.DeadlineExceeded)
	again, cancel2 := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel2()
	require.ErrorIs(t, scsi.AwaitScan(again, h, 3), context.DeadlineExceeded)
	require.NoError(t, scsi.AwaitScan(t.Context(), h, 4))
	close(release)
	require.NoError(t, scsi.AwaitScan(t.Context(), h, 3))
}

// blocked is a kernel that answers no write for a while.
type blocked struct {
	connector.Files
	until chan struct{}
}

func (b blocked) Write(context.Context, string, []byte) error {
	<-b.until
	return nil
}

func TestFlushAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may open everything")
	}
	f := fakehost.New(t)
	f.AddDisk("sda", 4096, "")
	require.NoError(t, os.Chmod(f.Path("/dev/sda"), 0))
	err := scsi.Flush(t.Context(), f.Connector(), "/dev/sda")
	require.ErrorIs(t, err, connector.ErrPermission)
	f.Handle("blockdev", func(context.Context, []string, []byte) connector.Result { return connector.Result{} })
	require.NoError(t, scsi.Flush(t.Context(), f.Connector(), "/dev/sda"))
}

func TestFlushOfWhatIsGone(t *testing.T) {
	t.Parallel()
	require.NoError(t, scsi.Flush(t.Context(), fakehost.New(t).Connector(), "/dev/sda"))
}

func TestUsers(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	f.AddDisk("sda", 4096, "")
	f.Write("/sys/block/sda/dev", "8:0\n")
	f.Write("/sys/block/sda/sda1/dev", "8:1\n")
	f.Write("/sys/block/dm-0/dm/name", "vg-lv\n")
	f.Write("/sys/block/dm-0/dm/uuid", "LVM-1\n")
	f.Write("/sys/block/dm-1/dm/uuid", "part1-mpath-3600\n")
	f.Write("/sys/block/dm-1/dev", "253:1\n")
	users := func(more ...string) []string {
		t.Helper()
		users, err := scsi.Users(t.Context(), f.Connector(), append([]string{"sda"}, more...)...)
		require.NoError(t, err)
		return users
	}
	assert.Empty(t, users())
	f.Link("/sys/block/sda/holders/dm-0", "../../dm-0")
	assert.Equal(t, []string{"/dev/sda: used by dm-0 (vg-lv)"}, users())
	assert.Empty(t, users("dm-0"))
	f.Link("/sys/block/sda/holders/dm-1", "../../dm-1")
	assert.Empty(t, users("dm-0"), "the map of a partition is not a user")
	f.Write("/proc/self/mountinfo", "36 35 8:1 / /mnt/a rw - ext4 /dev/sda1 rw\n37 35 253:1 / /mnt/b rw - ext4 /dev/dm-1 rw\n38 35 8:16 / /mnt/c rw - ext4 /dev/sdb rw\n")
	assert.Equal(t, []string{"/dev/sda1: mounted on /mnt/a", "/dev/dm-1: mounted on /mnt/b"}, users("dm-0"))
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	f.Link("/proc/7/exe", "../../usr/sbin/iscsiadm")
	f.Link("/proc/8/exe", "/usr/bin/cat (deleted)")
	f.Write("/proc/9/comm", "kthreadd\n")
	f.Write("/proc/10/exe", "cannot be told\n")
	f.Link("/proc/self", "7")
	assert.ElementsMatch(t, []scsi.Process{{"7", "iscsiadm"}, {"8", "cat"}, {ID: "10"}}, scsi.Processes(f.Connector()))
}

// TestRemove: what goes is the disk at that address, not another of its name.
func TestRemove(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	d := scsi.Disk{Name: "sda", Address: scsi.Address{Host: 1}}
	require.NoError(t, d.Remove(t.Context(), f.Connector()), "it is gone")

	f.Write("/sys/class/scsi_device/2:0:0:0/device/block/sda/size", "8")
	f.Write("/sys/class/scsi_device/2:0:0:0/device/delete", "")
	require.NoError(t, os.MkdirAll(f.Path("/sys/block"), 0o755))
	f.Write("/sys/block/sda/size", "8")
	f.Link("/sys/block/sda/device", filepath.Join("..", "..", "class", "scsi_device", "2:0:0:0"))
	f.Write("/dev/sda", "")
	require.NoError(t, d.Remove(t.Context(), f.Connector()), "another has its name")
	text, err := os.ReadFile(f.Path("/sys/class/scsi_device/2:0:0:0/device/delete"))
	require.NoError(t, err)
	assert.Empty(t, text)
}
