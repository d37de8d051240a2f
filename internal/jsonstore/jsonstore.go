// SPDX-License-Identifier: Apache-2.0

// Package jsonstore is a persistence.Store in one JSON file, for tests of what
// survives a killed process and of what several processes do to one store. Every
// write writes the whole file, so it is no store for production; it shows in few
// lines what a store of one's own has to do.
package jsonstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// Store keeps its records in a file that any number of processes may share.
type Store struct {
	path  string
	locks *lock.File

	// What the file held when it was last looked at, under the lock.
	text    []byte
	content *memory.Store
}

var _ persistence.Store = (*Store)(nil)

// Open returns a store in the file path, which is made by the first Write.
func Open(path string) (*Store, error) {
	locks, err := lock.OpenFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	return &Store{path: path, locks: locks}, nil
}

// document is the file's content: each record in the envelope that Python's
// cinderlib reads.
type document struct {
	Volumes     []json.RawMessage      `json:"volumes"`
	Snapshots   []json.RawMessage      `json:"snapshots"`
	Connections []json.RawMessage      `json:"connections"`
	KeyValues   []persistence.KeyValue `json:"key_values"`
}

// with runs f on the content of the file while no other process changes it.
func (s *Store) with(ctx context.Context, f func(*memory.Store) error) error {
	unlock, err := s.locks.Lock(ctx, "store")
	if err != nil {
		return err
	}
	defer unlock()
	m, err := s.read(ctx)
	if err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	return f(m)
}

func (s *Store) read(ctx context.Context) (*memory.Store, error) {
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.content != nil && bytes.Equal(text, s.text) {
		return s.content, nil
	}
	m := memory.New()
	if len(text) == 0 {
		return m, nil
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	ops, err := decode(nil, drivers.VolumeSchema(), doc.Volumes)
	if err != nil {
		return nil, err
	}
	if ops, err = decode(ops, drivers.SnapshotSchema(), doc.Snapshots); err != nil {
		return nil, err
	}
	if ops, err = decode(ops, persistence.ConnectionSchema(), doc.Connections); err != nil {
		return nil, err
	}
	for i := range doc.KeyValues {
		ops = append(ops, persistence.Put(&doc.KeyValues[i]))
	}
	if err := m.Write(ctx, ops...); err != nil {
		return nil, err
	}
	s.text, s.content = text, m
	return m, nil
}

func decode[T any](ops []persistence.Op, schema *ovo.Schema[T], texts []json.RawMessage) ([]persistence.Op, error) {
	for _, text := range texts {
		rec, err := schema.Decode(ovo.NewDecoder(text), nil)
		if err != nil {
			return nil, err
		}
		ops = append(ops, persistence.Op{Kind: persistence.OpPut, Record: rec})
	}
	return ops, nil
}

func encode[T any](schema *ovo.Schema[T], records []*T) []json.RawMessage {
	texts := make([]json.RawMessage, len(records))
	for i, rec := range records {
		texts[i] = schema.Append(nil, rec, nil)
	}
	return texts
}

func (s *Store) write(ctx context.Context, m *memory.Store) error {
	var doc document
	volumes, err := m.Volumes(ctx, persistence.VolumeFilter{})
	if err != nil {
		return err
	}
	doc.Volumes = encode(drivers.VolumeSchema(), volumes)
	snapshots, err := m.Snapshots(ctx, persistence.SnapshotFilter{})
	if err != nil {
		return err
	}
	doc.Snapshots = encode(drivers.SnapshotSchema(), snapshots)
	connections, err := m.Connections(ctx, persistence.ConnectionFilter{})
	if err != nil {
		return err
	}
	doc.Connections = encode(persistence.ConnectionSchema(), connections)
	if doc.KeyValues, err = m.KeyValues(ctx, ""); err != nil {
		return err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	// Whoever has the lock is the only one to use the name.
	if err := os.WriteFile(s.path+".new", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		return err
	}
	s.text, s.content = text, m
	return nil
}

// Volumes implements persistence.Store.
func (s *Store) Volumes(ctx context.Context, f persistence.VolumeFilter) (found []*drivers.Volume, err error) {
	err = s.with(ctx, func(m *memory.Store) error { found, err = m.Volumes(ctx, f); return err })
	return found, err
}

// Snapshots implements persistence.Store.
func (s *Store) Snapshots(ctx context.Context, f persistence.SnapshotFilter) (found []*drivers.Snapshot, err error) {
	err = s.with(ctx, func(m *memory.Store) error { found, err = m.Snapshots(ctx, f); return err })
	return found, err
}

// Connections implements persistence.Store.
func (s *Store) Connections(ctx context.Context, f persistence.ConnectionFilter) (found []*persistence.Connection, err error) {
	err = s.with(ctx, func(m *memory.Store) error { found, err = m.Connections(ctx, f); return err })
	return found, err
}

// KeyValues implements persistence.Store.
func (s *Store) KeyValues(ctx context.Context, key string) (found []persistence.KeyValue, err error) {
	err = s.with(ctx, func(m *memory.Store) error { found, err = m.KeyValues(ctx, key); return err })
	return found, err
}

// Write implements persistence.Store: all operations are done, or none.
func (s *Store) Write(ctx context.Context, ops ...persistence.Op) error {
	return s.with(ctx, func(m *memory.Store) error {
		s.content = nil // until the file is known to hold it
		if err := m.Write(ctx, ops...); err != nil {
			return err
		}
		return s.write(ctx, m)
	})
}

// Close implements persistence.Store.
func (s *Store) Close() error { return s.locks.Close() }
