// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/undo"
	"github.com/gocinder/cinderlib/persistence"
)

// Connect has the array let a host reach the volume and returns how. host is
// what HostProperties gave on that host, this one or another. A volume may have
// several connections; each call makes one. What host lacks for the backend's
// transport is ErrInvalid.
func (v *Volume) Connect(ctx context.Context, host *connector.Properties, opts ...ConnectOption) (_ *Connection, err error) {
	b, vb, err := v.beginVerb(ctx, "connect")
	if err != nil {
		return nil, err
	}
	resource := Object(v)
	defer func() { vb.end(ctx, resource, &err) }()
	p, err := connects(opts)
	if err != nil {
		return nil, err
	}
	u := undo.Stack{StopAtFault: true}
	defer func() { u.Unwind(ctx, unwindGrace, &err) }()
	c, err := v.connect(ctx, &u, b, host, p, persistence.AttachAttached)
	if err != nil {
		if c != nil {
			resource = c
		}
		return nil, err
	}
	return c, nil
}

// Attach connects the volume to this host and makes it a device here; its path
// is Connection.Path. The device was read from, and is of the size and identity
// that the array said. On failure everything is taken back.
func (v *Volume) Attach(ctx context.Context, opts ...ConnectOption) (_ *Connection, err error) {
	b, vb, err := v.beginVerb(ctx, "attach")
	if err != nil {
		return nil, err
	}
	resource := Object(v)
	defer func() { vb.end(ctx, resource, &err) }()
	p, err := connects(opts)
	if err != nil {
		return nil, err
	}
	if c := v.LocalAttach(); c != nil {
		switch rec, err := c.fresh(ctx); {
		case err == nil && rec.Device != nil:
			return nil, errorf(ErrInUse, "this handle has it attached here as %s", rec.Device.Path)
		case err != nil && !errors.Is(err, ErrNotFound):
			return nil, err
		}
		v.setLocal(nil) // another process, or Recover, has detached it
	}
	multipath := b.common.UseMultipath
	assign(&multipath, p.multipath)
	host, err := v.lib.HostProperties(ctx, connector.PropertiesOptions{Multipath: multipath, EnforceMultipath: b.common.EnforceMultipath})
	if err != nil {
		return nil, fmt.Errorf("properties of this host: %w", err)
	}
	u := undo.Stack{StopAtFault: true}
	defer func() { u.Unwind(ctx, unwindGrace, &err) }()
	// The connection stays reserved until the device is there: if this process
	// is killed before, Recover takes back all of it.
	c, err := v.connect(ctx, &u, b, host, p, persistence.AttachReserved)
	if err != nil {
		if c != nil {
			resource = c
		}
		return nil, err
	}
	if err := c.attach(ctx, &u); err != nil {
		return nil, err
	}
	v.setLocal(c)
	return c, nil
}

// connect makes a connection, whose record gets the status when the array is
// done. What it did is on u. With ErrExists it returns the connection that has
// the id.
func (v *Volume) connect(ctx context.Context, u *undo.Stack, b *Backend, host *connector.Properties, p connectParams, status string) (*Connection, error) {
	if err := b.ValidateConnector(host); err != nil {
		return nil, err
	}
	vol, err := v.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if err := usable(vol); err != nil {
		return nil, err
	}
	if p.id == "" {
		p.id = newID()
	}
	if err := checkID("connection id", p.id, v.lib.settings.nonUUIDs); err != nil {
		return nil, err
	}
	store := v.lib.Persistence()
	others, err := store.Connections(ctx, persistence.ConnectionFilter{VolumeID: vol.ID})
	if err != nil {
		return nil, err
	}
	rec := &persistence.Connection{
		ID: p.id, VolumeID: vol.ID, AttachStatus: persistence.AttachReserved, AttachMode: p.mode,
		Connector: host.Clone(), CreatedAt: now(),
	}
	assign(&rec.AttachedHost, p.attachedHost)
	assign(&rec.Mountpoint, p.mountpoint)
	assign(&rec.InstanceUUID, p.instanceUUID)
	c := &Connection{backendRef: v.backendRef, volume: v}
	c.rec = rec
	if err := store.Write(ctx, persistence.Insert(rec)); err != nil {
		if errors.Is(err, ErrExists) {
			taken, readErr := v.lib.ConnectionByID(ctx, rec.ID)
			return taken, join(err, readErr)
		}
		return nil, err
	}
	c.set(rec)

	// The record goes last, and only if all before it worked: otherwise it tells
	// Recover what is left.
	u.Push("forget the connection", func(ctx context.Context) error {
		v.forget(c)
		return v.restore(ctx, vol.Status, persistence.Delete(rec))
	})
	if len(others) == 0 {
		u.Push("unexport", func(ctx context.Context) error { return b.driver.Unexport(ctx, v.get()) })
	}
	update, err := b.driver.Export(ctx, vol)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	exported := applied(vol, update)
	attachment := &drivers.Attachment{ID: rec.ID, Host: host.Clone(), Mode: mode(rec), Others: hosts(others, rec.ID)}
	u.Push("disconnect the host", func(ctx context.Context) error { return b.driver.Disconnect(ctx, exported, attachment) })
	info, err := b.driver.Connect(ctx, exported, attachment)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if info == nil || info.Data == nil {
		return nil, errorf(ErrInternal, "the driver returned no connection data")
	}
	done := *rec
	done.Conn = info.Clone()
	common := done.Conn.Data.Common()
	if done.AttachMode == "" {
		done.AttachMode = mode(&done)
	}
	common.AccessMode = done.AttachMode
	done.AttachStatus = status
	inUse := *exported
	inUse.Status = drivers.StatusInUse
	if err := v.write(ctx, vol, &inUse, persistence.Update(rec, &done)); err != nil {
		return nil, err
	}
	c.set(&done)
	v.mu.Lock()
	v.connections.add(c)
	v.mu.Unlock()
	return c, nil
}

// restore gives the volume a status back, with other operations in one go. What
// is stored is read first: a write whose answer was lost may have been done.
func (v *Volume) restore(ctx context.Context, status string, more ...persistence.Op) error {
	stored, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	if stored.Status == status {
		return v.lib.Persistence().Write(ctx, more...)
	}
	back := *stored
	back.Status = status
	return v.write(ctx, stored, &back, more...)
}

// mode is how the host may use the volume: as the caller said, otherwise as the
// array says, otherwise for reading and writing.
func mode(rec *persistence.Connection) connector.AccessMode {
	if rec.AttachMode != "" {
		return rec.AttachMode
	}
	if rec.Conn != nil && rec.Conn.Data.Common().AccessMode != "" {
		return rec.Conn.Data.Common().AccessMode
	}
	return connector.ReadWrite
}

// hosts are the properties of the hosts of connections, without that of id.
func hosts(connections []*persistence.Connection, id string) []*connector.Properties {
	var list []*connector.Properties
	for _, c := range connections {
		if c.ID != id && c.Connector != nil {
			list = append(list, c.Connector)
		}
	}
	return list
}

func (v *Volume) forget(c *Connection) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connections.remove(c.ID())
	if v.local == c {
		v.local = nil
	}
}

// Detach takes the device off this host and disconnects the volume from it. A
// host that cannot let go of the device keeps its connection, unless forced.
// ErrNotLocal: this handle has not attached it here.
func (v *Volume) Detach(ctx context.Context, opts ...DetachOption) (err error) {
	p := detaches(opts)
	_, vb, err := v.beginVerb(ctx, "detach")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	c := v.LocalAttach()
	if c == nil {
		return errorf(ErrNotLocal, "volume %s", v.ID())
	}
	return v.detach(ctx, c, p)
}

func (v *Volume) detach(ctx context.Context, c *Connection, p detachParams) error {
	hostErr := c.detach(ctx, p)
	if hostErr != nil && !p.force {
		return hostErr
	}
	return join(hostErr, v.disconnect(ctx, c, p))
}

// Disconnect takes back Connect for one of the volume's connections. The host
// must have let go of the device: ErrInUse says that it has not, unless forced.
// A connection that is gone is success.
func (v *Volume) Disconnect(ctx context.Context, c *Connection, opts ...DetachOption) (err error) {
	p := detaches(opts)
	_, vb, err := v.beginVerb(ctx, "disconnect")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	if c == nil || c.VolumeID() != v.ID() {
		return invalid("the connection is not one of this volume")
	}
	return v.disconnect(ctx, c, p)
}

func (v *Volume) disconnect(ctx context.Context, c *Connection, p detachParams) error {
	b, err := v.need()
	if err != nil {
		return err
	}
	rec, err := c.fresh(ctx)
	if errors.Is(err, ErrNotFound) {
		v.forget(c)
		return nil
	}
	if err != nil {
		return err
	}
	if rec.Device != nil && !p.force {
		return errorf(ErrInUse, "host %q has it attached as %s", rec.HostName(), rec.Device.Path)
	}
	vol, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	intent := *rec
	intent.AttachStatus, intent.Device = persistence.AttachDetached, nil
	if err := c.write(ctx, rec, &intent); err != nil {
		return err
	}
	if err := v.unmap(ctx, b, vol, &intent, p.force); err != nil {
		if !refused(err) {
			return err
		}
		return join(err, settle(ctx, func(ctx context.Context) error { return c.write(ctx, &intent, rec) }))
	}
	gone := intent
	gone.Conn = nil
	c.set(&gone)
	v.forget(c)
	return nil
}

// unmap takes a connection off the array and out of the store: the host's
// access, and with the last connection the export. The volume is available
// again then.
func (v *Volume) unmap(ctx context.Context, b *Backend, vol *drivers.Volume, rec *persistence.Connection, force bool) error {
	store := v.lib.Persistence()
	all, err := store.Connections(ctx, persistence.ConnectionFilter{VolumeID: vol.ID})
	if err != nil {
		return err
	}
	others := 0
	for _, o := range all {
		if o.ID != rec.ID {
			others++
		}
	}
	host := rec.Connector.Clone()
	if host == nil {
		host = &connector.Properties{Host: rec.AttachedHost}
	}
	attachment := &drivers.Attachment{ID: rec.ID, Host: host, Mode: mode(rec), Others: hosts(all, rec.ID), Force: force}
	if err := b.driver.Disconnect(ctx, vol, attachment); err != nil {
		return err
	}
	if others == 0 {
		if err := b.driver.Unexport(ctx, vol); err != nil {
			return fmt.Errorf("unexport: %w", err)
		}
	}
	return settle(ctx, func(ctx context.Context) error {
		free := *vol
		switch {
		case others == 0 && vol.Status == drivers.StatusInUse:
			free.Status = drivers.StatusAvailable
		case others == 0 && vol.PreviousStatus == drivers.StatusInUse: // a verb was cut off
			free.PreviousStatus = drivers.StatusAvailable
		default:
			return store.Write(ctx, persistence.Delete(rec))
		}
		return v.write(ctx, vol, &free, persistence.Delete(rec))
	})
}

// Cleanup detaches the volume's connections from this host and disconnects them,
// so that nothing of it is left here. Connections of other hosts stay.
func (v *Volume) Cleanup(ctx context.Context, opts ...DetachOption) (err error) {
	p := detaches(opts)
	_, vb, err := v.beginVerb(ctx, "clean up")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	host, err := v.lib.HostProperties(ctx, connector.PropertiesOptions{})
	if err != nil {
		return err
	}
	connections, err := v.loadConnections(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range connections {
		if sameHost(c.get().Connector, host) {
			errs = append(errs, v.detach(ctx, c, p))
		}
	}
	return join(errs...)
}

// sameHost tells whether a connection is for a host, by the strongest identity
// that both have.
func sameHost(a, b *connector.Properties) bool {
	if a == nil || b == nil {
		return false
	}
	switch {
	case a.SystemUUID != "" && b.SystemUUID != "" && a.Host == b.Host:
		return a.SystemUUID == b.SystemUUID
	case a.Initiator != "" && b.Initiator != "":
		return a.Initiator == b.Initiator && a.Host == b.Host
	}
	return a.Host != "" && a.Host == b.Host
}

func detaches(opts []DetachOption) detachParams {
	var p detachParams
	for _, o := range opts {
		o.applyDetach(&p)
	}
	return p
}

// warn logs a fault that a caller chose to ignore.
func (l *Library) warn(ctx context.Context, what string, o Object, err error) {
	l.log.LogAttrs(ctx, slog.LevelWarn, what, slog.String("id", o.ID()), slog.String("error", err.Error()))
}
