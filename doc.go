// SPDX-License-Identifier: Apache-2.0

// Package cinderlib creates, snapshots, clones, grows, connects and attaches
// block storage volumes on the arrays that OpenStack Cinder knows, with no
// service to run. It succeeds Python's cinderlib, whose object model, options,
// JSON and database it keeps.
//
// A Library holds the settings and the store. It makes a Backend from the
// options of one storage driver; a Backend makes a Volume; a Volume makes
// a Snapshot, a clone, or a Connection, which becomes a device of this host or
// is carried to another as JSON:
//
//	lib, err := cinderlib.New()
//	backend, err := lib.NewBackend(ctx, cinderlib.Options{
//		"volume_backend_name": "disk",
//		"volume_driver":       "file",
//		"file_directory":      "/var/lib/volumes",
//	})
//	volume, err := backend.CreateVolume(ctx, 10, cinderlib.WithName("db"))
//	connection, err := volume.Attach(ctx)
//	// use connection.Path(), then
//	err = volume.Detach(ctx)
//
// The program imports the drivers it wants, or drivers/all. Setup and the
// functions of this package work on one default Library.
//
// Handles are safe for use from any goroutine. A verb (Extend, Attach, Delete…)
// acts on what the store holds, not on what the handle saw last; verbs on one
// volume wait for each other. Every verb stores its intent before it asks the
// array and the result after, so that Backend.Recover settles what a killed
// process left.
package cinderlib
