// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// world is what a call of the sweep works on: a volume of 1 GiB, a snapshot of
// it, what was written since, and what the call makes.
type world struct {
	*rig
	isThin bool
	v      *drivers.Volume
	s      *drivers.Snapshot
	n      *drivers.Volume
	lost   *drivers.Snapshot
	ends   []string // the LVs that are there when the call is through
	start  []string // and before it
}

const (
	frozen = "as it was when it was frozen"
	now    = "as it is now"
)

func newWorld(t *testing.T, o map[string]any) (*world, *Driver) {
	t.Helper()
	r := newRig(t)
	d := r.open(o)
	w := &world{rig: r, isThin: d.thin(), n: volume(1), v: r.created(d, 1)}
	w.write(w.v.NameOnArray(), frozen, 0)
	w.write(w.v.NameOnArray(), frozen, drivers.GiB-100)
	w.s = r.snapped(d, w.v)
	w.lost = snapshotOf(w.v)
	w.write(w.v.NameOnArray(), now, 0)
	w.write(w.v.NameOnArray(), now, drivers.GiB-100)
	w.start = r.names()
	r.garbage = !d.thin()
	return w, d
}

func (w *world) with(names ...string) { w.ends = append(slices.Clone(w.start), names...) }

// holds checks that an LV is whole: size in GiB, text at the beginning and at the
// end of the first GiB, and zeros behind that.
func (w *world) holds(t *testing.T, name string, size int64, text string) {
	t.Helper()
	l := w.lv(name)
	assert.Equal(t, gibs(size), l.bytes(), name)
	assert.Equal(t, text, w.read(name, len(text), 0), name)
	assert.Equal(t, text, w.read(name, len(text), drivers.GiB-100), name)
	assert.False(t, dirty(w.path(name), drivers.GiB), "%s: zeros behind that", name)
	assert.Empty(t, l.tags, name)
}

// clean checks that the LVs are those and no others, and that nothing is left.
func (w *world) clean(t *testing.T, names []string) {
	t.Helper()
	assert.ElementsMatch(t, names, w.names())
	for _, name := range w.names() {
		assert.Empty(t, w.lv(name).tags, name)
	}
	assert.Empty(t, w.leaked)
}

// verb is one call of the sweep. check looks at what it has done, remove is the
// call that undoes it and leaves the LVs in rest.
type verb struct {
	name    string
	prepare func(w *world, d *Driver)
	call    func(ctx context.Context, d *Driver, w *world) error
	check   func(t *testing.T, w *world)
	remove  func(ctx context.Context, d *Driver, w *world) error
	rest    func(w *world) []string
}

func verbs() []verb {
	errOf := func(_ any, err error) error { return err }
	started := func(w *world) []string { return w.start }
	deleteNew := func(ctx context.Context, d *Driver, w *world) error { return d.DeleteVolume(ctx, w.n) }
	deleteAll := func(ctx context.Context, d *Driver, w *world) error {
		return errors.Join(d.DeleteSnapshot(ctx, w.s, w.v), d.DeleteVolume(ctx, w.v))
	}
	none := func(*world) []string { return nil }
	intact := func(t *testing.T, w *world) {
		t.Helper()
		w.holds(t, w.v.NameOnArray(), 1, now)
		w.holds(t, snapName(w.s), cowOr1(w), frozen)
	}
	larger := func(w *world, _ *Driver) { w.n.Size = 3 }
	grown := func(w *world, d *Driver) {
		require.NoError(w.tb, d.ExtendVolume(context.Background(), w.v, 2))
	}
	return []verb{
		{
			name: "create",
			call: func(ctx context.Context, d *Driver, w *world) error { return errOf(d.CreateVolume(ctx, w.n)) },
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				assert.Equal(t, gibs(1), w.lv(w.n.NameOnArray()).bytes())
				intact(t, w)
			},
			remove: deleteNew, rest: started,
		},
		{
			name: "delete",
			prepare: func(w *world, d *Driver) {
				_, err := d.CloneVolume(context.Background(), w.n, w.v)
				require.NoError(w.tb, err)
			},
			call:  func(ctx context.Context, d *Driver, w *world) error { return d.DeleteVolume(ctx, w.n) },
			check: func(t *testing.T, w *world) { w.with(); intact(t, w) },
		},
		{
			name: "extend",
			prepare: func(w *world, d *Driver) {
				require.NoError(w.tb, d.DeleteSnapshot(context.Background(), w.s, w.v))
				w.start = w.names()
			},
			call:  func(ctx context.Context, d *Driver, w *world) error { return d.ExtendVolume(ctx, w.v, 3) },
			check: func(t *testing.T, w *world) { w.with(); w.holds(t, w.v.NameOnArray(), 3, now) },
		},
		{
			name: "extend with snapshot",
			call: func(ctx context.Context, d *Driver, w *world) error { return d.ExtendVolume(ctx, w.v, 3) },
			check: func(t *testing.T, w *world) {
				w.with()
				w.holds(t, w.v.NameOnArray(), 3, now)
				assert.Equal(t, frozen, w.read(snapName(w.s), len(frozen), 0))
				if !w.isThin {
					assert.Equal(t, cowMost(3*256), w.lv(snapName(w.s)).extents, "it cannot overflow")
					assert.True(t, w.lv(w.v.NameOnArray()).active)
				}
			},
			remove: deleteAll, rest: none,
		},
		{
			name: "snapshot",
			call: func(ctx context.Context, d *Driver, w *world) error { return errOf(d.CreateSnapshot(ctx, w.lost, w.v)) },
			check: func(t *testing.T, w *world) {
				w.with(snapName(w.lost))
				intact(t, w)
				w.holds(t, snapName(w.lost), cowOr1(w), now)
			},
			remove: func(ctx context.Context, d *Driver, w *world) error { return d.DeleteSnapshot(ctx, w.lost, w.v) },
			rest:   started,
		},
		{
			name: "delete snapshot",
			prepare: func(w *world, d *Driver) {
				_, err := d.CreateSnapshot(context.Background(), w.lost, w.v)
				require.NoError(w.tb, err)
			},
			call:  func(ctx context.Context, d *Driver, w *world) error { return d.DeleteSnapshot(ctx, w.lost, w.v) },
			check: func(t *testing.T, w *world) { w.with(); intact(t, w) },
		},
		{
			name: "clone",
			call: func(ctx context.Context, d *Driver, w *world) error { return errOf(d.CloneVolume(ctx, w.n, w.v)) },
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				intact(t, w)
				w.holds(t, w.n.NameOnArray(), 1, now)
			},
			remove: deleteNew, rest: started,
		},
		{
			name: "larger clone", prepare: larger,
			call: func(ctx context.Context, d *Driver, w *world) error { return errOf(d.CloneVolume(ctx, w.n, w.v)) },
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				intact(t, w)
				w.holds(t, w.n.NameOnArray(), 3, now)
			},
			remove: deleteNew, rest: started,
		},
		{
			name: "from snapshot",
			call: func(ctx context.Context, d *Driver, w *world) error {
				return errOf(d.VolumeFromSnapshot(ctx, w.n, w.s, w.v))
			},
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				intact(t, w)
				w.holds(t, w.n.NameOnArray(), 1, frozen)
			},
			remove: deleteNew, rest: started,
		},
		{
			name: "larger from snapshot", prepare: larger,
			call: func(ctx context.Context, d *Driver, w *world) error {
				return errOf(d.VolumeFromSnapshot(ctx, w.n, w.s, w.v))
			},
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				intact(t, w)
				w.holds(t, w.n.NameOnArray(), 3, frozen)
			},
			remove: deleteNew, rest: started,
		},
		{
			name: "revert",
			call: func(ctx context.Context, d *Driver, w *world) error { return d.RevertToSnapshot(ctx, w.v, w.s) },
			check: func(t *testing.T, w *world) {
				w.with()
				w.holds(t, w.v.NameOnArray(), 1, frozen)
				w.holds(t, snapName(w.s), cowOr1(w), frozen)
			},
			remove: deleteAll, rest: none,
		},
		{
			name: "revert, the merge takes time", prepare: func(w *world, _ *Driver) { w.looks = 4 },
			call: func(ctx context.Context, d *Driver, w *world) error { return d.RevertToSnapshot(ctx, w.v, w.s) },
			check: func(t *testing.T, w *world) {
				w.with()
				w.holds(t, w.v.NameOnArray(), 1, frozen)
				w.holds(t, snapName(w.s), cowOr1(w), frozen)
			},
		},
		{
			name: "revert of one that has grown", prepare: grown,
			call: func(ctx context.Context, d *Driver, w *world) error { return d.RevertToSnapshot(ctx, w.v, w.s) },
			check: func(t *testing.T, w *world) {
				w.with()
				assert.Equal(t, frozen, w.read(w.v.NameOnArray(), len(frozen), 0))
				assert.Equal(t, frozen, w.read(snapName(w.s), len(frozen), 0))
			},
			remove: deleteAll, rest: none,
		},
		{
			name: "manage",
			prepare: func(w *world, _ *Driver) {
				k := linear
				if w.isThin {
					k = thinLV
				}
				w.garbage = false
				w.foreign("root", drivers.GiB, k)
				w.write("root", now, 0)
				w.write("root", now, drivers.GiB-100)
				w.n.Size = 3
			},
			call: func(ctx context.Context, d *Driver, w *world) error { return errOf(d.ManageVolume(ctx, w.n, "root")) },
			check: func(t *testing.T, w *world) {
				w.with(w.n.NameOnArray())
				intact(t, w)
				w.holds(t, w.n.NameOnArray(), 3, now)
			},
		},
	}
}

// cowOr1 is the size of the device of a snapshot, which is its volume's.
func cowOr1(w *world) int64 {
	if w.isThin {
		return 1
	}
	return w.lv(w.v.NameOnArray()).bytes() >> 30
}

// Each program of each call fails, crashes, or is the last of its process, before
// it did its work or after. The call repeated then does it all, and Delete
// removes all.
func TestFaults(t *testing.T) {
	t.Parallel()
	var tried atomic.Int64
	t.Cleanup(func() { t.Logf("%d faults", tried.Load()) })
	for kind, o := range map[string]map[string]any{"thick": thick(), "thin": thinly()} {
		for _, v := range verbs() {
			t.Run(kind+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				programs := v.run(t, o, 0, failBefore, false)
				assert.Positive(t, programs)
				for at := 1; at <= programs; at++ {
					for what := range mishaps {
						for _, remove := range []bool{false, true} {
							if remove && v.remove == nil {
								continue
							}
							tried.Add(1)
							v.run(t, o, at, what, remove)
							if t.Failed() {
								t.Fatalf("program %d %s, then remove=%t", at, what, remove)
							}
						}
					}
				}
			})
		}
	}
}

// run does the call with one fault, and gives the number of programs it ran.
func (v *verb) run(t *testing.T, o map[string]any, at int, what mishap, remove bool) (programs int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		w, healthy := newWorld(t, o)
		if v.prepare != nil {
			v.prepare(w, healthy)
		}
		w.leaked = nil
		env, m := w.arm(0, what)
		victim, err := w.openIn(env, o)
		require.NoError(t, err)
		m.mu.Lock()
		m.count, m.at = 0, at
		m.mu.Unlock()
		err = v.call(ctx, victim, w)
		trace := fmt.Sprintf("%v %s: %v", m.hit, what, err)
		if at == 0 {
			require.NoError(t, err)
		}
		if err != nil {
			assert.True(t, fault.CodeOf(err) != fault.Unknown || m.died(), "an error has a code: %v", err)
			assert.NotErrorIs(t, err, context.Canceled)
		}
		w.survived(t, trace)
		programs = m.count
		require.NoError(t, victim.Close())
		d := w.open(o) // another process
		if remove {
			require.NoError(t, v.remove(ctx, d, w), trace)
			w.clean(t, v.rest(w))
		} else {
			require.NoError(t, v.call(ctx, d, w), trace)
			v.check(t, w)
			w.clean(t, w.ends)
			require.NoError(t, v.call(ctx, d, w), "once more: %s", trace)
			v.check(t, w)
			w.clean(t, w.ends)
		}
		if t.Failed() {
			t.Log(trace)
		}
	})
	return programs
}

// survived checks that no fault takes the content of the volume or of the
// snapshot with it. While a snapshot is merged its content is that of the volume.
func (w *world) survived(t *testing.T, trace string) {
	t.Helper()
	f := func(name string) *fakeLV {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.lvs[name]
	}
	v, s := f(w.v.NameOnArray()), f(snapName(w.s))
	if v == nil {
		v = f(revertPrefix + w.v.ID)
	}
	require.NotNil(t, v, "the volume is lost: %s", trace)
	if s == nil && slices.Contains(v.tags, merging(snapName(w.s))) {
		s = v
	}
	if s == nil && !slices.Contains(w.start, snapName(w.s)) {
		return // it was deleted before
	}
	require.NotNil(t, s, "the snapshot is lost: %s", trace)
	assert.Equal(t, frozen, w.read(s.name, len(frozen), 0), trace)
}
