// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

// through is the fake kernel, and what may take root there by way of a Files.
type through struct {
	*fakeKernel
	by host
}

func (f *fakeKernel) through() through {
	return through{f, host{root: "/chroot", files: &fakeFiles{fakeKernel: f}}}
}

func (o through) mkdir(ctx context.Context, p string) error  { return o.by.mkdir(ctx, p) }
func (o through) rmdir(ctx context.Context, p string) error  { return o.by.rmdir(ctx, p) }
func (o through) unlink(ctx context.Context, p string) error { return o.by.unlink(ctx, p) }
func (o through) symlink(ctx context.Context, to, p string) error {
	return o.by.symlink(ctx, to, p)
}

func (o through) write(ctx context.Context, p, v string) error { return o.by.write(ctx, p, v) }
func (o through) read(ctx context.Context, p string) (string, error) {
	return o.by.read(ctx, p)
}

// fakeFiles is a Files on the fake kernel.
type fakeFiles struct {
	*fakeKernel
	refuse error    // what the root helper says
	done   []string // ops
}

func (f *fakeFiles) call(ctx context.Context, op, p string, do func(p string) error) error {
	f.mu.Lock()
	f.done = append(f.done, op)
	p, ok := strings.CutPrefix(p, "/chroot")
	if !ok {
		f.wrong = append(f.wrong, op+" outside of the root")
	}
	f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	err := do(p)
	if ctx.Err() != nil {
		f.mu.Lock()
		f.wrong = append(f.wrong, op+" cut short")
		f.mu.Unlock()
	}
	if err != nil {
		err = errors.Join(&fs.PathError{Op: op, Path: p, Err: err})
	}
	return err
}

func (f *fakeFiles) Mkdir(ctx context.Context, p string) error {
	return f.call(ctx, "mkdir", p, func(p string) error { return f.mkdir(ctx, p) })
}

func (f *fakeFiles) Rmdir(ctx context.Context, p string) error {
	return f.call(ctx, "rmdir", p, func(p string) error { return f.rmdir(ctx, p) })
}

func (f *fakeFiles) Unlink(ctx context.Context, p string) error {
	return f.call(ctx, "unlink", p, func(p string) error { return f.unlink(ctx, p) })
}

func (f *fakeFiles) Symlink(ctx context.Context, target, p string) error {
	return f.call(ctx, "symlink", p, func(p string) error {
		return f.symlink(ctx, strings.TrimPrefix(target, "/chroot"), p)
	})
}

func (f *fakeFiles) Write(ctx context.Context, p string, data []byte) error {
	return f.call(ctx, "write", p, func(p string) error { return f.write(ctx, p, string(data)) })
}

func (f *fakeFiles) Read(ctx context.Context, p string) (data []byte, err error) {
	err = f.call(ctx, "read", p, func(p string) error {
		text, err := f.read(ctx, p)
		data = []byte(text)
		return err
	})
	return data, err
}

// Every change goes by way of Files.
func TestFiles(t *testing.T) {
	t.Parallel()
	w, direct := newWorld(t), newWorld(t)
	direct.fs = direct.fakeKernel
	files := &fakeFiles{fakeKernel: w.fakeKernel}
	w.fs = through{w.fakeKernel, host{root: "/chroot", files: files}}
	var changes int
	w.on = func(op, _ string) {
		if slices.Contains([]string{"mkdir", "rmdir", "symlink", "unlink", "write"}, op) {
			changes++
		}
	}
	for _, do := range []func(*Kernel) error{
		func(k *Kernel) error { return k.Export(t.Context(), export1()) },
		func(k *Kernel) error { return k.Allow(t.Context(), iqn1, initiator1()) },
		func(k *Kernel) error { return k.Disallow(t.Context(), iqn1, host1) },
		func(k *Kernel) error { return k.Unexport(t.Context(), iqn1) },
	} {
		changes, files.done = 0, nil
		require.NoError(t, do(w.Kernel))
		require.NoError(t, do(direct.Kernel))
		assert.Equal(t, direct.String(), w.String())
		reads := 0
		for _, op := range files.done {
			if op == "read" {
				reads++
			}
		}
		assert.NotZero(t, changes)
		assert.Len(t, files.done, changes+reads)
	}
}

// A root helper that refuses, or is not there, is no answer of the kernel.
func TestFilesRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.Export(t.Context(), export1()))
	require.NoError(t, w.Allow(t.Context(), iqn1, initiator1()))
	before := w.String()
	missing := &fs.PathError{Op: "fork/exec", Path: "/usr/bin/sudo", Err: syscall.ENOENT}
	denied := &fs.PathError{Op: "open", Path: "/sys/x", Err: syscall.EACCES}
	w.fs = through{w.fakeKernel, host{root: "/chroot", files: &fakeFiles{
		fakeKernel: w.fakeKernel, refuse: fault.Errorf(fault.ErrPermission, "%w; as root: %w", denied, missing),
	}}}
	for _, err := range []error{
		w.Export(t.Context(), export2()), w.Allow(t.Context(), iqn1, initiator1()),
		w.Disallow(t.Context(), iqn1, host1), w.Unexport(t.Context(), iqn1),
	} {
		require.ErrorIs(t, err, fault.ErrPermission)
		require.ErrorContains(t, err, "sudo")
		require.NotErrorIs(t, err, fault.ErrNotFound)
	}
	assert.Equal(t, before, w.String())
}

// asUser runs programs without any helper, and keeps their command lines.
type asUser struct{ ran []string }

func (u *asUser) run(ctx context.Context, stdin []byte, args ...string) error {
	u.ran = append(u.ran, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestReplaceAsRoot(t *testing.T) {
	t.Parallel()
	var user asUser
	h := (&Kernel{Root: t.TempDir(), Run: user.run}).host()
	file := h.root + "/etc/target/saveconfig.json"
	for _, text := range []string{"", canary + strings.Repeat("x", 1<<20)} {
		require.NoError(t, h.replaceAsRoot(t.Context(), file, []byte(text)))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		assert.NoFileExists(t, file+".temp")
		require.NoError(t, os.WriteFile(file+".temp", nil, 0o644))
	}
	assert.NotContains(t, strings.Join(user.ran, "\n"), canary)
	require.NoError(t, os.Mkdir(h.root+"/folder", 0o755))
	require.Error(t, h.replaceAsRoot(t.Context(), h.root+"/folder", []byte("x")))
	assert.NoFileExists(t, h.root+"/folder.temp")
}

// What this user may not do is done by programs.
func TestReplaceDenied(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may do everything itself")
	}
	var user asUser
	h := (&Kernel{Root: t.TempDir()}).host()
	folder := filepath.Join(h.root, "folder")
	require.NoError(t, os.Mkdir(folder, 0))
	t.Cleanup(func() { assert.NoError(t, os.Chmod(folder, 0o700)) }) //nolint:gosec // a folder
	require.ErrorIs(t, h.replace(t.Context(), "/folder/file", nil), fs.ErrPermission)
	h.run = func(ctx context.Context, stdin []byte, args ...string) error {
		require.NoError(t, os.Chmod(folder, 0o700)) //nolint:gosec // a folder
		return user.run(ctx, stdin, args...)
	}
	require.NoError(t, h.replace(t.Context(), "/folder/file", []byte("x")))
	assert.Len(t, user.ran, 3)
	require.NoError(t, h.replace(t.Context(), "/folder/file", []byte("y")))
	assert.Len(t, user.ran, 3, "it needs no help where it may")
	require.ErrorContains(t, h.mount(t.Context(), "/folder"), "mount")
	assert.Contains(t, user.ran[3], "mount -t configfs none ")
}
