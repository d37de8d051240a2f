// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"syscall"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func testTrash(s *suite) {
	name := s.create("a", mib)
	id := s.id(name)
	s.refused(s.pool.TrashMove(s.ctx, s.prefix+"none", 0), syscall.ENOENT)
	s.refused(s.pool.TrashRemove(s.ctx, "0123456789ab"), syscall.ENOENT)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.ENOENT)

	require.Equal(s, id, s.trashed(name, 0))
	assert.False(s, s.listed(name))
	t := s.inTrash(name)[0]
	assert.True(s, t.ByUser)
	assert.WithinDuration(s, time.Now(), t.Until, time.Hour)
	s.refused(s.pool.TrashMove(s.ctx, name, 0), syscall.ENOENT)
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOENT)
	s.refused(s.pool.Rename(s.ctx, name, name+"2"), syscall.ENOENT)

	s.create("a", mib) // its name is free
	require.NoError(s, s.pool.TrashMove(s.ctx, name, 0))
	assert.Len(s, s.inTrash(name), 2)
	require.NoError(s, s.pool.TrashRemove(s.ctx, id))
	assert.Len(s, s.inTrash(name), 1)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.ENOENT)
}

// testTrashDelay: not before it is over, and then at once.
func testTrashDelay(s *suite) {
	name := s.create("a", mib)
	const delay = 3 * time.Second
	id := s.trashed(name, delay)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.EPERM)
	assert.Len(s, s.inTrash(name), 1)
	if s.h.Pass != nil {
		s.h.Pass(delay)
	}
	s.eventually(func() error { return s.pool.TrashRemove(s.ctx, id) })
	assert.Empty(s, s.inTrash(name))
}

func testTrashLong(s *suite) {
	if s.h.Real {
		s.Skip("it would stay in the trash")
	}
	name := s.create("a", mib)
	const delay = 30 * 24 * time.Hour
	before := s.trashed(s.create("b", mib), 0)
	now := s.inTrash(s.prefix + "b")[0].Until
	id := s.trashed(name, delay)
	assert.WithinDuration(s, now.Add(delay), s.inTrash(name)[0].Until, time.Minute)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.EPERM)
	require.NoError(s, s.pool.TrashRemove(s.ctx, before))
}

// testTrashOpen: who has it open goes on writing, and keeps it.
func testTrashOpen(s *suite) {
	name := s.create("a", mib)
	i := s.open(s.other(), name, ceph.OpenOptions{})
	p := data(kib)
	s.write(i, p, 0)
	id := s.trashed(name, 0)
	s.write(i, p, kib)
	s.holds(i, join(p, p), 0)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.EBUSY)
	require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.ENOTEMPTY)
	require.NoError(s, i.RemoveSnapshot(s.ctx, "s"))
	require.NoError(s, i.Close())
	s.eventually(func() error { return s.pool.TrashRemove(s.ctx, id) })
}

// testTrashParent: an image with snapshots and clones can be moved, and goes
// when it has none.
func testTrashParent(s *suite) {
	p := data(mib)
	name := s.base("a", "s", mib, p)
	clone := s.clone(name, "s", "b", usual)
	keep := s.open(s.pool, name, ceph.OpenOptions{}) // nothing in the trash can be opened
	id := s.trashed(name, 0)
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.ENOTEMPTY)
	assert.Len(s, s.inTrash(name), 1)

	s.with(clone, func(i ceph.Image) {
		s.holds(i, p, 0)
		parent, err := i.Parent(s.ctx)
		require.NoError(s, err)
		assert.Equal(s, id, parent.ImageID)
		assert.True(s, parent.InTrash)
		assert.Equal(s, "s", parent.Snapshot)
		if parent.Image != "" {
			assert.Equal(s, name, parent.Image)
		}
		require.NoError(s, i.Flatten(s.ctx))
	})
	if !s.h.CloneV2 {
		require.NoError(s, keep.Unprotect(s.ctx, "s"))
	}
	require.NoError(s, keep.RemoveSnapshot(s.ctx, "s"))
	s.refused(s.pool.TrashRemove(s.ctx, id), syscall.EBUSY)
	require.NoError(s, keep.Close())
	s.eventually(func() error { return s.pool.TrashRemove(s.ctx, id) })
	s.with(clone, func(i ceph.Image) { s.holds(i, p, 0) })
}
