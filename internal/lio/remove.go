// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Unexport removes the target and its backstore, however much of them there is;
// none at all is no error. Sessions end at once, so let initiators log out
// first: what they have not written yet is lost to them.
func (k *Kernel) Unexport(ctx context.Context, iqn string) error {
	if err := CheckIQN(iqn); err != nil {
		return failed("unexport", err)
	}
	return k.change(ctx, "unexport", iqn, func(ctx context.Context, t *tree) error {
		if err := k.unexport(ctx, t, iqn); err != nil {
			return err
		}
		k.save(ctx, t, iqn, nil)
		return nil
	})
}

func (k *Kernel) unexport(ctx context.Context, t *tree, iqn string) error {
	if err := t.present(ctx); err != nil {
		return err
	}
	if err := t.removeTarget(ctx, iqn); err != nil {
		return err
	}
	found, empty, _, err := t.stores(ctx, iqn)
	if err != nil {
		return err
	}
	for _, dir := range found {
		if err := t.removeStore(ctx, dir); err != nil {
			return err
		}
	}
	for _, dir := range empty {
		if err := t.dropEmpty(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// present refuses a host of which configfs cannot be seen: what is exported
// there would be taken for removed. Without the modules nothing is exported.
func (t *tree) present(ctx context.Context) error {
	there, err := t.exists(ctx, targetDir)
	if err == nil && !there && !t.fs.mounted(configDir) {
		err = fault.Errorf(fault.ErrPrecondition, "configfs is not mounted on %s", configDir)
	}
	return err
}

func (t *tree) removeTarget(ctx context.Context, iqn string) error {
	top := iscsiDir + "/" + iqn
	groups, err := t.folders(ctx, top, "tpgt_")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := t.removeGroup(ctx, top+"/"+g); err != nil {
			return err
		}
	}
	return t.drop(ctx, top)
}

func (t *tree) removeGroup(ctx context.Context, dir string) error {
	if err := t.set(ctx, dir+"/enable", "0"); err != nil {
		return err
	}
	acls, err := t.folders(ctx, dir+"/acls", "")
	if err != nil {
		return err
	}
	for _, acl := range acls {
		if err := t.removeACL(ctx, dir+"/acls/"+acl); err != nil {
			return err
		}
	}
	luns, err := t.folders(ctx, dir+"/lun", "lun_")
	if err != nil {
		return err
	}
	for _, lun := range luns {
		if err := t.removeLUN(ctx, dir+"/lun/"+lun); err != nil {
			return err
		}
	}
	portals, err := t.portals(ctx, dir+"/np")
	if err != nil {
		return err
	}
	for _, p := range portals {
		if err := t.closePortal(ctx, p); err != nil {
			return err
		}
	}
	return t.drop(ctx, dir)
}

func (t *tree) removeACL(ctx context.Context, dir string) error {
	luns, err := t.folders(ctx, dir, "lun_")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, lun := range luns {
		if err := t.removeLUN(ctx, dir+"/"+lun); err != nil {
			return err
		}
	}
	return t.drop(ctx, dir)
}

// removeLUN removes a LUN of a group or of an initiator.
func (t *tree) removeLUN(ctx context.Context, dir string) error {
	links, err := t.links(ctx, dir)
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := unless(t.unlink(ctx, l), syscall.ENOENT); err != nil {
			return err
		}
	}
	return t.drop(ctx, dir)
}

func (t *tree) closePortal(ctx context.Context, p portal) error {
	if p.iser {
		if err := t.write(ctx, p.dir+"/iser", "0"); err != nil && ctx.Err() != nil {
			return err // else it is as well: the portal goes
		}
	}
	return t.drop(ctx, p.dir)
}

// drop removes a folder that may be gone already. Linked is fault.ErrInUse.
func (t *tree) drop(ctx context.Context, dir string) error {
	err := t.rmdir(ctx, dir)
	switch {
	case gone(err):
		return nil
	case errors.Is(err, syscall.EBUSY):
		return fault.Errorf(fault.ErrInUse, "somebody else uses it: %w", err)
	}
	return err
}

// dropEmpty removes a folder unless somebody is filling it.
func (t *tree) dropEmpty(ctx context.Context, dir string) error {
	return unless(t.drop(ctx, dir), syscall.ENOTEMPTY)
}

// Disallow takes the target away from an initiator; that it has no access, or
// that there is no target, is no error. A session of its ends at once.
func (k *Kernel) Disallow(ctx context.Context, iqn, initiator string) error {
	name, err := initiatorName(initiator)
	if err == nil {
		err = CheckIQN(iqn)
	}
	if err != nil {
		return failed("disallow", err)
	}
	return k.change(ctx, "disallow "+name+" on", iqn, func(ctx context.Context, t *tree) error {
		if err := t.present(ctx); err != nil {
			return err
		}
		acls := iscsiDir + "/" + iqn + group + "/acls"
		have, err := t.folders(ctx, acls, "")
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, acl := range have {
			if strings.EqualFold(acl, name) {
				if err := t.removeACL(ctx, acls+"/"+acl); err != nil {
					return err
				}
			}
		}
		g, err := t.whole(ctx, iqn)
		if err == nil {
			k.save(ctx, t, iqn, g)
		}
		return err
	})
}
