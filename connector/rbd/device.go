// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// device is a block device of the image on this host.
type device struct {
	name     string // rbd0, nbd0
	id       string // that the kernel's driver has for it; empty for one of rbd-nbd
	pid      string // of the rbd-nbd behind it
	readOnly bool
}

func (d device) node() string { return "/dev/" + d.name }
func (d device) kernel() bool { return d.id != "" }

// among tells whether a device is one of some.
func (d device) among(some []device) bool {
	return slices.ContainsFunc(some, func(o device) bool { return o.name == d.name && o.pid == d.pid })
}

// find lists the devices of the image: first those of the wanted access mode, then
// those of the kernel's driver.
func (j *job) find(ctx context.Context) ([]device, error) {
	have, err := j.findKernel(ctx)
	if err != nil {
		return nil, err
	}
	have = append(have, j.findNBD()...)
	slices.SortStableFunc(have, func(a, b device) int { return j.otherMode(a) - j.otherMode(b) })
	return have, nil
}

func (j *job) otherMode(d device) int {
	if d.readOnly == j.readOnly {
		return 0
	}
	return 1
}

// there tells whether a device is still the image's.
func (j *job) there(ctx context.Context, d device) (bool, error) {
	have, err := j.find(ctx)
	return d.among(have), err
}

// added gives a device that was not there before, if there is one.
func (j *job) added(ctx context.Context, before []device) (*device, error) {
	have, err := j.find(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range have {
		if !d.among(before) {
			return &d, nil
		}
	}
	return nil, nil
}

// takeBack unmaps what was not there before.
func (j *job) takeBack(ctx context.Context, before []device) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.undo)
	defer cancel()
	have, err := j.find(bounded)
	faults := []error{err}
	for _, d := range have {
		if !d.among(before) {
			faults = append(faults, j.unmap(bounded, d, false))
		}
	}
	return fault.Join(faults...)
}

func (j *job) unmap(ctx context.Context, d device, force bool) error {
	if d.kernel() {
		return j.unmapKernel(ctx, d, force)
	}
	return j.unmapNBD(ctx, d)
}

// sizeOf is the size in bytes that whoever opens the device sees.
func (j *job) sizeOf(d device) int64 { return scsi.Size(j.host, d.name) }

// look compares a device with what was asked for.
func (j *job) look(d device) error {
	if d.readOnly != j.readOnly {
		return connector.Errorf(connector.ErrWrongDevice, "rbd: %s of %s is read-only: %t, and that was not asked for", d.node(), j.image, d.readOnly)
	}
	if size := j.sizeOf(d); size < j.r.SizeBytes {
		return connector.Errorf(connector.ErrWrongDevice, "rbd: %s of %s has %d bytes, and the volume %d", d.node(), j.image, size, j.r.SizeBytes)
	}
	return nil
}

// ready waits for the node of a device.
func (j *job) ready(ctx context.Context, d device) error {
	is, err := poll.Until(ctx, j.limits.device, func() (bool, error) { return scsi.Ready(j.host, d.name), nil })
	if err == nil && !is {
		err = connector.Errorf(connector.ErrUnavailable, "rbd: %s is mapped, and %s is not there after %s", j.image, d.node(), j.limits.device)
	}
	return err
}

// refreshAgain is how long the kernel is not asked for the size again.
const refreshAgain = time.Second

// grown has the host ask for the size of the image until the device has the one
// asked for.
func (j *job) grown(ctx context.Context, d device) error {
	var why error
	due := time.Now()
	_, err := poll.Until(ctx, j.limits.size, func() (bool, error) {
		if d.kernel() && !time.Now().Before(due) {
			due = time.Now().Add(refreshAgain)
			if err := j.refresh(ctx, d); err != nil {
				return false, err
			}
		}
		want := j.r.SizeBytes
		if d.kernel() {
			want = max(want, j.imageSize(d))
		}
		if why = nil; j.sizeOf(d) < want {
			why = connector.Errorf(connector.ErrWrongDevice, "rbd: %s of %s has %d bytes, and the volume %d", d.node(), j.image, j.sizeOf(d), want)
		}
		return why == nil, nil
	})
	if err == nil {
		err = why
	}
	return err
}

// unused waits until nobody uses the devices but udev, which looks into every one
// that is new or has been written to.
func (j *job) unused(ctx context.Context, have []device) error {
	if len(have) == 0 {
		return nil
	}
	names := make([]string, 0, len(have))
	for _, d := range have {
		names = append(names, d.name)
	}
	var users []string
	free, err := poll.Until(ctx, j.limits.settle, func() (bool, error) {
		var err error
		users, err = scsi.Users(ctx, j.host, names...)
		return len(users) == 0, err
	})
	if err == nil && !free {
		err = connector.Errorf(connector.ErrInUse, "rbd: %s", strings.Join(users, ", "))
	}
	return err
}

// inUse says who has a device that the kernel does not let go of.
func (j *job) inUse(ctx context.Context, d device, err error) error {
	users, lookErr := scsi.Users(ctx, j.host, d.name)
	if len(users) == 0 {
		users = []string{d.node() + " is open somewhere"}
	}
	return connector.Errorf(connector.ErrInUse, "rbd: %s: %w", strings.Join(users, ", "), fault.Join(err, lookErr))
}
