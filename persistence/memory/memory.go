// SPDX-License-Identifier: Apache-2.0

// Package memory keeps the metadata in the process: the default store. Nothing
// is left when the process ends; what must survive is dumped as JSON, or kept in
// another store.
package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Name is the name the store is registered under.
const Name = "memory"

func init() {
	persistence.Register(Name, func(context.Context, persistence.Env, struct{}) (persistence.Store, error) {
		return New(), nil
	})
}

// Store is a persistence.Store in memory. Each New is a store of its own.
type Store struct {
	mu          sync.RWMutex
	closed      bool
	volumes     table[*drivers.Volume]
	snapshots   table[*drivers.Snapshot]
	connections table[*persistence.Connection]
	keyValues   map[string]string
}

var (
	_ persistence.Store     = (*Store)(nil)
	_ persistence.Ephemeral = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{
		volumes: newTable(
			func(v *drivers.Volume) (string, time.Time) { return v.ID, v.CreatedAt },
			func(v *drivers.Volume) string { return v.Backend() }),
		snapshots: newTable(
			func(s *drivers.Snapshot) (string, time.Time) { return s.ID, s.CreatedAt },
			func(s *drivers.Snapshot) string { return s.VolumeID }),
		connections: newTable(
			func(c *persistence.Connection) (string, time.Time) { return c.ID, c.CreatedAt },
			func(c *persistence.Connection) string { return c.VolumeID }),
		keyValues: map[string]string{},
	}
}

// Ephemeral tells that no other process sees these records.
func (s *Store) Ephemeral() bool { return true }

// Close drops nothing: records stay readable until the process lets go of the
// store. Writing after Close is ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Volumes implements persistence.Store.
func (s *Store) Volumes(ctx context.Context, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return find(ctx, &s.volumes, f.ID, f.Backend, f.Page, func(v *drivers.Volume) bool {
		return (f.Name == "" || v.Name == f.Name) && (f.Backend == "" || v.Backend() == f.Backend)
	})
}

// Snapshots implements persistence.Store.
func (s *Store) Snapshots(ctx context.Context, f persistence.SnapshotFilter) ([]*drivers.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return find(ctx, &s.snapshots, f.ID, f.VolumeID, f.Page, func(n *drivers.Snapshot) bool {
		return (f.Name == "" || n.Name == f.Name) && (f.VolumeID == "" || n.VolumeID == f.VolumeID) &&
			(f.Backend == "" || n.Backend() == f.Backend)
	})
}

// Connections implements persistence.Store.
func (s *Store) Connections(ctx context.Context, f persistence.ConnectionFilter) ([]*persistence.Connection, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return find(ctx, &s.connections, f.ID, f.VolumeID, f.Page, func(c *persistence.Connection) bool {
		if f.Backend != "" {
			v, ok := s.volumes.byID[c.VolumeID]
			if !ok || v.group != f.Backend {
				return false
			}
		}
		return f.VolumeID == "" || c.VolumeID == f.VolumeID
	})
}

// KeyValues implements persistence.Store.
func (s *Store) KeyValues(ctx context.Context, key string) ([]persistence.KeyValue, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if key != "" {
		if v, ok := s.keyValues[key]; ok {
			return []persistence.KeyValue{{Key: key, Value: v}}, nil
		}
		return nil, nil
	}
	list := make([]persistence.KeyValue, 0, len(s.keyValues))
	for _, k := range slices.SortedFunc(maps.Keys(s.keyValues), strings.Compare) {
		list = append(list, persistence.KeyValue{Key: k, Value: s.keyValues[k]})
	}
	return list, nil
}

// Write implements persistence.Store: all operations are done, or none.
func (s *Store) Write(ctx context.Context, ops ...persistence.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return persistence.Errorf(persistence.ErrClosed, "memory: the store is closed")
	}
	var done []func()
	for _, op := range ops {
		undo, err := s.apply(op)
		if err != nil {
			for _, undo := range slices.Backward(done) {
				undo()
			}
			return err
		}
		if len(ops) > 1 {
			done = append(done, undo)
		}
	}
	return nil
}

func (s *Store) apply(op persistence.Op) (undo func(), err error) {
	switch r := op.Record.(type) {
	case *drivers.Volume:
		return apply(&s.volumes, "volume", op, r)
	case *drivers.Snapshot:
		return apply(&s.snapshots, "snapshot", op, r)
	case *persistence.Connection:
		return apply(&s.connections, "connection", op, r)
	case *persistence.KeyValue:
		return s.applyKeyValue(op.Kind, r)
	}
	return nil, persistence.Errorf(persistence.ErrInvalid, "memory: %T is no record", op.Record)
}

func apply[R cloner[R]](t *table[R], what string, op persistence.Op, r R) (undo func(), err error) {
	id, _ := t.key(r)
	stored, ok := t.byID[id]
	switch op.Kind {
	case persistence.OpInsert:
		if ok {
			return nil, persistence.Errorf(persistence.ErrExists, "memory: %s %s is stored already", what, id)
		}
		return t.put(r.Clone()), nil
	case persistence.OpPut:
		return t.put(r.Clone()), nil
	case persistence.OpUpdate:
		if !ok {
			return nil, persistence.Errorf(persistence.ErrNotFound, "memory: %s %s is not stored", what, id)
		}
		merged, err := persistence.Merge(stored.rec, op.Old.(R), r)
		if err != nil {
			return nil, fmt.Errorf("memory: %s %s: %w", what, id, err)
		}
		return t.put(merged), nil
	case persistence.OpDelete:
		return t.remove(id), nil
	}
	return nil, persistence.Errorf(persistence.ErrInvalid, "memory: no such kind of operation: %d", op.Kind)
}

func (s *Store) applyKeyValue(kind persistence.OpKind, kv *persistence.KeyValue) (undo func(), err error) {
	was, ok := s.keyValues[kv.Key]
	undo = func() {
		if ok {
			s.keyValues[kv.Key] = was
		} else {
			delete(s.keyValues, kv.Key)
		}
	}
	switch {
	case kv.Key == "":
		return nil, persistence.Errorf(persistence.ErrInvalid, "memory: a key-value needs a key")
	case kind == persistence.OpDelete:
		delete(s.keyValues, kv.Key)
	case kind == persistence.OpInsert && ok:
		return nil, persistence.Errorf(persistence.ErrExists, "memory: key %q is stored already", kv.Key)
	case kind == persistence.OpUpdate && !ok:
		return nil, persistence.Errorf(persistence.ErrNotFound, "memory: key %q is not stored", kv.Key)
	default:
		s.keyValues[kv.Key] = kv.Value
	}
	return undo, nil
}
