// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

// Texts that people type never reach a shell, a query or a name unquoted.
func testTexts(s *suite) {
	for _, text := range []string{
		"", " ", "-rf", "--help", "a b", `a"b'c` + "`d`", "$(touch /tmp/x);&|<>*?[]{}~!#%", `\`, "a\nb\tc",
		"naïve 名前 🙂", "../../etc/passwd", "{{.}} %s %d", "<a>&amp;</a>", "null", strings.Repeat("x", 255), strings.Repeat("名", 255),
	} {
		v := s.volume(1)
		v.Name, v.Description = text, text
		v.Metadata = map[string]string{"key " + text: text}
		u, err := s.CreateVolume(s.Context(), v)
		require.NoError(s, err, "CreateVolume with the texts %q", text)
		stored := available(v, u)
		s.requireSize(stored, 1)
		snap := s.snapshot(v)
		snap.Name, snap.Description, snap.Metadata = text, text, map[string]string{"key " + text: text}
		_, err = s.CreateSnapshot(s.Context(), snap, stored)
		require.NoError(s, err, "CreateSnapshot with the texts %q", text)
		n := s.volume(1)
		n.Name, n.Description = text, text
		_, err = s.VolumeFromSnapshot(s.Context(), n, snap, stored)
		require.NoError(s, err, "VolumeFromSnapshot with the texts %q", text)
		require.NoError(s, s.DeleteVolume(s.Context(), n))
		require.NoError(s, s.DeleteSnapshot(s.Context(), snap, stored))
		require.NoError(s, s.DeleteVolume(s.Context(), stored))
		s.requireGone(v)
	}
}

// Ids need not be UUIDs. None may be taken for another, also where one is the
// beginning of the other. Those that the array cannot have in a name are
// ErrInvalid.
func testIDs(s *suite) {
	plain := []string{"1", "a", "ab", "a-b", strings.Repeat("x", 36), uuid.NewString()}
	odd := []string{"a.b", "a_b", "a:b", "a@b", "a+b", "a=b", "_a", strings.Repeat("y", 128)}
	type made struct {
		v    *drivers.Volume
		snap *drivers.Snapshot
		seed uint64
	}
	var all []made
	for i, id := range append(plain, odd...) {
		m := made{v: s.volumeOf(id, 1), seed: uint64(i)}
		u, err := s.CreateVolume(s.Context(), m.v)
		if i >= len(plain) && errors.Is(err, drivers.ErrInvalid) {
			continue
		}
		require.NoError(s, err, "CreateVolume with the id %s", id)
		m.v = available(m.v, u)
		s.fill(m.v, m.seed)
		if s.h.OneNamespace && uuid.Validate(id) == nil {
			id = uuid.NewString()
		}
		m.snap = s.snapshotOf(id, m.v)
		su, err := s.CreateSnapshot(s.Context(), m.snap, m.v)
		require.NoError(s, err, "CreateSnapshot with the id %s", id)
		m.snap = snapAvailable(m.snap, su)
		all = append(all, m)
	}
	for _, m := range all {
		s.requireSize(m.v, 1)
		s.requireFilled(m.v, 1, m.seed)
		n := s.volume(1)
		u, err := s.VolumeFromSnapshot(s.Context(), n, m.snap, m.v)
		require.NoError(s, err)
		s.requireFilled(available(n, u), 1, m.seed)
		require.NoError(s, s.DeleteVolume(s.Context(), n))
		require.NoError(s, s.DeleteSnapshot(s.Context(), m.snap, m.v))
		require.NoError(s, s.DeleteVolume(s.Context(), m.v))
		s.requireGone(m.v)
	}
}

// After a migration it is not the volume's id that names it on the array.
func testNameID(s *suite) {
	v := s.volume(1)
	v.NameIDOverride = uuid.NewString()
	u, err := s.CreateVolume(s.Context(), v)
	require.NoError(s, err)
	s.fill(available(v, u), 1)
	byName := s.volumeOf(v.NameIDOverride, 1)
	s.requireSize(byName, 1)
	s.requireGone(s.volumeOf(v.ID, 1))
	s.requireFilled(available(v, u), 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(byName)
}

// A call whose context has ended before it began: it has done nothing, or all.
func testCancelled(s *suite) {
	ctx := s.expired()
	src := s.created(1)
	s.fill(src, 1)
	snap := s.snapped(src)
	fine := func(what string, err error) {
		s.Helper()
		assert.True(s, err == nil || ended(err), "%s: the error does not say that the context ended: %v", what, err)
	}
	for what, create := range s.makers(src, snap) {
		v := s.volume(1)
		_, err := create(ctx, v)
		fine(what, err)
		s.requireWhole(what, v, err, func() error { _, err := create(s.Context(), v); return err })
	}
	fine("ExtendVolume", s.ExtendVolume(ctx, src, 2))
	require.NoError(s, s.ExtendVolume(s.Context(), src, 2))
	s.requireSize(src, 2)
	lost := s.snapshot(src)
	_, err := s.CreateSnapshot(ctx, lost, src)
	fine("CreateSnapshot", err)
	_, err = s.CreateSnapshot(s.Context(), lost, src)
	require.NoError(s, err)
	stored := s.exported(src)
	a := s.attachment(0)
	_, err = s.Export(ctx, stored)
	fine("Export", err)
	_, err = s.Connect(ctx, stored, a)
	fine("Connect", err)
	require.NoError(s, s.Disconnect(s.Context(), stored, a))
	fine("Disconnect", s.Disconnect(ctx, stored, a))
	fine("Unexport", s.Unexport(ctx, stored))
	require.NoError(s, s.Unexport(s.Context(), stored))
	_, err = s.Stats(ctx)
	fine("Stats", err)
	_, err = s.InspectVolume(ctx, src)
	fine("InspectVolume", err)
	fine("DeleteSnapshot", s.DeleteSnapshot(ctx, lost, src))
	require.NoError(s, s.DeleteSnapshot(s.Context(), lost, src))
	fine("DeleteVolume", s.DeleteVolume(ctx, s.created(1)))
	s.requireFilled(src, 1, 1)
}

// makers are the ways to make a volume.
func (s *suite) makers(src *drivers.Volume, snap *drivers.Snapshot) map[string]func(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return map[string]func(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error){
		"CreateVolume": s.CreateVolume,
		"CloneVolume": func(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
			return s.CloneVolume(ctx, v, src)
		},
		"VolumeFromSnapshot": func(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
			return s.VolumeFromSnapshot(ctx, v, snap, src)
		},
	}
}

// requireWhole checks that a volume, whose making ended with err, is there whole
// or not at all, that it can be made once more, and that Delete removes it.
func (s *suite) requireWhole(what string, v *drivers.Volume, err error, again func() error) {
	s.Helper()
	state, inspect := s.InspectVolume(s.Context(), v)
	switch {
	case err == nil:
		require.NoError(s, inspect, "%s has succeeded", what)
	case inspect != nil:
		require.ErrorIs(s, inspect, drivers.ErrNotFound, "after %s was cancelled", what)
	}
	if inspect == nil {
		require.Equal(s, s.bytes(v.Size), state.SizeBytes, "what %s left is whole", what)
	}
	require.NoError(s, again(), "%s again", what)
	s.requireSize(v, v.Size)
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
}

// Calls are cut off at many instants.
func testCancelledMidway(s *suite) {
	src := s.created(1)
	s.fill(src, 1)
	snap := s.snapped(src)
	for _, after := range []time.Duration{50 * time.Microsecond, 200 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		within := func(do func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(s.Context(), after)
			defer cancel()
			err := do(ctx)
			require.True(s, err == nil || ended(err), "cancelled after %v: the error does not say that the context ended: %v", after, err)
			return err
		}
		for what, create := range s.makers(src, snap) {
			v := s.volume(1)
			err := within(func(ctx context.Context) error { _, err := create(ctx, v); return err })
			var stored *drivers.Volume
			s.requireWhole(what, v, err, func() error {
				u, err := create(s.Context(), v)
				stored = available(v, u)
				if err == nil && what != "CreateVolume" {
					s.requireFilled(stored, 1, 1)
				}
				return err
			})
			// What was cut off may also be removed at once.
			w := s.volume(1)
			_ = within(func(ctx context.Context) error { _, err := create(ctx, w); return err })
			require.NoError(s, s.DeleteVolume(s.Context(), w))
			s.requireGone(w)
		}
		cut := s.snapshot(src)
		_ = within(func(ctx context.Context) error { _, err := s.CreateSnapshot(ctx, cut, src); return err })
		require.NoError(s, s.DeleteSnapshot(s.Context(), cut, src))
		s.requireSnapshotGone(cut, src)
	}
	s.requireSize(src, 1)
	s.requireFilled(src, 1, 1)
}

// Eight goroutines, each with a volume of its own, in two processes.
func testConcurrent(s *suite) {
	second := s.open()
	var all sync.WaitGroup
	for i := range 8 {
		c := s.calls
		if i%2 == 1 {
			c = second
		}
		v, n, m := s.volume(1), s.volume(1), s.volume(2)
		a := s.attachment(i)
		all.Go(func() {
			assert.NoError(s, s.life(c, v, n, m, a), "goroutine %d", i)
		})
	}
	all.Wait()
}

// life does everything there is to do with a volume.
func (s *suite) life(c calls, v, n, m *drivers.Volume, a *drivers.Attachment) error {
	ctx := s.Context()
	u, err := c.CreateVolume(ctx, v)
	if err != nil {
		return err
	}
	v = available(v, u)
	snap := s.snapshot(v)
	su, err := c.CreateSnapshot(ctx, snap, v)
	if err != nil {
		return err
	}
	snap = snapAvailable(snap, su)
	if u, err = c.VolumeFromSnapshot(ctx, n, snap, v); err != nil {
		return err
	}
	n = available(n, u)
	if u, err = c.CloneVolume(ctx, m, v); err != nil {
		return err
	}
	m = available(m, u)
	if err := c.ExtendVolume(ctx, v, 2); err != nil {
		return err
	}
	if u, err = c.Export(ctx, v); err != nil {
		return err
	}
	v = available(v, u)
	if _, err := c.Connect(ctx, v, a); err != nil {
		return err
	}
	if _, err := c.Stats(ctx); err != nil {
		return err
	}
	for _, each := range []*drivers.Volume{v, m} {
		state, err := c.InspectVolume(ctx, each)
		if err != nil {
			return err
		}
		if state.SizeBytes != s.bytes(2) {
			return fmt.Errorf("volume %s has %d bytes", each.ID, state.SizeBytes)
		}
	}
	if err := errors.Join(c.Disconnect(ctx, v, a), c.Unexport(ctx, v), c.DeleteVolume(ctx, n), c.DeleteVolume(ctx, m),
		c.DeleteSnapshot(ctx, snap, v), c.DeleteVolume(ctx, v)); err != nil {
		return err
	}
	for _, each := range []*drivers.Volume{v, n, m} {
		var err error
		s.soon(s.h.Settle, func() bool {
			_, err = c.InspectVolume(ctx, each)
			return err != nil
		})
		if !errors.Is(err, drivers.ErrNotFound) {
			return fmt.Errorf("volume %s after it was deleted: %w", each.ID, err)
		}
	}
	return nil
}

// What was made is there for the next process.
func testReopen(s *suite) {
	v := s.created(1)
	s.fill(v, 1)
	snap := s.snapped(v)
	require.NoError(s, s.d.Close())
	s.calls = s.open()
	s.requireSize(v, 1)
	s.requireFilled(v, 1, 1)
	n := s.restored(snap, v)
	s.requireFilled(n, 1, 1)
	require.NoError(s, s.DeleteVolume(s.Context(), n))
	require.NoError(s, s.DeleteSnapshot(s.Context(), snap, v))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	s.requireGone(v)
}

// Close may be repeated, and no goroutine outlives it. Goroutines are known by a
// label, which they inherit from the one that starts them.
func testClose(s *suite) {
	const key = "driverstest"
	label := uuid.NewString()
	pprof.SetGoroutineLabels(pprof.WithLabels(s.Context(), pprof.Labels(key, label)))
	s.calls = calls{t: s.T, d: s.array.Open(s.T)}
	v := s.created(1)
	snap := s.snapped(v)
	_, _, undo := s.connected(v)
	undo()
	_, err := s.Stats(s.Context())
	require.NoError(s, err)
	require.NoError(s, s.DeleteSnapshot(s.Context(), snap, v))
	require.NoError(s, s.DeleteVolume(s.Context(), v))
	require.NoError(s, s.d.Close(), "Close")
	require.NoError(s, s.d.Close(), "Close again")
	pprof.SetGoroutineLabels(s.Context()) // this one stays
	var left string
	s.soon(2*time.Second, func() bool {
		left = labelled(key, label)
		return left == ""
	})
	assert.Empty(s, left, "goroutines that outlive Close")
}

// labelled gives the stacks of the goroutines that have a label.
func labelled(key, value string) string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1) // to a buffer: it cannot fail
	var found []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", key, value)) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
