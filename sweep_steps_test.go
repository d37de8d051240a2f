// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// steps counts the steps of a verb and acts at one of them.
type steps struct {
	mu    sync.Mutex
	on    bool
	only  string // counts steps whose names begin so
	names []string
	at    int // counted from 1; 0 is never
	after bool
	act   func() error
}

func (s *steps) do(name string, f func() error) error {
	s.mu.Lock()
	act := false
	if s.on && strings.HasPrefix(name, s.only) {
		s.names = append(s.names, name)
		act = len(s.names) == s.at
	}
	s.mu.Unlock()
	if act && !s.after {
		if err := s.act(); err != nil {
			return err
		}
	}
	err := f()
	if act && s.after && err == nil {
		return s.act()
	}
	return err
}

func (s *steps) start(at int, after bool, act func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.names, s.at, s.after, s.act = true, nil, at, after, act
}

func (s *steps) stop() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = false
	return slices.Clone(s.names)
}

// sweepDriver is the file driver with steps. What is exported is kept in a
// file, so that a forgotten export is seen.
type sweepDriver struct {
	d     drivers.Driver
	dir   string
	steps *steps
}

func (d *sweepDriver) Stats(ctx context.Context) (*drivers.Stats, error) { return d.d.Stats(ctx) }
func (d *sweepDriver) Close() error                                      { return d.d.Close() }

func (d *sweepDriver) CreateVolume(ctx context.Context, v *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.CreateVolume", func() error { u, err = d.d.CreateVolume(ctx, v); return err })
	return u, err
}

func (d *sweepDriver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.DeleteVolume", func() error { return d.d.DeleteVolume(ctx, v) })
}

func (d *sweepDriver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	return d.steps.do("driver.ExtendVolume", func() error { return d.d.ExtendVolume(ctx, v, size) })
}

func (d *sweepDriver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.CloneVolume", func() error { u, err = d.d.CloneVolume(ctx, v, src); return err })
	return u, err
}

func (d *sweepDriver) InspectVolume(ctx context.Context, v *drivers.Volume) (s *drivers.VolumeState, err error) {
	err = d.steps.do("driver.InspectVolume", func() error { s, err = d.d.InspectVolume(ctx, v); return err })
	return s, err
}

func (d *sweepDriver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (u *drivers.SnapshotUpdate, err error) {
	err = d.steps.do("driver.CreateSnapshot", func() error { u, err = d.d.CreateSnapshot(ctx, s, v); return err })
	return u, err
}

func (d *sweepDriver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	return d.steps.do("driver.DeleteSnapshot", func() error { return d.d.DeleteSnapshot(ctx, s, v) })
}

func (d *sweepDriver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.VolumeFromSnapshot", func() error { u, err = d.d.VolumeFromSnapshot(ctx, v, s, src); return err })
	return u, err
}

func (d *sweepDriver) export(v *drivers.Volume) string { return filepath.Join(d.dir, "export-"+v.ID) }

func (d *sweepDriver) Export(ctx context.Context, v *drivers.Volume) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.Export", func() error {
		auth := drivers.Secret("CHAP user secret")
		u = &drivers.VolumeUpdate{ProviderAuth: &auth}
		return os.WriteFile(d.export(v), nil, 0o600)
	})
	return u, err
}

func (d *sweepDriver) Unexport(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.Unexport", func() error { return gone(os.Remove(d.export(v))) })
}

// mapping is the trace of one host's access. It is by connection here, so that
// two connections of the same host are told apart.
func (d *sweepDriver) mapping(v *drivers.Volume, a *drivers.Attachment) string {
	return filepath.Join(d.dir, "map-"+v.ID+"-"+a.ID)
}

func (d *sweepDriver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (i *connector.ConnInfo, err error) {
	err = d.steps.do("driver.Connect", func() error {
		if _, err := os.Stat(d.export(v)); err != nil {
			return fmt.Errorf("connect without export: %w", err)
		}
		i, err = d.d.Connect(ctx, v, a)
		if err != nil {
			return err
		}
		i.Protocol = "sweep"
		return os.WriteFile(d.mapping(v, a), nil, 0o600)
	})
	return i, err
}

func (d *sweepDriver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	return d.steps.do("driver.Disconnect", func() error { return gone(os.Remove(d.mapping(v, a))) })
}

func (d *sweepDriver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	return d.steps.do("driver.RevertToSnapshot", func() error { return d.d.(drivers.Reverter).RevertToSnapshot(ctx, v, s) })
}

// RetypeVolume keeps the type in a file.
func (d *sweepDriver) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.RetypeVolume", func() error {
		if u, err = d.d.(drivers.Retyper).RetypeVolume(ctx, v, t); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(d.dir, "type-"+v.ID), []byte(asked(t)), 0o600)
	})
	return u, err
}

// asked is what a type asks for.
func asked(t *drivers.VolumeType) string {
	if t == nil {
		return "nothing"
	}
	text := fmt.Sprint(t.ExtraSpecs)
	if t.QoS != nil {
		text += fmt.Sprint(t.QoS.Specs)
	}
	return text
}

func (d *sweepDriver) ListVolumes(ctx context.Context) (l []drivers.ExistingVolume, err error) {
	err = d.steps.do("driver.ListVolumes", func() error { l, err = d.d.(drivers.Manager).ListVolumes(ctx); return err })
	return l, err
}

func (d *sweepDriver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (u *drivers.VolumeUpdate, err error) {
	err = d.steps.do("driver.ManageVolume", func() error { u, err = d.d.(drivers.Manager).ManageVolume(ctx, v, ref); return err })
	return u, err
}

func (d *sweepDriver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	return d.steps.do("driver.UnmanageVolume", func() error { return d.d.(drivers.Manager).UnmanageVolume(ctx, v) })
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweepStore is a store with steps.
type sweepStore struct {
	persistence.Store
	steps *steps
}

func (s *sweepStore) Volumes(ctx context.Context, f persistence.VolumeFilter) (l []*drivers.Volume, err error) {
	err = s.steps.do("store.Volumes", func() error { l, err = s.Store.Volumes(ctx, f); return err })
	return l, err
}

func (s *sweepStore) Snapshots(ctx context.Context, f persistence.SnapshotFilter) (l []*drivers.Snapshot, err error) {
	err = s.steps.do("store.Snapshots", func() error { l, err = s.Store.Snapshots(ctx, f); return err })
	return l, err
}

func (s *sweepStore) Connections(ctx context.Context, f persistence.ConnectionFilter) (l []*persistence.Connection, err error) {
	err = s.steps.do("store.Connections", func() error { l, err = s.Store.Connections(ctx, f); return err })
	return l, err
}

// Locks are the store's own, if it has any.
func (s *sweepStore) Locks() persistence.Locker {
	if l, ok := s.Store.(persistence.Locking); ok {
		return l.Locks()
	}
	return nil
}

func (s *sweepStore) Write(ctx context.Context, ops ...persistence.Op) error {
	return s.steps.do("store.Write", func() error { return s.Store.Write(ctx, ops...) })
}

// sweepConnector attaches by making a link in the host's folder.
type sweepConnector struct {
	dir   string
	steps *steps
}

func (c *sweepConnector) link(r connector.Request) (path, target string) {
	d, ok := r.Info.Data.(*connector.RawData)
	if ok {
		target, _ = d.Values["device_path"].(string)
	} else if l, ok := r.Info.Data.(*connector.LocalData); ok {
		target = l.DevicePath
	}
	return filepath.Join(c.dir, filepath.Base(target)), target
}

func (c *sweepConnector) Attach(ctx context.Context, r connector.Request) (d *connector.Device, err error) {
	err = c.steps.do("connector.Attach", func() error {
		path, target := c.link(r)
		d = &connector.Device{Type: "local", Path: path}
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil && d != nil { // what failed is taken back by the connector itself
		return nil, errors.Join(err, gone(os.Remove(d.Path)))
	}
	return d, err
}

func (c *sweepConnector) Detach(ctx context.Context, r connector.Request) error {
	return c.steps.do("connector.Detach", func() error {
		path, _ := c.link(r)
		return gone(os.Remove(path))
	})
}

func (c *sweepConnector) Extend(ctx context.Context, r connector.Request) (n int64, err error) {
	err = c.steps.do("connector.Extend", func() error {
		info, err := os.Stat(r.Device.Path)
		if err == nil {
			n = info.Size()
		}
		return err
	})
	return n, err
}

func (c *sweepConnector) Paths(_ context.Context, r connector.Request) ([]string, error) {
	path, _ := c.link(r)
	if _, err := os.Lstat(path); err != nil {
		return nil, gone(err)
	}
	return []string{path}, nil
}
