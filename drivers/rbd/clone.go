// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/undo"
)

// CloneVolume makes a clone of a snapshot that is made for it. Where that would
// make the chain of clones too long the data is copied.
func (d *Driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	var update *drivers.VolumeUpdate
	source := src.NameOnArray()
	err := d.new(ctx, fmt.Sprintf("clone %q as", source), v, func(p ceph.Pool, w *wanted) (err error) {
		if d.o.MaxCloneDepth <= 0 {
			update, err = d.copy(ctx, p, w, source)
		} else {
			update, err = d.clone(ctx, p, w, source)
		}
		return err
	})
	return update, err
}

func (d *Driver) clone(ctx context.Context, p ceph.Pool, w *wanted, source string) (update *drivers.VolumeUpdate, err error) {
	var taken undo.Stack
	defer taken.Unwind(ctx, undoGrace, &err)
	link := linkOf(w.name)
	if err = d.link(ctx, p, source, link, &taken); err != nil {
		return nil, err
	}
	if err = d.standOn(ctx, p, w, source, link, d.o.order(), &taken); err != nil {
		return nil, err
	}
	depth, err := depth(ctx, p, source)
	if err != nil {
		return nil, err
	}
	if depth >= d.o.MaxCloneDepth {
		if err = d.flatten(ctx, p, w.name); err != nil {
			return nil, err
		}
		if err = d.unlink(ctx, p, source, link); err != nil {
			return nil, err
		}
	}
	return d.setUp(ctx, p, w)
}

// link makes the snapshot of source that a clone stands on.
func (d *Driver) link(ctx context.Context, p ceph.Pool, source, link string, taken *undo.Stack) error {
	return with(ctx, p, source, toWrite, func(img ceph.Image) error {
		err := img.CreateSnapshot(ctx, link)
		if err == nil {
			taken.Push("remove snapshot "+link, func(ctx context.Context) error { return d.unlink(ctx, p, source, link) })
		}
		if err = but(err, syscall.EEXIST); err == nil {
			err = but(img.Protect(ctx, link), syscall.EBUSY)
		}
		return err
	})
}

// unlink removes a snapshot that a clone stood on.
func (d *Driver) unlink(ctx context.Context, p ceph.Pool, source, link string) error {
	return with(ctx, p, source, toWrite, func(img ceph.Image) error { return dropSnapshot(ctx, img, link) })
}

// dropSnapshot removes a snapshot that may be protected, or gone.
func dropSnapshot(ctx context.Context, img ceph.Image, name string) error {
	if err := but(img.Unprotect(ctx, name), syscall.EINVAL, syscall.ENOENT); err != nil {
		return err
	}
	return but(img.RemoveSnapshot(ctx, name), syscall.ENOENT)
}

// standOn makes an image a clone of a snapshot, unless it is one already, or was
// one before its data was copied.
func (d *Driver) standOn(ctx context.Context, p ceph.Pool, w *wanted, source, snapshot string, order int, taken *undo.Stack) error {
	features, err := d.features(ctx, w)
	if err != nil {
		return err
	}
	err = p.Clone(ctx, source, snapshot, w.name, ceph.ImageOptions{Features: features, Order: order})
	if !is(err, syscall.EEXIST) {
		if err == nil {
			taken.Push("remove "+w.name, func(ctx context.Context) error { return remove(ctx, p, w.name) })
		}
		return err
	}
	return with(ctx, p, w.name, toRead, func(img ceph.Image) error {
		parent, err := img.Parent(ctx)
		switch {
		case is(err, syscall.ENOENT):
			return nil
		case err == nil && (parent.Image != source || parent.Snapshot != snapshot):
			return drivers.Errorf(drivers.ErrExists, "there is one, of the snapshot %s of %s", parent.Snapshot, parent.Image)
		}
		return err
	})
}

// depth counts the clones of volumes that an image stands on.
func depth(ctx context.Context, p ceph.Pool, name string) (int, error) {
	for n := 0; ; n++ {
		var parent *ceph.Parent
		err := with(ctx, p, name, toRead, func(img ceph.Image) (err error) {
			parent, err = img.Parent(ctx)
			return but(err, syscall.ENOENT)
		})
		if err != nil || parent == nil || parent.Snapshot != linkOf(name) {
			return n, err
		}
		name = parent.Image
	}
}

// flatten copies into a clone what it has from its parent.
func (d *Driver) flatten(ctx context.Context, p ceph.Pool, name string) error {
	if d.flattens != nil {
		select {
		case d.flattens <- struct{}{}:
			defer func() { <-d.flattens }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return with(ctx, p, name, toWrite, func(img ceph.Image) error {
		return but(img.Flatten(ctx), syscall.EINVAL) // it has no parent any more
	})
}

// copy copies a volume. The copy has another name until it is complete.
func (d *Driver) copy(ctx context.Context, p ceph.Pool, w *wanted, source string) (update *drivers.VolumeUpdate, err error) {
	var there bool
	if there, err = exists(ctx, p, w.name); err != nil {
		return nil, err
	}
	if !there {
		if err := d.copyAll(ctx, p, w, source); err != nil {
			return nil, err
		}
	}
	return d.setUp(ctx, p, w)
}

func (d *Driver) copyAll(ctx context.Context, p ceph.Pool, w *wanted, source string) (err error) {
	part := w.name + partSuffix
	if err := remove(ctx, p, part); err != nil { // of a call that was cut off
		return err
	}
	var taken undo.Stack
	defer taken.Unwind(ctx, undoGrace, &err)
	taken.Push("remove "+part, func(ctx context.Context) error { return remove(ctx, p, part) })
	features, err := d.features(ctx, w)
	if err != nil {
		return err
	}
	if err := p.Copy(ctx, source, part, ceph.ImageOptions{Features: features, Order: d.o.order()}); err != nil {
		return err
	}
	return p.Rename(ctx, part, w.name)
}

func exists(ctx context.Context, p ceph.Pool, name string) (bool, error) {
	err := with(ctx, p, name, toRead, func(ceph.Image) error { return nil })
	return err == nil, but(err, syscall.ENOENT)
}

// VolumeFromSnapshot makes a clone of the snapshot, with data of its own if
// rbd_flatten_volume_from_snapshot says so.
func (d *Driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	var update *drivers.VolumeUpdate
	source, snapshot := src.NameOnArray(), s.NameOnArray()
	err := d.new(ctx, fmt.Sprintf("make of snapshot %q", snapshot), v, func(p ceph.Pool, w *wanted) (err error) {
		update, err = d.fromSnapshot(ctx, p, w, source, snapshot)
		return err
	})
	return update, err
}

func (d *Driver) fromSnapshot(ctx context.Context, p ceph.Pool, w *wanted, source, snapshot string) (update *drivers.VolumeUpdate, err error) {
	var taken undo.Stack
	defer taken.Unwind(ctx, undoGrace, &err)
	order := d.o.order()
	err = with(ctx, p, source, toRead, func(img ceph.Image) error {
		info, err := img.Info(ctx)
		if err == nil {
			order = max(order, orderOf(info.StripeUnit))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.standOn(ctx, p, w, source, snapshot, order, &taken)
	if is(err, syscall.EINVAL) { // a call to delete it was cut off, or somebody else made it
		err = with(ctx, p, source, toWrite, func(img ceph.Image) error { return but(img.Protect(ctx, snapshot), syscall.EBUSY) })
		if err == nil {
			err = d.standOn(ctx, p, w, source, snapshot, order, &taken)
		}
	}
	if err != nil {
		return nil, err
	}
	if d.o.FlattenFrom {
		if err = d.flatten(ctx, p, w.name); err != nil {
			return nil, err
		}
	}
	return d.setUp(ctx, p, w)
}

// flattenChildren copies their data into clones, in whatever pool they are. Those
// that are deleted are removed from the trash, if their time is over.
func (d *Driver) flattenChildren(ctx context.Context, img ceph.Image) error {
	children, err := img.Children(ctx)
	if err != nil {
		return err
	}
	c, err := d.connection(ctx)
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.Namespace != "" {
			return drivers.Errorf(drivers.ErrHasDependents, "its clone %s is in another name space", childName(child))
		}
		p, err := c.Pool(ctx, child.Pool)
		switch {
		case err != nil:
		case !child.InTrash:
			err = d.flatten(ctx, p, child.Image)
		case strings.HasPrefix(child.Image, volumePrefix):
			if err = p.TrashRemove(ctx, child.ImageID); is(err, syscall.EPERM) {
				err = drivers.Errorf(drivers.ErrHasDependents, "its clone %s is in the trash, and its time is not over", childName(child))
			}
		default:
			err = drivers.Errorf(drivers.ErrHasDependents, "its clone %s is in the trash", childName(child))
		}
		if err = but(err, syscall.ENOENT); err != nil {
			return err
		}
	}
	return nil
}

func childName(c ceph.Child) string {
	return strings.Join(slices.DeleteFunc([]string{c.Pool, c.Namespace, c.Image}, func(s string) bool { return s == "" }), "/")
}
