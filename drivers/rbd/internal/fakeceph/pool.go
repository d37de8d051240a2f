// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"maps"
	"slices"
	"syscall"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// longestName is what is left of an object's name of 2048 bytes beside "rbd_id.".
const longestName = 2041

// pool is a pool of the cluster.
type pool struct {
	cluster *Cluster
	id      int
	name    string
	quota   int64
	names   map[string]*image
	trash   map[string]*trashed
}

// poolHandle is a ceph.Pool.
type poolHandle struct {
	conn *connection
	pool *pool
}

// find gives an image by its name.
func (p *pool) find(name string) (*image, error) {
	if len(name) > longestName {
		return nil, syscall.ENAMETOOLONG
	}
	if i := p.names[name]; i != nil {
		return i, nil
	}
	return nil, syscall.ENOENT
}

// free says whether an image can have that name.
func (p *pool) free(name string) error {
	switch {
	case name == "":
		return syscall.EINVAL
	case len(name) > longestName:
		return syscall.ENAMETOOLONG
	case p.names[name] != nil:
		return syscall.EEXIST
	}
	return nil
}

func (p *pool) images() []*image {
	all := slices.Collect(maps.Values(p.names))
	for _, t := range p.trash {
		all = append(all, t.image)
	}
	return all
}

// stored counts each block where it was written, as copy on write has it.
func (p *pool) stored() int64 {
	var blocks int64
	for _, i := range p.images() {
		newer := &i.head
		blocks += int64(len(newer.blocks))
		for _, s := range slices.Backward(i.snaps) {
			for n, b := range s.blocks {
				if other := newer.blocks[n]; other == nil || &other[0] != &b[0] {
					blocks++
				}
			}
			newer = &s.state
		}
	}
	return blocks * blockSize
}

func (p *pool) objects() int {
	objects := 0
	for _, i := range p.images() {
		seen := map[int64]bool{}
		for n := range i.head.blocks {
			seen[n*blockSize>>i.order] = true
		}
		objects += len(seen) + 2
	}
	return objects
}

// full says that what changes the pool has to wait, removals too (measured).
func (p *pool) full() bool { return p.quota > 0 && p.stored() >= p.quota }

func (h *poolHandle) read(ctx context.Context, op, what string, act func() error) error {
	return h.conn.do(ctx, request{op: op, what: h.what(what)}, act)
}

func (h *poolHandle) change(ctx context.Context, op, what string, act func() error) error {
	return h.conn.do(ctx, request{op: op, what: h.what(what), changes: h.pool}, func() error {
		defer h.conn.cluster.changed()
		return act()
	})
}

func (h *poolHandle) what(name string) string {
	if name == "" {
		return h.pool.name
	}
	return h.pool.name + "/" + name
}

// Images implements ceph.Pool. Names come sorted.
func (h *poolHandle) Images(ctx context.Context) ([]string, error) {
	var names []string
	err := h.read(ctx, "list", "", func() error {
		names = slices.Sorted(maps.Keys(h.pool.names))
		return nil
	})
	return names, err
}

// Remove implements ceph.Pool.
func (h *poolHandle) Remove(ctx context.Context, name string) error {
	return h.change(ctx, "remove", name, func() error {
		i, err := h.pool.find(name)
		if err != nil {
			return err
		}
		if err := i.removable(); err != nil {
			return err
		}
		delete(h.pool.names, name)
		i.gone()
		return nil
	})
}

// Rename implements ceph.Pool. An image that is open can be renamed.
func (h *poolHandle) Rename(ctx context.Context, from, to string) error {
	return h.change(ctx, "rename", from, func() error {
		i, err := h.pool.find(from)
		if err != nil {
			return err
		}
		if err := h.pool.free(to); err != nil {
			return err
		}
		delete(h.pool.names, from)
		h.pool.names[to], i.name = i, to
		return nil
	})
}

// Open implements ceph.Pool.
func (h *poolHandle) Open(ctx context.Context, name string, o ceph.OpenOptions) (ceph.Image, error) {
	what := name
	if o.Snapshot != "" {
		what += "@" + o.Snapshot
	}
	var opened *handle
	err := h.read(ctx, "open", what, func() error {
		i, err := h.pool.find(name)
		if err != nil {
			return err
		}
		if opened, err = i.open(h.conn, o); err != nil {
			return err
		}
		opened.what = h.what(what)
		return nil
	})
	if err != nil {
		if opened != nil { // its answer was lost
			return nil, lost(opened, err)
		}
		return nil, err
	}
	return opened, nil
}

// lost closes what nobody knows to be open.
func lost(h *handle, err error) error {
	if closing := h.Close(); closing != nil {
		return closing
	}
	return err
}
