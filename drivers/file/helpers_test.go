// SPDX-License-Identifier: Apache-2.0

package file

import (
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/fault"
)

// newDriver opens a driver and closes it after the test.
func newDriver(t testing.TB, dir string, more map[string]any) *Driver {
	t.Helper()
	d, err := openIn(t, driverstest.Env(t, "files"), dir, more)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

// without has d do without something that not every file system has.
func withoutReflinks(d *Driver) *Driver {
	d.share = func(_, _ *os.File) error { return syscall.EOPNOTSUPP }
	return d
}

func volume(t testing.TB, size int) *drivers.Volume {
	t.Helper()
	return &drivers.Volume{ID: uuid.NewString(), Size: size, Status: drivers.StatusCreating}
}

func snapshot(v *drivers.Volume) *drivers.Snapshot {
	return &drivers.Snapshot{ID: uuid.NewString(), VolumeID: v.ID, VolumeSize: v.Size, Status: drivers.StatusCreating}
}

func create(t testing.TB, d *Driver, v *drivers.Volume) {
	t.Helper()
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	v.Status = drivers.StatusAvailable
}

// write puts n bytes that are not zero at the beginning of an object.
func write(t testing.TB, d *Driver, name string, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b) // it cannot fail
	f, err := os.OpenFile(d.path(name), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return b
}

func read(t testing.TB, d *Driver, name string, n int) []byte {
	t.Helper()
	f, err := os.Open(d.path(name))
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, n)
	_, err = f.ReadAt(b, 0)
	require.NoError(t, err)
	return b
}

// objects lists the directory, but for the bound.
func objects(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		if e.Name() != boundName {
			names = append(names, e.Name())
		}
	}
	return names
}

func requireCode(t testing.TB, code fault.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, fault.CodeOf(err), "%v", err)
	assert.True(t, strings.HasPrefix(err.Error(), "file: "), "%v", err)
}
