// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// CreateVolume makes a volume of size GiB. On failure Resource(err) is the
// volume, stored with status error, to be deleted; if the id is taken it is
// ErrExists with the volume that has it. An id whose volume could not be made
// may be used again.
func (b *Backend) CreateVolume(ctx context.Context, size int, opts ...CreateOption) (*Volume, error) {
	p := volumeParams{size: size}
	for _, o := range opts {
		o.applyCreate(&p)
	}
	return b.makeVolume(ctx, "create", p, nil, nil, b.driver.CreateVolume)
}

// Clone makes a volume with the content of this one, of the same size or bigger
// (WithSize). Name, description, metadata, specs, flags and pool are those of
// this volume unless options say otherwise. Verbs on this volume wait until the
// clone is made. On failure it is as CreateVolume.
func (v *Volume) Clone(ctx context.Context, opts ...CopyOption) (*Volume, error) {
	b, err := v.need()
	if err != nil {
		return nil, &OpError{Op: "clone", Kind: "volume", ID: v.ID(), Backend: v.name, Err: err, resource: v}
	}
	var p volumeParams
	for _, o := range opts {
		o.applyCopy(&p)
	}
	return b.makeVolume(ctx, "clone", p, v, nil, func(ctx context.Context, rec *drivers.Volume) (*drivers.VolumeUpdate, error) {
		return b.driver.CloneVolume(ctx, rec, v.get())
	})
}

// CreateVolume makes a volume with the content of the snapshot, of the
// snapshot's size or bigger (WithSize). Otherwise it is as Volume.Clone.
func (s *Snapshot) CreateVolume(ctx context.Context, opts ...CopyOption) (*Volume, error) {
	const op = "create from snapshot"
	b, err := s.need()
	if err != nil {
		return nil, &OpError{Op: op, Kind: "volume", Backend: s.name, Err: err, resource: s}
	}
	src, err := s.Volume(ctx)
	if err != nil {
		return nil, &OpError{Op: op, Kind: "volume", Backend: s.name, Err: err, resource: s}
	}
	var p volumeParams
	for _, o := range opts {
		o.applyCopy(&p)
	}
	return b.makeVolume(ctx, op, p, src, s, func(ctx context.Context, rec *drivers.Volume) (*drivers.VolumeUpdate, error) {
		return b.driver.VolumeFromSnapshot(ctx, rec, s.get(), src.get())
	})
}

// makeVolume stores the intent, has the driver make the volume, and stores the
// result. src is the volume it is copied from, nil for an empty one; snap the
// snapshot, if it is a copy of one.
func (b *Backend) makeVolume(ctx context.Context, op string, p volumeParams, src *Volume, snap *Snapshot,
	call func(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error),
) (_ *Volume, err error) {
	if p.id == "" {
		p.id = newID()
	}
	if err := checkID("volume id", p.id, b.lib.settings.nonUUIDs); err != nil {
		return nil, &OpError{Op: op, Kind: "volume", Backend: b.name, Err: err}
	}
	locks := []string{p.id}
	if src != nil {
		locks = append(locks, src.ID())
	}
	vb, err := b.lib.begin(ctx, op, "volume", p.id, b.name, locks...)
	if err != nil {
		return nil, err
	}
	v := newVolume(b.lib, b, nil, false)
	resource := Object(v)
	defer func() { vb.end(ctx, resource, &err) }()

	rec, err := b.newRecord(ctx, p, src, snap)
	if err != nil {
		resource = nil
		return nil, err
	}
	v.rec = rec
	taken, err := b.insert(ctx, rec)
	if err != nil {
		resource = nil
		if taken != nil {
			resource = taken
		}
		return nil, err
	}
	v.set(rec)

	update, err := call(withProgress(ctx, p.progress), rec)
	if err == nil {
		done := applied(rec, update)
		done.Status = drivers.StatusAvailable
		err = v.write(ctx, rec, done)
	}
	if err != nil {
		return nil, join(err, settle(ctx, func(ctx context.Context) error { return b.unmake(ctx, v, rec) }))
	}
	b.mu.Lock()
	b.volumes.add(v)
	b.mu.Unlock()
	return v, nil
}

// insert stores the intent to make a volume. A record with that id is in the way
// unless it is of a volume that could not be made. taken is the volume that has
// the id.
func (b *Backend) insert(ctx context.Context, rec *drivers.Volume) (taken *Volume, err error) {
	store := b.lib.Persistence()
	err = store.Write(ctx, persistence.Insert(rec))
	if !errors.Is(err, ErrExists) {
		return nil, err
	}
	old, readErr := b.lib.readVolume(ctx, rec.ID)
	if readErr != nil {
		return nil, join(err, readErr)
	}
	failed := old.Status == drivers.StatusError && old.PreviousStatus == drivers.StatusCreating
	if !failed || old.Backend() != b.name {
		ref := backendRef{b.lib, b.lib.Backend(old.Backend()), old.Backend()}
		taken = &Volume{backendRef: ref}
		taken.set(old)
		return taken, errorf(ErrExists, "a volume of %d GiB with status %s has this id", old.Size, old.Status)
	}
	if err := b.driver.DeleteVolume(ctx, old); err != nil {
		return nil, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	return nil, store.Write(ctx, persistence.Put(rec))
}

// unmake takes back a volume that could not be made. Its record stays, with
// status error, and says that there may be something left on the array.
func (b *Backend) unmake(ctx context.Context, v *Volume, rec *drivers.Volume) error {
	failed := *rec
	failed.Status, failed.PreviousStatus = drivers.StatusError, drivers.StatusCreating
	errDelete := b.driver.DeleteVolume(ctx, rec)
	if errDelete != nil {
		errDelete = fmt.Errorf("undo: delete from the array: %w", errDelete)
	}
	v.set(&failed)
	errStore := b.lib.Persistence().Write(ctx, persistence.Put(&failed))
	if errStore != nil {
		errStore = fmt.Errorf("undo: store status error: %w", errStore)
	}
	return join(errDelete, errStore)
}

// newRecord is the record of a volume to make, with everything checked.
func (b *Backend) newRecord(ctx context.Context, p volumeParams, src *Volume, snap *Snapshot) (*drivers.Volume, error) {
	lib := b.lib
	rec := &drivers.Volume{
		ID:            p.id,
		Status:        drivers.StatusCreating,
		AttachStatus:  "detached",
		UserID:        lib.settings.userID,
		ProjectID:     lib.settings.projectID,
		UseQuota:      true,
		SharedTargets: true,
		Size:          p.size,
		CreatedAt:     now(),
	}
	extra, qos, least := p.extraSpecs, p.qos, 1
	if src != nil {
		from, err := src.fresh(ctx)
		if err != nil {
			return nil, err
		}
		if err := usable(from); err != nil {
			return nil, err
		}
		least = from.Size
		if snap == nil {
			rec.SourceVolumeID = from.ID
		} else {
			s, err := snap.fresh(ctx)
			if err != nil {
				return nil, err
			}
			if s.Status != drivers.StatusAvailable {
				return nil, errorf(ErrPrecondition, "the snapshot has status %s", s.Status)
			}
			rec.SnapshotID = s.ID
			least = s.VolumeSize
		}
		inherit(rec, from)
		if extra == nil {
			extra = from.ExtraSpecs()
		}
		if qos == nil {
			qos = from.QoS()
		}
		if p.pool == "" {
			p.pool = from.Pool()
		}
		if rec.Size == 0 {
			rec.Size = least
		}
	}
	if err := checkSize(rec.Size); err != nil {
		return nil, err
	}
	if rec.Size < least {
		return nil, invalid("size %d GiB is less than the source's %d", rec.Size, least)
	}
	host, err := b.hostField(p)
	if err != nil {
		return nil, err
	}
	rec.Host = host
	assign(&rec.Name, p.name)
	assign(&rec.Description, p.description)
	assign(&rec.Bootable, p.bootable)
	assign(&rec.MultiAttach, p.multiAttach)
	assign(&rec.AvailabilityZone, p.availabilityZone)
	if p.metadata != nil {
		rec.Metadata = p.metadata
	}
	if p.adminMetadata != nil {
		rec.AdminMetadata = p.adminMetadata
	}
	if rec.VolumeType = specs(rec.ID, extra, qos); rec.VolumeType != nil {
		rec.VolumeTypeID = rec.ID
	}
	err = join(checkLabels(&rec.Name, &rec.Description), checkLine("availability zone", rec.AvailabilityZone),
		checkMap("metadata", p.metadata), checkMap("admin metadata", p.adminMetadata), p.check())
	return rec, err
}

// inherit gives a copy what a caller expects of it. What the array said of the
// source (provider fields) is the source's own.
func inherit(rec, from *drivers.Volume) {
	rec.UserID, rec.ProjectID = from.UserID, from.ProjectID
	rec.Name, rec.Description = from.Name, from.Description
	rec.AvailabilityZone = from.AvailabilityZone
	if !strings.Contains(from.Host, "@") {
		rec.AvailabilityZone = "" // there it was the backend's name
	}
	rec.Bootable, rec.MultiAttach = from.Bootable, from.MultiAttach
	rec.Metadata = maps.Clone(from.Metadata)
	rec.AdminMetadata = maps.Clone(from.AdminMetadata)
	rec.GlanceMetadata = maps.Clone(from.GlanceMetadata)
	rec.EncryptionKeyID = from.EncryptionKeyID
}

// hostField is HOST@BACKEND#POOL.
func (b *Backend) hostField(p volumeParams) (string, error) {
	if p.host != "" {
		if given := (&drivers.Volume{Host: p.host}).Backend(); given != b.name {
			return "", invalid("host %q names backend %q, not %q", clip(p.host), clip(given), b.name)
		}
		return p.host, checkLine("host", p.host)
	}
	if p.pool == "" {
		p.pool = b.pools[0]
	}
	if !slices.Contains(b.pools, p.pool) {
		return "", invalid("pool %q is none of the backend's: %q", clip(p.pool), b.pools)
	}
	return b.lib.hostName + "@" + b.name + "#" + p.pool, nil
}
