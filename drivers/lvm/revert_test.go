// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// A volume that somebody has open is not reverted; udev is waited for.
func TestRevertOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, _ bool) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			d := r.open(o)
			v := r.created(d, 1)
			r.write(v.NameOnArray(), frozen, 0)
			s := r.snapped(d, v)
			r.write(v.NameOnArray(), now, 0)
			before := r.names()
			exported := r.exported(d, v)
			err := d.RevertToSnapshot(t.Context(), exported, s)
			require.ErrorIs(t, err, drivers.ErrInUse)
			require.ErrorContains(t, err, "nobody is logged in")
			require.NoError(t, d.Unexport(t.Context(), exported))
			r.set(func() { r.lvs[v.NameOnArray()].open = 1 })
			require.ErrorIs(t, d.RevertToSnapshot(t.Context(), v, s), drivers.ErrInUse)
			assert.Equal(t, before, r.names())
			assert.Empty(t, r.lv(v.NameOnArray()).tags)
			assert.Equal(t, now, r.read(v.NameOnArray(), len(now), 0))
			r.set(func() { r.lvs[v.NameOnArray()].open, r.lvs[v.NameOnArray()].held = 0, 3 })
			require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
			assert.Equal(t, frozen, r.read(v.NameOnArray(), len(frozen), 0))
			assert.Equal(t, before, r.names())
			require.ErrorIs(t, d.RevertToSnapshot(t.Context(), volume(1), s), drivers.ErrNotFound)
		})
	})
}

// Somebody opens the volume behind the look at it. A thin one is then left as it
// is.
func TestRevertOpenedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(thinly())
	v := r.created(d, 1)
	s := r.snapped(d, v)
	r.swap = func() { r.lvs[v.NameOnArray()].open = 1 }
	require.ErrorIs(t, d.RevertToSnapshot(t.Context(), v, s), drivers.ErrInUse)
	assert.Equal(t, []string{snapName(s), v.NameOnArray()}, r.names())
}

// A merge that LVM put off, because the volume was open for a moment, is begun.
func TestMergeDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(thick())
		v := r.created(d, 1)
		r.write(v.NameOnArray(), frozen, 0)
		s := r.snapped(d, v)
		r.write(v.NameOnArray(), now, 0)
		r.swap = func() { r.lvs[v.NameOnArray()].open = 1 }
		time.AfterFunc(7*time.Second, func() { r.set(func() { r.lvs[v.NameOnArray()].open = 0 }) })
		start := time.Now()
		require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
		assert.InDelta(t, 10, time.Since(start).Seconds(), 1)
		assert.Equal(t, frozen, r.read(v.NameOnArray(), len(frozen), 0))
		assert.Equal(t, frozen, r.read(snapName(s), len(frozen), 0))
		assert.True(t, r.lv(v.NameOnArray()).active)
		assert.Empty(t, r.lv(v.NameOnArray()).tags)
	})
}

// A revert that is given up goes on. Nothing takes the volume away meanwhile, and
// a repeated call waits for the end.
func TestMergeGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(thick())
		v := r.created(d, 1)
		r.write(v.NameOnArray(), frozen, 0)
		s := r.snapped(d, v)
		r.write(v.NameOnArray(), now, 0)
		r.looks = 15
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, d.RevertToSnapshot(ctx, v, s), context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.True(t, slices.Contains(r.lv(v.NameOnArray()).tags, merging(snapName(s))))
		require.ErrorIs(t, d.DeleteVolume(t.Context(), v), drivers.ErrHasDependents)
		_, err := d.CreateSnapshot(t.Context(), snapshotOf(v), v)
		require.ErrorIs(t, err, drivers.ErrPrecondition)
		require.NoError(t, r.open(thick()).RevertToSnapshot(t.Context(), v, s))
		assert.Equal(t, frozen, r.read(v.NameOnArray(), len(frozen), 0))
		assert.Equal(t, frozen, r.read(snapName(s), len(frozen), 0))
		assert.Empty(t, r.lv(v.NameOnArray()).tags)
	})
}

// A clone that is given up stops copying at once and leaves nothing.
func TestCloneCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		env := r.env()
		env.Copy = func(ctx context.Context, _ drivers.CopyRequest) error {
			<-ctx.Done()
			return ctx.Err()
		}
		o, err := options(t, thick())
		require.NoError(t, err)
		d, err := openWith(t.Context(), env, o, r.target)
		require.NoError(t, err)
		defer d.Close()
		v, n := r.created(d, 1), volume(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = d.CloneVolume(ctx, n, v)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []string{v.NameOnArray()}, r.names())
		assert.Empty(t, r.leaked)
	})
}

// A lvremove that hangs does not keep a call longer than its context.
func TestUndoIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(thinly())
		v := r.created(d, 1)
		r.host.Handle("lvextend", func(context.Context, []string, []byte) connector.Result { return fails(5, "Input/output error") })
		release := make(chan struct{})
		r.host.Handle("lvremove", func(context.Context, []string, []byte) connector.Result {
			<-release
			return connector.Result{}
		})
		start := time.Now()
		_, err := d.CloneVolume(t.Context(), volume(2), v)
		require.ErrorIs(t, err, drivers.ErrInternal)
		assert.Equal(t, undoGrace, time.Since(start))
		close(release)
	})
}
