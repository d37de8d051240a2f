// SPDX-License-Identifier: Apache-2.0

package xtremio

// relations are what leads to an object, by its index.
type relations struct {
	snapshots, sets, groups map[int][]int // of volumes
	ofVolume, ofGroup       map[int][]*lunMap
	initiators              map[int]int // how many a group has
}

// related gives the relations in the request's cluster. They are found once in a
// GET, so that a long list takes no long time.
func (c *call) related() *relations {
	if c.relations != nil {
		return c.relations
	}
	r := &relations{
		map[int][]int{}, map[int][]int{}, map[int][]int{}, map[int][]*lunMap{}, map[int][]*lunMap{}, map[int]int{},
	}
	for _, v := range ordered(c.state.Volumes, c.cluster) {
		r.snapshots[v.Ancestor] = append(r.snapshots[v.Ancestor], v.Index)
	}
	delete(r.snapshots, 0)
	for _, s := range ordered(c.state.Sets, c.cluster) {
		for _, n := range s.Members {
			r.sets[n] = append(r.sets[n], s.Index)
		}
	}
	for _, g := range ordered(c.state.Consistent, c.cluster) {
		for _, n := range g.Volumes {
			r.groups[n] = append(r.groups[n], g.Index)
		}
	}
	for _, m := range ordered(c.state.Maps, c.cluster) {
		r.ofVolume[m.Volume] = append(r.ofVolume[m.Volume], m)
		r.ofGroup[m.Group] = append(r.ofGroup[m.Group], m)
	}
	for _, i := range c.state.Initiators {
		r.initiators[i.Group]++
	}
	c.relations = r
	return r
}
