// SPDX-License-Identifier: Apache-2.0

package librbd

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// image implements ceph.Image.
type image struct {
	*pool
	h        handle
	what     string // with the snapshot, for people
	lock     string // the name that its calls take turns with
	snapshot string

	closed atomic.Bool
	gone   bool // at its turn
}

// call makes one call about the image.
func (i *image) call(ctx context.Context, op, what string, f func() int32) error {
	return run(ctx, i.calls, op, what, i.lock, func() int32 {
		if i.gone {
			return -int32(syscall.EBADF)
		}
		return f()
	})
}

func ask[T any](ctx context.Context, i *image, op string, f func() (T, syscall.Errno)) (T, error) {
	return do(ctx, i.calls, op, i.what, i.lock, func() (value T, e syscall.Errno) {
		if i.gone {
			return value, syscall.EBADF
		}
		return f()
	})
}

// Info implements ceph.Image.
func (i *image) Info(ctx context.Context) (*ceph.Info, error) {
	return ask(ctx, i, "look at", func() (*ceph.Info, syscall.Errno) {
		var stat imageInfo
		var features, unit uint64
		for _, r := range []func() int32{
			func() int32 { return i.lib.stat(i.h, &stat, unsafe.Sizeof(stat)) },
			func() int32 { return i.lib.getFeatures(i.h, &features) },
			func() int32 { return i.lib.getStripeUnit(i.h, &unit) },
		} {
			if e := number(r()); e != 0 {
				return nil, e
			}
		}
		id, e := buffered(func(buf *byte, size uintptr) int32 { return i.lib.getID(i.h, buf, size) }, syscall.ERANGE)
		return &ceph.Info{ID: id, Bytes: int64(stat.size), Features: features, Order: int(stat.order), StripeUnit: int64(unit)}, e
	})
}

// Resize implements ceph.Image.
func (i *image) Resize(ctx context.Context, bytes int64) error {
	arg, forget := watch(ctx)
	return i.call(ctx, "resize", i.what, func() int32 {
		defer forget()
		if bytes < 0 {
			return invalid
		}
		return i.lib.resize2(i.h, uint64(bytes), true, i.lib.progress, arg)
	})
}

// Flatten implements ceph.Image.
func (i *image) Flatten(ctx context.Context) error {
	arg, forget := watch(ctx)
	return i.call(ctx, "flatten", i.what, func() int32 {
		defer forget()
		return i.lib.flattenProgress(i.h, i.lib.progress, arg)
	})
}

// Parent implements ceph.Image.
func (i *image) Parent(ctx context.Context) (*ceph.Parent, error) {
	return ask(ctx, i, "ask for the parent of", func() (*ceph.Parent, syscall.Errno) {
		var parent linkedSpec
		var snap snapSpec
		if e := number(i.lib.getParent(i.h, &parent, &snap)); e != 0 {
			return nil, e
		}
		defer i.lib.linkedCleanup(&parent)
		defer i.lib.snapCleanup(&snap)
		return &ceph.Parent{
			Pool: text(parent.pool), Namespace: text(parent.namespace), Image: text(parent.image), ImageID: text(parent.imageID),
			Snapshot: text(snap.name), SnapshotTrashed: snap.kind == kindTrash, InTrash: parent.trash,
		}, 0
	})
}

// Children implements ceph.Image.
func (i *image) Children(ctx context.Context) ([]ceph.Child, error) {
	return ask(ctx, i, "list the clones of", func() ([]ceph.Child, syscall.Errno) {
		specs, e := listed(func(list *linkedSpec, n *uintptr) int32 { return i.lib.listChildren3(i.h, list, n) })
		if e != 0 || len(specs) == 0 {
			return nil, e
		}
		defer i.lib.childrenCleanup(&specs[0], uintptr(len(specs)))
		children := make([]ceph.Child, 0, len(specs))
		for _, s := range specs {
			children = append(children, ceph.Child{
				Pool: text(s.pool), Namespace: text(s.namespace), Image: text(s.image), ImageID: text(s.imageID), InTrash: s.trash,
			})
		}
		return children, 0
	})
}

// Watchers implements ceph.Image.
func (i *image) Watchers(ctx context.Context) ([]string, error) {
	return ask(ctx, i, "list the watchers of", func() ([]string, syscall.Errno) {
		found, e := listed(func(list *watcher, n *uintptr) int32 { return i.lib.watchersList(i.h, list, n) })
		if e != 0 || len(found) == 0 {
			return nil, e
		}
		defer i.lib.watchersCleanup(&found[0], uintptr(len(found)))
		var names []string
		for _, w := range found {
			if uint64(w.id) != i.id {
				names = append(names, "client."+strconv.FormatInt(w.id, 10)+" at "+text(w.addr))
			}
		}
		return names, 0
	})
}

// SetFeatures implements ceph.Image.
func (i *image) SetFeatures(ctx context.Context, mask uint64, on bool) error {
	op, enabled := "switch features off of", uint8(0)
	if on {
		op, enabled = "switch features on of", 1
	}
	return i.call(ctx, op, i.what, func() int32 { return i.lib.updateFeatures(i.h, mask, enabled) })
}

// Snapshots implements ceph.Image.
func (i *image) Snapshots(ctx context.Context) ([]ceph.Snapshot, error) {
	return ask(ctx, i, "list the snapshots of", func() ([]ceph.Snapshot, syscall.Errno) {
		infos, e := listed(func(list *snapInfo, n *uintptr) int32 {
			most := int32(*n)
			r := i.lib.snapList(i.h, list, &most)
			*n = uintptr(max(r, most))
			if r >= 0 {
				*n = uintptr(r)
			}
			return r
		})
		if e != 0 || len(infos) == 0 {
			return nil, e
		}
		defer i.lib.snapListEnd(&infos[0])
		snaps := make([]ceph.Snapshot, 0, len(infos))
		for _, s := range infos {
			var kind, protected int32
			snap := ceph.Snapshot{ID: s.id, Name: text(s.name), Bytes: int64(s.size)}
			if e := number(i.lib.snapNamespace(i.h, s.id, &kind)); e != 0 {
				return nil, e
			}
			if snap.Trashed = kind == kindTrash; !snap.Trashed {
				if e := number(i.lib.snapIsProtected(i.h, snap.Name, &protected)); e != 0 {
					return nil, e
				}
			}
			snap.Protected = protected != 0
			snaps = append(snaps, snap)
		}
		slices.SortFunc(snaps, func(a, b ceph.Snapshot) int { return int(a.ID) - int(b.ID) })
		return snaps, 0
	})
}

func (i *image) at(snapshot string) string { return i.what + "@" + snapshot }

// CreateSnapshot implements ceph.Image.
func (i *image) CreateSnapshot(ctx context.Context, name string) error {
	return i.call(ctx, "create snapshot", i.at(name), func() int32 { return i.lib.snapCreate(i.h, name) })
}

// RemoveSnapshot implements ceph.Image.
func (i *image) RemoveSnapshot(ctx context.Context, name string) error {
	return i.call(ctx, "remove snapshot", i.at(name), func() int32 { return i.lib.snapRemove(i.h, name) })
}

// RenameSnapshot implements ceph.Image.
func (i *image) RenameSnapshot(ctx context.Context, from, to string) error {
	return i.call(ctx, "rename to "+to+" snapshot", i.at(from), func() int32 { return i.lib.snapRename(i.h, from, to) })
}

// Protect implements ceph.Image.
func (i *image) Protect(ctx context.Context, snapshot string) error {
	return i.call(ctx, "protect", i.at(snapshot), func() int32 { return i.lib.snapProtect(i.h, snapshot) })
}

// Unprotect implements ceph.Image.
func (i *image) Unprotect(ctx context.Context, snapshot string) error {
	return i.call(ctx, "unprotect", i.at(snapshot), func() int32 { return i.lib.snapUnprotect(i.h, snapshot) })
}

// RollBack implements ceph.Image.
func (i *image) RollBack(ctx context.Context, snapshot string) error {
	return i.call(ctx, "roll back to", i.at(snapshot), func() int32 { return i.lib.snapRollback(i.h, snapshot) })
}

// Metadata implements ceph.Image.
func (i *image) Metadata(ctx context.Context) (map[string]string, error) {
	const page = 64
	return ask(ctx, i, "read the metadata of", func() (map[string]string, syscall.Errno) {
		all := map[string]string{}
		start := ""
		for size := uintptr(4096); ; {
			keys, values := make([]byte, size), make([]byte, size)
			keyLen, valueLen := size, size
			e := number(i.lib.metadataList(i.h, start, page, &keys[0], &keyLen, &values[0], &valueLen))
			if e == syscall.ERANGE {
				size = max(2*size, keyLen, valueLen)
				continue
			}
			if e != 0 {
				return nil, e
			}
			// The texts follow one another, each with a zero behind it.
			k := bytes.Split(bytes.TrimSuffix(keys[:keyLen], []byte{0}), []byte{0})
			v := bytes.Split(bytes.TrimSuffix(values[:valueLen], []byte{0}), []byte{0})
			if keyLen == 0 || len(k) != len(v) {
				return all, 0
			}
			for n := range k {
				start = string(k[n])
				all[start] = string(v[n])
			}
			if len(k) < page {
				return all, 0
			}
		}
	})
}

// SetMetadata implements ceph.Image.
func (i *image) SetMetadata(ctx context.Context, key, value string) error {
	return i.call(ctx, "set "+key+" in the metadata of", i.what, func() int32 { return i.lib.metadataSet(i.h, key, value) })
}

// RemoveMetadata implements ceph.Image.
func (i *image) RemoveMetadata(ctx context.Context, key string) error {
	return i.call(ctx, "remove "+key+" from the metadata of", i.what, func() int32 { return i.lib.metadataRemove(i.h, key) })
}

// ReadAt implements ceph.Image.
func (i *image) ReadAt(ctx context.Context, p []byte, at int64) error {
	n := len(p)
	data, err := ask(ctx, i, "read", func() ([]byte, syscall.Errno) {
		buf := make([]byte, n) // p is the caller's again when he gives up
		return buf, i.transfer(buf, at, func(at uint64, n uintptr, part *byte) int64 { return i.lib.read(i.h, at, n, part) })
	})
	copy(p, data)
	return err
}

// WriteAt implements ceph.Image.
func (i *image) WriteAt(ctx context.Context, p []byte, at int64) error {
	data := bytes.Clone(p)
	_, err := ask(ctx, i, "write", func() (struct{}, syscall.Errno) {
		e := i.transfer(data, at, func(at uint64, n uintptr, part *byte) int64 { return i.lib.write(i.h, at, n, part) })
		if e == 0 {
			e = number(i.lib.flush(i.h))
		}
		return struct{}{}, e
	})
	return err
}

// transfer reads or writes all of p. librbd would leave off what is past the end.
func (i *image) transfer(p []byte, at int64, call func(at uint64, n uintptr, part *byte) int64) syscall.Errno {
	var stat imageInfo
	if e := number(i.lib.stat(i.h, &stat, unsafe.Sizeof(stat))); e != 0 {
		return e
	}
	if len(p) > 0 && (at < 0 || uint64(at)+uint64(len(p)) > stat.size) {
		return syscall.EINVAL
	}
	for len(p) > 0 {
		n := call(uint64(at), uintptr(len(p)), &p[0])
		if n < 0 {
			return syscall.Errno(-n)
		}
		if n == 0 {
			return syscall.EIO
		}
		p, at = p[n:], at+n
	}
	return 0
}

// Close implements ceph.Image. What goes wrong in it is nobody's loss: all that
// was written was flushed.
func (i *image) Close() error {
	if !i.closed.Swap(true) {
		i.calls.letGo(i.lock, func() {
			i.gone = true
			i.lib.closeImage(i.h)
			i.calls.running.Done()
		})
	}
	return nil
}
