// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// files is what the package needs of the host: single system calls, whose
// errors are bare numbers.
type files interface {
	mkdir(path string) error
	rmdir(path string) error
	symlink(target, path string) error
	unlink(path string) error
	readlink(path string) (string, error)
	list(path string) ([]entry, error) // by name
	exists(path string) (bool, error)
	read(path string) (string, error)
	write(path, value string) error // with one write(2)

	device(path string) (device, error)
	mounted(path string) bool // that configfs is, here
	mount(path string) error
	listen(ctx context.Context, at netip.AddrPort) error // tries whether that is possible
	load(path string) ([]byte, error)                    // a file of a disk
	replace(path string, text []byte) error
}

// entry is one name in a folder.
type entry struct {
	name string
	kind fs.FileMode // its type bits
}

// device is a block device, by its number.
type device struct{ major, minor uint32 }

// host is the real thing.
type host struct{ root string }

const configfsMagic = 0x62656570 // linux/magic.h

func (h host) mkdir(path string) error { return bare(os.Mkdir(h.root+path, 0o755)) }
func (h host) rmdir(path string) error {
	return again(func() error { return syscall.Rmdir(h.root + path) })
}
func (h host) unlink(path string) error {
	return again(func() error { return syscall.Unlink(h.root + path) })
}
func (h host) symlink(target, path string) error {
	return bare(os.Symlink(h.root+target, h.root+path))
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

// read needs no more than a page: the kernel gives none longer.
func (h host) read(path string) (string, error) {
	fd, err := h.open(path, syscall.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd) //nolint:errcheck // nothing was written
	page := make([]byte, 4096)
	var n int
	err = again(func() (err error) {
		n, err = syscall.Read(fd, page)
		return err
	})
	return string(page[:max(n, 0)]), err
}

func (h host) write(path, value string) error {
	fd, err := h.open(path, syscall.O_WRONLY)
	if err != nil {
		return err
	}
	var n int
	err = again(func() (err error) {
		n, err = syscall.Write(fd, []byte(value))
		return err
	})
	if err == nil && n < len(value) {
		err = io.ErrShortWrite
	}
	if closed := syscall.Close(fd); err == nil {
		err = closed
	}
	return err
}

func (h host) open(path string, how int) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = syscall.Open(h.root+path, how|syscall.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func (h host) device(path string) (device, error) {
	info, err := os.Stat(h.root + path)
	if err != nil {
		return device{}, bare(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) != fs.ModeDevice {
		return device{}, syscall.ENOTBLK
	}
	n := st.Rdev // as gnu_dev_major(3) takes it apart
	return device{
		major: uint32(n>>8&0xfff | n>>32&^0xfff),
		minor: uint32(n&0xff | n>>12&^0xff),
	}, nil
}

func (h host) mounted(path string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(h.root+path, &st) == nil && st.Type == configfsMagic
}

func (h host) mount(path string) error {
	return syscall.Mount("none", h.root+path, "configfs", 0, "")
}

func (h host) listen(ctx context.Context, at netip.AddrPort) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.String())
	if err != nil {
		return bare(err)
	}
	return l.Close()
}

func (h host) load(path string) ([]byte, error) { return os.ReadFile(h.root + path) }

// replace does as rtslib: the file holds passwords, and is never half there.
func (h host) replace(path string, text []byte) (err error) {
	path = h.root + path
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

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// bare is the error number alone: tree says what was done to which path.
func bare(err error) error {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}
