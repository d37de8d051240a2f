// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/hostfile"
)

// Files does with files what takes root: attributes of the kernel in /sys, its
// objects in configfs. One method is one system call, so that a simulated host
// is easily made, and every change of a host can be watched. Paths are as this
// process sees them. Errors wrap the syscall.Errno where there is one.
type Files interface {
	Read(ctx context.Context, path string) ([]byte, error)
	// Write writes data at the beginning of a file that is there, in one go.
	Write(ctx context.Context, path string, data []byte) error
	Mkdir(ctx context.Context, path string) error
	Rmdir(ctx context.Context, path string) error
	Symlink(ctx context.Context, target, path string) error
	Unlink(ctx context.Context, path string) error
}

// NewFiles makes the Files of this host. What the process may not do itself is
// done by a program as root, which run puts the root helper before: cat, tee,
// mkdir, rmdir, ln, unlink. If that does not help either the error is
// ErrPermission. A call that waits in the kernel is not ended by its context.
func NewFiles(run Runner) Files { return files{run: run} }

type files struct {
	direct hostfile.Direct
	run    Runner
}

func (f files) Read(ctx context.Context, path string) ([]byte, error) {
	data, err := f.direct.Read(ctx, path)
	if !forbidden(err) {
		return data, err
	}
	r, err := f.asRoot(ctx, err, nil, "cat", path)
	return r.Stdout, err
}

func (f files) Write(ctx context.Context, path string, data []byte) error {
	err := f.direct.Write(ctx, path, data)
	if !forbidden(err) {
		return err
	}
	_, err = f.asRoot(ctx, err, data, "tee", path)
	return err
}

func (f files) Mkdir(ctx context.Context, path string) error {
	err := f.direct.Mkdir(ctx, path)
	if forbidden(err) {
		_, err = f.asRoot(ctx, err, nil, "mkdir", path)
	}
	return err
}

func (f files) Rmdir(ctx context.Context, path string) error {
	err := f.direct.Rmdir(ctx, path)
	if forbidden(err) {
		_, err = f.asRoot(ctx, err, nil, "rmdir", path)
	}
	return err
}

func (f files) Symlink(ctx context.Context, target, path string) error {
	err := f.direct.Symlink(ctx, target, path)
	if forbidden(err) {
		_, err = f.asRoot(ctx, err, nil, "ln", "-s", "-T", target, path)
	}
	return err
}

func (f files) Unlink(ctx context.Context, path string) error {
	err := f.direct.Unlink(ctx, path)
	if forbidden(err) {
		_, err = f.asRoot(ctx, err, nil, "unlink", path)
	}
	return err
}

// forbidden tells whether root's rights might help. To root the kernel says EPERM
// or EACCES for reasons of its own.
func forbidden(err error) bool { return errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 }

// asRoot does with a program what this process was denied.
func (f files) asRoot(ctx context.Context, refused error, stdin []byte, args ...string) (Result, error) {
	r, err := f.run.Run(ctx, Command{Args: args, Stdin: stdin, Root: true})
	switch {
	case err == nil || ctx.Err() != nil:
		return r, err
	case r.Code <= 0 || errors.Is(err, ErrPermission):
		return r, Errorf(ErrPermission, "%w; as root: %w", refused, err)
	}
	no, ok := errnoOf(r.Stderr)
	if !ok {
		return r, err
	}
	if no == syscall.EACCES || no == syscall.EPERM {
		return r, Errorf(ErrPermission, "%w; by %s as root: %w", refused, args[0], no)
	}
	return r, &fs.PathError{Op: args[0], Path: args[len(args)-1], Err: no}
}

// errnoOf finds the error that a program has printed as strerror(3) has it,
// which Go has in lower case.
func errnoOf(stderr []byte) (syscall.Errno, bool) {
	line := string(bytes.TrimSpace(stderr))
	line = strings.ToLower(strings.TrimSpace(line[strings.LastIndexAny(line, ":\n")+1:]))
	for no := syscall.Errno(1); line != "" && no < 134; no++ { // EHWPOISON, 133, is the last
		if strings.ToLower(no.Error()) == line {
			return no, true
		}
	}
	return 0, false
}

func (h *Host) files() Files {
	if h.Files != nil {
		return h.Files
	}
	return NewFiles(h.Run)
}

// ReadFile reads a file of the host, as root where this process may not. When
// ctx ends it returns at once, though the kernel may keep a thread.
func (h *Host) ReadFile(ctx context.Context, path string) (data []byte, err error) {
	var read []byte
	err = within(ctx, "read "+path, func() (err error) {
		read, err = h.files().Read(ctx, h.Path(path))
		return err
	})
	if err != nil {
		return nil, err
	}
	return read, nil
}

// WriteFile writes an attribute of the kernel: data in one write to a file of the
// host that is there, as root where this process may not. When ctx ends it
// returns at once, though the kernel may go on and keep a thread.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return within(ctx, "write "+path, func() error { return h.files().Write(ctx, h.Path(path), data) })
}

// AsRoot runs a program of the host with root's rights.
func (h *Host) AsRoot(ctx context.Context, args ...string) error {
	_, err := h.Run.Run(ctx, Command{Args: args, Root: true})
	return err
}
