// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// ListVolumes lists the LVs of the group, less pools, snapshots and what is made
// for a while only: one program. A reference is the name of an LV.
func (d *Driver) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	list, err := d.volumes(ctx, "")
	if err != nil {
		return nil, failed("list volume group", d.group, err)
	}
	var volumes []drivers.ExistingVolume
	for i := range list {
		l := &list[i]
		if !ownable(l) {
			continue
		}
		v := drivers.ExistingVolume{Reference: l.name, SizeBytes: l.size}
		if id, own := strings.CutPrefix(l.name, volumePrefix); own {
			v.VolumeID = id
		}
		switch {
		case l.open():
			v.NotSafe = "volume in use"
		case l.has(copying):
			v.NotSafe = "its content was not copied to the end"
		case l.merging():
			v.NotSafe = "a snapshot is being merged into it"
		}
		volumes = append(volumes, v)
	}
	slices.SortFunc(volumes, func(a, b drivers.ExistingVolume) int { return cmp.Compare(a.Reference, b.Reference) })
	return volumes, nil
}

// ownable tells whether an LV may be a volume.
func ownable(l *lv) bool {
	switch l.at(0) { // lv_attr of lvs(8)
	case '-', 'o', 'O', 'V', 'm', 'M', 'r', 'R', 'C':
	default:
		return false
	}
	return !slices.ContainsFunc([]string{snapshotPrefix, clonePrefix, revertPrefix}, func(prefix string) bool {
		return strings.HasPrefix(l.name, prefix)
	})
}

// ManageVolume renames the LV ref and grows it to v.Size GiB. ErrInvalid: it is no
// LV that could be a volume, or larger. ErrExists: it is another volume's, or v
// exists.
func (d *Driver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	name, err := d.newVolume(v)
	if err == nil {
		err = d.manage(ctx, name, v.Size, ref)
	}
	return nil, failed("manage "+strconv.Quote(ref)+" as", name, err)
}

func (d *Driver) manage(ctx context.Context, name string, size int, ref string) error {
	if !nameForm.MatchString(ref) {
		return drivers.Errorf(drivers.ErrInvalid, "it is not the name of a logical volume")
	}
	if ref != name && strings.HasPrefix(ref, volumePrefix) {
		return drivers.Errorf(drivers.ErrExists, "it is the volume with the id %s; only that can take it over", strings.TrimPrefix(ref, volumePrefix))
	}
	bytes, err := d.bytes(size)
	if err != nil {
		return err
	}
	list, err := d.named(ctx, ref, name)
	if err != nil {
		return err
	}
	l, there := pick(list, ref), pick(list, name)
	switch {
	case l == nil && there != nil && there.size == bytes:
		return nil // done by a call that was cut off
	case l == nil:
		return drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, ref)
	case !ownable(l) || l.has(copying):
		return drivers.Errorf(drivers.ErrInvalid, "it is a pool, a snapshot, or not complete")
	case l.size > bytes:
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d GiB", l.size, size)
	case ref != name && there != nil:
		return drivers.Errorf(drivers.ErrExists, "%s exists", name)
	}
	// The size first: a call that is cut off behind it finds ref again.
	if l.size < bytes {
		if err := d.extend(ctx, ref, size); err != nil {
			return err
		}
	}
	if ref == name {
		return nil
	}
	return d.change(ctx, "lvrename", d.group, ref, name)
}

// UnmanageVolume has nothing to do: the LV keeps its name.
func (d *Driver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	name, err := d.volumeName(v)
	if err == nil {
		err = ctx.Err()
	}
	return failed("unmanage", name, err)
}
