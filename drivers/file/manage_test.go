// SPDX-License-Identifier: Apache-2.0

package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// foreign makes a file that the library knows nothing of.
func foreign(t *testing.T, d *Driver, name string, size int64) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.path(name), []byte("data"), 0o640))
	require.NoError(t, os.Truncate(d.path(name), size))
}

func TestList(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v := volume(t, 1)
	create(t, d, v)
	_, err := d.CreateSnapshot(t.Context(), snapshot(v), v)
	require.NoError(t, err)
	foreign(t, d, "disk.img", 5)
	foreign(t, d, "a name\nof two lines", 6)
	foreign(t, d, "empty", 0)
	foreign(t, d, ".hidden", 7)
	foreign(t, d, ".volume-1.partial", 8)
	require.NoError(t, os.Symlink("disk.img", d.path("link")))
	require.NoError(t, os.Mkdir(d.path("folder"), 0o700))
	list, err := d.ListVolumes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []drivers.ExistingVolume{
		{Reference: "a name\nof two lines", SizeBytes: 6},
		{Reference: "disk.img", SizeBytes: 5},
		{Reference: "empty", NotSafe: "it is empty"},
		{Reference: v.NameOnArray(), VolumeID: v.ID, SizeBytes: drivers.GiB},
	}, list)
}

func TestManage(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	foreign(t, d, "disk.img", 3*drivers.GiB/2)
	v := volume(t, 2)
	_, err := d.ManageVolume(t.Context(), v, "disk.img")
	require.NoError(t, err)
	info, err := os.Stat(d.path(v.NameOnArray()))
	require.NoError(t, err)
	assert.Equal(t, int64(2*drivers.GiB), info.Size())
	assert.Equal(t, os.FileMode(0o640), info.Mode(), "the mode stays")
	assert.Equal(t, "data", string(read(t, d, v.NameOnArray(), 4)))
	assert.Equal(t, []string{v.NameOnArray()}, objects(t, d.dir))
}

func TestManageRefuses(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	dir := filepath.Join(outside, "volumes")
	d := newDriver(t, dir, nil)
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600))
	foreign(t, d, "large", 2*drivers.GiB)
	foreign(t, d, ".hidden", 5)
	require.NoError(t, os.Symlink("large", d.path("link")))
	require.NoError(t, os.Mkdir(d.path("folder"), 0o700))
	require.NoError(t, os.WriteFile(d.path("folder/inside"), []byte("x"), 0o600))
	taken := volume(t, 1)
	create(t, d, taken)
	s := snapshot(taken)
	_, err := d.CreateSnapshot(t.Context(), s, taken)
	require.NoError(t, err)
	before := objects(t, dir)
	for ref, code := range map[string]fault.Code{
		"":                                 fault.InvalidArgument,
		".":                                fault.InvalidArgument,
		"..":                               fault.InvalidArgument,
		"../secret":                        fault.InvalidArgument,
		"folder/inside":                    fault.InvalidArgument,
		filepath.Join(outside, "secret"):   fault.InvalidArgument,
		"a\x00b":                           fault.InvalidArgument,
		".hidden":                          fault.InvalidArgument,
		"link":                             fault.InvalidArgument,
		"folder":                           fault.InvalidArgument,
		"large":                            fault.InvalidArgument,
		s.NameOnArray():                    fault.InvalidArgument,
		taken.NameOnArray():                fault.AlreadyExists,
		"nothing":                          fault.NotFound,
		"volume-" + volume(t, 1).ID + "xx": fault.AlreadyExists,
	} {
		_, err := d.ManageVolume(t.Context(), volume(t, 1), ref)
		requireCode(t, code, err)
		assert.ElementsMatch(t, before, objects(t, dir), "%q", ref)
	}
	_, err = d.ManageVolume(t.Context(), taken, "large")
	requireCode(t, fault.AlreadyExists, err)
	info, err := os.Stat(d.path("large"))
	require.NoError(t, err)
	assert.Equal(t, int64(2*drivers.GiB), info.Size())
}

// A call that was cut off after it grew the file, or after it gave it its name,
// goes on.
func TestManageIsRepeatable(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	foreign(t, d, "disk.img", 5)
	v := volume(t, 2)
	require.NoError(t, os.Truncate(d.path("disk.img"), 2*drivers.GiB))
	for range 2 {
		_, err := d.ManageVolume(t.Context(), v, "disk.img")
		require.NoError(t, err)
		assert.Equal(t, []string{v.NameOnArray()}, objects(t, d.dir))
	}
	other := volume(t, 1)
	other.ID = v.ID
	_, err := d.ManageVolume(t.Context(), other, "disk.img")
	requireCode(t, fault.NotFound, err)
}

// What is managed counts, and is not refused for want of room.
func TestManagedVolumesCount(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"max_over_subscription_ratio": "1"}), 3, 1)
	create(t, d, volume(t, 2))
	foreign(t, d, "disk.img", 5)
	_, err := d.ManageVolume(t.Context(), volume(t, 2), "disk.img")
	require.NoError(t, err)
	_, err = d.CreateVolume(t.Context(), volume(t, 1))
	requireCode(t, fault.ResourceExhausted, err)
}
