// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	_ "github.com/gocinder/cinderlib/drivers/file"
	"github.com/gocinder/cinderlib/internal/jsonstore"
	"github.com/gocinder/cinderlib/persistence"
)

// The sweeps let step N of a verb fail, or kill the process there, for every N:
// each call of the driver, the store and the connector is a step, and each is
// hit twice, before it did anything and after it did all. Afterwards the array
// (files), the host (links) and the store must be as before, or the store must
// tell what is left and Recover must settle it.

// steps counts the steps of a verb and acts at one of them.
type steps struct {
	mu    sync.Mutex
	on    bool
	names []string
	at    int // counted from 1; 0 is never
	after bool
	act   func() error
}

func (s *steps) do(name string, f func() error) error {
	s.mu.Lock()
	act := false
	if s.on {
		s.names = append(s.names, name)
		act = len(s.names) == s.at
	}
	s.mu.Unlock()
	if act && !s.after {
		return s.act()
	}
	err := f()
	if act && err == nil {
		return s.act()
	}
	return err
}

func (s *steps) start(at int, after bool, act func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.names, s.at, s.after, s.act = true, nil, at, after, act
}

func (s *steps) stop() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = false
	return slices.Clone(s.names)
}

// sweepDriver is the file driver with steps. What is exported is kept in a
// file, so that a forgotten export is seen.
type sweepDriver struct {
	d     drivers.Driver
	dir   string
	steps *steps
}

func (d *sweepDriver) Stats(ctx context.Context) (*drivers.Stats, error) { return d.d.Stats(ctx) }
func (d *sweepDriver) Close() error                                      { return d.d.Close() }

func (d *sweepDriver) CreateVolume(ctx context.Context, v *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.CreateVolume", func() error { u, err = d.d.CreateVolume(ctx, v); return err })
	return u, err
}

func (d *sweepDriver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.DeleteVolume", func() error { return d.d.DeleteVolume(ctx, v) })
}

func (d *sweepDriver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	return d.steps.do("driver.ExtendVolume", func() error { return d.d.ExtendVolume(ctx, v, size) })
}

func (d *sweepDriver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.CloneVolume", func() error { u, err = d.d.CloneVolume(ctx, v, src); return err })
	return u, err
}

func (d *sweepDriver) InspectVolume(ctx context.Context, v *drivers.Volume) (s *drivers.VolumeState, err error) {
	err = d.steps.do("driver.InspectVolume", func() error { s, err = d.d.InspectVolume(ctx, v); return err })
	return s, err
}

func (d *sweepDriver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (u *drivers.SnapshotUpdate, err error) {
	err = d.steps.do("driver.CreateSnapshot", func() error { u, err = d.d.CreateSnapshot(ctx, s, v); return err })
	return u, err
}

func (d *sweepDriver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	return d.steps.do("driver.DeleteSnapshot", func() error { return d.d.DeleteSnapshot(ctx, s, v) })
}

func (d *sweepDriver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.VolumeFromSnapshot", func() error { u, err = d.d.VolumeFromSnapshot(ctx, v, s, src); return err })
	return u, err
}

func (d *sweepDriver) export(v *drivers.Volume) string { return filepath.Join(d.dir, "export-"+v.ID) }

func (d *sweepDriver) Export(ctx context.Context, v *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.Export", func() error {
		auth := drivers.Secret("CHAP user secret")
		u = &drivers.VolumeUpdate{ProviderAuth: &auth}
		return os.WriteFile(d.export(v), nil, 0o600)
	})
	return u, err
}

func (d *sweepDriver) Unexport(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.Unexport", func() error { return gone(os.Remove(d.export(v))) })
}

// mapping is the trace of one host's access. It is by connection here, so that
// two connections of the same host are told apart.
func (d *sweepDriver) mapping(v *drivers.Volume, a *drivers.Attachment) string {
	return filepath.Join(d.dir, "map-"+v.ID+"-"+a.ID)
}

func (d *sweepDriver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (i *connector.ConnInfo, err error) {
	err = d.steps.do("driver.Connect", func() error {
		if _, err := os.Stat(d.export(v)); err != nil {
			return fmt.Errorf("connect without export: %w", err)
		}
		i, err = d.d.Connect(ctx, v, a)
		if err != nil {
			return err
		}
		i.Protocol = "sweep"
		return os.WriteFile(d.mapping(v, a), nil, 0o600)
	})
	return i, err
}

func (d *sweepDriver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	return d.steps.do("driver.Disconnect", func() error { return gone(os.Remove(d.mapping(v, a))) })
}

func (d *sweepDriver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	return d.steps.do("driver.RevertToSnapshot", func() error { return d.d.(drivers.Reverter).RevertToSnapshot(ctx, v, s) })
}

func (d *sweepDriver) ListVolumes(ctx context.Context) (l []drivers.ExistingVolume, err error) {
	err = d.steps.do("driver.ListVolumes", func() error { l, err = d.d.(drivers.Manager).ListVolumes(ctx); return err })
	return l, err
}

func (d *sweepDriver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.ManageVolume", func() error { u, err = d.d.(drivers.Manager).ManageVolume(ctx, v, ref); return err })
	return u, err
}

func (d *sweepDriver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.UnmanageVolume", func() error { return d.d.(drivers.Manager).UnmanageVolume(ctx, v) })
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweepStore is a store with steps.
type sweepStore struct {
	persistence.Store
	steps *steps
}

func (s *sweepStore) Volumes(ctx context.Context, f persistence.VolumeFilter) (l []*drivers.Volume, err error) {
	err = s.steps.do("store.Volumes", func() error { l, err = s.Store.Volumes(ctx, f); return err })
	return l, err
}

func (s *sweepStore) Snapshots(ctx context.Context, f persistence.SnapshotFilter) (l []*drivers.Snapshot, err error) {
	err = s.steps.do("store.Snapshots", func() error { l, err = s.Store.Snapshots(ctx, f); return err })
	return l, err
}

func (s *sweepStore) Connections(ctx context.Context, f persistence.ConnectionFilter) (l []*persistence.Connection, err error) {
	err = s.steps.do("store.Connections", func() error { l, err = s.Store.Connections(ctx, f); return err })
	return l, err
}

func (s *sweepStore) Write(ctx context.Context, ops ...persistence.Op) error {
	return s.steps.do("store.Write", func() error { return s.Store.Write(ctx, ops...) })
}

// sweepConnector attaches by making a link in the host's folder.
type sweepConnector struct {
	dir   string
	steps *steps
}

func (c *sweepConnector) link(r connector.Request) (path, target string) {
	d, ok := r.Info.Data.(*connector.RawData)
	if ok {
		target, _ = d.Values["device_path"].(string)
	} else if l, ok := r.Info.Data.(*connector.LocalData); ok {
		target = l.DevicePath
	}
	return filepath.Join(c.dir, filepath.Base(target)), target
}

func (c *sweepConnector) Attach(ctx context.Context, r connector.Request) (d *connector.Device, err error) {
	err = c.steps.do("connector.Attach", func() error {
		path, target := c.link(r)
		d = &connector.Device{Type: "local", Path: path}
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil && d != nil { // what failed is taken back by the connector itself
		return nil, errors.Join(err, gone(os.Remove(d.Path)))
	}
	return d, err
}

func (c *sweepConnector) Detach(ctx context.Context, r connector.Request) error {
	return c.steps.do("connector.Detach", func() error {
		path, _ := c.link(r)
		return gone(os.Remove(path))
	})
}

func (c *sweepConnector) Extend(ctx context.Context, r connector.Request) (n int64, err error) {
	err = c.steps.do("connector.Extend", func() error {
		info, err := os.Stat(r.Device.Path)
		if err == nil {
			n = info.Size()
		}
		return err
	})
	return n, err
}

func (c *sweepConnector) Paths(_ context.Context, r connector.Request) ([]string, error) {
	path, _ := c.link(r)
	if _, err := os.Lstat(path); err != nil {
		return nil, gone(err)
	}
	return []string{path}, nil
}

// world is one array, one host and one store, in a folder.
type world struct {
	dir     string
	steps   *steps
	lib     *cinderlib.Library
	backend *cinderlib.Backend
}

type sweepOptions struct {
	drivers.CommonOptions
	Directory string `option:"file_directory" required:"true" help:"folder of the volumes"`
}

func openWorld(ctx context.Context, dir string) (*world, error) {
	w := &world{dir: dir, steps: &steps{}}
	for _, sub := range []string{"array", "host", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	store, err := jsonstore.Open(filepath.Join(dir, "store.json"))
	if err != nil {
		return nil, err
	}
	registration := drivers.NewRegistration("sweep", func(ctx context.Context, env drivers.Env, o sweepOptions) (drivers.Driver, error) {
		file, err := drivers.Lookup("file")
		if err != nil {
			return nil, err
		}
		d, err := file.Open(ctx, env, map[string]any{
			"volume_backend_name": o.BackendName, "volume_driver": "file", "file_directory": o.Directory,
		}, false)
		return &sweepDriver{d, dir, w.steps}, err
	})
	w.lib, err = cinderlib.New(
		cinderlib.WithFileLocksPath(filepath.Join(dir, "locks")),
		cinderlib.WithStore(&sweepStore{store, w.steps}),
		cinderlib.WithHostName("here"),
		cinderlib.WithDriver(registration),
		cinderlib.WithConnector("sweep", func(*connector.Host) connector.Connector {
			return &sweepConnector{filepath.Join(dir, "host"), w.steps}
		}),
	)
	if err != nil {
		return nil, err
	}
	w.backend, err = w.lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "b", "volume_driver": "sweep", "file_directory": filepath.Join(dir, "array"),
	})
	return w, err
}

// The objects that every world starts with.
const (
	baseID = "00000000-0000-4000-8000-000000000001"
	snapID = "00000000-0000-4000-8000-000000000002"
	freeID = "00000000-0000-4000-8000-000000000003" // a volume without snapshots
	heldID = "00000000-0000-4000-8000-000000000004" // a volume with a connection
	connID = "00000000-0000-4000-8000-000000000005"
	newOne = "00000000-0000-4000-8000-000000000009"
)

func (w *world) volume(ctx context.Context, id string) (*cinderlib.Volume, error) {
	return w.lib.VolumeByID(ctx, id)
}

// furnish makes the objects. The base volume holds "base now", its snapshot
// "base then".
func (w *world) furnish(ctx context.Context) error {
	base, err := w.backend.CreateVolume(ctx, 1, cinderlib.WithID(baseID), cinderlib.WithName("base"))
	if err != nil {
		return err
	}
	if err := w.put(baseID, "base then"); err != nil {
		return err
	}
	if _, err := base.CreateSnapshot(ctx, cinderlib.WithID(snapID)); err != nil {
		return err
	}
	if err := w.put(baseID, "base now "); err != nil {
		return err
	}
	if _, err := w.backend.CreateVolume(ctx, 1, cinderlib.WithID(freeID)); err != nil {
		return err
	}
	held, err := w.backend.CreateVolume(ctx, 1, cinderlib.WithID(heldID))
	if err != nil {
		return err
	}
	props, err := w.lib.HostProperties(ctx, connector.PropertiesOptions{})
	if err != nil {
		return err
	}
	if _, err := held.Connect(ctx, props, cinderlib.WithID(connID)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "array", "foreign"), make([]byte, 4096), 0o600)
}

func (w *world) file(id string) string { return filepath.Join(w.dir, "array", "volume-"+id) }

func (w *world) put(id, text string) error {
	f, err := os.OpenFile(w.file(id), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (w *world) has(id, text string) bool {
	f, err := os.Open(w.file(id))
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, len(text))
	_, err = f.Read(got)
	return err == nil && string(got) == text
}

// verbs are what is swept. prepare runs before the steps are counted.
var verbs = []struct {
	name    string
	prepare func(context.Context, *world) error
	run     func(context.Context, *world) error
}{
	{"create", nil, func(ctx context.Context, w *world) error {
		_, err := w.backend.CreateVolume(ctx, 2, cinderlib.WithID(newOne))
		return err
	}},
	{"clone", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, baseID)
		if err != nil {
			return err
		}
		_, err = v.Clone(ctx, cinderlib.WithID(newOne), cinderlib.WithSize(2))
		return err
	}},
	{"from snapshot", nil, func(ctx context.Context, w *world) error {
		s, err := w.lib.SnapshotByID(ctx, snapID)
		if err != nil {
			return err
		}
		_, err = s.CreateVolume(ctx, cinderlib.WithID(newOne), cinderlib.WithSize(2))
		return err
	}},
	{"snapshot", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, baseID)
		if err != nil {
			return err
		}
		_, err = v.CreateSnapshot(ctx, cinderlib.WithID(newOne))
		return err
	}},
	{"extend", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, baseID)
		if err != nil {
			return err
		}
		_, err = v.Extend(ctx, 3)
		return err
	}},
	{"delete", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, freeID)
		if err != nil {
			return err
		}
		return v.Delete(ctx)
	}},
	{"delete snapshot", nil, func(ctx context.Context, w *world) error {
		s, err := w.lib.SnapshotByID(ctx, snapID)
		if err != nil {
			return err
		}
		return s.Delete(ctx)
	}},
	{"revert", func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, baseID)
		if err != nil {
			return err
		}
		_, err = v.Extend(ctx, 2) // the snapshot is smaller
		return err
	}, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, baseID)
		if err != nil {
			return err
		}
		snapshots, err := v.Snapshots(ctx)
		if err != nil {
			return err
		}
		return v.Revert(ctx, snapshots[0])
	}},
	{"connect", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, freeID)
		if err != nil {
			return err
		}
		_, err = v.Connect(ctx, &connector.Properties{Host: "there"}, cinderlib.WithID(newOne))
		return err
	}},
	{"connect another", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, heldID)
		if err != nil {
			return err
		}
		_, err = v.Connect(ctx, &connector.Properties{Host: "there"}, cinderlib.WithID(newOne))
		return err
	}},
	{"attach", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, freeID)
		if err != nil {
			return err
		}
		_, err = v.Attach(ctx, cinderlib.WithID(newOne))
		return err
	}},
	{"attach connection", nil, func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		return c.Attach(ctx)
	}},
	{"detach", func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		return c.Attach(ctx)
	}, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, heldID)
		if err != nil {
			return err
		}
		return v.Cleanup(ctx) // detach and disconnect
	}},
	{"extend attached", func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		return c.Attach(ctx)
	}, func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		v, err := c.Volume(ctx)
		if err != nil {
			return err
		}
		if _, err := v.Extend(ctx, 4); err != nil {
			return err
		}
		_, err = c.Extend(ctx)
		return err
	}},
	{"disconnect", nil, func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		return c.Disconnect(ctx)
	}},
	{"manage", nil, func(ctx context.Context, w *world) error {
		_, err := w.backend.ManageVolume(ctx, "foreign", cinderlib.WithID(newOne))
		return err
	}},
	{"unmanage", nil, func(ctx context.Context, w *world) error {
		v, err := w.volume(ctx, freeID)
		if err != nil {
			return err
		}
		return v.Unmanage(ctx)
	}},
}

// state is everything there is: files with their sizes, links, records.
func (w *world) state(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, pattern := range []string{"array/*", "host/*", "export-*", "map-*"} {
		names, err := filepath.Glob(filepath.Join(w.dir, pattern))
		require.NoError(t, err)
		for _, name := range names {
			if filepath.Base(name) == ".provisioned" {
				continue // a bound that the driver keeps of itself
			}
			info, err := os.Lstat(name)
			require.NoError(t, err)
			fmt.Fprintf(&out, "%s %d\n", strings.TrimPrefix(name, w.dir), info.Size())
		}
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "store.json"))
	require.NoError(t, err)
	// What the array said of the export may stay known.
	text = bytes.ReplaceAll(text, []byte(`"provider_auth":"CHAP user secret"`), []byte(`"provider_auth":null`))
	out.Write(text)
	return out.String()
}

// settled checks that array, host and store agree, and that nothing is in
// between. unmanaged says that the free volume may be on the array alone.
func (w *world) settled(t *testing.T, unmanaged bool) {
	t.Helper()
	ctx := t.Context()
	store := w.lib.Persistence()
	volumes, err := store.Volumes(ctx, persistence.VolumeFilter{})
	require.NoError(t, err)
	known := map[string]bool{
		filepath.Join(w.dir, "array", "foreign"):      true,
		filepath.Join(w.dir, "array", ".provisioned"): true, // a bound that the driver keeps
	}
	if unmanaged {
		known[w.file(freeID)] = true
	}
	mapped := map[string]bool{}
	for _, v := range volumes {
		known[w.file(v.ID)] = true
		info, err := os.Stat(w.file(v.ID))
		if assert.NoError(t, err, "volume %s with status %s is not on the array", v.ID, v.Status) {
			assert.Equal(t, int64(v.Size)<<30, info.Size(), "size of volume %s", v.ID)
		}
		connections, err := store.Connections(ctx, persistence.ConnectionFilter{VolumeID: v.ID})
		require.NoError(t, err)
		want := "available"
		if len(connections) > 0 {
			want = "in-use"
		}
		assert.Equal(t, want, v.Status, "volume %s", v.ID)
		_, err = os.Stat(filepath.Join(w.dir, "export-"+v.ID))
		assert.Equal(t, len(connections) > 0, err == nil, "volume %s: %d connections, export: %v", v.ID, len(connections), err)
		for _, c := range connections {
			assert.Equal(t, persistence.AttachAttached, c.AttachStatus, "connection %s", c.ID)
			mapped[filepath.Join(w.dir, "map-"+v.ID+"-"+c.ID)] = true
			link := filepath.Join(w.dir, "host", "volume-"+v.ID)
			_, err := os.Lstat(link)
			if c.Device != nil {
				known[link] = true
				assert.NoError(t, err, "device of connection %s", c.ID)
			}
		}
	}
	snapshots, err := store.Snapshots(ctx, persistence.SnapshotFilter{})
	require.NoError(t, err)
	for _, s := range snapshots {
		path := filepath.Join(w.dir, "array", "snapshot-"+s.ID)
		known[path] = true
		assert.Equal(t, "available", s.Status, "snapshot %s", s.ID)
		assert.FileExists(t, path)
	}
	for _, pattern := range []string{"array/*", "host/*"} {
		names, err := filepath.Glob(filepath.Join(w.dir, pattern))
		require.NoError(t, err)
		for _, name := range names {
			assert.True(t, known[name], "%s is known to nobody", name)
		}
	}
	maps, err := filepath.Glob(filepath.Join(w.dir, "map-*"))
	require.NoError(t, err)
	for _, name := range maps {
		assert.True(t, mapped[name], "%s is known to nobody", name)
		delete(mapped, name)
	}
	assert.Empty(t, mapped, "connections that the array does not have")
}

// unharmed checks that no verb lost what it was not told to remove.
func (w *world) unharmed(t *testing.T, verb string) {
	t.Helper()
	if verb == "revert" {
		assert.True(t, w.has(baseID, "base now ") || w.has(baseID, "base then"), "content of the base volume")
	} else {
		assert.True(t, w.has(baseID, "base now "), "content of the base volume")
	}
	found, err := w.lib.Persistence().Snapshots(t.Context(), persistence.SnapshotFilter{ID: snapID})
	require.NoError(t, err)
	assert.True(t, len(found) == 1 || verb == "delete snapshot", "the snapshot")
	free, err := w.lib.Persistence().Volumes(t.Context(), persistence.VolumeFilter{ID: freeID})
	require.NoError(t, err)
	assert.True(t, len(free) == 1 || verb == "delete" || verb == "unmanage", "the free volume")
	held, err := w.lib.Persistence().Volumes(t.Context(), persistence.VolumeFilter{ID: heldID})
	require.NoError(t, err)
	assert.Len(t, held, 1, "the held volume")
	if verb == "manage" {
		_, errOld := os.Stat(filepath.Join(w.dir, "array", "foreign"))
		_, errNew := os.Stat(w.file(newOne))
		assert.True(t, errOld == nil || errNew == nil, "the managed file")
	} else {
		assert.FileExists(t, filepath.Join(w.dir, "array", "foreign"))
	}
}

var errInjected = errors.New("injected fault")

func TestFaultSweep(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	faults, recovered := 0, 0
	t.Run("verbs", func(t *testing.T) {
		for _, verb := range verbs {
			t.Run(verb.name, func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					reached := false
					for _, after := range []bool{false, true} {
						r, settledByRecover := faultAt(t, verb.name, verb.prepare, verb.run, at, after)
						reached = reached || r
						if !r {
							continue
						}
						mu.Lock()
						faults++
						if settledByRecover {
							recovered++
						}
						mu.Unlock()
					}
					if !reached {
						require.Greater(t, at, 2, "the verb has no steps")
						return
					}
				}
			})
		}
	})
	t.Logf("%d faults tried in %d verbs; %d of them were settled by Recover, the rest by the verb itself", faults, len(verbs), recovered)
	assert.Greater(t, faults, 150)
}

// faultAt lets one step fail, and returns whether the verb has that step, and
// whether it took Recover to settle it.
func faultAt(t *testing.T, name string, prepare, run func(context.Context, *world) error, at int, after bool) (reached, byRecover bool) {
	t.Helper()
	ctx := t.Context()
	w, err := openWorld(ctx, t.TempDir())
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.lib.Close(context.WithoutCancel(ctx))) }()
	require.NoError(t, w.furnish(ctx))
	if prepare != nil {
		require.NoError(t, prepare(ctx, w))
	}
	before := w.state(t)
	w.steps.start(at, after, func() error { return errInjected })
	err = run(ctx, w)
	names := w.steps.stop()
	if len(names) < at {
		require.NoError(t, err)
		return false, false
	}
	where := fmt.Sprintf("%s: fault in step %d (%s, after: %v) of %v; the verb's error: %v", name, at, names[at-1], after, names, err)
	if err != nil {
		require.ErrorIs(t, err, errInjected, where)
		require.NotContains(t, err.Error(), "secret", where)
	}
	ok := true
	if w.state(t) != before {
		_, err = w.backend.Recover(ctx)
		ok = assert.NoError(t, err, where)
		byRecover = true
	}
	require.True(t, ok && t.Run("", func(t *testing.T) {
		w.settled(t, name == "unmanage")
		w.unharmed(t, name)
	}), where)
	return true, byRecover
}

// The kill sweep's child: it opens the world, and is killed in the verb.
const childEnv = "CINDERLIB_TEST_KILL"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(killedChild(spec))
	}
	os.Exit(m.Run())
}

// killedChild runs one verb; it returns only if the step does not exist.
func killedChild(spec string) int {
	fields := strings.Split(spec, "|") // DIR|VERB|STEP|AFTER
	at, _ := strconv.Atoi(fields[2])
	ctx := context.Background()
	w, err := openWorld(ctx, fields[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for _, verb := range verbs {
		if verb.name != fields[1] {
			continue
		}
		w.steps.start(at, fields[3] == "true", func() error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		})
		if err := verb.run(ctx, w); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return 0
	}
	return 2
}

func TestKillSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	var mu sync.Mutex
	kills, settled := 0, 0
	t.Run("verbs", func(t *testing.T) {
		for _, verb := range verbs {
			t.Run(verb.name, func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					reached := false
					for _, after := range []bool{false, true} {
						killed, by := killAt(t, self, verb.name, verb.prepare, at, after)
						reached = reached || killed
						if killed {
							mu.Lock()
							kills++
							settled += by
							mu.Unlock()
						}
					}
					if !reached {
						return
					}
				}
			})
		}
	})
	t.Logf("%d kills in %d verbs; Recover settled %d records", kills, len(verbs), settled)
	assert.Greater(t, kills, 150)
}

func killAt(t *testing.T, self, name string, prepare func(context.Context, *world) error, at int, after bool) (killed bool, settled int) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	w, err := openWorld(ctx, dir)
	require.NoError(t, err)
	require.NoError(t, w.furnish(ctx))
	if prepare != nil {
		require.NoError(t, prepare(ctx, w))
	}
	require.NoError(t, w.lib.Close(ctx))

	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d|%v", childEnv, dir, name, at, after))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err == nil {
		return false, 0
	}
	require.ErrorAs(t, err, &exit)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "the child ended otherwise: %v %s", err, &stderr)

	w, err = openWorld(ctx, dir)
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.lib.Close(context.WithoutCancel(ctx))) }()
	where := fmt.Sprintf("%s: killed in step %d, after: %v", name, at, after)
	done, err := w.backend.Recover(ctx)
	require.NoError(t, err, where)
	for _, d := range done {
		require.False(t, d.Busy, "%s: a dead process still holds the lock of %s", where, d.ID)
	}
	require.True(t, t.Run("", func(t *testing.T) {
		w.settled(t, name == "unmanage")
		w.unharmed(t, name)
	}), where)
	again, err := w.backend.Recover(ctx)
	require.NoError(t, err, where)
	require.Empty(t, again, "%s: nothing is left for a second Recover", where)
	return true, len(done)
}
