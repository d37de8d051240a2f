// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// pruneACLs takes away ACLs without an entry, with the sessions, and mapped LUNs
// that lead elsewhere than they shall, or to a LUN that is none of keep.
func (w *plan) pruneACLs(ctx context.Context, keep map[string]bool) error {
	acls, err := folders(w.dir+"/acls", "")
	if err != nil {
		return err
	}
	for _, name := range acls {
		dir := w.dir + "/acls/" + name
		a, stays := w.acls[name]
		if !stays {
			if err := removeACL(ctx, dir); err != nil {
				return err
			}
			continue
		}
		want := w.mapped(&a)
		have, err := folders(dir, "lun_")
		if err != nil {
			return err
		}
		for _, lun := range have {
			_, to, err := linked(dir + "/" + lun)
			if err != nil {
				return err
			}
			if to != "" && want[lun] == to && keep[to] {
				continue
			}
			if err := dropLUN(ctx, dir+"/"+lun); err != nil {
				return err
			}
		}
	}
	return nil
}

// mapped gives the LUNs of the portal group that an entry's LUNs lead to, by the
// name of the folder in the ACL.
func (w *plan) mapped(a *arraysim.Access) map[string]string {
	m := map[string]string{}
	for _, l := range a.LUNs {
		m["lun_"+strconv.Itoa(l.Number)] = lunDir(w.dir, w.numbers[l.Volume])
	}
	return m
}

func removeACL(ctx context.Context, dir string) error {
	luns, err := folders(dir, "lun_")
	if err != nil {
		return err
	}
	for _, lun := range luns {
		if err := dropLUN(ctx, dir+"/"+lun); err != nil {
			return err
		}
	}
	return drop(ctx, dir)
}

// allow makes an initiator's ACL. It asks for a password that there is not until
// the LUNs are there.
func (w *plan) allow(ctx context.Context, name string, a *arraysim.Access) error {
	dir := w.dir + "/acls/" + name
	if err := w.makeACL(ctx, name, a); err != nil {
		return err
	}
	for _, l := range a.LUNs {
		lun := dir + "/lun_" + strconv.Itoa(l.Number)
		if err := mkdir(ctx, lun); err != nil {
			return err
		}
		_, to, err := linked(lun)
		if err == nil && to == "" {
			err = link(ctx, lunDir(w.dir, w.numbers[l.Volume]), lun+"/lun")
		}
		if err == nil {
			err = set(ctx, lun+"/write_protect", digit(l.ReadOnly))
		}
		if err != nil {
			return err
		}
	}
	if err := login(ctx, dir+"/auth", a.CHAP); err != nil {
		return err
	}
	return set(ctx, dir+"/attrib/authentication", digit(needsCHAP(a)))
}

func needsCHAP(a *arraysim.Access) bool { return a.CHAP != nil && !a.Optional }

// makeACL makes the ACL if it is not there. The kernel keeps what an initiator was
// shown by demo mode, and makes the ACL of that, session included. So if it is not
// what the entry shows, or if it is of a session that ended, the ACL is made
// twice.
func (w *plan) makeACL(ctx context.Context, name string, a *arraysim.Access) error {
	acls, err := folders(w.dir+"/acls", "")
	if err != nil || slices.Contains(acls, name) {
		return err
	}
	sessions, err := w.dynamic()
	if err != nil {
		return err
	}
	dir := w.dir + "/acls/" + name
	if err := mkdir(ctx, dir); err != nil {
		return err
	}
	if slices.Contains(sessions, name) && w.asDemo(a) {
		return nil
	}
	if err := drop(ctx, dir); err != nil {
		return err
	}
	if err := mkdir(ctx, dir); err != nil {
		return err
	}
	return set(ctx, dir+"/attrib/authentication", "1")
}

// asDemo: the entry's LUNs have the numbers that they have in the portal group,
// and are all that there are.
func (w *plan) asDemo(a *arraysim.Access) bool {
	return len(a.LUNs) == len(w.numbers) &&
		!slices.ContainsFunc(a.LUNs, func(l arraysim.LUN) bool { return w.numbers[l.Volume] != l.Number })
}

// dynamic lists the initiators that are logged in by demo mode.
func (w *plan) dynamic() ([]string, error) {
	text, err := get(w.dir + "/dynamic_sessions")
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == 0 }), err
}

// login sets the credentials in a folder auth. To the kernel NULL is none; before
// the first ones they are empty.
func login(ctx context.Context, dir string, c *arraysim.CHAP) error {
	if c == nil {
		c = &arraysim.CHAP{}
	}
	for _, v := range []struct{ name, value string }{
		{"userid", c.User}, {"password", c.Password.Reveal()},
		{"userid_mutual", c.TargetUser}, {"password_mutual", c.TargetPassword.Reveal()},
	} {
		has, err := get(dir + "/" + v.name)
		if err != nil {
			return err
		}
		if v.value == "" {
			if has == "" {
				continue
			}
			v.value = "NULL"
		}
		if has == v.value {
			continue
		}
		if err := put(ctx, dir+"/"+v.name, v.value); err != nil {
			return err
		}
	}
	return nil
}

// open lets those in who have no entry of their own. The kernel has an ACL of each
// from then on, which it does not show (cache_dynamic_acls, which it insists on).
func (w *plan) open(ctx context.Context) error {
	if err := login(ctx, w.dir+"/auth", w.demo.CHAP); err != nil {
		return err
	}
	return setAll(ctx, w.dir+"/attrib",
		"authentication", digit(needsCHAP(w.demo)), "cache_dynamic_acls", "1", "generate_node_acls", "1")
}

// shut takes demo mode away and ends its sessions, by giving each an ACL that
// goes at once. What the kernel keeps of initiators that are not logged in stays;
// without credentials it lets nobody in.
func (w *plan) shut(ctx context.Context) error {
	if err := setAll(ctx, w.dir+"/attrib", "generate_node_acls", "0", "authentication", "1"); err != nil {
		return err
	}
	if err := login(ctx, w.dir+"/auth", nil); err != nil {
		return err
	}
	sessions, err := w.dynamic()
	if err != nil {
		return err
	}
	for _, name := range sessions {
		if _, stays := w.acls[name]; stays {
			continue // as makeACL has it
		}
		dir := w.dir + "/acls/" + name
		if err := mkdir(ctx, dir); err != nil {
			return err
		}
		if err := drop(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}
