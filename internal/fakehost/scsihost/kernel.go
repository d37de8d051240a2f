// SPDX-License-Identifier: Apache-2.0

package scsihost

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

const errRefused = syscall.ECONNREFUSED

func trim(text []byte) string { return string(bytes.TrimSpace(text)) }

// session is one of the kernel's, on a SCSI host of its own, as iscsi_tcp makes
// them.
type session struct {
	id, host int
	target   *Target
	portal   netip.AddrPort
	iface    string
	frozen   bool // it does not come back
}

func (n *session) dir() string {
	return fmt.Sprintf("/sys/devices/platform/host%d/session%d", n.host, n.id)
}

// disk is an sd device.
type disk struct {
	name    string
	session *session
	lun     int
	wwid    string // as the kernel has read it
	size    int64
}

func (d *disk) hctl() string { return fmt.Sprintf("%d:0:0:%d", d.session.host, d.lun) }
func (d *disk) dir() string {
	return fmt.Sprintf("%s/target%d:0:0/%s", d.session.dir(), d.session.host, d.hctl())
}
func (d *disk) sys() string { return d.dir() + "/block/" + d.name }

// addSession makes the tree of a session.
func (s *Sim) addSession(t *Target, portal netip.AddrPort, iface string) *session {
	n := &session{id: s.lastSession + 1, host: s.lastHost, target: t, portal: portal, iface: iface}
	s.lastSession++
	s.lastHost++
	host := fmt.Sprintf("/sys/devices/platform/host%d", n.host)
	proc := "iscsi_tcp"
	if iface == "iser" {
		proc = "iscsi_iser"
	}
	class := fmt.Sprintf("%s/scsi_host/host%d", host, n.host)
	s.Put(class+"/scan", "")
	s.Put(class+"/proc_name", proc+"\n")
	s.Lead(fmt.Sprintf("/sys/class/scsi_host/host%d", n.host), class)
	id := fmt.Sprintf("session%d", n.id)
	class = n.dir() + "/iscsi_session/" + id
	s.Put(class+"/targetname", t.IQN+"\n")
	s.Put(class+"/target_id", "0\n")
	s.Put(class+"/ifacename", iface+"\n")
	s.Put(class+"/state", "LOGGED_IN\n")
	s.Lead(class+"/device", n.dir())
	connection := fmt.Sprintf("connection%d:0", n.id)
	at := n.dir() + "/" + connection + "/iscsi_connection/" + connection
	for name, value := range map[string]string{
		"persistent_address": portal.Addr().String(), "persistent_port": strconv.Itoa(int(portal.Port())),
		"address": portal.Addr().StringExpanded(), "port": strconv.Itoa(int(portal.Port())),
	} {
		s.Put(at+"/"+name, value+"\n")
	}
	s.Lead("/sys/class/iscsi_connection/"+connection, at)
	s.Lead("/sys/class/iscsi_session/"+id, class)
	s.sessions = append(s.sessions, n)
	return n
}

// dropSession takes a session with its disks.
func (s *Sim) dropSession(n *session) {
	for _, d := range s.disksOf(n) {
		s.Violated("%s was there when its session was logged out", d.name)
		s.dropDisk(d)
	}
	s.Drop(fmt.Sprintf("/sys/class/iscsi_session/session%d", n.id))
	s.Drop(fmt.Sprintf("/sys/class/iscsi_connection/connection%d:0", n.id))
	s.Drop(fmt.Sprintf("/sys/class/scsi_host/host%d", n.host))
	s.Drop(fmt.Sprintf("/sys/devices/platform/host%d", n.host))
	s.sessions = slices.DeleteFunc(s.sessions, func(o *session) bool { return o == n })
}

// alive tells whether the array answers on a session.
func (s *Sim) alive(n *session) bool {
	return !n.frozen && !s.Dead[n.portal] && slices.Contains(s.targets, n.target) && slices.Contains(n.target.Portals, n.portal)
}

// refresh has the kernel learn whether a session works.
func (s *Sim) refresh(n *session) {
	state, disks := "LOGGED_IN", "running"
	if !s.alive(n) {
		state, disks = "FAILED", "blocked"
	}
	s.Put(n.dir()+fmt.Sprintf("/iscsi_session/session%d/state", n.id), state+"\n")
	for _, d := range s.disksOf(n) {
		s.Put(d.dir()+"/state", disks+"\n")
	}
}

func (s *Sim) disksOf(n *session) []*disk {
	var list []*disk
	for _, d := range s.disks {
		if d.session == n {
			list = append(list, d)
		}
	}
	return list
}

// scan finds one LUN, or all for -1.
func (s *Sim) scan(n *session, lun int) {
	if !s.alive(n) {
		return
	}
	for number, l := range n.target.LUNs {
		if lun >= 0 && number != lun || slices.ContainsFunc(s.disksOf(n), func(d *disk) bool { return d.lun == number }) {
			continue
		}
		s.addDisk(n, number, l)
	}
}

func (s *Sim) addDisk(n *session, lun int, l *LUN) {
	d := &disk{session: n, lun: lun, wwid: l.WWID, size: l.Size}
	for letter := 'a'; d.name == ""; letter++ {
		if name := "sd" + string(letter); s.disks[name] == nil {
			d.name = name
		}
	}
	s.Put(d.dir()+"/wwid", l.WWID+"\n")
	s.Put(d.dir()+"/state", "running\n")
	s.Put(d.dir()+"/delete", "")
	s.Put(d.dir()+"/rescan", "")
	class := d.dir() + "/scsi_device/" + d.hctl()
	s.Lead(class+"/device", d.dir())
	s.Lead("/sys/class/scsi_device/"+d.hctl(), class)
	s.Put(d.sys()+"/size", strconv.FormatInt(d.size/512, 10)+"\n")
	s.Put(d.sys()+"/dev", fmt.Sprintf("8:%d\n", (int(d.name[2])-'a')*16))
	s.Folder(d.sys() + "/holders")
	s.Lead(d.sys()+"/device", d.dir())
	s.Lead("/sys/block/"+d.name, d.sys())
	s.Node(d.name, d.size)
	s.disks[d.name] = d
	s.Soon(func() { s.uevent(d) })
}

// dropDisk is what a write to its attribute delete does. Who has it open gets
// errors from now on.
func (s *Sim) dropDisk(d *disk) {
	for _, m := range s.maps {
		if slices.Contains(m.disks, d.name) {
			s.Drop(m.sys() + "/slaves/" + d.name)
			m.disks = slices.DeleteFunc(m.disks, func(n string) bool { return n == d.name })
			m.lost = append(m.lost, d.name)
		}
	}
	s.Drop("/sys/block/" + d.name)
	s.Drop("/dev/" + d.name)
	s.Drop("/sys/class/scsi_device/" + d.hctl())
	s.Drop(d.dir())
	delete(s.disks, d.name)
	delete(s.opened, "/dev/"+d.name)
	s.Soon(func() { s.uevent(d) })
}

// rescan asks the array who a disk is. One without an answer keeps what it knew.
func (s *Sim) rescan(d *disk) {
	l := d.session.target.LUNs[d.lun]
	if l == nil {
		return
	}
	d.wwid, d.size = l.WWID, l.Size
	s.Put(d.dir()+"/wwid", d.wwid+"\n")
	s.Put(d.sys()+"/size", strconv.FormatInt(d.size/512, 10)+"\n")
	s.Node(d.name, d.size)
}

// files are the files of the host: those in /sys do something.
type files struct {
	hostfile.Direct

	s *Sim
}

var (
	scanFile   = regexp.MustCompile(`^/sys/class/scsi_host/host(\d+)/scan$`)
	deviceFile = regexp.MustCompile(`^/sys/.*?(?:/target[\d:]+/([\d:]+)|/scsi_device/([\d:]+)/device|/block/(\w+)/device)/(delete|rescan)$`)
)

func (f files) Write(ctx context.Context, path string, data []byte) error {
	name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, f.s.Root), "/")
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	if m := scanFile.FindStringSubmatch(name); m != nil {
		return f.s.writeScan(m[1], string(data))
	}
	if m := deviceFile.FindStringSubmatch(name); m != nil {
		return f.s.writeDevice(ctx, m[1]+m[2]+m[3], m[4])
	}
	return os.WriteFile(path, data, 0o600)
}

func (s *Sim) writeScan(host, text string) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	field := strings.Fields(text)
	if len(field) != 3 {
		return syscall.EINVAL
	}
	lun, err := strconv.Atoi(field[2])
	if err != nil {
		s.Violated("scan for all LUNs: %q", text)
		lun = -1
	}
	for _, n := range s.sessions {
		if strconv.Itoa(n.host) == host && (field[0] == "-" || field[0] == "0") && (field[1] == "-" || field[1] == "0") {
			s.scan(n, lun)
		}
	}
	return nil
}

// writeDevice: a rescan waits as long as the disk is blocked; a removal does not.
func (s *Sim) writeDevice(ctx context.Context, which, what string) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for _, d := range s.disks {
		if which != d.name && which != d.hctl() {
			continue
		}
		if what == "delete" {
			s.dropDisk(d)
			return nil
		}
		if !s.alive(d.session) {
			s.Mu.Unlock()
			<-ctx.Done()
			s.Mu.Lock()
			return ctx.Err()
		}
		s.rescan(d)
		return nil
	}
	return syscall.ENODEV
}

// exists is for the node database.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// blockdev makes a device read-only, or writable.
func (s *Sim) blockdev(_ context.Context, args []string, _ []byte) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if len(args) != 2 || args[0] != "--setro" && args[0] != "--setrw" {
		return connector.Result{Code: 1, Stderr: []byte("blockdev: usage")}
	}
	folder := "/sys/block/" + path.Base(args[1])
	if _, err := os.Stat(s.Path(folder)); err != nil {
		return connector.Result{Code: 1, Stderr: []byte("blockdev: cannot open " + args[1])}
	}
	bit := "0"
	if args[0] == "--setro" {
		bit = "1"
	}
	s.Put(folder+"/ro", bit+"\n")
	return connector.Result{}
}
