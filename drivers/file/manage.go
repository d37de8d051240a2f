// SPDX-License-Identifier: Apache-2.0

package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// ListVolumes lists the regular files of the directory, less snapshots and what
// begins with a dot. A reference is the name of a file.
func (d *Driver) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed("list", d.dir, err)
	}
	names, err := d.list()
	if err != nil {
		return nil, failed("list", d.dir, err)
	}
	var volumes []drivers.ExistingVolume
	for _, name := range names {
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, snapshotPrefix) {
			continue
		}
		info, err := os.Lstat(d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, failed("list", d.dir, err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		v := drivers.ExistingVolume{Reference: name, SizeBytes: info.Size()}
		if id, own := strings.CutPrefix(name, volumePrefix); own && checkID(id) == nil {
			v.VolumeID = id
		}
		if v.SizeBytes == 0 {
			v.NotSafe = "it is empty"
		}
		volumes = append(volumes, v)
	}
	slices.SortFunc(volumes, func(a, b drivers.ExistingVolume) int { return cmp.Compare(a.Reference, b.Reference) })
	return volumes, nil
}

// ManageVolume renames the file ref of the directory and grows it to v.Size GiB;
// its owner and mode stay. ErrInvalid: ref is not the name of a regular file in
// the directory, or the file is larger. ErrExists: it is another volume's, or v
// exists.
func (d *Driver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	name, err := volumeName(v)
	if err == nil {
		err = d.manage(ctx, name, v.Size, ref)
	}
	return nil, failed("manage "+ref+" as", name, err)
}

// UnmanageVolume has nothing to do: the file keeps its name.
func (d *Driver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	name, err := volumeName(v)
	if err == nil {
		err = ctx.Err()
	}
	return failed("unmanage", name, err)
}

func (d *Driver) manage(ctx context.Context, name string, size int, ref string) error {
	if err := checkReference(ref, name); err != nil {
		return err
	}
	unlock, err := d.env.Host.Locks.Lock(ctx, d.lock)
	if err != nil {
		return err
	}
	defer unlock()
	// Links are not followed: what they point to is elsewhere, or somebody else's.
	info, err := os.Lstat(d.path(ref))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.present(); err != nil {
			return err
		}
		return d.resume(name, size, ref)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return drivers.Errorf(drivers.ErrInvalid, "it is not a regular file (%s)", info.Mode().Type())
	}
	if ref == name {
		return d.roundUp(name, size)
	}
	if _, err := d.stat(name); !errors.Is(err, drivers.ErrNotFound) {
		return fault.Join(drivers.Errorf(drivers.ErrExists, "%s exists", d.path(name)), err)
	}
	// The size first: a call that is cut off behind it finds ref again.
	if err := d.roundUp(ref, size); err != nil {
		return err
	}
	if err := os.Rename(d.path(ref), d.path(name)); err != nil {
		return fault.Join(err, os.Truncate(d.path(ref), info.Size()))
	}
	return d.flush()
}

// resume finds the volume that a call which was cut off has renamed already.
func (d *Driver) resume(name string, size int, ref string) error {
	if done, err := d.made(name, int64(size)*drivers.GiB); err == nil && done {
		return d.flush()
	}
	return drivers.Errorf(drivers.ErrNotFound, "there is no file %s", d.path(ref))
}

// roundUp grows a file to size GiB and books all of it, with the lock of the
// directory held. Nothing is refused for want of room: nothing is taken.
func (d *Driver) roundUp(name string, size int) error {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Sync has told all there is to tell
	info, err := f.Stat()
	if err != nil {
		return err
	}
	bytes := int64(size) * drivers.GiB
	if info.Size() > bytes {
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d GiB", info.Size(), size)
	}
	if provisioned, known := d.readBound(); known {
		if err := d.writeBound(sum(provisioned, bytes)); err != nil {
			return err
		}
	}
	if info.Size() == bytes {
		return nil
	}
	if err := f.Truncate(bytes); err != nil {
		return err
	}
	return f.Sync()
}

// checkReference accepts the name of a file that is nobody else's.
func checkReference(ref, name string) error {
	switch {
	case ref == "" || strings.HasPrefix(ref, ".") || strings.ContainsAny(ref, "/\x00"):
		return drivers.Errorf(drivers.ErrInvalid, "it is not the name of a file in the directory")
	case strings.HasPrefix(ref, snapshotPrefix):
		return drivers.Errorf(drivers.ErrInvalid, "it is a snapshot")
	case ref != name && strings.HasPrefix(ref, volumePrefix):
		return drivers.Errorf(drivers.ErrExists, "it is the volume with the id %s; only that can take it over", strings.TrimPrefix(ref, volumePrefix))
	}
	return nil
}
