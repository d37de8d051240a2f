// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"strings"
	"syscall"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func testCreate(s *suite) {
	for name, c := range map[string]struct {
		bytes    int64
		options  ceph.ImageOptions
		features uint64
		order    int
	}{
		"usual":    {4 * mib, ceph.ImageOptions{Features: usual, Order: 22}, usual, 22},
		"order20":  {4 * mib, ceph.ImageOptions{Features: usual, Order: 20}, usual, 20},
		"smallest": {mib, ceph.ImageOptions{Features: usual, Order: 12}, usual, 12},
		"largest":  {mib, ceph.ImageOptions{Features: usual, Order: 25}, usual, 25},
		"layering": {4 * mib, ceph.ImageOptions{Features: 1, Order: 22}, 1, 22},
		"pair":     {4 * mib, ceph.ImageOptions{Features: 1 | 4 | 8, Order: 22}, 1 | 4 | 8 | 16, 22},
		"odd":      {1000001, ceph.ImageOptions{Features: usual, Order: 22}, usual, 22},
		"none":     {0, ceph.ImageOptions{Features: usual, Order: 22}, usual, 22},
		"large":    {1 << 32, ceph.ImageOptions{Features: usual, Order: 22}, usual, 22},
	} {
		name = s.prefix + name
		require.NoError(s, s.pool.Create(s.ctx, name, c.bytes, c.options))
		assert.True(s, s.listed(name))
		s.with(name, func(i ceph.Image) {
			info := s.info(i)
			assert.NotEmpty(s, info.ID)
			info.ID = ""
			assert.Equal(s, &ceph.Info{
				Bytes: c.bytes, Features: c.features, Order: c.order, StripeUnit: 1 << c.order,
			}, info, name)
			s.holds(i, zeros(min(c.bytes, mib)), 0)
			assert.Empty(s, s.snapshots(i))
		})
	}
	s.createDefault()
}

func (s *suite) createDefault() {
	name := s.prefix + "default"
	require.NoError(s, s.pool.Create(s.ctx, name, mib, ceph.ImageOptions{}))
	s.with(name, func(i ceph.Image) {
		info := s.info(i)
		assert.NotZero(s, info.Features&ceph.FeatureLayering)
		assert.Positive(s, info.Order)
		if !s.h.Real {
			assert.Equal(s, usual, info.Features)
			assert.Equal(s, 22, info.Order)
		}
	})
}

func testCreateRefused(s *suite) {
	name := s.create("a", mib)
	create := func(name string, bytes int64, o ceph.ImageOptions) error {
		return s.pool.Create(s.ctx, name, bytes, o)
	}
	fresh := s.prefix + "b"
	s.refused(create(name, mib, ceph.ImageOptions{Features: usual}), syscall.EEXIST)
	s.refused(create(s.prefix+strings.Repeat("n", 3000), mib, ceph.ImageOptions{Features: usual}), syscall.ENAMETOOLONG)
	s.refused(create(fresh, 1<<62, ceph.ImageOptions{Features: usual}), syscall.EINVAL)
	s.refused(create(fresh, mib, ceph.ImageOptions{Features: usual, Order: 11}), syscall.EDOM)
	s.refused(create(fresh, mib, ceph.ImageOptions{Features: usual, Order: 26}), syscall.EDOM)
	s.refused(create(fresh, mib, ceph.ImageOptions{Features: 1 << 20}), syscall.ENOSYS)
	s.refused(create(fresh, mib, ceph.ImageOptions{Features: 1 | ceph.FeatureObjectMap}), syscall.EINVAL)
	s.refused(create(fresh, mib, ceph.ImageOptions{Features: 1 | ceph.FeatureJournaling}), syscall.EINVAL)
	s.refused(create(fresh, -1, ceph.ImageOptions{Features: usual}), syscall.EINVAL)
	assert.False(s, s.listed(fresh))
}

func testList(s *suite) {
	var mine []string
	for _, n := range []string{"zz", "Mm", "aa", "10", "9"} {
		mine = append(mine, s.create(n, mib))
	}
	list := func() []string {
		names, err := s.pool.Images(s.ctx)
		require.NoError(s, err)
		var found []string
		for _, n := range names {
			if strings.HasPrefix(n, s.prefix) {
				found = append(found, n)
			}
		}
		return found
	}
	assert.ElementsMatch(s, mine, list())
	require.NoError(s, s.pool.Remove(s.ctx, mine[0]))
	s.trashed(mine[1], 0)
	assert.ElementsMatch(s, mine[2:], list())
}

// testNames: librbd takes any text; only its programs split at / and @.
func testNames(s *suite) {
	for _, odd := range []string{
		"with space", " ", "ü-ñ-日本", "a@b", "a/b", `%25#?*\`, "-dash", `quote'"`, "a\nb", ".deleted", strings.Repeat("n", 400),
	} {
		name := s.create(odd, mib)
		require.True(s, s.listed(name), odd)
		p := data(kib)
		s.with(name, func(i ceph.Image) { s.write(i, p, 0) })
		s.snap(name, odd)
		clone := s.clone(name, odd, odd+".clone", usual)
		s.with(clone, func(i ceph.Image) {
			s.holds(i, p, 0)
			parent, err := i.Parent(s.ctx)
			if assert.NoError(s, err) {
				assert.Equal(s, name, parent.Image)
				assert.Equal(s, odd, parent.Snapshot)
			}
		})
		s.at(name, odd, func(i ceph.Image) { s.holds(i, p, 0) })
		require.NoError(s, s.pool.Rename(s.ctx, clone, clone+"2"))
		require.NoError(s, s.pool.Remove(s.ctx, clone+"2"))
		s.trashedAndGone(name)
	}
}

// trashedAndGone removes an image by way of the trash.
func (s *suite) trashedAndGone(name string) {
	s.Helper()
	require.NoError(s, s.scrapSnapshots(s.ctx, name))
	id := s.trashed(name, 0)
	require.NoError(s, s.pool.TrashRemove(s.ctx, id))
	assert.Empty(s, s.inTrash(name))
}

func testOpen(s *suite) {
	name := s.create("a", mib)
	for _, o := range []ceph.OpenOptions{{}, {ReadOnly: true}, {Snapshot: "s"}, {Snapshot: "s", ReadOnly: true}} {
		_, err := s.pool.Open(s.ctx, s.prefix+"none", o)
		s.refused(err, syscall.ENOENT)
	}
	_, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{Snapshot: "none"})
	s.refused(err, syscall.ENOENT)

	s.trashed(name, 0)
	_, err = s.pool.Open(s.ctx, name, ceph.OpenOptions{})
	s.refused(err, syscall.ENOENT)
}

func testCloseImage(s *suite) {
	name := s.create("a", mib)
	i, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{})
	require.NoError(s, err)
	require.NoError(s, i.Close())
	assert.NoError(s, i.Close(), "a second time")
	_, err = i.Info(s.ctx)
	assert.Error(s, err)
	assert.Error(s, i.WriteAt(s.ctx, data(kib), 0))
	assert.Error(s, i.CreateSnapshot(s.ctx, "s"))
	require.NoError(s, s.pool.Remove(s.ctx, name))
}

func testRemove(s *suite) {
	name := s.create("a", mib)
	s.refused(s.pool.Remove(s.ctx, s.prefix+"none"), syscall.ENOENT)

	i := s.open(s.pool, name, ceph.OpenOptions{})
	s.refused(s.pool.Remove(s.ctx, name), syscall.EBUSY)
	s.refused(s.other().Remove(s.ctx, name), syscall.EBUSY)
	require.NoError(s, i.CreateSnapshot(s.ctx, "s"))
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOTEMPTY)
	require.NoError(s, i.Close())
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOTEMPTY)
	s.with(name, func(i ceph.Image) { require.NoError(s, i.RemoveSnapshot(s.ctx, "s")) })

	s.open(s.pool, name, ceph.OpenOptions{ReadOnly: true})
	require.NoError(s, s.pool.Remove(s.ctx, name), "readers do not keep it")
	assert.False(s, s.listed(name))
	s.refused(s.pool.Remove(s.ctx, name), syscall.ENOENT)
}

func testRename(s *suite) {
	a, b, c := s.create("a", mib), s.create("b", mib), s.prefix+"c"
	p := data(kib)
	s.with(a, func(i ceph.Image) { s.write(i, p, 0) })
	id := s.id(a)

	s.refused(s.pool.Rename(s.ctx, s.prefix+"none", c), syscall.ENOENT)
	s.refused(s.pool.Rename(s.ctx, s.prefix+"none", b), syscall.ENOENT)
	s.refused(s.pool.Rename(s.ctx, a, b), syscall.EEXIST)
	s.refused(s.pool.Rename(s.ctx, a, a), syscall.EEXIST)

	open := s.open(s.other(), a, ceph.OpenOptions{})
	require.NoError(s, s.pool.Rename(s.ctx, a, c), "an image that is open")
	assert.False(s, s.listed(a))
	assert.True(s, s.listed(c))
	assert.Equal(s, id, s.id(c))
	s.write(open, p, kib)
	require.NoError(s, open.Close())
	s.with(c, func(i ceph.Image) { s.holds(i, join(p, p), 0) })
}

func testResize(s *suite) {
	name := s.create("a", 8*mib)
	p := data(8 * mib)
	size := func(i ceph.Image, bytes int64) {
		s.Helper()
		require.NoError(s, i.Resize(s.ctx, bytes))
		assert.Equal(s, bytes, s.info(i).Bytes)
	}
	s.with(name, func(i ceph.Image) {
		s.write(i, p, 0)
		size(i, 8*mib)
		size(i, 9*mib)
		s.holds(i, join(p, zeros(mib)), 0)
		size(i, 3*mib+5)
		s.refused(i.ReadAt(s.ctx, zeros(1), 3*mib+5), syscall.EINVAL)
		size(i, 8*mib)
		s.holds(i, join(p[:3*mib+5], zeros(5*mib-5)), 0)
		size(i, 0)
		size(i, 2*mib)
		s.holds(i, zeros(2*mib), 0)
		s.refused(i.Resize(s.ctx, -1), syscall.EINVAL)
		s.refused(i.Resize(s.ctx, 1<<62), syscall.EINVAL)
		assert.Equal(s, 2*mib, s.info(i).Bytes)
	})
}

func testReadWrite(s *suite) {
	name := s.create("a", 12*mib)
	s.with(name, func(i ceph.Image) {
		s.holds(i, zeros(12*mib), 0)
		want := zeros(12 * mib)
		for _, w := range []struct{ at, n int64 }{
			{0, 1}, {4*mib - 3, 7}, {64*kib - 1, 2}, {3 * mib, 6 * mib}, {12*mib - 1, 1}, {5*mib + 511, 513},
		} {
			p := data(w.n)
			s.write(i, p, w.at)
			copy(want[w.at:], p)
		}
		s.holds(i, want, 0)
		s.holds(i, want[4*mib-7:8*mib+9], 4*mib-7)

		for _, at := range []int64{12 * mib, 12*mib - 1, 12*mib + 1, 1 << 50} {
			s.refused(i.ReadAt(s.ctx, zeros(2), at), syscall.EINVAL)
			s.refused(i.WriteAt(s.ctx, want[12*mib-1:12*mib:12*mib], at+1), syscall.EINVAL)
		}
		s.refused(i.ReadAt(s.ctx, zeros(2), -1), syscall.EINVAL)
		s.refused(i.WriteAt(s.ctx, zeros(2), -1), syscall.EINVAL)
		assert.NoError(s, i.ReadAt(s.ctx, nil, 0))
		assert.NoError(s, i.WriteAt(s.ctx, nil, 0))
		assert.NoError(s, i.ReadAt(s.ctx, nil, 12*mib))
		assert.NoError(s, i.WriteAt(s.ctx, nil, 12*mib))
		s.holds(i, want, 0)
	})
	s.with(name, func(i ceph.Image) {
		assert.Equal(s, 12*mib, s.info(i).Bytes, "writing does not grow it")
	})
}

// testReadOnly: what changes an image is refused, of a snapshot too.
func testReadOnly(s *suite) {
	p := data(kib)
	name := s.base("a", "s", mib, p)
	s.with(name, func(i ceph.Image) { require.NoError(s, i.CreateSnapshot(s.ctx, "free")) })
	clone := s.clone(name, "s", "b", usual)
	s.with(clone, func(i ceph.Image) { require.NoError(s, i.CreateSnapshot(s.ctx, "s")) })
	for _, c := range []struct {
		name    string
		options ceph.OpenOptions
	}{
		{name, ceph.OpenOptions{ReadOnly: true}},
		{name, ceph.OpenOptions{Snapshot: "s"}},
		{name, ceph.OpenOptions{Snapshot: "s", ReadOnly: true}},
		{clone, ceph.OpenOptions{ReadOnly: true}},
		{clone, ceph.OpenOptions{Snapshot: "s"}},
	} {
		i := s.open(s.pool, c.name, c.options)
		for what, err := range map[string]error{
			"resize":          i.Resize(s.ctx, 2*mib),
			"flatten":         i.Flatten(s.ctx),
			"features":        i.SetFeatures(s.ctx, ceph.FeatureFastDiff, false),
			"create snapshot": i.CreateSnapshot(s.ctx, "new"),
			"same snapshot":   i.CreateSnapshot(s.ctx, "s"),
			"remove snapshot": i.RemoveSnapshot(s.ctx, "s"),
			"rename snapshot": i.RenameSnapshot(s.ctx, "s", "new"),
			"protect":         i.Protect(s.ctx, "s"),
			"unprotect":       i.Unprotect(s.ctx, "s"),
			"roll back":       i.RollBack(s.ctx, "s"),
			"set metadata":    i.SetMetadata(s.ctx, "k", "v"),
			"remove metadata": i.RemoveMetadata(s.ctx, "k"),
			"write":           i.WriteAt(s.ctx, p, 0),
		} {
			if !assert.ErrorIs(s, err, syscall.EROFS, "%s of %s %+v", what, c.name, c.options) {
				continue
			}
			s.refused(err, syscall.EROFS)
		}
		s.refused(i.WriteAt(s.ctx, p, mib), syscall.EINVAL)
		s.refused(i.RemoveSnapshot(s.ctx, "none"), syscall.ENOENT)
		s.holds(i, p, 0)
		require.NoError(s, i.Close())
	}
}

func testFeatures(s *suite) {
	name := s.create("a", 4*mib)
	i := s.open(s.pool, name, ceph.OpenOptions{})
	p := data(kib)
	for _, c := range []struct {
		mask uint64
		on   bool
		then uint64 // 0: refused
	}{
		{28, false, 33}, {28, false, 0}, {28, true, 61}, {28, true, 0}, {4, true, 0},
		{4, false, 0}, {8, false, 37}, {8, true, 61}, {16, false, 37}, {24, false, 0}, {16, true, 61},
		{1, false, 0}, {1, true, 0}, {2, true, 0}, {128, true, 0}, {256, true, 0}, {1 << 20, true, 0},
		{0, true, 0}, {0, false, 0}, {32, true, 0}, {32, false, 29}, {32, true, 0},
		{64, true, 93}, {4, false, 0}, {92, false, 1},
		{8, true, 0}, {16, true, 0}, {64, true, 0}, {12, true, 29}, {28, false, 1}, {4, true, 5},
	} {
		err := i.SetFeatures(s.ctx, c.mask, c.on)
		if c.then == 0 {
			s.refused(err, syscall.EINVAL)
			continue
		}
		require.NoError(s, err, "%d %v", c.mask, c.on)
		assert.Equal(s, c.then, s.info(i).Features, "%d %v", c.mask, c.on)
		s.write(i, p, 0)
		s.holds(i, p, 0)
	}
}

func testMetadata(s *suite) {
	name := s.create("a", mib)
	get := func(i ceph.Image) map[string]string {
		all, err := i.Metadata(s.ctx)
		require.NoError(s, err)
		return all
	}
	s.with(name, func(i ceph.Image) {
		assert.Empty(s, get(i))
		want := map[string]string{
			"k": "v", "ü key": "日本 value", "empty": "", "lines": "a\nb", "json": `{"a":[1]}`,
			"long": strings.Repeat("x", 5000), "conf_rbd_qos_iops_limit": "100",
		}
		for k, v := range want {
			require.NoError(s, i.SetMetadata(s.ctx, k, "1"))
			require.NoError(s, i.SetMetadata(s.ctx, k, v))
		}
		assert.Equal(s, want, get(i))
		require.NoError(s, i.RemoveMetadata(s.ctx, "k"))
		s.refused(i.RemoveMetadata(s.ctx, "k"), syscall.ENOENT)
		s.refused(i.SetMetadata(s.ctx, "conf_none", "1"), syscall.EINVAL)
		s.refused(i.SetMetadata(s.ctx, "conf_rbd_qos_iops_limit", "zz"), syscall.EINVAL)
		delete(want, "k")
		assert.Equal(s, want, get(i))
	})
	s.manyMetadata(name)
}

// manyMetadata: more than librbd gives at one time.
func (s *suite) manyMetadata(name string) {
	s.with(name, func(i ceph.Image) {
		for n := range 150 {
			require.NoError(s, i.SetMetadata(s.ctx, "many-"+strings.Repeat("k", n+1), "v"))
		}
		all, err := i.Metadata(s.ctx)
		require.NoError(s, err)
		assert.Len(s, all, 156)
	})
}

func testWatchers(s *suite) {
	name := s.create("a", mib)
	s.with(name, func(i ceph.Image) { require.NoError(s, i.CreateSnapshot(s.ctx, "s")) })
	mine := s.open(s.pool, name, ceph.OpenOptions{})
	also := s.open(s.pool, name, ceph.OpenOptions{})
	reader := s.open(s.pool, name, ceph.OpenOptions{ReadOnly: true})
	watched := func(i ceph.Image, n int) {
		s.Helper()
		require.EventuallyWithT(s, func(c *assert.CollectT) {
			who, err := i.Watchers(s.ctx)
			assert.NoError(c, err)
			assert.Len(c, who, n)
			assert.NotContains(c, who, "")
		}, patience, pause)
	}
	watched(mine, 0)
	watched(also, 0)
	watched(reader, 0)

	other := s.other()
	s.open(other, name, ceph.OpenOptions{ReadOnly: true})
	s.open(other, name, ceph.OpenOptions{Snapshot: "s"})
	watched(mine, 0)
	theirs := s.open(other, name, ceph.OpenOptions{})
	watched(mine, 1)
	watched(reader, 1)
	watched(theirs, 2)
	third := s.open(s.other(), name, ceph.OpenOptions{})
	watched(mine, 2)
	require.NoError(s, theirs.Close())
	require.NoError(s, third.Close())
	watched(mine, 0)
}
