// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // for pythonDatabase

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// docgen: journal

// journal is a store that tells what is written to it. All else it has from the
// memory store.
type journal struct{ *memory.Store }

func (j journal) Write(ctx context.Context, ops ...persistence.Op) error {
	if err := j.Store.Write(ctx, ops...); err != nil {
		return err
	}
	for _, op := range ops {
		volume, ok := op.Record.(*drivers.Volume)
		switch {
		case ok && op.Kind == persistence.OpDelete:
			fmt.Println(volume.Name, "is forgotten")
		case ok:
			fmt.Println(volume.Name, "is", volume.Status)
		}
	}
	return nil
}

// docgen: end

// A store of the program's own. Its output shows that each verb stores what it
// is about to do before it does it.
func ExampleWithStore() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	lib, err := cinderlib.New(cinderlib.WithStore(journal{memory.New()}))
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

	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := volume.Extend(ctx, 2); err != nil {
		log.Fatal(err)
	}
	if err := volume.Delete(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// db is creating
	// db is available
	// db is extending
	// db is available
	// db is deleting
	// db is forgotten
}

// A database by its URL, as Python's persistence_config has it. The program
// imports persistence/gormdb for it. What one library stores, the next one finds.
func ExampleWithPersistence() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	config := map[string]any{
		"storage":    "db",
		"connection": "sqlite:///" + filepath.Join(directory, "cl.sqlite"),
	}

	lib, err := cinderlib.New(cinderlib.WithPersistence(config))
	if err != nil {
		log.Fatal(err)
	}
	if err := lib.SetKeyValue(ctx, cinderlib.KeyValue{Key: "node-1", Value: `{"ip":"192.0.2.7"}`}); err != nil {
		log.Fatal(err)
	}
	if err := lib.Close(ctx); err != nil {
		log.Fatal(err)
	}

	lib, err = cinderlib.New(cinderlib.WithPersistence(config))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	facts, err := lib.KeyValues(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(facts)

	config["connection"] = "postgresql://cinder:secret@db.example.org/cinder"
	_, err = cinderlib.New(cinderlib.WithPersistence(config))
	fmt.Println(cinderlib.CodeOf(err))
	// Output:
	// [{node-1 {"ip":"192.0.2.7"}}]
	// InvalidArgument
}

// A program that opens the database itself decides how long that may take.
func ExampleWithStore_database() {
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store, err := gormdb.Open(ctx, "sqlite:///"+filepath.Join(directory, "cl.sqlite"), gormdb.WithPatience(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close() // the library closes no store that it was given
	lib, err := cinderlib.New(cinderlib.WithStore(store))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	fmt.Println(lib.Persistence() == store)
	// Output: true
}

// The database of a Python program is opened where it is. First a copy of it, to
// look at what it holds.
func Example_pythonDatabase() {
	ctx := context.Background()
	path, done := pythonDatabase(ctx)
	defer done()

	lib, err := cinderlib.New(
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + path}),
		cinderlib.WithMissingBackends(), // for a look, no backend is needed
	)
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	for volume, err := range lib.AllVolumes(ctx, cinderlib.VolumeFilter{}) {
		if err != nil {
			log.Fatal(err) // of a damaged row, after all the others
		}
		snapshots, err := volume.Snapshots(ctx)
		if err != nil {
			log.Fatal(err)
		}
		connections, err := volume.Connections(ctx)
		if err != nil {
			log.Fatal(err)
		}
		info := volume.Info()
		fmt.Printf("%s: %s, %d GiB, %s, %d snapshots, %d connections, specs %v\n", volume.BackendName(), info.Name,
			info.Size, info.Status, len(snapshots), len(connections), info.ExtraSpecs())
	}
	facts, err := lib.KeyValues(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(facts), "key-values")
	// Output:
	// sample: vol-with-snapshot, 1 GiB, available, 1 snapshots, 0 connections, specs map[]
	// sample: vol-cloned, 1 GiB, available, 0 snapshots, 0 connections, specs map[]
	// sample: other-name-from-snap, 2 GiB, available, 0 snapshots, 0 connections, specs map[]
	// sample: vol-with-connections, 4 GiB, in-use, 0 snapshots, 2 connections, specs map[]
	// sample: vol-with-specs, 5 GiB, available, 0 snapshots, 0 connections, specs map[thin:true volume_backend_name:sample]
	// 0 key-values
}

// pythonDatabase makes a database that Python wrote; done takes it away.
func pythonDatabase(ctx context.Context) (path string, done func()) {
	text, err := os.ReadFile("persistence/gormdb/testdata/python.sql")
	if err != nil {
		log.Fatal(err)
	}
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(directory, "copy.sqlite")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, string(text)); err != nil {
		log.Fatal(err)
	}
	return path, func() { _ = os.RemoveAll(directory) }
}

// To change the store and take all records along, copy them while no operation
// is running.
func ExampleLibrary_SetPersistence() {
	ctx := context.Background()
	lib, backend, done := newExample(ctx)
	defer done()

	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := volume.CreateSnapshot(ctx); err != nil {
		log.Fatal(err)
	}
	next := memory.New() // it could be any store
	copied, err := persistence.Copy(ctx, lib.Persistence(), next, func(c persistence.Copied) {
		fmt.Printf("%+v\n", c)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(copied.Volumes+copied.Snapshots, "records copied")
	if err := lib.SetPersistence(ctx, map[string]any{"storage": next}); err != nil {
		log.Fatal(err)
	}
	found, err := lib.VolumeByID(ctx, volume.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Name(), "is", found.Status())
	// Output:
	// {Volumes:1 Snapshots:0 Connections:0 KeyValues:0}
	// {Volumes:1 Snapshots:1 Connections:0 KeyValues:0}
	// 2 records copied
	// db is available
}
