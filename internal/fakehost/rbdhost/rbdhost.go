// SPDX-License-Identifier: Apache-2.0

// Package rbdhost simulates a Linux host with the kernel's rbd driver and rbd-nbd,
// and the Ceph clusters it reaches. What is written to attributes in /sys/bus/rbd
// and what rbd-nbd is told has the effects and the errors it has on a real host
// (drivers/block/rbd.c, src/tools/rbd_nbd of Ceph 16).
package rbdhost

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

// Features of images, as the bits of Ceph.
const (
	Layering   = 1
	Journaling = 64
)

// KernelFeatures are those that Linux 5.3 and later map.
const KernelFeatures = 0b1_1011_1111

// Cluster is a Ceph cluster.
type Cluster struct {
	FSID string
	Mons []string          // IP:PORT; at 3300 they speak the new protocol only, elsewhere the old
	Keys map[string]string // of users; nil: anybody may
	Down bool              // it does not answer
	// Images by POOL/IMAGE or POOL/NAMESPACE/IMAGE. Pools that have none are Pools.
	Images map[string]*Image
	Pools  []string
}

// Image is an image of a cluster.
type Image struct {
	ID       string
	Size     int64
	Features uint64
	Snaps    map[string]int64 // sizes by name
	// Demoted: it is a mirror, to be read only.
	Demoted bool
}

// Sim is the simulated host. Its fields are set before use, or in Change.
type Sim struct {
	*fakehost.Kernel

	NoKernel     bool          // there is no module rbd
	NoNBD        bool          // there is no module nbd
	Majors       bool          // the module was loaded without single_major
	MountTimeout time.Duration // until a monitor is given up
	// Hold keeps writes that map in the kernel until it is closed; nil: none.
	Hold chan struct{}

	clusters []*Cluster
	mapped   map[int]*mapping
	nbd      map[int]*server
	opened   map[string]int
	lastPID  int
	log      []string
}

// New makes a host that has rbd-nbd installed and no module loaded.
func New(tb testing.TB) *Sim {
	tb.Helper()
	s := &Sim{
		Kernel: fakehost.NewKernel(tb, time.Millisecond), MountTimeout: 20 * time.Millisecond,
		mapped: map[int]*mapping{}, nbd: map[int]*server{}, opened: map[string]int{}, lastPID: 100,
	}
	s.Folder("/run")
	s.Folder("/tmp")
	s.Folder("/etc/ceph")
	s.Handle("modprobe", s.modprobe)
	s.Handle("rbd-nbd", s.rbdNBD)
	s.Handle("install", s.install)
	s.Handle("dmesg", func(context.Context, []string, []byte) connector.Result {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		return connector.Result{Stdout: []byte(strings.Join(s.log, "\n") + "\n")}
	})
	return s
}

// Connector is the host as a Connector sees it.
func (s *Sim) Connector() *connector.Host {
	h := s.Kernel.Connector()
	h.Files = files{s: s}
	return h
}

// Add adds a cluster.
func (s *Sim) Add(c *Cluster) { s.Change(func() { s.clusters = append(s.clusters, c) }) }

// Change changes clusters, or fields of s, while nothing else happens. What watches
// an image hears of its size: rbd-nbd does, the kernel here has missed it.
func (s *Sim) Change(f func()) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	f()
	for _, n := range s.nbd {
		s.Soon(func() { s.resizeNBD(n) })
	}
}

// Load loads a module as a host does that starts.
func (s *Sim) Load(name string) { s.modprobe(context.Background(), []string{name}, nil) }

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
	number, _ := os.ReadFile(s.Path("/sys/block/" + filepath.Base(node) + "/dev"))
	s.Put("/proc/self/mountinfo", fmt.Sprintf("36 35 %s / %s rw - ext4 %s rw\n", strings.TrimSpace(string(number)), at, node))
	return func() {
		closed()
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.Put("/proc/self/mountinfo", "")
	}
}

// Left lists what there is on the host: devices that are mapped, processes, files.
func (s *Sim) Left() []string {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	var left []string
	for id, m := range s.mapped {
		left = append(left, fmt.Sprintf("rbd%d %s", id, m.what()))
	}
	for n, v := range s.nbd {
		left = append(left, fmt.Sprintf("nbd%d %s", n, v.spec))
	}
	for _, pattern := range []string{"/run/*", "/tmp/*", "/proc/[0-9]*", "/dev/rbd*", "/sys/block/rbd*", "/sys/bus/rbd/devices/*", "/sys/block/nbd*/pid"} {
		found, _ := filepath.Glob(s.Path(pattern))
		for _, f := range found {
			rel, _ := filepath.Rel(s.Root, f)
			left = append(left, "/"+rel)
		}
	}
	slices.Sort(left)
	return left
}

// reach finds the cluster of one of some monitors, as a client that speaks the new
// or the old protocol does.
func (s *Sim) reach(mons []string, speaks func(port string) bool) *Cluster {
	for _, c := range s.clusters {
		for _, m := range c.Mons {
			if !c.Down && slices.Contains(mons, m) && speaks(m[strings.LastIndex(m, ":")+1:]) {
				return c
			}
		}
	}
	return nil
}

// hasPool tells whether a cluster has a pool.
func (c *Cluster) hasPool(pool string) bool {
	for name := range c.Images {
		if strings.HasPrefix(name, pool+"/") {
			return true
		}
	}
	return slices.Contains(c.Pools, pool)
}

// modprobe(8).
func (s *Sim) modprobe(_ context.Context, args []string, _ []byte) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch name := args[0]; {
	case name == "rbd" && !s.NoKernel:
		s.loadKernel()
	case name == "nbd" && !s.NoNBD:
		s.loadNBD(args[1:])
	default:
		return connector.Result{Code: 1, Stderr: []byte("modprobe: FATAL: Module " + name + " not found in directory /lib/modules/6.1.0")}
	}
	return connector.Result{}
}

// install is install(1) of coreutils with the options of a file made from a pipe: the
// file gets its mode as it is made, and takes the place of one that is there.
func (s *Sim) install(_ context.Context, args []string, stdin []byte) connector.Result {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if len(args) != 5 || args[0] != "-m" || args[2] != "-T" || args[3] != "/dev/stdin" {
		return connector.Result{Code: 1, Stderr: []byte("install: missing file operand")}
	}
	var mode fs.FileMode
	if _, err := fmt.Sscanf(args[1], "%o", &mode); err != nil {
		return connector.Result{Code: 1, Stderr: []byte("install: invalid mode")}
	}
	_ = os.Remove(args[4])
	if err := os.WriteFile(args[4], stdin, mode); err != nil {
		return connector.Result{Code: 1, Stderr: []byte("install: cannot create regular file: Permission denied")}
	}
	return connector.Result{}
}
