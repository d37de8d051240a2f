// SPDX-License-Identifier: Apache-2.0

package solidfire

import "slices"

// showVolume gives a volume as the interface shows it, without a look being
// counted.
func (s *state) showVolume(v volume) volume {
	groups := []int64{}
	for _, g := range ordered(s.Groups) {
		if slices.Contains(g.Volumes, v.VolumeID) {
			groups = append(groups, g.VolumeAccessGroupID)
		}
	}
	return v.shown(groups)
}

func (v volume) shown(groups []int64) volume {
	v.VolumeAccessGroups = orEmpty(groups)
	if v.SimCreating > 0 && v.Status == statusActive {
		v.Status = statusCreating
	}
	v.SimHidden, v.SimCreating, v.SimUncloned = 0, 0, false
	return v
}

// page is which volumes a list gives: of those in scope, from an identifier on, so
// many of them that have a status.
type page struct {
	from, limit int64
	scope       func(v *volume) bool
	status      string // empty: any
}

func (c *call) page(status string, scope func(v *volume) bool) page {
	from, _ := c.integer("startVolumeID")
	return page{from, c.limit(), scope, status}
}

// look gives volumes by ascending identifier. It counts as a look at all that are
// in scope, whatever their status, as clients wait by looking again.
func (c *call) look(p page) (any, *Error) {
	if c.err != nil {
		return nil, c.err
	}
	groups := map[int64][]int64{}
	for _, g := range ordered(c.state.Groups) {
		for _, id := range g.Volumes {
			groups[id] = append(groups[id], g.VolumeAccessGroupID)
		}
	}
	volumes := []volume{}
	for _, v := range ordered(c.state.Volumes) {
		if p.limit > 0 && int64(len(volumes)) == p.limit {
			break
		}
		if v.VolumeID < p.from || !p.scope(v) {
			continue
		}
		shown := v.shown(groups[v.VolumeID])
		switch {
		case v.SimHidden > 0:
			v.SimHidden--
			continue
		case v.SimCreating > 0:
			v.SimCreating--
		}
		if p.status == "" || p.status == shown.Status {
			volumes = append(volumes, shown)
		}
	}
	return map[string]any{"volumes": volumes}, nil
}

func everything(*volume) bool { return true }

func listActiveVolumes(c *call) (any, *Error) { return c.look(c.page(statusActive, everything)) }

func listDeletedVolumes(c *call) (any, *Error) { return c.look(c.page(statusDeleted, everything)) }

// listVolumesForAccount gives deleted volumes, too.
func listVolumesForAccount(c *call) (any, *Error) {
	id := c.needInteger("accountID")
	if c.err != nil {
		return nil, c.err
	}
	if _, refused := c.state.account(id); refused != nil {
		return nil, refused
	}
	return c.look(c.page("", func(v *volume) bool { return v.AccountID == id }))
}

// listVolumes gives deleted volumes, too. Identifiers that are not known are no
// error.
func listVolumes(c *call) (any, *Error) {
	only, byID := c.ids("volumeIDs")
	owners, byOwner := c.ids("accounts")
	name, byName := c.text("volumeName")
	status, _ := c.choice("volumeStatus", statusCreating, statusActive, statusDeleted, "snapshotting", "cloning")
	paired, byPair := c.flag("isPaired")
	c.flag("includeVirtualVolumes")
	if byID {
		for _, other := range []string{"accounts", "startVolumeID", "limit"} {
			if _, given := c.get(other); given {
				c.fail(refuse(invalidParameter, "volumeIDs and %s exclude each other", other))
			}
		}
	}
	return c.look(c.page(status, func(v *volume) bool {
		return (!byID || slices.Contains(only, v.VolumeID)) &&
			(!byOwner || slices.Contains(owners, v.AccountID)) &&
			(!byName || v.Name == name) &&
			(!byPair || !paired)
	}))
}
