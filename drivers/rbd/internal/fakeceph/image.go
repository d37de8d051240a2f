// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"syscall"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// image is an image of a pool, in its list or in its trash.
type image struct {
	pool       *pool
	id, name   string
	features   uint64
	order      int
	stripeUnit int64
	head       state
	snaps      []*snapshot
	metadata   map[string]string
	watchers   map[*handle]struct{}
	inTrash    bool
}

// removable says why an image cannot be removed: in this order, as measured.
func (i *image) removable() error {
	switch {
	case len(i.snaps) > 0:
		return syscall.ENOTEMPTY
	case len(i.watchers) > 0:
		return syscall.EBUSY
	}
	return nil
}

// gone is called when it is in no list any more. Who has it open to read goes on
// reading zeros.
func (i *image) gone() {
	i.head.blocks, i.head.link = map[int64][]byte{}, nil
	i.pool.cluster.collect()
}

// current are the features that it has now: those asked for, and that of having
// to do with a clone of version 2.
func (i *image) current() uint64 {
	for _, l := range i.links() {
		if l.v2 {
			return i.features | ceph.FeatureOperations
		}
	}
	for _, s := range i.snaps {
		if _, v2 := s.children(i.pool.cluster); len(v2) > 0 {
			return i.features | ceph.FeatureOperations
		}
	}
	return i.features
}

// open makes a handle.
func (i *image) open(c *connection, o ceph.OpenOptions) (*handle, error) {
	h := &handle{conn: c, image: i, readOnly: o.ReadOnly || o.Snapshot != "", turn: make(chan struct{}, 1)}
	if o.Snapshot != "" {
		snap, err := i.snapshot(o.Snapshot)
		if err != nil {
			return nil, err
		}
		h.snap = snap
	}
	if !h.readOnly {
		i.watchers[h] = struct{}{}
	}
	c.open[h] = struct{}{}
	return h, nil
}

// handle is a ceph.Image.
type handle struct {
	conn     *connection
	image    *image
	snap     *snapshot // nil: the image itself is open
	readOnly bool
	what     string
	turn     chan struct{} // held by the call that is under way
	closed   bool          // of the cluster's mu
}

// state is what reads see. ENOENT: the snapshot was removed.
func (h *handle) state() (*state, error) {
	switch {
	case h.snap == nil:
		return &h.image.head, nil
	case h.snap.removed || h.snap.trashed:
		return nil, syscall.ENOENT
	}
	return &h.snap.state, nil
}

// do runs one call after the other.
func (h *handle) do(ctx context.Context, r request, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r.what = h.what
	return h.conn.do(ctx, r, func() error {
		if h.closed {
			return syscall.EBADF
		}
		return act()
	})
}

func (h *handle) read(ctx context.Context, op string, act func() error) error {
	return h.do(ctx, request{op: op}, act)
}

// change is for what a read-only handle refuses. first, if any, comes before
// that refusal.
func (h *handle) change(ctx context.Context, op string, first, act func() error) error {
	r := request{op: op}
	if !h.readOnly {
		r.changes = h.image.pool
	}
	return h.do(ctx, r, func() error {
		if first != nil {
			if err := first(); err != nil {
				return err
			}
		}
		if h.readOnly {
			return syscall.EROFS
		}
		defer h.conn.cluster.changed()
		return act()
	})
}

// Info implements ceph.Image.
func (h *handle) Info(ctx context.Context) (*ceph.Info, error) {
	var info *ceph.Info
	err := h.read(ctx, "info", func() error {
		s, err := h.state()
		if err != nil {
			return err
		}
		i := h.image
		info = &ceph.Info{
			ID: i.id, Bytes: s.bytes, Features: i.current(), Order: i.order, StripeUnit: i.stripeUnit,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// holds says whether it can have that size: an object map has room for 2^32
// objects.
func (i *image) holds(bytes int64) bool {
	return bytes >= 0 && (i.features&ceph.FeatureObjectMap == 0 || bytes>>i.order <= 1<<32)
}

// Resize implements ceph.Image. EINVAL: it cannot have that size.
func (h *handle) Resize(ctx context.Context, bytes int64) error {
	return h.change(ctx, "resize", nil, func() error {
		if !h.image.holds(bytes) {
			return syscall.EINVAL
		}
		h.image.head.resize(bytes)
		return nil
	})
}

// Watchers implements ceph.Image.
func (h *handle) Watchers(ctx context.Context) ([]string, error) {
	var others []string
	err := h.read(ctx, "watchers", func() error {
		for w := range h.image.watchers {
			if w.conn != h.conn {
				others = append(others, w.conn.address)
			}
		}
		slices.Sort(others)
		return nil
	})
	return others, err
}

// Close implements ceph.Image. It may be called twice.
func (h *handle) Close() error {
	h.conn.cluster.mu.Lock()
	defer h.conn.cluster.mu.Unlock()
	h.close()
	return nil
}

func (h *handle) close() {
	h.closed = true
	delete(h.image.watchers, h)
	delete(h.conn.open, h)
}

// Metadata implements ceph.Image.
func (h *handle) Metadata(ctx context.Context) (map[string]string, error) {
	var all map[string]string
	err := h.read(ctx, "metadata", func() error {
		all = maps.Clone(h.image.metadata)
		return nil
	})
	return all, err
}

// SetMetadata implements ceph.Image. EINVAL: a setting of the image, conf_KEY,
// that does not exist or cannot have that value.
func (h *handle) SetMetadata(ctx context.Context, key, value string) error {
	return h.change(ctx, "metadata set", func() error { return validSetting(key, value) }, func() error {
		h.image.metadata[key] = value
		return nil
	})
}

// RemoveMetadata implements ceph.Image.
func (h *handle) RemoveMetadata(ctx context.Context, key string) error {
	return h.change(ctx, "metadata remove", nil, func() error {
		if _, ok := h.image.metadata[key]; !ok {
			return syscall.ENOENT
		}
		delete(h.image.metadata, key)
		return nil
	})
}

// byID has images in the order librbd lists them in.
func byID(a, b *image) int { return cmp.Compare(a.id, b.id) }
