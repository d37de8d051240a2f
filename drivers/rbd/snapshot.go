// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/undo"
)

// CreateSnapshot makes a snapshot, and protects it, so that volumes can be made
// of it.
func (d *Driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	name, snapshot := v.NameOnArray(), s.NameOnArray()
	return nil, d.do(ctx, fmt.Sprintf("make snapshot %q of", snapshot), name, func(p ceph.Pool) error {
		if err := checkName(snapshot); err != nil {
			return err
		}
		return with(ctx, p, name, toWrite, func(img ceph.Image) (err error) {
			var taken undo.Stack
			defer taken.Unwind(ctx, undoGrace, &err)
			err = img.CreateSnapshot(ctx, snapshot)
			if err == nil {
				taken.Push("remove it", func(ctx context.Context) error { return dropSnapshot(ctx, img, snapshot) })
			}
			if err = but(err, syscall.EEXIST); err == nil {
				err = but(img.Protect(ctx, snapshot), syscall.EBUSY)
			}
			return err
		})
	})
}

// DeleteSnapshot removes a snapshot. Volumes that were made of it get its data
// first. ErrHasDependents: one of them is out of reach.
func (d *Driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	name, snapshot := v.NameOnArray(), s.NameOnArray()
	return d.do(ctx, fmt.Sprintf("delete snapshot %q of", snapshot), name, func(p ceph.Pool) error {
		err := with(ctx, p, name, toWrite, func(img ceph.Image) error {
			err := dropSnapshot(ctx, img, snapshot)
			for n := 1; is(err, syscall.EBUSY) && n < d.tries; n++ {
				if err := d.freeSnapshot(ctx, p, name, snapshot); err != nil {
					return err
				}
				if err := again(ctx, n); err != nil {
					return err
				}
				err = dropSnapshot(ctx, img, snapshot)
			}
			if is(err, syscall.EBUSY) {
				return drivers.Errorf(drivers.ErrHasDependents, "%w", err)
			}
			return err
		})
		return but(err, syscall.ENOENT)
	})
}

// freeSnapshot has the clones of a snapshot do without it.
func (d *Driver) freeSnapshot(ctx context.Context, p ceph.Pool, name, snapshot string) error {
	return with(ctx, p, name, ceph.OpenOptions{Snapshot: snapshot}, func(img ceph.Image) error {
		return d.flattenChildren(ctx, img)
	})
}
