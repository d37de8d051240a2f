// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// CreateVolume makes an LV: one program. Quality of service is
// errors.ErrUnsupported.
func (d *Driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := d.newVolume(v)
	if err == nil {
		_, err = d.make(ctx, name, v.Size)
	}
	return nil, failed("create", name, err)
}

// newVolume names a volume that is to be made.
func (d *Driver) newVolume(v *drivers.Volume) (string, error) {
	name, err := d.volumeName(v)
	if err == nil {
		_, err = d.iqn(v)
	}
	if err == nil {
		err = refuseQoS(v)
	}
	return name, err
}

// make makes an empty LV of size GiB, with tags, or takes the one that is there.
// there is that one.
func (d *Driver) make(ctx context.Context, name string, size int, tags ...string) (there *lv, err error) {
	bytes, err := d.bytes(size)
	if err != nil {
		return nil, err
	}
	args := []string{"lvcreate", "--yes", "-n", name}
	for _, tag := range tags {
		args = append(args, "--addtag", tag)
	}
	length := strconv.FormatInt(bytes, 10) + "b"
	if d.thin() {
		args = append(args, "-T", "-V", length, d.group+"/"+d.pool)
	} else {
		args = append(append(append(args, "-L", length), mirrors(d.o.Mirrors, size)...), d.group)
	}
	err = d.change(ctx, args...)
	if !errors.Is(err, drivers.ErrExists) {
		return nil, err
	}
	l, findErr := d.find(ctx, name)
	switch {
	case findErr != nil:
		return nil, fault.Join(err, findErr)
	case l.size != bytes:
		return nil, drivers.Errorf(drivers.ErrExists, "it is there with %d bytes", l.size)
	case l.has(copying) != slices.Contains(tags, copying) && len(tags) == 0:
		return nil, drivers.Errorf(drivers.ErrExists, "it is there, being copied to")
	}
	return l, d.activate(ctx, name)
}

// mirrors are the arguments for copies of a thick volume. From 1.5 TiB on the
// mirror's regions must grow with it.
func mirrors(copies, size int) []string {
	if copies == 0 {
		return nil
	}
	args := []string{"--type=mirror", "-m", strconv.Itoa(copies), "--nosync", "--mirrorlog", "mirrored"}
	if tib := float64(size) / 1024; tib >= 1.5 {
		args = append(args, "-R", fmt.Sprint(int64(math.Exp2(math.Ceil(math.Log2(tib))))))
	}
	return args
}

// activate gives an LV its device, if it has none: snapshots of thin volumes come
// without, and so may all after the host was started.
func (d *Driver) activate(ctx context.Context, name string) error {
	if d.active(name) {
		return nil
	}
	return d.change(ctx, "lvchange", "-a", "y", "--yes", "-K", d.group+"/"+name)
}

// active tells whether an LV has its device.
func (d *Driver) active(name string) bool {
	_, err := os.Stat(d.env.Host.Path(d.device(name)))
	return err == nil
}

// DeleteVolume removes the LV, a thick one after its content was cleared as
// volume_clear says. ErrInUse: it is open, exported for example; ErrHasDependents:
// it is thick and has snapshots. Two programs, if it is thin.
func (d *Driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	name, err := d.volumeName(v)
	if err == nil {
		err = d.deleteVolume(ctx, v, name)
	}
	return failed("delete", name, err)
}

func (d *Driver) deleteVolume(ctx context.Context, v *drivers.Volume, name string) error {
	temporary := []string{clonePrefix + v.NameID(), revertPrefix + v.NameID()}
	list, err := d.volumes(ctx, anyOf("lv_name", append(temporary, name)...)+" || "+anyOf("origin", name))
	if err != nil {
		return err
	}
	l := pick(list, name)
	if l != nil && l.isOrigin() {
		var dependents []string
		for _, o := range list {
			if o.origin == name {
				dependents = append(dependents, o.name)
			}
		}
		return drivers.Errorf(drivers.ErrHasDependents, "%v need it", dependents)
	}
	var doomed []lv
	for _, t := range temporary {
		if l := pick(list, t); l != nil {
			doomed = append(doomed, *l)
		}
	}
	if l != nil {
		doomed = append(doomed, *l)
	}
	return d.remove(ctx, doomed)
}

// ExtendVolume grows the LV: one program. Who has it attached over iSCSI sees
// the size after a rescan. ErrInUse: it is thick, has snapshots, and is open; LVM
// cannot grow it then. ErrInvalid: it is larger already.
func (d *Driver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	name, err := d.volumeName(v)
	if err == nil {
		err = d.extend(ctx, name, size)
	}
	return failed("extend", name, err)
}

func (d *Driver) extend(ctx context.Context, name string, size int) error {
	bytes, err := d.bytes(size)
	if err != nil {
		return err
	}
	// It may be a call that was cut off which has left it inactive.
	if !d.active(name) {
		return d.extendInactive(ctx, name, bytes)
	}
	err = d.lvextend(ctx, name, bytes)
	switch {
	case says(err, sameSize): // a call that was cut off may have done no more
		return d.growSnapshots(ctx, name, bytes)
	case says(err, "only while inactive"):
		return d.extendInactive(ctx, name, bytes)
	}
	return err
}

// sameSize is what LVM says of an LV that has the size already.
const sameSize = "matches existing size"

func (d *Driver) lvextend(ctx context.Context, name string, bytes int64) error {
	err := d.change(ctx, "lvextend", "-L", strconv.FormatInt(bytes, 10)+"b", d.group+"/"+name)
	if says(err, "not larger than existing") {
		return d.largeAlready(ctx, name, bytes)
	}
	return err
}

func (d *Driver) largeAlready(ctx context.Context, name string, bytes int64) error {
	l, err := d.find(ctx, name)
	if err == nil && l.size > bytes {
		err = drivers.Errorf(drivers.ErrInvalid, "it has %d bytes already, more than %d", l.size, bytes)
	}
	return err
}

// extendInactive grows a thick LV with snapshots, which LVM does not while it is
// active, and the snapshots with it.
func (d *Driver) extendInactive(ctx context.Context, name string, bytes int64) (err error) {
	if err := d.roomToExtend(ctx, name, bytes); err != nil {
		return err
	}
	defer func() {
		if !d.active(name) {
			err = fault.Join(err, d.change(context.WithoutCancel(ctx), "lvchange", "-a", "y", "--yes", "-K", d.group+"/"+name))
		}
	}()
	if err := d.change(ctx, "lvchange", "-a", "n", d.group+"/"+name); err != nil {
		if errors.Is(err, drivers.ErrInUse) {
			return fmt.Errorf("a thick volume with snapshots cannot grow while it is open: %w", err)
		}
		return err
	}
	if err := d.lvextend(ctx, name, bytes); err != nil && !says(err, sameSize) {
		return err
	}
	return d.growSnapshots(ctx, name, bytes)
}

// roomToExtend: once the volume has grown it is too late to find that there is
// no room for its snapshots.
func (d *Driver) roomToExtend(ctx context.Context, name string, bytes int64) error {
	list, err := d.volumes(ctx, anyOf("lv_name", name)+" || "+anyOf("origin", name))
	if err != nil {
		return err
	}
	if pick(list, name) == nil {
		return drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, name)
	}
	g, err := d.readGroup(ctx)
	if err != nil {
		return err
	}
	var need int64
	for i := range list {
		switch l := &list[i]; {
		case l.isCOW():
			need += max(0, cowBytes(bytes)-l.size)
		case l.name == name && l.pool == "":
			need += max(0, bytes-l.size)
		}
	}
	if need > g.free {
		return drivers.Errorf(drivers.ErrExhausted, "%d bytes are needed, for its snapshots too, and the volume group %s has %d", need, d.group, g.free)
	}
	return nil
}

// growSnapshots gives the thick snapshots of a thick LV room for all its blocks.
func (d *Driver) growSnapshots(ctx context.Context, name string, bytes int64) error {
	list, err := d.volumes(ctx, anyOf("origin", name))
	if err != nil {
		return err
	}
	for i := range list {
		if !list[i].isCOW() {
			continue
		}
		err := d.lvextend(ctx, list[i].name, cowBytes(bytes))
		if err != nil && !says(err, sameSize) {
			return fmt.Errorf("its snapshot %s: %w", list[i].name, err)
		}
	}
	return nil
}

// RetypeVolume has nothing to change: LVM keeps no quality of service, and refuses
// one.
func (d *Driver) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	typed := *v
	typed.VolumeType = t
	if err := refuseQoS(&typed); err != nil {
		return nil, failed("retype", v.NameOnArray(), err)
	}
	_, err := d.InspectVolume(ctx, v)
	return nil, err
}

// InspectVolume asks LVM: one program. An LV that content is still being copied
// to, or was when a process died, is no volume yet.
func (d *Driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	name, err := d.volumeName(v)
	if err != nil {
		return nil, failed("inspect", name, err)
	}
	l, err := d.find(ctx, name)
	if err == nil && l.has(copying) {
		err = drivers.Errorf(drivers.ErrNotFound, "its content was not copied to the end")
	}
	if err != nil {
		return nil, failed("inspect", name, err)
	}
	return &drivers.VolumeState{SizeBytes: l.size}, nil
}
