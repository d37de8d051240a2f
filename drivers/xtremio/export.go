// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

// Export has nothing to do: a volume is reached when it is mapped to a host's group.
func (d *Driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return nil, d.failed("export volume", v.NameID(), ctx.Err())
}

// Unexport has nothing to do.
func (d *Driver) Unexport(ctx context.Context, v *drivers.Volume) error {
	return d.failed("unexport volume", v.NameID(), ctx.Err())
}

// Connect maps the volume to the groups of the host's ports.
func (d *Driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	info, err := d.connect(ctx, v, a)
	return info, d.failed("connect volume", v.NameID(), err)
}

func (d *Driver) connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	var want chap
	ports, err := d.ports(ctx)
	if err == nil && d.protocol == connector.ProtocolISCSI {
		want, err = d.chap.get(func() (chap, error) {
			c, err := d.read(ctx)
			if err != nil {
				return chap{}, err
			}
			return c.chap(), nil
		})
	}
	if err != nil {
		return nil, err
	}
	host, o, lun, err := d.admit(ctx, v, a.Host, want)
	if err != nil {
		return nil, err
	}
	shared := connector.Common{VolumeID: v.ID, AccessMode: a.Mode}
	if o.NAA != "" {
		shared.DeviceWWIDs = []string{"naa." + strings.ToLower(o.NAA)}
	}
	info := &connector.ConnInfo{Protocol: d.protocol}
	if d.protocol == connector.ProtocolISCSI {
		info.Data = iscsiData(ports, lun, &host[0], want, shared)
	} else {
		info.Data = fcData(ports, lun, d.addresses(a.Host), shared)
	}
	return info, nil
}

// tries is how often a host is let in while others change the groups and their LUNs.
const tries = 3

// admit lets a host in, and maps the volume to its groups.
func (d *Driver) admit(ctx context.Context, v *drivers.Volume, h *connector.Properties, want chap) (host []initiator, o *volume, lun int, err error) {
	unlock, err := d.lockGroup(ctx, d.groupName(h))
	if err != nil {
		return nil, nil, 0, err
	}
	unlock = sync.OnceFunc(unlock)
	defer unlock()
	for try := 1; ; try++ {
		if host, err = d.letIn(ctx, d.groupName(h), d.addresses(h), want); err == nil {
			if !d.o.CleanGroups {
				unlock()
			}
			o, lun, err = d.mapTo(ctx, v, groups(host))
		}
		// Others may have deleted the group meanwhile, or made the same initiators.
		code := fault.CodeOf(err)
		if code != fault.NotFound && code != fault.AlreadyExists || try == tries || ctx.Err() != nil {
			return host, o, lun, err
		}
		if _, again := d.find(ctx, v.NameID()); again != nil {
			return nil, nil, 0, fault.Join(again, err)
		}
	}
}

// mapTo maps a volume to groups, under one LUN. Mappings that are there stay.
func (d *Driver) mapTo(ctx context.Context, v *drivers.Volume, to []reference) (o *volume, lun int, err error) {
	var mapped []reference
	defer func() {
		if err != nil && len(mapped) > 0 {
			err = fault.Join(err, d.undo(ctx, nil, func(ctx context.Context) error { return d.unmap(ctx, v, mapped) }))
		}
	}()
	for try := 1; ; try++ {
		choice := 0
		if len(to) > 1 {
			if choice, err = d.commonLUN(ctx, v, to); err != nil {
				return nil, 0, err
			}
		}
		for _, g := range to {
			p := params{"ig-id": g.Name, "vol-id": v.NameID()}
			if choice > 0 {
				p["lun"] = choice
			}
			_, err = d.post(ctx, "lun-maps", p)
			switch {
			case err == nil || rest.Lost(err):
				mapped = append(mapped, g)
			case says(err, alreadyMapped):
				err = nil
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			break
		}
		if choice == 0 || try == tries || gone(err) || rest.Lost(err) {
			return nil, 0, err
		}
	}
	if o, err = d.find(ctx, v.NameID(), "naa-name", "lun-mapping-list"); err != nil {
		return nil, 0, err
	}
	lun, err = o.lun(to)
	return o, lun, err
}

// lun is the one that the volume has in all of some groups.
func (v *volume) lun(in []reference) (int, error) {
	lun := 0
	for _, g := range in {
		i := slices.IndexFunc(v.Mappings, func(m mapping) bool { return m.Group.Name == g.Name })
		switch {
		case i < 0:
			return 0, drivers.Errorf(drivers.ErrInternal, "the array does not tell its LUN in the group %s", g.Name)
		case lun > 0 && int(v.Mappings[i].LUN) != lun:
			return 0, drivers.Errorf(drivers.ErrPrecondition, "it has the LUN %d in the group %s, and %d in another of the host", v.Mappings[i].LUN, g.Name, lun)
		}
		lun = int(v.Mappings[i].LUN)
	}
	return lun, nil
}

// commonLUN is the one under which the volume is mapped to one of some groups, or the
// smallest from 1 that is free in all.
func (d *Driver) commonLUN(ctx context.Context, v *drivers.Volume, in []reference) (int, error) {
	o, err := d.find(ctx, v.NameID(), "lun-mapping-list")
	if err != nil {
		return 0, err
	}
	taken := map[number]bool{}
	for _, g := range in {
		if i := slices.IndexFunc(o.Mappings, func(m mapping) bool { return m.Group.Name == g.Name }); i >= 0 {
			return int(o.Mappings[i].LUN), nil
		}
	}
	for _, g := range in {
		type row struct {
			LUN   number `json:"lun"`
			Group string `json:"ig-name"`
		}
		rows, err := list[row](ctx, d, "lun-maps", []string{"ig-name:eq:" + g.Name}, "lun", "ig-name")
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			if r.Group == g.Name {
				taken[r.LUN] = true
			}
		}
	}
	lun := number(1)
	for taken[lun] {
		lun++
	}
	return int(lun), nil
}

// Disconnect unmaps the volume from the groups of the host's ports, but for those that
// a host of another connection needs.
func (d *Driver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	return d.failed("disconnect volume", v.NameID(), d.disconnect(ctx, v, a))
}

func (d *Driver) disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	o, err := d.find(ctx, v.NameID(), "lun-mapping-list")
	if gone(err) || err == nil && len(o.Mappings) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var mine, needed []reference
	if a.Host == nil {
		for _, m := range o.Mappings {
			mine = append(mine, m.Group)
		}
	} else {
		addresses := d.addresses(a.Host)
		var others []string
		for _, other := range a.Others {
			others = append(others, d.addresses(other)...)
		}
		known, err := d.initiators(ctx, append(slices.Clone(addresses), others...))
		if err != nil {
			return err
		}
		have := func(list []string) []reference {
			return groups(slices.DeleteFunc(slices.Clone(known), func(i initiator) bool {
				return !slices.ContainsFunc(list, func(a string) bool { return strings.EqualFold(a, i.Address) })
			}))
		}
		mine, needed = have(addresses), have(others)
	}
	return d.drop(ctx, o, d.o.CleanGroups, slices.DeleteFunc(mine, func(g reference) bool { return slices.Contains(needed, g) }))
}

// unmap takes a volume from groups, as far as it is in them. The groups stay.
func (d *Driver) unmap(ctx context.Context, v *drivers.Volume, from []reference) error {
	o, err := d.find(ctx, v.NameID(), "lun-mapping-list")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.drop(ctx, o, false, from)
}

func (d *Driver) drop(ctx context.Context, o *volume, clean bool, from []reference) error {
	var faults []error
	for _, m := range o.Mappings {
		if !slices.ContainsFunc(from, func(g reference) bool { return g.Name == m.Group.Name }) {
			continue
		}
		name := fmt.Sprintf("%d_%d_%d", o.Index, m.Group.Index, m.Targets.Index)
		_, err := d.delete(ctx, "lun-maps", named(name))
		if err == nil && clean {
			d.clean(ctx, m.Group)
		}
		faults = append(faults, err)
	}
	return fault.Join(faults...)
}

// clean deletes a group that no volume is mapped to. The array refuses to delete one
// that has got some meanwhile; a group that stays hurts nobody.
func (d *Driver) clean(ctx context.Context, g reference) {
	type group struct {
		Volumes number `json:"num-of-vols"`
	}
	path := fmt.Sprintf("initiator-groups/%d", g.Index)
	unlock, err := d.lockGroup(ctx, g.Name)
	if err == nil {
		defer unlock()
		var o *group
		if o, err = object[group](ctx, d, path, nil, "num-of-vols"); err == nil && o.Volumes == 0 {
			_, err = d.delete(ctx, path, nil)
		}
	}
	if err != nil && !gone(err) {
		d.env.Log.WarnContext(ctx, "xtremio: an initiator group stays", slog.String("group", g.Name), slog.Any("error", err))
	}
}
