// SPDX-License-Identifier: Apache-2.0

// Package local attaches what the host has already: a file, or a block device,
// by its path, either as it is or through a loop device.
//
// # Loop devices and connections
//
// A volume may have several connections on one host, and detaching one must not
// take the device from under another. So each connection has a loop device of
// its own. Which is whose is written on the device itself, in the name that the
// kernel keeps with it (lo_file_name): "cinderlib:" and the connection's id.
// Nothing else remembers it: after a kill, another process finds the device by
// its backing file (device and inode) and its name.
//
// A request without a ConnectionID is that of an only connection: all such
// requests for the same file and access mode mean the same loop device, and
// Detach removes it, unless it is in use. A program that connects a volume twice
// to one host must have the ids.
//
// A loop device of the same file that has another name, or an offset, is
// somebody else's: it is neither handed out nor removed, not even by force.
package local

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/gocinder/cinderlib/connector"
)

// settle is how long Detach waits for those who have a loop device open: udev
// looks into every device that changes, and is done in well below a second.
const settle = 2 * time.Second

type local struct {
	host   *connector.Host
	settle time.Duration
}

// New makes the connector of connector.ProtocolLocal for a host. Loop devices
// need root.
func New(h *connector.Host) connector.Connector { return &local{host: h, settle: settle} }

// Attach implements connector.Connector. A plain path is handed out as it is,
// also where the access mode is read-only: what enforces that is a loop device.
func (c *local) Attach(ctx context.Context, r connector.Request) (*connector.Device, error) {
	data, err := dataOf(ctx, r)
	if err != nil {
		return nil, err
	}
	device := &connector.Device{Type: "local", Path: data.DevicePath}
	r.Device = device
	if err := c.host.Check(ctx, r); err != nil {
		return nil, err
	}
	if !data.Loop {
		return device, nil
	}
	return c.attachLoop(ctx, c.backingOf(data, r.ConnectionID), r.SizeBytes)
}

// Detach implements connector.Connector. It flushes what it can open; a plain
// path stays, and one that is gone is success. A loop device that somebody has
// open stays as well: ErrInUse. With r.Force it goes as soon as it is closed.
func (c *local) Detach(ctx context.Context, r connector.Request) error {
	data, err := dataOf(ctx, r)
	if err != nil {
		return err
	}
	if data.Loop {
		return c.detachLoop(ctx, c.backingOf(data, r.ConnectionID), r.Force)
	}
	err = c.flush(ctx, data.DevicePath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // what we may not open we have not written
	}
	return err
}

// Extend implements connector.Connector.
func (c *local) Extend(ctx context.Context, r connector.Request) (int64, error) {
	data, err := dataOf(ctx, r)
	if err != nil {
		return 0, err
	}
	path, size := data.DevicePath, int64(0)
	if data.Loop {
		path, size, err = c.extendLoop(ctx, c.backingOf(data, r.ConnectionID))
	} else {
		size, err = c.host.Size(path)
	}
	if err != nil {
		return 0, err
	}
	return size, bigEnough(path, size, r.SizeBytes)
}

// Paths implements connector.Connector. A plain path is listed while it is
// there, attached or not.
func (c *local) Paths(ctx context.Context, r connector.Request) ([]string, error) {
	data, err := dataOf(ctx, r)
	if err != nil {
		return nil, err
	}
	if data.Loop {
		return c.loopPaths(c.backingOf(data, r.ConnectionID))
	}
	if _, err := c.host.Size(data.DevicePath); errors.Is(err, connector.ErrNotFound) {
		return nil, nil
	}
	return []string{data.DevicePath}, nil
}

// dataOf checks the request.
func dataOf(ctx context.Context, r connector.Request) (*connector.LocalData, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Info == nil {
		return nil, connector.Errorf(connector.ErrInvalid, "local: no connection data")
	}
	data, ok := r.Info.Data.(*connector.LocalData)
	if !ok || r.Info.Protocol != connector.ProtocolLocal {
		return nil, connector.Errorf(connector.ErrInvalid, "local: connection data are those of %q", r.Info.Protocol)
	}
	if data.DevicePath == "" || data.DevicePath[0] != '/' {
		return nil, connector.Errorf(connector.ErrInvalid, "local: device_path %q is no absolute path", data.DevicePath)
	}
	return data, nil
}

func bigEnough(path string, size, least int64) error {
	if size < least {
		return connector.Errorf(connector.ErrWrongDevice, "device %s has %d bytes, and the volume %d", path, size, least)
	}
	return nil
}
