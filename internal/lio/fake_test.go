// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// fakeKernel is configfs with LIO in it, as Linux 6.1 behaves: kernel_test.go
// saw the real one do the same.
type fakeKernel struct {
	mu      sync.Mutex
	nodes   map[string]*node // by path
	devices map[string]*fakeDevice
	here    []netip.Addr            // the host's addresses
	taken   map[netip.AddrPort]bool // by other programs
	loaded  map[string]bool         // modules
	unused  bool                    // the kernel loads no modules itself
	rdma    bool
	noMount error
	noSave  error
	saved   map[string][]byte // files of a disk

	isMounted bool
	wrong     []string // what no program should do

	faults
}

// faults makes calls fail.
type faults struct {
	calls int
	at    int // the call that is struck; 0 is none
	mode  string
	dead  bool
	hit   string                   // what was struck
	hang  map[string]chan struct{} // by op and path
	on    func(op, file string)    // before each call, without the lock
}

type node struct {
	kind     fs.FileMode
	fixed    bool   // made by the kernel itself
	value    string // of an attribute
	target   string // of a link
	write    func(value string) error
	read     func() string
	session  *netip.Addr // of an ACL
	mapped   bool        // of a mapped LUN: the initiator sees it
	readOnly bool        // of a mapped LUN
	store    *fakeStore
}

type fakeDevice struct {
	device
	readOnly, discard bool
	holder            string
	plain             bool // no block device
}

type fakeStore struct {
	control  map[string]string
	enabled  bool
	opened   *fakeDevice
	openedAs string
}

func newFake() *fakeKernel {
	f := &fakeKernel{
		nodes: map[string]*node{}, saved: map[string][]byte{}, devices: map[string]*fakeDevice{}, taken: map[netip.AddrPort]bool{},
		loaded: map[string]bool{"configfs": true, "target_core_mod": true, "iscsi_target_mod": true, "target_core_iblock": true},
		here:   []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("10.0.0.1")},
	}
	f.isMounted = true
	f.boot()
	_ = f.mkdir(context.Background(), iscsiDir)
	f.calls = 0
	return f
}

// boot makes what the loaded modules make.
func (f *fakeKernel) boot() {
	if f.loaded["configfs"] {
		f.dir(configDir)
	}
	if f.loaded["target_core_mod"] {
		f.dir(targetDir)
		f.dir(coreDir)
		f.dir(coreDir + "/alua")
		f.attr(targetDir+"/version", "v")
		n := f.attr(dbroot, "/var/target")
		n.write = func(v string) error {
			for p := range f.nodes {
				if path.Dir(path.Dir(p)) == coreDir && f.nodes[p].store != nil {
					return syscall.EINVAL
				}
			}
			n.value = strings.TrimSpace(v)
			return nil
		}
	}
}

func (f *fakeKernel) dir(p string) *node {
	n := &node{kind: fs.ModeDir, fixed: true}
	f.nodes[p] = n
	return n
}

func (f *fakeKernel) attr(p, value string) *node {
	n := &node{value: value}
	f.nodes[p] = n
	return n
}

func (f *fakeKernel) flag(p, value string) {
	n := f.attr(p, value)
	n.write = func(v string) error {
		if v = strings.TrimSpace(v); v != "0" && v != "1" {
			return syscall.EINVAL
		}
		n.value = v
		return nil
	}
}

// call is one system call: it may be struck before or after its effect, or be
// the last before the program was killed.
func (f *fakeKernel) call(op, file string, do func() error) error {
	if f.on != nil {
		f.on(op, file)
	}
	f.mu.Lock()
	hang := f.hang[op+" "+file]
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return syscall.EIO
	}
	f.calls++
	if f.calls != f.at {
		return do()
	}
	f.hit = op + " " + file
	switch f.mode {
	case "before":
		return syscall.EIO
	case "after":
		if err := do(); err != nil {
			return err
		}
		return syscall.EIO
	}
	f.dead = true // killed
	return do()
}

func (f *fakeKernel) below(dir string) []string {
	var found []string
	dir += "/"
	for p := range f.nodes {
		if strings.HasPrefix(p, dir) {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	return found
}

// modprobe loads a module of the fake.
func (f *fakeKernel) modprobe(_ context.Context, module string) error {
	return f.call("modprobe", module, func() error {
		f.loaded[module] = true
		if f.nodes[coreDir] == nil {
			f.boot()
		}
		return nil
	})
}

// login is what an initiator does.
func (f *fakeKernel) login(iqn, initiator string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	group := iscsiDir + "/" + iqn + "/tpgt_1"
	acl := f.nodes[group+"/acls/"+initiator]
	if acl == nil || f.nodes[group+"/enable"].value != "1" || f.nodes[group+"/acls/"+initiator+"/auth/password"].value == "" {
		return false
	}
	from := netip.MustParseAddr("10.0.0.5")
	acl.session = &from
	return true
}

// String is the whole of it, one line for each name.
func (f *fakeKernel) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, p := range f.below(targetDir) {
		n := f.nodes[p]
		value := n.value
		if n.read != nil {
			value = n.read()
		}
		session := ""
		if n.session != nil {
			session = "session"
		}
		fmt.Fprintf(&b, "%s %v %s%q%s\n", strings.TrimPrefix(p, targetDir), n.kind, n.target, value, session)
	}
	return b.String()
}
