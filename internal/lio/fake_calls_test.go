// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"syscall"
)

// The system calls of the fake kernel, but for mkdir.

// linked tells whether a link leads to p.
func (f *fakeKernel) linked(p string) bool {
	for _, n := range f.nodes {
		if n.target == p {
			return true
		}
	}
	return false
}

func (f *fakeKernel) rmdir(_ context.Context, p string) error {
	return f.call("rmdir", p, func() error {
		n := f.nodes[p]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.kind != fs.ModeDir:
			return syscall.ENOTDIR
		case n.fixed:
			return syscall.EPERM
		case f.linked(p):
			return syscall.EBUSY
		}
		below := f.below(p)
		for _, q := range below {
			if b := f.nodes[q]; b.kind == fs.ModeSymlink || b.kind == fs.ModeDir && !b.fixed {
				return syscall.ENOTEMPTY
			}
		}
		if n.store != nil && n.store.opened != nil {
			n.store.opened.holder = ""
		}
		for _, q := range below {
			delete(f.nodes, q)
		}
		delete(f.nodes, p)
		return nil
	})
}

func (f *fakeKernel) symlink(_ context.Context, target, link string) error {
	return f.call("symlink", link, func() error {
		to, dir := f.nodes[target], f.nodes[path.Dir(link)]
		switch {
		case to == nil || dir == nil:
			return syscall.ENOENT
		case f.nodes[link] != nil:
			return syscall.EEXIST
		}
		second := slices.ContainsFunc(f.below(path.Dir(link)), func(q string) bool { return f.nodes[q].kind == fs.ModeSymlink })
		group, acl, isACL := strings.Cut(path.Dir(link), "/acls/")
		switch {
		case isACL && strings.Count(acl, "/") == 1:
			if second || path.Dir(target) != group+"/lun" {
				return syscall.EINVAL
			}
			dir.mapped, dir.readOnly = true, false
		case path.Base(path.Dir(path.Dir(link))) == "lun":
			switch {
			case second:
				return syscall.EEXIST
			case to.store == nil:
				return syscall.EINVAL
			case !to.store.enabled:
				return syscall.ENODEV
			}
		default:
			return syscall.EPERM
		}
		f.nodes[link] = &node{kind: fs.ModeSymlink, target: target}
		return nil
	})
}

func (f *fakeKernel) unlink(_ context.Context, link string) error {
	return f.call("unlink", link, func() error {
		n := f.nodes[link]
		if n == nil {
			return syscall.ENOENT
		}
		if n.kind != fs.ModeSymlink {
			return syscall.EPERM
		}
		delete(f.nodes, link)
		dir := path.Dir(link)
		f.nodes[dir].mapped = false
		for _, m := range f.nodes { // initiators no longer see the LUN
			if m.kind == fs.ModeSymlink && m.target == dir {
				for p, o := range f.nodes {
					if o == m {
						f.nodes[path.Dir(p)].mapped = false
					}
				}
			}
		}
		return nil
	})
}

func (f *fakeKernel) readlink(link string) (target string, err error) {
	err = f.call("readlink", link, func() error {
		n := f.nodes[link]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.kind != fs.ModeSymlink:
			return syscall.EINVAL
		}
		depth := strings.Count(strings.TrimPrefix(path.Dir(link), configDir), "/")
		target = strings.Repeat("../", depth) + strings.TrimPrefix(n.target, configDir+"/")
		return nil
	})
	return target, err
}

func (f *fakeKernel) list(dir string) (entries []entry, err error) {
	err = f.call("list", dir, func() error {
		if rest, ok := strings.CutPrefix(dir, "/sys/dev/block/"); ok {
			for _, d := range f.devices {
				if fmt.Sprintf("%d:%d/holders", d.major, d.minor) == rest && strings.HasPrefix(d.holder, "dm-") {
					entries = append(entries, entry{d.holder, fs.ModeSymlink})
				}
			}
			return nil
		}
		if f.nodes[dir] == nil {
			return syscall.ENOENT
		}
		for _, p := range f.below(dir) {
			if path.Dir(p) == dir {
				entries = append(entries, entry{path.Base(p), f.nodes[p].kind})
			}
		}
		return nil
	})
	return entries, err
}

func (f *fakeKernel) exists(p string) (there bool, err error) {
	err = f.call("exists", p, func() error {
		there = f.nodes[p] != nil
		return nil
	})
	return there, err
}

func (f *fakeKernel) read(_ context.Context, p string) (value string, err error) {
	err = f.call("read", p, func() error {
		n := f.nodes[p]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.kind != 0:
			return syscall.EISDIR
		case n.read != nil:
			value = n.read()
		default:
			value = n.value + "\n"
		}
		return nil
	})
	return value, err
}

func (f *fakeKernel) write(_ context.Context, p, value string) error {
	return f.call("write", p, func() error {
		n := f.nodes[p]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.write == nil:
			return syscall.EACCES
		}
		return n.write(value)
	})
}

func (f *fakeKernel) device(p string) (d device, err error) {
	err = f.call("device", p, func() error {
		found := f.devices[p]
		switch {
		case found == nil:
			return syscall.ENOENT
		case found.plain:
			return syscall.ENOTBLK
		}
		d = found.device
		return nil
	})
	return d, err
}

func (f *fakeKernel) mounted(string) bool { return f.isMounted }

func (f *fakeKernel) mount(_ context.Context, p string) error {
	return f.call("mount", p, func() error {
		f.isMounted = f.noMount == nil
		return f.noMount
	})
}

func (f *fakeKernel) listen(_ context.Context, at netip.AddrPort) error {
	return f.call("listen", at.String(), func() error {
		if !at.Addr().IsUnspecified() && !slices.Contains(f.here, at.Addr()) {
			return syscall.EADDRNOTAVAIL
		}
		if at.Port() != 0 && !f.bindable(at, "") {
			return syscall.EADDRINUSE
		}
		return nil
	})
}

func (f *fakeKernel) load(_ context.Context, p string) (text []byte, err error) {
	err = f.call("load", p, func() error {
		if text = f.saved[p]; text == nil {
			return syscall.ENOENT
		}
		return nil
	})
	return text, err
}

func (f *fakeKernel) replace(_ context.Context, p string, text []byte) error {
	return f.call("replace", p, func() error {
		f.saved[p] = text
		return f.noSave
	})
}
