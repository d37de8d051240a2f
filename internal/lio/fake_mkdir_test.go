// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// What mkdir makes in the fake kernel, and what the attributes there do.

func (f *fakeKernel) mkdir(_ context.Context, p string) error {
	return f.call("mkdir", p, func() error { return f.doMkdir(p) })
}

var adapterForm = regexp.MustCompile(`^(iblock|fileio|pscsi|rd_mcp|user)_[0-9]+$`)

func (f *fakeKernel) doMkdir(p string) error {
	if f.nodes[p] != nil {
		return syscall.EEXIST
	}
	if f.nodes[path.Dir(p)] == nil {
		return syscall.ENOENT
	}
	name := path.Base(p)
	parts := strings.Split(strings.TrimPrefix(p, targetDir+"/"), "/")
	made := func() { f.dir(p).fixed = false }
	switch {
	case p == iscsiDir:
		if f.unused && !f.loaded["iscsi_target_mod"] {
			return syscall.EINVAL
		}
		made()
		f.dir(p + "/discovery_auth")
		f.attr(p+"/lio_version", "v")
		f.attr(p+"/cpus_allowed_list", "0-1")
	case parts[0] == "core" && len(parts) == 2:
		if !adapterForm.MatchString(name) || f.unused && !f.loaded["target_core_iblock"] {
			return syscall.EINVAL
		}
		made()
		f.attr(p+"/hba_info", "")
		f.attr(p+"/hba_mode", "0")
	case parts[0] == "core" && len(parts) == 3:
		made()
		f.newStore(p)
	case parts[0] == "core" && len(parts) == 5 && parts[3] == "alua":
		made()
	case parts[0] == "iscsi" && len(parts) == 2:
		made()
		f.dir(p + "/fabric_statistics")
		f.dir(p + "/param")
	case parts[0] == "iscsi" && len(parts) == 3 && strings.HasPrefix(name, "tpgt_"):
		made()
		f.newGroup(p)
	case parts[0] == "iscsi" && len(parts) == 5:
		return f.newInGroup(p, parts[3], name, made)
	case parts[0] == "iscsi" && len(parts) == 6 && parts[3] == "acls" && strings.HasPrefix(name, "lun_"):
		made()
		f.dir(p + "/statistics")
		f.newMapped(p)
	default:
		return syscall.EPERM
	}
	return nil
}

func (f *fakeKernel) newStore(p string) {
	s := &fakeStore{control: map[string]string{}}
	f.nodes[p].store = s
	for _, d := range []string{"action", "alua", "alua/default_tg_pt_gp", "attrib", "pr", "statistics", "wwn"} {
		f.dir(p + "/" + d)
	}
	f.attr(p+"/control", "").write = func(v string) error {
		if s.enabled {
			return syscall.EEXIST
		}
		for option := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == '\n' }) {
			key, value, _ := strings.Cut(option, "=")
			s.control[key] = value
		}
		return nil
	}
	f.attr(p+"/enable", "0").write = func(v string) error { return f.enableStore(p, s, v) }
	udev := f.attr(p+"/udev_path", "")
	udev.write = func(v string) error {
		if len(v) > 511 {
			return syscall.EINVAL
		}
		udev.value = v
		return nil
	}
	serial := f.attr(p+"/wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: ")
	serial.write = func(v string) error {
		if f.linked(p) {
			return syscall.EINVAL
		}
		serial.value = "T10 VPD Unit Serial Number: " + strings.TrimSpace(v)
		return nil
	}
	f.attr(p+"/info", "").read = func() string {
		major, minor, claimed := uint32(0), uint32(0), ""
		if s.opened != nil {
			major, minor, claimed = s.opened.major, s.opened.minor, "CLAIMED: IBLOCK"
		}
		ro, _ := strconv.Atoi(s.control["readonly"])
		return fmt.Sprintf("Status: DEACTIVATED  Max Queue Depth: 0  SectorSize: 512  HwMaxSectors: 248\n"+
			"        iBlock device: x  UDEV PATH: %s  readonly: %d\n        Major: %d Minor: %d  %s", s.openedAs, ro, major, minor, claimed)
	}
	f.flag(p+"/attrib/emulate_write_cache", "0")
	unmap := f.attr(p+"/attrib/emulate_tpu", "0")
	unmap.write = func(v string) error {
		if v == "1" && (s.opened == nil || !s.opened.discard) {
			return syscall.ENOSYS
		}
		unmap.value = v
		return nil
	}
}

func (f *fakeKernel) enableStore(p string, s *fakeStore, v string) error {
	switch {
	case v != "1":
		return syscall.EINVAL
	case s.enabled:
		return syscall.EEXIST
	}
	d := f.devices[s.control["udev_path"]]
	switch {
	case d == nil:
		return syscall.ENOENT
	case d.plain:
		return syscall.ENOTBLK
	case d.holder != "":
		return syscall.EBUSY
	case d.readOnly && s.control["readonly"] != "1":
		return syscall.EACCES
	}
	d.holder = p
	s.enabled, s.opened, s.openedAs = true, d, s.control["udev_path"]
	f.nodes[p+"/enable"].value = "1"
	return nil
}

func (f *fakeKernel) newGroup(p string) {
	for _, d := range []string{"acls", "attrib", "auth", "lun", "np", "param"} {
		f.dir(p + "/" + d)
	}
	f.attr(p+"/dynamic_sessions", "")
	f.flag(p+"/attrib/authentication", "1")
	f.flag(p+"/attrib/generate_node_acls", "0")
	n := f.attr(p+"/enable", "0")
	n.write = func(v string) error {
		if v = strings.TrimSpace(v); v != "0" && v != "1" {
			return syscall.EINVAL
		}
		if n.value = v; v == "0" {
			for _, q := range f.below(p + "/acls") {
				f.nodes[q].session = nil
			}
		}
		return nil
	}
}

func (f *fakeKernel) newInGroup(p, in, name string, made func()) error {
	switch in {
	case "lun":
		made()
		f.dir(p + "/statistics")
		f.attr(p+"/alua_tg_pt_gp", "")
	case "np":
		at, err := netip.ParseAddrPort(name)
		if err != nil || !f.bindable(at, p) {
			return syscall.EINVAL // whatever is wrong
		}
		made()
		f.flag(p+"/iser", "0")
		f.flag(p+"/cxgbit", "0")
		iser := f.nodes[p+"/iser"]
		set := iser.write
		iser.write = func(v string) error {
			if v == "1" && !f.rdma {
				return syscall.EINVAL
			}
			return set(v)
		}
	case "acls":
		made()
		for _, d := range []string{"attrib", "auth", "fabric_statistics", "param"} {
			f.dir(p + "/" + d)
		}
		acl := f.nodes[p]
		f.attr(p+"/info", "").read = func() string {
			if acl.session == nil {
				return "No active iSCSI Session for Initiator Endpoint: " + name
			}
			return "InitiatorName: " + name + "\nInitiatorAlias: vm\nLIO Session ID: 1   ISID: 0x00 02 3d 00 00 01  TSIH: 1  SessionType: Normal\n" +
				"Session State: TARG_SESS_STATE_LOGGED_IN\nCID: 0  Connection State: TARG_CONN_STATE_LOGGED_IN\n   Address " +
				acl.session.String() + " TCP  StatSN: 0x4eaef1c8"
		}
		for _, a := range []string{"userid", "password", "userid_mutual", "password_mutual"} {
			n := f.attr(p+"/auth/"+a, "")
			n.write = func(v string) error {
				if len(v) > 255 {
					return syscall.EINVAL
				}
				if strings.HasSuffix(v, "\n") || strings.HasPrefix(v, "NULL") {
					f.wrong = append(f.wrong, "bad CHAP value")
				}
				n.value = v
				return nil
			}
		}
	default:
		return syscall.EPERM
	}
	return nil
}

func (f *fakeKernel) newMapped(p string) {
	n := f.nodes[p]
	a := f.attr(p+"/write_protect", "")
	a.read = func() string {
		switch {
		case !n.mapped:
			return ""
		case n.readOnly:
			return "1\n"
		}
		return "0\n"
	}
	a.write = func(v string) error {
		if n.mapped { // else it is ignored
			n.readOnly = v == "1"
		}
		return nil
	}
}

// bindable: a portal is shared by all targets that have it; one on all addresses
// and one on some exclude each other.
func (f *fakeKernel) bindable(at netip.AddrPort, but string) bool {
	if f.taken[at] {
		return false
	}
	for p := range f.nodes {
		if path.Base(path.Dir(p)) != "np" || p == but {
			continue
		}
		if o, err := netip.ParseAddrPort(path.Base(p)); err == nil && o != at && o.Port() == at.Port() &&
			(o.Addr().IsUnspecified() || at.Addr().IsUnspecified()) {
			return false
		}
	}
	return true
}
