// SPDX-License-Identifier: Apache-2.0

package xtremio

import "slices"

func deleteVolume(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	return c.drop(c.state.Volumes[h.Index])
}

// drop takes volumes away, out of groups and sets, too. Their snapshots become
// those of what they were made from. A set goes with its last member.
func (c *call) drop(volumes ...*volume) *Error {
	var gone []string
	for _, v := range volumes {
		mapped := c.state.mapsOf(func(m *lunMap) bool { return m.Volume == v.Index })
		if len(mapped) > 0 && !c.x.options.DeleteMapped {
			return refuse(volumeMapped)
		}
		for _, m := range mapped {
			delete(c.state.Maps, m.Index)
		}
		for index, other := range c.state.Volumes {
			if other.Ancestor == v.Index {
				changed := *other
				changed.Ancestor = c.state.Volumes[v.Index].Ancestor
				c.state.Volumes[index] = &changed
			}
		}
		c.state.leave(v.Index)
		delete(c.state.Volumes, v.Index)
		gone = append(gone, v.data().ID)
	}
	c.touched = true
	c.after = append(c.after, func() error { return c.x.options.Data.Delete(c.ctx, gone...) })
	return nil
}

// leave takes a volume out of groups and sets.
func (s *state) leave(volume int) {
	for index, g := range s.Consistent {
		if slices.Contains(g.Volumes, volume) {
			changed := *g
			changed.Volumes = without(g.Volumes, volume)
			s.Consistent[index] = &changed
		}
	}
	for index, set := range s.Sets {
		if !slices.Contains(set.Members, volume) {
			continue
		}
		changed := *set
		changed.Members = without(set.Members, volume)
		if s.Sets[index] = &changed; len(changed.Members) == 0 {
			delete(s.Sets, index)
		}
	}
}
