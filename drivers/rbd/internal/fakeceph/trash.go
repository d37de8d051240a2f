// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"cmp"
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// trashed is an image in the trash.
type trashed struct {
	image *image
	until time.Time
}

// TrashMove implements ceph.Pool. The delay is of whole seconds, rounded up.
func (h *poolHandle) TrashMove(ctx context.Context, name string, delay time.Duration) error {
	return h.change(ctx, "trash move", name, func() error {
		i, err := h.pool.find(name)
		if err != nil {
			return err
		}
		delay = (delay + time.Second - 1).Truncate(time.Second)
		delete(h.pool.names, name)
		h.pool.trash[i.id] = &trashed{image: i, until: h.conn.cluster.now().Add(delay)}
		i.inTrash = true
		return nil
	})
}

// Trash implements ceph.Pool. The order is that of the ids; times are of whole
// seconds, as librbd gives them.
func (h *poolHandle) Trash(ctx context.Context) ([]ceph.Trashed, error) {
	var list []ceph.Trashed
	err := h.read(ctx, "trash list", "", func() error {
		for id, t := range h.pool.trash {
			list = append(list, ceph.Trashed{
				ID: id, Name: t.image.name, ByUser: true, Until: t.until.Truncate(time.Second),
			})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b ceph.Trashed) int { return cmp.Compare(a.ID, b.ID) })
	return list, err
}

// TrashRemove implements ceph.Pool. EBUSY: the image is open somewhere.
func (h *poolHandle) TrashRemove(ctx context.Context, id string) error {
	return h.change(ctx, "trash remove", id, func() error {
		t := h.pool.trash[id]
		switch {
		case t == nil:
			return syscall.ENOENT
		case h.conn.cluster.now().Before(t.until):
			return syscall.EPERM
		}
		if err := t.image.removable(); err != nil {
			return err
		}
		delete(h.pool.trash, id)
		t.image.gone()
		return nil
	})
}
