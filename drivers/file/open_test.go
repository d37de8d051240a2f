// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/fault"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	require.NoError(t, os.WriteFile(taken, nil, 0o600))
	readOnly := filepath.Join(dir, "read-only")
	require.NoError(t, os.Mkdir(readOnly, 0o500))
	for name, c := range map[string]struct {
		dir  string
		more map[string]any
		is   error
		says string
	}{
		"no parent":       {dir: filepath.Join(dir, "a", "b"), is: drivers.ErrNotFound, says: filepath.Join(dir, "a", "b")},
		"a file":          {dir: taken, is: drivers.ErrInvalid, says: taken + ": it is not a directory"},
		"below a file":    {dir: filepath.Join(taken, "x"), is: drivers.ErrInvalid, says: taken},
		"not writable":    {dir: readOnly, is: drivers.ErrPermission, says: readOnly},
		"no directory":    {dir: "", is: drivers.ErrInvalid, says: "file_directory"},
		"ratio is text":   {dir: dir, more: map[string]any{"max_over_subscription_ratio": "much"}, is: drivers.ErrInvalid, says: `"much"`},
		"ratio below one": {dir: dir, more: map[string]any{"max_over_subscription_ratio": "0.5"}, is: drivers.ErrInvalid, says: `"0.5"`},
		"ratio endless":   {dir: dir, more: map[string]any{"max_over_subscription_ratio": "inf"}, is: drivers.ErrInvalid, says: `"inf"`},
		"attach unknown":  {dir: dir, more: map[string]any{"file_attach": "nbd"}, is: drivers.ErrInvalid, says: "file_attach"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "not writable" && os.Geteuid() == 0 {
				t.Skip("root may write anywhere")
			}
			_, err := openIn(t, driverstest.Env(t, "files"), c.dir, c.more)
			require.ErrorIs(t, err, c.is)
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestOpenMakesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "volumes")
	d, err := openIn(t, driverstest.Env(t, "files"), dir, nil)
	require.NoError(t, err)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o700, info.Mode())
	again, err := openIn(t, driverstest.Env(t, "files"), dir, nil)
	require.NoError(t, err)
	assert.Equal(t, d.lock, again.lock)
	require.NoError(t, d.Close())
	require.NoError(t, again.Close())
}

// Two ways to the same directory are one lock.
func TestLockIsOfTheRealDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	require.NoError(t, os.Mkdir(real, 0o700))
	require.NoError(t, os.Symlink(real, filepath.Join(dir, "link")))
	a := newDriver(t, real, nil)
	b := newDriver(t, filepath.Join(dir, "link"), nil)
	assert.Equal(t, a.lock, b.lock)
}

func TestRelativeDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d := newDriver(t, "volumes", nil)
	v := volume(t, 1)
	create(t, d, v)
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: &connector.Properties{}, Mode: connector.ReadOnly})
	require.NoError(t, err)
	data := info.Data.(*connector.LocalData)
	assert.True(t, filepath.IsAbs(data.DevicePath), data.DevicePath)
	assert.Equal(t, connector.ProtocolLocal, info.Protocol)
	assert.Equal(t, v.ID, data.Shared.VolumeID)
	assert.Equal(t, connector.ReadOnly, data.Shared.AccessMode)
	assert.False(t, data.Loop)
	require.FileExists(t, data.DevicePath)
}

// The host may be seen through a folder: what a connection says is the host's.
func TestHostRoot(t *testing.T) {
	t.Parallel()
	env := driverstest.Env(t, "files")
	env.Host.Root = t.TempDir()
	d, err := openIn(t, env, "/volumes", map[string]any{"file_attach": "loop"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	v := volume(t, 1)
	create(t, d, v)
	require.FileExists(t, filepath.Join(env.Host.Root, "volumes", v.NameOnArray()))
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: &connector.Properties{}, Mode: connector.ReadWrite})
	require.NoError(t, err)
	assert.Equal(t, "/volumes/"+v.NameOnArray(), info.Data.(*connector.LocalData).DevicePath)
	assert.True(t, info.Data.(*connector.LocalData).Loop)
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	r, err := drivers.Lookup("file")
	require.NoError(t, err)
	assert.Empty(t, r.Aliases, "Cinder has no such driver")
	assert.Equal(t, Version, r.Version)
	assert.Contains(t, r.Description, "sparse files")
}

// A directory that is exchanged behind the driver's back is not an empty one.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	for name, exchange := range map[string]func(t *testing.T, dir string){
		"gone":    func(*testing.T, string) {},
		"another": func(t *testing.T, dir string) { require.NoError(t, os.Mkdir(dir, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "volumes")
			d := newDriver(t, dir, nil)
			v := volume(t, 1)
			create(t, d, v)
			require.NoError(t, os.Rename(dir, dir+".away"))
			exchange(t, dir)
			_, err := d.InspectVolume(t.Context(), v)
			requireCode(t, fault.Unavailable, err)
			require.NotErrorIs(t, err, drivers.ErrNotFound)
			requireCode(t, fault.Unavailable, d.DeleteVolume(t.Context(), v))
			_, err = d.CreateVolume(t.Context(), v)
			requireCode(t, fault.Unavailable, err)
			_, err = d.ManageVolume(t.Context(), v, "x")
			requireCode(t, fault.Unavailable, err)
			_, err = d.ListVolumes(t.Context())
			require.Error(t, err)
			_, err = d.Stats(t.Context())
			require.Error(t, err)

			_ = os.Remove(dir)
			require.NoError(t, os.Rename(dir+".away", dir))
			_, err = d.InspectVolume(t.Context(), v)
			require.NoError(t, err, "it is back")
		})
	}
}

func TestErrorsSayWhatOnce(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v := volume(t, 1)
	v.ID = "1f"
	_, err := d.InspectVolume(t.Context(), v)
	require.EqualError(t, err, "file: inspect volume-1f: there is no file "+d.path("volume-1f"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.CreateVolume(ctx, v)
	require.EqualError(t, err, "file: create volume-1f: context canceled")
	assert.Equal(t, fault.Canceled, fault.CodeOf(err))
}
