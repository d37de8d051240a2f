// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"syscall"
)

// ReadAt implements ceph.Image.
func (h *handle) ReadAt(ctx context.Context, p []byte, at int64) error {
	return h.read(ctx, "read", func() error {
		s, err := h.state()
		if err != nil {
			return err
		}
		if err := within(s, p, at); err != nil {
			return err
		}
		s.read(p, at)
		return nil
	})
}

// WriteAt implements ceph.Image. EINVAL comes before EROFS.
func (h *handle) WriteAt(ctx context.Context, p []byte, at int64) error {
	fits := func() error {
		s, err := h.state()
		if err != nil {
			return err
		}
		return within(s, p, at)
	}
	return h.change(ctx, "write", fits, func() error {
		h.image.head.write(p, at)
		return nil
	})
}

// within refuses what lies past the end. Nothing lies everywhere, as librbd has
// it.
func within(s *state, p []byte, at int64) error {
	if len(p) > 0 && (at < 0 || int64(len(p)) > s.bytes-at) {
		return syscall.EINVAL
	}
	return nil
}
