// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type runFunc func(c Command) (Result, error)

func (f runFunc) Run(_ context.Context, c Command) (Result, error) { return f(c) }

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := NewFiles(runFunc(func(c Command) (Result, error) {
		return Result{}, errors.New("no program is needed: " + c.Args[0])
	}))
	ctx := t.Context()
	sub := filepath.Join(dir, "a")
	require.NoError(t, f.Mkdir(ctx, sub))
	require.ErrorIs(t, f.Mkdir(ctx, sub), syscall.EEXIST)
	file := filepath.Join(sub, "file")
	require.ErrorIs(t, f.Write(ctx, file, []byte("1")), syscall.ENOENT, "it makes no files")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, f.Write(ctx, file, []byte("n")))
	data, err := f.Read(ctx, file)
	require.NoError(t, err)
	assert.Equal(t, "nld", string(data), "and does not truncate")
	link := filepath.Join(dir, "link")
	require.NoError(t, f.Symlink(ctx, "a", link))
	require.ErrorIs(t, f.Symlink(ctx, "a", link), syscall.EEXIST)
	require.ErrorIs(t, f.Rmdir(ctx, sub), syscall.ENOTEMPTY)
	require.NoError(t, f.Unlink(ctx, file))
	require.NoError(t, f.Unlink(ctx, link))
	require.NoError(t, f.Rmdir(ctx, sub))
	require.ErrorIs(t, f.Rmdir(ctx, sub), syscall.ENOENT)
}

// TestFilesAsRoot has the programs do what this user may not: they are run as
// this user on files that it may touch after all.
func TestFilesAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may do everything itself")
	}
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	file := filepath.Join(locked, "file")
	require.NoError(t, os.Mkdir(locked, 0o700))
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	lock := func(mode os.FileMode) { require.NoError(t, os.Chmod(locked, mode)) }
	lock(0)
	t.Cleanup(func() { lock(0o700) })
	programs := NewRunner("", nil)
	var ran []string
	f := NewFiles(runFunc(func(c Command) (Result, error) {
		assert.True(t, c.Root)
		ran = append(ran, c.Args[0])
		lock(0o700)
		defer lock(0)
		return programs.Run(t.Context(), c)
	}))
	ctx := t.Context()
	require.NoError(t, f.Write(ctx, file, []byte("new")))
	data, err := f.Read(ctx, file)
	require.NoError(t, err)
	assert.Equal(t, "new", string(data))
	sub := filepath.Join(locked, "sub")
	require.NoError(t, f.Mkdir(ctx, sub))
	require.ErrorIs(t, f.Mkdir(ctx, sub), syscall.EEXIST)
	require.NoError(t, f.Symlink(ctx, "x", filepath.Join(sub, "link")))
	require.ErrorIs(t, f.Rmdir(ctx, sub), syscall.ENOTEMPTY)
	require.NoError(t, f.Unlink(ctx, filepath.Join(sub, "link")))
	require.NoError(t, f.Rmdir(ctx, sub))
	require.ErrorIs(t, f.Unlink(ctx, sub), syscall.ENOENT)
	assert.Equal(t, "tee cat mkdir mkdir ln rmdir unlink rmdir unlink", strings.Join(ran, " "))

	// No helper: the program is denied what we were.
	_, err = NewFiles(programs).Read(ctx, file)
	require.ErrorIs(t, err, ErrPermission)
	require.ErrorContains(t, err, "as root")
}

func TestErrnoOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]syscall.Errno{
		"mkdir: cannot create directory '/x': File exists\n":   syscall.EEXIST,
		"tee: /sys/x: Invalid argument\n":                      syscall.EINVAL,
		"rmdir: failed to remove 'a': Device or resource busy": syscall.EBUSY,
		"": 0, "tee: odd": 0,
	} {
		no, ok := errnoOf([]byte(text))
		assert.Equal(t, want, no, text)
		assert.Equal(t, want != 0, ok, text)
	}
}
