// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// newFile is a backend of the file driver in a folder of its own.
func newFile(t testing.TB, opts ...cinderlib.Option) *cinderlib.Backend {
	t.Helper()
	return newFileIn(t, t.TempDir(), "file", opts...)
}

func newFileIn(t testing.TB, dir, attach string, opts ...cinderlib.Option) *cinderlib.Backend {
	t.Helper()
	lib, err := cinderlib.New(append([]cinderlib.Option{
		cinderlib.WithFileLocksPath(filepath.Join(t.TempDir(), "locks")),
		cinderlib.WithHostName("here"),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, lib.Close(context.Background())) })
	b, err := lib.NewBackend(t.Context(), cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": dir, "file_attach": attach,
	})
	require.NoError(t, err)
	return b
}

func library(b *cinderlib.Backend) *cinderlib.Library { return cinderlib.LibraryOf(b) }

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(text), 4096)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func read(t *testing.T, path string, n int) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	text := make([]byte, n)
	_, err = f.ReadAt(text, 4096)
	require.NoError(t, err)
	return string(text)
}

func TestLifeOfAVolume(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	volumes, err := b.Volumes(ctx)
	require.NoError(t, err)
	require.Empty(t, volumes)

	v, err := b.CreateVolume(ctx, 1, cinderlib.WithName("data"), cinderlib.WithDescription("of the test"),
		cinderlib.WithMetadata(map[string]string{"k": "v"}), cinderlib.WithBootable(true),
		cinderlib.WithExtraSpecs(map[string]string{"thin": "yes"}), cinderlib.WithQoSSpecs(map[string]string{"maxIOPS": "5"}))
	require.NoError(t, err)
	info := v.Info()
	assert.Equal(t, "available", v.Status())
	assert.Equal(t, "here@disk#disk", info.Host)
	assert.Equal(t, v.ID(), info.VolumeTypeID)
	assert.Equal(t, map[string]string{"maxIOPS": "5"}, v.QoSSpecs())
	assert.Equal(t, "volume-"+v.ID(), v.NameOnArray())
	volumes, err = b.Volumes(ctx)
	require.NoError(t, err)
	require.Len(t, volumes, 1)
	assert.Same(t, v, volumes[0])

	c, err := v.Attach(ctx)
	require.NoError(t, err)
	assert.Same(t, c, v.LocalAttach())
	assert.True(t, c.Attached())
	assert.Equal(t, "in-use", v.Status())
	assert.Equal(t, connector.ReadWrite, c.AttachMode())
	write(t, c.Path(), "first")
	bytes, err := v.Extend(ctx, 2)
	require.NoError(t, err)
	assert.Equal(t, int64(2<<30), bytes)
	assert.Equal(t, "in-use", v.Status())
	_, err = v.Attach(ctx)
	require.ErrorIs(t, err, cinderlib.ErrInUse)
	require.NoError(t, v.Detach(ctx))
	assert.Nil(t, v.LocalAttach())
	assert.False(t, c.Connected())
	assert.Equal(t, "available", v.Status())
	require.ErrorIs(t, v.Detach(ctx), cinderlib.ErrNotLocal)

	s, err := v.CreateSnapshot(ctx, cinderlib.WithName("then"))
	require.NoError(t, err)
	same, err := s.Volume(ctx)
	require.NoError(t, err)
	assert.Same(t, v, same)
	snapshots, err := v.Snapshots(ctx)
	require.NoError(t, err)
	require.Len(t, snapshots, 1)
	assert.Equal(t, s.ID(), snapshots[0].ID())
	require.ErrorIs(t, v.Delete(ctx), cinderlib.ErrHasSnapshots)
	assert.Equal(t, "available", v.Status())

	c, err = v.Attach(ctx)
	require.NoError(t, err)
	write(t, c.Path(), "later")
	require.NoError(t, v.Detach(ctx))

	clone, err := v.Clone(ctx, cinderlib.WithSize(3), cinderlib.WithName("clone"))
	require.NoError(t, err)
	assert.Equal(t, 3, clone.Size())
	assert.Equal(t, v.ID(), clone.Info().SourceVolumeID)
	assert.Equal(t, map[string]string{"k": "v"}, clone.Metadata())
	assert.Equal(t, map[string]string{"thin": "yes"}, clone.ExtraSpecs())
	assert.Equal(t, clone.ID(), clone.Info().VolumeType.ID, "a type of its own")
	assert.NotEqual(t, v.Info().CreatedAt, clone.Info().CreatedAt)
	then, err := s.CreateVolume(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2, then.Size())
	for vol, want := range map[*cinderlib.Volume]string{clone: "later", then: "first"} {
		c, err := vol.Attach(ctx)
		require.NoError(t, err)
		assert.Equal(t, want, read(t, c.Path(), 5))
		require.NoError(t, vol.Detach(ctx))
	}
	require.NoError(t, v.Revert(ctx, s))
	c, err = v.Attach(ctx)
	require.NoError(t, err)
	assert.Equal(t, "first", read(t, c.Path(), 5))
	require.ErrorIs(t, v.Revert(ctx, s), cinderlib.ErrInUse)
	require.NoError(t, v.Detach(ctx))

	require.NoError(t, s.Delete(ctx))
	require.NoError(t, s.Delete(ctx), "again")
	assert.True(t, s.Deleted())
	for _, vol := range []*cinderlib.Volume{v, clone, then} {
		require.NoError(t, vol.Delete(ctx))
		require.NoError(t, vol.Delete(ctx), "again")
		assert.Equal(t, "deleted", vol.Status())
	}
	volumes, err = b.Volumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, volumes)
	left, err := b.ManageableVolumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestHandlesSeeWhatIsStored(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	other, err := library(b).VolumeByID(ctx, v.ID())
	require.NoError(t, err)
	assert.NotSame(t, v, other)
	_, err = other.Extend(ctx, 2)
	require.NoError(t, err)
	assert.Equal(t, 1, v.Size(), "handles that were not obtained from one another")
	_, err = v.Extend(ctx, 2)
	require.ErrorIs(t, err, cinderlib.ErrInvalid, "verbs act on what is stored")
	assert.Equal(t, 2, v.Size())
	require.NoError(t, other.Update(ctx, cinderlib.WithName("n"), cinderlib.WithMetadata(map[string]string{"a": "b"})))
	require.NoError(t, v.Refresh(ctx))
	assert.Equal(t, "n", v.Name())
	assert.Equal(t, map[string]string{"a": "b"}, v.Metadata())
	require.NoError(t, v.Update(ctx, cinderlib.WithMetadata(nil)))
	assert.Empty(t, v.Metadata())

	require.NoError(t, other.Delete(ctx))
	require.ErrorIs(t, v.Refresh(ctx), cinderlib.ErrNotFound)
	_, err = v.Extend(ctx, 3)
	require.ErrorIs(t, err, cinderlib.ErrNotFound)
	require.NoError(t, v.Delete(ctx))
	volumes, err := b.Volumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, volumes)
}

func TestRefreshKeepsHandles(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	s, err := v.CreateSnapshot(ctx)
	require.NoError(t, err)
	_, err = v.Snapshots(ctx)
	require.NoError(t, err)
	c, err := v.Attach(ctx)
	require.NoError(t, err)
	before, err := v.Snapshots(ctx)
	require.NoError(t, err)
	require.NoError(t, v.Refresh(ctx))
	after, err := v.Snapshots(ctx)
	require.NoError(t, err)
	assert.Same(t, before[0], after[0])
	assert.Same(t, c, v.LocalAttach())
	_, err = b.Volumes(ctx)
	require.NoError(t, err)
	require.NoError(t, b.Refresh(ctx))
	require.NoError(t, v.Detach(ctx))
	require.NoError(t, s.Delete(ctx))
}

func TestCreateWithATakenID(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1, cinderlib.WithID(baseID))
	require.NoError(t, err)
	_, err = b.CreateVolume(ctx, 1, cinderlib.WithID(baseID))
	require.ErrorIs(t, err, cinderlib.ErrExists)
	assert.Equal(t, cinderlib.CodeAlreadyExists, cinderlib.CodeOf(err))
	taken, ok := cinderlib.Resource(err).(*cinderlib.Volume)
	require.True(t, ok)
	assert.Equal(t, 1, taken.Size())
	require.NoError(t, taken.Delete(ctx))
	require.NoError(t, v.Delete(ctx))
}

// The export goes with the last connection, and the driver is told of others.
func TestSeveralConnections(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newBroken(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	one, err := v.Connect(ctx, &connector.Properties{Host: "one"}, cinderlib.WithAttachedHost("one"), cinderlib.WithMountpoint("/mnt"))
	require.NoError(t, err)
	two, err := v.Connect(ctx, &connector.Properties{Host: "two"}, cinderlib.WithAttachMode(connector.ReadOnly))
	require.NoError(t, err)
	assert.Equal(t, connector.ReadOnly, two.ConnInfo().Data.Common().AccessMode)
	connections, err := v.Connections(ctx)
	require.NoError(t, err)
	assert.Len(t, connections, 2)
	require.ErrorIs(t, v.Delete(ctx), cinderlib.ErrInUse)
	d.calls = nil
	_, err = v.Connect(ctx, &connector.Properties{Host: "three"}, cinderlib.WithID(one.ID()))
	require.ErrorIs(t, err, cinderlib.ErrExists)
	taken, ok := cinderlib.Resource(err).(*cinderlib.Connection)
	require.True(t, ok)
	assert.Equal(t, "one", taken.ConnectorInfo().Host)
	require.NoError(t, one.Disconnect(ctx))
	require.NoError(t, one.Disconnect(ctx), "again")
	assert.Equal(t, "in-use", v.Status())
	require.NoError(t, v.Disconnect(ctx, two))
	assert.Equal(t, "available", v.Status())
	assert.Equal(t, []string{"disconnect one of several", "disconnect the last", "unexport"}, d.calls)
	connections, err = v.Connections(ctx)
	require.NoError(t, err)
	assert.Empty(t, connections)
}

// A host that has the device keeps its connection, unless forced.
func TestDisconnectWhileAttached(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	c, err := v.Attach(ctx)
	require.NoError(t, err)
	require.ErrorIs(t, c.Disconnect(ctx), cinderlib.ErrInUse)
	assert.True(t, c.Connected())
	assert.Equal(t, persistence.AttachAttached, c.Status())
	require.NoError(t, c.Disconnect(ctx, cinderlib.WithForce()))
	require.NoError(t, v.Delete(ctx))
}

// A node that has no backend and no store attaches what it got as JSON.
func TestRemoteAttach(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	node, err := cinderlib.New(cinderlib.WithMissingBackends(), cinderlib.WithHostName("node"))
	require.NoError(t, err)
	host, err := node.HostProperties(ctx, connector.PropertiesOptions{})
	require.NoError(t, err)
	assert.Equal(t, "node", host.Host)
	c, err := v.Connect(ctx, host)
	require.NoError(t, err)
	text, err := c.MarshalJSON()
	require.NoError(t, err)

	there, err := node.LoadConnection(ctx, text)
	require.NoError(t, err)
	assert.Nil(t, there.Backend())
	assert.Equal(t, "disk", there.BackendName())
	require.NoError(t, there.Attach(ctx))
	write(t, there.Path(), "there")
	size, err := there.Extend(ctx)
	require.NoError(t, err)
	assert.Equal(t, int64(1<<30), size)
	require.ErrorIs(t, there.Disconnect(ctx), cinderlib.ErrNoBackend)
	require.NoError(t, there.Detach(ctx))
	require.NoError(t, there.Detach(ctx), "again")
	assert.False(t, there.Attached())

	require.NoError(t, c.Disconnect(ctx))
	c, err = v.Attach(ctx)
	require.NoError(t, err)
	assert.Equal(t, "there", read(t, c.Path(), 5))
	require.NoError(t, v.Detach(ctx))
}

func TestAttachRefusesTheWrongDevice(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	host, err := library(b).HostProperties(ctx, connector.PropertiesOptions{})
	require.NoError(t, err)
	c, err := v.Connect(ctx, host)
	require.NoError(t, err)
	path := c.ConnInfo().Data.(*connector.LocalData).DevicePath
	require.NoError(t, os.Truncate(path, 4096))
	err = c.Attach(ctx)
	require.ErrorIs(t, err, cinderlib.ErrWrongDevice)
	assert.False(t, c.Attached())
	assert.Equal(t, persistence.AttachAttached, c.Status())
	require.NoError(t, os.Truncate(path, 1<<30))
	require.NoError(t, c.Attach(ctx))
	require.NoError(t, c.Detach(ctx))
	require.NoError(t, c.Disconnect(ctx))
}

func TestManage(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 1, cinderlib.WithName("kept"))
	require.NoError(t, err)
	id := v.ID()
	require.NoError(t, v.Unmanage(ctx))
	_, err = library(b).VolumeByID(ctx, id)
	require.ErrorIs(t, err, cinderlib.ErrNotFound)
	list, err := b.ManageableVolumes(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Empty(t, list[0].NotSafe)
	back, err := b.ManageVolume(ctx, list[0].Reference, cinderlib.WithName("back"))
	require.NoError(t, err)
	assert.Equal(t, id, back.ID())
	list, err = b.ManageableVolumes(ctx)
	require.NoError(t, err)
	assert.Equal(t, "already managed", list[0].NotSafe)
	_, err = b.ManageVolume(ctx, list[0].Reference)
	require.ErrorIs(t, err, cinderlib.ErrPrecondition)
	_, err = b.ManageVolume(ctx, "none")
	require.ErrorIs(t, err, cinderlib.ErrNotFound)

	noop, _ := newBroken(t)
	_, err = noop.ManageableVolumes(ctx)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Equal(t, drivers.Capabilities{}, noop.Capabilities())
	assert.Equal(t, drivers.Capabilities{Revert: true, Retype: true, Manage: true}, b.Capabilities())
}

func TestSetPersistenceMoves(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	lib := library(b)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	_, err = v.CreateSnapshot(ctx)
	require.NoError(t, err)
	text, err := lib.Dump(ctx)
	require.NoError(t, err)
	require.NoError(t, lib.SetPersistence(ctx, map[string]any{"storage": memory.New()}))
	require.ErrorIs(t, v.Refresh(ctx), cinderlib.ErrNotFound)
	_, err = lib.Load(ctx, text, cinderlib.WithSave())
	require.NoError(t, err)
	require.NoError(t, v.Refresh(ctx))
	snapshots, err := v.Snapshots(ctx)
	require.NoError(t, err)
	assert.Len(t, snapshots, 1)
}

func TestIterator(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	lib := sampleLibrary(t, false)
	b := lib.Backend("sample")
	for range 2500 {
		_, err := b.CreateVolume(ctx, 1, cinderlib.WithName("n"))
		require.NoError(t, err)
	}
	count := 0
	for v, err := range b.AllVolumes(ctx, cinderlib.VolumeFilter{Name: "n"}) {
		require.NoError(t, err)
		require.Equal(t, "n", v.Name())
		count++
		if count%2 == 0 {
			require.NoError(t, v.Delete(ctx))
		}
	}
	assert.Equal(t, 2500, count)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	errs := 0
	for v, err := range lib.AllVolumes(ended, cinderlib.VolumeFilter{}) {
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, v)
		errs++
	}
	assert.Equal(t, 1, errs)
}

func TestKeyValues(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	lib := sampleLibrary(t, false)
	require.NoError(t, lib.SetKeyValue(ctx, cinderlib.KeyValue{Key: "node", Value: "{}"}))
	kv, err := lib.KeyValues(ctx, "node")
	require.NoError(t, err)
	assert.Equal(t, []cinderlib.KeyValue{{Key: "node", Value: "{}"}}, kv)
	require.NoError(t, lib.DeleteKeyValue(ctx, "node"))
	kv, err = lib.KeyValues(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, kv)
	require.ErrorIs(t, lib.SetKeyValue(ctx, cinderlib.KeyValue{}), cinderlib.ErrInvalid)
}

func TestSupportedDrivers(t *testing.T) {
	t.Parallel()
	assert.NotEmpty(t, cinderlib.ListSupportedDrivers())
	_, err := cinderlib.SupportedDrivers(3)
	require.ErrorIs(t, err, cinderlib.ErrInvalid)
	for version := 1; version <= 2; version++ {
		all, err := cinderlib.SupportedDrivers(version)
		require.NoError(t, err)
		for _, d := range all {
			assert.Len(t, d, 7)
			options := d["driver_options"].([]map[string]any)
			require.NotEmpty(t, options)
			for _, o := range options {
				assert.Len(t, o, 17)
				if version == 2 && o["name"] == "reserved_percentage" {
					assert.Equal(t, int64(0), o["default"])
				}
				if version == 1 {
					for k, v := range o {
						assert.IsType(t, "", v, k)
					}
				}
			}
		}
	}
}

// A handle does not go on believing that its volume is attached here, when
// another process of this host has detached it.
func TestDetachedByAnotherProcess(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, dir := memory.New(), t.TempDir()
	one := newFileIn(t, dir, "file", cinderlib.WithStore(store))
	other := newFileIn(t, dir, "file", cinderlib.WithStore(store))
	v, err := one.CreateVolume(ctx, 1)
	require.NoError(t, err)
	for _, detach := range []func(*cinderlib.Volume, *cinderlib.Connection) error{
		func(v *cinderlib.Volume, _ *cinderlib.Connection) error { return v.Cleanup(ctx) },
		func(_ *cinderlib.Volume, c *cinderlib.Connection) error { return c.Detach(ctx) },
	} {
		c, err := v.Attach(ctx)
		require.NoError(t, err)
		_, err = v.Attach(ctx)
		require.ErrorIs(t, err, cinderlib.ErrInUse)
		same, err := library(other).VolumeByID(ctx, v.ID())
		require.NoError(t, err)
		there, err := library(other).ConnectionByID(ctx, c.ID())
		require.NoError(t, err)
		require.NoError(t, detach(same, there))
	}
	_, err = v.Attach(ctx)
	require.NoError(t, err)
	require.NoError(t, v.Cleanup(ctx))
	require.NoError(t, v.Refresh(ctx))
	connections, err := v.Connections(ctx)
	require.NoError(t, err)
	for _, c := range connections {
		require.NoError(t, c.Detach(ctx))
		require.NoError(t, c.Disconnect(ctx))
	}
	require.NoError(t, v.Delete(ctx))
}
