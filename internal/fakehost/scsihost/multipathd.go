// SPDX-License-Identifier: Apache-2.0

package scsihost

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

// dm is a multipath map.
type dm struct {
	name  string // dm-N
	wwid  string // as udev has it
	disks []string
	lost  []string // disks that went from under it
	size  int64
}

func (m *dm) sys() string { return "/sys/devices/virtual/block/" + m.name }

// uevent is multipathd hearing of a disk that came or went.
func (s *Sim) uevent(d *disk) {
	if s.NoMultipath {
		return
	}
	if s.disks[d.name] == d {
		s.addPath(d, false)
		return
	}
	for _, m := range s.maps {
		if i := slices.Index(m.lost, d.name); i >= 0 {
			m.lost = slices.Delete(m.lost, i, i+1)
			if len(m.disks) == 0 {
				s.dropMap(m) // stays if it is in use
			}
		}
	}
}

func udevName(wwid string) string {
	return strings.NewReplacer("naa.", "3", "eui.", "2").Replace(wwid)
}

// addPath adds a disk to its map, or makes that.
func (s *Sim) addPath(d *disk, whatever bool) {
	wwid := udevName(d.wwid)
	for _, m := range s.maps {
		if m.wwid == wwid {
			if !slices.Contains(m.disks, d.name) && d.size == m.size {
				s.hold(m, d)
			}
			return
		}
	}
	var same []*disk
	for _, o := range s.disks {
		if udevName(o.wwid) == wwid && s.alive(o.session) && s.opened["/dev/"+o.name] == 0 {
			same = append(same, o)
		}
	}
	if len(same) == 0 || s.FindMultipaths && len(same) < 2 && !s.known[wwid] && !whatever {
		return
	}
	m := &dm{wwid: wwid, size: same[0].size}
	for i := 0; m.name == ""; i++ {
		if name := fmt.Sprintf("dm-%d", i); s.maps[name] == nil {
			m.name = name
		}
	}
	s.known[wwid] = true
	s.Put(m.sys()+"/dm/uuid", "mpath-"+wwid+"\n")
	s.Put(m.sys()+"/dm/name", wwid+"\n")
	s.Put(m.sys()+"/dev", fmt.Sprintf("253:%s\n", m.name[3:]))
	s.Put(m.sys()+"/size", strconv.FormatInt(m.size/512, 10)+"\n")
	s.Folder(m.sys() + "/slaves")
	s.Folder(m.sys() + "/holders")
	s.Lead("/sys/block/"+m.name, m.sys())
	s.maps[m.name] = m
	for _, o := range same {
		s.hold(m, o)
	}
	s.Node(m.name, m.size)
}

func (s *Sim) hold(m *dm, d *disk) {
	m.disks = append(m.disks, d.name)
	s.Lead(m.sys()+"/slaves/"+d.name, d.sys())
	s.Lead(d.sys()+"/holders/"+m.name, m.sys())
}

func (s *Sim) release(m *dm, name string) {
	m.disks = slices.DeleteFunc(m.disks, func(n string) bool { return n == name })
	s.Drop(m.sys() + "/slaves/" + name)
	if d := s.disks[name]; d != nil {
		s.Drop(d.sys() + "/holders/" + m.name)
	}
}

// dropMap removes a map that nobody has open.
func (s *Sim) dropMap(m *dm) bool {
	if s.opened["/dev/"+m.name] > 0 {
		return false
	}
	for _, d := range slices.Clone(m.disks) {
		s.release(m, d)
	}
	s.Drop("/dev/" + m.name)
	s.Drop("/sys/block/" + m.name)
	s.Drop(m.sys())
	delete(s.maps, m.name)
	return true
}

// command is what multipathd is asked; empty is no reply, as when it is not there.
func (s *Sim) command(text string) string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.NoMultipath {
		return ""
	}
	word := strings.Fields(text)
	arg := word[len(word)-1]
	switch {
	case text == "show daemon":
		return "pid 1 idle\n"
	case strings.HasPrefix(text, "show paths raw format %d|%w|%m|%t"):
		return s.paths()
	case strings.HasPrefix(text, "add path "):
		d := s.disks[arg]
		if d == nil {
			return "fail\n"
		}
		s.addPath(d, false)
		return "ok\n"
	case strings.HasPrefix(text, "add map "):
		for _, d := range s.disks {
			if udevName(d.wwid) == arg {
				s.addPath(d, true)
				return "ok\n"
			}
		}
		return "fail\n"
	case strings.HasPrefix(text, "del path "):
		for _, m := range s.maps {
			if slices.Contains(m.disks, arg) {
				if len(m.disks) > 1 {
					s.release(m, arg)
				} else if !s.dropMap(m) {
					return "fail\n"
				}
			}
		}
		return "ok\n"
	}
	m := s.named(arg)
	if m == nil {
		return "fail\nno such map\n"
	}
	switch word[0] {
	case "del":
		if !s.dropMap(m) {
			return "fail\nmap in use\n"
		}
		return "ok\n"
	case "disablequeueing":
		return "ok\n"
	case "resize":
		return s.resize(m)
	}
	return "fail\n"
}

func (s *Sim) named(name string) *dm {
	for _, m := range s.maps {
		if m.wwid == name {
			return m
		}
	}
	return nil
}

func (s *Sim) paths() string {
	var text strings.Builder
	for _, d := range s.disks {
		owner, state := "[orphan]", "undef"
		for _, m := range s.maps {
			if slices.Contains(m.disks, d.name) {
				owner, state = m.wwid, "active"
			}
		}
		if !s.alive(d.session) {
			state = "failed"
		}
		fmt.Fprintf(&text, "%s|%s|%s|%s\n", d.name, udevName(d.wwid), owner, state)
	}
	return text.String()
}

func (s *Sim) resize(m *dm) string {
	for _, name := range m.disks {
		if s.disks[name].size < s.disks[m.disks[0]].size {
			return "fail\n"
		}
	}
	if len(m.disks) > 0 {
		m.size = s.disks[m.disks[0]].size
	}
	s.Put(m.sys()+"/size", strconv.FormatInt(m.size/512, 10)+"\n")
	s.Node(m.name, m.size)
	return "ok\n"
}

// multipath is the program: -a and -f.
func (s *Sim) multipath(_ context.Context, args []string, _ []byte) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if len(args) != 2 {
		return connector.Result{Code: 1}
	}
	switch args[0] {
	case "-a":
		s.known[args[1]] = true
		return connector.Result{Stdout: fmt.Appendf(nil, "wwid '%s' added\n", args[1])}
	case "-f":
		if m := s.named(args[1]); m != nil && s.dropMap(m) {
			return connector.Result{}
		}
	}
	return connector.Result{Code: 1}
}

// dmsetup knows remove --deferred.
func (s *Sim) dmsetup(_ context.Context, args []string, _ []byte) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	m := s.named(args[len(args)-1])
	if m == nil || args[0] != "remove" {
		return connector.Result{Code: 1}
	}
	s.dropMap(m)
	return connector.Result{}
}

const sizeBytes = bits.UintSize / 8

// serve listens as multipathd does. The path of the socket may be too long for
// an address.
func (s *Sim) serve() {
	folder, err := os.Open(s.Path("/run"))
	require.NoError(s.tb, err)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", fmt.Sprintf("/proc/self/fd/%d/multipathd.socket", folder.Fd()))
	require.NoError(s.tb, err)
	s.Go(func() {
		<-s.Ended()
		_ = listener.Close()
		_ = folder.Close()
	})
	s.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // the client sees it
				s.talk(conn)
			}()
		}
	})
}

func (s *Sim) talk(conn io.ReadWriter) {
	for {
		head := make([]byte, sizeBytes)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		size := binary.NativeEndian.Uint64(head)
		if size == 0 || size > 4096 {
			return
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(conn, text); err != nil {
			return
		}
		reply := s.command(strings.TrimRight(string(text), "\x00"))
		if reply == "" {
			return
		}
		if _, err := conn.Write(append(binary.NativeEndian.AppendUint64(nil, uint64(len(reply)+1)), append([]byte(reply), 0)...)); err != nil {
			return
		}
	}
}
