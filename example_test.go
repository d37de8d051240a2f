// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/gocinder/cinderlib"
	_ "github.com/gocinder/cinderlib/drivers/file"
)

// The main job from beginning to end, on volumes that are files in a directory.
// It needs neither an array nor root.
func Example() {
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
		"volume_backend_name": "disk",
		"volume_driver":       "file",
		"file_directory":      directory,
	})
	if err != nil {
		log.Fatal(err)
	}

	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db")) // GiB
	if err != nil {
		log.Fatal(err)
	}
	connection, err := volume.Attach(ctx)
	if err != nil {
		log.Fatal(err)
	}
	device, err := os.OpenFile(connection.Path(), os.O_WRONLY, 0)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(device, "hello"); err != nil {
		log.Fatal(err)
	}
	if err := device.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Name(), volume.Size(), volume.Status())

	if err := volume.Detach(ctx); err != nil {
		log.Fatal(err)
	}
	if err := volume.Delete(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Name(), volume.Size(), volume.Status())
	// Output:
	// db 1 in-use
	// db 1 deleted
}

// newExample gives the other examples a library with a backend called disk on
// a directory of its own; done takes both away. Pages of the documentation do
// not show the call: see tools/docgen.
func newExample(ctx context.Context) (lib *cinderlib.Library, backend *cinderlib.Backend, done func()) {
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	lib, err = cinderlib.New()
	if err != nil {
		log.Fatal(err)
	}
	backend, err = lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": directory,
	})
	if err != nil {
		log.Fatal(err)
	}
	return lib, backend, func() {
		if err := lib.Close(ctx); err != nil {
			log.Fatal(err)
		}
		_ = os.RemoveAll(directory)
	}
}
