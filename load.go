// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
)

// LoadOption is an option of Load.
type LoadOption interface{ applyLoad(*loadParams) }

type loadParams struct{ save bool }

type loadOption func(*loadParams)

func (o loadOption) applyLoad(p *loadParams) { o(p) }

// WithSave stores what is loaded, in place of what the store has under the same
// ids, all of it or none.
func WithSave() LoadOption { return loadOption(func(p *loadParams) { p.save = true }) }

// Load reads what this library or the Python one wrote: a list of objects, or
// one. A backend given with its whole configuration is set up; one given by name
// must be (see WithMissingBackends). Without WithSave nothing is stored: queries
// do not find what was loaded, and verbs on it work with what was loaded.
//
// Data that is not what it should be is ErrInvalid, says where, and changes
// nothing.
func (l *Library) Load(ctx context.Context, data []byte, opts ...LoadOption) ([]Object, error) {
	return l.load(ctx, data, "", opts)
}

// load loads documents, or one of a class.
func (l *Library) load(ctx context.Context, data []byte, class string, opts []LoadOption) ([]Object, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	var p loadParams
	for _, o := range opts {
		o.applyLoad(&p)
	}
	in := &loading{lib: l}
	docs, err := in.parse(data)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if class != "" && (len(docs) != 1 || docs[0].class != class) {
		return nil, invalid("load: not one object of class %s", class)
	}
	objects, err := in.build(ctx, docs)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if p.save {
		if err := in.save(ctx); err != nil {
			return nil, fmt.Errorf("load: save: %w", err)
		}
	}
	for _, f := range in.finish {
		f()
	}
	return objects, nil
}

// LoadVolume is Load of one volume; anything else is ErrInvalid.
func (l *Library) LoadVolume(ctx context.Context, data []byte, opts ...LoadOption) (*Volume, error) {
	return loadOne[*Volume](ctx, l, "Volume", data, opts)
}

// LoadSnapshot is Load of one snapshot; anything else is ErrInvalid.
func (l *Library) LoadSnapshot(ctx context.Context, data []byte, opts ...LoadOption) (*Snapshot, error) {
	return loadOne[*Snapshot](ctx, l, "Snapshot", data, opts)
}

// LoadConnection is Load of one connection; anything else is ErrInvalid.
func (l *Library) LoadConnection(ctx context.Context, data []byte, opts ...LoadOption) (*Connection, error) {
	return loadOne[*Connection](ctx, l, "Connection", data, opts)
}

// LoadBackend is Load of one backend; anything else is ErrInvalid.
func (l *Library) LoadBackend(ctx context.Context, data []byte, opts ...LoadOption) (*Backend, error) {
	return loadOne[*Backend](ctx, l, "Backend", data, opts)
}

func loadOne[T Object](ctx context.Context, l *Library, class string, data []byte, opts []LoadOption) (T, error) {
	var none T
	objects, err := l.load(ctx, data, class, opts)
	if err != nil {
		return none, err
	}
	return objects[0].(T), nil
}

// document is one object as it was parsed, before its backend is looked for.
type document struct {
	class   string
	backend []byte
	volumes []document // of a Backend
	volume  *volumeDoc
	snap    *snapshotDoc
	conn    *connectionDoc
}

type volumeDoc struct {
	rec         *drivers.Volume
	snapshots   []*drivers.Snapshot
	connections []*persistence.Connection
	// loaded tells a relation that was empty from one that was left out.
	snapshotsLoaded, connectionsLoaded bool
}

type snapshotDoc struct {
	rec    *drivers.Snapshot
	volume *volumeDoc
}

type connectionDoc struct {
	rec    *persistence.Connection
	volume *volumeDoc
}

type loading struct {
	lib    *Library
	ops    []persistence.Op
	saved  []func()
	finish []func()

	lastConfig []byte // the configuration that was resolved last: they repeat
	lastRef    backendRef
}

func (in *loading) parse(data []byte) ([]document, error) {
	d := ovo.NewDecoder(data)
	var docs []document
	var err error
	if d.Kind() == ovo.KindArray {
		err = d.Array(func(int) error {
			doc, err := in.document(d, true)
			docs = append(docs, doc)
			return err
		})
	} else {
		var doc document
		doc, err = in.document(d, true)
		docs = append(docs, doc)
	}
	if err != nil {
		return nil, err
	}
	return docs, d.End()
}

// document parses {"class":…, "backend":…, "ovo" or "volumes":…} with the keys
// in any order. Only the top level may have a Backend.
func (in *loading) document(d *ovo.Decoder, top bool) (document, error) {
	var doc document
	content := -1 // where the content starts, if it came before the class
	err := d.Object(func(key []byte) error {
		var err error
		switch string(key) {
		case "class":
			doc.class, err = d.String()
			return err
		case "backend":
			doc.backend, err = d.Raw()
			return err
		case "ovo", "volumes":
			if doc.class == "" {
				content = d.Offset()
				return d.Skip()
			}
			return in.content(d, &doc, top)
		}
		return d.Skip()
	})
	if err != nil {
		return doc, err
	}
	if content >= 0 {
		end := d.Offset()
		d.Seek(content)
		if err := in.content(d, &doc, top); err != nil {
			return doc, err
		}
		d.Seek(end)
	}
	switch {
	case doc.class == "":
		return doc, invalid("an object has no class")
	case doc.class == "Backend" && !top:
		return doc, invalid("a Backend is inside of a Backend")
	case doc.class != "Backend" && doc.volume == nil && doc.snap == nil && doc.conn == nil:
		return doc, invalid("an object of class %s has no ovo", clip(doc.class))
	case doc.backend == nil:
		return doc, invalid("an object of class %s has no backend", clip(doc.class))
	}
	return doc, nil
}

func (in *loading) content(d *ovo.Decoder, doc *document, top bool) (err error) {
	switch doc.class {
	case "Backend":
		if !top {
			return d.Skip()
		}
		return d.Array(func(int) error {
			inner, err := in.document(d, false)
			if err == nil && inner.class != "Volume" {
				err = invalid("a Backend's volumes have a %s", clip(inner.class))
			}
			doc.volumes = append(doc.volumes, inner)
			return err
		})
	case "Volume":
		doc.volume, err = in.volume(d)
	case "Snapshot":
		doc.snap, err = in.snapshot(d)
	case "Connection":
		doc.conn, err = in.connection(d)
	default:
		err = invalid("class %q is none of Backend, Volume, Snapshot, Connection", clip(doc.class))
	}
	return err
}

func (in *loading) volume(d *ovo.Decoder) (*volumeDoc, error) {
	doc := &volumeDoc{}
	rec, err := drivers.VolumeSchema().Decode(d, func(d *ovo.Decoder, name string) error {
		if d.Null() {
			return nil
		}
		switch name {
		case "snapshots":
			doc.snapshotsLoaded = true
			return ovo.DecodeList(d, "SnapshotList", func(d *ovo.Decoder) error {
				// Python leaves the volume out there, so another one is not looked at.
				s, err := in.snapshot(d)
				if err == nil {
					doc.snapshots = append(doc.snapshots, s.rec)
				}
				return err
			})
		case "volume_attachment":
			doc.connectionsLoaded = true
			return ovo.DecodeList(d, "VolumeAttachmentList", func(d *ovo.Decoder) error {
				c, err := in.connection(d)
				if err == nil {
					doc.connections = append(doc.connections, c.rec)
				}
				return err
			})
		}
		return d.Skip()
	})
	if err != nil {
		return nil, err
	}
	doc.rec = rec
	if err := in.checkVolume(doc); err != nil {
		return nil, err
	}
	return doc, nil
}

func (in *loading) checkVolume(doc *volumeDoc) error {
	rec, free := doc.rec, in.lib.settings.nonUUIDs
	errs := []error{checkID("volume id", rec.ID, free)}
	for what, id := range map[string]string{"_name_id": rec.NameIDOverride, "snapshot_id": rec.SnapshotID, "source_volid": rec.SourceVolumeID} {
		if id != "" {
			errs = append(errs, checkID(what+" of volume "+clip(rec.ID), id, free))
		}
	}
	if rec.Size < 0 || rec.Size > maxSize {
		errs = append(errs, invalid("size of volume %s is %d GiB", clip(rec.ID), rec.Size))
	}
	for _, s := range doc.snapshots {
		if s.VolumeID != rec.ID {
			errs = append(errs, invalid("snapshot %s of volume %s says it is of volume %q", s.ID, clip(rec.ID), clip(s.VolumeID)))
		}
	}
	for _, c := range doc.connections {
		if c.VolumeID != rec.ID {
			errs = append(errs, invalid("connection %s of volume %s says it is of volume %q", c.ID, clip(rec.ID), clip(c.VolumeID)))
		}
	}
	return join(errs...)
}

func (in *loading) snapshot(d *ovo.Decoder) (*snapshotDoc, error) {
	doc := &snapshotDoc{}
	rec, err := drivers.SnapshotSchema().Decode(d, func(d *ovo.Decoder, _ string) (err error) {
		doc.volume, err = in.related(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	doc.rec = rec
	err = join(checkID("snapshot id", rec.ID, in.lib.settings.nonUUIDs),
		checkID("volume_id of snapshot "+clip(rec.ID), rec.VolumeID, in.lib.settings.nonUUIDs))
	if err == nil && doc.volume != nil && doc.volume.rec.ID != rec.VolumeID {
		err = invalid("snapshot %s is of volume %s, but has volume %s", rec.ID, rec.VolumeID, doc.volume.rec.ID)
	}
	if err == nil && (rec.VolumeSize < 0 || rec.VolumeSize > maxSize) {
		err = invalid("volume_size of snapshot %s is %d GiB", rec.ID, rec.VolumeSize)
	}
	return doc, err
}

func (in *loading) connection(d *ovo.Decoder) (*connectionDoc, error) {
	doc := &connectionDoc{}
	rec, err := persistence.ConnectionSchema().Decode(d, func(d *ovo.Decoder, _ string) (err error) {
		doc.volume, err = in.related(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	doc.rec = rec
	err = join(checkID("connection id", rec.ID, in.lib.settings.nonUUIDs),
		checkID("volume_id of connection "+clip(rec.ID), rec.VolumeID, in.lib.settings.nonUUIDs))
	if err == nil && doc.volume != nil && doc.volume.rec.ID != rec.VolumeID {
		err = invalid("connection %s is of volume %s, but has volume %s", rec.ID, rec.VolumeID, doc.volume.rec.ID)
	}
	return doc, err
}

func (in *loading) related(d *ovo.Decoder) (*volumeDoc, error) {
	if d.Null() {
		return nil, nil
	}
	return in.volume(d)
}

// build makes the handles.
func (in *loading) build(ctx context.Context, docs []document) ([]Object, error) {
	objects := make([]Object, len(docs))
	for i, doc := range docs {
		ref, err := in.backend(ctx, doc.backend)
		if err != nil {
			return nil, err
		}
		if objects[i], err = in.object(ctx, doc, ref); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func (in *loading) object(ctx context.Context, doc document, ref backendRef) (Object, error) {
	switch {
	case doc.volume != nil:
		return in.buildVolume(doc.volume, ref, true)
	case doc.snap != nil:
		rec := doc.snap.rec
		s := &Snapshot{backendRef: ref}
		if rec.Progress != "" && rec.Progress != ref.name {
			return nil, invalid("snapshot %s is of backend %q, not %q", rec.ID, clip(rec.Progress), ref.name)
		}
		rec.Progress = ref.name
		s.rec = rec
		in.keep(persistence.Put(rec), func() { s.set(rec) })
		if doc.snap.volume != nil {
			v, err := in.buildVolume(doc.snap.volume, ref, false)
			if err != nil {
				return nil, err
			}
			s.volume = v
			s.listed = listed(v.snapshots.items, rec.ID)
			v.snapshots.add(s)
		}
		return s, nil
	case doc.conn != nil:
		rec := doc.conn.rec
		c := &Connection{backendRef: ref}
		c.rec = rec
		in.keep(persistence.Put(rec), func() { c.set(rec) })
		if doc.conn.volume != nil {
			v, err := in.buildVolume(doc.conn.volume, ref, false)
			if err != nil {
				return nil, err
			}
			c.volume = v
			c.listed = listed(v.connections.items, rec.ID)
			v.connections.add(c)
		}
		return c, nil
	}
	return in.buildBackend(ctx, doc, ref)
}

func listed[T Object](items []T, id string) bool {
	return slices.ContainsFunc(items, func(item T) bool { return item.ID() == id })
}

func (in *loading) buildBackend(ctx context.Context, doc document, ref backendRef) (Object, error) {
	volumes := make([]*Volume, len(doc.volumes))
	for i, inner := range doc.volumes {
		own, err := in.backend(ctx, inner.backend)
		if err != nil {
			return nil, err
		}
		if own.name != ref.name {
			return nil, invalid("volume %s in backend %q is of backend %q", inner.volume.rec.ID, ref.name, own.name)
		}
		if volumes[i], err = in.buildVolume(inner.volume, ref, true); err != nil {
			return nil, err
		}
	}
	if ref.backend == nil {
		return nil, errorf(ErrNoBackend, "%q", ref.name)
	}
	if len(volumes) > 0 {
		in.finish = append(in.finish, func() {
			ref.backend.mu.Lock()
			defer ref.backend.mu.Unlock()
			ref.backend.volumes.replace(volumes)
		})
	}
	return ref.backend, nil
}

// buildVolume makes the handles of a volume and its relations. The volume that
// a snapshot or connection carries along is not kept: saving it could put an old
// record in place of a newer one.
func (in *loading) buildVolume(doc *volumeDoc, ref backendRef, keep bool) (*Volume, error) {
	rec := doc.rec
	if !strings.Contains(rec.Host, "@") {
		// Before cinderlib 0.3 the backend stood in the availability zone, and
		// there was one pool, named like it.
		if rec.AvailabilityZone == ref.name {
			rec.AvailabilityZone = ""
		}
		rec.Host += "@" + ref.name + "#" + ref.name
	}
	if rec.Backend() != ref.name {
		return nil, invalid("volume %s has host %q, which is not of backend %q", rec.ID, clip(rec.Host), ref.name)
	}
	v := &Volume{backendRef: ref}
	v.rec = rec
	if keep {
		in.keep(persistence.Put(rec), func() { v.set(rec) })
	}
	if doc.snapshotsLoaded {
		v.snapshots = relation[*Snapshot]{loaded: true, items: make([]*Snapshot, len(doc.snapshots))}
		for i, rec := range doc.snapshots {
			s := &Snapshot{backendRef: ref, volume: v}
			rec.Progress = ref.name
			s.rec = rec
			v.snapshots.items[i] = s
			if keep {
				in.keep(persistence.Put(rec), func() { s.set(rec) })
			}
		}
	}
	if doc.connectionsLoaded {
		v.connections = relation[*Connection]{loaded: true, items: make([]*Connection, len(doc.connections))}
		for i, rec := range doc.connections {
			c := &Connection{backendRef: ref, volume: v}
			c.rec = rec
			v.connections.items[i] = c
			if keep {
				in.keep(persistence.Put(rec), func() { c.set(rec) })
			}
		}
	}
	return v, nil
}

// keep notes what WithSave stores, and what is then true.
func (in *loading) keep(op persistence.Op, stored func()) {
	in.ops = append(in.ops, op)
	in.saved = append(in.saved, stored)
}

func (in *loading) save(ctx context.Context) error {
	if err := in.lib.Persistence().Write(ctx, in.ops...); err != nil {
		return err
	}
	for _, f := range in.saved {
		f()
	}
	return nil
}

// backend finds the backend that a configuration names, and sets it up if the
// configuration is whole and it is not.
func (in *loading) backend(ctx context.Context, config []byte) (backendRef, error) {
	if in.lastConfig != nil && string(in.lastConfig) == string(config) {
		return in.lastRef, nil
	}
	var options map[string]any
	if err := json.Unmarshal(config, &options); err != nil {
		return backendRef{}, invalid("backend is not an object")
	}
	name, _ := options["volume_backend_name"].(string)
	if err := checkBackendName(name); err != nil {
		return backendRef{}, err
	}
	if len(options) > 1 && in.lib.Backend(name) == nil {
		if _, err := in.lib.NewBackend(ctx, options); err != nil {
			return backendRef{}, err
		}
	}
	ref, err := in.lib.ref(name)
	if err != nil {
		return backendRef{}, err
	}
	in.lastConfig, in.lastRef = config, ref
	return ref, nil
}
