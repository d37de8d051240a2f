// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

func (d *Driver) snapshotName(s *drivers.Snapshot) string { return d.o.VolumePrefix + s.ID }

// CreateSnapshot implements drivers.Snapshotter.
func (d *Driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	u, err := d.freeze(ctx, s, v)
	return u, d.failed("create snapshot", d.snapshotName(s), err)
}

func (d *Driver) freeze(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	id, err := d.idOf(ctx, v)
	if err != nil {
		return nil, err
	}
	var have []snapshot
	for try := 1; ; try++ {
		var looked error
		err = d.call(ctx, createSnapshot, params{"volumeID": id, "name": d.snapshotName(s)}, nil)
		if err == nil || rest.Lost(err) && ctx.Err() == nil {
			have, looked = d.snapshots(ctx, id, s)
		}
		if len(have) > 0 {
			err = nil
		}
		if err = fault.Join(err, looked); !rest.Lost(err) || ctx.Err() != nil || try == 2 {
			break
		}
	}
	for i, o := range have { // of a call that was cut off, or a request that was carried out twice
		if i > 0 {
			err = fault.Join(err, d.removeSnapshot(ctx, o.ID))
		}
	}
	if err == nil && len(have) == 0 {
		err = drivers.Errorf(drivers.ErrInternal, "the cluster has made it, and does not list it")
	}
	if err != nil {
		return nil, fault.Join(err, d.takeBackSnapshot(ctx, id, s))
	}
	provider := ids{have[0].ID, id, d.cluster.UUID}.String()
	return &drivers.SnapshotUpdate{ProviderID: &provider}, nil
}

// takeBackSnapshot removes what there may be of a snapshot that was not made.
func (d *Driver) takeBackSnapshot(ctx context.Context, volume int64, s *drivers.Snapshot) error {
	const limit = 2 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	have, err := d.snapshots(ctx, volume, s)
	if gone(err) {
		return nil
	}
	faults := []error{err}
	for _, o := range have {
		faults = append(faults, d.removeSnapshot(ctx, o.ID))
	}
	if err := fault.Join(faults...); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// snapshots lists those of a volume that have the name of s, the oldest first.
func (d *Driver) snapshots(ctx context.Context, volume int64, s *drivers.Snapshot) ([]snapshot, error) {
	all, err := d.snapshotsOf(ctx, volume)
	return slices.DeleteFunc(all, func(o snapshot) bool { return o.Name != d.snapshotName(s) }), err
}

func (d *Driver) snapshotsOf(ctx context.Context, volume int64) ([]snapshot, error) {
	var found struct {
		Snapshots []snapshot `json:"snapshots"`
	}
	err := d.call(ctx, listSnapshots, params{"volumeID": volume}, &found)
	slices.SortFunc(found.Snapshots, func(a, b snapshot) int { return cmp.Compare(a.ID, b.ID) })
	return found.Snapshots, err
}

// snapshotID is the id that the cluster gave the snapshot, and its volume's.
func (d *Driver) snapshotID(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (ids, error) {
	if id, known := parseIDs(s.ProviderID, d.cluster.UUID); known {
		return id, nil
	}
	volume, err := d.idOf(ctx, v)
	if err != nil {
		return ids{}, err
	}
	have, err := d.snapshots(ctx, volume, s)
	if err != nil {
		return ids{}, err
	}
	if len(have) == 0 {
		return ids{}, drivers.Errorf(drivers.ErrNotFound, "it is not on the cluster")
	}
	return ids{have[0].ID, volume, d.cluster.UUID}, nil
}

// DeleteSnapshot implements drivers.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	return d.failed("delete snapshot", d.snapshotName(s), d.thaw(ctx, s, v))
}

func (d *Driver) thaw(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	if id, known := parseIDs(s.ProviderID, d.cluster.UUID); known {
		return d.removeSnapshot(ctx, id.first)
	}
	volume, err := d.idOf(ctx, v)
	var have []snapshot
	if err == nil {
		have, err = d.snapshots(ctx, volume, s)
	}
	if gone(err) {
		return nil // its snapshots went with it
	}
	faults := []error{err}
	for _, o := range have {
		faults = append(faults, d.removeSnapshot(ctx, o.ID))
	}
	return fault.Join(faults...)
}

func gone(err error) bool { return fault.CodeOf(err) == fault.NotFound }

func (d *Driver) removeSnapshot(ctx context.Context, id int64) error {
	err := d.call(ctx, deleteSnapshot, params{"snapshotID": id}, nil)
	if is(err, "xSnapshotIDDoesNotExist") {
		return nil
	}
	return err
}

// VolumeFromSnapshot implements drivers.Snapshotter.
func (d *Driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	id, err := d.snapshotID(ctx, s, src)
	if err != nil {
		return nil, d.failed("create volume", d.name(v)+" from snapshot "+d.snapshotName(s), err)
	}
	u, err := d.clone(ctx, v, src, params{"volumeID": id.second, "snapshotID": id.first})
	return u, d.failed("create volume", d.name(v)+" from snapshot "+d.snapshotName(s), err)
}

// CloneVolume implements drivers.Provisioner.
func (d *Driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	id, err := d.idOf(ctx, src)
	if err != nil {
		return nil, d.failed("create volume", d.name(v)+" from "+d.name(src), err)
	}
	u, err := d.clone(ctx, v, src, params{"volumeID": id})
	return u, d.failed("create volume", d.name(v)+" from "+d.name(src), err)
}

func (d *Driver) clone(ctx context.Context, v, src *drivers.Volume, p params) (*drivers.VolumeUpdate, error) {
	q, err := d.qos(v, v.Size)
	if err != nil {
		return nil, err
	}
	if q == nil {
		if had, _ := d.qos(src, src.Size); had != nil { // a clone inherits it
			q = &usual
		}
	}
	a, err := d.account(ctx, v)
	if err != nil {
		return nil, err
	}
	p["name"], p["newAccountID"], p["newSize"] = d.name(v), a.ID, int64(v.Size)*drivers.GiB
	p["attributes"] = d.attributes(v, true)
	u, err := d.make(ctx, v, a, cloneVolume, p, d.o.CloneTimeout)
	if err != nil || q == nil {
		return u, err
	}
	id, _ := parseIDs(*u.ProviderID, d.cluster.UUID)
	if err := d.call(ctx, modifyVolume, params{"volumeID": id.first, "qos": q}, nil); err != nil {
		return nil, fault.Join(err, d.takeBack(ctx, v, id.first, err))
	}
	return u, nil
}

// RevertToSnapshot implements drivers.Reverter.
func (d *Driver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	id, err := d.snapshotID(ctx, s, v)
	if err == nil {
		err = d.call(ctx, rollbackToSnapshot, params{"volumeID": id.second, "snapshotID": id.first, "saveCurrentState": false}, nil)
	}
	return d.failed("revert volume", d.name(v)+" to snapshot "+d.snapshotName(s), err)
}
