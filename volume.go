// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Volume is a handle of one volume. It is safe for use from any goroutine.
// Handles share what they know only if one was obtained from the other: the
// Volume of a Snapshot that came from Volume.Snapshots is that Volume; two
// results of VolumeByID are not. Verbs act on what the store holds, so either
// may be used.
type Volume struct {
	backendRef
	state[*drivers.Volume]

	snapshots   relation[*Snapshot]
	connections relation[*Connection]
	local       *Connection // under state.mu
}

// relation is a list that is loaded when it is first asked for. It is guarded by
// the mutex of the object it belongs to.
type relation[T Object] struct {
	loaded bool
	items  []T
}

func (r *relation[T]) add(item T) {
	if !r.loaded {
		return
	}
	for i := range r.items {
		if r.items[i].ID() == item.ID() {
			r.items[i] = item
			return
		}
	}
	r.items = append(r.items, item)
}

func (r *relation[T]) remove(id string) {
	r.items = slices.DeleteFunc(r.items, func(item T) bool { return item.ID() == id })
}

func (r *relation[T]) byID() map[string]T {
	m := make(map[string]T, len(r.items))
	for _, item := range r.items {
		m[item.ID()] = item
	}
	return m
}

func newVolume(l *Library, b *Backend, rec *drivers.Volume, saved bool) *Volume {
	v := &Volume{backendRef: backendRef{l, b, b.name}}
	v.rec, v.saved = rec, saved
	return v
}

// ID is the volume's id.
func (v *Volume) ID() string { return v.get().ID }

// Name is the display name.
func (v *Volume) Name() string { return v.get().Name }

// Description is the display description.
func (v *Volume) Description() string { return v.get().Description }

// NameOnArray is the name the volume has on the array, name_in_storage of the
// Python library.
func (v *Volume) NameOnArray() string { return v.get().NameOnArray() }

// Size is the size in GiB.
func (v *Volume) Size() int { return v.get().Size }

// Status is the status as this handle last saw it.
func (v *Volume) Status() string { return v.get().Status }

// Deleted tells whether the volume was deleted through this handle.
func (v *Volume) Deleted() bool { return v.get().Deleted }

// Metadata returns a copy of the metadata.
func (v *Volume) Metadata() map[string]string { return copied(v.get().Metadata) }

// AdminMetadata returns a copy of the admin metadata.
func (v *Volume) AdminMetadata() map[string]string { return copied(v.get().AdminMetadata) }

// ExtraSpecs returns a copy of the extra specs.
func (v *Volume) ExtraSpecs() map[string]string { return copied(v.get().ExtraSpecs()) }

// QoSSpecs returns a copy of the quality of service's specs.
func (v *Volume) QoSSpecs() map[string]string {
	if q := v.get().QoS(); q != nil {
		return copied(q.Specs)
	}
	return map[string]string{}
}

// Info returns a copy of the whole record.
func (v *Volume) Info() drivers.Volume { return *v.get().Clone() }

// LocalAttach is the connection that this handle has attached on this host, nil
// if it has none. It is neither stored nor dumped.
func (v *Volume) LocalAttach() *Connection {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.local
}

func (v *Volume) setLocal(c *Connection) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.local = c
}

// Snapshots returns the volume's snapshots, oldest first. The first call loads
// them from the store; later ones return the same handles.
func (v *Volume) Snapshots(ctx context.Context) ([]*Snapshot, error) {
	v.mu.Lock()
	if v.snapshots.loaded {
		defer v.mu.Unlock()
		return slices.Clone(v.snapshots.items), nil
	}
	v.mu.Unlock()
	return v.loadSnapshots(ctx)
}

func (v *Volume) loadSnapshots(ctx context.Context) ([]*Snapshot, error) {
	records, err := v.lib.Persistence().Snapshots(ctx, persistence.SnapshotFilter{VolumeID: v.ID()})
	if err != nil {
		return nil, fmt.Errorf("snapshots of volume %s: %w", v.ID(), err)
	}
	return v.fillSnapshots(records), nil
}

func (v *Volume) fillSnapshots(records []*drivers.Snapshot) []*Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.snapshots.byID()
	v.snapshots = relation[*Snapshot]{loaded: true, items: make([]*Snapshot, len(records))}
	for i, rec := range records {
		s := known[rec.ID]
		if s == nil {
			s = &Snapshot{backendRef: v.backendRef, volume: v}
		}
		s.set(rec)
		v.snapshots.items[i] = s
	}
	return slices.Clone(v.snapshots.items)
}

// Connections returns the volume's connections, oldest first. The first call
// loads them from the store; later ones return the same handles.
func (v *Volume) Connections(ctx context.Context) ([]*Connection, error) {
	v.mu.Lock()
	if v.connections.loaded {
		defer v.mu.Unlock()
		return slices.Clone(v.connections.items), nil
	}
	v.mu.Unlock()
	return v.loadConnections(ctx)
}

func (v *Volume) loadConnections(ctx context.Context) ([]*Connection, error) {
	records, err := v.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{VolumeID: v.ID()})
	if err != nil {
		return nil, fmt.Errorf("connections of volume %s: %w", v.ID(), err)
	}
	return v.fillConnections(records), nil
}

func (v *Volume) fillConnections(records []*persistence.Connection) []*Connection {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.connections.byID()
	v.connections = relation[*Connection]{loaded: true, items: make([]*Connection, len(records))}
	for i, rec := range records {
		c := known[rec.ID]
		if c == nil {
			c = &Connection{backendRef: v.backendRef, volume: v}
		}
		c.set(rec)
		v.connections.items[i] = c
	}
	return slices.Clone(v.connections.items)
}

// Refresh reads the volume again from the store, and its snapshots and
// connections if they were loaded. ErrNotFound: it is not stored.
func (v *Volume) Refresh(ctx context.Context) error {
	rec, err := v.lib.readVolume(ctx, v.ID())
	if err != nil {
		return &OpError{Op: "refresh", Kind: "volume", ID: v.ID(), Backend: v.name, Err: err, resource: v}
	}
	v.set(rec)
	v.mu.Lock()
	snapshots, connections := v.snapshots.loaded, v.connections.loaded
	v.mu.Unlock()
	if snapshots {
		if _, err := v.loadSnapshots(ctx); err != nil {
			return err
		}
	}
	if connections {
		if _, err := v.loadConnections(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readVolume reads one record.
func (l *Library) readVolume(ctx context.Context, id string) (*drivers.Volume, error) {
	if id == "" {
		return nil, invalid("volume id is empty")
	}
	records, err := l.Persistence().Volumes(ctx, persistence.VolumeFilter{ID: id})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errorf(ErrNotFound, "volume %s", clip(id))
	}
	return records[0], nil
}

// fresh brings the handle up to what the store holds, under the volume's lock. A
// volume that was loaded and never saved is what the handle says.
func (v *Volume) fresh(ctx context.Context) (*drivers.Volume, error) {
	rec, err := v.lib.readVolume(ctx, v.ID())
	switch {
	case err == nil:
		v.set(rec)
		return rec, nil
	case errors.Is(err, ErrNotFound) && !v.isSaved():
		return v.get(), nil
	}
	return nil, err
}

// write stores a change of the volume, with others in one go, and then shows it.
func (v *Volume) write(ctx context.Context, old, rec *drivers.Volume, more ...persistence.Op) error {
	op := persistence.Update(old, rec)
	if !v.isSaved() {
		op = persistence.Put(rec)
	}
	if err := v.lib.Persistence().Write(ctx, append([]persistence.Op{op}, more...)...); err != nil {
		return err
	}
	v.set(rec)
	return nil
}

// Save stores the volume as this handle has it, whether it is stored or not.
// Verbs and Update save by themselves; Save is for volumes that were loaded from
// JSON, and for a change of store.
func (v *Volume) Save(ctx context.Context) (err error) {
	vb, err := v.lib.begin(ctx, "save", "volume", v.ID(), v.name, v.ID())
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	rec := v.get()
	if rec.Deleted {
		return errorf(ErrPrecondition, "it was deleted")
	}
	if err := v.lib.Persistence().Write(ctx, persistence.Put(rec)); err != nil {
		return err
	}
	v.set(rec)
	return nil
}

// Update changes what a caller may change of a volume, and stores it.
func (v *Volume) Update(ctx context.Context, opts ...UpdateOption) (err error) {
	vb, err := v.lib.begin(ctx, "update", "volume", v.ID(), v.name, v.ID())
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	p, err := updates(opts)
	if err != nil {
		return err
	}
	old, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	rec := *old
	assign(&rec.Name, p.name)
	assign(&rec.Description, p.description)
	assign(&rec.Bootable, p.bootable)
	if p.metadata != nil {
		rec.Metadata = p.metadata
	}
	if p.adminMetadata != nil {
		rec.AdminMetadata = p.adminMetadata
	}
	return v.write(ctx, old, &rec)
}

func updates(opts []UpdateOption) (updateParams, error) {
	var p updateParams
	for _, o := range opts {
		o.applyUpdate(&p)
	}
	return p, join(checkLabels(p.name, p.description), checkMap("metadata", p.metadata), checkMap("admin metadata", p.adminMetadata))
}

func checkLabels(name, description *string) error {
	var errs []error
	if name != nil {
		errs = append(errs, checkLine("name", *name))
	}
	if description != nil {
		errs = append(errs, checkText("description", *description))
	}
	return join(errs...)
}

func assign[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// applied returns the record with a driver's update.
func applied(rec *drivers.Volume, u *drivers.VolumeUpdate) *drivers.Volume {
	c := *rec
	u.Apply(&c)
	return &c
}

// specs makes the volume's own type, whose id is the volume's.
func specs(id string, extra map[string]string, qos *drivers.QoSSpecs) *drivers.VolumeType {
	if len(extra) == 0 && (qos == nil || len(qos.Specs) == 0) {
		return nil
	}
	t := &drivers.VolumeType{ID: id, Name: id, IsPublic: true, ExtraSpecs: maps.Clone(extra)}
	if qos != nil && len(qos.Specs) > 0 {
		t.QoSSpecsID = id
		t.QoS = &drivers.QoSSpecs{ID: id, Name: id, Consumer: qos.Consumer, Specs: maps.Clone(qos.Specs)}
	}
	return t
}
