// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/connector"
)

// The programs. f.mu is held.

func table(title string, rows []string) []byte {
	text := "  {\n      \"report\": [\n          {\n              \"" + title + "\": [\n"
	if len(rows) > 0 {
		text += "                  {" + strings.Join(rows, "},\n                  {") + "}\n"
	}
	return []byte(text + "              ]\n          }\n      ]\n  }\n")
}

// row writes the columns that were asked for; ok is false if one is unknown.
func row(columns string, values map[string]string) (text string, ok bool) {
	var cells []string
	for c := range strings.SplitSeq(columns, ",") {
		v, known := values[c]
		if !known {
			return "", false
		}
		cells = append(cells, fmt.Sprintf("%q:%q", c, v))
	}
	return strings.Join(cells, ", "), true
}

// reports tells whether the arguments are those of a report in JSON, with sizes
// in bytes: the simulation has no other.
func (w *words) reports() bool {
	return w.options["--reportformat"] == "json" && w.options["--units"] == "b" && w.has("--nosuffix") && len(w.rest) == 1
}

func (f *fakeLVM) vgs(w *words) connector.Result {
	if !w.reports() {
		return fails(3, "Run `vgs --help' for more information.")
	}
	if r := f.group(w.rest[0]); r != nil {
		r.Stdout = table("vg", nil)
		return *r
	}
	var size int64
	for _, d := range f.devices {
		size += d
	}
	used := size - f.free()
	var rows []string
	for i, d := range f.devices {
		take := min(used, d)
		used -= take
		text, ok := row(w.options["-o"], map[string]string{
			"vg_name": groupName, "vg_size": bytesText(size), "vg_free": bytesText(f.free()), "vg_extent_size": strconv.Itoa(extentBytes),
			"lv_count": strconv.Itoa(len(f.lvs)), "pv_name": "/dev/sd" + string(rune('a'+i)), "pv_free": bytesText(d - take),
		})
		if !ok {
			return fails(3, "Unrecognised field: "+w.options["-o"])
		}
		rows = append(rows, text)
	}
	return connector.Result{Stdout: table("vg", rows)}
}

func bytesText(extents int64) string { return strconv.FormatInt(extents*extentBytes, 10) }

var condition = regexp.MustCompile(`^(lv_name|origin)="([^"]*)"$`)

func (f *fakeLVM) lvsReport(w *words) connector.Result {
	if !w.reports() {
		return fails(3, "Run `lvs --help' for more information.")
	}
	if r := f.group(w.rest[0]); r != nil {
		r.Stdout = table("lv", nil)
		return *r
	}
	var match [][]string
	if s := w.options["-S"]; s != "" {
		for c := range strings.SplitSeq(s, " || ") {
			m := condition.FindStringSubmatch(c)
			if m == nil {
				return fails(3, "Selection syntax error at '"+c+"'.")
			}
			match = append(match, m)
		}
	}
	for o, n := range f.merges {
		if f.merges[o] = n - 1; n <= 1 {
			f.merged(o)
		}
	}
	var rows []string
	for _, l := range f.sorted() {
		v := f.values(l)
		if strings.HasPrefix(v["lv_name"], "[") && !w.has("-a") {
			continue
		}
		text, ok := row(w.options["-o"], v)
		if !ok {
			return fails(3, "Unrecognised field: "+w.options["-o"])
		}
		if match == nil || slices.ContainsFunc(match, func(m []string) bool { return v[m[1]] == m[2] }) {
			rows = append(rows, text)
			l.held = max(0, l.held-1)
		}
	}
	if s := f.swap; s != nil {
		f.swap = nil
		defer s()
	}
	return connector.Result{Stdout: table("lv", rows)}
}

func (f *fakeLVM) values(l *fakeLV) map[string]string {
	v := map[string]string{
		"lv_name": l.name, "lv_size": bytesText(l.extents), "origin": "", "pool_lv": "",
		"data_percent": "", "metadata_percent": "", "lv_tags": strings.Join(l.tags, ","),
	}
	if l.origin != nil {
		v["origin"] = l.origin.name
	}
	if l.pool != nil {
		v["pool_lv"] = l.pool.name
	}
	if l.active && l.kind != linear {
		v["data_percent"] = "0.00"
	}
	if l.active && l.kind == poolLV {
		v["data_percent"], v["metadata_percent"] = f.data, f.meta
	}
	if l.kind == cowLV && l.origin.merging == l {
		v["lv_name"] = "[" + l.name + "]"
	}
	v["lv_attr"] = f.attr(l)
	return v
}

// attr is lv_attr of lvs(8).
func (f *fakeLVM) attr(l *fakeLV) string {
	a := []byte("-wi-------")
	switch l.kind {
	case thinLV:
		a[0], a[6], a[7] = 'V', 't', 'z'
	case poolLV:
		a[0], a[6], a[7], a[8] = 't', 't', 'z', f.health[0]
	case cowLV:
		a[0], a[6] = 's', 's'
		if l.origin.merging == l {
			a[0] = 'S'
		}
	case linear:
		if l.copies > 0 {
			a[0], a[6] = 'M', 'm'
		}
	}
	if len(f.snapshots(l)) > 0 {
		a[0] = 'o'
		if l.kind == linear {
			a[6] = 's'
		}
	}
	if l.merging != nil {
		a[0] = 'O'
	}
	if l.active {
		a[4] = 'a'
	}
	if l.open > 0 || l.held > 0 || l.kind == poolLV && f.poolOpen(l) {
		a[5] = 'o'
	}
	if l.skip {
		a[9] = 'k'
	}
	return string(a)
}

func (f *fakeLVM) poolOpen(pool *fakeLV) bool {
	return slices.ContainsFunc(f.sorted(), func(l *fakeLV) bool { return l.pool == pool && l.active })
}

// nameFault says what is wrong with the name of a new LV, as LVM does.
func nameFault(name string) string {
	usage := "\n  Run `lvcreate --help' for more information."
	for _, p := range []string{"snapshot", "pvmove"} {
		if strings.HasPrefix(name, p) {
			return `Names starting "` + p + `" are reserved. Please choose a different LV name.` + usage
		}
	}
	for _, p := range []string{"_tmeta", "_tdata", "_mlog", "_mimage", "_pmspare"} {
		if strings.Contains(name, p) {
			return `Names including "` + p + `" are reserved. Please choose a different LV name.` + usage
		}
	}
	ok := regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*$`).MatchString(name)
	if !ok || len(deviceName(groupName, name)) > 127 {
		return `Logical volume name "` + name + `" is invalid.` + usage
	}
	return ""
}

const tooLarge = "Volume too large (%d extents) for extent size 4.00 MiB. Upper limit is less than <16.00 PiB."

func (f *fakeLVM) lvcreate(w *words) connector.Result {
	if len(w.rest) != 1 || w.has("-L") && w.has("-l") {
		return fails(3, "Run `lvcreate --help' for more information.")
	}
	target, bad := f.name(w.rest[0])
	if bad != nil {
		return *bad
	}
	if fault := nameFault(w.options["-n"]); w.has("-n") && fault != "" {
		return fails(3, fault)
	}
	switch {
	case w.has("-T") && !w.has("-V"):
		return f.createPool(w, target)
	case w.has("-s"):
		return f.createSnapshot(w, target)
	}
	size := w.options["-L"]
	if w.has("-T") {
		size = w.options["-V"]
	}
	n, percent, ok := extents(size)
	if !ok || percent || !w.has("-n") || w.has("-T") == (target == "") {
		return fails(3, "Invalid argument for --size: .", "Error during parsing of command line.")
	}
	l := &fakeLV{name: w.options["-n"], extents: n, tags: slices.Clone(w.tags)}
	if w.has("-T") {
		l.kind = thinLV
		if l.pool = f.lvs[target]; l.pool == nil || l.pool.kind != poolLV {
			return fails(5, "Pool "+target+" not found in Volume group "+groupName+".")
		}
	}
	switch {
	case n >= 1<<32:
		return fails(5, fmt.Sprintf(tooLarge, n))
	case f.lvs[l.name] != nil:
		return exists(l.name)
	case w.has("--type"):
		if l.copies, _, ok = extents(w.options["-m"]); !ok || w.options["--type"] != "mirror" {
			return fails(3, "Run `lvcreate --help' for more information.")
		}
	}
	if r := f.poolFull(l); r != nil {
		return *r
	}
	if r := f.insufficient(l.room()); r != nil {
		return *r
	}
	f.add(l)
	f.activate(l)
	return f.created(l)
}

func (f *fakeLVM) created(l *fakeLV) connector.Result {
	r := says0(`Logical volume "` + l.name + `" created.`)
	if l.kind == thinLV {
		r.Stderr = []byte("  WARNING: You have not turned on protection against thin pools running out of space.\n")
	}
	return r
}

func exists(name string) connector.Result {
	return fails(5, `Logical Volume "`+name+`" already exists in volume group "`+groupName+`"`)
}

func (f *fakeLVM) poolFull(l *fakeLV) *connector.Result {
	if l.kind != thinLV || !strings.HasPrefix(f.data, "100") {
		return nil
	}
	pool := groupName + "/" + l.pool.name
	r := fails(5, "WARNING: Thin pool "+pool+" is out of data space.",
		"Cannot create new thin volume, free space in thin pool "+pool+" reached threshold.")
	return &r
}

func (f *fakeLVM) createPool(w *words, name string) connector.Result {
	n, percent, ok := extents(w.options["-l"])
	if !ok || percent || name == "" {
		return fails(3, "Run `lvcreate --help' for more information.")
	}
	if f.lvs[name] != nil {
		return fails(5, "Logical volume "+name+" already exists in Volume group "+groupName+".")
	}
	l := &fakeLV{name: name, kind: poolLV, extents: n}
	if r := f.insufficient(l.room()); r != nil {
		return *r
	}
	f.add(l)
	f.activate(l)
	return f.created(l)
}

// cowMost is the most that a snapshot of so many extents can use, in extents: its
// chunks of 4 KiB, 256 of which are described by one more, and two more.
func cowMost(origin int64) int64 {
	chunks := origin * extentBytes / 4096
	chunks += chunks/256 + 2
	return (chunks*4096 + extentBytes - 1) / extentBytes
}

func (f *fakeLVM) createSnapshot(w *words, source string) connector.Result {
	o := f.lvs[source]
	name := w.options["-n"]
	sized := w.has("-L") || w.has("-l")
	switch {
	case name == "":
		return fails(3, "Run `lvcreate --help' for more information.")
	case o == nil:
		return fails(5, "Snapshot origin LV "+source+" not found in Volume group "+groupName+".")
	case o.kind != thinLV && !sized:
		return fails(5, "Please specify either size or extents with snapshots.")
	case f.lvs[name] != nil:
		return exists(name)
	case sized && o.kind == cowLV:
		return fails(5, "Snapshots of snapshots are not supported.")
	case sized && o.merging != nil:
		return fails(5, "Snapshots of an origin that has a merging snapshot are not supported.")
	case sized:
		return f.createCOW(w, o)
	}
	l := &fakeLV{name: name, kind: thinLV, extents: o.extents, origin: o, pool: o.pool, tags: slices.Clone(w.tags), skip: w.options["-k"] != "n"}
	if r := f.poolFull(l); r != nil {
		return *r
	}
	f.add(l)
	f.copyContent(l, o)
	if !l.skip {
		f.activate(l)
	}
	return f.created(l)
}

func (f *fakeLVM) createCOW(w *words, o *fakeLV) connector.Result {
	n, percent, ok := extents(w.options["-L"] + w.options["-l"])
	if !ok {
		return fails(3, "Run `lvcreate --help' for more information.")
	}
	most := cowMost(o.extents)
	said := ""
	if percent { // which LVM takes for as much as there is
		n = min(most, o.extents*n/100+most-o.extents, f.free())
		if n == 0 {
			n = 1
		}
	} else if n > most {
		said = fmt.Sprintf("Reducing COW size %d extents down to maximum usable size %d extents.\n  ", n, most)
		n = most
	}
	l := &fakeLV{name: w.options["-n"], kind: cowLV, extents: n, origin: o, tags: slices.Clone(w.tags)}
	if r := f.insufficient(l.room()); r != nil {
		return *r
	}
	f.add(l)
	f.copyContent(l, o)
	f.activate(l)
	r := f.created(l)
	r.Stdout = append([]byte("  "+said), r.Stdout...)
	return r
}

func (f *fakeLVM) lvremove(w *words) connector.Result {
	if len(w.rest) == 0 {
		return fails(3, "Run `lvremove --help' for more information.")
	}
	r := connector.Result{}
	note := func(line string) {
		r.Code = 5
		r.Stderr = append(r.Stderr, "  "+line+"\n"...)
	}
	for _, arg := range w.rest {
		name, bad := f.name(arg)
		if bad != nil {
			return *bad
		}
		l := f.lvs[name]
		switch {
		case l == nil:
			note(`Failed to find logical volume "` + arg + `"`)
			continue
		case !w.has("-f"):
			note("Logical volume " + arg + " not removed.") // the answer to a question is no
			continue
		case l.kind == cowLV && l.origin.merging == l:
			note("Can't remove merging snapshot logical volume " + arg + ".")
			continue
		}
		doomed := append(f.snapshots(l), l)
		if l.kind == poolLV {
			doomed = append(slices.DeleteFunc(f.sorted(), func(o *fakeLV) bool { return o.pool != l }), l)
		}
		if i := slices.IndexFunc(doomed, (*fakeLV).busy); i >= 0 {
			note("Logical volume " + groupName + "/" + doomed[i].name + " in use.")
			continue
		}
		for _, d := range doomed {
			delete(f.merges, d)
			f.remove(d)
			r.Stdout = append(r.Stdout, "  Logical volume \""+d.name+"\" successfully removed.\n"...)
		}
	}
	return r
}

func (f *fakeLVM) lvextend(w *words) connector.Result {
	n, percent, ok := extents(w.options["-L"])
	if !ok || percent || len(w.rest) != 1 {
		return fails(3, "Invalid argument for --size.", "Error during parsing of command line.")
	}
	name, bad := f.name(w.rest[0])
	if bad != nil {
		return *bad
	}
	l := f.lvs[name]
	if l == nil {
		return fails(5, "Logical volume "+name+" not found in volume group "+groupName+".")
	}
	if l.kind == cowLV {
		if most := cowMost(l.origin.extents); n >= most {
			if l.extents == most {
				return says0("Reached maximum COW size.", "Logical volume "+w.rest[0]+" successfully resized.")
			}
			n = most
		}
	}
	switch more := n - l.extents; {
	case more == 0:
		return fails(5, fmt.Sprintf("New size (%d extents) matches existing size (%d extents).", n, n))
	case more < 0:
		return fails(5, fmt.Sprintf("New size given (%d extents) not larger than existing size (%d extents)", n, l.extents))
	case len(f.snapshots(l)) > 0 && l.active:
		return fails(5, "Snapshot origin volumes can be resized only while inactive: try lvchange -an.")
	case n >= 1<<32:
		return fails(5, fmt.Sprintf(tooLarge, n))
	case l.kind != thinLV && more*(l.copies+1) > f.free():
		return fails(5, fmt.Sprintf("Insufficient free space: %d extents needed, but only %d available", more, f.free()))
	}
	l.extents = n
	if l.kind == cowLV {
		f.must(os.Truncate(f.host.Path(l.content+"-cow"), n*extentBytes))
	}
	for _, each := range append(f.snapshots(l), l) {
		f.must(os.Truncate(f.host.Path(each.content), each.bytes()))
	}
	return says0("Logical volume " + w.rest[0] + " successfully resized.")
}

func (f *fakeLVM) lvrename(w *words) connector.Result {
	if len(w.rest) != 3 {
		return fails(3, "Run `lvrename --help' for more information.")
	}
	if r := f.group(w.rest[0]); r != nil {
		return *r
	}
	from, to := w.rest[1], w.rest[2]
	l := f.lvs[from]
	switch {
	case from == to:
		return fails(3, "Old and new logical volume names must differ", "Run `lvrename --help' for more information.")
	case nameFault(to) != "":
		return fails(3, nameFault(to))
	case f.lvs[to] != nil:
		return exists(to)
	case l == nil:
		return fails(5, `Existing logical volume "`+from+`" not found in volume group "`+groupName+`"`)
	}
	active := l.active
	f.deactivate(l)
	delete(f.lvs, from)
	l.name = to
	f.lvs[to] = l
	if active {
		f.activate(l)
	}
	return says0(`Renamed "` + from + `" to "` + to + `" in volume group "` + groupName + `"`)
}

func (f *fakeLVM) lvconvert(w *words) connector.Result {
	if !w.has("--merge") || len(w.rest) != 1 {
		return fails(3, "Run `lvconvert --help' for more information.")
	}
	name, bad := f.name(w.rest[0])
	if bad != nil {
		return *bad
	}
	l := f.lvs[name]
	switch {
	case l == nil:
		return fails(5, `Failed to find logical volume "`+w.rest[0]+`"`)
	case l.kind != cowLV:
		return fails(5, w.rest[0]+" cannot be merged because --trackchanges was not used.")
	case l.origin.merging == l:
		return fails(5, "Command on LV "+w.rest[0]+" is invalid on LV with properties: lv_is_merging_cow .", "Command not permitted on LV "+w.rest[0]+".")
	case l.origin.merging != nil:
		return fails(5, "Snapshot "+w.rest[0]+" cannot be merged: another snapshot of its origin is merging.")
	}
	o := l.origin
	o.merging = l
	switch {
	case o.busy() || l.busy():
		return says0("Delaying merge since origin is open.", "Merging of snapshot "+w.rest[0]+" will occur on next activation of "+groupName+"/"+o.name+".")
	case !o.active:
		return says0("Merging of snapshot " + w.rest[0] + " will occur on next activation of " + groupName + "/" + o.name + ".")
	}
	f.merge(o)
	r := says0("Merging of volume " + w.rest[0] + " started.")
	r.Stderr = []byte("  WARNING: Failed to connect to lvmpolld. Proceeding with polling without using lvmpolld.\n")
	return r
}

func (f *fakeLVM) lvchange(w *words) connector.Result {
	tags := w.has("--addtag") || w.has("--deltag")
	if len(w.rest) != 1 || tags == w.has("-a") {
		return fails(3, "Run `lvchange --help' for more information.")
	}
	name, bad := f.name(w.rest[0])
	if bad != nil {
		return *bad
	}
	l := f.lvs[name]
	if l == nil {
		return fails(5, `Failed to find logical volume "`+w.rest[0]+`"`)
	}
	if tags {
		for _, t := range w.tags {
			if !slices.Contains(l.tags, t) {
				l.tags = append(l.tags, t)
			}
		}
		l.tags = slices.DeleteFunc(l.tags, func(t string) bool { return t == w.options["--deltag"] })
		return says0("Logical volume " + w.rest[0] + " changed.")
	}
	group := append(f.snapshots(l), l)
	if l.kind == cowLV { // they come together
		group = append(f.snapshots(l.origin), l.origin)
	}
	switch w.options["-a"] {
	case "y":
		if l.skip && !w.has("-K") {
			return connector.Result{}
		}
		for _, each := range group {
			f.activate(each)
		}
		return connector.Result{}
	case "n":
		if slices.ContainsFunc(group, (*fakeLV).busy) {
			return fails(5, "Logical volume "+w.rest[0]+" in use.")
		}
		for _, each := range group {
			f.deactivate(each)
		}
		return connector.Result{}
	}
	return fails(3, "Invalid argument for --activate: "+w.options["-a"])
}
