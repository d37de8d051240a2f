// SPDX-License-Identifier: Apache-2.0

package rbdhost

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
)

// server is an rbd-nbd that serves a device.
type server struct {
	number, pid int
	spec        string
	image       *Image
	snap        string
	readOnly    bool
}

func (v *server) disk() string { return fmt.Sprintf("nbd%d", v.number) }

func (v *server) size() int64 {
	if v.snap != "" {
		return v.image.Snaps[v.snap]
	}
	return v.image.Size
}

// loadNBD makes the devices, which stay.
func (s *Sim) loadNBD(args []string) {
	number := 16
	for _, a := range args {
		if n, ok := strings.CutPrefix(a, "nbds_max="); ok {
			number, _ = strconv.Atoi(n)
		}
	}
	for i := range min(number, 20) { // no test has more
		name := fmt.Sprintf("nbd%d", i)
		s.Put("/sys/block/"+name+"/size", "0\n")
		s.Put("/sys/block/"+name+"/ro", "0\n")
		s.Put("/sys/block/"+name+"/dev", fmt.Sprintf("43:%d\n", i*32))
		s.Folder("/sys/block/" + name + "/holders")
		s.Node(name, 0)
	}
}

func failed(format string, args ...any) connector.Result {
	return connector.Result{Code: 1, Stderr: fmt.Appendf(nil, format, args...)}
}

// options of rbd-nbd that have a value.
var valued = []string{"--id", "--mon_host", "--conf", "--device"}

// rbdNBD is the program of Ceph 16, and what it says of itself and for librbd.
func (s *Sim) rbdNBD(ctx context.Context, args []string, _ []byte) connector.Result {
	options, rest := map[string]string{}, []string(nil)
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(valued, args[i]) && i+1 < len(args):
			options[args[i]] = args[i+1]
			i++
		case args[i] == "--read-only":
			options[args[i]] = "true"
		case strings.HasPrefix(args[i], "-"):
			return failed("rbd-nbd: unknown args: %s", args[i])
		default:
			rest = append(rest, args[i])
		}
	}
	switch {
	case len(rest) == 2 && rest[0] == "map":
		return s.serve(ctx, append([]string{"rbd-nbd"}, args...), options, rest[1])
	case len(rest) == 2 && rest[0] == "unmap":
		return s.unserve(rest[1])
	}
	return failed("rbd-nbd: unknown command")
}

// conf is a configuration as far as it is used here: [SECTION], NAME = VALUE.
func (s *Sim) conf(path string) (values map[string]string, ok bool) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		s.Violated("%s can be read by others", path)
	}
	values, section := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		values[section+"/"+strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return values, true
}

// serve maps an image: the program ends when the one it leaves behind serves.
func (s *Sim) serve(ctx context.Context, line []string, options map[string]string, spec string) connector.Result {
	conf, ok := s.conf(options["--conf"])
	if !ok {
		return failed("global_init: unable to open config file from search list %s", options["--conf"])
	}
	pid := s.start(line)
	v, fault := s.open(ctx, conf, options, spec)
	if v == nil {
		s.end(pid)
		return fault
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for ; ; v.number++ {
		if _, err := os.Stat(s.Path("/sys/block/" + v.disk())); err != nil {
			s.Drop(fmt.Sprintf("/proc/%d", pid))
			return failed("rbd-nbd: failed to find unused device")
		}
		if s.nbd[v.number] == nil {
			break
		}
	}
	v.pid = pid
	s.nbd[v.number] = v
	s.Put("/sys/block/"+v.disk()+"/size", strconv.FormatInt(v.size()/512, 10)+"\n")
	s.Put("/sys/block/"+v.disk()+"/ro", bit(v.readOnly))
	s.Node(v.disk(), v.size())
	s.Put("/sys/block/"+v.disk()+"/pid", strconv.Itoa(pid)+"\n")
	return connector.Result{Stdout: []byte("/dev/" + v.disk() + "\n")}
}

// start makes a process.
func (s *Sim) start(line []string) int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.lastPID++
	dir := fmt.Sprintf("/proc/%d", s.lastPID)
	s.Folder(fmt.Sprintf("%s/task/%d", dir, s.lastPID))
	s.Put(dir+"/comm", line[0]+"\n")
	s.Put(dir+"/cmdline", strings.Join(line, "\x00")+"\x00")
	s.Lead(dir+"/exe", "/usr/bin/"+line[0])
	return s.lastPID
}

func (s *Sim) end(pid int) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Drop(fmt.Sprintf("/proc/%d", pid))
}

// open opens the image as librbd does.
func (s *Sim) open(ctx context.Context, conf, options map[string]string, spec string) (*server, connector.Result) {
	mons := options["--mon_host"]
	if mons == "" {
		mons = conf["global/mon_host"]
	}
	s.Mu.Lock()
	c := s.reach(strings.Split(mons, ","), func(string) bool { return true })
	wait := s.MountTimeout
	s.Mu.Unlock()
	if c == nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return nil, failed("failed to fetch mon config (--no-mon-config to skip)")
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	user := options["--id"]
	if user == "" {
		user = "admin"
	}
	if key := conf["client."+user+"/key"]; c.Keys != nil && (key == "" || c.Keys[user] != key) {
		return nil, failed("-1 monclient(hunting): handle_auth_bad_method server allowed_methods [2] but i only support [2,1]\n" +
			"failed to fetch mon config (--no-mon-config to skip)")
	}
	path, snap, _ := strings.Cut(spec, "@")
	pool, _, _ := strings.Cut(path, "/")
	image := c.Images[path]
	if !c.hasPool(pool) || image == nil {
		return nil, failed("") // indeed
	}
	if _, ok := image.Snaps[snap]; snap != "" && !ok {
		return nil, failed("")
	}
	return &server{spec: spec, image: image, snap: snap, readOnly: options["--read-only"] != "" || snap != ""}, connector.Result{}
}

// unserve unmaps a device, open or not.
func (s *Sim) unserve(node string) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for n, v := range s.nbd {
		if "/dev/"+v.disk() != node {
			continue
		}
		delete(s.nbd, n)
		s.Drop("/sys/block/" + v.disk() + "/pid")
		s.Put("/sys/block/"+v.disk()+"/size", "0\n")
		s.Put("/sys/block/"+v.disk()+"/ro", "0\n")
		s.Node(v.disk(), 0)
		s.Soon(func() { s.Drop(fmt.Sprintf("/proc/%d", v.pid)) }) // it writes what it holds
		return connector.Result{}
	}
	return failed("rbd-nbd: %s is not mapped", node)
}

// resizeNBD is what rbd-nbd does when it hears that the image has another size.
func (s *Sim) resizeNBD(v *server) {
	if s.nbd[v.number] != v {
		return
	}
	s.Put("/sys/block/"+v.disk()+"/size", strconv.FormatInt(v.size()/512, 10)+"\n")
	s.Node(v.disk(), v.size())
}
