// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

// admin connects to the cluster of tools/test-ceph.sh as client.admin.
func admin(t testing.TB) ceph.Cluster {
	t.Helper()
	conf := os.Getenv("CINDERLIB_CEPH_CONF")
	if conf == "" {
		t.Skip("needs Ceph: tools/test-ceph.sh")
	}
	c, err := librbd.Connect(t.Context(), librbd.Config{File: conf, Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

var pools atomic.Int64

// newPool makes a pool that goes with the test.
func newPool(t testing.TB, c ceph.Cluster) string {
	t.Helper()
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), pools.Add(1))
	command := func(text string) {
		t.Helper()
		_, err := c.Command(context.WithoutCancel(t.Context()), strings.ReplaceAll(text, "POOL", name))
		require.NoError(t, err)
	}
	command(`{"prefix":"osd pool create","pool":"POOL","pg_num":4,"pgp_num":4}`)
	t.Cleanup(func() {
		command(`{"prefix":"osd pool delete","pool":"POOL","pool2":"POOL","yes_i_really_really_mean_it":true}`)
	})
	command(`{"prefix":"osd pool application enable","pool":"POOL","app":"rbd"}`)
	return name
}

func options(t testing.TB, pool string) Options {
	t.Helper()
	o, _, err := optdecode.Decode[Options](map[string]any{"volume_backend_name": "rbd", "volume_driver": "rbd", "rbd_pool": pool}, false)
	require.NoError(t, err)
	return o
}

// content reaches an image as a host would.
type content struct {
	ceph.Image
}

func (c content) ReadAt(p []byte, at int64) (int, error) {
	return len(p), c.Image.ReadAt(context.Background(), p, at)
}

func (c content) WriteAt(p []byte, at int64) (int, error) {
	return len(p), c.Image.WriteAt(context.Background(), p, at)
}

func reach(t *testing.T, c ceph.Cluster, info *connector.ConnInfo) driverstest.Data {
	t.Helper()
	data, ok := info.Data.(*connector.RBDData)
	require.True(t, ok)
	pool, name, _ := strings.Cut(data.Name, "/")
	p, err := c.Pool(t.Context(), pool)
	require.NoError(t, err)
	img, err := p.Open(t.Context(), name, ceph.OpenOptions{ReadOnly: data.Shared.AccessMode == connector.ReadOnly})
	require.NoError(t, err)
	return content{img}
}

func TestRealConformance(t *testing.T) {
	c := admin(t)
	driverstest.Run(t, driverstest.Harness{Serial: true, New: func(t *testing.T) *driverstest.Array {
		pool := newPool(t, c)
		env := driverstest.Env(t, "rbd")
		o := options(t, pool)
		o.ConfFile = os.Getenv("CINDERLIB_CEPH_CONF")
		return &driverstest.Array{
			Open: func(t *testing.T) drivers.Driver {
				d, err := open(t.Context(), env, o)
				require.NoError(t, err)
				return d
			},
			Data: func(t *testing.T, info *connector.ConnInfo) driverstest.Data { return reach(t, c, info) },
			Foreign: func(t *testing.T, bytes int64) string {
				p, err := c.Pool(t.Context(), pool)
				require.NoError(t, err)
				require.NoError(t, p.Create(t.Context(), "foreign", bytes, ceph.ImageOptions{}))
				return "foreign"
			},
		}
	}})
}
