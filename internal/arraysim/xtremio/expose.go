// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"errors"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/secret"
)

// targetsOf gives what initiators see of a cluster now: a target for each iSCSI
// port that is up, all of them with the same LUNs. Initiators that are not known
// get in nowhere.
func (s *state) targetsOf(o *cluster) []arraysim.Target {
	var access []arraysim.Access
	for _, i := range ordered(s.Initiators, o.Index) {
		if a, ok := s.access(o, i); ok {
			access = append(access, a)
		}
	}
	var all []arraysim.Target
	for _, t := range ordered(o.targets, o.Index) {
		shown := arraysim.Target{IQN: t.address, Access: access}
		for _, p := range ordered(o.portals, o.Index) {
			if p.target == t.Index && p.up {
				shown.Portals = append(shown.Portals, net.JoinHostPort(p.prefix.Addr().String(), strconv.Itoa(p.port)))
			}
		}
		if t.kind == typeISCSI && t.up && len(shown.Portals) > 0 {
			all = append(all, shown)
		}
	}
	return all
}

// access lets an initiator in to what its group sees. Where the cluster asks for
// CHAP, one without a password does not get in. A password of the cluster is for
// the mode mutual only.
func (s *state) access(o *cluster, i *initiator) (arraysim.Access, bool) {
	if i.Type != typeISCSI {
		return arraysim.Access{}, false
	}
	a := arraysim.Access{Initiator: i.Address, LUNs: s.luns(i.Group)}
	if o.auth == chapDisabled {
		return a, true
	}
	host, own := logins[0].attribute(), logins[2].attribute()
	if i.CHAP[host+password] == "" {
		return arraysim.Access{}, false
	}
	a.CHAP = &arraysim.CHAP{User: i.CHAP[host+userName], Password: secret.Text(i.CHAP[host+password])}
	if o.auth == chapMutual {
		a.CHAP.TargetUser, a.CHAP.TargetPassword = i.CHAP[own+userName], secret.Text(i.CHAP[own+password])
	}
	return a, true
}

func (s *state) luns(group int) []arraysim.LUN {
	var luns []arraysim.LUN
	for _, m := range s.mapsOf(func(m *lunMap) bool { return m.Group == group }) {
		v := s.Volumes[m.Volume]
		if v == nil || v.Access == accessNone {
			continue
		}
		d := v.data()
		luns = append(luns, arraysim.LUN{
			Number: m.LUN, Volume: d.ID, Bytes: d.Bytes, BlockSize: d.BlockSize, Serial: v.NAA, NAA: v.NAA,
			Vendor: "XtremIO", Product: "XtremApp", // as multipath tools know such volumes
			ReadOnly: v.Access != accessWrite,
		})
	}
	return luns
}

// targets are those of all clusters, by name in lower case, as hosts have it.
func (s *state) targets() map[string]arraysim.Target {
	all := map[string]arraysim.Target{}
	for _, o := range s.clusters {
		for _, t := range s.targetsOf(o) {
			all[strings.ToLower(t.IQN)] = t
		}
	}
	return all
}

// expose has the data plane show what a request changed, as far as it is seen from
// outside. If that fails, it is asked to show what was before.
func (c *call) expose(before *state) *Error {
	if !c.touched {
		return nil
	}
	was, now := before.targets(), c.state.targets()
	both := maps.Clone(was)
	maps.Copy(both, now)
	for _, iqn := range slices.Sorted(maps.Keys(both)) {
		old, shown := was[iqn]
		t, show := now[iqn]
		if shown == show && reflect.DeepEqual(old, t) {
			continue
		}
		if refused := c.data(c.show(both[iqn].IQN, t, show)); refused != nil {
			return refused
		}
		c.undo = append(c.undo, func() error { return c.show(both[iqn].IQN, old, shown) })
	}
	return nil
}

// show has a target exposed, or the one of that IQN hidden.
func (c *call) show(iqn string, t arraysim.Target, exposed bool) error {
	if exposed {
		return c.x.options.Data.Expose(c.ctx, t)
	}
	return c.x.options.Data.Hide(c.ctx, iqn)
}

// Targets gives what initiators see now: the targets of all clusters.
func (x *XMS) Targets() []arraysim.Target {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.targets()
}

func (x *XMS) targets() []arraysim.Target {
	m := x.state.targets()
	var all []arraysim.Target
	for _, iqn := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[iqn])
	}
	return all
}

// Publish implements arraysim.Array.
func (x *XMS) Publish(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all error
	for _, t := range x.targets() {
		all = errors.Join(all, x.options.Data.Expose(ctx, t))
	}
	return all
}
