// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// unwindGrace is how long the steps that take back a failed verb may take
// together, whatever became of the caller's context.
const unwindGrace = 2 * time.Minute

// Object is a *Backend, *Volume, *Snapshot or *Connection.
type Object interface {
	json.Marshaler
	// ID is the object's id, of a Backend its name.
	ID() string
	object()
}

func (*Backend) object()    {}
func (*Volume) object()     {}
func (*Snapshot) object()   {}
func (*Connection) object() {}

// state is what a handle knows of its record. The record is never changed, only
// replaced, so that a reader needs no lock while it uses it. The mutex is never
// held across I/O.
type state[R any] struct {
	mu    sync.Mutex
	rec   R
	saved bool // the store has it, or had it
}

func (s *state[R]) get() R {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}

func (s *state[R]) set(rec R) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec, s.saved = rec, true
}

func (s *state[R]) isSaved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved
}

// backendRef is the backend of an object: the Backend, or only its name where
// that is not set up in this process.
type backendRef struct {
	lib     *Library
	backend *Backend
	name    string
}

// Backend returns the object's backend, nil if it is not set up in this process.
func (r *backendRef) Backend() *Backend { return r.backend }

// BackendName returns the name of the object's backend.
func (r *backendRef) BackendName() string { return r.name }

// driver returns the backend, or says that it is missing.
func (r *backendRef) need() (*Backend, error) {
	if r.backend == nil {
		return nil, errorf(ErrNoBackend, "%q", r.name)
	}
	return r.backend, nil
}

// ref finds the backend called name.
func (l *Library) ref(name string) (backendRef, error) {
	b := l.Backend(name)
	if b == nil && !l.settings.missingBackends {
		return backendRef{}, errorf(ErrNoBackend, "%q", name)
	}
	return backendRef{l, b, name}, nil
}

// lockVolume takes the lock of the verbs on one volume.
func (l *Library) lockVolume(ctx context.Context, id string) (unlock func(), err error) {
	return l.locker().Lock(ctx, "volume-"+id)
}

// tryLockVolume takes the lock if nobody has it.
func (l *Library) tryLockVolume(ctx context.Context, id string) (unlock func(), ok bool, err error) {
	return l.locker().TryLock(ctx, "volume-"+id)
}

// verb is one running operation on an object. It holds the volume's lock.
type verb struct {
	lib     *Library
	op      string
	kind    string
	id      string
	backend string
	locks   []func()
	started time.Time
}

// begin starts a verb: the library must be open, and the verbs before on the
// same volumes done. Several volumes are locked in the order of their ids, so
// that two verbs never wait for each other.
func (l *Library) begin(ctx context.Context, op, kind, id, backend string, volumes ...string) (*verb, error) {
	v := &verb{lib: l, op: op, kind: kind, id: id, backend: backend, started: time.Now()}
	if err := l.enter(); err != nil {
		return nil, v.wrap(err, nil)
	}
	slices.Sort(volumes)
	for _, volume := range slices.Compact(volumes) {
		unlock, err := l.lockVolume(ctx, volume)
		if err != nil {
			v.release()
			return nil, v.wrap(err, nil)
		}
		v.locks = append(v.locks, unlock)
	}
	return v, nil
}

func (v *verb) release() {
	for _, unlock := range slices.Backward(v.locks) {
		unlock()
	}
	v.lib.leave()
}

// end finishes the verb; it gives *err its operation and resource.
func (v *verb) end(ctx context.Context, resource Object, err *error) {
	v.release()
	if *err != nil {
		*err = v.wrap(*err, resource)
	}
	if v.lib.log.Enabled(ctx, slog.LevelDebug) {
		attrs := []slog.Attr{
			slog.String("backend", v.backend), slog.String(v.kind, v.id),
			slog.Duration("elapsed", time.Since(v.started)), slog.String("code", CodeOf(*err).String()),
		}
		if *err != nil {
			attrs = append(attrs, slog.String("error", (*err).Error()))
		}
		v.lib.log.LogAttrs(ctx, slog.LevelDebug, v.op, attrs...)
	}
}

func (v *verb) wrap(err error, resource Object) error {
	return &OpError{Op: v.op, Kind: v.kind, ID: v.id, Backend: v.backend, Err: err, resource: resource}
}

// now is the time that records carry: UTC, in the microseconds that JSON and
// databases hold.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// settle runs f on a context that survives the caller's cancel: what it stores
// must be stored.
func settle(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwindGrace)
	defer cancel()
	return f(ctx)
}

func join(errs ...error) error { return fault.Join(errs...) }

// usable refuses verbs on a volume that is in between.
func usable(v *drivers.Volume) error {
	switch v.Status {
	case drivers.StatusCreating, drivers.StatusDeleting, drivers.StatusErrorDeleting,
		drivers.StatusDeleted, drivers.StatusReverting, drivers.StatusRetyping, drivers.StatusExtending, drivers.StatusManaging:
		return errorf(ErrPrecondition, "the volume has status %s; Backend.Recover settles what was cut off", v.Status)
	case drivers.StatusError:
		if v.PreviousStatus == drivers.StatusCreating {
			return errorf(ErrPrecondition, "the volume could not be made; delete it")
		}
	}
	return nil
}
