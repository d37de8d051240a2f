// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

const group = "/tpgt_1"

// converge makes the difference between what there is of a target and what shall
// be: first what goes goes, so that nobody sees both. The portal group is never
// disabled, for that ends sessions.
func (p *Plane) converge(ctx context.Context, w *plan) error {
	if err := mkdir(ctx, filepath.Dir(w.dir)); err != nil {
		return err
	}
	if err := mkdir(ctx, w.dir); err != nil {
		return err
	}
	stale, err := p.stale(w)
	if err != nil {
		return err
	}
	if err := p.prune(ctx, w, stale); err != nil {
		return err
	}
	for _, id := range stale {
		if err := p.closeStore(ctx, id); err != nil {
			return err
		}
	}
	for _, l := range w.luns {
		if err := p.openStore(ctx, l); err != nil {
			return err
		}
	}
	if err := w.protect(ctx); err != nil {
		return err
	}
	if err := p.show(ctx, w); err != nil {
		return err
	}
	for name, a := range w.acls {
		if err := w.allow(ctx, name, &a); err != nil {
			return err
		}
	}
	if err := w.listen(ctx); err != nil {
		return err
	}
	if w.demo != nil {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	if err := set(ctx, w.dir+"/enable", "1"); err != nil {
		return err
	}
	// Without "None" in it, which "authentication" adds and takes away, the kernel
	// puts None in its place for all that need no CHAP (iscsi_login_zero_tsih_s2).
	// With it they could choose CHAP, and would be told to go on without (since Linux
	// 6.0, iscsi_target_handle_csg_zero), whereupon they give up.
	return set(ctx, w.dir+"/param/AuthMethod", "CHAP")
}

// stale lists the volumes that hosts shall know by another identity than they do.
func (p *Plane) stale(w *plan) ([]string, error) {
	var stale []string
	for id, l := range w.luns {
		who, err := identify(l)
		if err != nil {
			return nil, err
		}
		s := p.stores[id]
		if s == nil || s.who == who {
			continue
		}
		for iqn, t := range p.shown {
			if iqn != w.iqn && slices.ContainsFunc(t.Access, func(a arraysim.Access) bool {
				return slices.ContainsFunc(a.LUNs, func(l arraysim.LUN) bool { return l.Volume == id })
			}) {
				return nil, fault.Errorf(fault.ErrInUse, "volume %s: target %s shows it with other identifiers", id, iqn)
			}
		}
		stale = append(stale, id)
	}
	return stale, nil
}

// prune takes away what shall not be, or not so, and decides on the numbers of the
// LUNs.
func (p *Plane) prune(ctx context.Context, w *plan, stale []string) error {
	have, err := groupLUNs(w.dir)
	if err != nil {
		return err
	}
	w.number(have, p.stores)
	// Demo mode decides whether a LUN may be written when the initiator, or the LUN,
	// comes to it.
	protect, err := get(w.dir + "/attrib/demo_mode_write_protect")
	if err != nil {
		return err
	}
	again := w.demo != nil && protect != digit(w.protected())
	keep := map[string]bool{} // folders of LUNs
	for id, n := range w.numbers {
		s := p.stores[id]
		if s != nil && have[n] == s.dir && !again && !slices.Contains(stale, id) {
			keep[lunDir(w.dir, n)] = true
		}
	}
	if w.demo == nil {
		if err := w.shut(ctx); err != nil {
			return err
		}
	}
	if err := w.pruneACLs(ctx, keep); err != nil {
		return err
	}
	for n := range have {
		if dir := lunDir(w.dir, n); !keep[dir] {
			if err := dropLUN(ctx, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// groupLUNs gives the LUNs of a portal group: the folders of their backstores, by
// number.
func groupLUNs(dir string) (map[int]string, error) {
	found, err := folders(dir+"/lun", "lun_")
	if err != nil {
		return nil, err
	}
	luns := map[int]string{}
	for _, name := range found {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "lun_"))
		if err != nil {
			return nil, err
		}
		if _, luns[n], err = linked(dir + "/lun/" + name); err != nil {
			return nil, err
		}
	}
	return luns, nil
}

// protect says whether those of demo mode may write. Nobody finds a target who has
// no entry.
func (w *plan) protect(ctx context.Context) error {
	return setAll(ctx, w.dir+"/attrib", "demo_mode_write_protect", digit(w.protected()), "demo_mode_discovery", "0")
}

// show puts the backstores under the LUNs of the portal group.
func (p *Plane) show(ctx context.Context, w *plan) error {
	for id, n := range w.numbers {
		dir := lunDir(w.dir, n)
		if err := mkdir(ctx, dir); err != nil {
			return err
		}
		_, to, err := linked(dir)
		if err == nil && to == "" {
			err = link(ctx, p.stores[id].dir, dir+"/store")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listen makes the portals those of w. The kernel says EINVAL whatever is wrong.
func (w *plan) listen(ctx context.Context) error {
	have, err := folders(w.dir+"/np", "")
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, name := range have {
		at, err := netip.ParseAddrPort(name)
		if err == nil && w.portals[plain(at)] {
			there[plain(at)] = true
			continue
		}
		if err := drop(ctx, w.dir+"/np/"+name); err != nil {
			return err
		}
	}
	for at := range w.portals {
		if there[at] {
			continue
		}
		if err := mkdir(ctx, w.dir+"/np/"+at); err != nil {
			return fault.Errorf(fault.ErrPrecondition, "portal %s: the address is none of this machine, or taken: %w", at, err)
		}
	}
	return nil
}

// removeTarget removes a target, however much of it there is, with its sessions.
func removeTarget(ctx context.Context, iqn string) error {
	top := iscsiDir + "/" + iqn
	groups, err := folders(top, "tpgt_")
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := removeGroup(ctx, top+"/"+g); err != nil {
			return err
		}
	}
	return drop(ctx, top)
}

func removeGroup(ctx context.Context, dir string) error {
	if err := set(ctx, dir+"/enable", "0"); err != nil {
		return err
	}
	acls, err := folders(dir+"/acls", "")
	if err != nil {
		return err
	}
	for _, name := range acls {
		if err := removeACL(ctx, dir+"/acls/"+name); err != nil {
			return err
		}
	}
	luns, err := folders(dir+"/lun", "lun_")
	if err != nil {
		return err
	}
	for _, name := range luns {
		if err := dropLUN(ctx, dir+"/lun/"+name); err != nil {
			return err
		}
	}
	portals, err := folders(dir+"/np", "")
	if err != nil {
		return err
	}
	for _, name := range portals {
		if err := drop(ctx, dir+"/np/"+name); err != nil {
			return err
		}
	}
	return drop(ctx, dir)
}
