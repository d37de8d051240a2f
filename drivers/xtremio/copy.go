// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

// snapshotName is the id, as Cinder has it. Volumes and snapshots have one space of
// names: one that is no UUID may be a volume's, too.
func snapshotName(s *drivers.Snapshot) string {
	if uuid.Validate(s.ID) == nil {
		return s.ID
	}
	return s.NameOnArray()
}

// CreateSnapshot implements drivers.Snapshotter.
func (d *Driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	err := d.copy(ctx, snapshotName(s), v.NameID(), readOnly, 0)
	return nil, d.failed("create snapshot", snapshotName(s), err)
}

// DeleteSnapshot implements drivers.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, _ *drivers.Volume) error {
	return d.failed("delete snapshot", snapshotName(s), d.remove(ctx, snapshotName(s), true))
}

// VolumeFromSnapshot implements drivers.Snapshotter.
func (d *Driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	err := d.clone(ctx, v, snapshotName(s), s.VolumeSize)
	return nil, d.failed("create volume", v.NameID()+" from snapshot "+snapshotName(s), err)
}

// CloneVolume implements drivers.Provisioner.
func (d *Driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	err := d.clone(ctx, v, src.NameID(), src.Size)
	return nil, d.failed("create volume", v.NameID()+" from "+src.NameID(), err)
}

func (d *Driver) clone(ctx context.Context, v *drivers.Volume, source string, has int) error {
	grow := 0
	if v.Size > has {
		grow = v.Size
	}
	err := d.copy(ctx, v.NameID(), source, "regular", grow)
	if fault.CodeOf(err) == fault.AlreadyExists {
		err = d.same(ctx, v.NameID(), v.Size, source)
	}
	if err != nil {
		return err
	}
	if err := d.join(ctx, v); err != nil {
		return fault.Join(err, d.takeBackCopy(ctx, nil, v.NameID()))
	}
	return nil
}

// copy makes a snapshot or a clone of a volume or a snapshot. grow is the size it is
// to have in GiB, 0 if that is the source's.
func (d *Driver) copy(ctx context.Context, name, source, kind string, grow int) error {
	if err := nameable(name); err != nil {
		return err
	}
	if d.version == 1 {
		return d.copyNamed(ctx, name, source, grow)
	}
	p := params{"snapshot-set-name": name, "snap-suffix": name, "volume-list": []string{source}, "snapshot-type": kind}
	m, err := d.post(ctx, "snapshots", p)
	if fault.CodeOf(err) == fault.AlreadyExists {
		// There is one of a call that was cut off, with its name or without.
		o, again := d.find(ctx, name)
		switch {
		case again == nil && kind == readOnly && o.Ancestor.Name == source:
			return nil
		case !gone(again):
			return fault.Join(err, again)
		}
		if err := d.removeUnnamed(ctx, name); err != nil {
			return err
		}
		m, err = d.post(ctx, "snapshots", p)
	}
	if err == nil && m == "" {
		err = rest.Uncertain(drivers.Errorf(drivers.ErrInternal, "the array does not tell where it is"))
	}
	if err != nil {
		return fault.Join(err, d.takeBackCopy(ctx, err, name))
	}
	if grow > 0 {
		err = d.put(ctx, string(m), nil, params{"vol-size": size(grow)})
	}
	if err == nil { // last: what has the name is whole
		err = d.put(ctx, string(m), nil, params{"name": name})
	}
	if err != nil {
		return fault.Join(err, d.takeBackMade(ctx, m))
	}
	return nil
}

// copyNamed is copy with the first version of the API, which names what it makes.
func (d *Driver) copyNamed(ctx context.Context, name, source string, grow int) error {
	_, err := d.post(ctx, "snapshots", params{"snap-vol-name": name, "ancestor-vol-id": source})
	if fault.CodeOf(err) == fault.AlreadyExists {
		o, again := d.find(ctx, name)
		if again != nil || o.Ancestor.Name != source {
			return fault.Join(err, again)
		}
		err = nil
	}
	if err != nil {
		return fault.Join(err, d.takeBack(ctx, err, name))
	}
	if grow > 0 {
		if err := d.put(ctx, "volumes", named(name), params{"vol-size": size(grow)}); err != nil {
			return fault.Join(err, d.takeBack(ctx, nil, name))
		}
	}
	return nil
}

// removeUnnamed removes copies that have not got their name yet: they are in a
// snapshot set of that name.
func (d *Driver) removeUnnamed(ctx context.Context, name string) error {
	type set struct {
		Volumes []reference `json:"vol-list"`
	}
	s, err := object[set](ctx, d, "snapshot-sets", named(name), "vol-list")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var faults []error
	for _, o := range s.Volumes {
		_, err := d.delete(ctx, "volumes/"+strconv.FormatInt(int64(o.Index), 10), nil)
		faults = append(faults, err)
	}
	return fault.Join(faults...)
}

// RevertToSnapshot implements drivers.Reverter.
func (d *Driver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	_, err := d.post(ctx, "snapshots", params{"from-volume-id": snapshotName(s), "to-volume-id": v.NameID(), "no-backup": "true"})
	return d.failed("revert volume", v.NameID()+" to snapshot "+snapshotName(s), err)
}
