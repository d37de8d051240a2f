// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Connection is a handle of one connection of a volume to a host. It is safe for
// use from any goroutine. Attach, Detach and Extend need neither a Backend nor
// a store: a node that only loaded it from JSON can call them.
type Connection struct {
	backendRef
	state[*persistence.Connection]

	volume *Volume // under state.mu; nil until loaded
	listed bool    // it was loaded with its volume, whose list had it too
}

// ID is the connection's id.
func (c *Connection) ID() string { return c.get().ID }

// VolumeID is the id of the volume it connects.
func (c *Connection) VolumeID() string { return c.get().VolumeID }

// Info returns a copy of the whole record, secrets included.
func (c *Connection) Info() persistence.Connection { return *c.get().Clone() }

// ConnInfo returns a copy of how the host reaches the volume, nil once it is
// disconnected.
func (c *Connection) ConnInfo() *connector.ConnInfo { return c.get().Conn.Clone() }

// ConnectorInfo returns a copy of the properties of the host it is for.
func (c *Connection) ConnectorInfo() *connector.Properties { return c.get().Connector.Clone() }

// Device returns a copy of what the host's side made, nil if it is not attached.
func (c *Connection) Device() *connector.Device { return c.get().Device.Clone() }

// Path is the path of the device, empty if it is not attached.
func (c *Connection) Path() string {
	if d := c.get().Device; d != nil {
		return d.Path
	}
	return ""
}

// Protocol is the transport, driver_volume_type; empty once disconnected.
func (c *Connection) Protocol() string {
	if i := c.get().Conn; i != nil {
		return i.Protocol
	}
	return ""
}

// AttachMode is how the host may use the volume.
func (c *Connection) AttachMode() connector.AccessMode {
	rec := c.get()
	switch {
	case rec.AttachMode != "":
		return rec.AttachMode
	case rec.Conn != nil && rec.Conn.Data != nil && rec.Conn.Data.Common().AccessMode != "":
		return rec.Conn.Data.Common().AccessMode
	}
	return connector.ReadWrite
}

// Status is the attach status as this handle last saw it; see the constants of
// package persistence.
func (c *Connection) Status() string { return c.get().AttachStatus }

// Connected tells whether the array lets the host reach the volume.
func (c *Connection) Connected() bool { return c.get().Conn != nil }

// Attached tells whether it has a device on its host.
func (c *Connection) Attached() bool { return c.get().Device != nil }

// UseMultipath tells whether the host is to use several paths: as its properties
// say or, where they say nothing, if the array offers several targets.
func (c *Connection) UseMultipath() bool {
	rec := c.get()
	if rec.Connector != nil {
		if rec.Connector.Multipath {
			return true
		}
		if asked, said := rec.Connector.Extra["multipath"]; said && asked != nil {
			return false
		}
	}
	if rec.Conn == nil {
		return false
	}
	switch d := rec.Conn.Data.(type) {
	case *connector.ISCSIData:
		return len(d.TargetIQNs) > 0 && len(d.TargetPortals) > 0
	case *connector.FCData:
		return len(d.TargetWWNs) > 1
	}
	return false
}

// Volume returns the volume it connects. The first call loads it from the store;
// later ones return the same handle.
func (c *Connection) Volume(ctx context.Context) (*Volume, error) {
	if v := c.loadedVolume(); v != nil {
		return v, nil
	}
	v, err := c.lib.VolumeByID(ctx, c.VolumeID())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.volume == nil {
		c.volume = v
	}
	return c.volume, nil
}

func (c *Connection) loadedVolume() *Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.volume
}

func (l *Library) readConnection(ctx context.Context, id string) (*persistence.Connection, error) {
	if id == "" {
		return nil, invalid("connection id is empty")
	}
	records, err := l.Persistence().Connections(ctx, persistence.ConnectionFilter{ID: id})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errorf(ErrNotFound, "connection %s", clip(id))
	}
	return records[0], nil
}

// fresh brings the handle up to what the store holds, under the volume's lock.
func (c *Connection) fresh(ctx context.Context) (*persistence.Connection, error) {
	rec, err := c.lib.readConnection(ctx, c.ID())
	switch {
	case err == nil:
		c.set(rec)
		return rec, nil
	case errors.Is(err, ErrNotFound) && !c.isSaved():
		return c.get(), nil
	}
	return nil, err
}

// write stores a change of the connection, with others in one go.
func (c *Connection) write(ctx context.Context, old, rec *persistence.Connection, more ...persistence.Op) error {
	op := persistence.Update(old, rec)
	if !c.isSaved() {
		op = persistence.Put(rec)
	}
	if err := c.lib.Persistence().Write(ctx, append([]persistence.Op{op}, more...)...); err != nil {
		return err
	}
	c.set(rec)
	return nil
}

// Refresh reads the connection again from the store, and its volume if that was
// loaded. ErrNotFound: it is not stored.
func (c *Connection) Refresh(ctx context.Context) error {
	rec, err := c.lib.readConnection(ctx, c.ID())
	if err != nil {
		return &OpError{Op: "refresh", Kind: "connection", ID: c.ID(), Backend: c.name, Err: err, resource: c}
	}
	c.set(rec)
	if v := c.loadedVolume(); v != nil {
		vol, err := c.lib.readVolume(ctx, v.ID())
		if err != nil {
			return err
		}
		v.set(vol)
	}
	return nil
}

// Save stores the connection as this handle has it; see Volume.Save.
func (c *Connection) Save(ctx context.Context) (err error) {
	vb, err := c.begin(ctx, "save")
	if err != nil {
		return err
	}
	defer vb.end(ctx, c, &err)
	rec := c.get()
	if err := c.lib.Persistence().Write(ctx, persistence.Put(rec)); err != nil {
		return err
	}
	c.set(rec)
	return nil
}

// Update changes attached host, mountpoint and instance UUID, and stores it. The
// attach mode of a connection cannot be changed: ErrInvalid.
func (c *Connection) Update(ctx context.Context, opts ...ConnectOption) (err error) {
	vb, err := c.begin(ctx, "update")
	if err != nil {
		return err
	}
	defer vb.end(ctx, c, &err)
	p, err := connects(opts)
	if err != nil {
		return err
	}
	if p.id != "" || p.mode != "" || p.multipath != nil {
		return invalid("id, attach mode and multipath are fixed when the connection is made")
	}
	old, err := c.fresh(ctx)
	if err != nil {
		return err
	}
	rec := *old
	assign(&rec.AttachedHost, p.attachedHost)
	assign(&rec.Mountpoint, p.mountpoint)
	assign(&rec.InstanceUUID, p.instanceUUID)
	return c.write(ctx, old, &rec)
}

func connects(opts []ConnectOption) (connectParams, error) {
	var p connectParams
	for _, o := range opts {
		o.applyConnect(&p)
	}
	var errs []error
	if p.mode != "" {
		errs = append(errs, checkMode(p.mode))
	}
	for what, text := range map[string]*string{"attached host": p.attachedHost, "mountpoint": p.mountpoint, "instance uuid": p.instanceUUID} {
		if text != nil {
			errs = append(errs, checkLine(what, *text))
		}
	}
	return p, join(errs...)
}

func (c *Connection) begin(ctx context.Context, op string) (*verb, error) {
	return c.lib.begin(ctx, op, "connection", c.ID(), c.name, c.VolumeID())
}

// request is what the connector is told.
func (c *Connection) request(ctx context.Context) connector.Request {
	rec := c.get()
	r := connector.Request{ConnectionID: rec.ID, Info: rec.Conn, Device: rec.Device, Multipath: c.UseMultipath()}
	if rec.Connector != nil {
		r.EnforceMultipath = rec.Connector.EnforceMultipath
	}
	// The size is known where the volume is; a node may have the connection only.
	if v := c.loadedVolume(); v != nil {
		r.SizeBytes = int64(v.Size()) * drivers.GiB
	} else if vol, err := c.lib.readVolume(ctx, rec.VolumeID); err == nil {
		r.SizeBytes = int64(vol.Size) * drivers.GiB
	}
	// What cannot be read is taken as shared: a device too many is found by the
	// next Detach, one too few is somebody's disk.
	others, err := c.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{VolumeID: rec.VolumeID})
	r.Shared = err != nil || slices.ContainsFunc(others, func(o *persistence.Connection) bool {
		return o.ID != rec.ID && o.Device != nil && sameHost(o.Connector, rec.Connector)
	})
	return r
}

// transport finds the connector of the connection's protocol.
func (c *Connection) transport() (connector.Connector, error) {
	rec := c.get()
	if rec.Conn == nil {
		return nil, errorf(ErrPrecondition, "it is disconnected")
	}
	t, ok := c.lib.connectors[rec.Conn.Protocol]
	if !ok {
		return nil, fmt.Errorf("no connector for the transport %q: %w", clip(rec.Conn.Protocol), errors.ErrUnsupported)
	}
	return t, nil
}
