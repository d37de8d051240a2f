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

	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
)

// admin connects to the cluster of tools/test-ceph.sh as client.admin.
func admin(t testing.TB) ceph.Cluster {
	t.Helper()
	if confFile() == "" {
		t.Skip("needs Ceph: tools/test-ceph.sh")
	}
	c, err := librbd.Connect(t.Context(), librbd.Config{File: confFile(), Timeout: time.Minute})
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

func confFile() string { return os.Getenv("CINDERLIB_CEPH_CONF") }

func TestCephConformance(t *testing.T) {
	c := admin(t)
	driverstest.Run(t, driverstest.Harness{Serial: true, New: func(t *testing.T) *driverstest.Array {
		o := options(t, newPool(t, c), nil)
		return array(t, c, func(ctx context.Context) (ceph.Cluster, error) {
			return librbd.Connect(ctx, librbd.Config{File: confFile(), Timeout: time.Minute})
		}, o)
	}})
}
