// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"fmt"
	"syscall"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func testClone(s *suite) {
	p := data(4 * mib)
	name := s.base("a", "s", 4*mib, p)
	s.with(name, func(i ceph.Image) {
		s.write(i, data(4*mib), 0)
		require.NoError(s, i.Resize(s.ctx, 5*mib))
	})
	clone := s.clone(name, "s", "b", usual)
	i := s.open(s.pool, clone, ceph.OpenOptions{})
	info := s.info(i)
	assert.Equal(s, 4*mib, info.Bytes, "that of the snapshot")
	assert.Equal(s, usual, info.Features&^ceph.FeatureOperations)
	assert.Equal(s, 22, info.Order)
	assert.NotEqual(s, s.id(name), info.ID)
	assert.Empty(s, s.snapshots(i))
	s.holds(i, p, 0)

	w := data(mib + 7)
	s.write(i, w, mib-3)
	s.holds(i, join(p[:mib-3], w, p[2*mib+4:]), 0)
	s.at(name, "s", func(i ceph.Image) { s.holds(i, p, 0) })

	require.NoError(s, i.CreateSnapshot(s.ctx, "own"))
	require.NoError(s, i.RollBack(s.ctx, "own"))
	require.NoError(s, i.Resize(s.ctx, 6*mib))
	s.holds(i, zeros(2*mib), 4*mib)

	small := s.prefix + "small"
	options := ceph.ImageOptions{Features: ceph.FeatureLayering, Order: 22}
	require.NoError(s, s.pool.Clone(s.ctx, name, "s", small, options))
	s.with(small, func(i ceph.Image) {
		assert.Equal(s, ceph.FeatureLayering, s.info(i).Features&^ceph.FeatureOperations)
		s.holds(i, p, 0)
	})
}

func testCloneRefused(s *suite) {
	name := s.base("a", "s", mib, data(kib))
	other, fresh := s.create("b", mib), s.prefix+"c"
	clone := func(parent, snapshot, name string, o ceph.ImageOptions) error {
		return s.pool.Clone(s.ctx, parent, snapshot, name, o)
	}
	o := ceph.ImageOptions{Features: usual}
	s.refused(clone(s.prefix+"none", "s", fresh, o), syscall.ENOENT)
	s.refused(clone(name, "none", fresh, o), syscall.ENOENT)
	s.refused(clone(name, "none", other, o), syscall.ENOENT)
	s.refused(clone(name, "s", other, o), syscall.EEXIST)
	s.refused(clone(name, "s", name, o), syscall.EEXIST)
	s.refused(clone(name, "s", fresh, ceph.ImageOptions{Features: ceph.FeatureExclusiveLock}), syscall.ENOSYS)

	bare := s.prefix + "bare"
	require.NoError(s, s.pool.Create(s.ctx, bare, mib, ceph.ImageOptions{Features: ceph.FeatureExclusiveLock}))
	s.with(bare, func(i ceph.Image) { require.NoError(s, i.CreateSnapshot(s.ctx, "s")) })
	s.refused(clone(bare, "s", fresh, o), syscall.ENOSYS)
	assert.False(s, s.listed(fresh))
	assert.Empty(s, s.children(name, ""))
}

func testCloneUnprotected(s *suite) {
	name, clone := s.create("a", mib), s.prefix+"b"
	p := data(kib)
	s.with(name, func(i ceph.Image) {
		s.write(i, p, 0)
		require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
	})
	err := s.pool.Clone(s.ctx, name, "s", clone, ceph.ImageOptions{Features: usual})
	if !s.h.CloneV2 {
		s.refused(err, syscall.EINVAL)
		err = s.pool.Clone(s.ctx, name, "s", name, ceph.ImageOptions{Features: usual})
		s.refused(err, syscall.EINVAL)
		assert.False(s, s.listed(clone))
		return
	}
	require.NoError(s, err)
	s.with(clone, func(i ceph.Image) { s.holds(i, p, 0) })
}

// testCloneResized: what a clone cuts off does not come back from its parent.
func testCloneResized(s *suite) {
	p := data(4 * mib)
	name := s.base("a", "s", 4*mib, p)
	clone := s.clone(name, "s", "b", usual)
	i := s.open(s.pool, clone, ceph.OpenOptions{})
	require.NoError(s, i.CreateSnapshot(s.ctx, "whole"))
	require.NoError(s, i.Resize(s.ctx, mib+13))
	require.NoError(s, i.Resize(s.ctx, 6*mib))
	cut := join(p[:mib+13], zeros(5*mib-13))
	s.holds(i, cut, 0)
	require.NoError(s, i.Resize(s.ctx, 4*mib))
	s.holds(i, cut[:4*mib], 0)
	s.at(clone, "whole", func(i ceph.Image) { s.holds(i, p, 0) })
	require.NoError(s, i.RollBack(s.ctx, "whole"))
	s.holds(i, p, 0)
	require.NoError(s, i.RemoveSnapshot(s.ctx, "whole"))
	require.NoError(s, i.Flatten(s.ctx))
	s.holds(i, p, 0)
	s.at(name, "s", func(i ceph.Image) { s.holds(i, p, 0) })
}

// testCloneShrunkToNothing: it has no parent any more, and is still a child.
func testCloneShrunkToNothing(s *suite) {
	name := s.base("a", "s", mib, data(mib))
	clone := s.clone(name, "s", "b", usual)
	i := s.open(s.pool, clone, ceph.OpenOptions{})
	require.NoError(s, i.Resize(s.ctx, 0))
	require.NoError(s, i.Resize(s.ctx, mib))
	s.holds(i, zeros(mib), 0)
	_, err := i.Parent(s.ctx)
	s.refused(err, syscall.ENOENT)
	assert.Len(s, s.children(name, ""), 1)
	if !s.h.CloneV2 {
		s.with(name, func(i ceph.Image) { s.refused(i.Unprotect(s.ctx, "s"), syscall.EBUSY) })
	}
	require.NoError(s, i.Flatten(s.ctx))
	assert.Empty(s, s.children(name, ""))
	s.holds(i, zeros(mib), 0)
}

// testCloneFeatures: clones of version 2 mark themselves and their parent.
func testCloneFeatures(s *suite) {
	name := s.base("a", "s", mib, data(kib))
	clone := s.clone(name, "s", "b", usual)
	marked := func(name string) (is bool) {
		s.with(name, func(i ceph.Image) {
			info := s.info(i)
			assert.Equal(s, usual, info.Features&^ceph.FeatureOperations)
			is = info.Features&ceph.FeatureOperations != 0
		})
		return is
	}
	assert.Equal(s, s.h.CloneV2, marked(name))
	assert.Equal(s, s.h.CloneV2, marked(clone))
	s.with(clone, func(i ceph.Image) { require.NoError(s, i.Flatten(s.ctx)) })
	assert.False(s, marked(name))
	assert.False(s, marked(clone))
}

func testParentSnapshotGoes(s *suite) {
	if !s.h.CloneV2 {
		s.Skip("clones of version 1 keep their parent's snapshot")
	}
	p := data(mib)
	name := s.base("a", "s.clone_snap", mib, p)
	first, second := s.clone(name, "s.clone_snap", "b", usual), s.clone(name, "s.clone_snap", "c", usual)
	i := s.open(s.pool, name, ceph.OpenOptions{})
	require.NoError(s, i.Protect(s.ctx, "s.clone_snap"))
	require.NoError(s, i.Unprotect(s.ctx, "s.clone_snap"), "with children")
	snap := s.snapshots(i)[0]
	require.NoError(s, i.RemoveSnapshot(s.ctx, "s.clone_snap"))

	list := s.snapshots(i)
	require.Len(s, list, 1)
	assert.True(s, list[0].Trashed)
	assert.Equal(s, snap.ID, list[0].ID)
	assert.Equal(s, mib, list[0].Bytes)
	uuid := list[0].Name
	assert.Regexp(s, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, uuid)
	for _, clone := range []string{first, second} {
		s.with(clone, func(i ceph.Image) {
			s.holds(i, p, 0)
			parent, err := i.Parent(s.ctx)
			require.NoError(s, err)
			assert.Equal(s, name, parent.Image)
			assert.Equal(s, uuid, parent.Snapshot)
			assert.True(s, parent.SnapshotTrashed)
		})
	}
	assert.Len(s, s.children(name, ""), 2)
	s.trashedSnapshotRefused(i, name, uuid)

	require.NoError(s, i.CreateSnapshot(s.ctx, "s.clone_snap"), "the name is free again")
	require.NoError(s, i.RemoveSnapshot(s.ctx, "s.clone_snap"))
	require.NoError(s, i.Close())
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOTEMPTY)

	s.with(first, func(i ceph.Image) { require.NoError(s, i.Flatten(s.ctx)) })
	s.with(name, func(i ceph.Image) { assert.Len(s, s.snapshots(i), 1) })
	require.NoError(s, s.pool.Remove(s.ctx, second))
	s.eventually(func() error { return s.pool.Remove(s.ctx, name) })
	s.with(first, func(i ceph.Image) { s.holds(i, p, 0) })
}

// trashedSnapshotRefused: by its new name it cannot be used.
func (s *suite) trashedSnapshotRefused(i ceph.Image, image, snapshot string) {
	s.Helper()
	_, err := s.pool.Open(s.ctx, image, ceph.OpenOptions{Snapshot: snapshot})
	s.refused(err, syscall.ENOENT)
	s.refused(i.RemoveSnapshot(s.ctx, snapshot), syscall.ENOENT)
	s.refused(i.RenameSnapshot(s.ctx, snapshot, "x"), syscall.ENOENT)
	s.refused(i.Protect(s.ctx, snapshot), syscall.ENOENT)
	s.refused(i.Unprotect(s.ctx, snapshot), syscall.ENOENT)
	s.refused(i.RollBack(s.ctx, snapshot), syscall.ENOENT)
	err = s.pool.Clone(s.ctx, image, snapshot, s.prefix+"none", ceph.ImageOptions{Features: usual})
	s.refused(err, syscall.ENOENT)
}

func testParentSnapshotStays(s *suite) {
	if s.h.CloneV2 {
		s.Skip("clones of version 2 let their parent's snapshot go")
	}
	name := s.base("a", "s", mib, data(mib))
	clone := s.clone(name, "s", "b", usual)
	s.with(name, func(i ceph.Image) {
		s.refused(i.Unprotect(s.ctx, "s"), syscall.EBUSY)
		s.refused(i.RemoveSnapshot(s.ctx, "s"), syscall.EBUSY)
		assert.Equal(s, []string{"s"}, s.snapshotNames(i))
	})
	id := s.trashed(clone, 0)
	s.with(name, func(i ceph.Image) { s.refused(i.Unprotect(s.ctx, "s"), syscall.EBUSY) })
	require.NoError(s, s.pool.TrashRemove(s.ctx, id))
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.Unprotect(s.ctx, "s"))
		require.NoError(s, i.RemoveSnapshot(s.ctx, "s"))
	})
	require.NoError(s, s.pool.Remove(s.ctx, name))
}

// testChain: a clone of a clone of a clone.
func testChain(s *suite) {
	want := data(4 * mib)
	names := []string{s.base("0", "s", 4*mib, want)}
	for n := range 3 {
		clone := s.clone(names[n], "s", fmt.Sprint(n+1), usual)
		w := data(mib)
		want = join(want[:int64(n)*mib+5], w, want[int64(n+1)*mib+5:])
		s.with(clone, func(i ceph.Image) {
			s.write(i, w, int64(n)*mib+5)
			s.holds(i, want, 0)
		})
		s.snap(clone, "s")
		names = append(names, clone)
	}
	last := names[3]
	for n := 3; n > 0; n-- {
		s.with(names[n], func(i ceph.Image) {
			parent, err := i.Parent(s.ctx)
			require.NoError(s, err)
			assert.Equal(s, names[n-1], parent.Image)
		})
		assert.Len(s, s.children(names[n-1], "s"), 1)
	}
	s.with(names[2], func(i ceph.Image) { require.NoError(s, i.Flatten(s.ctx)) })
	s.with(last, func(i ceph.Image) { s.holds(i, want, 0) })
	s.with(names[1], func(i ceph.Image) {
		require.NoError(s, i.Flatten(s.ctx))
		require.NoError(s, i.Resize(s.ctx, 0))
	})
	require.NoError(s, s.scrap(s.ctx, names[1]))
	require.NoError(s, s.scrap(s.ctx, names[0]))
	s.with(last, func(i ceph.Image) {
		s.holds(i, want, 0)
		require.NoError(s, i.Flatten(s.ctx))
		s.holds(i, want, 0)
	})
}

func (s *suite) children(name, snapshot string) []ceph.Child {
	s.Helper()
	i, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{Snapshot: snapshot, ReadOnly: true})
	require.NoError(s, err)
	defer func() { assert.NoError(s, i.Close()) }()
	list, err := i.Children(s.ctx)
	require.NoError(s, err)
	return list
}

func (s *suite) child(name string) ceph.Child {
	return ceph.Child{Pool: s.name, Image: name, ImageID: s.id(name)}
}

func testChildren(s *suite) {
	name := s.base("a", "1", mib, data(kib))
	s.snap(name, "2")
	s.snap(name, "3")
	assert.Empty(s, s.children(name, ""))
	assert.Empty(s, s.children(name, "1"))
	b, c, d := s.clone(name, "1", "b", usual), s.clone(name, "1", "c", usual), s.clone(name, "2", "d", usual)
	kb, kc, kd := s.child(b), s.child(c), s.child(d)

	assert.ElementsMatch(s, []ceph.Child{kb, kc, kd}, s.children(name, ""))
	assert.ElementsMatch(s, []ceph.Child{kb, kc}, s.children(name, "1"))
	assert.ElementsMatch(s, []ceph.Child{kd}, s.children(name, "2"))
	assert.Empty(s, s.children(name, "3"))

	id := s.trashed(c, 0)
	kc.InTrash = true
	assert.ElementsMatch(s, []ceph.Child{kb, kc}, s.children(name, "1"))
	require.NoError(s, s.pool.Rename(s.ctx, b, b+"2"))
	kb.Image = b + "2"
	assert.ElementsMatch(s, []ceph.Child{kb, kc, kd}, s.children(name, ""))

	require.NoError(s, s.pool.TrashRemove(s.ctx, id))
	s.with(kb.Image, func(i ceph.Image) { require.NoError(s, i.Flatten(s.ctx)) })
	require.NoError(s, s.pool.Remove(s.ctx, d))
	assert.Empty(s, s.children(name, ""))
}

func testParent(s *suite) {
	name := s.base("a", "s", mib, data(kib))
	clone := s.clone(name, "s", "b", usual)
	want := &ceph.Parent{Pool: s.name, Image: name, ImageID: s.id(name), Snapshot: "s"}
	is := func(i ceph.Image) {
		s.Helper()
		parent, err := i.Parent(s.ctx)
		require.NoError(s, err)
		assert.Equal(s, want, parent)
	}
	none := func(i ceph.Image) {
		s.Helper()
		_, err := i.Parent(s.ctx)
		s.refused(err, syscall.ENOENT)
	}
	s.with(name, none)
	s.at(name, "s", none)
	s.with(clone, func(i ceph.Image) {
		require.NoError(s, i.CreateSnapshot(s.ctx, "k"))
		is(i)
	})
	s.at(clone, "k", is)
	require.NoError(s, s.pool.Rename(s.ctx, name, name+"2"))
	want.Image = name + "2"
	s.with(clone, is)
	s.with(want.Image, func(i ceph.Image) { require.NoError(s, i.RenameSnapshot(s.ctx, "s", "t")) })
	want.Snapshot = "t"
	s.with(clone, is)
	s.at(clone, "k", is)
	s.with(clone, func(i ceph.Image) {
		require.NoError(s, i.RemoveSnapshot(s.ctx, "k"))
		require.NoError(s, i.Flatten(s.ctx))
		none(i)
	})
}

func testFlatten(s *suite) {
	p := data(4 * mib)
	name := s.base("a", "s", 4*mib, p)
	s.with(name, func(i ceph.Image) { s.refused(i.Flatten(s.ctx), syscall.EINVAL) })
	clone := s.clone(name, "s", "b", usual)
	w := data(100)
	s.with(clone, func(i ceph.Image) {
		s.write(i, w, 2*mib-50)
		require.NoError(s, i.Flatten(s.ctx))
		s.refused(i.Flatten(s.ctx), syscall.EINVAL)
	})
	require.NoError(s, s.scrap(s.ctx, name))
	s.with(clone, func(i ceph.Image) { s.holds(i, join(p[:2*mib-50], w, p[2*mib+50:]), 0) })
}

// testFlattenDeep: the snapshots of a clone forget the parent with it.
func testFlattenDeep(s *suite) {
	p := data(mib)
	name := s.base("a", "s", mib, p)
	clone := s.clone(name, "s", "b", usual)
	s.snap(clone, "k")
	grandchild := s.clone(clone, "k", "c", usual)
	s.with(clone, func(i ceph.Image) { require.NoError(s, i.Flatten(s.ctx)) })
	s.at(clone, "k", func(i ceph.Image) {
		_, err := i.Parent(s.ctx)
		s.refused(err, syscall.ENOENT)
		s.holds(i, p, 0)
	})
	assert.Empty(s, s.children(name, ""))
	require.NoError(s, s.scrap(s.ctx, name))
	s.with(grandchild, func(i ceph.Image) { s.holds(i, p, 0) })
}

// testFlattenNotDeep: without the feature they keep it.
func testFlattenNotDeep(s *suite) {
	p := data(mib)
	name := s.base("a", "s", mib, p)
	clone := s.clone(name, "s", "b", usual&^ceph.FeatureDeepFlatten)
	i := s.open(s.pool, clone, ceph.OpenOptions{})
	require.NoError(s, i.CreateSnapshot(s.ctx, "k"))
	require.NoError(s, i.Flatten(s.ctx))
	_, err := i.Parent(s.ctx)
	s.refused(err, syscall.ENOENT)
	s.refused(i.Flatten(s.ctx), syscall.EINVAL)
	s.at(clone, "k", func(i ceph.Image) {
		parent, err := i.Parent(s.ctx)
		require.NoError(s, err)
		assert.Equal(s, name, parent.Image)
		s.holds(i, p, 0)
	})
	assert.Len(s, s.children(name, "s"), 1)
	s.write(i, data(mib), 0)
	require.NoError(s, i.RollBack(s.ctx, "k"))
	s.holds(i, p, 0)
	require.NoError(s, i.RemoveSnapshot(s.ctx, "k"))
	assert.Empty(s, s.children(name, "s"))
	require.NoError(s, s.scrap(s.ctx, name))
	s.holds(i, p, 0)
}

func testCopy(s *suite) {
	p := data(4 * mib)
	name := s.base("a", "s", 4*mib, p)
	clone := s.clone(name, "s", "b", usual)
	w := data(mib)
	s.with(clone, func(i ceph.Image) {
		s.write(i, w, mib)
		require.NoError(s, i.CreateSnapshot(s.ctx, "k"))
		require.NoError(s, i.Resize(s.ctx, 5*mib))
		require.NoError(s, i.SetMetadata(s.ctx, "k", "v"))
	})
	target := s.prefix + "c"
	options := ceph.ImageOptions{Features: usual, Order: 22}
	require.NoError(s, s.pool.Copy(s.ctx, clone, target, options))
	s.with(target, func(i ceph.Image) {
		info := s.info(i)
		assert.Equal(s, 5*mib, info.Bytes)
		assert.Equal(s, usual, info.Features)
		assert.Equal(s, 22, info.Order)
		assert.Empty(s, s.snapshots(i))
		s.holds(i, join(p[:mib], w, p[2*mib:], zeros(mib)), 0)
		_, err := i.Parent(s.ctx)
		s.refused(err, syscall.ENOENT)
		all, err := i.Metadata(s.ctx)
		require.NoError(s, err)
		assert.Equal(s, map[string]string{"k": "v"}, all)
	})
	s.refused(s.pool.Copy(s.ctx, clone, target, options), syscall.EEXIST)
	s.refused(s.pool.Copy(s.ctx, clone, clone, options), syscall.EEXIST)
	s.refused(s.pool.Copy(s.ctx, s.prefix+"none", s.prefix+"d", options), syscall.ENOENT)
	s.with(target, func(i ceph.Image) { s.write(i, w, 0) })
	s.with(clone, func(i ceph.Image) { s.holds(i, p[:mib], 0) })
}
