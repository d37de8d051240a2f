// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// The pauses between two looks at something that another process changes, and
// the most attempts at getting a free loop device: some ten seconds.
const (
	firstPause = time.Millisecond
	longPause  = 25 * time.Millisecond
	mostTries  = 400
)

// attachLoop finds or makes the loop device of b.
func (c *local) attachLoop(ctx context.Context, b backing, least int64) (*connector.Device, error) {
	unlock, err := c.host.Locks.Lock(ctx, b.lock())
	if err != nil {
		return nil, err
	}
	defer unlock()
	found, err := c.loops(&b, (*loop).mayUse)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		l := &found[0]
		// The file may have grown since, and the call that was to say so was cut off.
		size, err := c.grow(l)
		if err == nil {
			err = bigEnough(l.path, size, least)
		}
		if err != nil {
			return nil, err
		}
		return &connector.Device{Type: "block", Path: l.path}, nil
	}
	return c.newLoop(ctx, &b, least)
}

// newLoop makes a loop device.
func (c *local) newLoop(ctx context.Context, b *backing, least int64) (*connector.Device, error) {
	flag, info := os.O_RDWR, loopInfo{}
	if b.readOnly {
		flag, info.Flags = os.O_RDONLY, loFlagsReadOnly
	}
	copy(info.FileName[:], b.name)
	file, err := os.OpenFile(c.host.Path(b.path), flag, 0)
	if err != nil {
		return nil, fmt.Errorf("loop device: %w", err)
	}
	defer file.Close() //nolint:errcheck // the loop device has a reference of its own
	control, err := c.openLoop("/dev/loop-control", os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, connector.Errorf(connector.ErrUnavailable, "this kernel has no loop devices (module loop): %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer control.Close() //nolint:errcheck // nothing is written

	wait := firstPause
	for range mostTries {
		device, path, err := c.take(control, file, flag, info)
		if err == nil {
			defer device.Close() //nolint:errcheck // nothing is written
			size, err := end(device)
			if err == nil {
				err = bigEnough(path, size, least)
			}
			if err != nil {
				return nil, fault.Join(err, ioctl(device, loopClrFD, 0))
			}
			return &connector.Device{Type: "block", Path: path}, nil
		}
		// Another process took the free device, or udev has not made its node.
		if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENXIO) {
			return nil, fmt.Errorf("loop device of %s: %w", b.path, err)
		}
		if err := poll.Pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("loop device of %s: %w", b.path, err)
		}
		wait = min(2*wait, longPause)
	}
	return nil, connector.Errorf(connector.ErrUnavailable, "loop device of %s: others took every free one", b.path)
}

// take gives the file to a free loop device.
func (c *local) take(control, file *os.File, flag int, info loopInfo) (*os.File, string, error) {
	number, err := ioctlValue(control, loopCtlGetFree, 0)
	if err != nil {
		return nil, "", err
	}
	path := fmt.Sprintf("/dev/loop%d", number)
	device, err := c.openLoop(path, flag)
	if err != nil {
		return nil, "", err
	}
	if err := configure(device, file, info); err != nil {
		return nil, "", fault.Join(err, device.Close())
	}
	return device, path, nil
}

// extendLoop makes the loop device of b as large as its file.
func (c *local) extendLoop(ctx context.Context, b backing) (path string, size int64, err error) {
	unlock, err := c.host.Locks.Lock(ctx, b.lock())
	if err != nil {
		return "", 0, err
	}
	defer unlock()
	found, err := c.loops(&b, (*loop).mayUse)
	if err != nil {
		return "", 0, err
	}
	if len(found) == 0 {
		return "", 0, connector.Errorf(connector.ErrNotFound, "%s has no loop device", b.path)
	}
	size, err = c.grow(&found[0])
	return found[0].path, size, err
}

// grow makes the device as large as its file and returns the size.
func (c *local) grow(l *loop) (int64, error) {
	// Whoever may write to the device may change it; else it takes CAP_SYS_ADMIN.
	flag := os.O_RDWR
	if l.readOnly() {
		flag = os.O_RDONLY
	}
	f, err := c.openLoop(l.path, flag)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // nothing is written
	switch err := ioctl(f, loopSetCapacity, 0); {
	case errors.Is(err, syscall.EPERM):
		return 0, connector.Errorf(connector.ErrPermission, "grow %s: it takes CAP_SYS_ADMIN: %w", l.path, err)
	case err != nil:
		return 0, fmt.Errorf("grow %s: %w", l.path, err)
	}
	return end(f)
}

// end is the size of an open block device.
func end(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size: %w", err)
	}
	return size, nil
}

func (c *local) loopPaths(b backing) ([]string, error) {
	found, err := c.loops(&b, (*loop).mayUse)
	if err != nil {
		return nil, err
	}
	var paths []string
	for i := range found {
		paths = append(paths, found[i].path)
	}
	return paths, nil
}
