// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

const (
	configDir = "/sys/kernel/config"
	targetDir = configDir + "/target"
	coreDir   = targetDir + "/core"
	iscsiDir  = targetDir + "/iscsi"
)

// kernel has errors that tell the operation and the path, and no value written.
var kernel hostfile.Direct

// mkdir makes a folder unless it is there.
func mkdir(ctx context.Context, dir string) error {
	err := kernel.Mkdir(ctx, dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// drop removes a folder that may be gone already.
func drop(ctx context.Context, dir string) error { return unlessGone(kernel.Rmdir(ctx, dir)) }

func unlink(ctx context.Context, path string) error { return unlessGone(kernel.Unlink(ctx, path)) }

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func link(ctx context.Context, to, path string) error { return kernel.Symlink(ctx, to, path) }

// put writes an attribute. There is no newline: in some the kernel would take it
// for a part of the value.
func put(ctx context.Context, file, value string) error {
	return kernel.Write(ctx, file, []byte(value))
}

func get(file string) (string, error) {
	text, err := hostfile.Read(file)
	return strings.TrimRight(string(text), "\n"), err
}

// set writes an attribute that has another value.
func set(ctx context.Context, file, value string) error {
	has, err := get(file)
	if err != nil || has == value {
		return err
	}
	return put(ctx, file, value)
}

// setAll sets attributes of a folder in the order given: name, value, and so on.
func setAll(ctx context.Context, dir string, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := set(ctx, dir+"/"+pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// folders are the names of the folders in dir that begin with prefix, of which
// there are none if there is no dir.
func folders(dir, prefix string) ([]string, error) {
	return names(dir, prefix, fs.ModeDir)
}

func names(dir, prefix string, kind fs.FileMode) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unlessGone(err)
	}
	var found []string
	for _, e := range entries {
		if e.Type() == kind && strings.HasPrefix(e.Name(), prefix) {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// linked gives the link in dir and where it leads, or nothing: a LUN has one.
func linked(dir string) (path, to string, err error) {
	found, err := names(dir, "", fs.ModeSymlink)
	if err != nil || len(found) == 0 {
		return "", "", err
	}
	path = dir + "/" + found[0]
	if to, err = os.Readlink(path); err == nil && !filepath.IsAbs(to) {
		to = filepath.Join(dir, to)
	}
	return path, to, err
}

// dropLUN removes a LUN of a portal group or of an ACL.
func dropLUN(ctx context.Context, dir string) error {
	path, _, err := linked(dir)
	if err == nil && path != "" {
		err = unlink(ctx, path)
	}
	if err != nil {
		return err
	}
	return drop(ctx, dir)
}

// ready loads what of LIO is not there, and clears what a Plane that was killed
// left of this folder.
func (p *Plane) ready(ctx context.Context) error {
	if p.isReady {
		return nil
	}
	if _, err := os.Stat(targetDir); err != nil {
		if err := p.load(ctx, "target_core_mod"); err != nil {
			return err
		}
		if _, err := os.Stat(targetDir); err != nil {
			return fault.Errorf(fault.ErrPrecondition, "is configfs mounted? %w", err)
		}
	}
	// The kernel loads the module itself, where it finds modprobe.
	if err := mkdir(ctx, iscsiDir); err != nil {
		if loading := p.load(ctx, "iscsi_target_mod"); loading != nil {
			return fault.Join(loading, err)
		}
		if err := mkdir(ctx, iscsiDir); err != nil {
			return err
		}
	}
	if err := p.clear(ctx); err != nil {
		return err
	}
	p.isReady = true
	return nil
}

func (p *Plane) load(ctx context.Context, module string) error {
	if p.o.Modprobe == nil {
		return fault.Errorf(fault.ErrPrecondition, "kernel module %s is not loaded", module)
	}
	if err := p.o.Modprobe(ctx, module); err != nil {
		return fault.Errorf(fault.ErrPrecondition, "kernel module %s: %w", module, err)
	}
	return nil
}

// clear removes the backstores on files of this folder, with their targets.
func (p *Plane) clear(ctx context.Context) error {
	adapters, err := folders(coreDir, "fileio_")
	if err != nil {
		return err
	}
	for _, a := range adapters {
		dir := coreDir + "/" + a
		stores, err := folders(dir, "")
		if err != nil {
			return err
		}
		ours := 0
		for _, name := range stores {
			path, err := get(dir + "/" + name + "/udev_path")
			if err != nil {
				return err
			}
			if filepath.Dir(path) != p.dir {
				continue
			}
			ours++
			if err := removeUsers(ctx, dir+"/"+name); err != nil {
				return err
			}
			if err := drop(ctx, dir+"/"+name); err != nil {
				return err
			}
		}
		if ours > 0 && ours == len(stores) {
			if err := drop(ctx, dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
				return err
			}
		}
	}
	return nil
}

// removeUsers removes the targets that have a backstore.
func removeUsers(ctx context.Context, store string) error {
	iqns, err := folders(iscsiDir, "")
	if err != nil {
		return err
	}
	for _, iqn := range iqns {
		luns, err := groupLUNs(iscsiDir + "/" + iqn + group)
		if err != nil {
			return err
		}
		for _, to := range luns {
			if to == store {
				if err := removeTarget(ctx, iqn); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}
