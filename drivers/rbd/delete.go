// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// What is busy is looked at again: somebody may be letting go of it, or be dead,
// which the cluster says after 30 s (osd_client_watch_timeout).
const (
	busyTries = 36
	busyPause = time.Second
)

// DeleteVolume removes the image. One that volumes were cloned of lives on under
// another name until the last of them is deleted. ErrInUse: it is open somewhere;
// ErrHasDependents: it has snapshots.
func (d *Driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	name := v.NameOnArray()
	return d.do(ctx, "delete", name, func(p ceph.Pool) error {
		err := d.delete(ctx, p, name)
		if is(err, syscall.ENOENT) {
			return d.cleanUp(ctx, p, v)
		}
		return err
	})
}

// image is what is known of one that is to go.
type image struct {
	watchers               []string // those who have it open
	links, backups, others []string // its snapshots
	trashed                bool     // it has snapshots that were removed before their clones
	parent                 *ceph.Parent
}

func (d *Driver) delete(ctx context.Context, p ceph.Pool, name string) error {
	var i image
	for n := 1; ; n++ {
		err := with(ctx, p, name, toRead, func(img ceph.Image) (err error) {
			i, err = look(ctx, img)
			return err
		})
		if err != nil {
			return err
		}
		if len(i.watchers) == 0 {
			break
		}
		if n >= d.tries {
			return drivers.Errorf(drivers.ErrInUse, "it is open in %s", strings.Join(i.watchers, ", "))
		}
		if err := poll.Pause(ctx, busyPause); err != nil {
			return err
		}
	}
	if len(i.others) > 0 {
		return drivers.Errorf(drivers.ErrHasDependents, "it has snapshots: %s", strings.Join(i.others, ", "))
	}
	if len(i.links)+len(i.backups) > 0 {
		kept, err := d.dropLinks(ctx, p, name, &i)
		if err != nil {
			return err
		}
		if kept {
			return p.Rename(ctx, name, name+deletedSuffix)
		}
	}
	if err := d.removeImage(ctx, p, name, i.trashed); err != nil {
		return err
	}
	return d.release(ctx, p, name, i.parent)
}

// look finds out what stands in the way of removing an image.
func look(ctx context.Context, img ceph.Image) (i image, err error) {
	if i.watchers, err = img.Watchers(ctx); err != nil {
		return i, err
	}
	snaps, err := img.Snapshots(ctx)
	if err != nil {
		return i, err
	}
	for _, s := range snaps {
		switch {
		case s.Trashed:
			i.trashed = true
		case isLink(s.Name):
			i.links = append(i.links, s.Name)
		case backupSnapshot.MatchString(s.Name):
			i.backups = append(i.backups, s.Name)
		default:
			i.others = append(i.others, s.Name)
		}
	}
	i.parent, err = img.Parent(ctx)
	return i, but(err, syscall.ENOENT)
}

// dropLinks removes the snapshots of backups, and those for clones that are gone;
// kept: there are others.
func (d *Driver) dropLinks(ctx context.Context, p ceph.Pool, name string, i *image) (kept bool, err error) {
	drop := i.backups
	for _, snapshot := range i.links {
		// A cluster with clones of version 2 would remove it all the same.
		err := with(ctx, p, name, ceph.OpenOptions{Snapshot: snapshot}, func(img ceph.Image) error {
			children, err := img.Children(ctx)
			if len(children) > 0 {
				kept = true
			} else {
				drop = append(drop, snapshot)
			}
			return err
		})
		if err := but(err, syscall.ENOENT); err != nil {
			return false, err
		}
	}
	if len(drop) == 0 {
		return kept, nil
	}
	return kept, with(ctx, p, name, toWrite, func(img ceph.Image) error {
		for _, snapshot := range drop {
			if err := dropSnapshot(ctx, img, snapshot); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeImage removes an image, or moves it to the trash. What stands in the way
// by now is waited for, or removed.
func (d *Driver) removeImage(ctx context.Context, p ceph.Pool, name string, trashed bool) error {
	if d.o.DeferredDeletion {
		return p.TrashMove(ctx, name, d.o.DeferredDelay)
	}
	for n := 1; ; n++ {
		err := p.Remove(ctx, name)
		switch {
		case err == nil || n >= d.tries || !is(err, syscall.EBUSY, syscall.ENOTEMPTY):
			return but(err, syscall.ENOENT)
		case is(err, syscall.ENOTEMPTY) && !trashed:
			return err
		case is(err, syscall.ENOTEMPTY):
			if err := with(ctx, p, name, toRead, func(img ceph.Image) error { return d.flattenChildren(ctx, img) }); err != nil {
				return err
			}
		}
		if err := again(ctx, n); err != nil {
			return err
		}
	}
}

// again waits before the n-th attempt but one. The first comes at once: what was
// in the way may have been removed.
func again(ctx context.Context, n int) error {
	if n == 1 {
		return ctx.Err()
	}
	return poll.Pause(ctx, busyPause)
}

// release removes the snapshot that a clone stood on, which is gone, and what has
// lived on for it.
func (d *Driver) release(ctx context.Context, p ceph.Pool, clone string, parent *ceph.Parent) error {
	for parent != nil && parent.Snapshot == linkOf(clone) {
		name := parent.Image
		next, gone, err := d.unlinkFrom(ctx, p, name, parent.Snapshot)
		if err != nil || !gone {
			return err
		}
		clone, parent = name, next
	}
	if parent != nil && isDeleted(parent.Image) {
		return d.cleanImage(ctx, p, parent.Image, "") // a snapshot that was removed before its clones
	}
	return nil
}

// unlinkFrom removes a snapshot of an image, and the image, if it is deleted and
// has no other. parent is what it stood on.
func (d *Driver) unlinkFrom(ctx context.Context, p ceph.Pool, name, link string) (parent *ceph.Parent, gone bool, err error) {
	var left int
	err = with(ctx, p, name, toWrite, func(img ceph.Image) error {
		if parent, err = d.standsOn(ctx, p, img, name, link); err != nil {
			return err
		}
		if err := but(dropSnapshot(ctx, img, link), syscall.EBUSY); err != nil { // another clone of it
			return err
		}
		snaps, err := img.Snapshots(ctx)
		left = len(snaps)
		return err
	})
	switch {
	case is(err, syscall.ENOENT):
		return nil, false, nil
	case err != nil || left > 0 || !isDeleted(name):
		return nil, false, err
	}
	return parent, true, d.removeImage(ctx, p, name, false)
}

// standsOn is the parent of an image, or that of its snapshot: the data of the
// image may be its own by now.
func (d *Driver) standsOn(ctx context.Context, p ceph.Pool, img ceph.Image, name, snapshot string) (*ceph.Parent, error) {
	parent, err := img.Parent(ctx)
	if !is(err, syscall.ENOENT) {
		return parent, err
	}
	err = with(ctx, p, name, ceph.OpenOptions{Snapshot: snapshot}, func(img ceph.Image) error {
		parent, err = img.Parent(ctx)
		return err
	})
	return parent, but(err, syscall.ENOENT)
}

// cleanUp removes what calls that were cut off have left of v, which has no image: a
// copy that is not complete, the snapshot it stood on, deleted images that nobody
// needs.
func (d *Driver) cleanUp(ctx context.Context, p ceph.Pool, v *drivers.Volume) error {
	err := remove(ctx, p, v.NameOnArray()+partSuffix)
	if err == nil && v.SourceVolumeID != "" {
		err = d.cleanImage(ctx, p, volumePrefix+v.SourceVolumeID, linkOf(v.NameOnArray()))
	}
	return fault.Join(err, d.sweep(ctx, p))
}

// sweep removes deleted images that nobody needs.
func (d *Driver) sweep(ctx context.Context, p ceph.Pool) error {
	names, err := p.Images(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range names {
		if isDeleted(name) {
			faults = append(faults, d.cleanImage(ctx, p, name, ""))
		}
		if ctx.Err() != nil {
			return fault.Join(append(faults, ctx.Err())...)
		}
	}
	return fault.Join(faults...)
}

// cleanImage removes the snapshots of an image for clones that are gone: all of a
// deleted one, of another that one.
func (d *Driver) cleanImage(ctx context.Context, p ceph.Pool, name, link string) error {
	var i image
	err := with(ctx, p, name, toRead, func(img ceph.Image) (err error) {
		i, err = look(ctx, img)
		return err
	})
	if err != nil {
		return but(err, syscall.ENOENT)
	}
	if !isDeleted(name) {
		i.links = slices.DeleteFunc(i.links, func(l string) bool { return l != link })
	}
	for _, l := range i.links {
		next, gone, err := d.unlinkFrom(ctx, p, name, l)
		if err != nil {
			return err
		}
		if gone {
			return d.release(ctx, p, name, next)
		}
	}
	if len(i.links)+len(i.others)+len(i.watchers) > 0 || i.trashed || !isDeleted(name) {
		return nil
	}
	// It was cut off before this.
	if err := but(d.removeImage(ctx, p, name, false), syscall.ENOTEMPTY); err != nil {
		return err
	}
	return d.release(ctx, p, name, i.parent)
}
