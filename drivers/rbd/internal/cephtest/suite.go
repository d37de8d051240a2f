// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20

	usual = ceph.FeatureLayering | ceph.FeatureExclusiveLock | ceph.FeatureObjectMap |
		ceph.FeatureFastDiff | ceph.FeatureDeepFlatten

	// patience is how long a real cluster may need for what is said to happen.
	patience = 20 * time.Second
	pause    = 20 * time.Millisecond
)

// suite is one subtest: its connection, and the beginning of its names.
type suite struct {
	*testing.T
	h       Harness
	ctx     context.Context
	cluster ceph.Cluster
	pool    ceph.Pool
	name    string // of the pool
	prefix  string
}

func newSuite(t *testing.T, h Harness, name string) *suite {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := &suite{T: t, h: h, ctx: ctx, prefix: "cephtest-" + name + "-" + rand.Text()[:8] + "-"}
	s.cluster, s.name = s.connect()
	pool, err := s.cluster.Pool(ctx, s.name)
	require.NoError(t, err)
	s.pool = pool
	t.Cleanup(s.cleanUp)
	return s
}

func (s *suite) connect() (ceph.Cluster, string) {
	cluster, name := s.h.New(s.T)
	s.Cleanup(func() { assert.NoError(s, cluster.Close()) })
	return cluster, name
}

// other is a further connection.
func (s *suite) other() ceph.Pool {
	cluster, name := s.connect()
	pool, err := cluster.Pool(s.ctx, name)
	require.NoError(s, err)
	return pool
}

// cleanUp removes what has the suite's prefix, clones before their parents.
func (s *suite) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	assert.EventuallyWithT(s, func(c *assert.CollectT) {
		names, err := s.pool.Images(ctx)
		assert.NoError(c, err)
		for _, name := range names {
			if strings.HasPrefix(name, s.prefix) {
				assert.NoError(c, s.scrap(ctx, name))
			}
		}
		trash, err := s.pool.Trash(ctx)
		assert.NoError(c, err)
		for _, t := range trash {
			if strings.HasPrefix(t.Name, s.prefix) && t.Until.Before(time.Now().Add(time.Minute)) {
				assert.NoError(c, s.pool.TrashRemove(ctx, t.ID))
			}
		}
	}, patience, pause)
}

// scrap removes an image with its snapshots, if it has no clones.
func (s *suite) scrap(ctx context.Context, name string) error {
	if err := s.scrapSnapshots(ctx, name); err != nil {
		return err
	}
	return s.pool.Remove(ctx, name)
}

func (s *suite) scrapSnapshots(ctx context.Context, name string) error {
	i, err := s.pool.Open(ctx, name, ceph.OpenOptions{})
	if err != nil {
		return err
	}
	defer func() { assert.NoError(s, i.Close()) }()
	snaps, err := i.Snapshots(ctx)
	for _, snap := range snaps {
		if snap.Trashed || err != nil {
			continue
		}
		if snap.Protected {
			err = i.Unprotect(ctx, snap.Name)
		}
		if err == nil {
			err = i.RemoveSnapshot(ctx, snap.Name)
		}
	}
	return err
}

// create makes an image and gives its whole name.
func (s *suite) create(name string, bytes int64) string {
	s.Helper()
	name = s.prefix + name
	require.NoError(s, s.pool.Create(s.ctx, name, bytes, ceph.ImageOptions{Features: usual}))
	return name
}

// open opens an image that the test closes at its end at the latest.
func (s *suite) open(pool ceph.Pool, name string, o ceph.OpenOptions) ceph.Image {
	s.Helper()
	i, err := pool.Open(s.ctx, name, o)
	require.NoError(s, err)
	s.Cleanup(func() { assert.NoError(s, i.Close()) })
	return i
}

// with runs f with an image that is closed when it ends.
func (s *suite) with(name string, f func(i ceph.Image)) {
	s.Helper()
	i, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{})
	require.NoError(s, err)
	defer func() { assert.NoError(s, i.Close()) }()
	f(i)
}

// at runs f with a snapshot.
func (s *suite) at(name, snapshot string, f func(i ceph.Image)) {
	s.Helper()
	i, err := s.pool.Open(s.ctx, name, ceph.OpenOptions{Snapshot: snapshot, ReadOnly: true})
	require.NoError(s, err)
	defer func() { assert.NoError(s, i.Close()) }()
	f(i)
}

// base makes an image with a snapshot that clones can be made of.
func (s *suite) base(name, snapshot string, bytes int64, data []byte) string {
	s.Helper()
	name = s.create(name, bytes)
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.WriteAt(s.ctx, data, 0))
	})
	s.snap(name, snapshot)
	return name
}

// snap makes a snapshot that clones can be made of.
func (s *suite) snap(name, snapshot string) {
	s.Helper()
	s.with(name, func(i ceph.Image) {
		require.NoError(s, i.CreateSnapshot(s.ctx, snapshot))
		if !s.h.CloneV2 {
			require.NoError(s, i.Protect(s.ctx, snapshot))
		}
	})
}

// clone makes a clone and gives its whole name.
func (s *suite) clone(parent, snapshot, name string, features uint64) string {
	s.Helper()
	name = s.prefix + name
	require.NoError(s, s.pool.Clone(s.ctx, parent, snapshot, name, ceph.ImageOptions{Features: features}))
	return name
}

// refused checks the number and the form of an error.
func (s *suite) refused(err error, number syscall.Errno) {
	s.Helper()
	if !assert.ErrorIs(s, err, number) {
		return
	}
	var e *ceph.Error
	if assert.ErrorAs(s, err, &e) {
		assert.Equal(s, number, e.Errno)
		assert.NotEmpty(s, e.Op)
		assert.NotEmpty(s, e.What)
	}
}

// holds checks what an image reads.
func (s *suite) holds(i ceph.Image, want []byte, at int64) {
	s.Helper()
	got := make([]byte, len(want))
	if assert.NoError(s, i.ReadAt(s.ctx, got, at)) {
		assert.Equal(s, sha256.Sum256(want), sha256.Sum256(got), "%d bytes at %d", len(want), at)
	}
}

func (s *suite) write(i ceph.Image, p []byte, at int64) {
	s.Helper()
	require.NoError(s, i.WriteAt(s.ctx, p, at))
}

func (s *suite) info(i ceph.Image) *ceph.Info {
	s.Helper()
	info, err := i.Info(s.ctx)
	require.NoError(s, err)
	require.NotNil(s, info)
	return info
}

func (s *suite) id(name string) (id string) {
	s.Helper()
	s.with(name, func(i ceph.Image) { id = s.info(i).ID })
	return id
}

func (s *suite) snapshots(i ceph.Image) []ceph.Snapshot {
	s.Helper()
	list, err := i.Snapshots(s.ctx)
	require.NoError(s, err)
	return list
}

func (s *suite) snapshotNames(i ceph.Image) []string {
	s.Helper()
	names := []string{}
	for _, snap := range s.snapshots(i) {
		names = append(names, snap.Name)
	}
	return names
}

// listed says whether the pool lists an image.
func (s *suite) listed(name string) bool {
	s.Helper()
	names, err := s.pool.Images(s.ctx)
	require.NoError(s, err)
	count := 0
	for _, n := range names {
		if n == name {
			count++
		}
	}
	require.LessOrEqual(s, count, 1)
	return count == 1
}

// inTrash finds what has a name.
func (s *suite) inTrash(name string) []ceph.Trashed {
	s.Helper()
	all, err := s.pool.Trash(s.ctx)
	require.NoError(s, err)
	var found []ceph.Trashed
	for _, t := range all {
		if t.Name == name {
			found = append(found, t)
		}
	}
	return found
}

// trashed moves an image to the trash and gives its id.
func (s *suite) trashed(name string, delay time.Duration) string {
	s.Helper()
	require.NoError(s, s.pool.TrashMove(s.ctx, name, delay))
	found := s.inTrash(name)
	require.Len(s, found, 1)
	return found[0].ID
}

// eventually polls for what a real cluster may need a moment for.
func (s *suite) eventually(f func() error) {
	s.Helper()
	require.EventuallyWithT(s, func(c *assert.CollectT) { assert.NoError(c, f()) }, patience, pause)
}

// data is some that no other call gives.
func data(n int64) []byte {
	p := make([]byte, n)
	rand.Read(p)
	return p
}

func zeros(n int64) []byte { return make([]byte, n) }

// join puts pieces after one another.
func join(pieces ...[]byte) []byte { return bytes.Join(pieces, nil) }
