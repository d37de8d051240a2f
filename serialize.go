// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
)

// The versions of the lists that Cinder's Zed release writes.
const (
	snapshotListVersion   = "1.0"
	attachmentListVersion = "1.1"
)

// MarshalJSON writes the backends with their volumes as the Python library's
// json() does: what is loaded, nothing is read from the store.
func (l *Library) MarshalJSON() ([]byte, error) {
	return l.appendBackends(nil, (*Backend).MarshalJSON)
}

// Dump writes all backends with all their volumes, snapshots and connections, as
// the Python library's dump() does. What was not loaded is loaded, in three
// queries a backend. Key-values are not part of it.
func (l *Library) Dump(ctx context.Context) ([]byte, error) {
	return l.appendBackends(nil, func(b *Backend) ([]byte, error) { return b.Dump(ctx) })
}

func (l *Library) appendBackends(dst []byte, write func(*Backend) ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	backends := make([]*Backend, len(l.order))
	for i, name := range l.order {
		backends[i] = l.backends[name]
	}
	l.mu.Unlock()
	dst = append(dst, '[')
	for i, b := range backends {
		if i > 0 {
			dst = append(dst, ',')
		}
		text, err := write(b)
		if err != nil {
			return nil, err
		}
		dst = append(dst, text...)
	}
	return append(dst, ']'), nil
}

// MarshalJSON writes the backend with its volumes as far as they are loaded.
// With WithOutputAllBackendInfo it holds the whole configuration, secrets in
// clear.
func (b *Backend) MarshalJSON() ([]byte, error) {
	b.mu.Lock()
	volumes := b.volumes.list()
	b.mu.Unlock()
	return b.appendJSON(volumes)
}

// Dump writes the backend with all its volumes, snapshots and connections. What
// was not loaded is loaded, in three queries.
func (b *Backend) Dump(ctx context.Context) ([]byte, error) {
	volumes, err := b.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.loadRelations(ctx, volumes); err != nil {
		return nil, err
	}
	return b.appendJSON(volumes)
}

// loadRelations loads what the volumes have not loaded, all in one go.
func (b *Backend) loadRelations(ctx context.Context, volumes []*Volume) error {
	var noSnapshots, noConnections []*Volume
	for _, v := range volumes {
		v.mu.Lock()
		if !v.snapshots.loaded {
			noSnapshots = append(noSnapshots, v)
		}
		if !v.connections.loaded {
			noConnections = append(noConnections, v)
		}
		v.mu.Unlock()
	}
	store := b.lib.Persistence()
	if len(noSnapshots) > 0 {
		all, err := store.Snapshots(ctx, persistence.SnapshotFilter{Backend: b.name})
		if err != nil {
			return fmt.Errorf("snapshots of backend %s: %w", b.name, err)
		}
		of := map[string][]*drivers.Snapshot{}
		for _, s := range all {
			of[s.VolumeID] = append(of[s.VolumeID], s)
		}
		for _, v := range noSnapshots {
			v.fillSnapshots(of[v.ID()])
		}
	}
	if len(noConnections) > 0 {
		all, err := store.Connections(ctx, persistence.ConnectionFilter{Backend: b.name})
		if err != nil {
			return fmt.Errorf("connections of backend %s: %w", b.name, err)
		}
		of := map[string][]*persistence.Connection{}
		for _, c := range all {
			of[c.VolumeID] = append(of[c.VolumeID], c)
		}
		for _, v := range noConnections {
			v.fillConnections(of[v.ID()])
		}
	}
	return nil
}

func (b *Backend) appendJSON(volumes []*Volume) ([]byte, error) {
	config, err := b.configJSON()
	if err != nil {
		return nil, err
	}
	dst := make([]byte, 0, 256+2048*len(volumes))
	dst = append(dst, `{"class":"Backend","backend":`...)
	dst = append(dst, config...)
	dst = append(dst, `,"volumes":[`...)
	// Inside a Backend each volume has the name only.
	name := nameJSON(b.name)
	for i, v := range volumes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendObject(dst, "Volume", name)
		dst = v.appendOVO(dst, "", "")
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

func (b *Backend) configJSON() ([]byte, error) {
	if !b.lib.settings.outputAll {
		return nameJSON(b.name), nil
	}
	text, err := json.Marshal(map[string]any(b.options))
	if err != nil {
		return nil, fmt.Errorf("options of backend %s: %w", b.name, err)
	}
	return text, nil
}

// nameJSON is the backend's reference form. A text always has a JSON form.
func nameJSON(name string) []byte {
	text, _ := json.Marshal(map[string]string{"volume_backend_name": name})
	return text
}

func (r *backendRef) configJSON() ([]byte, error) {
	if r.backend == nil {
		return nameJSON(r.name), nil
	}
	return r.backend.configJSON()
}

func appendObject(dst []byte, class string, config []byte) []byte {
	dst = append(dst, `{"class":"`...)
	dst = append(dst, class...)
	dst = append(dst, `","backend":`...)
	dst = append(dst, config...)
	return append(dst, `,"ovo":`...)
}

func (r *backendRef) document(class string, ovo func(dst []byte) []byte) ([]byte, error) {
	config, err := r.configJSON()
	if err != nil {
		return nil, err
	}
	dst := appendObject(make([]byte, 0, 4096), class, config)
	return append(ovo(dst), '}'), nil
}

// appendOVO writes the volume with the relations that are loaded. An object that
// has been written, or is being written, is left out, as Python leaves it out:
// that is the snapshot or connection of which this is the volume, and each
// relation's volume.
func (v *Volume) appendOVO(dst []byte, exceptSnapshot, exceptConnection string) []byte {
	v.mu.Lock()
	rec, snapshots, connections := v.rec, v.snapshots, v.connections
	snapshots.items = append([]*Snapshot(nil), snapshots.items...)
	connections.items = append([]*Connection(nil), connections.items...)
	v.mu.Unlock()
	return drivers.VolumeSchema().Append(dst, rec, func(dst []byte, name string) ([]byte, bool) {
		switch {
		case name == "snapshots" && snapshots.loaded:
			items := without(snapshots.items, exceptSnapshot)
			return ovo.AppendList(dst, "SnapshotList", snapshotListVersion, len(items), func(dst []byte, i int) []byte {
				return drivers.SnapshotSchema().Append(dst, items[i].get(), nil)
			}), true
		case name == "volume_attachment" && connections.loaded:
			items := without(connections.items, exceptConnection)
			return ovo.AppendList(dst, "VolumeAttachmentList", attachmentListVersion, len(items), func(dst []byte, i int) []byte {
				return persistence.ConnectionSchema().Append(dst, items[i].get(), nil)
			}), true
		}
		return dst, false
	})
}

// except is the id to leave out of the list of an object's own volume. What
// Python read from a database lists itself there, as another object, and is
// written as it was loaded.
func except(id string, listed bool) string {
	if listed {
		return ""
	}
	return id
}

func without[T Object](items []T, id string) []T {
	if id == "" {
		return items
	}
	var kept []T
	for _, item := range items {
		if item.ID() != id {
			kept = append(kept, item)
		}
	}
	return kept
}

func (s *Snapshot) appendOVO(dst []byte) []byte {
	rec, v := s.get(), s.loadedVolume()
	return drivers.SnapshotSchema().Append(dst, rec, func(dst []byte, name string) ([]byte, bool) {
		if name != "volume" || v == nil {
			return dst, false
		}
		return v.appendOVO(dst, except(rec.ID, s.listed), ""), true
	})
}

func (c *Connection) appendOVO(dst []byte) []byte {
	rec, v := c.get(), c.loadedVolume()
	return persistence.ConnectionSchema().Append(dst, rec, func(dst []byte, name string) ([]byte, bool) {
		if name != "volume" || v == nil {
			return dst, false
		}
		return v.appendOVO(dst, "", except(rec.ID, c.listed)), true
	})
}

// MarshalJSON writes the volume with the snapshots and connections that are
// loaded, secrets in clear, as the Python library's json does.
func (v *Volume) MarshalJSON() ([]byte, error) {
	return v.document("Volume", func(dst []byte) []byte { return v.appendOVO(dst, "", "") })
}

// Dump loads the snapshots and connections if they are not, and writes the
// volume as MarshalJSON does.
func (v *Volume) Dump(ctx context.Context) ([]byte, error) {
	if _, err := v.Snapshots(ctx); err != nil {
		return nil, err
	}
	if _, err := v.Connections(ctx); err != nil {
		return nil, err
	}
	return v.MarshalJSON()
}

// Simplified writes the volume without snapshots and connections: the Python
// library's to_json(simplified=True), the form for stores of a program's own.
func (v *Volume) Simplified() ([]byte, error) {
	return v.document("Volume", func(dst []byte) []byte { return drivers.VolumeSchema().Append(dst, v.get(), nil) })
}

// ToDict is the volume as plain data, without envelopes; it cannot be loaded.
func (v *Volume) ToDict() (map[string]any, error) { return plain(v) }

// MarshalJSON writes the snapshot, with its volume if that is loaded.
func (s *Snapshot) MarshalJSON() ([]byte, error) { return s.document("Snapshot", s.appendOVO) }

// Dump loads the volume if it is not, and writes the snapshot as MarshalJSON
// does.
func (s *Snapshot) Dump(ctx context.Context) ([]byte, error) {
	if _, err := s.Volume(ctx); err != nil {
		return nil, err
	}
	return s.MarshalJSON()
}

// Simplified writes the snapshot without its volume; see Volume.Simplified.
func (s *Snapshot) Simplified() ([]byte, error) {
	return s.document("Snapshot", func(dst []byte) []byte { return drivers.SnapshotSchema().Append(dst, s.get(), nil) })
}

// ToDict is the snapshot as plain data, without envelopes; it cannot be loaded.
func (s *Snapshot) ToDict() (map[string]any, error) { return plain(s) }

// MarshalJSON writes the connection, with its volume if that is loaded. Its
// secrets are in clear: it is what another host attaches with.
func (c *Connection) MarshalJSON() ([]byte, error) { return c.document("Connection", c.appendOVO) }

// Dump loads the volume if it is not, and writes the connection as MarshalJSON
// does.
func (c *Connection) Dump(ctx context.Context) ([]byte, error) {
	if _, err := c.Volume(ctx); err != nil {
		return nil, err
	}
	return c.MarshalJSON()
}

// Simplified writes the connection without its volume; see Volume.Simplified.
func (c *Connection) Simplified() ([]byte, error) {
	return c.document("Connection", func(dst []byte) []byte {
		return persistence.ConnectionSchema().Append(dst, c.get(), nil)
	})
}

// ToDict is the connection as plain data, without envelopes; it cannot be
// loaded.
func (c *Connection) ToDict() (map[string]any, error) { return plain(c) }

func plain(o Object) (map[string]any, error) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return ovo.Plain(text)
}
