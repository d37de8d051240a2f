// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// detachLoop removes every loop device of b: there is one, or more after kills.
func (c *local) detachLoop(ctx context.Context, b backing, force bool) error {
	unlock, err := c.host.Locks.Lock(ctx, b.lock())
	if err != nil {
		return err
	}
	defer unlock()
	found, err := c.loops(&b, (*loop).isOf)
	if err != nil {
		return err
	}
	var faults error
	for i := range found {
		if err := c.remove(ctx, &found[i], force); err != nil {
			faults = fault.Join(faults, err)
		}
	}
	return faults
}

// remove flushes a loop device and takes its file from it. It first opens the
// device exclusively, so that what is mounted, or has another device upon it,
// is not touched, and nothing is mounted in between.
func (c *local) remove(ctx context.Context, l *loop, force bool) (err error) {
	f, err := c.openLoop(l.path, os.O_RDONLY|syscall.O_EXCL)
	if errors.Is(err, syscall.EBUSY) && force {
		f, err = c.openLoop(l.path, os.O_RDONLY)
	}
	switch {
	case errors.Is(err, syscall.EBUSY):
		return c.inUse(l, nil)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO):
		return nil
	case err != nil:
		return err
	}
	defer func() {
		if f != nil {
			_ = f.Close() // only on the way out of a fault
		}
	}()
	if same, err := l.still(f); !same {
		return err
	}
	// Flushed through a descriptor of its own, which a flush that hangs may keep.
	var faults error
	if flushed := c.flush(ctx, l.path); flushed != nil {
		if !force {
			return flushed
		}
		faults = flushed
	}
	switch err := ioctl(f, loopClrFD, 0); {
	case errors.Is(err, syscall.EBUSY):
		return fault.Join(faults, c.inUse(l, nil))
	case err != nil && !errors.Is(err, syscall.ENXIO):
		return fault.Join(faults, fmt.Errorf("remove %s: %w", l.path, err))
	}
	closing := f
	f = nil
	if err := closing.Close(); err != nil {
		return fault.Join(faults, fmt.Errorf("remove %s: %w", l.path, err))
	}
	return fault.Join(faults, c.awaitRemoval(ctx, l, force))
}

// awaitRemoval waits until the kernel has taken the file from the device, which
// it does when the last who has it open closes it. By force that is good enough;
// otherwise the device is kept for them after a while.
func (c *local) awaitRemoval(ctx context.Context, l *loop, force bool) error {
	over, cancel := context.WithTimeout(ctx, c.settle)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, longPause) {
		gone, err := c.removed(l)
		if gone || err != nil {
			return err
		}
		if poll.Pause(over, wait) != nil {
			break
		}
	}
	if force {
		return nil
	}
	return c.keep(l, ctx.Err())
}

// removed tells whether l has lost its file.
func (c *local) removed(l *loop) (bool, error) {
	f, err := c.openLoop(l.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("verify that %s is gone: %w", l.path, err)
	}
	defer f.Close() //nolint:errcheck // nothing is written
	same, err := l.still(f)
	return !same, err
}

// still tells whether the open device f has the file and name that l had.
func (l *loop) still(f *os.File) (bool, error) {
	info, err := status(f)
	if errors.Is(err, syscall.ENXIO) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("status of %s: %w", l.path, err)
	}
	return info.Device == l.info.Device && info.Inode == l.info.Inode && info.FileName == l.info.FileName, nil
}

// keep takes back the removal of a device that somebody has open, so that they
// do not lose it, and says so. The device may have gone at last: success.
func (c *local) keep(l *loop, cause error) error {
	f, err := c.openLoop(l.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing is written
	if same, err := l.still(f); !same {
		return err
	}
	info, err := status(f)
	if err == nil {
		info.Flags &^= loFlagsAutoclear
		err = ioctlInfo(f, loopSetStatus64, info)
	}
	if errors.Is(err, syscall.ENXIO) {
		return nil
	}
	return fault.Join(c.inUse(l, cause), err)
}

func (c *local) inUse(l *loop, cause error) error {
	if cause != nil {
		return connector.Errorf(connector.ErrInUse, "%s of %s: %s: %w", l.path, l.file, c.users(l), cause)
	}
	return connector.Errorf(connector.ErrInUse, "%s of %s: %s", l.path, l.file, c.users(l))
}
