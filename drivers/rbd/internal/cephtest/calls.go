// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// calls is every call of the contract that takes a context, such that each would
// work and change something.
func (s *suite) calls(name, trashed string, i ceph.Image) map[string]func(context.Context) error {
	fresh := s.prefix + "fresh"
	only := func(_ any, err error) error { return err }
	options := ceph.ImageOptions{Features: usual}
	c, p := s.cluster, s.pool
	return map[string]func(context.Context) error{
		"Command":        func(ctx context.Context) error { return only(c.Command(ctx, `{"prefix":"mon dump","format":"json"}`)) },
		"Pool":           func(ctx context.Context) error { return only(c.Pool(ctx, s.name)) },
		"Images":         func(ctx context.Context) error { return only(p.Images(ctx)) },
		"Create":         func(ctx context.Context) error { return p.Create(ctx, fresh, mib, options) },
		"Clone":          func(ctx context.Context) error { return p.Clone(ctx, name, "s", fresh, options) },
		"Copy":           func(ctx context.Context) error { return p.Copy(ctx, name, fresh, options) },
		"Remove":         func(ctx context.Context) error { return p.Remove(ctx, s.prefix+"loose") },
		"Rename":         func(ctx context.Context) error { return p.Rename(ctx, name, fresh) },
		"TrashMove":      func(ctx context.Context) error { return p.TrashMove(ctx, name, 0) },
		"Trash":          func(ctx context.Context) error { return only(p.Trash(ctx)) },
		"TrashRemove":    func(ctx context.Context) error { return p.TrashRemove(ctx, trashed) },
		"Open":           func(ctx context.Context) error { return only(p.Open(ctx, name, ceph.OpenOptions{})) },
		"Info":           func(ctx context.Context) error { return only(i.Info(ctx)) },
		"Resize":         func(ctx context.Context) error { return i.Resize(ctx, 2*mib) },
		"Flatten":        i.Flatten,
		"Parent":         func(ctx context.Context) error { return only(i.Parent(ctx)) },
		"Children":       func(ctx context.Context) error { return only(i.Children(ctx)) },
		"Watchers":       func(ctx context.Context) error { return only(i.Watchers(ctx)) },
		"SetFeatures":    func(ctx context.Context) error { return i.SetFeatures(ctx, 28, false) },
		"Snapshots":      func(ctx context.Context) error { return only(i.Snapshots(ctx)) },
		"CreateSnapshot": func(ctx context.Context) error { return i.CreateSnapshot(ctx, "new") },
		"RemoveSnapshot": func(ctx context.Context) error { return i.RemoveSnapshot(ctx, "free") },
		"RenameSnapshot": func(ctx context.Context) error { return i.RenameSnapshot(ctx, "free", "new") },
		"Protect":        func(ctx context.Context) error { return i.Protect(ctx, "free") },
		"Unprotect":      func(ctx context.Context) error { return i.Unprotect(ctx, "s") },
		"RollBack":       func(ctx context.Context) error { return i.RollBack(ctx, "s") },
		"Metadata":       func(ctx context.Context) error { return only(i.Metadata(ctx)) },
		"SetMetadata":    func(ctx context.Context) error { return i.SetMetadata(ctx, "new", "v") },
		"RemoveMetadata": func(ctx context.Context) error { return i.RemoveMetadata(ctx, "k") },
		"ReadAt":         func(ctx context.Context) error { return i.ReadAt(ctx, zeros(kib), 0) },
		"WriteAt":        func(ctx context.Context) error { return i.WriteAt(ctx, data(kib), 0) },
	}
}

// scene is an image of which everything can be changed.
func (s *suite) scene() (name, trashed string, i ceph.Image, p []byte) {
	base := s.base("base", "s", mib, data(mib))
	name = s.clone(base, "s", "a", usual)
	i = s.open(s.pool, name, ceph.OpenOptions{})
	require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
	require.NoError(s, i.Protect(s.ctx, "s"))
	require.NoError(s, i.CreateSnapshot(s.ctx, "free"))
	require.NoError(s, i.SetMetadata(s.ctx, "k", "v"))
	p = data(mib)
	s.write(i, p, 0)
	s.create("loose", mib)
	return name, s.trashed(s.create("gone", mib), 0), i, p
}

// look is all that is to be seen of an image and its pool.
func (s *suite) look(name string, i ceph.Image) []any {
	s.Helper()
	parent, err := i.Parent(s.ctx)
	require.NoError(s, err)
	metadata, err := i.Metadata(s.ctx)
	require.NoError(s, err)
	watchers, err := i.Watchers(s.ctx)
	require.NoError(s, err)
	return []any{
		s.info(i), s.snapshots(i), parent, metadata, watchers, s.listed(name), s.listed(s.prefix + "fresh"),
		s.listed(s.prefix + "loose"), s.inTrash(name), s.inTrash(s.prefix + "gone"),
	}
}

// testCancelled: with a context that has ended nothing is done.
func testCancelled(s *suite) {
	name, trashed, i, p := s.scene()
	before := s.look(name, i)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	for what, call := range s.calls(name, trashed, i) {
		assert.ErrorIs(s, call(ended), context.Canceled, what)
		require.Equal(s, before, s.look(name, i), what)
	}
	s.holds(i, p, 0)
}

func testOverdue(s *suite) {
	name, trashed, i, p := s.scene()
	before := s.look(name, i)
	ended, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for what, call := range s.calls(name, trashed, i) {
		assert.ErrorIs(s, call(ended), context.DeadlineExceeded, what)
	}
	require.Equal(s, before, s.look(name, i))
	s.holds(i, p, 0)
}

const many = 16

// together runs f many times at once.
func together(f func(n int)) {
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() { f(n) })
	}
	all.Wait()
}

// testConcurrentImages: many images of one connection, each from birth to end.
func testConcurrentImages(s *suite) {
	p := data(256 * kib)
	base := s.base("base", "s", mib, p)
	together(func(n int) {
		assert.NoError(s, s.life(base, fmt.Sprintf("%s%02d", s.prefix, n), p), n)
	})
	names, err := s.pool.Images(s.ctx)
	require.NoError(s, err)
	assert.Contains(s, names, base)
	assert.Empty(s, s.children(base, ""))
}

// life is that of a clone.
func (s *suite) life(base, name string, p []byte) error {
	if err := s.pool.Clone(s.ctx, base, "s", name, ceph.ImageOptions{Features: usual}); err != nil {
		return err
	}
	i, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{})
	if err != nil {
		return err
	}
	got := make([]byte, len(p))
	for _, step := range []func() error{
		func() error { return i.ReadAt(s.ctx, got, 0) },
		func() error { return i.WriteAt(s.ctx, []byte(name), mib-kib) },
		func() error { return i.CreateSnapshot(s.ctx, "s") },
		func() error { return i.Resize(s.ctx, 2*mib) },
		func() error { return i.Flatten(s.ctx) },
		func() error { return i.RollBack(s.ctx, "s") },
		func() error { return i.RemoveSnapshot(s.ctx, "s") },
		func() error { return i.ReadAt(s.ctx, got[:len(name)], mib-kib) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err == nil && string(got[:len(name)]) != name {
		err = fmt.Errorf("%s reads %q", name, got[:len(name)])
	}
	if closing := i.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = s.pool.Remove(s.ctx, name)
	}
	return err
}

// testConcurrentImage: many callers of one image, through one handle and through
// handles of their own.
func testConcurrentImage(s *suite) {
	name := s.create("a", mib)
	shared := s.open(s.pool, name, ceph.OpenOptions{})
	pieces := make([][]byte, many)
	for n := range pieces {
		pieces[n] = data(32 * kib)
	}
	together(func(n int) {
		at := int64(n) * 32 * kib
		assert.NoError(s, shared.WriteAt(s.ctx, pieces[n], at))
		got := make([]byte, 32*kib)
		assert.NoError(s, shared.ReadAt(s.ctx, got, at))
		assert.Equal(s, pieces[n], got)
		assert.NoError(s, shared.CreateSnapshot(s.ctx, fmt.Sprint("shared", n)))
		own, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{})
		if !assert.NoError(s, err) {
			return
		}
		assert.NoError(s, own.ReadAt(s.ctx, got, at))
		assert.Equal(s, pieces[n], got)
		assert.NoError(s, own.WriteAt(s.ctx, pieces[n], at+512*kib))
		assert.NoError(s, own.RemoveSnapshot(s.ctx, fmt.Sprint("shared", n)))
		_, err = shared.Snapshots(s.ctx)
		assert.NoError(s, err)
		assert.NoError(s, own.Close())
	})
	all := join(pieces...)
	s.holds(shared, join(all, all), 0)
	assert.Empty(s, s.snapshots(shared))
}
