// SPDX-License-Identifier: Apache-2.0

package rbdhost

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/hostfile"
)

// mapping is a device of the kernel's driver.
type mapping struct {
	id       int
	cluster  *Cluster
	image    *Image
	pool     string
	ns       string
	name     string
	snap     string
	config   string
	readOnly bool
}

func (m *mapping) what() string { return m.path() + "@" + m.snap }
func (m *mapping) path() string { return imagePath(m.pool, m.ns, m.name) }
func (m *mapping) dir() string  { return fmt.Sprintf("/sys/devices/rbd/%d", m.id) }
func (m *mapping) disk() string { return fmt.Sprintf("rbd%d", m.id) }

func (m *mapping) size() int64 {
	if m.snap != "-" {
		return m.image.Snaps[m.snap]
	}
	return m.image.Size
}

func imagePath(pool, ns, name string) string {
	if ns != "" {
		return pool + "/" + ns + "/" + name
	}
	return pool + "/" + name
}

// loadKernel makes the bus. Which attributes map depends on the module's parameter.
func (s *Sim) loadKernel() {
	s.Folder("/sys/bus/rbd/devices")
	s.Folder("/sys/devices/rbd")
	names := []string{"add", "remove"}
	if !s.Majors {
		names = append(names, "add_single_major", "remove_single_major")
	}
	for _, n := range names {
		s.Put("/sys/bus/rbd/"+n, "")
	}
}

// known are the options that the driver takes.
var known = []string{
	"name", "secret", "key", "fsid", "ms_mode", "_pool_ns", "read_only", "ro", "queue_depth", "lock_on_read", "exclusive",
	"notrim", "alloc_size", "osd_request_timeout", "mount_timeout", "noshare", "share",
}

// add is a write to the attribute add: MONITORS OPTIONS POOL IMAGE [SNAP|-].
func (s *Sim) add(text string) error {
	if hold := s.hold(); hold != nil {
		<-hold
	}
	word := strings.Fields(text)
	if len(word) < 4 || len(word) > 5 {
		return syscall.EINVAL
	}
	options := map[string]string{}
	for o := range strings.SplitSeq(word[1], ",") {
		name, value, _ := strings.Cut(o, "=")
		if !slices.Contains(known, name) {
			return syscall.EINVAL
		}
		options[name] = value
	}
	c, err := s.connect(strings.Split(word[0], ","), options)
	if err != nil {
		return err
	}
	m := &mapping{cluster: c, pool: word[2], ns: options["_pool_ns"], name: word[3], snap: "-", config: text}
	if len(word) == 5 {
		m.snap = word[4]
	}
	_, readOnly := options["read_only"]
	_, short := options["ro"]
	m.readOnly = readOnly || short || m.snap != "-"
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if err := s.probe(m); err != nil {
		return err
	}
	for m.id = 0; s.mapped[m.id] != nil; m.id++ { // the lowest that is free, be the image mapped or not
	}
	s.mapped[m.id] = m
	s.show(m)
	return nil
}

func (s *Sim) hold() chan struct{} {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.Hold
}

// connect opens a session with the cluster. The kernel speaks one protocol to all
// monitors.
func (s *Sim) connect(mons []string, options map[string]string) (*Cluster, error) {
	v2 := options["ms_mode"] != "" && options["ms_mode"] != "legacy"
	s.Mu.Lock()
	c := s.reach(mons, func(port string) bool { return (port == "3300") == v2 })
	wait := s.MountTimeout
	s.Mu.Unlock()
	if c == nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		<-timer.C
		return nil, syscall.ETIMEDOUT
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if fsid, ok := options["fsid"]; ok && fsid != c.FSID {
		return nil, syscall.EINVAL
	}
	if c.Keys != nil && (options["secret"] == "" || c.Keys[options["name"]] != options["secret"]) {
		if v2 {
			return nil, syscall.EACCES
		}
		return nil, syscall.EPERM
	}
	return c, nil
}

// probe looks for the image, and whether it can be mapped.
func (s *Sim) probe(m *mapping) error {
	if !m.cluster.hasPool(m.pool) {
		return syscall.ENOENT
	}
	m.image = m.cluster.Images[m.path()]
	if m.image == nil {
		return syscall.ENOENT
	}
	if unknown := m.image.Features &^ KernelFeatures; unknown != 0 {
		s.log = append(s.log, fmt.Sprintf("[   12.345678] rbd: image %s: image uses unsupported features: 0x%x", m.name, unknown))
		return syscall.ENXIO
	}
	if _, ok := m.image.Snaps[m.snap]; m.snap != "-" && !ok {
		return syscall.ENOENT
	}
	if m.image.Demoted && !m.readOnly {
		return syscall.EROFS
	}
	return nil
}

// show makes the tree of a device: the bus first, then the disk, then its node.
func (s *Sim) show(m *mapping) {
	id := strconv.Itoa(m.id)
	for name, value := range map[string]string{
		"pool": m.pool, "pool_ns": m.ns, "name": m.name, "current_snap": m.snap, "image_id": m.image.ID,
		"features": fmt.Sprintf("0x%016x", m.image.Features), "size": strconv.FormatInt(m.size(), 10),
		"major": "252", "minor": strconv.Itoa(m.id * 16), "cluster_fsid": m.cluster.FSID, "config_info": m.config,
		"client_addr": "10.0.0.9:0/123456789", "refresh": "",
	} {
		s.Put(m.dir()+"/"+name, value+"\n")
	}
	s.Lead("/sys/bus/rbd/devices/"+id, m.dir())
	block := m.dir() + "/block/" + m.disk()
	s.Put(block+"/size", strconv.FormatInt(m.size()/512, 10)+"\n")
	s.Put(block+"/ro", bit(m.readOnly))
	s.Put(block+"/dev", fmt.Sprintf("252:%d\n", m.id*16))
	s.Folder(block + "/holders")
	s.Lead("/sys/block/"+m.disk(), block)
	s.Soon(func() {
		if s.mapped[m.id] == m {
			s.Node(m.disk(), m.size())
		}
	})
}

func bit(set bool) string {
	if set {
		return "1\n"
	}
	return "0\n"
}

// remove is a write to the attribute remove: ID [force].
func (s *Sim) remove(text string) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	word := strings.Fields(text)
	if len(word) == 0 || len(word) > 2 || len(word) == 2 && word[1] != "force" {
		return syscall.EINVAL
	}
	id, err := strconv.Atoi(word[0])
	if err != nil || id < 0 {
		return syscall.EINVAL
	}
	m := s.mapped[id]
	switch {
	case m == nil:
		return syscall.ENOENT
	case s.opened["/dev/"+m.disk()] > 0 && len(word) == 1:
		return syscall.EBUSY
	}
	s.Drop("/dev/" + m.disk())
	s.Drop("/sys/block/" + m.disk())
	s.Drop("/sys/bus/rbd/devices/" + word[0])
	s.Drop(m.dir())
	delete(s.mapped, id)
	delete(s.opened, "/dev/"+m.disk())
	return nil
}

// refresh is a write to the attribute of a device.
func (s *Sim) refresh(id string) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	n, _ := strconv.Atoi(id)
	m := s.mapped[n]
	if m == nil {
		return syscall.ENODEV
	}
	if !slices.Contains(slices.Collect(maps.Values(m.cluster.Images)), m.image) { // its header is gone
		return syscall.ENOENT
	}
	s.Put(m.dir()+"/size", strconv.FormatInt(m.size(), 10)+"\n")
	s.Put(m.dir()+"/block/"+m.disk()+"/size", strconv.FormatInt(m.size()/512, 10)+"\n")
	s.Node(m.disk(), m.size())
	return nil
}

// files are the files of the host: those in /sys do something.
type files struct {
	hostfile.Direct

	s *Sim
}

// Write is one write(2): what the kernel says is its error.
func (f files) Write(_ context.Context, path string, data []byte) error {
	name := strings.TrimPrefix(path, f.s.Root)
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	var err error
	rest, isBus := strings.CutPrefix(name, "/sys/bus/rbd/")
	id, isRefresh := strings.CutSuffix(strings.TrimPrefix(rest, "devices/"), "/refresh")
	switch {
	case !isBus:
		err = os.WriteFile(path, data, 0o600)
	case len(data) > 4095:
		err = syscall.E2BIG
	case (rest == "add" || rest == "remove") && !f.s.Majors: // the module wants the other attributes
		err = syscall.EINVAL
	case rest == "add" || rest == "add_single_major":
		err = f.s.add(string(data))
	case rest == "remove" || rest == "remove_single_major":
		err = f.s.remove(string(data))
	case isRefresh:
		err = f.s.refresh(id)
	default:
		err = syscall.EACCES
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
