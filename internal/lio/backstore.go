// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

// open makes the backstore of e, on an adapter of its own with the lowest number
// that is free: so targetcli expects it.
func (k *Kernel) open(ctx context.Context, t *tree, e *Export, dev device, taken map[int]bool) (dir string, err error) {
	var adapter string
	for n := 0; ; n++ {
		if taken[n] {
			continue
		}
		adapter = adapters + strconv.Itoa(n)
		err := k.mkdirLoading(ctx, t, adapter, "target_core_iblock")
		if errors.Is(err, syscall.EEXIST) { // somebody who does not lock
			continue
		}
		if err := t.made(err, adapter, t.rmdir); err != nil {
			return "", err
		}
		break
	}
	dir = adapter + "/" + e.IQN
	if err := t.make(ctx, dir); err != nil {
		return "", err
	}
	readonly := "0"
	if e.ReadOnly {
		readonly = "1"
	}
	if err := t.write(ctx, dir+"/udev_path", e.Device); err != nil {
		return "", err
	}
	// exclusive is since Linux 6.17; others ignore it.
	if err := t.write(ctx, dir+"/control", "udev_path="+e.Device+",readonly="+readonly+",exclusive=1"); err != nil {
		return "", err
	}
	if err := t.write(ctx, dir+"/enable", "1"); err != nil {
		return "", t.unusable(ctx, e.Device, dev, err)
	}
	// Before the first LUN: from then on the kernel refuses it.
	if err := t.write(ctx, dir+"/wwn/vpd_unit_serial", e.Serial+"\n"); err != nil {
		return "", err
	}
	return dir, t.setUnmap(ctx, &backstore{dir: dir, unmap: "0"}, e.Discard)
}

// removeStore removes a backstore and its adapter. In use is fault.ErrInUse.
func (t *tree) removeStore(ctx context.Context, dir string) error {
	groups, err := t.folders(ctx, dir+"/alua", "")
	if err != nil && !gone(err) {
		return err
	}
	for _, g := range groups {
		if g != "default_tg_pt_gp" { // that one goes with its parent
			if err := t.drop(ctx, dir+"/alua/"+g); err != nil {
				return err
			}
		}
	}
	if err := t.drop(ctx, dir); err != nil {
		return err
	}
	return t.dropEmpty(ctx, path.Dir(dir))
}

func indexOf(adapter string) int {
	_, n, _ := cutLast(adapter, "_")
	index, err := strconv.Atoi(n)
	if err != nil {
		return -1
	}
	return index
}

// unusable says why the kernel did not take a device.
func (t *tree) unusable(ctx context.Context, file string, dev device, err error) error {
	if !errors.Is(err, syscall.EBUSY) {
		return unusable(file, err)
	}
	by := "mounted, or another target's"
	holders, listing := t.list(ctx, fmt.Sprintf("/sys/dev/block/%d:%d/holders", dev.major, dev.minor))
	if listing == nil && len(holders) > 0 {
		names := make([]string, 0, len(holders))
		for _, h := range holders {
			names = append(names, h.name)
		}
		by = "held by " + strings.Join(names, ", ")
	}
	return fault.Errorf(fault.ErrInUse, "device %s is in use (%s): %w", file, by, err)
}

func unusable(file string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fault.Errorf(fault.ErrNotFound, "no device %s: %w", file, err)
	case errors.Is(err, syscall.ENOTBLK):
		return fault.Errorf(fault.ErrInvalid, "%s is not a block device: %w", file, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, fault.ErrPermission): // the latter by way of a program
		return fault.Errorf(fault.ErrPermission, "device %s can only be read: %w", file, err)
	}
	return err
}
