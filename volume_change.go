// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Delete removes the volume from the array and from the store. One that is gone
// is success. ErrHasSnapshots and ErrInUse: it has snapshots or connections,
// nothing was changed. When the array fails, the status is error_deleting and
// Delete may be called again.
func (v *Volume) Delete(ctx context.Context) (err error) {
	b, vb, err := v.beginVerb(ctx, "delete")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	rec, err := v.fresh(ctx)
	if errors.Is(err, ErrNotFound) {
		// Deleted before, perhaps through another handle. The array is asked all
		// the same: what was made without being stored is removed as well.
		rec, err = v.get(), nil
	}
	if err != nil {
		return err
	}
	if err := v.free(ctx); err != nil {
		return err
	}
	return v.delete(ctx, b, rec)
}

// free refuses the deletion of a volume that others need.
func (v *Volume) free(ctx context.Context) error {
	store := v.lib.Persistence()
	one := persistence.Page{Limit: 1}
	snapshots, err := store.Snapshots(ctx, persistence.SnapshotFilter{VolumeID: v.ID(), Page: one})
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		return errorf(ErrHasSnapshots, "one is %s", snapshots[0].ID)
	}
	connections, err := store.Connections(ctx, persistence.ConnectionFilter{VolumeID: v.ID(), Page: one})
	if err != nil {
		return err
	}
	if len(connections) > 0 {
		return errorf(ErrInUse, "connection %s is of host %q", connections[0].ID, connections[0].HostName())
	}
	return nil
}

func (v *Volume) delete(ctx context.Context, b *Backend, rec *drivers.Volume) error {
	store := v.lib.Persistence()
	intent := *rec
	intent.Status, intent.PreviousStatus = drivers.StatusDeleting, rec.Status
	stored := true
	err := v.write(ctx, rec, &intent)
	if errors.Is(err, ErrNotFound) {
		stored, err = false, nil
	}
	if err != nil {
		return err
	}
	if err := b.driver.DeleteVolume(ctx, rec); err != nil {
		back := *rec
		if !refused(err) {
			back.Status = drivers.StatusErrorDeleting
		}
		if !stored {
			return err
		}
		return join(err, settle(ctx, func(ctx context.Context) error { return v.write(ctx, &intent, &back) }))
	}
	err = settle(ctx, func(ctx context.Context) error { return store.Write(ctx, persistence.Delete(rec)) })
	if err != nil {
		return fmt.Errorf("it is gone from the array, but not from the store: %w", err)
	}
	gone := *rec
	gone.Status, gone.Deleted, gone.DeletedAt = drivers.StatusDeleted, true, now()
	v.set(&gone)
	b.mu.Lock()
	b.volumes.remove(rec.ID)
	b.mu.Unlock()
	return nil
}

// beginVerb begins a verb that needs the driver.
func (v *Volume) beginVerb(ctx context.Context, op string) (*Backend, *verb, error) {
	b, err := v.need()
	if err != nil {
		return nil, nil, &OpError{Op: op, Kind: "volume", ID: v.ID(), Backend: v.name, Err: err, resource: v}
	}
	vb, err := v.lib.begin(ctx, op, "volume", v.ID(), v.name, v.ID())
	return b, vb, err
}

// Extend grows the volume to size GiB. If this handle has it attached, the host
// sees the new size when Extend returns. The result is the size in bytes, of the
// attached device or as asked for. A size that is not bigger is ErrInvalid.
//
// When the array fails, it is asked for the size it has now, and the status
// stays what it was; if it does not answer that either, the status is error and
// Backend.Recover settles it later.
func (v *Volume) Extend(ctx context.Context, size int) (bytes int64, err error) {
	b, vb, err := v.beginVerb(ctx, "extend")
	if err != nil {
		return 0, err
	}
	defer vb.end(ctx, v, &err)
	rec, err := v.fresh(ctx)
	if err != nil {
		return 0, err
	}
	if err := join(checkSize(size), usable(rec)); err != nil {
		return 0, err
	}
	if size <= rec.Size {
		return 0, invalid("size %d GiB is not bigger than the volume's %d", size, rec.Size)
	}
	intent := *rec
	intent.Status = drivers.StatusExtending
	if rec.Status != drivers.StatusError { // that of an extension that failed before
		intent.PreviousStatus = rec.Status
	} else if rec.PreviousStatus == "" {
		intent.PreviousStatus = drivers.StatusAvailable
	}
	if err := v.write(ctx, rec, &intent); err != nil {
		return 0, err
	}
	if err := b.driver.ExtendVolume(ctx, &intent, size); err != nil {
		return 0, join(err, settle(ctx, func(ctx context.Context) error { return v.settleSize(ctx, b, &intent) }))
	}
	done := intent
	done.Size, done.Status, done.PreviousStatus = size, intent.PreviousStatus, ""
	if err := settle(ctx, func(ctx context.Context) error { return v.write(ctx, &intent, &done) }); err != nil {
		return 0, fmt.Errorf("the array has extended it, but the store does not know: %w", err)
	}
	if local := v.LocalAttach(); local != nil {
		return local.extend(ctx)
	}
	return int64(size) * drivers.GiB, nil
}

// settleSize stores the size that the array says, for an extension whose result
// is not known.
func (v *Volume) settleSize(ctx context.Context, b *Backend, intent *drivers.Volume) error {
	settled := *intent
	settled.Status, settled.PreviousStatus = intent.PreviousStatus, ""
	state, err := b.driver.InspectVolume(ctx, intent)
	if err != nil {
		settled.Status, settled.PreviousStatus = drivers.StatusError, intent.PreviousStatus
		err = fmt.Errorf("ask for the size it has: %w", err)
	} else if size := int(state.SizeBytes / drivers.GiB); size > settled.Size {
		settled.Size = size
	}
	return join(err, v.write(ctx, intent, &settled))
}

// Revert puts the content of one of the volume's snapshots back into it. The
// snapshot stays. The volume must have no connections: ErrInUse. A driver that
// cannot is errors.ErrUnsupported.
func (v *Volume) Revert(ctx context.Context, s *Snapshot) (err error) {
	b, vb, err := v.beginVerb(ctx, "revert")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	reverter, ok := b.driver.(drivers.Reverter)
	if !ok {
		return fmt.Errorf("driver %s cannot revert to a snapshot: %w", b.registration.Name, errors.ErrUnsupported)
	}
	if s == nil || s.get().VolumeID != v.ID() {
		return invalid("the snapshot is not one of this volume")
	}
	rec, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	snap, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	if err := usable(rec); err != nil {
		return err
	}
	if snap.Status != drivers.StatusAvailable {
		return errorf(ErrPrecondition, "snapshot %s has status %s", snap.ID, snap.Status)
	}
	connections, err := v.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{VolumeID: v.ID(), Page: persistence.Page{Limit: 1}})
	if err != nil {
		return err
	}
	if len(connections) > 0 {
		return errorf(ErrInUse, "connection %s is of host %q", connections[0].ID, connections[0].HostName())
	}
	intent, from := *rec, *snap
	intent.Status, intent.PreviousStatus = drivers.StatusReverting, rec.Status
	from.Status = drivers.StatusRestoring
	if err := v.write(ctx, rec, &intent, persistence.Update(snap, &from)); err != nil {
		return err
	}
	s.set(&from)
	err = v.revert(ctx, b, reverter, &intent, &from)
	if err != nil && !refused(err) {
		// The content is undefined now: only a repeated revert settles it.
		return err
	}
	return join(err, settle(ctx, func(ctx context.Context) error { return v.reverted(ctx, &intent, s, &from) }))
}

// revert has the driver do it, and grows the volume again if it came back with
// the size of the snapshot.
func (v *Volume) revert(ctx context.Context, b *Backend, reverter drivers.Reverter, rec *drivers.Volume, snap *drivers.Snapshot) error {
	if err := reverter.RevertToSnapshot(ctx, rec, snap); err != nil {
		return err
	}
	if snap.VolumeSize >= rec.Size {
		return nil
	}
	state, err := b.driver.InspectVolume(ctx, rec)
	if err != nil {
		return err
	}
	if state.SizeBytes >= int64(rec.Size)*drivers.GiB {
		return nil
	}
	return b.driver.ExtendVolume(ctx, rec, rec.Size)
}

// reverted stores that volume and snapshot are what they were.
func (v *Volume) reverted(ctx context.Context, intent *drivers.Volume, s *Snapshot, from *drivers.Snapshot) error {
	done, snap := *intent, *from
	done.Status, done.PreviousStatus = intent.PreviousStatus, ""
	snap.Status = drivers.StatusAvailable
	if err := v.write(ctx, intent, &done, persistence.Update(from, &snap)); err != nil {
		return err
	}
	s.set(&snap)
	return nil
}
