// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"slices"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// restoring are the fields of a POST snapshots that puts data of one volume into
// another one of the same tree. Both stay what they are.
var restoring = []string{
	"from-volume-id", "from-consistency-group-id", "from-snapshot-set-id",
	"to-volume-id", "to-consistency-group-id", "to-snapshot-set-id",
}

// pair is what one volume gets its data from.
type pair struct{ from, to *volume }

// restore keeps what was in the volumes in a snapshot set, unless no-backup is
// true. That it answers with links to the volumes is the simulator's choice, as is
// how volumes of groups and sets are paired.
func restore(c *call) *Error {
	for _, name := range append(slices.Clone(sources), "snapshot-type", "snap-suffix") {
		if c.given(name) {
			return refuse(invalidProperty, name)
		}
	}
	from, refused := c.side(restoring[:3])
	if refused != nil {
		return refused
	}
	to, refused := c.side(restoring[3:])
	if refused != nil {
		return refused
	}
	set, _ := c.newName("snapshot-set-name", "snapset")
	without := c.flag("no-backup")
	suffix := c.suffix("backup-snap-suffix")
	if c.err != nil {
		return c.err
	}
	pairs, refused := pairUp(from, to)
	if refused != nil {
		return refused
	}
	if !without {
		if _, refused := c.snapshotSet(set, 0, suffix, typeRegular, to); refused != nil {
			return refused
		}
		c.links = nil
	}
	if refused := c.remember(to); refused != nil {
		return refused
	}
	for _, p := range pairs {
		if refused := c.refresh(p); refused != nil {
			return refused
		}
	}
	return nil
}

// remember has the data plane keep what is in volumes until the request is done, to
// put it back if it fails.
func (c *call) remember(volumes []*volume) *Error {
	data := c.x.options.Data
	var copies []arraysim.Copy
	var kept []string
	var back []func() error
	for _, v := range volumes {
		to := v.data()
		to.ID = fmt.Sprintf("restore-%d", c.state.next("restores"))
		copies, kept = append(copies, arraysim.Copy{From: v.data().ID, To: to}), append(kept, to.ID)
		back = append(back, func() error { return data.RollBack(c.ctx, v.data().ID, to.ID) })
	}
	if refused := c.data(data.Copy(c.ctx, copies...), kept...); refused != nil {
		return refused
	}
	c.undo = append(c.undo, back...)
	c.after = append(c.after, func() error { return data.Delete(c.ctx, kept...) })
	return nil
}

// side gives the volumes that one of three fields names.
func (c *call) side(names []string) ([]*volume, *Error) {
	field, refused := c.oneOf(names)
	if refused != nil {
		return nil, refused
	}
	r, _ := c.ref(field)
	if c.err != nil {
		return nil, c.err
	}
	if field == names[0] {
		v, refused := c.volume(r)
		return []*volume{v}, refused
	}
	volumes, _, refused := c.membersOf(field == names[1], r)
	return volumes, refused
}

// pairUp finds for each volume the only one of its tree.
func pairUp(from, to []*volume) ([]pair, *Error) {
	var pairs []pair
	for _, t := range to {
		var found []*volume
		for _, f := range from {
			if f.Tree == t.Tree && f != t {
				found = append(found, f)
			}
		}
		if len(found) != 1 || len(from) != len(to) || slices.ContainsFunc(pairs, func(p pair) bool { return p.from == found[0] }) {
			return nil, refuse(notRelated)
		}
		pairs = append(pairs, pair{found[0], t})
	}
	return pairs, nil
}

func (c *call) refresh(p pair) *Error {
	data, id := c.x.options.Data, p.to.data().ID
	if refused := c.data(data.RollBack(c.ctx, id, p.from.data().ID)); refused != nil {
		return refused
	}
	v := *c.state.Volumes[p.to.Index]
	switch {
	case p.from.Size == v.Size:
	case c.x.options.RestoreKeepsSize:
		if refused := c.data(data.Resize(c.ctx, id, v.data().Bytes)); refused != nil {
			return refused
		}
	default:
		v.Size = p.from.Size
		c.touched = true
	}
	c.state.Volumes[v.Index] = &v
	c.answer(kindVolumes, &v.header)
	return nil
}
