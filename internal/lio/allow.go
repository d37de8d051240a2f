// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/secret"
)

// Allow lets an initiator log in to the target with its credentials, and shows
// it LUN 0. Its name counts in lower case. One that is allowed already gets the
// new credentials and mode; a session of its goes on. A failed call takes away
// again what it made. No such target is fault.ErrNotFound, one that is half made
// fault.ErrPrecondition: Export repairs it.
func (k *Kernel) Allow(ctx context.Context, iqn string, i Initiator) error {
	err := CheckIQN(iqn)
	if err == nil {
		err = i.check()
	}
	if err != nil {
		return failed("allow", err)
	}
	return k.change(ctx, "allow "+i.IQN+" on", iqn, func(ctx context.Context, t *tree) error {
		g, err := t.allow(ctx, iqn, &i)
		if err == nil {
			k.save(ctx, t, iqn, g)
		}
		return err
	})
}

// allow maps the LUN before it sets the credentials, without which nobody logs
// in: an initiator that keeps trying never finds a target without its disk, or
// with one that it may write when it must not.
func (t *tree) allow(ctx context.Context, iqn string, i *Initiator) (g *target, err error) {
	defer func() { t.undo.Unwind(ctx, undoGrace, &err) }()
	g, err = t.whole(ctx, iqn)
	switch {
	case err != nil:
		return nil, err
	case g == nil || !g.there:
		return nil, fault.Errorf(fault.ErrNotFound, "no such target")
	case g.store == "":
		return nil, fault.Errorf(fault.ErrPrecondition, "the target has no LUN 0")
	}
	acl := g.dir + "/acls/" + i.IQN
	if !slices.Contains(g.acls, i.IQN) {
		if err := t.make(ctx, acl); err != nil {
			return nil, err
		}
		g.acls = append(g.acls, i.IQN)
		slices.Sort(g.acls)
	}
	if err := t.mapLUN(ctx, g, mapping{dir: acl + lun0, readOnly: i.ReadOnly}, i.KeepWrite); err != nil {
		return nil, err
	}
	if err := t.setSecret(ctx, acl+"/auth/userid", secret.Text(i.User)); err != nil {
		return nil, err
	}
	return g, t.setSecret(ctx, acl+"/auth/password", i.Password)
}

func (t *tree) mapLUN(ctx context.Context, g *target, m mapping, keepWrite bool) error {
	lun := g.dir + "/lun" + lun0
	link, to, err := t.linked(ctx, m.dir)
	if gone(err) {
		err = t.make(ctx, m.dir)
	}
	if err != nil {
		return err
	}
	if link != "" {
		// Empty: the LUN was taken away from under it. It takes a new link.
		protect, err := t.read(ctx, m.dir+"/write_protect")
		if err != nil {
			return err
		}
		if to != lun || protect == "" {
			if err := t.unlink(ctx, link); err != nil {
				return err
			}
			link = ""
		}
		if keepWrite && link != "" && protect == "0" {
			return nil
		}
	}
	if link == "" {
		if err := t.link(ctx, lun, m.dir+alias); err != nil {
			return err
		}
	}
	return t.protect(ctx, m)
}

// setSecret writes an attribute that has another value, without a newline: the
// kernel would take that for a part of it.
func (t *tree) setSecret(ctx context.Context, file string, value secret.Text) error {
	has, err := t.read(ctx, file)
	if err != nil && !errors.Is(err, syscall.EPERM) && !errors.Is(err, fault.ErrPermission) {
		return err
	}
	if err == nil && has == value.Reveal() {
		return nil
	}
	return t.writeSecret(ctx, file, value)
}
