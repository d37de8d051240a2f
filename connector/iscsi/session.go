// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
)

// session is an iSCSI session of the kernel, in whatever state.
type session struct {
	id     int
	iqn    string
	host   int            // SCSI host
	portal netip.AddrPort // as configured
	now    netip.AddrPort // after a redirection
	name   string         // of the portal's host, if it was configured by name
	iser   bool
}

const sessions = "/sys/class/iscsi_session"

func (s *session) class() string  { return sessions + "/session" + strconv.Itoa(s.id) }
func (s *session) folder() string { return s.class() + "/device" }

// loggedIn is the state in which the kernel scans, and disks work.
const loggedIn = "LOGGED_IN"

func (s *session) state(h *connector.Host) string { return scsi.Attr(h, s.class()+"/state") }

// sessionsOf lists the sessions with targets of these names, oldest first.
// Without the folder the kernel modules are not loaded.
func (c *iscsi) sessionsOf(iqns ...string) []*session {
	entries, _ := os.ReadDir(c.host.Path(sessions))
	var list []*session
	for _, e := range entries {
		id, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "session"))
		if err != nil {
			continue
		}
		s := &session{id: id}
		s.iqn = scsi.Attr(c.host, s.class()+"/targetname")
		if slices.ContainsFunc(iqns, func(iqn string) bool { return strings.EqualFold(iqn, s.iqn) }) && c.read(s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *session) int { return a.id - b.id })
	return list
}

// read fills in the rest; false if the session goes away meanwhile.
func (c *iscsi) read(s *session) bool {
	real, err := filepath.EvalSymlinks(c.host.Path(s.class()))
	if err != nil {
		return false
	}
	s.host = -1
	for part := range strings.SplitSeq(real, "/") {
		if number, ok := strings.CutPrefix(part, "host"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				s.host = n
			}
		}
	}
	connection := "/sys/class/iscsi_connection/connection" + strconv.Itoa(s.id) + ":0/"
	s.portal, s.name = c.address(connection + "persistent_")
	s.now, _ = c.address(connection)
	s.iser = strings.Contains(scsi.Attr(c.host, "/sys/class/scsi_host/host"+strconv.Itoa(s.host)+"/proc_name"), "iser")
	return s.host >= 0
}

// address reads an address and port; the name, where it is none.
func (c *iscsi) address(prefix string) (at netip.AddrPort, name string) {
	text := strings.Trim(scsi.Attr(c.host, prefix+"address"), "[]")
	port, err := strconv.ParseUint(scsi.Attr(c.host, prefix+"port"), 10, 16)
	if err != nil {
		return at, ""
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPortFrom(addr, uint16(port)), text
	}
	return plain(netip.AddrPortFrom(addr, uint16(port))), ""
}

// at tells whether a session is one to t.
func (j *job) at(s *session, t *target) bool {
	if s.iser != j.iser || !strings.EqualFold(s.iqn, t.iqn) {
		return false
	}
	return t.is(s.portal) || t.is(s.now) || s.name != "" && strings.EqualFold(s.name, t.name) && s.portal.Port() == t.portal.Port()
}

// to lists the sessions to t.
func (j *job) to(t *target) []*session {
	return slices.DeleteFunc(j.sessionsOf(t.iqn), func(s *session) bool { return !j.at(s, t) })
}

// of is the node of the session.
func (s *session) of() node { return node{iqn: s.iqn, portal: s.address(), iser: s.iser} }

// address is the portal as iscsiadm knows it.
func (s *session) address() string {
	if s.name != "" {
		return s.name + ":" + strconv.Itoa(int(s.portal.Port()))
	}
	if s.portal.IsValid() {
		return s.portal.String()
	}
	return s.now.String()
}

// disks lists the disks of the session.
func (s *session) disks(h *connector.Host) []scsi.Disk {
	return scsi.DisksIn(h, s.folder())
}

// disk finds the disk at a LUN.
func (s *session) disk(h *connector.Host, lun int) (scsi.Disk, bool) {
	for _, d := range s.disks(h) {
		if d.Address.LUN == lun {
			return d, true
		}
	}
	return scsi.Disk{}, false
}

// at is the address of a LUN of the session.
func (s *session) at(h *connector.Host, lun int) scsi.Address {
	at := scsi.Address{Host: s.host, Channel: 0, Target: scsi.Any, LUN: lun}
	if id, err := strconv.ParseInt(scsi.Attr(h, s.class()+"/target_id"), 10, 32); err == nil && id >= 0 {
		at.Target = int(id)
	}
	return at
}
