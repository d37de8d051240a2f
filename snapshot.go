// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Snapshot is a handle of one snapshot. It is safe for use from any goroutine.
type Snapshot struct {
	backendRef
	state[*drivers.Snapshot]

	volume *Volume // under state.mu; nil until loaded
	listed bool    // it was loaded with its volume, whose list had it too
}

// CreateSnapshot makes a snapshot of the volume. On failure Resource(err) is the
// snapshot, stored with status error, to be deleted; if the id is taken it is
// ErrExists with the snapshot that has it. An id whose snapshot could not be made
// may be used again. Where the array cannot freeze a connected volume it is ErrInUse.
func (v *Volume) CreateSnapshot(ctx context.Context, opts ...SnapshotOption) (_ *Snapshot, err error) {
	b, err := v.need()
	if err != nil {
		return nil, &OpError{Op: "snapshot", Kind: "volume", ID: v.ID(), Backend: v.name, Err: err, resource: v}
	}
	var p snapshotParams
	for _, o := range opts {
		o.applySnapshot(&p)
	}
	if p.id == "" {
		p.id = newID()
	}
	vb, err := v.lib.begin(ctx, "create", "snapshot", p.id, v.name, v.ID())
	if err != nil {
		return nil, err
	}
	var resource Object
	defer func() { vb.end(ctx, resource, &err) }()
	if err := join(checkID("snapshot id", p.id, v.lib.settings.nonUUIDs),
		checkLabels(&p.name, &p.description), checkMap("metadata", p.metadata)); err != nil {
		return nil, err
	}
	vol, err := v.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if err := usable(vol); err != nil {
		return nil, err
	}
	rec := &drivers.Snapshot{
		ID: p.id, VolumeID: vol.ID, VolumeSize: vol.Size, VolumeTypeID: vol.VolumeTypeID,
		UserID: vol.UserID, ProjectID: vol.ProjectID, UseQuota: true,
		EncryptionKeyID: vol.EncryptionKeyID, Progress: b.name,
		Status: drivers.StatusCreating, Name: p.name, Description: p.description, Metadata: p.metadata,
		CreatedAt: now(),
	}
	s := &Snapshot{backendRef: v.backendRef, volume: v}
	s.rec = rec
	taken, err := v.insertSnapshot(ctx, b, rec, vol)
	if err != nil {
		if taken != nil {
			resource = taken
		}
		return nil, err
	}
	s.set(rec)
	resource = s

	update, err := b.driver.CreateSnapshot(ctx, rec, vol)
	if err == nil {
		done := *rec
		update.Apply(&done)
		done.Status = drivers.StatusAvailable
		err = s.write(ctx, rec, &done)
	}
	if err != nil {
		err = join(err, settle(ctx, func(ctx context.Context) error { return s.unmake(ctx, b, rec, vol) }))
	}
	v.mu.Lock()
	v.snapshots.add(s)
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// insertSnapshot stores the intent to make a snapshot. A record with that id is
// in the way unless it is of one that could not be made. taken is the snapshot
// that has the id.
func (v *Volume) insertSnapshot(ctx context.Context, b *Backend, rec *drivers.Snapshot, vol *drivers.Volume) (taken *Snapshot, err error) {
	store := v.lib.Persistence()
	err = store.Write(ctx, persistence.Insert(rec))
	if !errors.Is(err, ErrExists) {
		return nil, err
	}
	old, readErr := v.lib.readSnapshot(ctx, rec.ID)
	if readErr != nil {
		return nil, join(err, readErr)
	}
	if old.Status != drivers.StatusError || old.VolumeID != vol.ID {
		taken = &Snapshot{backendRef: backendRef{v.lib, v.lib.Backend(old.Backend()), old.Backend()}}
		taken.set(old)
		return taken, errorf(ErrExists, "a snapshot of volume %s with status %s has this id", old.VolumeID, old.Status)
	}
	if err := b.driver.DeleteSnapshot(ctx, old, vol); err != nil {
		return nil, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	return nil, store.Write(ctx, persistence.Put(rec))
}

// unmake takes back a snapshot that could not be made. Its record stays, with
// status error.
func (s *Snapshot) unmake(ctx context.Context, b *Backend, rec *drivers.Snapshot, vol *drivers.Volume) error {
	failed := *rec
	failed.Status = drivers.StatusError
	errDelete := b.driver.DeleteSnapshot(ctx, rec, vol)
	if errDelete != nil {
		errDelete = fmt.Errorf("undo: delete from the array: %w", errDelete)
	}
	s.set(&failed)
	errStore := s.lib.Persistence().Write(ctx, persistence.Put(&failed))
	if errStore != nil {
		errStore = fmt.Errorf("undo: store status error: %w", errStore)
	}
	return join(errDelete, errStore)
}

// ID is the snapshot's id.
func (s *Snapshot) ID() string { return s.get().ID }

// Name is the display name.
func (s *Snapshot) Name() string { return s.get().Name }

// Description is the display description.
func (s *Snapshot) Description() string { return s.get().Description }

// NameOnArray is the name the snapshot has on the array.
func (s *Snapshot) NameOnArray() string { return s.get().NameOnArray() }

// VolumeID is the id of the volume that the snapshot is of.
func (s *Snapshot) VolumeID() string { return s.get().VolumeID }

// VolumeSize is the size the volume had, in GiB.
func (s *Snapshot) VolumeSize() int { return s.get().VolumeSize }

// Status is the status as this handle last saw it.
func (s *Snapshot) Status() string { return s.get().Status }

// Deleted tells whether the snapshot was deleted through this handle.
func (s *Snapshot) Deleted() bool { return s.get().Deleted }

// Metadata returns a copy of the metadata.
func (s *Snapshot) Metadata() map[string]string { return copied(s.get().Metadata) }

// Info returns a copy of the whole record.
func (s *Snapshot) Info() drivers.Snapshot { return *s.get().Clone() }

// Volume returns the volume that the snapshot is of. The first call loads it
// from the store; later ones return the same handle.
func (s *Snapshot) Volume(ctx context.Context) (*Volume, error) {
	if v := s.loadedVolume(); v != nil {
		return v, nil
	}
	v, err := s.lib.VolumeByID(ctx, s.VolumeID())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.volume == nil {
		s.volume = v
	}
	return s.volume, nil
}

func (s *Snapshot) loadedVolume() *Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.volume
}

// Delete removes the snapshot from the array and from the store. One that is
// gone is success. ErrHasDependents: volumes were made from it and need it,
// nothing was changed. When the array fails, the status is error_deleting and
// Delete may be called again.
func (s *Snapshot) Delete(ctx context.Context) (err error) {
	b, vb, err := s.beginVerb(ctx, "delete")
	if err != nil {
		return err
	}
	defer vb.end(ctx, s, &err)
	rec, err := s.fresh(ctx)
	if errors.Is(err, ErrNotFound) {
		rec, err = s.get(), nil
	}
	if err != nil {
		return err
	}
	vol, err := s.volumeRecord(ctx)
	if err != nil {
		return err
	}
	return s.delete(ctx, b, rec, vol)
}

// volumeRecord reads the volume's record. If it is gone the driver gets what is
// known of it.
func (s *Snapshot) volumeRecord(ctx context.Context) (*drivers.Volume, error) {
	rec, err := s.lib.readVolume(ctx, s.VolumeID())
	if !errors.Is(err, ErrNotFound) {
		return rec, err
	}
	if v := s.loadedVolume(); v != nil {
		return v.get(), nil
	}
	return &drivers.Volume{ID: s.VolumeID(), Size: s.VolumeSize(), Host: "@" + s.name}, nil
}

func (s *Snapshot) delete(ctx context.Context, b *Backend, rec *drivers.Snapshot, vol *drivers.Volume) error {
	intent := *rec
	intent.Status = drivers.StatusDeleting
	stored := true
	err := s.write(ctx, rec, &intent)
	if errors.Is(err, ErrNotFound) {
		stored, err = false, nil
	}
	if err != nil {
		return err
	}
	if err := b.driver.DeleteSnapshot(ctx, rec, vol); err != nil {
		back := *rec
		if !refused(err) {
			back.Status = drivers.StatusErrorDeleting
		}
		if !stored {
			return err
		}
		return join(err, settle(ctx, func(ctx context.Context) error { return s.write(ctx, &intent, &back) }))
	}
	err = settle(ctx, func(ctx context.Context) error {
		return s.lib.Persistence().Write(ctx, persistence.Delete(rec))
	})
	if err != nil {
		return fmt.Errorf("it is gone from the array, but not from the store: %w", err)
	}
	gone := *rec
	gone.Status, gone.Deleted, gone.DeletedAt = drivers.StatusDeleted, true, now()
	s.set(&gone)
	if v := s.loadedVolume(); v != nil {
		v.mu.Lock()
		v.snapshots.remove(rec.ID)
		v.mu.Unlock()
	}
	return nil
}

func (s *Snapshot) beginVerb(ctx context.Context, op string) (*Backend, *verb, error) {
	b, err := s.need()
	if err != nil {
		return nil, nil, &OpError{Op: op, Kind: "snapshot", ID: s.ID(), Backend: s.name, Err: err, resource: s}
	}
	vb, err := s.lib.begin(ctx, op, "snapshot", s.ID(), s.name, s.VolumeID())
	return b, vb, err
}

// fresh brings the handle up to what the store holds, under the volume's lock.
func (s *Snapshot) fresh(ctx context.Context) (*drivers.Snapshot, error) {
	rec, err := s.lib.readSnapshot(ctx, s.ID())
	switch {
	case err == nil:
		s.set(rec)
		return rec, nil
	case errors.Is(err, ErrNotFound) && !s.isSaved():
		return s.get(), nil
	}
	return nil, err
}

func (l *Library) readSnapshot(ctx context.Context, id string) (*drivers.Snapshot, error) {
	if id == "" {
		return nil, invalid("snapshot id is empty")
	}
	records, err := l.Persistence().Snapshots(ctx, persistence.SnapshotFilter{ID: id})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errorf(ErrNotFound, "snapshot %s", clip(id))
	}
	return records[0], nil
}

func (s *Snapshot) write(ctx context.Context, old, rec *drivers.Snapshot) error {
	op := persistence.Update(old, rec)
	if !s.isSaved() {
		op = persistence.Put(rec)
	}
	if err := s.lib.Persistence().Write(ctx, op); err != nil {
		return err
	}
	s.set(rec)
	return nil
}

// Refresh reads the snapshot again from the store, and its volume if that was
// loaded. ErrNotFound: it is not stored.
func (s *Snapshot) Refresh(ctx context.Context) error {
	rec, err := s.lib.readSnapshot(ctx, s.ID())
	if err != nil {
		return &OpError{Op: "refresh", Kind: "snapshot", ID: s.ID(), Backend: s.name, Err: err, resource: s}
	}
	s.set(rec)
	if v := s.loadedVolume(); v != nil {
		vol, err := s.lib.readVolume(ctx, v.ID())
		if err != nil {
			return err
		}
		v.set(vol)
	}
	return nil
}

// Save stores the snapshot as this handle has it; see Volume.Save.
func (s *Snapshot) Save(ctx context.Context) (err error) {
	vb, err := s.lib.begin(ctx, "save", "snapshot", s.ID(), s.name, s.VolumeID())
	if err != nil {
		return err
	}
	defer vb.end(ctx, s, &err)
	rec := s.get()
	if rec.Deleted {
		return errorf(ErrPrecondition, "it was deleted")
	}
	if err := s.lib.Persistence().Write(ctx, persistence.Put(rec)); err != nil {
		return err
	}
	s.set(rec)
	return nil
}

// Update changes what a caller may change of a snapshot, and stores it.
// WithBootable and WithAdminMetadata are ErrInvalid: they are of volumes.
func (s *Snapshot) Update(ctx context.Context, opts ...UpdateOption) (err error) {
	vb, err := s.lib.begin(ctx, "update", "snapshot", s.ID(), s.name, s.VolumeID())
	if err != nil {
		return err
	}
	defer vb.end(ctx, s, &err)
	p, err := updates(opts)
	if err != nil {
		return err
	}
	if p.bootable != nil || p.adminMetadata != nil {
		return invalid("a snapshot has neither a bootable flag nor admin metadata")
	}
	old, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	rec := *old
	assign(&rec.Name, p.name)
	assign(&rec.Description, p.description)
	if p.metadata != nil {
		rec.Metadata = p.metadata
	}
	return s.write(ctx, old, &rec)
}
