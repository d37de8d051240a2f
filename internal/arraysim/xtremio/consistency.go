// SPDX-License-Identifier: Apache-2.0

package xtremio

import "slices"

var postConsistent = &verb{
	must: []string{"consistency-group-name"},
	may:  []string{"vol-list", "tag-list", "cluster-id"},
	run:  createConsistent,
}

var (
	putConsistent = &verb{may: []string{"new-name", "cg-id", "cluster-id"}, run: renameConsistent}
	postMember    = &verb{must: []string{"cg-id", "vol-id"}, may: []string{"cluster-id"}, run: addMember}
	putSet        = &verb{may: []string{"new-name", "snapset-id", "cluster-id"}, run: renameSet}
)

func consistentRecords(c *call) map[int]*consistencyGroup { return c.state.Consistent }

func showConsistent(c *call, g *consistencyGroup) object {
	return object{"vol-list": pointers(c, kindVolumes, c.state.Volumes, g.Volumes...), "num-of-vols": len(g.Volumes)}
}

func createConsistent(c *call) *Error {
	name, _ := c.newName("consistency-group-name", "cg")
	refs, _ := c.refs("vol-list")
	c.nothing("tag-list", refuse(noTag))
	if c.err != nil {
		return c.err
	}
	if _, taken := named(c.state.Consistent, c.cluster, name); taken {
		return about("cg", nameNotUnique)
	}
	volumes, refused := c.volumes(refs)
	switch {
	case refused != nil:
		return refused
	case len(volumes) > c.x.options.Limits.VolumesPerGroup:
		return refuse(groupFull)
	}
	g := &consistencyGroup{header: header{c.state.next(kindConsistent), name, c.cluster}, Volumes: []int{}}
	for _, v := range volumes {
		g.Volumes = append(g.Volumes, v.Index)
	}
	c.state.Consistent[g.Index] = g
	c.answer(kindConsistent, &g.header)
	return nil
}

func renameConsistent(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	g := *c.state.Consistent[h.Index]
	refused = rename(c, &g.header, c.state.Consistent, "cg")
	c.state.Consistent[g.Index] = &g
	return refused
}

// rename gives the copy of a record the name in the body, if there is one.
func rename[R record](c *call, h *header, others map[int]R, short string) *Error {
	name, ok := c.newName("new-name", short)
	if c.err != nil || !ok {
		return c.err
	}
	if other, taken := named(others, c.cluster, name); taken && other.head().Index != h.Index {
		return about(short, nameNotUnique)
	}
	h.Name = name
	return nil
}

// deleteConsistent leaves the volumes.
func deleteConsistent(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	delete(c.state.Consistent, h.Index)
	return nil
}

func addMember(c *call) *Error {
	ofGroup, _ := c.ref("cg-id")
	ofVolume, _ := c.ref("vol-id")
	if c.err != nil {
		return c.err
	}
	old, refused := c.consistent(ofGroup)
	if refused != nil {
		return refused
	}
	v, refused := c.volume(ofVolume)
	switch {
	case refused != nil:
		return refused
	case slices.Contains(old.Volumes, v.Index):
		return refuse(alreadyInGroup)
	case len(old.Volumes) >= c.x.options.Limits.VolumesPerGroup:
		return refuse(groupFull)
	}
	g := *old
	g.Volumes = with(g.Volumes, v.Index)
	c.state.Consistent[g.Index] = &g
	c.answer(kindMembers, &g.header)
	return nil
}

// deleteMember takes the group from name, cg-id or the path.
func deleteMember(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	r, ok := c.ref("vol-id")
	switch {
	case c.err != nil:
		return c.err
	case !ok:
		return missing("vol-id")
	}
	v, refused := c.volume(r)
	if refused != nil {
		return refused
	}
	g := *c.state.Consistent[h.Index]
	if !slices.Contains(g.Volumes, v.Index) {
		return refuse(notInGroup)
	}
	g.Volumes = without(g.Volumes, v.Index)
	c.state.Consistent[g.Index] = &g
	return nil
}

func setRecords(c *call) map[int]*snapshotSet { return c.state.Sets }

func showSet(c *call, s *snapshotSet) object {
	return object{
		"vol-list": pointers(c, kindVolumes, c.state.Volumes, s.Members...), "num-of-vols": len(s.Members),
		"cg-id": pointer(c, kindConsistent, c.state.Consistent, s.Of), "creation-time": s.Created,
	}
}

func renameSet(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	s := *c.state.Sets[h.Index]
	refused = rename(c, &s.header, c.state.Sets, "snapset")
	c.state.Sets[s.Index] = &s
	return refused
}

// deleteSet takes the snapshots along.
func deleteSet(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	var members []*volume
	for _, n := range c.state.Sets[h.Index].Members {
		members = append(members, c.state.Volumes[n])
	}
	return c.drop(members...)
}
