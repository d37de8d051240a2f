// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

func size(gib int) string { return strconv.Itoa(gib) + "g" }

// find reads a volume or a snapshot.
func (d *Driver) find(ctx context.Context, name string, properties ...string) (*volume, error) {
	return object[volume](ctx, d, "volumes", named(name), append([]string{"index", "name", "vol-size", "ancestor-vol-id"}, properties...)...)
}

// CreateVolume implements drivers.Provisioner.
func (d *Driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return nil, d.failed("create volume", v.NameID(), d.create(ctx, v))
}

// nameable refuses names that are too long. The array puts those of a volume and of its
// snapshot together, with a dot, and takes 64 bytes of the latter.
func nameable(name string) error {
	const longest = 63
	if len(name) > longest {
		return drivers.Errorf(drivers.ErrInvalid, "the name has %d bytes, more than %d", len(name), longest)
	}
	return nil
}

func (d *Driver) create(ctx context.Context, v *drivers.Volume) error {
	if err := nameable(v.NameID()); err != nil {
		return err
	}
	_, err := d.post(ctx, "volumes", params{"vol-name": v.NameID(), "vol-size": size(v.Size)})
	if fault.CodeOf(err) == fault.AlreadyExists {
		err = d.same(ctx, v.NameID(), v.Size, "")
	} else if err != nil {
		return fault.Join(err, d.takeBack(ctx, err, v.NameID()))
	}
	if err != nil {
		return err
	}
	if err := d.join(ctx, v); err != nil {
		return fault.Join(err, d.takeBack(ctx, nil, v.NameID()))
	}
	return nil
}

// same makes sure that what has a name is what was to be made.
func (d *Driver) same(ctx context.Context, name string, gib int, ancestor string) error {
	o, err := d.find(ctx, name)
	switch {
	case err != nil:
		return err
	case o.Ancestor.Name != ancestor:
		return drivers.Errorf(drivers.ErrExists, "it is there, made of %q", o.Ancestor.Name)
	case o.bytes() != int64(gib)*drivers.GiB:
		return drivers.Errorf(drivers.ErrExists, "it is there with %d bytes", o.bytes())
	}
	return nil
}

// join puts a volume of a group into the consistency group of that name.
func (d *Driver) join(ctx context.Context, v *drivers.Volume) error {
	group := v.GroupID
	if group == "" {
		group = v.ConsistencyGroupID
	}
	if group == "" || d.version == 1 {
		return nil
	}
	_, err := d.post(ctx, "consistency-group-volumes", params{"vol-id": v.NameID(), "cg-id": group})
	if err == nil || rest.Lost(err) {
		return err
	}
	// A call that was cut off may have put it there.
	o, again := d.find(ctx, v.NameID(), "related-consistency-groups")
	if again == nil && slices.ContainsFunc(o.Groups, func(r reference) bool { return r.Name == group }) {
		return nil
	}
	return err
}

// takeBack removes what there may be of a volume that was not made. What was refused,
// err, is not there.
func (d *Driver) takeBack(ctx context.Context, err error, name string) error {
	return d.undo(ctx, err, func(ctx context.Context) error { return d.remove(ctx, name, false) })
}

// takeBackCopy is takeBack for a copy, which may not have its name.
func (d *Driver) takeBackCopy(ctx context.Context, err error, name string) error {
	return d.undo(ctx, err, func(ctx context.Context) error { return d.remove(ctx, name, true) })
}

// takeBackMade is takeBack for what the array has made, whatever its name is.
func (d *Driver) takeBackMade(ctx context.Context, m made) error {
	return d.undo(ctx, nil, func(ctx context.Context) error {
		_, err := d.delete(ctx, string(m), nil)
		return err
	})
}

func (d *Driver) undo(ctx context.Context, err error, do func(context.Context) error) error {
	if err != nil && !rest.Lost(err) {
		return nil
	}
	const limit = 2 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := do(ctx); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// DeleteVolume implements drivers.Provisioner. Snapshots of the volume stay whole.
func (d *Driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	return d.failed("delete volume", v.NameID(), d.remove(ctx, v.NameID(), v.SnapshotID != "" || v.SourceVolumeID != ""))
}

// remove removes a volume or snapshot. One that is a copy may have been left with the
// name that the array gave it.
func (d *Driver) remove(ctx context.Context, name string, copied bool) error {
	there, err := d.delete(ctx, "volumes", named(name))
	if there || err != nil || !copied || d.version == 1 {
		return err
	}
	return d.removeUnnamed(ctx, name)
}

// ExtendVolume implements drivers.Provisioner.
func (d *Driver) ExtendVolume(ctx context.Context, v *drivers.Volume, gib int) error {
	return d.failed("extend volume", v.NameID(), d.extend(ctx, v, gib))
}

func (d *Driver) extend(ctx context.Context, v *drivers.Volume, gib int) error {
	o, err := d.find(ctx, v.NameID())
	if err != nil {
		return err
	}
	switch want := int64(gib) * drivers.GiB; {
	case o.bytes() > want:
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d GiB", o.bytes(), gib)
	case o.bytes() == want:
		return nil
	}
	return d.put(ctx, "volumes", named(v.NameID()), params{"vol-size": size(gib)})
}

// InspectVolume implements drivers.Provisioner.
func (d *Driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	o, err := d.find(ctx, v.NameID())
	if err != nil {
		return nil, d.failed("inspect volume", v.NameID(), err)
	}
	return &drivers.VolumeState{SizeBytes: o.bytes()}, nil
}
