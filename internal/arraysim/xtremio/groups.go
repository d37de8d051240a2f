// SPDX-License-Identifier: Apache-2.0

package xtremio

import "maps"

// systems are the operating systems that hosts may have; which ones is the
// simulator's choice.
var systems = []string{"other", "linux", "windows", "esx", "solaris", "aix", "hpux"}

var postGroup = &verb{
	must: []string{"ig-name"},
	may:  []string{"initiator-list", "operating-system", "tag-list", "cluster-id"},
	run:  createGroup,
}

var putGroup = &verb{may: []string{"new-name", "operating-system", "ig-id", "cluster-id"}, run: changeGroup}

func groupRecords(c *call) map[int]*initiatorGroup { return c.state.Groups }

func showGroup(c *call, g *initiatorGroup) object {
	r := c.related()
	return object{
		"num-of-vols": len(r.ofGroup[g.Index]), "num-of-initiators": r.initiators[g.Index], "operating-system": g.OS,
	}
}

func createGroup(c *call) *Error {
	name, _ := c.newName("ig-name", "ig")
	system, given := c.choice("operating-system", systems...)
	c.nothing("initiator-list", refuse(invalidValue, "initiator-list"))
	c.nothing("tag-list", refuse(noTag))
	c.folder("parent-folder-id")
	if c.err != nil {
		return c.err
	}
	if !given {
		system = systems[0]
	}
	if _, taken := named(c.state.Groups, c.cluster, name); taken {
		return about("ig", nameNotUnique)
	}
	g := &initiatorGroup{header{c.state.next(kindGroups), name, c.cluster}, system}
	c.state.Groups[g.Index] = g
	c.answer(kindGroups, &g.header)
	return nil
}

func changeGroup(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	g := *c.state.Groups[h.Index]
	if system, ok := c.choice("operating-system", systems...); ok {
		g.OS = system
	}
	refused = rename(c, &g.header, c.state.Groups, "ig")
	c.state.Groups[g.Index] = &g
	return refused
}

// deleteGroup takes the initiators along.
func deleteGroup(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	if len(c.state.mapsOf(func(m *lunMap) bool { return m.Group == h.Index })) > 0 {
		return refuse(groupMapped)
	}
	maps.DeleteFunc(c.state.Initiators, func(_ int, i *initiator) bool { return i.Group == h.Index })
	delete(c.state.Groups, h.Index)
	c.touched = true
	return nil
}
