// SPDX-License-Identifier: Apache-2.0

package librbd

import (
	"context"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// invalid is what librbd should answer to no name, and to sizes below zero: it
// makes what cannot be opened or removed.
const invalid = -int32(syscall.EINVAL)

// pool implements ceph.Pool.
type pool struct {
	*cluster
	name string
	io   handle
}

func (p *pool) image(name string) string { return p.name + "/" + name }

// Images implements ceph.Pool.
func (p *pool) Images(ctx context.Context) ([]string, error) {
	return do(ctx, p.calls, "list the images of", "pool "+p.name, "", func() ([]string, syscall.Errno) {
		specs, e := listed(func(list *imageSpec, n *uintptr) int32 { return p.lib.list2(p.io, list, n) })
		if e != 0 || len(specs) == 0 {
			return nil, e
		}
		defer p.lib.listCleanup(&specs[0], uintptr(len(specs)))
		names := make([]string, 0, len(specs))
		for _, s := range specs {
			names = append(names, text(s.name))
		}
		return names, 0
	})
}

// with makes the options of a new image for a call.
func (p *pool) with(o ceph.ImageOptions, call func(o handle) int32) int32 {
	var h handle
	p.lib.optionsCreate(&h)
	defer p.lib.optionsDestroy(h)
	for option, value := range map[int32]uint64{optionFeatures: o.Features, optionOrder: uint64(max(o.Order, 0))} {
		if value == 0 {
			continue
		}
		if r := p.lib.optionsSet(h, option, value); r < 0 {
			return r
		}
	}
	return call(h)
}

// Create implements ceph.Pool.
func (p *pool) Create(ctx context.Context, name string, bytes int64, o ceph.ImageOptions) error {
	what := p.image(name)
	return run(ctx, p.calls, "create", what, what, func() int32 {
		if name == "" || bytes < 0 {
			return invalid
		}
		return p.with(o, func(h handle) int32 { return p.lib.create4(p.io, name, uint64(bytes), h) })
	})
}

// Clone implements ceph.Pool.
func (p *pool) Clone(ctx context.Context, parent, snapshot, name string, o ceph.ImageOptions) error {
	what := p.image(name)
	return run(ctx, p.calls, "clone "+p.image(parent)+"@"+snapshot+" as", what, what, func() int32 {
		if name == "" {
			return invalid
		}
		return p.with(o, func(h handle) int32 { return p.lib.clone3(p.io, parent, snapshot, p.io, name, h) })
	})
}

// Copy implements ceph.Pool.
func (p *pool) Copy(ctx context.Context, from, name string, o ceph.ImageOptions) error {
	what := p.image(name)
	arg, forget := watch(ctx)
	return run(ctx, p.calls, "copy "+p.image(from)+" to", what, what, func() int32 {
		defer forget()
		if name == "" {
			return invalid
		}
		var source handle
		if r := p.lib.openReadOnly(p.io, from, &source, nil); r < 0 {
			return r
		}
		defer p.lib.closeImage(source)
		return p.with(o, func(h handle) int32 { return p.lib.copyProgress3(source, p.io, name, h, p.lib.progress, arg) })
	})
}

// Remove implements ceph.Pool.
func (p *pool) Remove(ctx context.Context, name string) error {
	what := p.image(name)
	return run(ctx, p.calls, "remove", what, what, func() int32 { return p.lib.remove(p.io, name) })
}

// Rename implements ceph.Pool.
func (p *pool) Rename(ctx context.Context, from, to string) error {
	what := p.image(from)
	return run(ctx, p.calls, "rename to "+to, what, what, func() int32 {
		if to == "" {
			return invalid
		}
		return p.lib.rename(p.io, from, to)
	})
}

// TrashMove implements ceph.Pool.
func (p *pool) TrashMove(ctx context.Context, name string, delay time.Duration) error {
	what := p.image(name)
	return run(ctx, p.calls, "move to the trash", what, what, func() int32 {
		return p.lib.trashMove(p.io, name, uint64(max(delay+time.Second-1, 0)/time.Second))
	})
}

// Trash implements ceph.Pool.
func (p *pool) Trash(ctx context.Context) ([]ceph.Trashed, error) {
	return do(ctx, p.calls, "list the trash of", "pool "+p.name, "", func() ([]ceph.Trashed, syscall.Errno) {
		entries, e := listed(func(list *trashInfo, n *uintptr) int32 { return p.lib.trashList(p.io, list, n) })
		if e != 0 || len(entries) == 0 {
			return nil, e
		}
		defer p.lib.trashCleanup(&entries[0], uintptr(len(entries)))
		trash := make([]ceph.Trashed, 0, len(entries))
		for _, t := range entries {
			trash = append(trash, ceph.Trashed{
				ID: text(t.id), Name: text(t.name),
				ByUser: t.source == trashByUser || t.source == trashByUserParent,
				Until:  time.Unix(t.deferredUntil, 0),
			})
		}
		return trash, 0
	})
}

// TrashRemove implements ceph.Pool.
func (p *pool) TrashRemove(ctx context.Context, id string) error {
	what := "image " + id + " in the trash of pool " + p.name
	return run(ctx, p.calls, "remove", what, what, func() int32 { return p.lib.trashRemove(p.io, id, false) })
}

// Open implements ceph.Pool.
func (p *pool) Open(ctx context.Context, name string, o ceph.OpenOptions) (ceph.Image, error) {
	what := p.image(name)
	if o.Snapshot != "" {
		what += "@" + o.Snapshot
	}
	open := p.lib.open
	if o.ReadOnly || o.Snapshot != "" {
		open = p.lib.openReadOnly
	}
	h, err := doOr(ctx, p.calls, "open", what, p.image(name), func() (h handle, e syscall.Errno) {
		if name == "" {
			return 0, syscall.ENOENT
		}
		if e = number(open(p.io, name, &h, optional(o.Snapshot))); e == 0 {
			p.calls.running.Add(1) // until it is closed
			p.settle()
		}
		return h, e
	}, func(h handle) {
		p.lib.closeImage(h)
		p.calls.running.Done()
	})
	if err != nil {
		return nil, err
	}
	return &image{pool: p, h: h, what: what, lock: p.image(name), snapshot: o.Snapshot}, nil
}

// settle waits until librados has ended the callbacks that it has begun; it gives
// them one after another, and what is asked for here is one that does nothing.
// rbd_open comes back while librbd still is in such a callback, which takes a lock of
// the image once more (ImageState::complete_action_unlock, seen in 16.2.15). Where an
// image is closed right away, that lock is in memory that is freed: its owner is
// damaged, or all callbacks of the connection wait for ever.
func (p *pool) settle() {
	var completion handle
	if p.lib.aioCreate(0, 0, 0, &completion) != 0 {
		return
	}
	defer p.lib.aioRelease(completion)
	if p.lib.aioFlush(p.io, completion) == 0 {
		p.lib.aioWait(completion)
	}
}
