// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"slices"
	"syscall"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// snapshot is one of an image.
type snapshot struct {
	state
	id        uint64
	name      string
	protected bool
	trashed   bool // removed while it had clones of version 2
	removed   bool // for those who have it open
}

// snapshot gives one by its name; not those in the trash.
func (i *image) snapshot(name string) (*snapshot, error) {
	for _, s := range i.snaps {
		if s.name == name && !s.trashed {
			return s, nil
		}
	}
	return nil, syscall.ENOENT
}

// drop forgets a snapshot.
func (i *image) drop(s *snapshot) {
	i.snaps = slices.DeleteFunc(i.snaps, func(other *snapshot) bool { return other == s })
	s.removed, s.link, s.blocks = true, nil, nil
}

// Snapshots implements ceph.Image.
func (h *handle) Snapshots(ctx context.Context) ([]ceph.Snapshot, error) {
	var list []ceph.Snapshot
	err := h.read(ctx, "snapshots", func() error {
		for _, s := range h.image.snaps {
			list = append(list, ceph.Snapshot{
				ID: s.id, Name: s.name, Bytes: s.bytes, Protected: s.protected, Trashed: s.trashed,
			})
		}
		return nil
	})
	return list, err
}

// CreateSnapshot implements ceph.Image.
func (h *handle) CreateSnapshot(ctx context.Context, name string) error {
	return h.change(ctx, "snapshot create", nil, func() error {
		if _, err := h.image.snapshot(name); err == nil {
			return syscall.EEXIST
		}
		h.conn.cluster.snapIDs++
		s := &snapshot{state: h.image.head.copy(), id: h.conn.cluster.snapIDs, name: name}
		h.image.snaps = append(h.image.snaps, s)
		return nil
	})
}

// RemoveSnapshot implements ceph.Image. ENOENT comes before EROFS.
func (h *handle) RemoveSnapshot(ctx context.Context, name string) error {
	var s *snapshot
	find := func() (err error) {
		s, err = h.image.snapshot(name)
		return err
	}
	return h.change(ctx, "snapshot remove", find, func() error {
		v1, v2 := s.children(h.conn.cluster)
		switch {
		case s.protected, len(v1) > 0:
			return syscall.EBUSY
		case len(v2) > 0:
			s.trashed, s.name = true, uuid.NewString()
			return nil
		}
		h.image.drop(s)
		h.conn.cluster.collect()
		return nil
	})
}

// RenameSnapshot implements ceph.Image. ENOENT; EEXIST.
func (h *handle) RenameSnapshot(ctx context.Context, from, to string) error {
	return h.changeSnapshot(ctx, "snapshot rename", from, func(s *snapshot) error {
		if _, err := h.image.snapshot(to); err == nil {
			return syscall.EEXIST
		}
		s.name = to
		return nil
	})
}

// Protect implements ceph.Image. ENOSYS: the image has no layering.
func (h *handle) Protect(ctx context.Context, name string) error {
	return h.changeSnapshot(ctx, "protect", name, func(s *snapshot) error {
		switch {
		case h.image.features&ceph.FeatureLayering == 0:
			return syscall.ENOSYS
		case s.protected:
			return syscall.EBUSY
		}
		s.protected = true
		return nil
	})
}

// Unprotect implements ceph.Image. Clones of version 2 are no hindrance.
func (h *handle) Unprotect(ctx context.Context, name string) error {
	return h.changeSnapshot(ctx, "unprotect", name, func(s *snapshot) error {
		if !s.protected {
			return syscall.EINVAL
		}
		if v1, _ := s.children(h.conn.cluster); len(v1) > 0 {
			return syscall.EBUSY
		}
		s.protected = false
		return nil
	})
}

// RollBack implements ceph.Image.
func (h *handle) RollBack(ctx context.Context, name string) error {
	return h.changeSnapshot(ctx, "roll back", name, func(s *snapshot) error {
		h.image.head.rollBack(&s.state)
		return nil
	})
}

func (h *handle) changeSnapshot(ctx context.Context, op, name string, act func(*snapshot) error) error {
	return h.change(ctx, op, nil, func() error {
		s, err := h.image.snapshot(name)
		if err != nil {
			return err
		}
		return act(s)
	})
}
