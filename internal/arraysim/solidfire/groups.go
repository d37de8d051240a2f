// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func createVolumeAccessGroup(c *call) (any, *Error) {
	limits := &c.options.Limits
	c.need("name")
	name, _ := c.bounded("name", 1, limits.GroupName)
	initiators := c.initiators()
	volumes, _ := c.ids("volumes")
	attributes, given := c.attributes(limits.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	if len(c.state.Groups) >= limits.VolumeAccessGroups {
		return nil, refuse(exceededLimit, "Exceeded maximum number of VolumeAccessGroups: %d", limits.VolumeAccessGroups)
	}
	if !given {
		attributes = emptyObject
	}
	g := accessGroup{VolumeAccessGroupID: next(&c.state.Last.Group), Name: name, Attributes: attributes}
	if refused := c.join(&g, initiators, volumes); refused != nil {
		return nil, refused
	}
	result := map[string]any{"volumeAccessGroupID": g.VolumeAccessGroupID}
	if !c.options.BareAnswers {
		result["volumeAccessGroup"] = c.state.showGroup(g)
	}
	return result, nil
}

// initiators reads the parameter of that name. The cluster has them in lower case.
func (c *call) initiators() []string {
	list, _ := c.texts("initiators")
	var initiators []string
	for _, name := range list {
		if n := utf8.RuneCountInString(name); n == 0 || n > c.options.Limits.InitiatorName {
			c.fail(refuse(invalidParameter, "initiators: %q has %d characters", name, n))
		}
		initiators = with(initiators, strings.ToLower(name))
	}
	return initiators
}

// join adds to a group what is in it not yet, all of it or nothing, and puts it
// into the state.
func (c *call) join(g *accessGroup, initiators []string, volumes []int64) *Error {
	limits := &c.options.Limits
	for _, name := range initiators {
		if most := limits.GroupsPerInitiator; c.state.groupsWith(name) >= most {
			return refuse(exceededLimit, "Exceeded maximum number of VolumeAccessGroups per Initiator: %d (%s)", most, name)
		}
		if c.state.Initiator[name] == 0 {
			c.state.Initiator[name] = next(&c.state.Last.Initiator)
		}
	}
	for _, id := range volumes {
		v, refused := c.state.volume(id)
		if refused != nil {
			return refused
		}
		if most := limits.GroupsPerVolume; len(c.state.showVolume(v).VolumeAccessGroups) >= most {
			return refuse(exceededLimit, "Exceeded maximum number of VolumeAccessGroups per Volume: %d", most)
		}
	}
	g.Initiators, g.Volumes = slices.Concat(g.Initiators, initiators), slices.Concat(g.Volumes, volumes)
	slices.Sort(g.Volumes)
	if most := limits.InitiatorsPerGroup; len(g.Initiators) > most {
		return refuse(exceededLimit, "Exceeded maximum number of Initiators per VolumeAccessGroup: %d", most)
	}
	if most := limits.VolumesPerGroup; len(g.Volumes) > most {
		return refuse(exceededLimit, "Exceeded maximum number of Volumes per VolumeAccessGroup: %d", most)
	}
	c.changed(g)
	return nil
}

// changed puts a group into the state.
func (c *call) changed(g *accessGroup) {
	c.state.Groups[g.VolumeAccessGroupID] = g
	for _, id := range g.Volumes {
		c.touched[id] = true
	}
}

func (s *state) groupsWith(initiator string) int {
	n := 0
	for _, g := range s.Groups {
		if slices.Contains(g.Initiators, initiator) {
			n++
		}
	}
	return n
}

// regroup changes the groups that a volume is in, deleted or not.
func (s *state) regroup(volume int64, change func(g *accessGroup)) {
	for id, old := range s.Groups {
		if slices.Contains(old.Volumes, volume) || slices.Contains(old.DeletedVolumes, volume) {
			g := *old
			change(&g)
			s.Groups[id] = &g
		}
	}
}

func (s *state) showGroup(g accessGroup) accessGroup {
	g.InitiatorIDs = []int64{}
	for _, name := range g.Initiators {
		g.InitiatorIDs = append(g.InitiatorIDs, s.Initiator[name])
	}
	g.Initiators, g.Volumes, g.DeletedVolumes = orEmpty(g.Initiators), orEmpty(g.Volumes), orEmpty(g.DeletedVolumes)
	return g
}

// named reads the group that a method is for.
func (c *call) named() accessGroup {
	id := c.needInteger("volumeAccessGroupID")
	if c.err != nil {
		return accessGroup{}
	}
	g, refused := c.state.group(id)
	if refused != nil {
		c.fail(refused)
	}
	return g
}

func addInitiators(c *call) (any, *Error) {
	c.need("initiators")
	initiators, g := c.initiators(), c.named()
	if c.err != nil {
		return nil, c.err
	}
	for _, name := range initiators {
		if slices.Contains(g.Initiators, name) {
			return nil, refuse("xAlreadyInVolumeAccessGroup", "Initiator %s is already in the group", name)
		}
	}
	if refused := c.join(&g, initiators, nil); refused != nil {
		return nil, refused
	}
	return emptyObject, nil
}

func addVolumes(c *call) (any, *Error) {
	c.need("volumes")
	volumes, _ := c.ids("volumes")
	g := c.named()
	if c.err != nil {
		return nil, c.err
	}
	for _, id := range volumes {
		if slices.Contains(g.Volumes, id) {
			return nil, refuse("xAlreadyInVolumeAccessGroup", "VolumeID %d is already in the group", id)
		}
	}
	if refused := c.join(&g, nil, volumes); refused != nil {
		return nil, refused
	}
	return emptyObject, nil
}

func removeInitiators(c *call) (any, *Error) {
	c.need("initiators")
	initiators, g := c.initiators(), c.named()
	if c.err != nil {
		return nil, c.err
	}
	for _, name := range initiators {
		if !slices.Contains(g.Initiators, name) {
			return nil, refuse("xNotInVolumeAccessGroup", "Initiator %s is not in the group", name)
		}
		g.Initiators = without(g.Initiators, name)
	}
	c.changed(&g)
	return emptyObject, nil
}

// removeVolumes takes deleted volumes out, too.
func removeVolumes(c *call) (any, *Error) {
	c.need("volumes")
	volumes, _ := c.ids("volumes")
	g := c.named()
	if c.err != nil {
		return nil, c.err
	}
	for _, id := range volumes {
		switch {
		case c.state.Volumes[id] == nil:
			return nil, noVolume(id)
		case !slices.Contains(g.Volumes, id) && !slices.Contains(g.DeletedVolumes, id):
			return nil, refuse("xNotInVolumeAccessGroup", "VolumeID %d is not in the group", id)
		}
		g.Volumes, g.DeletedVolumes = without(g.Volumes, id), without(g.DeletedVolumes, id)
		c.touched[id] = true
	}
	c.changed(&g)
	return emptyObject, nil
}

func deleteVolumeAccessGroup(c *call) (any, *Error) {
	g := c.named()
	if c.err != nil {
		return nil, c.err
	}
	c.changed(&g)
	delete(c.state.Groups, g.VolumeAccessGroupID)
	return emptyObject, nil
}

func listVolumeAccessGroups(c *call) (any, *Error) {
	from, _ := c.integer("startVolumeAccessGroupID")
	limit := c.limit()
	if c.err != nil {
		return nil, c.err
	}
	groups := []accessGroup{}
	for _, g := range ordered(c.state.Groups) {
		if g.VolumeAccessGroupID >= from && (limit == 0 || int64(len(groups)) < limit) {
			groups = append(groups, c.state.showGroup(*g))
		}
	}
	return map[string]any{"volumeAccessGroups": groups}, nil
}
