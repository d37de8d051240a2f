// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// Files does with files what takes root. A connector.Files is one, that has a
// program do as root what an ordinary user is denied. Errors wrap the
// syscall.Errno that the kernel gave, or are fault.ErrPermission where nothing
// could ask it.
type Files interface {
	Read(ctx context.Context, path string) ([]byte, error)
	// Write writes data at the beginning of a file that is there, in one go.
	Write(ctx context.Context, path string, data []byte) error
	Mkdir(ctx context.Context, path string) error
	Rmdir(ctx context.Context, path string) error
	Symlink(ctx context.Context, target, path string) error
	Unlink(ctx context.Context, path string) error
}

// system is the Files of this process' own system calls.
type system struct{}

func (system) Mkdir(_ context.Context, path string) error { return os.Mkdir(path, 0o755) }

func (system) Rmdir(_ context.Context, path string) error {
	return again(func() error { return syscall.Rmdir(path) })
}

func (system) Unlink(_ context.Context, path string) error {
	return again(func() error { return syscall.Unlink(path) })
}

func (system) Symlink(_ context.Context, target, path string) error {
	return os.Symlink(target, path)
}

func (system) Read(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

func (system) Write(_ context.Context, path string, data []byte) error {
	var fd, n int
	err := again(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
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
	return err
}

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
