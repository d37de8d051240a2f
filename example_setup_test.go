// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/gocinder/cinderlib"
)

func ExampleNew() {
	ctx := context.Background()
	locks, err := os.MkdirTemp("", "locks")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(locks) }()

	lib, err := cinderlib.New(
		cinderlib.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		cinderlib.WithFileLocksPath(locks),
		cinderlib.WithRootHelper("sudo"),
		cinderlib.WithHostName("node-1"),
		cinderlib.WithProjectID("backup"),
		cinderlib.WithUserID("nightly"),
		cinderlib.WithPersistence(map[string]any{"storage": "memory"}),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lib, len(lib.Backends()), "backends")
	if err := lib.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: <cinderlib.Library> 0 backends
}

// A program, or several packages of one, may share the default Library. Who
// comes second is told.
func ExampleSetup() {
	_, err := cinderlib.Setup(cinderlib.WithProjectID("backup"))
	if err != nil && !errors.Is(err, cinderlib.ErrAlreadySetup) {
		log.Fatal(err)
	}
	_, err = cinderlib.Setup()
	fmt.Println(err)
	// Output: already set up
}

// The arguments that a program gave to the setup of the Python library.
func ExampleWithConfig() {
	ctx := context.Background()
	lib, err := cinderlib.New(cinderlib.WithConfig(map[string]any{
		"root_helper":             "sudo",
		"non_uuid_ids":            true,
		"fail_on_missing_backend": false,
		"persistence_config":      map[string]any{"storage": "memory"},
		"my_ip":                   "192.0.2.7",
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lib)
	if err := lib.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: <cinderlib.Library>
}

func ExampleLibrary_NewBackend() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "volumes")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	lib, err := cinderlib.New(cinderlib.WithConfig(map[string]any{"state_path": directory}))
	if err != nil {
		log.Fatal(err)
	}
	defer lib.Close(ctx)

	backend, err := lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "gold",
		"volume_driver":       "file",
		"file_directory":      "$state_path/${volume_backend_name}-volumes",
		"reserved_percentage": 5,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(backend)

	_, err = lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "silver",
		"volume_driver":       "file",
		"file_directry":       directory,
	})
	fmt.Println(err)
	// Output:
	// <cinderlib.Backend gold>
	// set up backend silver: driver file: option file_directory: is required and not given; unknown option "file_directry", did you mean "file_directory"?
}

func ExampleListSupportedDrivers() {
	for _, driver := range cinderlib.ListSupportedDrivers() {
		fmt.Printf("%s: %s\n", driver.Name, driver.Description)
		for _, option := range driver.Options {
			if option.Required {
				fmt.Printf("  %s (%s)\n", option.Name, option.Type)
			}
		}
	}
	// Output:
	// file: sparse files in a directory of this host
	//   volume_backend_name (string)
	//   volume_driver (string)
	//   file_directory (string)
}
