// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"slices"

	"github.com/gocinder/cinderlib/drivers"
)

// volumeCache is what a backend has loaded of its volumes, in order. Removed
// ones leave a gap until gaps are the majority, so that removing costs the same
// however many there are.
type volumeCache struct {
	loaded bool
	order  []*Volume
	at     map[string]int
	gaps   int

	loading   int                // queries of the store that are running
	meanwhile map[string]*Volume // what was added since, nil what was removed
}

func (c *volumeCache) list() []*Volume {
	return slices.DeleteFunc(slices.Clone(c.order), func(v *Volume) bool { return v == nil })
}

// begin and end stand around a query of the store: what is added and removed
// between them is newer than what the query finds.
func (c *volumeCache) begin() {
	if c.loading == 0 {
		c.meanwhile = map[string]*Volume{}
	}
	c.loading++
}

// end takes over what the store holds, unless the query failed, and keeps the
// handles that it knows.
func (c *volumeCache) end(b *Backend, records []*drivers.Volume, ok bool) {
	c.loading--
	meanwhile := c.meanwhile
	if c.loading == 0 {
		c.meanwhile = nil
	}
	if !ok {
		return
	}
	volumes := make([]*Volume, len(records))
	for i, rec := range records {
		if at, known := c.at[rec.ID]; known {
			volumes[i] = c.order[at]
			volumes[i].set(rec)
		} else {
			volumes[i] = newVolume(b.lib, b, rec, true)
		}
	}
	c.replace(volumes)
	for id, v := range meanwhile {
		if v == nil {
			c.remove(id)
		} else {
			c.add(v)
		}
	}
}

func (c *volumeCache) replace(volumes []*Volume) {
	c.order, c.at, c.gaps, c.loaded = make([]*Volume, 0, len(volumes)), make(map[string]int, len(volumes)), 0, true
	for _, v := range volumes {
		c.add(v)
	}
}

func (c *volumeCache) add(v *Volume) {
	id := v.ID()
	if c.loading > 0 {
		c.meanwhile[id] = v
	}
	if !c.loaded {
		return
	}
	if at, ok := c.at[id]; ok {
		c.order[at] = v
		return
	}
	c.at[id] = len(c.order)
	c.order = append(c.order, v)
}

func (c *volumeCache) remove(id string) {
	if c.loading > 0 {
		c.meanwhile[id] = nil
	}
	at, ok := c.at[id]
	if !ok {
		return
	}
	delete(c.at, id)
	c.order[at] = nil
	c.gaps++
	if c.gaps > len(c.order)/2 {
		c.order = c.list()
		c.gaps = 0
		for i, v := range c.order {
			c.at[v.ID()] = i
		}
	}
}
