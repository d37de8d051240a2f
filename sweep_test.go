// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	_ "github.com/gocinder/cinderlib/drivers/file"
	"github.com/gocinder/cinderlib/internal/jsonstore"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// The sweeps let step N of a verb fail, or kill the process there, for every N:
// each call of the driver, the store and the connector is a step, and each is
// hit twice, before it did anything and after it did all. Afterwards the array
// (files), the host (links) and the store must be as before, or the store must
// tell what is left and Recover must settle it.

// world is one array, one host and one store, in a folder.
type world struct {
	dir     string
	steps   *steps
	store   persistence.Store
	lib     *cinderlib.Library
	backend *cinderlib.Backend
}

// The stores that are swept, each by the URL of a database for the world in a
// folder; that of a JSON file is empty.
func jsonFile(*testing.T, string) string { return "" }
func sqliteFile(_ *testing.T, dir string) string {
	return "sqlite:///" + filepath.Join(dir, "store.sqlite")
}
func mariaDB(t *testing.T, _ string) string { return mysqltest.Fresh(t) }

type sweepOptions struct {
	drivers.CommonOptions
	Directory string `option:"file_directory" required:"true" help:"folder of the volumes"`
}

func openWorld(ctx context.Context, dir, url string, opts ...gormdb.Option) (*world, error) {
	w := &world{dir: dir, steps: &steps{}}
	for _, sub := range []string{"array", "host", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	if url == "" {
		w.store, err = jsonstore.Open(filepath.Join(dir, "store.json"))
	} else {
		w.store, err = gormdb.Open(ctx, url, opts...)
	}
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
		cinderlib.WithStore(&sweepStore{w.store, w.steps}),
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

func (w *world) close(t *testing.T) {
	assert.NoError(t, w.lib.Close(context.WithoutCancel(t.Context())))
	assert.NoError(t, w.store.Close())
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

type step func(context.Context, *world) error

// onVolume, onSnapshot and onConnection are steps on one of the objects.
func onVolume(id string, do func(context.Context, *cinderlib.Volume) error) step {
	return func(ctx context.Context, w *world) error {
		v, err := w.lib.VolumeByID(ctx, id)
		if err != nil {
			return err
		}
		return do(ctx, v)
	}
}

func onSnapshot(do func(context.Context, *cinderlib.Snapshot) error) step {
	return func(ctx context.Context, w *world) error {
		s, err := w.lib.SnapshotByID(ctx, snapID)
		if err != nil {
			return err
		}
		return do(ctx, s)
	}
}

func onConnection(do func(context.Context, *cinderlib.Connection) error) step {
	return func(ctx context.Context, w *world) error {
		c, err := w.lib.ConnectionByID(ctx, connID)
		if err != nil {
			return err
		}
		return do(ctx, c)
	}
}

// only drops what a verb returns beside its error.
func only[T any](_ T, err error) error { return err }

// attachHeld and growBase prepare a world.
var (
	attachHeld = onConnection(func(ctx context.Context, c *cinderlib.Connection) error { return c.Attach(ctx) })
	growBase   = onVolume(baseID, func(ctx context.Context, v *cinderlib.Volume) error { return only(v.Extend(ctx, 2)) })
	elsewhere  = &connector.Properties{Host: "there"}
)

// verbs are what is swept. prepare runs before the steps are counted.
var verbs = []struct {
	name         string
	prepare, run step
}{
	{"create", nil, func(ctx context.Context, w *world) error {
		return only(w.backend.CreateVolume(ctx, 2, cinderlib.WithID(newOne)))
	}},
	{"clone", nil, onVolume(baseID, func(ctx context.Context, v *cinderlib.Volume) error {
		return only(v.Clone(ctx, cinderlib.WithID(newOne), cinderlib.WithSize(2)))
	})},
	{"from snapshot", nil, onSnapshot(func(ctx context.Context, s *cinderlib.Snapshot) error {
		return only(s.CreateVolume(ctx, cinderlib.WithID(newOne), cinderlib.WithSize(2)))
	})},
	{"snapshot", nil, onVolume(baseID, func(ctx context.Context, v *cinderlib.Volume) error {
		return only(v.CreateSnapshot(ctx, cinderlib.WithID(newOne)))
	})},
	{"extend", nil, onVolume(baseID, func(ctx context.Context, v *cinderlib.Volume) error { return only(v.Extend(ctx, 3)) })},
	{"delete", nil, onVolume(freeID, func(ctx context.Context, v *cinderlib.Volume) error { return v.Delete(ctx) })},
	{"delete snapshot", nil, onSnapshot(func(ctx context.Context, s *cinderlib.Snapshot) error { return s.Delete(ctx) })},
	{"revert", growBase, onVolume(baseID, func(ctx context.Context, v *cinderlib.Volume) error {
		snapshots, err := v.Snapshots(ctx) // the snapshot is smaller than the volume
		if err != nil {
			return err
		}
		return v.Revert(ctx, snapshots[0])
	})},
	{"retype", nil, onVolume(heldID, func(ctx context.Context, v *cinderlib.Volume) error {
		return v.Retype(ctx, cinderlib.WithExtraSpecs(map[string]string{"tier": "gold"}), cinderlib.WithQoSSpecs(map[string]string{"maxIOPS": "500"}))
	})},
	{"connect", nil, onVolume(freeID, func(ctx context.Context, v *cinderlib.Volume) error {
		return only(v.Connect(ctx, elsewhere, cinderlib.WithID(newOne)))
	})},
	{"connect another", nil, onVolume(heldID, func(ctx context.Context, v *cinderlib.Volume) error {
		return only(v.Connect(ctx, elsewhere, cinderlib.WithID(newOne)))
	})},
	{"attach", nil, onVolume(freeID, func(ctx context.Context, v *cinderlib.Volume) error {
		return only(v.Attach(ctx, cinderlib.WithID(newOne)))
	})},
	{"attach connection", nil, attachHeld},
	{"detach", attachHeld, onVolume(heldID, func(ctx context.Context, v *cinderlib.Volume) error {
		return v.Cleanup(ctx) // detaches and disconnects
	})},
	{"extend attached", attachHeld, onConnection(func(ctx context.Context, c *cinderlib.Connection) error {
		v, err := c.Volume(ctx)
		if err != nil {
			return err
		}
		return errors.Join(only(v.Extend(ctx, 4)), only(c.Extend(ctx)))
	})},
	{"disconnect", nil, onConnection(func(ctx context.Context, c *cinderlib.Connection) error { return c.Disconnect(ctx) })},
	{"manage", nil, func(ctx context.Context, w *world) error {
		return only(w.backend.ManageVolume(ctx, "foreign", cinderlib.WithID(newOne)))
	}},
	{"unmanage", nil, onVolume(freeID, func(ctx context.Context, v *cinderlib.Volume) error { return v.Unmanage(ctx) })},
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
	volumes, err := w.store.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	for _, v := range volumes {
		v.ProviderAuth = "" // what the array said of the export may stay known
		out.Write(drivers.VolumeSchema().Append(nil, v, nil))
	}
	snapshots, err := w.store.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	for _, s := range snapshots {
		out.Write(drivers.SnapshotSchema().Append(nil, s, nil))
	}
	connections, err := w.store.Connections(t.Context(), persistence.ConnectionFilter{})
	require.NoError(t, err)
	for _, c := range connections {
		out.Write(persistence.ConnectionSchema().Append(nil, c, nil))
	}
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
		if text, err := os.ReadFile(filepath.Join(w.dir, "type-"+v.ID)); err == nil {
			assert.Equal(t, string(text), asked(v.VolumeType), "type of volume %s", v.ID)
		} else {
			assert.Equal(t, "nothing", asked(v.VolumeType), "type of volume %s", v.ID)
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
	t.Run("json", func(t *testing.T) { t.Parallel(); faultSweep(t, jsonFile) })
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); faultSweep(t, sqliteFile) })
}

func TestFaultSweepMySQL(t *testing.T) {
	mysqltest.Need(t)
	faultSweep(t, mariaDB)
}

func faultSweep(t *testing.T, store func(*testing.T, string) string) {
	var mu sync.Mutex
	faults, recovered := 0, 0
	t.Run("verbs", func(t *testing.T) {
		for _, verb := range verbs {
			t.Run(verb.name, func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					reached := false
					for _, after := range []bool{false, true} {
						r, settledByRecover := faultAt(t, store, verb.name, verb.prepare, verb.run, at, after)
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
func faultAt(t *testing.T, store func(*testing.T, string) string, name string, prepare, run step, at int, after bool) (reached, byRecover bool) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	w, err := openWorld(ctx, dir, store(t, dir))
	require.NoError(t, err)
	defer w.close(t)
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
