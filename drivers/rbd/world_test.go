// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// world is a library whose driver has steps in front of the cluster.
type world struct {
	*libtest.World

	driver *Driver
	steps  *steps
}

func openWorld(ctx context.Context, folder string, dial dialer, options cinderlib.Options) (*world, error) {
	w := &world{steps: &steps{}}
	stepped := func(ctx context.Context) (ceph.Cluster, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return steppedCluster{c, w.steps}, nil
	}
	driver := drivers.NewRegistration("rbd", func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
		d, err := openWith(ctx, env, o, stepped)
		if err != nil {
			return nil, err
		}
		w.driver = d
		return d, nil
	})
	var err error
	w.World, err = libtest.Open(ctx, folder, options, cinderlib.WithDriver(driver))
	return w, err
}

// purge empties the trash, as the driver does in the background.
func (w *world) purge(ctx context.Context) error {
	return w.driver.do(ctx, "purge", "", func(p ceph.Pool) error {
		for range 3 { // what stands on one another goes one after the other
			if err := w.driver.purge(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// left lists what is in a pool: images, what their snapshots are called, trash.
func left(ctx context.Context, p ceph.Pool) ([]string, error) {
	all, err := p.Images(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Clone(all) {
		err := with(ctx, p, name, toRead, func(img ceph.Image) error {
			snaps, err := img.Snapshots(ctx)
			for _, s := range snaps {
				all = append(all, name+"@"+s.Name)
			}
			return err
		})
		if err := but(err, syscall.ENOENT); err != nil {
			return nil, err
		}
	}
	trash, err := p.Trash(ctx)
	for _, t := range trash {
		all = append(all, "trash: "+t.Name)
	}
	return all, err
}

func requireEmpty(t *testing.T, p ceph.Pool) {
	t.Helper()
	found, err := left(context.WithoutCancel(t.Context()), p)
	require.NoError(t, err)
	require.Empty(t, found, "left in the pool")
}
