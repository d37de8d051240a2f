// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/gocinder/cinderlib/persistence"
)

func (j *job) cleanUp(ctx context.Context) error {
	err := errors.Join(j.restored.Delete(ctx), j.clone.Delete(ctx), j.snapshot.Delete(ctx), j.volume.Delete(ctx))
	if err == nil {
		j.say("clean up", "3 volumes and 1 snapshot deleted")
	}
	return err
}

// nothingLeft looks into the store and at the backend.
func (j *job) nothingLeft(ctx context.Context) error {
	store := j.lib.Persistence()
	volumes, err := store.Volumes(ctx, persistence.VolumeFilter{})
	if err != nil {
		return err
	}
	snapshots, err := store.Snapshots(ctx, persistence.SnapshotFilter{})
	if err != nil {
		return err
	}
	connections, err := store.Connections(ctx, persistence.ConnectionFilter{})
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(j.dir, "volumes", "*-*"))
	if err != nil {
		return err
	}
	if n := len(volumes) + len(snapshots) + len(connections) + len(left); n > 0 {
		return fmt.Errorf("left behind: %d volumes, %d snapshots, %d connections in the store, files %q", len(volumes), len(snapshots), len(connections), left)
	}
	j.say("check", "nothing is left in the store and on the backend")
	return nil
}
