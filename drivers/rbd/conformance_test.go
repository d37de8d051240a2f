// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/fakeceph"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

const poolName = "volumes"

func options(t testing.TB, pool string, change func(*Options)) Options {
	t.Helper()
	o, _, err := optdecode.Decode[Options](map[string]any{"volume_backend_name": "rbd", "volume_driver": "rbd", "rbd_pool": pool}, false)
	require.NoError(t, err)
	if change != nil {
		change(&o)
	}
	return o
}

// array is a pool to test with. data is a connection of its own.
func array(t *testing.T, data ceph.Cluster, dial dialer, o Options) *driverstest.Array {
	t.Helper()
	env := driverstest.Env(t, "rbd")
	p, err := data.Pool(t.Context(), o.Pool)
	require.NoError(t, err)
	return &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver {
			d, err := openWith(t.Context(), env, o, dial)
			require.NoError(t, err)
			d.tries = 3
			return d
		},
		Data: func(t *testing.T, info *connector.ConnInfo) driverstest.Data {
			d, ok := info.Data.(*connector.RBDData)
			require.True(t, ok)
			_, name, _ := strings.Cut(d.Name, "/")
			img, err := p.Open(t.Context(), name, ceph.OpenOptions{ReadOnly: d.Shared.AccessMode == connector.ReadOnly})
			require.NoError(t, err)
			return content{img}
		},
		Foreign: func(t *testing.T, bytes int64) string {
			require.NoError(t, p.Create(t.Context(), "foreign", bytes, ceph.ImageOptions{}))
			return "foreign"
		},
	}
}

// content reaches an image as a host would.
type content struct{ ceph.Image }

func (c content) ReadAt(p []byte, at int64) (int, error) {
	return len(p), c.Image.ReadAt(context.Background(), p, at)
}

func (c content) WriteAt(p []byte, at int64) (int, error) {
	return len(p), c.Image.WriteAt(context.Background(), p, at)
}

// setUps are ways to use the driver.
var setUps = map[string]func(*Options){
	"as it is":    nil,
	"copies":      func(o *Options) { o.MaxCloneDepth = 0 },
	"short chain": func(o *Options) { o.MaxCloneDepth, o.FlattenFrom = 1, true },
	"trash":       func(o *Options) { o.DeferredDeletion = true },
	"shared pool": func(o *Options) { o.ExclusivePool, o.DynamicTotal = false, false },
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, clones := range []bool{false, true} {
		version := "clones of version 1"
		if clones {
			version = "clones of version 2"
		}
		for name, change := range setUps {
			t.Run(version+", "+name, func(t *testing.T) {
				t.Parallel()
				driverstest.Run(t, driverstest.Harness{New: func(t *testing.T) *driverstest.Array {
					c := fakeceph.New(fakeceph.Options{CloneV2: clones})
					dial := func(ctx context.Context) (ceph.Cluster, error) { return c.Connect(ctx, "cinder") }
					data, err := dial(t.Context())
					require.NoError(t, err)
					t.Cleanup(func() { require.NoError(t, data.Close()) })
					return array(t, data, dial, options(t, poolName, change))
				}})
			})
		}
	}
}
