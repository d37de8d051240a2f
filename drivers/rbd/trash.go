// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// purgeOften removes volumes in the trash for good, until ctx ends.
func (d *Driver) purgeOften(ctx context.Context) {
	for poll.Pause(ctx, d.o.PurgeInterval) == nil {
		err := d.do(ctx, "purge the trash of", d.o.Pool, func(p ceph.Pool) error { return d.purge(ctx, p) })
		if err != nil && ctx.Err() == nil {
			d.env.Log.LogAttrs(ctx, slog.LevelWarn, "volumes stay in the trash", slog.Any("error", err))
		}
	}
}

// purge removes what the library has moved to the trash, and whose time is over.
// What clones stand on stays until they are gone, and then goes with them.
func (d *Driver) purge(ctx context.Context, p ceph.Pool) error {
	trash, err := p.Trash(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range trash {
		if !t.ByUser || !strings.HasPrefix(t.Name, volumePrefix) || t.Until.After(time.Now()) {
			continue
		}
		err := p.TrashRemove(ctx, t.ID)
		faults = append(faults, but(err, syscall.ENOENT, syscall.EPERM, syscall.ENOTEMPTY))
	}
	return fault.Join(append(faults, d.sweep(ctx, p))...)
}
