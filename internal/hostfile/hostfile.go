// SPDX-License-Identifier: Apache-2.0

// Package hostfile makes the system calls on files of the kernel, and on block
// devices, that the standard library lacks or wraps too thickly.
package hostfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Files does with files what takes root; connector.Files is the same for
// importers. Errors wrap the syscall.Errno that the kernel gave, or are
// fault.ErrPermission where nothing could ask it.
type Files interface {
	Read(ctx context.Context, path string) ([]byte, error)
	// Write writes data at the beginning of a file that is there, in one go.
	Write(ctx context.Context, path string, data []byte) error
	Mkdir(ctx context.Context, path string) error
	Rmdir(ctx context.Context, path string) error
	Symlink(ctx context.Context, target, path string) error
	Unlink(ctx context.Context, path string) error
}

// Direct is the Files of this process' own system calls. None ends with its
// context.
type Direct struct{}

// Read implements Files.
func (Direct) Read(_ context.Context, path string) ([]byte, error) { return Read(path) }

// Read reads a file with the fewest system calls: an attribute of the kernel is
// small, and there are many.
func Read(path string) ([]byte, error) {
	fd, err := open(path, syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, 512)
	for n := -1; n != 0 && err == nil; {
		data = slices.Grow(data, 512)
		n, err = again(func() (int, error) { return syscall.Read(fd, data[len(data):cap(data)]) })
		data = data[:len(data)+max(n, 0)]
	}
	_ = syscall.Close(fd) // nothing was written
	if err != nil {
		return nil, wrap("read", path, err)
	}
	return data, nil
}

// Write implements Files with one write(2): the kernel takes each for a value of
// its own.
func (Direct) Write(_ context.Context, path string, data []byte) error {
	fd, err := open(path, syscall.O_WRONLY)
	if err != nil {
		return err
	}
	n, err := again(func() (int, error) { return syscall.Write(fd, data) })
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if closed := syscall.Close(fd); err == nil {
		err = closed
	}
	return wrap("write", path, err)
}

func open(path string, flags int) (int, error) {
	fd, err := again(func() (int, error) { return syscall.Open(path, flags|syscall.O_CLOEXEC, 0) })
	return fd, wrap("open", path, err)
}

// Mkdir implements Files.
func (Direct) Mkdir(_ context.Context, path string) error { return os.Mkdir(path, 0o755) }

// Rmdir implements Files.
func (Direct) Rmdir(_ context.Context, path string) error {
	_, err := again(func() (int, error) { return 0, syscall.Rmdir(path) })
	return wrap("rmdir", path, err)
}

// Symlink implements Files.
func (Direct) Symlink(_ context.Context, target, path string) error { return os.Symlink(target, path) }

// Unlink implements Files.
func (Direct) Unlink(_ context.Context, path string) error {
	_, err := again(func() (int, error) { return 0, syscall.Unlink(path) })
	return wrap("unlink", path, err)
}

func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// BlockDevice gives the number of a block device; ok is false for anything else.
func BlockDevice(info os.FileInfo) (major, minor uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) != fs.ModeDevice {
		return 0, 0, false
	}
	dev := uint64(st.Rdev) // as gnu_dev_major(3) of glibc takes it apart
	return uint32(dev>>8&0xfff | dev>>32&^0xfff), uint32(dev&0xff | dev>>12&^0xff), true
}

// DropBuffers empties the buffers of a block device, so that whoever gets it
// next, perhaps with other content, reads what is there. Only root may. What is
// no device has none.
func DropBuffers(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return err
	}
	_, err = again(func() (int, error) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), blkflsbuf(), 0); errno != 0 {
			return 0, errno
		}
		return 0, nil
	})
	runtime.KeepAlive(f)
	return wrap("flush", f.Name(), err)
}

// blkflsbuf is BLKFLSBUF, _IO(0x12, 97) of linux/fs.h. "No direction" has a bit
// of its own on some machines (asm/ioctl.h).
func blkflsbuf() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "ppc64") || strings.HasPrefix(runtime.GOARCH, "mips") {
		return 1<<29 | 0x1261
	}
	return 0x1261
}
