// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"

	"github.com/gocinder/cinderlib/internal/secret"
	"github.com/gocinder/cinderlib/internal/undo"
)

const (
	configDir = "/sys/kernel/config"
	targetDir = configDir + "/target"
	coreDir   = targetDir + "/core"
	iscsiDir  = targetDir + "/iscsi"
	dbroot    = targetDir + "/dbroot"
)

// tree is one call's way into configfs: no step begins after the context has
// ended, every error says what was done where, and the step that is being taken
// can be asked for.
type tree struct {
	fs   files
	now  atomic.Pointer[string]
	undo undo.Stack // of what this call made
	// changed tells that this call wrote something.
	changed bool
}

// errBefore: the step was not begun.
var errBefore = errors.New("before")

// step does one thing; what names it. It is not cut short: the end of a program
// that does it as root would not be the end of what the kernel does for it.
func (t *tree) step(ctx context.Context, what string, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w %s: %w", errBefore, what, err)
	}
	t.now.Store(&what)
	if err := do(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (t *tree) doing() string {
	if what := t.now.Load(); what != nil {
		return *what
	}
	return "the first step"
}

func (t *tree) mkdir(ctx context.Context, dir string) error {
	t.changed = true
	return t.step(ctx, "mkdir "+dir, func(ctx context.Context) error { return t.fs.mkdir(ctx, dir) })
}

func (t *tree) rmdir(ctx context.Context, dir string) error {
	t.changed = true
	return t.step(ctx, "rmdir "+dir, func(ctx context.Context) error { return t.fs.rmdir(ctx, dir) })
}

func (t *tree) symlink(ctx context.Context, target, link string) error {
	t.changed = true
	return t.step(ctx, "link "+link+" to "+target, func(ctx context.Context) error { return t.fs.symlink(ctx, target, link) })
}

func (t *tree) unlink(ctx context.Context, link string) error {
	t.changed = true
	return t.step(ctx, "unlink "+link, func(ctx context.Context) error { return t.fs.unlink(ctx, link) })
}

func (t *tree) write(ctx context.Context, file, value string) error {
	return t.put(ctx, file, value, fmt.Sprintf("%q", value))
}

// writeSecret writes a value that no error shows.
func (t *tree) writeSecret(ctx context.Context, file string, value secret.Text) error {
	return t.put(ctx, file, value.Reveal(), secret.Mask)
}

func (t *tree) put(ctx context.Context, file, value, shown string) error {
	t.changed = true
	return t.step(ctx, "write "+shown+" to "+file, func(ctx context.Context) error { return t.fs.write(ctx, file, value) })
}

func (t *tree) list(ctx context.Context, dir string) (entries []entry, err error) {
	err = t.step(ctx, "list "+dir, func(context.Context) (err error) {
		entries, err = t.fs.list(dir)
		return err
	})
	return entries, err
}

// folders are the names of the folders in dir that begin with prefix.
func (t *tree) folders(ctx context.Context, dir, prefix string) ([]string, error) {
	entries, err := t.list(ctx, dir)
	return names(entries, fs.ModeDir, prefix), err
}

// links are the paths of the links in dir.
func (t *tree) links(ctx context.Context, dir string) ([]string, error) {
	entries, err := t.list(ctx, dir)
	found := names(entries, fs.ModeSymlink, "")
	for i, name := range found {
		found[i] = dir + "/" + name
	}
	return found, err
}

func names(entries []entry, kind fs.FileMode, prefix string) []string {
	var found []string
	for _, e := range entries {
		if e.kind == kind && strings.HasPrefix(e.name, prefix) {
			found = append(found, e.name)
		}
	}
	return found
}

func (t *tree) exists(ctx context.Context, file string) (there bool, err error) {
	err = t.step(ctx, "look for "+file, func(context.Context) (err error) {
		there, err = t.fs.exists(file)
		return err
	})
	return there, err
}

// follow is where a link leads. The kernel's links are relative.
func (t *tree) follow(ctx context.Context, link string) (target string, err error) {
	err = t.step(ctx, "read link "+link, func(context.Context) (err error) {
		target, err = t.fs.readlink(link)
		return err
	})
	if err != nil || path.IsAbs(target) {
		return target, err
	}
	return path.Join(path.Dir(link), target), nil
}

// read gives an attribute without its newline.
func (t *tree) read(ctx context.Context, file string) (value string, err error) {
	err = t.step(ctx, "read "+file, func(ctx context.Context) (err error) {
		value, err = t.fs.read(ctx, file)
		return err
	})
	return strings.TrimSuffix(value, "\n"), err
}

// set writes an attribute that has another value.
func (t *tree) set(ctx context.Context, file, value string) error {
	has, err := t.read(ctx, file)
	if err != nil || has == value {
		return err
	}
	return t.write(ctx, file, value)
}

func (t *tree) device(ctx context.Context, file string) (d device, err error) {
	err = t.step(ctx, "look at "+file, func(context.Context) (err error) {
		d, err = t.fs.device(file)
		return err
	})
	return d, err
}
