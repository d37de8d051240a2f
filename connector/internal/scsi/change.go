// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/poll"
)

// goneWait is how long a disk may take to go. os-brick's 30 s: a path that has
// just failed takes that long.
const goneWait = 30 * time.Second

// Any stands for a part of an address that is not known.
const Any = -1

// Scan has the kernel look at one LUN. It waits for the kernel's answer, while
// ctx lasts; the host stays locked for other scans until the kernel is done.
func Scan(ctx context.Context, h *connector.Host, at Address) error {
	unlock, err := lockScan(ctx, h, at.Host)
	if err != nil {
		return err
	}
	text := part(at.Channel) + " " + part(at.Target) + " " + strconv.Itoa(at.LUN)
	path := fmt.Sprintf("/sys/class/scsi_host/host%d/scan", at.Host)
	return patient(ctx, "scan for LUN "+at.String(), func(ctx context.Context) error {
		defer unlock()
		return h.WriteFile(ctx, path, []byte(text))
	})
}

func lockScan(ctx context.Context, h *connector.Host, host int) (unlock func(), err error) {
	return h.Locks.Lock(ctx, "scsi-scan-host"+strconv.Itoa(host))
}

// AwaitScan waits until no scan of a host is under way that was not waited for.
func AwaitScan(ctx context.Context, h *connector.Host, host int) error {
	unlock, err := lockScan(ctx, h, host)
	if err == nil {
		unlock()
	}
	return err
}

func part(n int) string {
	if n == Any {
		return "-"
	}
	return strconv.Itoa(n)
}

// patient runs f to its end, and waits for it while ctx lasts.
func patient(ctx context.Context, what string, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- f(context.WithoutCancel(ctx)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", what, ctx.Err())
	}
}

// Rescan has the kernel ask the disk again who it is, and how large.
func (d Disk) Rescan(ctx context.Context, h *connector.Host) error {
	return h.WriteFile(ctx, d.Sys()+"/rescan", []byte("1"))
}

// Remove takes the disk off the host, and waits until it is gone. What is gone
// already is success.
func (d Disk) Remove(ctx context.Context, h *connector.Host) error {
	err := h.WriteFile(ctx, d.Sys()+"/delete", []byte("1"))
	if err != nil && !Gone(err) {
		return fmt.Errorf("remove %s: %w", d.Node(), err)
	}
	return d.awaitRemoval(ctx, h)
}

// awaitRemoval waits until neither sysfs nor /dev has the disk, or they have
// another one of its name.
func (d Disk) awaitRemoval(ctx context.Context, h *connector.Host) error {
	gone, err := poll.Until(ctx, goneWait, func() (bool, error) {
		if d.There(h) {
			return false, nil
		}
		if now, ok := Find(h, d.Name); d.Name == "" || ok && now.Address != d.Address {
			return true, nil
		}
		_, err := os.Lstat(h.Path(d.Node()))
		return errors.Is(err, fs.ErrNotExist), nil
	})
	if err == nil && !gone {
		err = connector.Errorf(connector.ErrUnavailable, "still there after %s", goneWait)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", d.Node(), err)
	}
	return nil
}

// Gone tells whether an error says that an object of the kernel is not, or no
// longer, there.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}
