// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

// ours marks access groups that may be deleted when they are empty.
const ours = "openstack"

var notInNames = regexp.MustCompile(`[^0-9a-zA-Z]+`)

// groupName is that of an initiator's access group, as Cinder's driver makes it.
func groupName(iqn string) string { return notInNames.ReplaceAllString(iqn, "-") }

// groupTries is how often a host is let in while others change the groups.
const groupTries = 3

// letIn puts a volume into the access group of an initiator.
func (d *Driver) letIn(ctx context.Context, volume int64, iqn string) error {
	unlock, err := d.env.Locks.Lock(ctx, "vag-"+groupName(iqn))
	if err != nil {
		return err
	}
	defer unlock()
	for try := 1; ; try++ {
		again, err := d.tryLetIn(ctx, volume, iqn)
		if err == nil || !again || try == groupTries {
			return err
		}
	}
}

// tryLetIn tells whether the groups were changed meanwhile.
func (d *Driver) tryLetIn(ctx context.Context, volume int64, iqn string) (again bool, err error) {
	groups, err := d.groups(ctx)
	if err != nil {
		return false, err
	}
	g := groupOf(groups, iqn)
	if g == nil {
		if g = named(groups, groupName(iqn)); g == nil {
			return d.makeGroup(ctx, groups, volume, iqn)
		}
		err := d.call(ctx, addInitiators, params{"volumeAccessGroupID": g.ID, "initiators": []string{iqn}}, nil)
		if err != nil && !is(err, "xAlreadyInVolumeAccessGroup") {
			return is(err, "xVolumeAccessGroupIDDoesNotExist", "xExceededLimit"), err
		}
	}
	if slices.Contains(g.Volumes, volume) {
		return false, nil
	}
	err = d.call(ctx, addVolumes, params{"volumeAccessGroupID": g.ID, "volumes": []int64{volume}}, nil)
	if is(err, "xAlreadyInVolumeAccessGroup") {
		return false, nil
	}
	return is(err, "xVolumeAccessGroupIDDoesNotExist"), err
}

func (d *Driver) makeGroup(ctx context.Context, groups []accessGroup, volume int64, iqn string) (again bool, err error) {
	err = d.call(ctx, createAccessGroup, params{
		"name": groupName(iqn), "initiators": []string{iqn}, "volumes": []int64{volume}, "attributes": params{ours: true},
	}, nil)
	switch {
	case rest.Lost(err):
		return ctx.Err() == nil, err
	case is(err, "xExceededLimit"): // there may be no more groups, or another has the initiator by now
		purged := d.purgeGroups(ctx, groups)
		return purged == nil, fault.Join(err, purged)
	}
	return false, err
}

// purgeGroups deletes some groups of ours that have nothing in them, the oldest first.
func (d *Driver) purgeGroups(ctx context.Context, groups []accessGroup) error {
	const atOnce = 10
	slices.SortFunc(groups, func(a, b accessGroup) int { return cmp.Compare(a.ID, b.ID) })
	deleted := 0
	for _, g := range groups {
		if deleted == atOnce {
			break
		}
		if g.Attributes[ours] != true || len(g.Volumes)+len(g.Initiators)+len(g.DeletedVolumes) > 0 {
			continue
		}
		if err := d.removeGroup(ctx, g.ID); err != nil {
			return err
		}
		deleted++
	}
	return nil
}

func (d *Driver) removeGroup(ctx context.Context, id int64) error {
	err := d.call(ctx, deleteAccessGroup, params{"volumeAccessGroupID": id}, nil)
	if is(err, "xVolumeAccessGroupIDDoesNotExist") {
		return nil
	}
	return err
}

// shutOut takes a volume out of the access group of an initiator, and removes the
// group if it was ours and has nothing else.
func (d *Driver) shutOut(ctx context.Context, volume int64, iqn string) error {
	unlock, err := d.env.Locks.Lock(ctx, "vag-"+groupName(iqn))
	if err != nil {
		return err
	}
	defer unlock()
	groups, err := d.groups(ctx)
	if err != nil {
		return err
	}
	g := groupOf(groups, iqn)
	if g == nil || !slices.Contains(g.Volumes, volume) {
		return nil
	}
	if len(g.Volumes) == 1 && len(g.Initiators) == 1 && g.Attributes[ours] == true {
		return d.removeGroup(ctx, g.ID)
	}
	err = d.call(ctx, removeVolumes, params{"volumeAccessGroupID": g.ID, "volumes": []int64{volume}}, nil)
	if is(err, "xNotInVolumeAccessGroup", "xVolumeAccessGroupIDDoesNotExist", "xVolumeIDDoesNotExist") {
		return nil
	}
	return err
}

func (d *Driver) groups(ctx context.Context) ([]accessGroup, error) {
	var found struct {
		Groups []accessGroup `json:"volumeAccessGroups"`
	}
	err := d.call(ctx, listAccessGroups, params{}, &found)
	return found.Groups, err
}

// groupOf is the group that has an initiator: it can be in one only, whoever made it.
func groupOf(groups []accessGroup, iqn string) *accessGroup {
	for i, g := range groups {
		if slices.ContainsFunc(g.Initiators, func(other string) bool { return strings.EqualFold(other, iqn) }) {
			return &groups[i]
		}
	}
	return nil
}

func named(groups []accessGroup, name string) *accessGroup {
	i := slices.IndexFunc(groups, func(g accessGroup) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &groups[i]
}
