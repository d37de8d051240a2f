// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// calls makes the calls of a driver and checks what holds for each of them: the
// records are not changed, an error has a code, and a context that ends ends the
// call. Its methods may be called from any goroutine.
type calls struct {
	t *testing.T
	d drivers.Driver
}

// late is how long after its context a call may return: the second that the
// contract allows, and one more for a machine that is busy.
const late = 2 * time.Second

// record is something given to a driver, as it is now and as it was.
type record struct{ now, before any }

func volumeRecord(v *drivers.Volume) record { return record{v, v.Clone()} }

func snapshotRecord(s *drivers.Snapshot) record { return record{s, s.Clone()} }

func attachmentRecord(a *drivers.Attachment) record {
	before := *a
	before.Host = a.Host.Clone()
	before.Others = slices.Clone(a.Others)
	for i, o := range before.Others {
		before.Others[i] = o.Clone()
	}
	return record{a, &before}
}

func (c calls) check(ctx context.Context, what string, do func() error, given ...record) error {
	c.t.Helper()
	over := make(chan time.Time, 1)
	stop := context.AfterFunc(ctx, func() { over <- time.Now() })
	start := time.Now()
	err := do()
	if !stop() {
		if since := min(time.Since(<-over), time.Since(start)); since > late {
			c.t.Errorf("%s returned %v after its context had ended", what, since)
		}
	}
	for _, r := range given {
		if list := differences(r.before, r.now); list != "" {
			c.t.Errorf("%s changed a record it was given: %s", what, list)
		}
	}
	if err == nil {
		return nil
	}
	assert.NotEqual(c.t, fault.Unknown, fault.CodeOf(err), "%s: the error is not marked with a sentinel: %v", what, err)
	if ctx.Err() == nil {
		assert.False(c.t, ended(err), "%s: its context has not ended, but the error says so: %v", what, err)
	}
	return err
}

// ended tells whether err says that a context ended.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// result runs a call that returns something, which must not be there on failure.
func result[T any](ctx context.Context, c calls, what string, do func() (*T, error), given ...record) (*T, error) {
	c.t.Helper()
	var r *T
	err := c.check(ctx, what, func() (err error) {
		r, err = do()
		return err
	}, given...)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (c calls) Stats(ctx context.Context) (*drivers.Stats, error) {
	c.t.Helper()
	return result(ctx, c, "Stats", func() (*drivers.Stats, error) { return c.d.Stats(ctx) })
}

func (c calls) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "CreateVolume", func() (*drivers.VolumeUpdate, error) { return c.d.CreateVolume(ctx, v) }, volumeRecord(v))
}

func (c calls) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	c.t.Helper()
	return c.check(ctx, "DeleteVolume", func() error { return c.d.DeleteVolume(ctx, v) }, volumeRecord(v))
}

func (c calls) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	c.t.Helper()
	return c.check(ctx, "ExtendVolume", func() error { return c.d.ExtendVolume(ctx, v, size) }, volumeRecord(v))
}

func (c calls) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "CloneVolume", func() (*drivers.VolumeUpdate, error) { return c.d.CloneVolume(ctx, v, src) }, volumeRecord(v), volumeRecord(src))
}

func (c calls) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	c.t.Helper()
	return result(ctx, c, "InspectVolume", func() (*drivers.VolumeState, error) { return c.d.InspectVolume(ctx, v) }, volumeRecord(v))
}

func (c calls) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "CreateSnapshot", func() (*drivers.SnapshotUpdate, error) { return c.d.CreateSnapshot(ctx, s, v) }, snapshotRecord(s), volumeRecord(v))
}

func (c calls) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	c.t.Helper()
	return c.check(ctx, "DeleteSnapshot", func() error { return c.d.DeleteSnapshot(ctx, s, v) }, snapshotRecord(s), volumeRecord(v))
}

func (c calls) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "VolumeFromSnapshot", func() (*drivers.VolumeUpdate, error) { return c.d.VolumeFromSnapshot(ctx, v, s, src) },
		volumeRecord(v), snapshotRecord(s), volumeRecord(src))
}

func (c calls) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "Export", func() (*drivers.VolumeUpdate, error) { return c.d.Export(ctx, v) }, volumeRecord(v))
}

func (c calls) Unexport(ctx context.Context, v *drivers.Volume) error {
	c.t.Helper()
	return c.check(ctx, "Unexport", func() error { return c.d.Unexport(ctx, v) }, volumeRecord(v))
}

func (c calls) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	c.t.Helper()
	return result(ctx, c, "Connect", func() (*connector.ConnInfo, error) { return c.d.Connect(ctx, v, a) }, volumeRecord(v), attachmentRecord(a))
}

func (c calls) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	c.t.Helper()
	return c.check(ctx, "Disconnect", func() error { return c.d.Disconnect(ctx, v, a) }, volumeRecord(v), attachmentRecord(a))
}

// RevertToSnapshot is only called of a driver that is a Reverter.
func (c calls) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	c.t.Helper()
	return c.check(ctx, "RevertToSnapshot", func() error { return c.d.(drivers.Reverter).RevertToSnapshot(ctx, v, s) }, volumeRecord(v), snapshotRecord(s))
}

// RetypeVolume is only called of a driver that is a Retyper.
func (c calls) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "RetypeVolume", func() (*drivers.VolumeUpdate, error) { return c.d.(drivers.Retyper).RetypeVolume(ctx, v, t) }, volumeRecord(v))
}

// The following are only called of a driver that is a Manager.

func (c calls) ListVolumes(ctx context.Context) (list []drivers.ExistingVolume, err error) {
	c.t.Helper()
	err = c.check(ctx, "ListVolumes", func() error {
		list, err = c.d.(drivers.Manager).ListVolumes(ctx)
		return err
	})
	return list, err
}

func (c calls) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	c.t.Helper()
	return result(ctx, c, "ManageVolume", func() (*drivers.VolumeUpdate, error) { return c.d.(drivers.Manager).ManageVolume(ctx, v, ref) }, volumeRecord(v))
}

func (c calls) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	c.t.Helper()
	return c.check(ctx, "UnmanageVolume", func() error { return c.d.(drivers.Manager).UnmanageVolume(ctx, v) }, volumeRecord(v))
}

// differences lists the fields in which two records of one type, or what an
// interface holds of one, differ. Unlike testify's it shows no secrets.
func differences(a, b any) string {
	var list []string
	x, y := reflect.Indirect(reflect.ValueOf(a)), reflect.Indirect(reflect.ValueOf(b))
	for i := range x.NumField() {
		f := x.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		was, is := x.Field(i).Interface(), y.Field(i).Interface()
		if !reflect.DeepEqual(was, is) {
			list = append(list, fmt.Sprintf("%s was %+v and is %+v", f.Name, was, is))
		}
	}
	return strings.Join(list, "; ")
}
