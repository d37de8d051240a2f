// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"maps"
	"slices"

	"github.com/gocinder/cinderlib/internal/fault"
)

// change changes what is not an object of the interface.
func (x *XMS) change(ctx context.Context, name string, change func(o *cluster) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.begin(ctx, request{})
	c.state = x.state.clone()
	old, ok := named(c.state.clusters, 0, name)
	if !ok {
		return fault.Errorf(fault.ErrNotFound, "xtremio: no cluster %q", name)
	}
	changed := *old
	changed.targets, changed.portals = maps.Clone(old.targets), maps.Clone(old.portals)
	if err := change(&changed); err != nil {
		return err
	}
	c.state.clusters[old.Index] = &changed
	c.touched = true
	if refused := c.expose(x.state); refused != nil {
		return c.takeBack(refused)
	}
	x.state = c.state
	return nil
}

// SetCHAP changes a cluster's modes: disabled, initiator, mutual. Such changes are
// not saved with the state. It fails with ErrInvalid for another mode, and with
// ErrNotFound for a cluster that there is not.
func (x *XMS) SetCHAP(ctx context.Context, of, authentication, discovery string) error {
	return x.change(ctx, of, func(o *cluster) error {
		if !slices.Contains(chapModes, authentication) || !slices.Contains(chapModes, discovery) {
			return fault.Errorf(fault.ErrInvalid, "xtremio: CHAP modes %q, %q: want disabled, initiator or mutual", authentication, discovery)
		}
		o.auth, o.discovery = authentication, discovery
		return nil
	})
}

// SetTarget has a target port of a cluster be up or down. Hosts do not see an iSCSI
// target that is down; its portals stay in the list. Such changes are not saved
// with the state. It fails with ErrNotFound for a cluster or target that there is
// not.
func (x *XMS) SetTarget(ctx context.Context, of, port string, up bool) error {
	return x.change(ctx, of, func(o *cluster) error {
		t, ok := named(o.targets, o.Index, port)
		if !ok {
			return fault.Errorf(fault.ErrNotFound, "xtremio: no target %q of %s", port, o.Name)
		}
		changed := *t
		changed.up = up
		o.targets[t.Index] = &changed
		return nil
	})
}

// SetPortal has a portal of a cluster be there or not, by its name, which is the
// address with the prefix. It is in no list while it is down, which is the
// simulator's choice. Such changes are not saved with the state. It fails with
// ErrNotFound for a cluster or portal that there is not.
func (x *XMS) SetPortal(ctx context.Context, of, address string, up bool) error {
	return x.change(ctx, of, func(o *cluster) error {
		p, ok := named(o.portals, o.Index, address)
		if !ok {
			return fault.Errorf(fault.ErrNotFound, "xtremio: no portal %q of %s", address, o.Name)
		}
		changed := *p
		changed.up = up
		o.portals[p.Index] = &changed
		return nil
	})
}
