// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// CreateSnapshot makes a snapshot of an LV, which may be in use: one program. A
// thick one takes the size of the volume of room, so that it cannot overflow.
func (d *Driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	name, err := d.snapshotName(s)
	var source string
	if err == nil {
		source, err = d.volumeName(v)
	}
	if err == nil {
		err = d.snapshot(ctx, name, source)
	}
	if errors.Is(err, drivers.ErrExists) {
		l, findErr := d.find(ctx, name)
		switch {
		case findErr != nil:
			err = fault.Join(err, findErr)
		case l.origin == source:
			err = nil
		}
	}
	return nil, failed("create", name, err)
}

// snapshot makes a snapshot: of a thin LV a thin one, which LVM leaves inactive.
func (d *Driver) snapshot(ctx context.Context, name, source string) error {
	args := []string{"lvcreate", "--yes", "-n", name, "-s", d.group + "/" + source}
	if d.thin() {
		if err := d.change(ctx, args...); !says(err, needsSize) {
			return err
		}
	}
	if err := d.activate(ctx, source); err != nil {
		return err
	}
	bytes, err := d.sizeOf(source)
	if err != nil {
		return err
	}
	return d.change(ctx, append(args, "-L", strconv.FormatInt(cowBytes(bytes), 10)+"b")...)
}

// cowBytes is room for every block of a thick volume and for what LVM notes of
// them. It is a little too much, and LVM takes what it can use. A percentage
// (100%ORIGIN) would be no more than a wish: LVM makes a snapshot that overflows
// where there is less room.
func cowBytes(volume int64) int64 { return volume + volume/128 + 16<<20 }

// DeleteSnapshot removes the LV, a thick one after what it holds was cleared as
// volume_clear says.
func (d *Driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, _ *drivers.Volume) error {
	name, err := d.snapshotName(s)
	if err == nil {
		var list []lv
		if list, err = d.named(ctx, name); err == nil {
			err = d.remove(ctx, list)
		}
	}
	return failed("delete", name, err)
}

// RevertToSnapshot gives the LV the content of the snapshot. ErrInUse: it is
// open. A thin one is replaced by a clone of the snapshot. Into a thick one the
// snapshot is merged, which takes time; what remains of the snapshot is made
// anew. When ctx ends meanwhile the merge goes on; repeating the call waits for
// it.
func (d *Driver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	name, err := d.volumeName(v)
	var source string
	if err == nil {
		source, err = d.snapshotName(s)
	}
	if err == nil {
		err = d.revert(ctx, v, name, source)
	}
	return failed("revert", name, err)
}

func (d *Driver) revert(ctx context.Context, v *drivers.Volume, name, source string) error {
	temporary := revertPrefix + v.NameID()
	list, err := d.volumes(ctx, anyOf("lv_name", name, source, temporary))
	if err != nil {
		return err
	}
	vol, snap, clone := pick(list, name), pick(list, source), pick(list, temporary)
	switch {
	case vol == nil && clone != nil: // cut off behind the removal
		return d.change(ctx, "lvrename", d.group, temporary, name)
	case vol == nil:
		return drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, name)
	}
	if err := d.free(ctx, vol); err != nil {
		return err
	}
	switch {
	case vol.has(merging(source)) || snap != nil && snap.isCOW():
		return d.merge(ctx, name, source, snap)
	case snap == nil:
		return drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, source)
	}
	return d.replace(ctx, vol, source, clone)
}

// replace puts a clone of a thin snapshot in the place of the volume. The
// snapshot stays as it is all the time.
func (d *Driver) replace(ctx context.Context, vol *lv, source string, old *lv) error {
	if old != nil {
		if err := d.change(ctx, "lvremove", "-f", d.group+"/"+old.name); err != nil {
			return err
		}
	}
	temporary := revertPrefix + vol.name[len(volumePrefix):]
	if err := d.change(ctx, "lvcreate", "--yes", "-k", "n", "-a", "y", "-n", temporary, "-s", d.group+"/"+source); err != nil {
		return err
	}
	if err := d.remove(ctx, []lv{*vol}); err != nil {
		if errors.Is(err, drivers.ErrInUse) { // else it may be gone
			err = fault.Join(err, d.change(context.WithoutCancel(ctx), "lvremove", "-f", d.group+"/"+temporary))
		}
		return err
	}
	return d.change(context.WithoutCancel(ctx), "lvrename", d.group, temporary, vol.name)
}

// merging is the tag of a volume that a snapshot is being merged into: LVM
// removes the snapshot at the end, and it is to be made anew.
func merging(source string) string { return "cinderlib.merging." + source }

// mergePause is how often a merge is looked at.
const mergePause = 500 * time.Millisecond

func (d *Driver) merge(ctx context.Context, name, source string, snap *lv) error {
	lvName, tag := d.group+"/"+name, merging(source)
	if err := d.change(ctx, "lvchange", "--addtag", tag, lvName); err != nil {
		return err
	}
	if snap != nil && !snap.merging() {
		if err := d.change(ctx, "lvconvert", "--merge", "-b", d.group+"/"+source); err != nil {
			return err
		}
	}
	if err := d.awaitMerge(ctx, name, source); err != nil {
		return err
	}
	err := d.snapshot(ctx, source, name)
	if err == nil || errors.Is(err, drivers.ErrExists) {
		err = d.change(ctx, "lvchange", "--deltag", tag, lvName)
	}
	return err
}

// awaitMerge waits until the snapshot is gone. A merge that did not begin,
// because somebody had the volume open, begins when it is activated again.
func (d *Driver) awaitMerge(ctx context.Context, name, source string) error {
	for n := 1; ; n++ {
		list, err := d.volumes(ctx, anyOf("lv_name", name, "["+source+"]", source)) // a merging one is hidden
		if err != nil {
			return err
		}
		vol := pick(list, name)
		if vol == nil {
			return drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, name)
		}
		if !vol.merging() && pick(list, source) == nil {
			return nil
		}
		if err := poll.Pause(ctx, mergePause); err != nil {
			return err
		}
		if n%10 != 0 { // it may be that nothing has begun, or nobody watches over it
			continue
		}
		err = d.change(ctx, "lvchange", "-a", "n", d.group+"/"+name)
		if err == nil || errors.Is(err, drivers.ErrInUse) {
			err = d.change(ctx, "lvchange", "-a", "y", "--yes", d.group+"/"+name)
		}
		if err != nil {
			return err
		}
	}
}
