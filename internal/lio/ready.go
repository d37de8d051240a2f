// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The folders of rtslib, on Debian and elsewhere.
const (
	debianFolder = "/etc/rtslib-fb-target"
	rtslibFolder = "/etc/target"
)

// rtslibFolder is that of this host.
func (t *tree) rtslibFolder(ctx context.Context) string {
	if there, err := t.exists(ctx, debianFolder); err == nil && there {
		return debianFolder
	}
	return rtslibFolder
}

// Ready sees to it that this host can export: it mounts configfs, and loads
// modules, if need be. It says what is missing where that cannot be had.
func (k *Kernel) Ready(ctx context.Context) error {
	return k.change(ctx, "get ready", "", k.ready)
}

func (k *Kernel) ready(ctx context.Context, t *tree) error {
	there, err := t.exists(ctx, iscsiDir)
	if err != nil || there {
		return err
	}
	if there, err = t.exists(ctx, targetDir); err == nil && !there {
		err = k.core(ctx, t)
	}
	if err != nil {
		return err
	}
	k.setDBRoot(ctx, t)
	err = k.mkdirLoading(ctx, t, iscsiDir, "iscsi_target_mod")
	return unless(err, syscall.EEXIST)
}

// core gets configfs mounted and the target core loaded.
func (k *Kernel) core(ctx context.Context, t *tree) error {
	there, err := t.exists(ctx, configDir)
	if err != nil {
		return err
	}
	if !there {
		if err := k.load(ctx, "configfs"); err != nil {
			return err
		}
	}
	if !t.fs.mounted(configDir) {
		err := t.step(ctx, "mount configfs on "+configDir, func(ctx context.Context) error { return t.fs.mount(ctx, configDir) })
		if err != nil && !t.fs.mounted(configDir) { // else somebody was quicker
			return err
		}
	}
	if there, err = t.exists(ctx, targetDir); err != nil || there {
		return err
	}
	if err := k.load(ctx, "target_core_mod"); err != nil {
		return err
	}
	there, err = t.exists(ctx, targetDir)
	if err == nil && !there {
		err = fault.Errorf(fault.ErrPrecondition, "no %s, though the kernel module target_core_mod is loaded", targetDir)
	}
	return err
}

func (k *Kernel) load(ctx context.Context, module string) error {
	if k.Modprobe == nil {
		return fault.Errorf(fault.ErrPrecondition, "the kernel module %s is not loaded", module)
	}
	if err := k.Modprobe(ctx, module); err != nil {
		return fault.Errorf(fault.ErrPrecondition, "kernel module %s: %w", module, err)
	}
	return nil
}

// mkdirLoading makes a folder that stands for a module. The kernel loads it
// itself, where modprobe is as it expects.
func (k *Kernel) mkdirLoading(ctx context.Context, t *tree, dir, module string) error {
	err := t.mkdir(ctx, dir)
	if unless(err, syscall.EINVAL, syscall.ENOENT, syscall.ENODEV, syscall.ENOSYS) != nil || err == nil {
		return err
	}
	if loading := k.load(ctx, module); loading != nil {
		return fmt.Errorf("%w (%w)", loading, err)
	}
	return t.mkdir(ctx, dir)
}

// setDBRoot names the folder in which the kernel keeps reservations. It is set
// before there is a device, or never; nothing here depends on it.
func (k *Kernel) setDBRoot(ctx context.Context, t *tree) {
	folder := t.rtslibFolder(ctx)
	entries, err := t.list(ctx, coreDir)
	if err != nil || len(names(entries, fs.ModeDir, "")) > 1 { // alua is always there
		return
	}
	if err := t.set(ctx, dbroot, folder); err != nil {
		k.log().Debug("lio: folder for reservations", slog.String("folder", folder), slog.Any("error", err))
	}
}
