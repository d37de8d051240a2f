// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// What one process had is given to another as JSON. Both have the same backend,
// and each a store of its own.
func ExampleLibrary_Dump() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	options := cinderlib.Options{"volume_backend_name": "disk", "volume_driver": "file", "file_directory": directory}

	// In one process.
	first, err := cinderlib.New()
	if err != nil {
		log.Fatal(err)
	}
	backend, err := first.NewBackend(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := volume.CreateSnapshot(ctx); err != nil {
		log.Fatal(err)
	}
	text, err := first.Dump(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := first.Close(ctx); err != nil {
		log.Fatal(err)
	}

	// In another.
	second, err := cinderlib.New()
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close(ctx)
	if _, err := second.NewBackend(ctx, options); err != nil {
		log.Fatal(err)
	}
	if _, err := second.Load(ctx, text, cinderlib.WithSave()); err != nil {
		log.Fatal(err)
	}
	volumes, err := second.Backend("disk").Volumes(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, volume := range volumes {
		snapshots, err := volume.Snapshots(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(volume.Name(), volume.Size(), len(snapshots))
	}
	// Output: db 1 1
}

// A volume by itself, as the Python library's to_json writes it.
func ExampleVolume_Simplified() {
	ctx := context.Background()
	lib, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}

	text, err := volume.Simplified()
	if err != nil {
		log.Fatal(err)
	}
	var document struct {
		Class   string
		Backend map[string]string
	}
	if err := json.Unmarshal(text, &document); err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.Class, document.Backend)
	loaded, err := lib.LoadVolume(ctx, text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loaded.Name(), loaded.ID() == volume.ID())
	// Output:
	// Volume map[volume_backend_name:disk]
	// db true
}

// A process was killed while it created a volume: its record says so. The next
// one settles that before it goes on.
func ExampleBackend_Recover() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	store := memory.New() // it stands for one that lasts
	lib, err := cinderlib.New(cinderlib.WithStore(store))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	backend, err := lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": directory,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Write(ctx, persistence.Insert(&drivers.Volume{
		ID: "6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11", Size: 1, Host: "node-1@disk#disk",
		Status: drivers.StatusCreating, CreatedAt: time.Now(),
	})); err != nil {
		log.Fatal(err)
	}

	settled, err := backend.Recover(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range settled {
		now := r.Now
		if now == "" {
			now = "removed"
		}
		fmt.Printf("%s %s: %s, now %s\n", r.Kind, r.ID, r.Was, now)
	}
	// Output: volume 6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11: creating, now removed
}

// A create that failed leaves a volume with status error. The error has it.
func ExampleResource() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()

	_, err := backend.CreateVolume(ctx, 2_000_000_000) // more than there is
	if !errors.Is(err, cinderlib.ErrExhausted) {
		log.Fatal(err)
	}
	volume, ok := cinderlib.Resource(err).(*cinderlib.Volume)
	if !ok {
		log.Fatal(err)
	}
	fmt.Println(volume.Status())
	if err := volume.Delete(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Status())
	// Output:
	// error
	// deleted
}

func ExampleCodeOf() {
	ctx := context.Background()
	lib, backend, done := newExample(ctx)
	defer done()

	_, err := backend.CreateVolume(ctx, -1)
	fmt.Println(cinderlib.CodeOf(err), int(cinderlib.CodeOf(err)), errors.Is(err, cinderlib.ErrInvalid))
	_, err = lib.VolumeByID(ctx, "6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11")
	fmt.Println(cinderlib.CodeOf(err), int(cinderlib.CodeOf(err)), errors.Is(err, cinderlib.ErrNotFound))
	fmt.Println(cinderlib.CodeOf(nil))
	// Output:
	// InvalidArgument 3 true
	// NotFound 5 true
	// OK
}

func ExampleBackend_AllVolumes() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	for _, name := range []string{"db", "log"} {
		if _, err := backend.CreateVolume(ctx, 1, cinderlib.WithName(name)); err != nil {
			log.Fatal(err)
		}
	}

	for volume, err := range backend.AllVolumes(ctx, cinderlib.VolumeFilter{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(volume.Name())
	}
	// Output:
	// db
	// log
}

func ExampleBackend_RefreshStats() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	if _, err := backend.CreateVolume(ctx, 2); err != nil {
		log.Fatal(err)
	}

	stats, err := backend.RefreshStats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, pool := range stats.Pools {
		fmt.Println(pool.Name, pool.Provisioned, pool.TotalVolumes, pool.Free > 0)
	}
	// Output: disk 2 1 true
}

// A file that somebody else put into the directory becomes a volume.
func ExampleBackend_ManageVolume() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	lib, err := cinderlib.New()
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	backend, err := lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": directory,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "old.img"), []byte("data"), 0o600); err != nil {
		log.Fatal(err)
	}

	existing, err := backend.ManageableVolumes(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range existing {
		fmt.Printf("%s, %d bytes, not safe: %q\n", e.Reference, e.SizeBytes, e.NotSafe)
	}
	volume, err := backend.ManageVolume(ctx, "old.img", cinderlib.WithName("old"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Name(), volume.Size(), volume.Status())
	// Output:
	// old.img, 4 bytes, not safe: ""
	// old 1 available
}

func ExampleLibrary_SetKeyValue() {
	ctx := context.Background()
	lib, _, done := newExample(ctx)
	defer done()

	if err := lib.SetKeyValue(ctx, cinderlib.KeyValue{Key: "node-1", Value: `{"ip":"192.0.2.7"}`}); err != nil {
		log.Fatal(err)
	}
	facts, err := lib.KeyValues(ctx, "node-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(facts[0].Value)
	// Output: {"ip":"192.0.2.7"}
}
