// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// sources are what a snapshot may be of, one of them.
var sources = []string{"volume-list", "consistency-group-id", "snapshot-set-id", "tag-list"}

var postSnapshots = &verb{
	may: append(append([]string{
		"snapshot-set-name", "snap-suffix", "snapshot-type", "cluster-id", "no-backup", "backup-snap-suffix",
	}, sources...), restoring...),
	run: func(c *call) *Error {
		if slices.ContainsFunc(restoring, c.given) {
			return restore(c)
		}
		return createSnapshots(c)
	},
}

// postSnapshotsV1 is another language: every snapshot has its name.
var postSnapshotsV1 = &verb{
	may: []string{"ancestor-vol-id", "snap-vol-name", "snap-list", "folder-id", "cluster-id"},
	run: createSnapshotsV1,
}

// snap is a snapshot to be.
type snap struct {
	of   *volume
	name string
}

func createSnapshots(c *call) *Error {
	of, group, refused := c.sources()
	if refused != nil {
		return refused
	}
	kind, given := c.choice("snapshot-type", typeRegular, typeReadOnly)
	suffix := c.suffix("snap-suffix")
	set, _ := c.newName("snapshot-set-name", "snapset")
	if c.err != nil {
		return c.err
	}
	if !given {
		kind = typeRegular
	}
	_, refused = c.snapshotSet(set, group, suffix, kind, of)
	return refused
}

// sources gives what the snapshots are of, and the consistency group if it is one.
func (c *call) sources() ([]*volume, int, *Error) {
	source, refused := c.oneOf(sources)
	if refused != nil {
		return nil, 0, refused
	}
	switch source {
	case "volume-list":
		refs, ok := c.refs("volume-list")
		if ok && len(refs) == 0 {
			c.wrong("volume-list")
		}
		if c.err != nil {
			return nil, 0, c.err
		}
		volumes, refused := c.volumes(refs)
		return volumes, 0, refused
	case "tag-list":
		return nil, 0, refuse(noTag)
	}
	r, _ := c.ref(source)
	if c.err != nil {
		return nil, 0, c.err
	}
	return c.membersOf(source == "consistency-group-id", r)
}

// membersOf gives the volumes of a consistency group, or else of a snapshot set.
func (c *call) membersOf(isGroup bool, r ref) ([]*volume, int, *Error) {
	var members []int
	group := 0
	if isGroup {
		g, refused := c.consistent(r)
		if refused != nil {
			return nil, 0, refused
		}
		members, group = g.Volumes, g.Index
	} else {
		s, refused := c.set(r)
		if refused != nil {
			return nil, 0, refused
		}
		members = s.Members
	}
	if len(members) == 0 {
		return nil, 0, refuse(groupEmpty)
	}
	var volumes []*volume
	for _, n := range members {
		volumes = append(volumes, c.state.Volumes[n])
	}
	return volumes, group, nil
}

func (c *call) suffix(field string) string {
	s, _ := c.text(field)
	if utf8.RuneCountInString(s) > c.x.options.Limits.Suffix {
		c.fail(refuse(suffixTooLong))
	}
	return s
}

// snapshotSet makes a snapshot of each volume, and the set that they are in. Names
// that are not given are made up: that of the set of the time, which is the
// simulator's choice.
func (c *call) snapshotSet(name string, group int, suffix, kind string, of []*volume) (*snapshotSet, *Error) {
	var snaps []snap
	for _, v := range of {
		snaps = append(snaps, snap{v, v.Name + "." + suffix})
	}
	if suffix == "" {
		snaps = c.numbered(of)
	}
	set := &snapshotSet{header: header{c.state.next(kindSets), name, c.cluster}, Of: group, Created: timestamp(c.now)}
	if name == "" {
		set.Name = fmt.Sprintf("SnapshotSet.%d.%d", c.now.Unix(), set.Index)
	}
	if _, taken := named(c.state.Sets, c.cluster, set.Name); taken {
		return nil, about("snapset", nameNotUnique)
	}
	made, refused := c.snapshots(kind, snaps)
	if refused != nil {
		return nil, refused
	}
	for _, v := range made {
		set.Members = append(set.Members, v.Index)
	}
	c.state.Sets[set.Index] = set
	return set, nil
}

// numbered names snapshots by the lowest number that is free for all of them.
func (c *call) numbered(of []*volume) []snap {
	for n := 1; ; n++ {
		var snaps []snap
		free := true
		for _, v := range of {
			s := snap{v, fmt.Sprintf("%s.snapshot.%d", v.Name, n)}
			free = free && c.freeName(s.name) == nil
			snaps = append(snaps, s)
		}
		if free {
			return snaps
		}
	}
}

// snapshots makes snapshots, all of the same moment, or none, and links to them.
func (c *call) snapshots(kind string, snaps []snap) ([]*volume, *Error) {
	var made []*volume
	var copies []arraysim.Copy
	var ids []string
	for _, s := range snaps {
		if utf8.RuneCountInString(s.name) > c.x.options.Limits.Name {
			return nil, about("vol", nameTooLong)
		}
		if c.state.treeSize(s.of.Tree) >= c.x.options.Limits.SnapshotsPerTree {
			return nil, refuse(tooManySnapshots)
		}
		v := &volume{
			Size: s.of.Size, BlockSize: s.of.BlockSize, Offset: s.of.Offset, Type: kind, Access: accessWrite,
			Snapshot: true, Ancestor: s.of.Index, Tree: s.of.Tree, Settings: s.of.Settings,
		}
		if kind == typeReadOnly {
			v.Access = accessRead
		}
		if refused := c.admit(v, s.name); refused != nil {
			return nil, refused
		}
		copies = append(copies, arraysim.Copy{From: s.of.data().ID, To: v.data()})
		made, ids = append(made, v), append(ids, v.data().ID)
	}
	if refused := c.data(c.x.options.Data.Copy(c.ctx, copies...), ids...); refused != nil {
		return nil, refused
	}
	for _, v := range made {
		if c.x.options.VolumeLinks {
			c.answer(kindVolumes, &v.header)
		} else {
			c.answer(kindSnapshots, &v.header)
		}
	}
	return made, nil
}

// treeSize counts the snapshots of what began with a volume.
func (s *state) treeSize(tree int) int {
	n := 0
	for _, v := range s.Volumes {
		if v.Tree == tree && v.Snapshot {
			n++
		}
	}
	return n
}

func createSnapshotsV1(c *call) *Error {
	entries := []map[string]any{c.values}
	if list, ok := c.list("snap-list"); ok {
		if c.given("ancestor-vol-id") || c.given("snap-vol-name") {
			return refuse(exclusive, quoted([]string{"ancestor-vol-id", "snap-list"}))
		}
		entries = nil
		for _, value := range list {
			one, good := value.(map[string]any)
			if !good {
				c.wrong("snap-list")
			}
			entries = append(entries, one)
		}
		if len(list) == 0 {
			c.wrong("snap-list")
		}
	}
	c.folder("folder-id")
	if c.err != nil {
		return c.err
	}
	var snaps []snap
	for _, one := range entries {
		s, refused := c.snapV1(one)
		if refused != nil {
			return refused
		}
		snaps = append(snaps, s)
	}
	_, refused := c.snapshots(typeRegular, snaps)
	return refused
}

func (c *call) snapV1(values map[string]any) (snap, *Error) {
	f := fields{values: values}
	var absent []string
	for _, field := range []string{"ancestor-vol-id", "snap-vol-name"} {
		if !f.given(field) {
			absent = append(absent, field)
		}
	}
	if len(absent) > 0 {
		return snap{}, missing(absent...)
	}
	name, ok := f.text("snap-vol-name")
	r, good := reference(values["ancestor-vol-id"])
	switch {
	case !ok:
		return snap{}, f.err
	case !good:
		return snap{}, refuse(invalidValue, "ancestor-vol-id")
	}
	v, refused := c.volume(r)
	return snap{v, name}, refused
}
