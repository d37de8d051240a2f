// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/undo"
	"github.com/gocinder/cinderlib/persistence"
)

// Attach makes the connected volume a device of this host; its path is Path. It
// needs no Backend. On failure the host is as before, and the connection still
// connected. A connection that is attached already stays as it is.
func (c *Connection) Attach(ctx context.Context) (err error) {
	vb, err := c.begin(ctx, "attach")
	if err != nil {
		return err
	}
	defer vb.end(ctx, c, &err)
	rec, err := c.fresh(ctx)
	if err != nil {
		return err
	}
	switch rec.AttachStatus {
	case persistence.AttachReserved, persistence.AttachDetached:
		return errorf(ErrPrecondition, "the connection has status %s; Backend.Recover settles what was cut off", rec.AttachStatus)
	}
	if rec.Device != nil && rec.AttachStatus != persistence.AttachErrorDetaching {
		return c.lib.host.Check(ctx, c.request(ctx))
	}
	u := undo.Stack{StopAtFault: true}
	defer func() { u.Unwind(ctx, unwindGrace, &err) }()
	intent := *rec
	intent.AttachStatus = persistence.AttachAttaching
	if err := c.write(ctx, rec, &intent); err != nil {
		return err
	}
	u.Push("forget the attach", func(ctx context.Context) error {
		stored, err := c.fresh(ctx) // a write whose answer was lost may have been done
		if err != nil {
			return err
		}
		back := *stored
		back.AttachStatus, back.Device = rec.AttachStatus, nil
		return c.write(ctx, stored, &back)
	})
	return c.attach(ctx, &u)
}

// attach is the host's part, for a connection whose record tells that it is
// being made.
func (c *Connection) attach(ctx context.Context, u *undo.Stack) error {
	transport, err := c.transport()
	if err != nil {
		return err
	}
	r := c.request(ctx)
	r.Device = nil
	device, err := transport.Attach(ctx, r)
	if err != nil {
		return err
	}
	r.Device = device
	u.Push("detach from this host", func(ctx context.Context) error {
		r.Force = true
		return transport.Detach(ctx, r)
	})
	if err := c.lib.host.Check(ctx, r); err != nil {
		return err
	}
	if err := c.storeDevice(ctx, device); err != nil {
		return err
	}
	if v := c.loadedVolume(); v != nil {
		v.setLocal(c)
		u.Push("forget the local attach", func(context.Context) error { v.setLocal(nil); return nil })
	}
	return nil
}

func (c *Connection) storeDevice(ctx context.Context, device *connector.Device) error {
	rec := c.get()
	done := *rec
	done.Device, done.AttachStatus = device.Clone(), persistence.AttachAttached
	return c.write(ctx, rec, &done)
}

// DeviceAttached stores a device that was attached by other means than Attach.
func (c *Connection) DeviceAttached(ctx context.Context, device *connector.Device) (err error) {
	vb, err := c.begin(ctx, "store device of")
	if err != nil {
		return err
	}
	defer vb.end(ctx, c, &err)
	if device == nil || device.Path == "" {
		return invalid("the device has no path")
	}
	if _, err := c.fresh(ctx); err != nil {
		return err
	}
	return c.storeDevice(ctx, device)
}

// Detach takes the device off this host: flushed, removed, verified gone. The
// volume stays connected. A connection that is not attached is success.
func (c *Connection) Detach(ctx context.Context, opts ...DetachOption) (err error) {
	vb, err := c.begin(ctx, "detach")
	if err != nil {
		return err
	}
	defer vb.end(ctx, c, &err)
	return c.detach(ctx, detaches(opts))
}

func (c *Connection) detach(ctx context.Context, p detachParams) error {
	rec, err := c.fresh(ctx)
	if errors.Is(err, ErrNotFound) && !c.Attached() {
		return nil // disconnected, and so detached
	}
	if err != nil {
		return err
	}
	halfway := rec.AttachStatus == persistence.AttachErrorDetaching || rec.AttachStatus == persistence.AttachAttaching
	if rec.Device == nil && !halfway {
		return nil
	}
	transport, err := c.transport()
	if err != nil {
		return err
	}
	intent := *rec
	intent.AttachStatus = persistence.AttachErrorDetaching
	if err := c.write(ctx, rec, &intent); err != nil {
		return err
	}
	r := c.request(ctx)
	r.Force = p.force
	err = transport.Detach(ctx, r)
	if err != nil && p.ignoreErrors {
		c.lib.warn(ctx, "detach: fault ignored", c, err)
		err = nil
	}
	if err != nil && !p.force {
		if refused(err) {
			err = join(err, settle(ctx, func(ctx context.Context) error { return c.write(ctx, &intent, rec) }))
		}
		return err
	}
	done := intent
	done.Device, done.AttachStatus = nil, persistence.AttachAttached
	err = join(err, settle(ctx, func(ctx context.Context) error { return c.write(ctx, &intent, &done) }))
	if v := c.loadedVolume(); v != nil && v.LocalAttach() == c {
		v.setLocal(nil)
	}
	return err
}

// Disconnect has the array stop letting the host reach the volume; see
// Volume.Disconnect.
func (c *Connection) Disconnect(ctx context.Context, opts ...DetachOption) error {
	_, err := c.need()
	var v *Volume
	if err == nil {
		v, err = c.Volume(ctx)
	}
	if err != nil {
		return &OpError{Op: "disconnect", Kind: "connection", ID: c.ID(), Backend: c.name, Err: err, resource: c}
	}
	return v.Disconnect(ctx, c, opts...)
}

// Extend makes this host see the size that the array gave the volume, and
// returns it in bytes. It needs no Backend. ErrPrecondition: it is not attached.
func (c *Connection) Extend(ctx context.Context) (bytes int64, err error) {
	vb, err := c.begin(ctx, "extend")
	if err != nil {
		return 0, err
	}
	defer vb.end(ctx, c, &err)
	if _, err := c.fresh(ctx); err != nil {
		return 0, err
	}
	return c.extend(ctx)
}

func (c *Connection) extend(ctx context.Context) (int64, error) {
	transport, err := c.transport()
	if err != nil {
		return 0, err
	}
	if !c.Attached() {
		return 0, errorf(ErrPrecondition, "it is not attached")
	}
	r := c.request(ctx)
	bytes, err := transport.Extend(ctx, r)
	if err != nil {
		return 0, fmt.Errorf("extend on this host: %w", err)
	}
	return bytes, nil
}
