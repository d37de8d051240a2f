// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/drivers"
)

// letGo is what a volume is called that was let go, spelt as Cinder's driver does.
func letGo(v *drivers.Volume) string { return v.NameOnArray() + unmanaged }

const unmanaged = "-unmanged"

// ListVolumes implements drivers.Manager. References are names. Snapshots are not
// listed; the first version of the API does not tell them from clones, and has neither.
func (d *Driver) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	found, err := list[volume](ctx, d, "volumes", nil, "name", "vol-size", "ancestor-vol-id", "vol-type")
	if err != nil {
		return nil, d.failed("list volumes of", d.o.Address, err)
	}
	var all []drivers.ExistingVolume
	for _, o := range found {
		if o.Type == readOnly || d.version == 1 && o.Ancestor.Name != "" {
			continue
		}
		e := drivers.ExistingVolume{Reference: o.Name, SizeBytes: o.bytes()}
		id, _ := strings.CutSuffix(strings.TrimPrefix(o.Name, "volume-"), unmanaged)
		if uuid.Validate(id) == nil {
			e.VolumeID = id
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b drivers.ExistingVolume) int { return strings.Compare(a.Reference, b.Reference) })
	return all, nil
}

// ManageVolume implements drivers.Manager: the volume gets the name that v has.
func (d *Driver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	return nil, d.failed("manage volume", ref, d.manage(ctx, v, ref))
}

func (d *Driver) manage(ctx context.Context, v *drivers.Volume, ref string) error {
	o, err := d.find(ctx, ref, "vol-type")
	if gone(err) { // or taken over by a call that was cut off
		var again error
		if o, again = d.find(ctx, v.NameID(), "vol-type"); again != nil {
			return err
		}
		err = nil
	}
	if err != nil {
		return err
	}
	if o.Type == readOnly {
		return drivers.Errorf(drivers.ErrInvalid, "it is a snapshot")
	}
	if gib := (o.bytes() + drivers.GiB - 1) / drivers.GiB; gib != int64(v.Size) {
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, and not %d GiB", o.bytes(), v.Size)
	}
	path := "volumes/" + strconv.FormatInt(int64(o.Index), 10)
	if o.bytes() != int64(v.Size)*drivers.GiB { // it has to have whole GiB, as all others
		if err := d.put(ctx, path, nil, params{"vol-size": size(v.Size)}); err != nil {
			return err
		}
	}
	if o.Name == v.NameID() {
		return nil
	}
	return d.put(ctx, path, nil, params{"vol-name": v.NameID()})
}

// UnmanageVolume implements drivers.Manager.
func (d *Driver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	err := d.put(ctx, "volumes", named(v.NameID()), params{"vol-name": letGo(v)})
	if gone(err) {
		if _, again := d.find(ctx, letGo(v)); again == nil { // by a call that was cut off
			err = nil
		}
	}
	return d.failed("unmanage volume", v.NameID(), err)
}
