// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// plan is a target as it shall be.
type plan struct {
	iqn     string
	dir     string // of the portal group
	portals map[string]bool
	demo    *arraysim.Access           // the entry without initiator
	acls    map[string]arraysim.Access // the others
	luns    map[string]arraysim.LUN    // by volume
	// numbers are those of the LUNs of the portal group, by volume. ACLs have
	// numbers of their own; who comes in by demo mode sees these.
	numbers map[string]int
}

// maxLUN is the largest that a number of one level of addresses can be.
const maxLUN = 16383

func newPlan(t arraysim.Target) (*plan, error) {
	w := &plan{
		iqn: strings.ToLower(t.IQN), portals: map[string]bool{}, acls: map[string]arraysim.Access{},
		luns: map[string]arraysim.LUN{}, numbers: map[string]int{},
	}
	if err := checkName(w.iqn); err != nil {
		return nil, err
	}
	w.dir = iscsiDir + "/" + w.iqn + group
	if len(t.Portals) == 0 {
		return nil, fault.Errorf(fault.ErrInvalid, "no portals")
	}
	for _, portal := range t.Portals {
		at, err := netip.ParseAddrPort(portal)
		if err != nil || at.Port() == 0 {
			return nil, fault.Errorf(fault.ErrInvalid, "portal %q: want an address and a port", portal)
		}
		w.portals[plain(at)] = true
	}
	for _, a := range t.Access {
		if err := w.add(a); err != nil {
			return nil, err
		}
	}
	return w, w.checkDemo()
}

// plain writes an address one way only, which is the kernel's.
func plain(at netip.AddrPort) string {
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}

// checkName refuses what the kernel does not take, or would not find again: it
// knows names in lower case.
func checkName(iqn string) error {
	if iqn == "" || len(iqn) > 223 || !printable(iqn) || strings.ContainsAny(iqn, " /") || strings.Trim(iqn, ".") == "" {
		return fault.Errorf(fault.ErrInvalid, "name %q: want 1 to 223 printable characters without spaces and slashes", iqn)
	}
	return nil
}

func (w *plan) add(a arraysim.Access) error {
	name := strings.ToLower(a.Initiator)
	if _, twice := w.acls[name]; twice || name == "" && w.demo != nil {
		return fault.Errorf(fault.ErrInvalid, "two entries for initiator %q", name)
	}
	if err := checkCHAP(name, a.CHAP); err != nil {
		return err
	}
	numbers := map[int]bool{}
	for _, l := range a.LUNs {
		if l.Number < 0 || l.Number > maxLUN || numbers[l.Number] {
			return fault.Errorf(fault.ErrInvalid, "LUN %d of initiator %q: there twice, or not in 0 to %d", l.Number, name, maxLUN)
		}
		numbers[l.Number] = true
		if err := w.addLUN(l); err != nil {
			return err
		}
	}
	if name == "" {
		w.demo = &a
		return nil
	}
	if err := checkName(name); err != nil {
		return err
	}
	w.acls[name] = a
	return nil
}

func (w *plan) addLUN(l arraysim.LUN) error {
	if err := checkID(l.Volume); err != nil {
		return err
	}
	who, err := identify(l)
	if err != nil {
		return err
	}
	if other, there := w.luns[l.Volume]; there {
		if before, _ := identify(other); before != who || other.Bytes != l.Bytes {
			return fault.Errorf(fault.ErrInvalid, "volume %s is described in two ways", l.Volume)
		}
	}
	w.luns[l.Volume] = l
	return nil
}

// checkCHAP does not show passwords. To the kernel all that begins with NULL is no
// value.
func checkCHAP(name string, c *arraysim.CHAP) error {
	if c == nil {
		return nil
	}
	for what, v := range map[string]string{
		"user": c.User, "password": c.Password.Reveal(),
		"target's user": "-" + c.TargetUser, "target's password": "-" + c.TargetPassword.Reveal(), // may be empty
	} {
		if v == "" || len(v) > 255 || !printable(v) || strings.HasPrefix(strings.TrimPrefix(v, "-"), "NULL") {
			return fault.Errorf(fault.ErrInvalid, "CHAP %s of initiator %q: want at most 255 printable characters that do not begin with NULL", what, name)
		}
	}
	return nil
}

// checkDemo refuses what demo mode cannot show: all of the portal group, all of it
// for writing or none.
func (w *plan) checkDemo() error {
	if w.demo == nil {
		return nil
	}
	for _, l := range w.demo.LUNs {
		if _, twice := w.numbers[l.Volume]; twice || l.ReadOnly != w.demo.LUNs[0].ReadOnly {
			return fault.Errorf(errors.ErrUnsupported, "LUNs for any initiator: volume %s twice, or some read-only and some not", l.Volume)
		}
		w.numbers[l.Volume] = l.Number
	}
	for id := range w.luns {
		if _, there := w.numbers[id]; !there {
			return fault.Errorf(errors.ErrUnsupported, "volume %s: any initiator would see it that has no entry of its own", id)
		}
	}
	return nil
}

// protected: who comes in by demo mode must not write.
func (w *plan) protected() bool {
	return w.demo != nil && len(w.demo.LUNs) > 0 && w.demo.LUNs[0].ReadOnly
}

// number gives each volume a LUN of the portal group: where it is already, or the
// lowest that is free. have is what there is, as folders of backstores by number.
func (w *plan) number(have map[int]string, stores map[string]*store) {
	taken := map[int]bool{}
	for n := range have {
		taken[n] = true
	}
	for _, n := range w.numbers {
		taken[n] = true
	}
	at := map[string]int{}
	for n, dir := range have {
		at[dir] = n
	}
	for id := range w.luns {
		if _, fixed := w.numbers[id]; fixed {
			continue
		}
		if s := stores[id]; s != nil {
			if n, there := at[s.dir]; there {
				w.numbers[id] = n
				continue
			}
		}
		n := w.luns[id].Number
		for taken[n] {
			n = (n + 1) % (maxLUN + 1)
		}
		taken[n] = true
		w.numbers[id] = n
	}
}

func lunDir(group string, n int) string { return fmt.Sprintf("%s/lun/lun_%d", group, n) }
