// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"slices"
)

var postMap = &verb{must: []string{"vol-id", "ig-id"}, may: []string{"lun", "tg-id", "cluster-id"}, run: createMap}

func mapRecords(c *call) map[int]*lunMap { return c.state.Maps }

func showMap(c *call, m *lunMap) object {
	o := object{
		"lun": m.LUN, "mapping-index": m.Index, "vol-index": m.Volume, "ig-index": m.Group, "tg-index": 1, "tg-name": "Default",
		"vol-name": "", "ig-name": "",
	}
	if v := c.state.Volumes[m.Volume]; v != nil {
		o["vol-name"] = v.Name
	}
	if g := c.state.Groups[m.Group]; g != nil {
		o["ig-name"] = g.Name
	}
	return o
}

func createMap(c *call) *Error {
	ofVolume, _ := c.ref("vol-id")
	ofGroup, _ := c.ref("ig-id")
	ofTargets, targets := c.ref("tg-id")
	lun, given := c.integer("lun")
	if c.err != nil {
		return c.err
	}
	v, refused := c.volume(ofVolume)
	if refused != nil {
		return refused
	}
	g, refused := c.group(ofGroup)
	if refused != nil {
		return refused
	}
	if targets && ofTargets.name != "Default" && ofTargets.index != 1 {
		return about("tg", noObject)
	}
	inGroup := c.state.mapsOf(func(m *lunMap) bool { return m.Group == g.Index })
	taken := map[int]bool{}
	for _, m := range inGroup {
		taken[m.LUN] = true
	}
	if slices.ContainsFunc(inGroup, func(m *lunMap) bool { return m.Volume == v.Index }) {
		return refuse(alreadyMapped)
	}
	if !given {
		for lun = 1; taken[lun]; {
			lun++
		}
	}
	switch {
	case lun < 1 || lun > c.x.options.Limits.LUN:
		return refuse(lunOutOfRange)
	case taken[lun]:
		return refuse(lunInUse)
	}
	c.join(v, g, lun)
	return nil
}

// join has a group see a volume, which gets a name for hosts if it has none yet.
func (c *call) join(v *volume, g *initiatorGroup, lun int) {
	if v.NAA == "" {
		changed := *v
		changed.NAA = c.own().naa(v.Index, c.x.options.LongNAA)
		c.state.Volumes[v.Index] = &changed
	}
	name := fmt.Sprintf("%d_%d_1", v.Index, g.Index)
	m := &lunMap{header{c.state.next(kindMaps), name, c.cluster}, v.Index, g.Index, lun}
	c.state.Maps[m.Index] = m
	c.touched = true
	c.answer(kindMaps, &m.header)
}

// deleteMap ends what a group sees of a volume.
func deleteMap(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	delete(c.state.Maps, h.Index)
	c.touched = true
	return nil
}
