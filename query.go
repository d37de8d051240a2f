// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"cmp"
	"context"
	"errors"
	"iter"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// KeyValue is a fact of the program's own that it keeps in the store.
type KeyValue = persistence.KeyValue

// VolumeByID reads a volume from the store. ErrNotFound: there is none;
// ErrNoBackend: its backend is not set up here (see WithMissingBackends).
func (l *Library) VolumeByID(ctx context.Context, id string) (*Volume, error) {
	rec, err := l.readVolume(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.volume(rec)
}

// VolumesByName reads the volumes of all backends with exactly that name.
func (l *Library) VolumesByName(ctx context.Context, name string) ([]*Volume, error) {
	return l.findVolumes(ctx, persistence.VolumeFilter{Name: name})
}

func (l *Library) volume(rec *drivers.Volume) (*Volume, error) {
	ref, err := l.ref(rec.Backend())
	if err != nil {
		return nil, err
	}
	v := &Volume{backendRef: ref}
	v.set(rec)
	return v, nil
}

func (l *Library) findVolumes(ctx context.Context, f persistence.VolumeFilter) ([]*Volume, error) {
	records, err := l.Persistence().Volumes(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]*Volume, len(records))
	for i, rec := range records {
		if list[i], err = l.volume(rec); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// SnapshotByID reads a snapshot from the store; see VolumeByID.
func (l *Library) SnapshotByID(ctx context.Context, id string) (*Snapshot, error) {
	rec, err := l.readSnapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.snapshot(rec)
}

// SnapshotsByName reads the snapshots of all backends with exactly that name.
func (l *Library) SnapshotsByName(ctx context.Context, name string) ([]*Snapshot, error) {
	records, err := l.Persistence().Snapshots(ctx, persistence.SnapshotFilter{Name: name})
	if err != nil {
		return nil, err
	}
	list := make([]*Snapshot, len(records))
	for i, rec := range records {
		if list[i], err = l.snapshot(rec); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (l *Library) snapshot(rec *drivers.Snapshot) (*Snapshot, error) {
	ref, err := l.ref(rec.Backend())
	if err != nil {
		return nil, err
	}
	s := &Snapshot{backendRef: ref}
	s.set(rec)
	return s, nil
}

// ConnectionByID reads a connection and its volume from the store; see
// VolumeByID.
func (l *Library) ConnectionByID(ctx context.Context, id string) (*Connection, error) {
	rec, err := l.readConnection(ctx, id)
	if err != nil {
		return nil, err
	}
	v, err := l.VolumeByID(ctx, rec.VolumeID)
	if err != nil {
		return nil, err
	}
	c := &Connection{backendRef: v.backendRef, volume: v}
	c.set(rec)
	return c, nil
}

// pageSize is how many records an iterator holds at a time.
const pageSize = 1000

// AllVolumes iterates over the backend's volumes in the store, oldest first, a
// page at a time, so that any number of them needs little memory. An error is
// delivered once, with a nil Volume, as the last of the sequence; that some
// records cannot be read does not keep it from the others. The handles are new
// ones.
func (b *Backend) AllVolumes(ctx context.Context, f VolumeFilter) iter.Seq2[*Volume, error] {
	return b.lib.allVolumes(ctx, persistence.VolumeFilter{ID: f.ID, Name: f.Name, Backend: b.name})
}

// AllVolumes iterates over the volumes of all backends; see Backend.AllVolumes.
func (l *Library) AllVolumes(ctx context.Context, f VolumeFilter) iter.Seq2[*Volume, error] {
	return l.allVolumes(ctx, persistence.VolumeFilter{ID: f.ID, Name: f.Name})
}

func (l *Library) allVolumes(ctx context.Context, f persistence.VolumeFilter) iter.Seq2[*Volume, error] {
	return func(yield func(*Volume, error) bool) {
		goOn := true
		err := l.eachVolume(ctx, f, func(rec *drivers.Volume) bool {
			v, err := l.volume(rec)
			goOn = yield(v, err) && err == nil
			return goOn
		})
		if goOn && err != nil {
			yield(nil, err)
		}
	}
}

// eachVolume visits records a page at a time until visit returns false. Records
// that cannot be read do not keep it from the others; they are the error.
func (l *Library) eachVolume(ctx context.Context, f persistence.VolumeFilter, visit func(*drivers.Volume) bool) error {
	f.Limit = pageSize
	var unreadable error
	for {
		records, err := l.Persistence().Volumes(ctx, f)
		if err != nil && !isUnreadable(err) {
			return err
		}
		unreadable = cmp.Or(unreadable, err)
		for _, rec := range records {
			if !visit(rec) {
				return nil
			}
		}
		if len(records) == 0 || err == nil && len(records) < pageSize {
			return unreadable
		}
		last := records[len(records)-1]
		f.AfterTime, f.AfterID = last.CreatedAt, last.ID
	}
}

// isUnreadable tells whether records came with an error of others.
func isUnreadable(err error) bool {
	_, ok := errors.AsType[*persistence.RecordError](err)
	return ok
}

// KeyValues returns the fact with that key, or all of them for an empty key.
func (l *Library) KeyValues(ctx context.Context, key string) ([]KeyValue, error) {
	return l.Persistence().KeyValues(ctx, key)
}

// SetKeyValue stores a fact, in place of one with the same key.
func (l *Library) SetKeyValue(ctx context.Context, kv KeyValue) error {
	if kv.Key == "" {
		return invalid("a key-value needs a key")
	}
	if err := checkLine("key", kv.Key); err != nil {
		return err
	}
	return l.Persistence().Write(ctx, persistence.Put(&kv))
}

// DeleteKeyValue removes a fact; one that is not there is success.
func (l *Library) DeleteKeyValue(ctx context.Context, key string) error {
	return l.Persistence().Write(ctx, persistence.Delete(&KeyValue{Key: key}))
}
