// SPDX-License-Identifier: Apache-2.0

package cephtest

import (
	"encoding/json"
	"strconv"
	"syscall"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

func testConnection(s *suite) {
	assert.NotEmpty(s, s.cluster.FSID())
	features, err := s.cluster.Option("rbd_default_features")
	require.NoError(s, err)
	number, err := strconv.ParseUint(features, 10, 64)
	require.NoError(s, err, "a number, as text")
	assert.NotZero(s, number&ceph.FeatureLayering)
	_, err = s.cluster.Option("cephtest_no_such_option")
	s.refused(err, syscall.ENOENT)
	_, err = s.cluster.Pool(s.ctx, s.prefix+"nopool")
	s.refused(err, syscall.ENOENT)

	second, _ := s.connect()
	assert.Equal(s, s.cluster.FSID(), second.FSID())
}

func (s *suite) command(into any, args map[string]string) {
	s.Helper()
	args["format"] = "json"
	text, err := json.Marshal(args)
	require.NoError(s, err)
	answer, err := s.cluster.Command(s.ctx, string(text))
	require.NoError(s, err)
	require.NoError(s, json.Unmarshal(answer, into))
}

func testCommands(s *suite) {
	var df struct {
		Stats struct {
			TotalBytes int64 `json:"total_bytes"`
		}
		Pools []struct {
			Name  string
			Stats struct {
				Stored   *int64
				MaxAvail int64 `json:"max_avail"`
			}
		}
	}
	s.eventually(func() error { // a new cluster's manager counts a little later
		s.command(&df, map[string]string{"prefix": "df"})
		for _, p := range df.Pools {
			if p.Name == s.name && p.Stats.Stored != nil && p.Stats.MaxAvail > 0 && df.Stats.TotalBytes > 0 {
				return nil
			}
		}
		return syscall.EAGAIN
	})

	var quota struct {
		PoolName string `json:"pool_name"`
		Bytes    *int64 `json:"quota_max_bytes"`
	}
	s.command(&quota, map[string]string{"prefix": "osd pool get-quota", "pool": s.name})
	assert.Equal(s, s.name, quota.PoolName)
	assert.NotNil(s, quota.Bytes)

	var dump struct {
		FSID string
		Mons []struct{ Addr string }
	}
	s.command(&dump, map[string]string{"prefix": "mon dump"})
	assert.Equal(s, s.cluster.FSID(), dump.FSID)
	require.NotEmpty(s, dump.Mons)
	assert.Regexp(s, `^.+:[0-9]+/[0-9]+$`, dump.Mons[0].Addr)

	for command, number := range map[string]syscall.Errno{
		`{"prefix":"cephtest no such command"}`: syscall.EINVAL,
		`{}`:                                    syscall.EINVAL,
		`no json`:                               syscall.EINVAL,
		`{"prefix":"osd pool get-quota","pool":"cephtest-none","format":"json"}`: syscall.ENOENT,
	} {
		_, err := s.cluster.Command(s.ctx, command)
		s.refused(err, number)
	}
}

func testCloseConnection(s *suite) {
	name := s.create("a", mib)
	cluster, poolName := s.connect()
	pool, err := cluster.Pool(s.ctx, poolName)
	require.NoError(s, err)
	image, err := pool.Open(s.ctx, name, ceph.OpenOptions{})
	require.NoError(s, err)
	require.NoError(s, image.Close())

	require.NoError(s, cluster.Close())
	_, err = cluster.Pool(s.ctx, poolName)
	assert.Error(s, err)
	_, err = cluster.Command(s.ctx, `{"prefix":"mon dump","format":"json"}`)
	assert.Error(s, err)
	_, err = pool.Images(s.ctx)
	assert.Error(s, err)
	assert.Error(s, pool.Remove(s.ctx, name))
	_, err = image.Info(s.ctx)
	assert.Error(s, err)
	assert.NoError(s, cluster.Close(), "a second time")
	assert.True(s, s.listed(name), "others go on")
}

// testOtherConnection: two connections see the same.
func testOtherConnection(s *suite) {
	other := s.other()
	name := s.create("a", 4*mib)
	mine := s.open(s.pool, name, ceph.OpenOptions{})
	theirs := s.open(other, name, ceph.OpenOptions{})
	first, second := data(mib), data(mib)

	s.write(mine, first, 0)
	s.write(theirs, second, mib) // the lock goes to and fro
	s.write(mine, first, 2*mib)
	s.holds(theirs, join(first, second, first, zeros(mib)), 0)

	require.NoError(s, theirs.Resize(s.ctx, 8*mib))
	require.NoError(s, theirs.CreateSnapshot(s.ctx, "theirs"))
	require.NoError(s, mine.CreateSnapshot(s.ctx, "mine"))
	s.eventually(func() error {
		info, err := mine.Info(s.ctx)
		if err == nil && info.Bytes != 8*mib {
			err = syscall.EAGAIN
		}
		return err
	})
	assert.Equal(s, []string{"theirs", "mine"}, s.snapshotNames(mine))
	s.refused(mine.CreateSnapshot(s.ctx, "theirs"), syscall.EEXIST)
	require.NoError(s, mine.RemoveSnapshot(s.ctx, "theirs"))
	s.refused(theirs.RemoveSnapshot(s.ctx, "theirs"), syscall.ENOENT)
}
