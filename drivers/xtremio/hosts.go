// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
	"github.com/gocinder/cinderlib/internal/fault"
)

// initiators finds those of the array that have some addresses.
func (d *Driver) initiators(ctx context.Context, addresses []string) ([]initiator, error) {
	properties := []string{"index", "name", "port-address", "ig-id"}
	if d.protocol == connector.ProtocolISCSI {
		properties = append(properties, "chap-authentication-initiator-user-name", "chap-authentication-initiator-password",
			"chap-discovery-initiator-user-name", "chap-discovery-initiator-password")
	}
	var filters []string
	for _, a := range addresses {
		filters = append(filters, "port-address:eq:"+a)
	}
	if d.anyOf && len(filters) > 1 {
		filters = []string{strings.Join(filters, ",")}
	}
	var all []initiator
	for i, f := range filters {
		found, err := d.initiatorsOf(ctx, f, addresses[i], properties)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return slices.DeleteFunc(all, func(o initiator) bool {
		return !slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, o.Address) })
	}), nil
}

// initiatorsOf asks by a filter or, where there are none, by the name that an address
// has as an initiator.
func (d *Driver) initiatorsOf(ctx context.Context, filter, address string, properties []string) ([]initiator, error) {
	if d.version > 1 {
		return list[initiator](ctx, d, "initiators", []string{filter}, properties...)
	}
	o, err := object[initiator](ctx, d, "initiators", named(address))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []initiator{*o}, nil
}

// chap tells what the array wants of hosts.
type chap struct{ login, discovery bool }

func (c *cluster) chap() chap {
	on := func(mode string) bool { return mode != "" && mode != "disabled" }
	return chap{on(c.Login), on(c.Discovery)}
}

// letIn makes sure that a host's ports are initiators of the array, in a group of that
// name if they are new, with the secrets that the array wants.
func (d *Driver) letIn(ctx context.Context, group string, addresses []string, want chap) ([]initiator, error) {
	have, err := d.initiators(ctx, addresses)
	if err != nil {
		return nil, err
	}
	grouped := false
	for _, a := range addresses {
		if slices.ContainsFunc(have, func(o initiator) bool { return strings.EqualFold(o.Address, a) }) {
			continue
		}
		if !grouped {
			if err := d.makeGroup(ctx, group); err != nil {
				return nil, err
			}
			grouped = true
		}
		o, err := d.introduce(ctx, group, a, want)
		if err != nil {
			return nil, err
		}
		have = append(have, *o)
	}
	for i, o := range have {
		if fields := o.secrets(want); len(fields) > 0 {
			if err := d.put(ctx, "initiators/"+strconv.FormatInt(int64(o.Index), 10), nil, fields); err != nil {
				return nil, err
			}
			have[i] = o
		}
		if o.Group.Name == "" {
			return nil, drivers.Errorf(drivers.ErrPrecondition, "the initiator %s of the array is in no group", o.Address)
		}
	}
	return have, nil
}

// lockGroup has hosts be let in to a group, and groups be deleted, one after another.
func (d *Driver) lockGroup(ctx context.Context, name string) (unlock func(), err error) {
	return d.env.Locks.Lock(ctx, "xtremio-"+name)
}

// makeGroup makes sure that an initiator group is there.
func (d *Driver) makeGroup(ctx context.Context, name string) error {
	_, err := d.post(ctx, "initiator-groups", params{"ig-name": name})
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, again := object[struct{}](ctx, d, "initiator-groups", named(name), "name"); again == nil {
		return nil
	}
	return err
}

// introduce makes an initiator, or finds one that another has made meanwhile.
func (d *Driver) introduce(ctx context.Context, group, address string, want chap) (*initiator, error) {
	o := initiator{Address: address, Group: reference{Name: group}}
	p := o.secrets(want)
	p["initiator-name"], p["port-address"], p["ig-id"] = address, address, group
	_, err := d.post(ctx, "initiators", p)
	if err == nil {
		return &o, nil
	}
	if ctx.Err() == nil {
		found, again := d.initiators(ctx, []string{address})
		if len(found) > 0 {
			return &found[0], nil
		}
		err = fault.Join(err, again)
	}
	return nil, err
}

// chapUser is what Cinder's driver calls all initiators.
const chapUser = "chap_user"

// secrets gives an initiator those that the array wants and it lacks, and what to tell
// the array of them.
func (o *initiator) secrets(want chap) params {
	p := params{}
	if want.login && o.Secret == "" {
		o.User, o.Secret = chapUser, san.CHAPSecret()
		p["initiator-authentication-user-name"], p["initiator-authentication-password"] = o.User, o.Secret.Reveal()
	}
	if want.discovery && o.FindWith == "" {
		o.FindUser, o.FindWith = chapUser, san.CHAPSecret()
		p["initiator-discovery-user-name"], p["initiator-discovery-password"] = o.FindUser, o.FindWith.Reveal()
	}
	return p
}

// groups are those that initiators are in.
func groups(all []initiator) []reference {
	var found []reference
	for _, o := range all {
		if o.Group.Name != "" && !slices.ContainsFunc(found, func(r reference) bool { return r.Name == o.Group.Name }) {
			found = append(found, o.Group)
		}
	}
	return found
}

// addresses are those of a host's ports, as the array writes them.
func (d *Driver) addresses(h *connector.Properties) []string {
	if d.protocol == connector.ProtocolISCSI {
		return []string{h.Initiator}
	}
	var all []string
	for _, w := range h.WWPNs {
		all = append(all, colons(w))
	}
	return all
}

// colons writes a WWN with one after every two digits.
func colons(wwn string) string {
	if strings.Contains(wwn, ":") {
		return wwn
	}
	var part []string
	for digits := range slices.Chunk([]byte(wwn), 2) {
		part = append(part, string(digits))
	}
	return strings.Join(part, ":")
}

// groupName is what the group of a host is called that the driver makes.
func (d *Driver) groupName(h *connector.Properties) string {
	if d.protocol == connector.ProtocolISCSI {
		return h.Initiator
	}
	return h.Host
}
