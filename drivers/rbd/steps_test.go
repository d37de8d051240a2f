// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

var errInjected = errors.New("injected fault")

// steps stands between the driver and the cluster: it counts the calls, and has
// one of them go wrong.
type steps struct {
	mu    sync.Mutex
	ops   []string // since plan
	at    int      // the call that goes wrong, from 1; 0 is none
	after bool     // after it has acted
	wrong func() error
}

func (s *steps) plan(at int, after bool, wrong func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops, s.at, s.after, s.wrong = nil, at, after, wrong
}

func (s *steps) counted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops
}

func (s *steps) do(op string, act func() error) error {
	s.mu.Lock()
	s.ops = append(s.ops, op)
	hit, after, wrong := len(s.ops) == s.at, s.after, s.wrong
	s.mu.Unlock()
	if hit && !after {
		return wrong()
	}
	err := act()
	if hit && err == nil {
		return wrong()
	}
	return err
}

func step[T any](s *steps, op string, act func() (T, error)) (value T, err error) {
	err = s.do(op, func() (err error) {
		value, err = act()
		return err
	})
	return value, err
}

type steppedCluster struct {
	ceph.Cluster
	s *steps
}

func (c steppedCluster) Command(ctx context.Context, command string) ([]byte, error) {
	return step(c.s, "command", func() ([]byte, error) { return c.Cluster.Command(ctx, command) })
}

func (c steppedCluster) Pool(ctx context.Context, name string) (ceph.Pool, error) {
	p, err := step(c.s, "pool", func() (ceph.Pool, error) { return c.Cluster.Pool(ctx, name) })
	return steppedPool{p, c.s}, err
}

type steppedPool struct {
	ceph.Pool
	s *steps
}

func (p steppedPool) Images(ctx context.Context) ([]string, error) {
	return step(p.s, "list", func() ([]string, error) { return p.Pool.Images(ctx) })
}

func (p steppedPool) Create(ctx context.Context, name string, bytes int64, o ceph.ImageOptions) error {
	return p.s.do("create", func() error { return p.Pool.Create(ctx, name, bytes, o) })
}

func (p steppedPool) Clone(ctx context.Context, parent, snapshot, name string, o ceph.ImageOptions) error {
	return p.s.do("clone", func() error { return p.Pool.Clone(ctx, parent, snapshot, name, o) })
}

func (p steppedPool) Copy(ctx context.Context, from, name string, o ceph.ImageOptions) error {
	return p.s.do("copy", func() error { return p.Pool.Copy(ctx, from, name, o) })
}

func (p steppedPool) Remove(ctx context.Context, name string) error {
	return p.s.do("remove", func() error { return p.Pool.Remove(ctx, name) })
}

func (p steppedPool) Rename(ctx context.Context, from, to string) error {
	return p.s.do("rename", func() error { return p.Pool.Rename(ctx, from, to) })
}

func (p steppedPool) TrashMove(ctx context.Context, name string, delay time.Duration) error {
	return p.s.do("trash move", func() error { return p.Pool.TrashMove(ctx, name, delay) })
}

func (p steppedPool) Trash(ctx context.Context) ([]ceph.Trashed, error) {
	return step(p.s, "trash list", func() ([]ceph.Trashed, error) { return p.Pool.Trash(ctx) })
}

func (p steppedPool) TrashRemove(ctx context.Context, id string) error {
	return p.s.do("trash remove", func() error { return p.Pool.TrashRemove(ctx, id) })
}

// Open that fails afterwards leaves nothing open.
func (p steppedPool) Open(ctx context.Context, name string, o ceph.OpenOptions) (ceph.Image, error) {
	var img ceph.Image
	err := p.s.do("open", func() (err error) {
		img, err = p.Pool.Open(ctx, name, o)
		return err
	})
	if err != nil {
		if img != nil {
			err = errors.Join(err, img.Close())
		}
		return nil, err
	}
	return steppedImage{img, p.s}, nil
}

type steppedImage struct {
	ceph.Image
	s *steps
}

func (i steppedImage) Info(ctx context.Context) (*ceph.Info, error) {
	return step(i.s, "info", func() (*ceph.Info, error) { return i.Image.Info(ctx) })
}

func (i steppedImage) Resize(ctx context.Context, bytes int64) error {
	return i.s.do("resize", func() error { return i.Image.Resize(ctx, bytes) })
}

func (i steppedImage) Flatten(ctx context.Context) error {
	return i.s.do("flatten", func() error { return i.Image.Flatten(ctx) })
}

func (i steppedImage) Parent(ctx context.Context) (*ceph.Parent, error) {
	return step(i.s, "parent", func() (*ceph.Parent, error) { return i.Image.Parent(ctx) })
}

func (i steppedImage) Children(ctx context.Context) ([]ceph.Child, error) {
	return step(i.s, "children", func() ([]ceph.Child, error) { return i.Image.Children(ctx) })
}

func (i steppedImage) Watchers(ctx context.Context) ([]string, error) {
	return step(i.s, "watchers", func() ([]string, error) { return i.Image.Watchers(ctx) })
}

func (i steppedImage) SetFeatures(ctx context.Context, mask uint64, on bool) error {
	return i.s.do("features", func() error { return i.Image.SetFeatures(ctx, mask, on) })
}

func (i steppedImage) Snapshots(ctx context.Context) ([]ceph.Snapshot, error) {
	return step(i.s, "snapshots", func() ([]ceph.Snapshot, error) { return i.Image.Snapshots(ctx) })
}

func (i steppedImage) CreateSnapshot(ctx context.Context, name string) error {
	return i.s.do("snapshot create", func() error { return i.Image.CreateSnapshot(ctx, name) })
}

func (i steppedImage) RemoveSnapshot(ctx context.Context, name string) error {
	return i.s.do("snapshot remove", func() error { return i.Image.RemoveSnapshot(ctx, name) })
}

func (i steppedImage) Protect(ctx context.Context, snapshot string) error {
	return i.s.do("protect", func() error { return i.Image.Protect(ctx, snapshot) })
}

func (i steppedImage) Unprotect(ctx context.Context, snapshot string) error {
	return i.s.do("unprotect", func() error { return i.Image.Unprotect(ctx, snapshot) })
}

func (i steppedImage) RollBack(ctx context.Context, snapshot string) error {
	return i.s.do("roll back", func() error { return i.Image.RollBack(ctx, snapshot) })
}

func (i steppedImage) SetMetadata(ctx context.Context, key, value string) error {
	return i.s.do("metadata", func() error { return i.Image.SetMetadata(ctx, key, value) })
}
