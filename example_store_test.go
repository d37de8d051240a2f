// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
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
