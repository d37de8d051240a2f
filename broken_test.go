// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// brokenDriver fails where it is told to.
type brokenDriver struct {
	*noop
	calls []string
	fail  map[string]error
}

func (d *brokenDriver) call(name string) error {
	d.calls = append(d.calls, name)
	return d.fail[name]
}

func (d *brokenDriver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if err := d.call("create"); err != nil {
		return nil, err
	}
	return d.noop.CreateVolume(ctx, v)
}

func (d *brokenDriver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	if err := d.call("delete"); err != nil {
		return err
	}
	return d.noop.DeleteVolume(ctx, v)
}

func (d *brokenDriver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	if err := d.call("extend"); err != nil {
		return err
	}
	return d.noop.ExtendVolume(ctx, v, size)
}

func (d *brokenDriver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	if err := d.call("inspect"); err != nil {
		return nil, err
	}
	return d.noop.InspectVolume(ctx, v)
}

func (d *brokenDriver) CreateSnapshot(context.Context, *drivers.Snapshot, *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	return nil, d.call("snapshot")
}

func (d *brokenDriver) DeleteSnapshot(context.Context, *drivers.Snapshot, *drivers.Volume) error {
	return d.call("delete snapshot")
}

func (d *brokenDriver) Unexport(context.Context, *drivers.Volume) error { return d.call("unexport") }

func (d *brokenDriver) Disconnect(_ context.Context, _ *drivers.Volume, a *drivers.Attachment) error {
	if len(a.Others) > 0 {
		return d.call("disconnect one of several")
	}
	return d.call("disconnect the last")
}

func newBroken(t *testing.T) (*cinderlib.Backend, *brokenDriver) {
	t.Helper()
	d := &brokenDriver{noop: newNoop("broken"), fail: map[string]error{}}
	lib, err := cinderlib.New(cinderlib.WithDriver(drivers.NewRegistration("broken",
		func(context.Context, drivers.Env, sampleOptions) (drivers.Driver, error) { return d, nil })))
	require.NoError(t, err)
	b, err := lib.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "broken", "volume_driver": "broken"})
	require.NoError(t, err)
	return b, d
}

func TestFailedCreate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newBroken(t)
	d.fail["create"] = drivers.Errorf(drivers.ErrExhausted, "the pool is full")
	_, err := b.CreateVolume(ctx, 1, cinderlib.WithID(baseID))
	require.ErrorIs(t, err, cinderlib.ErrExhausted)
	assert.ErrorContains(t, err, "create volume "+baseID+" on backend broken: the pool is full")
	v, ok := cinderlib.Resource(err).(*cinderlib.Volume)
	require.True(t, ok)
	assert.Equal(t, "error", v.Status())
	assert.Equal(t, []string{"create", "delete"}, d.calls)
	_, err = v.Extend(ctx, 2)
	require.ErrorIs(t, err, cinderlib.ErrPrecondition)
	volumes, err := b.Volumes(ctx)
	require.NoError(t, err)
	require.Len(t, volumes, 1, "the record stays")
	require.NoError(t, b.Refresh(ctx))

	delete(d.fail, "create")
	v, err = b.CreateVolume(ctx, 1, cinderlib.WithID(baseID))
	require.NoError(t, err, "the id may be used again")
	assert.Equal(t, "available", v.Status())

	d.fail["create"], d.fail["delete"] = errors.New("first"), errors.New("second")
	_, err = b.CreateVolume(ctx, 1)
	require.ErrorContains(t, err, "first; undo: delete from the array: second")
	assert.Equal(t, cinderlib.CodeUnknown, cinderlib.CodeOf(err))
	delete(d.fail, "delete")
	done, err := b.Recover(ctx)
	require.NoError(t, err)
	require.Len(t, done, 1)
	assert.Equal(t, "error", done[0].Was)
	assert.Empty(t, done[0].Now)
}

func TestFailedDelete(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newBroken(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	d.fail["delete"] = drivers.Errorf(drivers.ErrHasDependents, "it has clones")
	require.ErrorIs(t, v.Delete(ctx), cinderlib.ErrHasDependents)
	assert.Equal(t, "available", v.Status(), "nothing was changed")
	d.fail["delete"] = drivers.Errorf(drivers.ErrUnavailable, "no answer")
	err = v.Delete(ctx)
	require.ErrorIs(t, err, cinderlib.ErrUnavailable)
	assert.Same(t, v, cinderlib.Resource(err))
	assert.Equal(t, "error_deleting", v.Status())
	_, err = b.Recover(ctx)
	require.ErrorIs(t, err, cinderlib.ErrUnavailable)
	delete(d.fail, "delete")
	require.NoError(t, v.Delete(ctx))
}

func TestFailedExtend(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newBroken(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	d.fail["extend"] = errors.New("no")
	_, err = v.Extend(ctx, 2)
	require.ErrorContains(t, err, "no")
	assert.Equal(t, "available", v.Status(), "the array says that nothing happened")
	assert.Equal(t, 1, v.Size())
	d.fail["inspect"] = errors.New("nor now")
	_, err = v.Extend(ctx, 2)
	require.ErrorContains(t, err, "nor now")
	assert.Equal(t, "error", v.Status())
	assert.Equal(t, "available", v.Info().PreviousStatus)
	delete(d.fail, "inspect")
	_, err = b.Recover(ctx)
	require.NoError(t, err)
	require.NoError(t, v.Refresh(ctx))
	assert.Equal(t, "available", v.Status())
	delete(d.fail, "extend")
	_, err = v.Extend(ctx, 2)
	require.NoError(t, err)
}

func TestFailedSnapshot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newBroken(t)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	list, err := v.Snapshots(ctx)
	require.NoError(t, err)
	require.Empty(t, list)
	d.fail["snapshot"] = errors.New("no")
	_, err = v.CreateSnapshot(ctx)
	s, ok := cinderlib.Resource(err).(*cinderlib.Snapshot)
	require.True(t, ok)
	assert.Equal(t, "error", s.Status())
	list, err = v.Snapshots(ctx)
	require.NoError(t, err)
	assert.Equal(t, []*cinderlib.Snapshot{s}, list)
	delete(d.fail, "snapshot")
	again, err := v.CreateSnapshot(ctx, cinderlib.WithID(s.ID()))
	require.NoError(t, err, "the id may be used again")
	_, err = v.CreateSnapshot(ctx, cinderlib.WithID(s.ID()))
	require.ErrorIs(t, err, cinderlib.ErrExists)
	assert.Equal(t, "available", cinderlib.Resource(err).(*cinderlib.Snapshot).Status())
	require.NoError(t, again.Delete(ctx))
	require.ErrorIs(t, again.Save(ctx), cinderlib.ErrPrecondition)
	require.NoError(t, s.Delete(ctx))
	list, err = v.Snapshots(ctx)
	require.NoError(t, err)
	assert.Empty(t, list)
}
