// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/undo"
)

const (
	// copying is the tag of an LV whose content is not complete.
	copying = "cinderlib.copying"
	// undoGrace is how long a call that failed may take to take back what it did.
	undoGrace = 10 * time.Second
)

// needsSize is what LVM says where a snapshot of a thick volume would be meant.
const needsSize = "either size or extents with snapshots"

// CloneVolume makes v of src. Thin: an LV that shares what both have, one
// program, and one more if v is larger. Thick: a copy by way of a snapshot of src,
// which takes the size of src of room while it lasts.
func (d *Driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := d.newVolume(v)
	var source string
	if err == nil {
		source, err = d.volumeName(src)
	}
	if err == nil {
		err = d.derive(ctx, name, v.Size, source, func() error { return d.cloneThick(ctx, v, src, name, source) })
	}
	return nil, failed("clone to", name, err)
}

// VolumeFromSnapshot makes v of s, as CloneVolume does.
func (d *Driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := d.newVolume(v)
	var source string
	if err == nil {
		source, err = d.snapshotName(s)
	}
	if err == nil {
		err = d.derive(ctx, name, v.Size, source, func() error {
			return d.copy(ctx, name, v.Size, s.VolumeSize, func(*undo.Stack) (string, error) { return source, nil })
		})
	}
	return nil, failed("create", name, err)
}

// derive makes a thin LV of another, or thickly what is thick.
func (d *Driver) derive(ctx context.Context, name string, size int, source string, thickly func() error) (err error) {
	if !d.thin() {
		return thickly()
	}
	// Active at once, and for good: without -k n a thin snapshot is skipped when
	// volumes are activated.
	u := undo.Stack{}
	defer func() { u.Unwind(ctx, undoGrace, &err) }()
	err = d.change(ctx, "lvcreate", "--yes", "-k", "n", "-a", "y", "-n", name, "-s", d.group+"/"+source)
	switch {
	case says(err, needsSize):
		return thickly()
	case errors.Is(err, drivers.ErrExists):
		err = d.derived(ctx, name, source)
	case err == nil:
		u.Push("of "+name, func(ctx context.Context) error {
			return d.change(ctx, "lvremove", "-f", d.group+"/"+name)
		})
	}
	if err != nil {
		return err
	}
	bytes, err := d.bytes(size)
	if err != nil {
		return err
	}
	l, err := d.sizeOf(name)
	if err != nil || l >= bytes {
		return err
	}
	return d.extend(ctx, name, size)
}

// derived tells whether an LV that is there is one of the source's.
func (d *Driver) derived(ctx context.Context, name, source string) error {
	l, err := d.find(ctx, name)
	if err != nil {
		return err
	}
	if !l.thin() || l.origin != source {
		return drivers.Errorf(drivers.ErrExists, "it is there, and not made of %s", source)
	}
	return d.activate(ctx, name)
}

// sizeOf is the size in bytes of an LV that is active.
func (d *Driver) sizeOf(name string) (int64, error) { return d.env.Host.Size(d.device(name)) }

// cloneThick copies a snapshot of src.
func (d *Driver) cloneThick(ctx context.Context, v, src *drivers.Volume, name, source string) error {
	temporary := clonePrefix + v.NameID()
	return d.copy(ctx, name, v.Size, src.Size, func(u *undo.Stack) (string, error) {
		u.Push("of "+temporary, func(ctx context.Context) error {
			list, err := d.named(ctx, temporary)
			if err != nil {
				return err
			}
			return d.remove(ctx, list)
		})
		err := d.snapshot(ctx, temporary, source)
		if errors.Is(err, drivers.ErrExists) { // of a call that was cut off: content of another instant
			if list, findErr := d.named(ctx, temporary); findErr == nil {
				err = d.remove(ctx, list)
			}
			if err == nil {
				err = d.snapshot(ctx, temporary, source)
			}
		}
		return temporary, err
	})
}

// copy makes a thick LV of size GiB with the content of another, of from GiB, and
// zeros behind it. view gives the name of that other, and puts on the stack what
// is to be undone after the copy, whichever way it ends.
func (d *Driver) copy(ctx context.Context, name string, size, from int, view func(*undo.Stack) (string, error)) (err error) {
	there, err := d.make(ctx, name, size, copying)
	if err != nil || there != nil && !there.has(copying) {
		return err // it failed, or was done before
	}
	u := undo.Stack{}
	defer func() { u.Unwind(ctx, undoGrace, &err) }()
	u.Push("of "+name, func(ctx context.Context) error {
		list, err := d.named(ctx, name)
		if err != nil {
			return err
		}
		return d.remove(ctx, list)
	})
	if err := d.fill(ctx, name, from, view); err != nil {
		return err
	}
	return d.change(ctx, "lvchange", "--deltag", copying, d.group+"/"+name)
}

// fill does the work of copy. What view has made is gone when it returns: the LV
// counts as made only after that, or nobody would remove it.
func (d *Driver) fill(ctx context.Context, name string, from int, view func(*undo.Stack) (string, error)) (err error) {
	after := undo.Stack{}
	defer func() { after.Release(ctx, undoGrace, &err) }()
	source, err := view(&after)
	if err == nil {
		err = d.activate(ctx, source)
	}
	if err != nil {
		return err
	}
	bytes, err := d.sizeOf(source)
	if err != nil {
		return err
	}
	bytes = min(bytes, int64(from)*drivers.GiB)
	if err := d.env.Copy(ctx, drivers.CopyRequest{
		Source: drivers.Endpoint{Path: d.env.Host.Path(d.device(source))},
		Target: drivers.Endpoint{Path: d.env.Host.Path(d.device(name))},
		Bytes:  bytes, BytesPerSecond: d.o.CopyBytesPerSecond,
	}); err != nil {
		return err
	}
	return d.zeroBehind(ctx, name, bytes)
}

// zeroBehind: the room of a thick LV may have been another's before.
func (d *Driver) zeroBehind(ctx context.Context, name string, from int64) error {
	bytes, err := d.sizeOf(name)
	if err != nil || bytes <= from {
		return err
	}
	path := d.env.Host.Path(d.device(name))
	f, err := d.openFile(path, os.O_WRONLY, 0)
	if err = d.zeros(ctx, f, err, path, from, bytes); err != nil {
		err = fmt.Errorf("behind the copy: %w", err)
	}
	return err
}
