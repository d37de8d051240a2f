// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// A draft is an object in the making. It has no name, so that the kernel removes
// it when the process ends, however it ends. Where the file system, or a missing
// /proc, does not allow that, its name is the object's partial name, and a lock
// on it, which the kernel releases, tells that its maker lives.
type draft struct {
	d       *Driver
	f       *os.File
	path    string // by which this process opens it a second time
	partial string // its name; empty if it has none
}

const (
	partialPrefix = "."
	partialSuffix = ".partial"
)

func (d *Driver) partial(name string) string { return d.path(partialPrefix + name + partialSuffix) }

// newDraft begins an object. What is left of an attempt before is removed.
// ErrUnavailable: another process is making it now.
func (d *Driver) newDraft(name string) (*draft, error) {
	if err := d.removePartial(name); err != nil {
		return nil, err
	}
	if d.nameless {
		f, err := os.OpenFile(d.dir, os.O_RDWR|tmpFile, 0o600)
		if err == nil {
			return &draft{d: d, f: f, path: procPath(f)}, nil
		}
		// EISDIR, EINVAL: before Linux 3.11, and file systems that are as old.
		if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EISDIR) && !errors.Is(err, syscall.EINVAL) {
			return nil, err
		}
	}
	path := d.partial(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, busy(path)
		}
		return nil, err
	}
	err = hold(f, path)
	if err == nil && !names(path, f) { // a sweep came between
		err = busy(path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &draft{d: d, f: f, path: path, partial: path}, nil
}

func busy(path string) error {
	return drivers.Errorf(drivers.ErrUnavailable, "%s is in use by another process", path)
}

// share makes t's content that of src without copying it. What is not to be had
// here is errors.ErrUnsupported.
func (t *draft) share(src *os.File) error {
	err := t.d.share(t.f, src)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return err
	}
	// EOPNOTSUPP, ENOTTY, EINVAL, EXDEV and what network file systems invent.
	return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
}

// reach is the path by which this process opens src, which has a name, again.
func (t *draft) reach(src *os.File, named string) string {
	if t.partial != "" {
		return named // there may be no /proc
	}
	return procPath(src)
}

// finish gives t its size and puts it on the disk.
func (t *draft) finish(bytes int64) error {
	if err := t.f.Truncate(bytes); err != nil {
		return err
	}
	return t.f.Sync()
}

// publish gives t its name, which nothing may have. The caller holds the lock of
// the directory.
func (t *draft) publish(name string) error {
	path := t.d.path(name)
	if t.partial == "" {
		return link(t.path, path)
	}
	err := os.Link(t.partial, path)
	if err == nil {
		return t.forget()
	}
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	// No hard links (vfat, some FUSE): nobody else is between the two steps.
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fault.Join(fs.ErrExist, err)
	}
	return t.rename(path)
}

// replace puts t in the place of the object name. The caller holds the lock of
// the directory.
func (t *draft) replace(name string) error {
	if t.partial == "" {
		// Only a file that has a name can replace another. It is locked first, or
		// a sweep would take it for a leftover.
		partial := t.d.partial(name)
		if err := hold(t.f, partial); err != nil {
			return err
		}
		if err := link(t.path, partial); err != nil {
			return err
		}
		t.partial = partial
	}
	return t.rename(t.d.path(name))
}

func (t *draft) rename(path string) error {
	if err := os.Rename(t.partial, path); err != nil {
		return err
	}
	t.partial = ""
	return nil
}

// forget removes t's name.
func (t *draft) forget() error {
	partial := t.partial
	t.partial = ""
	if partial == "" {
		return nil
	}
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// discard lets go of t: what was not published is gone.
func (t *draft) discard() {
	_ = t.forget() // a sweep finds it
	_ = t.f.Close()
}

// removePartial removes what a process that was killed left of an object.
// ErrUnavailable: its maker lives.
func (d *Driver) removePartial(name string) error {
	path := d.partial(name)
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := hold(f, path); err != nil {
		return err
	}
	// Between open and lock it may have become the object.
	if !names(path, f) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweep removes what processes that were killed left.
func (d *Driver) sweep() error {
	list, err := d.list()
	if err != nil {
		return err
	}
	var faults []error
	for _, file := range list {
		name, ok := strings.CutSuffix(file, partialSuffix)
		name, dot := strings.CutPrefix(name, partialPrefix)
		if !ok || !dot || !strings.HasPrefix(name, volumePrefix) && !strings.HasPrefix(name, snapshotPrefix) {
			continue
		}
		if err := d.removePartial(name); err != nil && !errors.Is(err, drivers.ErrUnavailable) {
			faults = append(faults, err)
		}
	}
	return fault.Join(faults...)
}

// list gives the names in the directory, in no order.
func (d *Driver) list() ([]string, error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := d.present(); err != nil {
		return nil, err
	}
	return f.Readdirnames(-1)
}

// hold locks f, whose name is path; closing it unlocks it. ErrUnavailable:
// another process has locked it.
func hold(f *os.File, path string) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return busy(path)
	}
	return os.NewSyscallError("flock", err)
}

// names tells whether path is a name of f.
func names(path string, f *os.File) bool {
	at, err := os.Lstat(path)
	if err != nil {
		return false
	}
	is, err := f.Stat()
	return err == nil && os.SameFile(at, is)
}
