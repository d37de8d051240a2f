// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

// files is what the package needs of the host: single system calls, whose
// errors are bare numbers. What has a context may take root.
type files interface {
	mkdir(ctx context.Context, path string) error
	rmdir(ctx context.Context, path string) error
	symlink(ctx context.Context, target, path string) error
	unlink(ctx context.Context, path string) error
	readlink(path string) (string, error)
	list(path string) ([]entry, error) // by name
	exists(path string) (bool, error)
	read(ctx context.Context, path string) (string, error)
	write(ctx context.Context, path, value string) error // with one write(2)

	device(path string) (device, error)
	mounted(path string) bool // that configfs is, here
	mount(ctx context.Context, path string) error
	listen(ctx context.Context, at netip.AddrPort) error   // tries whether that is possible
	load(ctx context.Context, path string) ([]byte, error) // a file of a disk
	replace(ctx context.Context, path string, text []byte) error
}

// entry is one name in a folder.
type entry struct {
	name string
	kind fs.FileMode // its type bits
}

// device is a block device, by its number.
type device struct{ major, minor uint32 }

// host is the real thing.
type host struct {
	root  string
	files hostfile.Files
	run   func(ctx context.Context, stdin []byte, args ...string) error // nil: no programs
}

const configfsMagic = 0x62656570 // linux/magic.h

func (h host) mkdir(ctx context.Context, path string) error {
	return bare(h.files.Mkdir(ctx, h.root+path))
}

func (h host) rmdir(ctx context.Context, path string) error {
	return bare(h.files.Rmdir(ctx, h.root+path))
}

func (h host) unlink(ctx context.Context, path string) error {
	return bare(h.files.Unlink(ctx, h.root+path))
}

func (h host) symlink(ctx context.Context, target, path string) error {
	return bare(h.files.Symlink(ctx, h.root+target, h.root+path))
}

func (h host) readlink(path string) (string, error) {
	target, err := os.Readlink(h.root + path)
	return target, bare(err)
}

func (h host) list(path string) ([]entry, error) {
	found, err := os.ReadDir(h.root + path)
	if err != nil {
		return nil, bare(err)
	}
	entries := make([]entry, 0, len(found))
	for _, e := range found {
		entries = append(entries, entry{e.Name(), e.Type()})
	}
	return entries, nil
}

func (h host) exists(path string) (bool, error) {
	_, err := os.Lstat(h.root + path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, bare(err)
}

func (h host) read(ctx context.Context, path string) (string, error) {
	text, err := h.files.Read(ctx, h.root+path)
	return string(text), bare(err)
}

func (h host) write(ctx context.Context, path, value string) error {
	return bare(h.files.Write(ctx, h.root+path, []byte(value)))
}

func (h host) device(path string) (device, error) {
	info, err := os.Stat(h.root + path)
	if err != nil {
		return device{}, bare(err)
	}
	major, minor, ok := hostfile.BlockDevice(info)
	if !ok {
		return device{}, syscall.ENOTBLK
	}
	return device{major, minor}, nil
}

func (h host) mounted(path string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(h.root+path, &st) == nil && st.Type == configfsMagic
}

func (h host) mount(ctx context.Context, path string) error {
	err := syscall.Mount("none", h.root+path, "configfs", 0, "")
	if h.denied(err) {
		return h.run(ctx, nil, "mount", "-t", "configfs", "none", h.root+path)
	}
	return err
}

// denied tells that a program, which may have root's rights, is to do it.
func (h host) denied(err error) bool { return h.run != nil && errors.Is(err, fs.ErrPermission) }

func (h host) listen(ctx context.Context, at netip.AddrPort) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.String())
	if err != nil {
		return bare(err)
	}
	return l.Close()
}

func (h host) load(ctx context.Context, path string) ([]byte, error) {
	text, err := h.files.Read(ctx, h.root+path)
	return text, bare(err)
}

// replace puts a new file in the place of the old one, which is never half there.
func (h host) replace(ctx context.Context, path string, text []byte) error {
	path = h.root + path
	err := replace(path, text)
	if h.denied(err) {
		return h.replaceAsRoot(ctx, path, text)
	}
	return err
}

// replace does as rtslib: the file holds passwords.
func replace(path string, text []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".temp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o600)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // the next to save does it
	}
	return err
}

func (h host) replaceAsRoot(ctx context.Context, path string, text []byte) error {
	temp := path + ".temp"
	err := h.run(ctx, text, "install", "-D", "-m", "0600", "/dev/stdin", temp)
	if err == nil {
		err = h.run(ctx, nil, "sync", temp)
	}
	if err == nil {
		err = h.run(ctx, nil, "mv", "-T", temp, path)
	}
	if err != nil {
		_ = h.files.Unlink(ctx, temp) // the next to save does it
	}
	return err
}

// bare is the error number alone: tree says what was done to which path. Of a
// program that was not let near the kernel no number is left that might be taken
// for the kernel's answer.
func bare(err error) error {
	no, ok := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, fault.ErrPermission):
		return fault.Errorf(fault.ErrPermission, "%v", err)
	case ok:
		return no
	}
	return err
}
