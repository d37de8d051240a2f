// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/fault"
	_ "github.com/gocinder/cinderlib/persistence/gormdb"
)

// The driver of this file: the driver, with steps in front of a cluster that a
// test chooses by the name of the backend.
func init() {
	drivers.Register("rbd-steps", func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
		dial, _ := dialers.Load(env.Backend)
		d, err := openWith(ctx, env, o, dial.(dialer)) //nolint:forcetypeassert // openWorld puts it there
		if err != nil {
			return nil, err
		}
		opened.Store(env.Backend, d)
		return d, nil
	})
}

// By the name of the backend.
var (
	dialers sync.Map // to dialer
	opened  sync.Map // to *Driver
)

// world is a library with a backend, as one process has it.
type world struct {
	name  string // of the backend
	lib   *cinderlib.Library
	b     *cinderlib.Backend
	steps *steps
}

// openWorld makes a world. Those with the same folder share store and locks.
func openWorld(ctx context.Context, folder, name string, dial dialer, options cinderlib.Options) (*world, error) {
	w := &world{name: name, steps: &steps{}}
	dialers.Store(name, dialer(func(ctx context.Context) (ceph.Cluster, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return steppedCluster{c, w.steps}, nil
	}))
	var err error
	w.lib, err = cinderlib.New(
		cinderlib.WithFileLocksPath(filepath.Join(folder, "locks")),
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + filepath.Join(folder, "db.sqlite")}),
	)
	if err != nil {
		return nil, err
	}
	all := cinderlib.Options{"volume_backend_name": name, "volume_driver": "rbd-steps"}
	maps.Copy(all, options)
	if w.b, err = w.lib.NewBackend(ctx, all); err != nil {
		return nil, fault.Join(err, w.lib.Close(ctx))
	}
	return w, nil
}

// volume finds a volume by the name it was given.
func (w *world) volume(ctx context.Context, name string) (*cinderlib.Volume, error) {
	if err := w.b.Refresh(ctx); err != nil {
		return nil, err
	}
	all, err := w.b.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Name() == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no volume %s", name)
}

func (w *world) snapshot(ctx context.Context, volume string) (*cinderlib.Snapshot, error) {
	v, err := w.volume(ctx, volume)
	if err != nil {
		return nil, err
	}
	all, err := v.Snapshots(ctx)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s has no snapshot", volume)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// clear deletes all there is, in whatever order works.
func (w *world) clear(ctx context.Context) error {
	var last error
	for range 10 {
		if err := w.b.Refresh(ctx); err != nil {
			return err
		}
		volumes, err := w.b.Volumes(ctx)
		if err != nil || len(volumes) == 0 {
			return err
		}
		last = nil
		for _, v := range volumes {
			snapshots, err := v.Snapshots(ctx)
			last = errors.Join(last, err)
			for _, s := range snapshots {
				last = errors.Join(last, s.Delete(ctx))
			}
			last = errors.Join(last, v.Delete(ctx))
		}
	}
	return last
}

// settle does what a program does when it starts again, and finds nothing to do
// the second time.
func (w *world) settle(ctx context.Context) error {
	for round := range 2 {
		settled, err := w.b.Recover(ctx)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if round == 1 && len(settled) > 0 {
			return fmt.Errorf("the second Recover still found %+v", settled)
		}
	}
	return nil
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
