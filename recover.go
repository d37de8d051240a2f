// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Recovery tells what Backend.Recover did with one record.
type Recovery struct {
	Kind string // volume, snapshot or connection
	ID   string
	Was  string // the status it was found with
	Now  string // the status it has now; empty if it was removed
	Busy bool   // a verb was running on it: it was left alone
	Err  error  // why it could not be settled; the record stays as it was
}

// Recover settles what processes left that were killed in the middle of a verb,
// and what verbs left whose taking back failed. It may be called at any time:
// what another goroutine or process is working on is left alone, provided that
// all processes use the same locks path, or a store that has locks. It may be
// repeated.
//
// A volume or snapshot that was being made, or could not be made, is removed
// from the array and the store. A deletion is finished. A volume that was being
// extended gets the size the array says. A revert is done again, a retype is taken
// back. A connection
// that was being made is taken back: from this host, then from the array; one
// that was being attached to this host stays connected without a device. A
// disconnect is finished. A connection that is half attached on another host is
// settled by Recover there.
//
// The list has an entry for each record that was not in a steady status. The
// error joins the entries' errors.
func (b *Backend) Recover(ctx context.Context) ([]Recovery, error) {
	if err := b.lib.enter(); err != nil {
		return nil, err
	}
	defer b.lib.leave()
	r := &recovery{b: b}
	var errs []error
	if err := r.run(ctx); err != nil {
		errs = append(errs, &OpError{Op: "recover", Kind: "backend", ID: b.name, Err: err, resource: b})
	}
	for _, d := range r.done {
		if d.Err != nil {
			errs = append(errs, &OpError{Op: "recover", Kind: d.Kind, ID: d.ID, Backend: b.name, Err: d.Err})
		}
	}
	return r.done, join(errs...)
}

type recovery struct {
	b    *Backend
	host *connector.Properties
	done []Recovery
}

// run goes from the outside in: connections keep volumes in use, snapshots keep
// them from being deleted.
func (r *recovery) run(ctx context.Context) error {
	store := r.b.lib.Persistence()
	var unreadable []error // of these nothing can be said
	connections, err := store.Connections(ctx, persistence.ConnectionFilter{Backend: r.b.name})
	if err != nil && !isUnreadable(err) {
		return err
	}
	unreadable = append(unreadable, err)
	for _, c := range connections {
		switch c.AttachStatus {
		case persistence.AttachReserved, persistence.AttachAttaching, persistence.AttachErrorDetaching, persistence.AttachDetached:
			r.settle(ctx, "connection", c.ID, c.VolumeID, c.AttachStatus, func() (string, error) { return r.connection(ctx, c.ID) })
		}
	}
	snapshots, err := store.Snapshots(ctx, persistence.SnapshotFilter{Backend: r.b.name})
	if err != nil && !isUnreadable(err) {
		return err
	}
	unreadable = append(unreadable, err)
	for _, s := range snapshots {
		switch s.Status {
		case drivers.StatusCreating, drivers.StatusError, drivers.StatusDeleting, drivers.StatusErrorDeleting:
			r.settle(ctx, "snapshot", s.ID, s.VolumeID, s.Status, func() (string, error) { return r.snapshot(ctx, s.ID) })
		}
	}
	err = r.b.lib.eachVolume(ctx, persistence.VolumeFilter{Backend: r.b.name}, func(v *drivers.Volume) bool {
		if transitional(v) {
			r.settle(ctx, "volume", v.ID, v.ID, v.Status, func() (string, error) { return r.volume(ctx, v.ID) })
		}
		return true
	})
	return join(append(unreadable, err)...)
}

func transitional(v *drivers.Volume) bool {
	switch v.Status {
	case drivers.StatusCreating, drivers.StatusDeleting, drivers.StatusErrorDeleting,
		drivers.StatusExtending, drivers.StatusReverting, drivers.StatusRetyping, drivers.StatusManaging:
		return true
	case drivers.StatusError:
		return v.PreviousStatus != ""
	}
	return false
}

// settle does one record under its volume's lock, unless somebody has that.
func (r *recovery) settle(ctx context.Context, kind, id, volumeID, was string, do func() (string, error)) {
	unlock, free, err := r.b.lib.tryLockVolume(ctx, volumeID)
	d := Recovery{Kind: kind, ID: id, Was: was, Now: was, Busy: !free && err == nil, Err: err}
	if free {
		defer unlock()
		now, err := do()
		switch {
		case errors.Is(err, errSettled):
			return
		case err != nil:
			d.Err = err
		default:
			d.Now = now
		}
	}
	r.done = append(r.done, d)
}

// errSettled says that a record needs nothing any more: whoever worked on it when
// it was listed is done.
var errSettled = errors.New("settled meanwhile")

// Each of the following reads its record again under the lock and returns the
// new status.

func (r *recovery) volume(ctx context.Context, id string) (string, error) {
	rec, err := r.b.lib.readVolume(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return "", errSettled
	}
	if err != nil {
		return "", err
	}
	v := newVolume(r.b.lib, r.b, rec, true)
	switch rec.Status {
	case drivers.StatusDeleting, drivers.StatusErrorDeleting:
		return "", r.remove(ctx, v, rec)
	case drivers.StatusCreating:
		return "", r.remove(ctx, v, rec)
	case drivers.StatusExtending:
		err := v.settleSize(ctx, r.b, rec)
		return v.Status(), err
	case drivers.StatusReverting:
		return r.revert(ctx, v, rec)
	case drivers.StatusRetyping:
		err := v.retypedBack(ctx, r.b, rec)
		return v.Status(), err
	case drivers.StatusManaging:
		return r.manage(ctx, v, rec)
	case drivers.StatusError:
		if rec.PreviousStatus == drivers.StatusCreating {
			return "", r.remove(ctx, v, rec)
		}
		if rec.PreviousStatus != "" {
			err := v.settleSize(ctx, r.b, rec)
			return v.Status(), err
		}
	}
	return "", errSettled
}

func (r *recovery) remove(ctx context.Context, v *Volume, rec *drivers.Volume) error {
	if err := v.free(ctx); err != nil {
		return err
	}
	return v.delete(ctx, r.b, rec)
}

func (r *recovery) manage(ctx context.Context, v *Volume, rec *drivers.Volume) (string, error) {
	_, err := r.b.driver.InspectVolume(ctx, rec)
	if errors.Is(err, ErrNotFound) {
		return "", v.lib.Persistence().Write(ctx, persistence.Delete(rec))
	}
	if err != nil {
		return "", err
	}
	done := *rec
	done.Status = drivers.StatusAvailable
	return done.Status, v.write(ctx, rec, &done)
}

func (r *recovery) revert(ctx context.Context, v *Volume, rec *drivers.Volume) (string, error) {
	reverter, ok := r.b.driver.(drivers.Reverter)
	if !ok {
		return "", fmt.Errorf("driver %s cannot revert to a snapshot: %w", r.b.registration.Name, errors.ErrUnsupported)
	}
	snapshots, err := v.loadSnapshots(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range snapshots {
		from := s.get()
		if from.Status != drivers.StatusRestoring {
			continue
		}
		if err := v.revert(ctx, r.b, reverter, rec, from); err != nil {
			return "", err
		}
		err := v.reverted(ctx, rec, s, from)
		return v.Status(), err
	}
	return "", errorf(ErrInternal, "none of its snapshots is marked as the one it is reverted to")
}

func (r *recovery) snapshot(ctx context.Context, id string) (string, error) {
	rec, err := r.b.lib.readSnapshot(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return "", errSettled
	}
	if err != nil {
		return "", err
	}
	switch rec.Status {
	case drivers.StatusCreating, drivers.StatusError, drivers.StatusDeleting, drivers.StatusErrorDeleting:
		s := &Snapshot{backendRef: backendRef{r.b.lib, r.b, r.b.name}}
		s.set(rec)
		vol, err := s.volumeRecord(ctx)
		if err != nil {
			return "", err
		}
		return "", s.delete(ctx, r.b, rec, vol)
	}
	return "", errSettled
}

func (r *recovery) connection(ctx context.Context, id string) (string, error) {
	rec, err := r.b.lib.readConnection(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return "", errSettled
	}
	if err != nil {
		return "", err
	}
	vol, err := r.b.lib.readVolume(ctx, rec.VolumeID)
	if err != nil {
		return "", err
	}
	v := newVolume(r.b.lib, r.b, vol, true)
	c := &Connection{backendRef: v.backendRef, volume: v}
	c.set(rec)
	switch rec.AttachStatus {
	case persistence.AttachReserved:
		if rec.Conn != nil {
			if err := r.detach(ctx, c); err != nil {
				return "", err
			}
		}
		return "", v.unmap(ctx, r.b, vol, rec, false)
	case persistence.AttachDetached:
		return "", v.unmap(ctx, r.b, vol, rec, false)
	case persistence.AttachAttaching, persistence.AttachErrorDetaching:
		if err := r.detach(ctx, c); err != nil {
			return "", err
		}
		done := *rec
		done.Device, done.AttachStatus = nil, persistence.AttachAttached
		return done.AttachStatus, c.write(ctx, rec, &done)
	}
	return "", errSettled
}

// detach takes off this host what an attach that was cut off left.
func (r *recovery) detach(ctx context.Context, c *Connection) error {
	if r.host == nil {
		host, err := r.b.lib.HostProperties(ctx, connector.PropertiesOptions{})
		if err != nil {
			return err
		}
		r.host = host
	}
	rec := c.get()
	if !sameHost(rec.Connector, r.host) {
		return errorf(ErrPrecondition, "it is half attached on host %q: recover there", rec.HostName())
	}
	transport, err := c.transport()
	if err != nil {
		return err
	}
	return transport.Detach(ctx, c.request(ctx))
}
