// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"slices"
	"syscall"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// links are an image's and its snapshots' on their parents.
func (i *image) links() []*link {
	var all []*link
	if i.head.link != nil {
		all = append(all, i.head.link)
	}
	for _, s := range i.snaps {
		if s.link != nil {
			all = append(all, s.link)
		}
	}
	return all
}

// children are the images that need a snapshot, for themselves or for one of
// their own snapshots.
func (s *snapshot) children(c *Cluster) (v1, v2 []*image) {
	for _, i := range c.all() {
		for _, l := range i.links() {
			if l.snap != s {
				continue
			}
			if l.v2 {
				v2 = append(v2, i)
			} else {
				v1 = append(v1, i)
			}
			break
		}
	}
	return v1, v2
}

// collect forgets the snapshots in the trash whose last clone is gone.
func (c *Cluster) collect() {
	for again := true; again; {
		again = false
		for _, i := range c.all() {
			for _, s := range slices.Clone(i.snaps) {
				if !s.trashed {
					continue
				}
				if v1, v2 := s.children(c); len(v1)+len(v2) == 0 {
					i.drop(s)
					again = true
				}
			}
		}
	}
}

// Flatten implements ceph.Image. With deep flattening its snapshots forget the
// parent too, but not if nothing of the parent was left to read (measured).
func (h *handle) Flatten(ctx context.Context) error {
	return h.change(ctx, "flatten", nil, func() error {
		i := h.image
		if i.head.link == nil {
			return syscall.EINVAL
		}
		deep := i.features&ceph.FeatureDeepFlatten != 0 && i.head.overlap > 0
		i.head.cut()
		for _, s := range i.snaps {
			if deep && s.link != nil {
				s.cut()
			}
		}
		h.conn.cluster.collect()
		return nil
	})
}

// Parent implements ceph.Image. ENOENT too if the image was shrunk to nothing:
// then it is still one of its parent's children (measured).
func (h *handle) Parent(ctx context.Context) (*ceph.Parent, error) {
	var parent *ceph.Parent
	err := h.read(ctx, "parent", func() error {
		s, err := h.state()
		if err != nil {
			return err
		}
		if s.link == nil || s.overlap == 0 {
			return syscall.ENOENT
		}
		of := s.link.parent
		parent = &ceph.Parent{
			Pool: of.pool.name, Image: of.name, ImageID: of.id,
			Snapshot: s.link.snap.name, SnapshotTrashed: s.link.snap.trashed, InTrash: of.inTrash,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parent, nil
}

// Children implements ceph.Image. Each is listed once; the order is that of the
// ids.
func (h *handle) Children(ctx context.Context) ([]ceph.Child, error) {
	var list []ceph.Child
	err := h.read(ctx, "children", func() error {
		if _, err := h.state(); err != nil {
			return err
		}
		for _, i := range h.children() {
			list = append(list, ceph.Child{Pool: i.pool.name, Image: i.name, ImageID: i.id, InTrash: i.inTrash})
		}
		return nil
	})
	return list, err
}

func (h *handle) children() []*image {
	snaps := h.image.snaps
	if h.snap != nil {
		snaps = []*snapshot{h.snap}
	}
	var all []*image
	for _, s := range snaps {
		v1, v2 := s.children(h.conn.cluster)
		all = append(append(all, v1...), v2...)
	}
	slices.SortFunc(all, byID)
	return slices.Compact(all)
}
