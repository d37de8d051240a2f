// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"strings"
	"syscall"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func testSnapshots(s *suite) {
	name := s.create("a", 4*mib)
	names := []string{"zz", "a b", "a@b/c", "ü", strings.Repeat("n", 400), "aa"}
	s.with(name, func(i ceph.Image) {
		for n, snap := range names {
			require.NoError(s, i.Resize(s.ctx, int64(n+1)*mib))
			require.NoError(s, i.CreateSnapshot(s.ctx, snap))
		}
		list := s.snapshots(i)
		require.Len(s, list, len(names))
		for n, snap := range list {
			assert.Equal(s, names[n], snap.Name, "in the order they were made")
			assert.Equal(s, int64(n+1)*mib, snap.Bytes)
			assert.False(s, snap.Protected || snap.Trashed)
			if n > 0 {
				assert.Greater(s, snap.ID, list[n-1].ID)
			}
		}
		require.NoError(s, i.RenameSnapshot(s.ctx, "zz", "new"))
		renamed := s.snapshots(i)
		assert.Equal(s, list[0].ID, renamed[0].ID)
		require.NoError(s, i.CreateSnapshot(s.ctx, "zz"))
		require.NoError(s, i.RemoveSnapshot(s.ctx, "a b"))
		assert.Equal(s, append([]string{"new"}, append(names[2:], "zz")...), s.snapshotNames(i))
	})
	s.at(name, "new", func(i ceph.Image) { assert.Equal(s, mib, s.info(i).Bytes) })
}

func testSnapshotsRefused(s *suite) {
	name := s.create("a", mib)
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
		require.NoError(s, i.CreateSnapshot(s.ctx, "t"))
		s.refused(i.CreateSnapshot(s.ctx, "s"), syscall.EEXIST)
		s.refused(i.RemoveSnapshot(s.ctx, "none"), syscall.ENOENT)
		s.refused(i.RenameSnapshot(s.ctx, "none", "x"), syscall.ENOENT)
		s.refused(i.RenameSnapshot(s.ctx, "s", "t"), syscall.EEXIST)
		s.refused(i.RenameSnapshot(s.ctx, "s", "s"), syscall.EEXIST)
		s.refused(i.Protect(s.ctx, "none"), syscall.ENOENT)
		s.refused(i.Unprotect(s.ctx, "none"), syscall.ENOENT)
		s.refused(i.Unprotect(s.ctx, "s"), syscall.EINVAL)
		s.refused(i.RollBack(s.ctx, "none"), syscall.ENOENT)
		assert.Equal(s, []string{"s", "t"}, s.snapshotNames(i))
	})
}

func testProtect(s *suite) {
	name := s.create("a", mib)
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
		require.NoError(s, i.Protect(s.ctx, "s"))
		assert.True(s, s.snapshots(i)[0].Protected)
		s.refused(i.Protect(s.ctx, "s"), syscall.EBUSY)
		s.refused(i.RemoveSnapshot(s.ctx, "s"), syscall.EBUSY)
		require.NoError(s, i.RenameSnapshot(s.ctx, "s", "t"))
		assert.True(s, s.snapshots(i)[0].Protected)
		require.NoError(s, i.RollBack(s.ctx, "t"))
	})
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOTEMPTY)
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.Unprotect(s.ctx, "t"))
		assert.False(s, s.snapshots(i)[0].Protected)
		s.refused(i.Unprotect(s.ctx, "t"), syscall.EINVAL)
		require.NoError(s, i.RemoveSnapshot(s.ctx, "t"))
	})

	bare := s.prefix + "bare"
	options := ceph.ImageOptions{Features: ceph.FeatureExclusiveLock}
	require.NoError(s, s.pool.Create(s.ctx, bare, mib, options))
	s.with(bare, func(i ceph.Image) {
		require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
		s.refused(i.Protect(s.ctx, "s"), syscall.ENOSYS)
	})
}

// testSnapshotData: writing, shrinking and growing leave snapshots alone.
func testSnapshotData(s *suite) {
	name := s.create("a", 8*mib)
	a, b, c := data(8*mib), data(2*mib), data(100)
	i := s.open(s.pool, name, ceph.OpenOptions{})
	s.write(i, a, 0)
	require.NoError(s, i.CreateSnapshot(s.ctx, "1"))
	s.write(i, b, 3*mib)
	require.NoError(s, i.CreateSnapshot(s.ctx, "2"))
	s.write(i, c, 4*mib-50)
	require.NoError(s, i.Resize(s.ctx, 4*mib+50))
	require.NoError(s, i.CreateSnapshot(s.ctx, "3"))
	require.NoError(s, i.Resize(s.ctx, 0))
	require.NoError(s, i.Resize(s.ctx, 8*mib))

	second := join(a[:3*mib], b, a[5*mib:])
	third := join(second[:4*mib-50], c)
	s.at(name, "1", func(i ceph.Image) { s.holds(i, a, 0) })
	s.at(name, "2", func(i ceph.Image) { s.holds(i, second, 0) })
	s.at(name, "3", func(i ceph.Image) {
		assert.Equal(s, 4*mib+50, s.info(i).Bytes)
		s.holds(i, third, 0)
		s.refused(i.ReadAt(s.ctx, zeros(1), 4*mib+50), syscall.EINVAL)
	})
	s.holds(i, zeros(8*mib), 0)

	require.NoError(s, i.RemoveSnapshot(s.ctx, "2"))
	s.at(name, "1", func(i ceph.Image) { s.holds(i, a, 0) })
	s.at(name, "3", func(i ceph.Image) { s.holds(i, third, 0) })
}

func testRollBack(s *suite) {
	name := s.create("a", 6*mib)
	a, b := data(6*mib), data(4*mib)
	i := s.open(s.pool, name, ceph.OpenOptions{})
	s.write(i, a, 0)
	require.NoError(s, i.CreateSnapshot(s.ctx, "large"))
	require.NoError(s, i.Resize(s.ctx, 4*mib))
	s.write(i, b, 0)
	require.NoError(s, i.CreateSnapshot(s.ctx, "small"))

	require.NoError(s, i.RollBack(s.ctx, "large"))
	assert.Equal(s, 6*mib, s.info(i).Bytes)
	s.holds(i, a, 0)
	require.NoError(s, i.RollBack(s.ctx, "small"))
	assert.Equal(s, 4*mib, s.info(i).Bytes)
	s.holds(i, b, 0)
	require.NoError(s, i.Resize(s.ctx, 6*mib))
	s.holds(i, join(b, zeros(2*mib)), 0)
	assert.Equal(s, []string{"large", "small"}, s.snapshotNames(i))
	s.write(i, a, 0)
	s.at(name, "small", func(i ceph.Image) { s.holds(i, b, 0) })
}
