// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// ListVolumes lists the images of the pool. A reference is the name of one.
func (d *Driver) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	var volumes []drivers.ExistingVolume
	err := d.do(ctx, "list pool", d.o.Pool, func(p ceph.Pool) error {
		names, err := p.Images(ctx)
		if err != nil {
			return err
		}
		volumes = make([]drivers.ExistingVolume, 0, len(names))
		for _, name := range names {
			v, err := existing(ctx, p, name)
			switch {
			case is(err, syscall.ENOENT): // it has just gone
			case err != nil:
				return err
			default:
				volumes = append(volumes, *v)
			}
		}
		return nil
	})
	slices.SortFunc(volumes, func(a, b drivers.ExistingVolume) int { return cmp.Compare(a.Reference, b.Reference) })
	return volumes, err
}

func existing(ctx context.Context, p ceph.Pool, name string) (*drivers.ExistingVolume, error) {
	v := &drivers.ExistingVolume{Reference: name}
	return v, with(ctx, p, name, toRead, func(img ceph.Image) error {
		info, err := img.Info(ctx)
		if err != nil {
			return err
		}
		watchers, err := img.Watchers(ctx)
		v.SizeBytes = info.Bytes
		switch id, own := strings.CutPrefix(name, volumePrefix); {
		case isDeleted(name):
			v.NotSafe = "volume marked as deleted"
		case strings.HasSuffix(name, partSuffix):
			v.NotSafe = "its content was not copied to the end"
		default:
			if own {
				v.VolumeID = id
			}
			if len(watchers) > 0 {
				v.NotSafe = "volume in use"
			}
		}
		return err
	})
}

// ManageVolume renames the image ref, and grows it to v.Size GiB.
func (d *Driver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	var update *drivers.VolumeUpdate
	err := d.new(ctx, "manage "+strconv.Quote(ref)+" as", v, func(p ceph.Pool, w *wanted) (err error) {
		if err = d.manage(ctx, p, w, ref); err == nil {
			update, err = d.setUp(ctx, p, w)
		}
		return err
	})
	return update, err
}

func (d *Driver) manage(ctx context.Context, p ceph.Pool, w *wanted, ref string) error {
	switch {
	case checkName(ref) != nil || ref == "":
		return drivers.Errorf(drivers.ErrInvalid, "it is not the name of an image")
	case ref != w.name && strings.HasPrefix(ref, volumePrefix):
		return drivers.Errorf(drivers.ErrExists, "it is the volume with the id %s; only that can take it over", strings.TrimPrefix(ref, volumePrefix))
	}
	err := with(ctx, p, ref, toRead, func(img ceph.Image) error {
		info, err := img.Info(ctx)
		if err == nil && info.Bytes > w.bytes {
			err = drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d", info.Bytes, w.bytes)
		}
		return err
	})
	if is(err, syscall.ENOENT) && ref != w.name {
		if d.sameSize(ctx, p, w) == nil {
			return nil // done by a call that was cut off
		}
	}
	if err != nil || ref == w.name {
		return err
	}
	// The size first: a call that is cut off behind it finds ref again.
	err = with(ctx, p, ref, toWrite, func(img ceph.Image) error { return grow(ctx, img, w.bytes) })
	if err != nil {
		return err
	}
	return p.Rename(ctx, ref, w.name)
}

// UnmanageVolume has nothing to do: the image keeps its name.
func (d *Driver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	return failed("unmanage", v.NameOnArray(), ctx.Err())
}
