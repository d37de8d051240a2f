// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"gorm.io/driver/sqlite"

	"github.com/gocinder/cinderlib"
	_ "github.com/gocinder/cinderlib/drivers/file"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// A program that opens the database itself says how long that may take, and
// closes it.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store, err := gormdb.Open(ctx, "sqlite://", gormdb.WithPatience(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Write(ctx, persistence.Put(&persistence.KeyValue{Key: "node-1", Value: "up"})); err != nil {
		log.Fatal(err)
	}
	facts, err := store.KeyValues(ctx, "node-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(facts[0].Value)

	_, err = gormdb.Open(ctx, "mysql+pymysql://cinder:s@cret@db.example.org/cinder")
	fmt.Println(err)
	// Output:
	// up
	// connection: an @ must be written as %40, but for the one before the host
}

// What one program keeps in a file, another finds.
func ExampleOpenFile() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	path := filepath.Join(directory, "cl.sqlite")
	options := cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": filepath.Join(directory, "volumes"),
	}

	first, err := gormdb.OpenFile(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	lib, err := cinderlib.New(cinderlib.WithStore(first))
	if err != nil {
		log.Fatal(err)
	}
	backend, err := lib.NewBackend(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db")); err != nil {
		log.Fatal(err)
	}
	if err := lib.Close(ctx); err != nil {
		log.Fatal(err)
	}
	if err := first.Close(); err != nil { // the library does not close a store it was given
		log.Fatal(err)
	}

	second, err := gormdb.OpenFile(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	lib, err = cinderlib.New(cinderlib.WithStore(second))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	backend, err = lib.NewBackend(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	for volume, err := range backend.AllVolumes(ctx, cinderlib.VolumeFilter{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(volume.Name(), volume.Size(), volume.Status())
	}
	// Output: db 1 available
}

// A dialector of the program's own brings the settings of its connections.
func ExampleOpenDialector() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()

	dialector := sqlite.Open(filepath.Join(directory, "cl.sqlite") + "?_busy_timeout=100&_synchronous=FULL")
	store, err := gormdb.OpenDialector(ctx, dialector)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	lib, err := cinderlib.New(cinderlib.WithStore(store))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)
	if err := lib.SetKeyValue(ctx, cinderlib.KeyValue{Key: "node-1", Value: "up"}); err != nil {
		log.Fatal(err)
	}
	facts, err := lib.KeyValues(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(facts)
	// Output: [{node-1 up}]
}
