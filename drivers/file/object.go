// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

const (
	volumePrefix   = "volume-"
	snapshotPrefix = "snapshot-"
	maxID          = 200 // a file name has 255 bytes; the rest is for what is put around the id
)

// volumeName is the file of a volume. The library has checked the id, but what
// is at stake is which file is removed.
func volumeName(v *drivers.Volume) (string, error) { return v.NameOnArray(), checkID(v.NameID()) }

func snapshotName(s *drivers.Snapshot) (string, error) { return s.NameOnArray(), checkID(s.ID) }

func checkID(id string) error {
	if id == "" || id == "." || id == ".." || len(id) > maxID || strings.ContainsAny(id, "/\x00") {
		return drivers.Errorf(drivers.ErrInvalid, "the id %q cannot be part of a file name", id)
	}
	return nil
}

// connected tells whether a host may be writing to v.
func connected(v *drivers.Volume) bool {
	return v.Status == drivers.StatusInUse ||
		v.Status != drivers.StatusAvailable && v.PreviousStatus == drivers.StatusInUse
}

func (d *Driver) path(name string) string { return filepath.Join(d.dir, name) }

// stat finds an object. ErrNotFound is certain: that the directory is gone, or
// another, because a file system came or went, is ErrUnavailable.
func (d *Driver) stat(name string) (fs.FileInfo, error) {
	info, err := os.Lstat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.present(); err != nil {
			return nil, err
		}
		return nil, drivers.Errorf(drivers.ErrNotFound, "there is no file %s", d.path(name))
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, drivers.Errorf(drivers.ErrInternal, "%s is not a regular file (%s)", d.path(name), info.Mode().Type())
	}
	return info, nil
}

// present checks that the directory is the one that was opened.
func (d *Driver) present() error {
	now, err := os.Stat(d.dir)
	if err == nil && os.SameFile(now, d.identity) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return drivers.Errorf(drivers.ErrUnavailable, "the directory %s is not the one that was there before: is a file system to be mounted, or unmounted?", d.dir)
}

// openObject opens an object that must have size GiB at least.
func (d *Driver) openObject(name string, size int, flag int) (*os.File, fs.FileInfo, error) {
	if _, err := d.stat(name); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(d.path(name), flag|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < int64(size)*drivers.GiB {
		err = drivers.Errorf(drivers.ErrInternal, "%s holds %d bytes, less than the %d GiB it is recorded with", d.path(name), info.Size(), size)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// made tells whether the object is there already. Names are given to whole files
// only, so it is whole. ErrExists: it has another size.
func (d *Driver) made(name string, bytes int64) (bool, error) {
	info, err := d.stat(name)
	if errors.Is(err, drivers.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.Size() != bytes {
		return false, drivers.Errorf(drivers.ErrExists, "%s exists with %d bytes, not %d", d.path(name), info.Size(), bytes)
	}
	return true, nil
}

// make makes an object of size GiB, whole or not at all. fill, unless it is nil,
// puts the content in.
func (d *Driver) make(ctx context.Context, name string, size int, fill func(*draft) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bytes := int64(size) * drivers.GiB
	if size <= 0 || bytes/drivers.GiB != int64(size) {
		return drivers.Errorf(drivers.ErrInvalid, "a file cannot have %d GiB", size)
	}
	if done, err := d.made(name, bytes); done || err != nil {
		return err // made has looked whether the directory is the right one
	}
	if _, err := d.fits(bytes); err != nil { // before a copy that may take long
		return err
	}
	t, err := d.newDraft(name)
	if err != nil {
		return err
	}
	defer t.discard()
	if fill != nil {
		if err := fill(t); err != nil {
			return err
		}
	}
	if err := t.finish(bytes); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = d.book(ctx, bytes, func() error { return t.publish(name) })
	if errors.Is(err, fs.ErrExist) { // another process was faster
		if done, err := d.made(name, bytes); done || err != nil {
			return err
		}
		return busy(d.path(name)) // and has deleted it
	}
	if err != nil {
		return err
	}
	if err := d.flush(); err != nil {
		return fault.Join(err, os.Remove(d.path(name)))
	}
	return nil
}

// source is what an object is made of.
type source struct {
	size   int  // GiB to take over
	moving bool // it may be written to meanwhile
}

// makeOf makes an object of size GiB that begins with the content of another.
func (d *Driver) makeOf(ctx context.Context, name string, size int, s source, nameOf func() (string, error)) error {
	from, err := nameOf()
	if err != nil {
		return err
	}
	if size < s.size {
		return drivers.Errorf(drivers.ErrInvalid, "%d GiB do not hold the %d GiB of %s", size, s.size, from)
	}
	return d.make(ctx, name, size, func(t *draft) error { return d.fill(ctx, t, from, s) })
}

// fill gives t the content of another object: at once, or by a copy.
func (d *Driver) fill(ctx context.Context, t *draft, from string, s source) error {
	src, info, err := d.openObject(from, s.size, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // nothing was written through it
	bytes := int64(s.size) * drivers.GiB
	err = t.share(src)
	if err == nil {
		return t.f.Truncate(bytes) // it may have grown, behind the record's back
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if s.moving {
		return drivers.Errorf(drivers.ErrInUse, "%s is connected, and the file system cannot freeze its content (no reflinks): "+
			"disconnect it first, or keep the directory on XFS or Btrfs", from)
	}
	if err := d.affords(info); err != nil {
		return err
	}
	return d.env.Copy(ctx, drivers.CopyRequest{
		Source:         drivers.Endpoint{Path: t.reach(src, d.path(from))},
		Target:         drivers.Endpoint{Path: t.path},
		Bytes:          bytes,
		Sparse:         true,
		BytesPerSecond: d.speed,
	})
}

// grow makes a volume larger.
func (d *Driver) grow(ctx context.Context, name string, size int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, info, err := d.openObject(name, 0, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Sync has told all there is to tell
	bytes := int64(size) * drivers.GiB
	switch {
	case info.Size() == bytes:
		return nil
	case info.Size() > bytes:
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d GiB, and cannot shrink", info.Size(), size)
	}
	err = d.book(ctx, bytes-info.Size(), func() error { return f.Truncate(bytes) })
	if err != nil {
		return err
	}
	return f.Sync()
}

// remove removes an object and what a call that was cut off left of it.
func (d *Driver) remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.removePartial(name); err != nil {
		return err
	}
	// Not os.Remove, which removes directories too.
	err := syscall.Unlink(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return d.present()
	}
	if err != nil {
		return os.NewSyscallError("unlink", err)
	}
	return d.flush()
}

// revert puts the content of a snapshot in the place of a volume's.
func (d *Driver) revert(ctx context.Context, name string, v *drivers.Volume, s *drivers.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from, err := snapshotName(s)
	if err != nil {
		return err
	}
	if connected(v) {
		return drivers.Errorf(drivers.ErrInUse, "it is connected")
	}
	info, err := d.stat(name)
	if err != nil {
		return err
	}
	t, err := d.newDraft(name)
	if err != nil {
		return err
	}
	defer t.discard()
	if err := d.fill(ctx, t, from, source{size: s.VolumeSize}); err != nil {
		return err
	}
	if err := t.finish(max(info.Size(), int64(s.VolumeSize)*drivers.GiB)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := d.env.Host.Locks.Lock(ctx, d.lock)
	if err != nil {
		return err
	}
	defer unlock()
	if err := t.replace(name); err != nil {
		return err
	}
	return d.flush()
}

// flush puts the names in the directory on the disk. A file system that does not
// know such a thing (EINVAL) does not need it.
func (d *Driver) flush() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("flush the directory: %w", err)
	}
	return nil
}
