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
func (Direct) Read(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// Write implements Files with one write(2): the kernel takes each for a value of
// its own.
func (Direct) Write(_ context.Context, path string, data []byte) error {
	var fd, n int
	err := again(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = again(func() (err error) {
		n, err = syscall.Write(fd, data)
		return err
	})
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if closed := syscall.Close(fd); err == nil {
		err = closed
	}
	return wrap("write", path, err)
}

// Mkdir implements Files.
func (Direct) Mkdir(_ context.Context, path string) error { return os.Mkdir(path, 0o755) }

// Rmdir implements Files.
func (Direct) Rmdir(_ context.Context, path string) error {
	return wrap("rmdir", path, again(func() error { return syscall.Rmdir(path) }))
}

// Symlink implements Files.
func (Direct) Symlink(_ context.Context, target, path string) error { return os.Symlink(target, path) }

// Unlink implements Files.
func (Direct) Unlink(_ context.Context, path string) error {
	return wrap("unlink", path, again(func() error { return syscall.Unlink(path) }))
}

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
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
	err = again(func() error {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), blkflsbuf(), 0); errno != 0 {
			return errno
		}
		return nil
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
