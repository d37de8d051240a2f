// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// ManageableVolumes lists what the array holds, also what the library did not
// make. Entries of volumes in the store say so in NotSafe. A driver that cannot
// list is errors.ErrUnsupported.
func (b *Backend) ManageableVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	if err := b.lib.enter(); err != nil {
		return nil, err
	}
	defer b.lib.leave()
	m, err := b.manager()
	if err != nil {
		return nil, err
	}
	list, err := m.ListVolumes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list volumes on backend %s: %w", b.name, err)
	}
	for i := range list {
		if list[i].VolumeID == "" || list[i].NotSafe != "" {
			continue
		}
		_, err := b.lib.readVolume(ctx, list[i].VolumeID)
		if err == nil {
			list[i].NotSafe = "already managed"
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return list, nil
}

// ManageVolume takes over a volume that the array has, by the reference that
// ManageableVolumes gives. Its size is rounded up to whole GiB. On failure the
// store is as before, unless the array has taken it over all the same: then the
// volume is stored with status managing, and Recover settles it.
func (b *Backend) ManageVolume(ctx context.Context, reference string, opts ...CreateOption) (*Volume, error) {
	const op = "manage"
	fail := func(err error) (*Volume, error) {
		return nil, &OpError{Op: op, Kind: "volume", ID: clip(reference), Backend: b.name, Err: err}
	}
	m, err := b.manager()
	if err != nil {
		return fail(err)
	}
	list, err := b.ManageableVolumes(ctx)
	if err != nil {
		return fail(err)
	}
	var found *drivers.ExistingVolume
	for i := range list {
		if list[i].Reference == reference {
			found = &list[i]
		}
	}
	if found == nil {
		return fail(errorf(ErrNotFound, "the array has no volume of that reference"))
	}
	if found.NotSafe != "" {
		return fail(errorf(ErrPrecondition, "%s", found.NotSafe))
	}
	p := volumeParams{size: int((found.SizeBytes + drivers.GiB - 1) / drivers.GiB)}
	p.id = found.VolumeID // one that was let go keeps its id
	for _, o := range opts {
		o.applyCreate(&p)
	}
	return b.adopt(ctx, m, reference, p)
}

func (b *Backend) adopt(ctx context.Context, m drivers.Manager, reference string, p volumeParams) (_ *Volume, err error) {
	if p.id == "" {
		p.id = newID()
	}
	if err := checkID("volume id", p.id, b.lib.settings.nonUUIDs); err != nil {
		return nil, &OpError{Op: "manage", Kind: "volume", Backend: b.name, Err: err}
	}
	vb, err := b.lib.begin(ctx, "manage", "volume", p.id, b.name, p.id)
	if err != nil {
		return nil, err
	}
	v := newVolume(b.lib, b, nil, false)
	defer func() { vb.end(ctx, nil, &err) }()
	rec, err := b.newRecord(ctx, p, nil, nil)
	if err != nil {
		return nil, err
	}
	// The intent is not creating: what has data is never taken back by deleting it.
	rec.Status = drivers.StatusManaging
	store := b.lib.Persistence()
	if err := store.Write(ctx, persistence.Insert(rec)); err != nil {
		return nil, err
	}
	v.set(rec)
	update, err := m.ManageVolume(ctx, rec, reference)
	if err == nil {
		done := applied(rec, update)
		done.Status = drivers.StatusAvailable
		err = v.write(ctx, rec, done)
	}
	if err != nil {
		return nil, join(err, settle(ctx, func(ctx context.Context) error { return b.unadopt(ctx, rec) }))
	}
	b.mu.Lock()
	b.volumes.add(v)
	b.mu.Unlock()
	return v, nil
}

// unadopt forgets a volume that could not be taken over. If the array has taken
// it over all the same, the record stays, for Recover.
func (b *Backend) unadopt(ctx context.Context, rec *drivers.Volume) error {
	_, err := b.driver.InspectVolume(ctx, rec)
	switch {
	case errors.Is(err, ErrNotFound):
		return b.lib.Persistence().Write(ctx, persistence.Delete(rec))
	case err != nil:
		return fmt.Errorf("undo: ask whether it was taken over: %w", err)
	}
	return nil
}

// Unmanage forgets the volume and leaves it on the array with its data. It must
// have neither snapshots nor connections: ErrHasSnapshots, ErrInUse.
func (v *Volume) Unmanage(ctx context.Context) (err error) {
	b, vb, err := v.beginVerb(ctx, "unmanage")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	m, err := b.manager()
	if err != nil {
		return err
	}
	rec, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	if err := join(usable(rec), v.free(ctx)); err != nil {
		return err
	}
	if err := m.UnmanageVolume(ctx, rec); err != nil {
		return err
	}
	if err := settle(ctx, func(ctx context.Context) error {
		return v.lib.Persistence().Write(ctx, persistence.Delete(rec))
	}); err != nil {
		return err
	}
	b.mu.Lock()
	b.volumes.remove(rec.ID)
	b.mu.Unlock()
	return nil
}

func (b *Backend) manager() (drivers.Manager, error) {
	if m, ok := b.driver.(drivers.Manager); ok {
		return m, nil
	}
	return nil, fmt.Errorf("driver %s cannot list and manage volumes: %w", b.registration.Name, errors.ErrUnsupported)
}
