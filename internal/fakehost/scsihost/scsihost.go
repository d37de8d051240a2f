// SPDX-License-Identifier: Apache-2.0

// Package scsihost simulates a Linux host with open-iscsi, SCSI disks and
// multipathd, and the arrays it reaches. What is written to attributes in /sys,
// what iscsiadm is told and what multipathd is asked has the effects it has on a
// real host, in sysfs, in /dev and in the node database, in the same order.
package scsihost

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

// Target is an iSCSI target of an array.
type Target struct {
	IQN            string
	Portals        []netip.AddrPort
	User, Password string // CHAP, unless empty
	// LUNs may be changed while nothing else happens; see Sim.Change.
	LUNs map[int]*LUN
}

// LUN is a volume of an array.
type LUN struct {
	WWID string // as sysfs has it
	Size int64
}

// Sim is the simulated host. Its fields are set before use, or in Change.
type Sim struct {
	*fakehost.Kernel // Delay: of udev, iscsid

	NoIscsid    bool // iscsid is not running
	NoMultipath bool // multipathd is not running
	// FindMultipaths: a map takes two paths, or a WWID that is known, as with
	// find_multipaths yes.
	FindMultipaths bool
	LoginTimeout   time.Duration // of a portal that does not answer
	// HangAfterLogin: iscsiadm does not return from a login that has worked, as
	// version 2.1.10 with node.session.scan=manual.
	HangAfterLogin bool
	// Dead portals do not answer; the disks behind them are blocked.
	Dead map[netip.AddrPort]bool

	tb          testing.TB
	targets     []*Target
	sessions    []*session
	disks       map[string]*disk
	maps        map[string]*dm
	known       map[string]bool // wwids file
	opened      map[string]int  // by node
	mounted     map[string]string
	lastHost    int
	lastSession int
}

// New makes a host with the services running and no array.
func New(tb testing.TB) *Sim {
	tb.Helper()
	s := &Sim{
		Kernel: fakehost.NewKernel(tb, 2*time.Millisecond), tb: tb, FindMultipaths: true, LoginTimeout: 300 * time.Millisecond,
		Dead: map[netip.AddrPort]bool{}, disks: map[string]*disk{}, maps: map[string]*dm{}, known: map[string]bool{},
		opened: map[string]int{}, mounted: map[string]string{},
	}
	s.Folder("/sys/class/iscsi_session")
	s.Folder("/sys/class/iscsi_connection")
	s.Folder("/sys/class/scsi_host")
	s.Folder("/sys/class/scsi_device")
	s.Folder("/proc/self")
	s.Folder("/run")
	s.Folder("/etc/iscsi/nodes")
	s.Handle("iscsiadm", s.iscsiadm)
	s.Handle("multipath", s.multipath)
	s.Handle("dmsetup", s.dmsetup)
	s.Handle("blockdev", s.blockdev)
	s.serve()
	return s
}

// Connector is the host as a Connector sees it.
func (s *Sim) Connector() *connector.Host {
	h := s.Kernel.Connector()
	h.Files = files{s: s}
	return h
}

// Add adds a target.
func (s *Sim) Add(t *Target) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.targets = append(s.targets, t)
}

// Targets lists the targets, in Change.
func (s *Sim) Targets() []*Target { return s.targets }

// Change changes arrays, or fields of s, while nothing else happens. Sessions
// and disks learn of portals that die, or come back.
func (s *Sim) Change(f func()) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	f()
	for _, n := range s.sessions {
		s.refresh(n)
	}
}

// Freeze has the sessions of a target stay as they are: iscsid cannot log in
// again. It belongs in Change.
func (s *Sim) Freeze(t *Target) {
	for _, n := range s.sessions {
		if n.target == t {
			n.frozen = true
		}
	}
}

// Open has somebody open a node, until the function is called.
func (s *Sim) Open(node string) (closed func()) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.opened[node]++
	return func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.opened[node]--
	}
}

// Mount mounts a node, until the function is called.
func (s *Sim) Mount(node, at string) (unmount func()) {
	closed := s.Open(node)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.mounted[node] = at
	s.writeMounts()
	return func() {
		closed()
		s.Mu.Lock()
		defer s.Mu.Unlock()
		delete(s.mounted, node)
		s.writeMounts()
	}
}

func (s *Sim) writeMounts() {
	var text strings.Builder
	for node, at := range s.mounted {
		number, _ := os.ReadFile(s.Path("/sys/block/" + filepath.Base(node) + "/dev"))
		fmt.Fprintf(&text, "36 35 %s / %s rw - ext4 %s rw\n", trim(number), at, node)
	}
	s.Put("/proc/self/mountinfo", text.String())
}

// Left lists what there is on the host: sessions, node records, disks, maps.
func (s *Sim) Left() []string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	var left []string
	for _, n := range s.sessions {
		left = append(left, fmt.Sprintf("session%d %s %s", n.id, n.target.IQN, n.portal))
	}
	for name, d := range s.disks {
		left = append(left, name+" "+d.wwid)
	}
	for name, m := range s.maps {
		left = append(left, name+" "+m.wwid)
	}
	for _, pattern := range []string{"/etc/iscsi/nodes/*/*", "/dev/*", "/sys/block/*", "/sys/class/iscsi_session/*"} {
		found, _ := filepath.Glob(s.Path(pattern))
		for _, f := range found {
			rel, _ := filepath.Rel(s.Root, f)
			left = append(left, "/"+rel)
		}
	}
	slices.Sort(left)
	return left
}

// Dial tries a portal as a TCP connection does.
func (s *Sim) Dial(ctx context.Context, portal netip.AddrPort) error {
	s.Mu.Lock()
	dead := s.Dead[portal]
	_, there := s.behind(portal)
	s.Mu.Unlock()
	switch {
	case dead:
		<-ctx.Done()
		return ctx.Err()
	case !there:
		return fmt.Errorf("dial %s: %w", portal, errRefused)
	}
	return nil
}

// behind tells whether any target has the portal.
func (s *Sim) behind(portal netip.AddrPort) (*Target, bool) {
	for _, t := range s.targets {
		if slices.Contains(t.Portals, portal) {
			return t, true
		}
	}
	return nil, false
}
