// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

// The simulation of LVM 2.03.16 behaves, speaks and exits as that one did when
// it was run: nothing in it is there because the driver would like it so.

const (
	extentBytes = 4 << 20
	groupName   = "cinder-volumes"
	poolName    = groupName + "-pool"
)

type kind int

const (
	linear kind = iota
	thinLV
	poolLV
	cowLV // snapshot of the old kind, with room of its own
)

// fakeLV is one logical volume. Its content is a file of the host.
type fakeLV struct {
	name    string
	kind    kind
	extents int64 // of a thin one virtual
	copies  int64 // of a mirror, beside the first
	origin  *fakeLV
	pool    *fakeLV
	tags    []string
	active  bool
	skip    bool
	open    int // by how many
	held    int // udev has it open: how many more programs find it so
	merging *fakeLV
	content string // path on the host
}

// fakeLVM is one volume group with the programs that work on it.
type fakeLVM struct {
	tb   testing.TB
	host *fakehost.Host

	mu      sync.Mutex
	devices []int64 // extents of each physical volume
	lvs     map[string]*fakeLV
	missing bool   // the group is
	data    string // percentages of the pool, and what is wrong with it
	meta    string
	health  string
	looks   int // how often a merge is looked at before it is through
	merges  map[*fakeLV]int
	garbage bool // new room is full of what others left
	leaked  []string
	warn    string // what every program writes to stderr, though nothing is wrong
	made    int
	swap    func() // called once, between lvs and what follows
}

// newLVM makes a host with a volume group of that many extents on each device.
func newLVM(tb testing.TB, devices ...int64) *fakeLVM {
	tb.Helper()
	f := &fakeLVM{
		tb: tb, host: fakehost.New(tb), devices: devices, lvs: map[string]*fakeLV{}, merges: map[*fakeLV]int{},
		data: "0.00", meta: "10.94", health: "-",
	}
	if len(devices) == 0 {
		f.devices = []int64{25600} // 100 GiB
	}
	for name, program := range map[string]func(*words) connector.Result{
		"vgs": f.vgs, "lvs": f.lvsReport, "lvcreate": f.lvcreate, "lvremove": f.lvremove, "lvextend": f.lvextend,
		"lvrename": f.lvrename, "lvconvert": f.lvconvert, "lvchange": f.lvchange,
	} {
		f.host.Handle(name, f.program(name, program))
	}
	f.host.Write("/run/udev/control", "")
	require.NoError(tb, os.MkdirAll(f.host.Path("/dev/mapper"), 0o755))
	require.NoError(tb, os.MkdirAll(f.host.Path("/dev/lvm"), 0o755))
	return f
}

// program makes a program of the host out of one that knows its arguments.
func (f *fakeLVM) program(name string, run func(*words) connector.Result) fakehost.Program {
	return func(_ context.Context, args []string, _ []byte) connector.Result {
		f.mu.Lock()
		defer f.mu.Unlock()
		w, bad := parse(name, args)
		if bad != "" {
			return fails(3, name+": "+bad+"\n  Error during parsing of command line.")
		}
		r := run(w)
		if f.warn != "" {
			r.Stderr = append([]byte(f.warn+"\n"), r.Stderr...)
		}
		return r
	}
}

func fails(code int, lines ...string) connector.Result {
	return connector.Result{Code: code, Stderr: []byte("  " + strings.Join(lines, "\n  ") + "\n")}
}

func says0(lines ...string) connector.Result {
	return connector.Result{Stdout: []byte("  " + strings.Join(lines, "\n  ") + "\n")}
}

// words are the arguments of a program.
type words struct {
	options map[string]string
	tags    []string // of --addtag, which may be there again
	rest    []string
}

func (w *words) has(option string) bool {
	_, ok := w.options[option]
	return ok
}

// The options of each program that the simulation knows: those with a value end
// in a colon.
var known = map[string]string{
	"vgs":       "--reportformat: --units: --nosuffix -o:",
	"lvs":       "--reportformat: --units: --nosuffix -o: -S: -a",
	"lvcreate":  "--yes -n: -T -V: -L: -l: -s -k: -a: --addtag: --type: -m: --nosync --mirrorlog: -R:",
	"lvremove":  "--config: -f",
	"lvextend":  "-L:",
	"lvrename":  "",
	"lvconvert": "--merge -b",
	"lvchange":  "-a: --yes -K --addtag: --deltag:",
}

func parse(program string, args []string) (w *words, bad string) {
	w = &words{options: map[string]string{}}
	takes := strings.Fields(known[program])
	for i := 0; i < len(args); i++ {
		name, value, inline := args[i], "", false
		if !strings.HasPrefix(name, "-") {
			w.rest = append(w.rest, name)
			continue
		}
		if strings.HasPrefix(name, "--") {
			name, value, inline = strings.Cut(name, "=")
		}
		switch {
		case slices.Contains(takes, name) && !inline:
		case slices.Contains(takes, name+":") && inline:
		case slices.Contains(takes, name+":") && i+1 < len(args):
			i++
			value = args[i]
		default:
			return nil, fmt.Sprintf("unrecognized option '%s'", args[i])
		}
		if name == "--addtag" {
			w.tags = append(w.tags, value)
		}
		w.options[name] = value
	}
	return w, ""
}

// extents reads a size. A bare number of -l are extents, percent one of origin.
func extents(text string) (n int64, percent, ok bool) {
	if p, is := strings.CutSuffix(text, "%ORIGIN"); is {
		n, err := strconv.ParseInt(p, 10, 64)
		return n, true, err == nil
	}
	if text == "" {
		return 0, false, false
	}
	unit := map[byte]float64{'b': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[text[len(text)-1]]
	if unit == 0 {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, false, err == nil && n > 0
	}
	v, err := strconv.ParseFloat(text[:len(text)-1], 64)
	if err != nil || v <= 0 || unit == 1 && int64(v)%512 != 0 {
		return 0, false, false
	}
	return (int64(v*unit) + extentBytes - 1) / extentBytes, false, true
}

// name takes GROUP/LV apart. other says what is wrong with the group.
func (f *fakeLVM) name(text string) (lv string, other *connector.Result) {
	group, lv, _ := strings.Cut(text, "/")
	if r := f.group(group); r != nil {
		return "", r
	}
	return lv, nil
}

func (f *fakeLVM) group(name string) *connector.Result {
	if name == groupName && !f.missing {
		return nil
	}
	r := fails(5, `Volume group "`+name+`" not found`, "Cannot process volume group "+name)
	return &r
}

// room of an LV in the group, in extents.
func (l *fakeLV) room() int64 {
	switch {
	case l.kind == thinLV:
		return 0
	case l.kind == poolLV:
		return l.extents + 2 // its metadata, and the spare
	case l.copies > 0:
		return l.extents*(l.copies+1) + 2
	}
	return l.extents
}

func (f *fakeLVM) free() int64 {
	var n int64
	for _, d := range f.devices {
		n += d
	}
	for _, l := range f.lvs {
		n -= l.room()
	}
	return n
}

func (f *fakeLVM) insufficient(need int64) *connector.Result {
	if free := f.free(); need > free {
		r := fails(5, fmt.Sprintf("Volume group %q has insufficient free space (%d extents): %d required.", groupName, free, need))
		return &r
	}
	return nil
}

// sorted gives the LVs by name.
func (f *fakeLVM) sorted() []*fakeLV {
	return slices.SortedFunc(maps.Values(f.lvs), func(a, b *fakeLV) int { return cmp.Compare(a.name, b.name) })
}

// snapshots gives those of the old kind.
func (f *fakeLVM) snapshots(origin *fakeLV) []*fakeLV {
	return slices.DeleteFunc(f.sorted(), func(l *fakeLV) bool { return l.kind != cowLV || l.origin != origin })
}

// bytes is the size of the device, which of a snapshot is that of its origin.
func (l *fakeLV) bytes() int64 {
	if l.kind == cowLV {
		return l.origin.bytes()
	}
	return l.extents * extentBytes
}

// add makes an LV with its content.
func (f *fakeLVM) add(l *fakeLV) {
	f.made++
	l.content = "/dev/lvm/" + strconv.Itoa(f.made)
	f.lvs[l.name] = l
	f.must(os.WriteFile(f.host.Path(l.content), nil, 0o600))
	f.must(os.Truncate(f.host.Path(l.content), l.bytes()))
	if l.kind == cowLV {
		f.must(os.WriteFile(f.host.Path(l.content+"-cow"), nil, 0o600))
		f.must(os.Truncate(f.host.Path(l.content+"-cow"), l.extents*extentBytes))
	}
	if f.garbage && l.kind == linear { // LVM clears the first 4 KiB
		f.litter(l.content, l.bytes(), 4096)
	}
	if f.garbage && l.kind == cowLV {
		f.litter(l.content+"-cow", l.extents*extentBytes, 0)
	}
}

// litter writes what is not zero here and there, to the last byte.
func (f *fakeLVM) litter(path string, bytes, from int64) {
	file, err := os.OpenFile(f.host.Path(path), os.O_WRONLY, 0)
	f.must(err)
	old := []byte(strings.Repeat("old data ", 1000))
	for at := from; at < bytes; at += 64<<20 - 4096 {
		_, err := file.WriteAt(old[:min(int64(len(old)), bytes-at)], at)
		f.must(err)
	}
	_, err = file.WriteAt(old[:512], bytes-512)
	f.must(err)
	f.must(file.Close())
}

func (f *fakeLVM) must(err error) {
	if err != nil {
		panic(err) // a program has no test to fail
	}
}

// copyContent makes the content of one LV that of another, and zeros behind.
func (f *fakeLVM) copyContent(to, from *fakeLV) {
	path := f.host.Path(to.content)
	f.must(os.Truncate(path, 0))
	f.must(os.Truncate(path, to.bytes()))
	target, err := os.OpenFile(path, os.O_WRONLY, 0)
	f.must(err)
	eachData(f.host.Path(from.content), 0, func(at int64, b []byte) bool {
		if rest := to.bytes() - at; rest > 0 {
			_, err := target.WriteAt(b[:min(int64(len(b)), rest)], at)
			f.must(err)
		}
		return true
	})
	f.must(target.Close())
}

// remove removes an LV, and notes if somebody's data stay in the group.
func (f *fakeLVM) remove(l *fakeLV) {
	f.deactivate(l)
	switch {
	case l.kind == linear && dirty(f.host.Path(l.content), 0), l.kind == cowLV && dirty(f.host.Path(l.content+"-cow"), 0):
		f.leaked = append(f.leaked, l.name)
	}
	delete(f.lvs, l.name)
	_ = os.Remove(f.host.Path(l.content))
	_ = os.Remove(f.host.Path(l.content + "-cow"))
	for _, other := range f.lvs {
		if other.origin == l {
			other.origin = nil
		}
	}
}

// dirty tells whether there is anything but zeros in a file, from a byte on.
func dirty(path string, from int64) bool {
	found := false
	eachData(path, from, func(_ int64, b []byte) bool {
		found = strings.Trim(string(b), "\x00") != ""
		return !found
	})
	return found
}

// eachData reads what of a file is no hole, piece by piece, until do has enough.
func eachData(path string, from int64, do func(at int64, b []byte) bool) {
	const seekData, seekHole = 3, 4
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	buf := make([]byte, 1<<20)
	for at := from; ; {
		at, err = file.Seek(at, seekData)
		if err != nil {
			return // nothing but a hole
		}
		end, err := file.Seek(at, seekHole)
		if err != nil {
			panic(err)
		}
		for at < end {
			n, _ := file.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
			if !do(at, buf[:n]) {
				return
			}
			at += int64(n)
		}
	}
}

// activate makes the nodes. It begins a merge that was put off.
func (f *fakeLVM) activate(l *fakeLV) {
	was := l.active
	l.active = true
	f.link(deviceName(groupName, l.name), l.content)
	if l.pool != nil {
		l.pool.active = true
	}
	if l.kind == cowLV {
		f.link(deviceName(groupName, l.name)+"-cow", l.content+"-cow")
	}
	if l.merging != nil && !was {
		f.merge(l)
	}
}

func (f *fakeLVM) link(name, to string) {
	_ = os.Remove(f.host.Path("/dev/mapper/" + name))
	f.must(os.Symlink("../lvm/"+filepath.Base(to), f.host.Path("/dev/mapper/"+name)))
}

func (f *fakeLVM) deactivate(l *fakeLV) {
	l.active = false
	_ = os.Remove(f.host.Path("/dev/mapper/" + deviceName(groupName, l.name)))
	_ = os.Remove(f.host.Path("/dev/mapper/" + deviceName(groupName, l.name) + "-cow"))
}

// merge begins: from now on the origin reads as the snapshot.
func (f *fakeLVM) merge(origin *fakeLV) {
	if _, begun := f.merges[origin]; !begun {
		f.copyContent(origin, origin.merging)
		f.merges[origin] = f.looks
	}
	if f.merges[origin] == 0 {
		f.merged(origin)
	}
}

func (f *fakeLVM) merged(origin *fakeLV) {
	snap := origin.merging
	origin.merging = nil
	delete(f.merges, origin)
	f.must(os.Truncate(f.host.Path(snap.content+"-cow"), 0)) // the merge is not asked to clear it
	f.remove(snap)
}

// busy tells whether somebody has it open, and lets udev go on.
func (l *fakeLV) busy() bool {
	if l.held > 0 {
		l.held--
		return true
	}
	return l.open > 0
}

// lv gives an LV for the tests, which must be there.
func (f *fakeLVM) lv(name string) *fakeLV {
	f.tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Contains(f.tb, f.lvs, name)
	return f.lvs[name]
}

// names lists the LVs, but for the pool.
func (f *fakeLVM) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []string{}
	for _, l := range f.sorted() {
		if l.kind != poolLV {
			list = append(list, l.name)
		}
	}
	return list
}

// foreign makes an LV that the driver does not know of.
func (f *fakeLVM) foreign(name string, bytes int64, k kind) *fakeLV {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &fakeLV{name: name, kind: k, extents: (bytes + extentBytes - 1) / extentBytes}
	if k == thinLV {
		l.pool = f.lvs[poolName]
	}
	f.add(l)
	f.activate(l)
	return l
}

// set changes the simulation while programs may run.
func (f *fakeLVM) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// path is where the content of an LV is.
func (f *fakeLVM) path(name string) string { return f.host.Path(f.lv(name).content) }

// write puts text at a place of an LV's content.
func (f *fakeLVM) write(name, text string, at int64) {
	f.tb.Helper()
	writeFile(f.tb, f.path(name), text, at)
}

func writeFile(tb testing.TB, path, text string, at int64) {
	tb.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(tb, err)
	_, err = file.WriteAt([]byte(text), at)
	require.NoError(tb, err)
	require.NoError(tb, file.Close())
}

// read reads n bytes at a place of an LV's content.
func (f *fakeLVM) read(name string, n int, at int64) string {
	f.tb.Helper()
	file, err := os.Open(f.path(name))
	require.NoError(f.tb, err)
	defer file.Close()
	b := make([]byte, n)
	_, err = file.ReadAt(b, at)
	require.NoError(f.tb, err)
	return string(b)
}

// gibs is a size for the tests.
func gibs(n int64) int64 { return n * drivers.GiB }
