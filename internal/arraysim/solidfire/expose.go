// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/secret"
)

// target is what initiators see of a volume: a target of its own with LUN 0. Who
// logs in with its account's name and secret gets in, and so do the initiators of
// its volume access groups, who may log in, too. A deleted or locked volume has no
// target.
func (s *state) target(o *Options, id int64) (arraysim.Target, bool) {
	v := s.Volumes[id]
	if v == nil || v.Status == statusDeleted || v.Access == accessLocked {
		return arraysim.Target{}, false
	}
	a := s.Accounts[v.AccountID]
	if a == nil {
		return arraysim.Target{}, false
	}
	password := a.InitiatorSecret
	if o.LoginWithTarget {
		password = a.TargetSecret
	}
	d := v.data()
	luns := []arraysim.LUN{{
		Number: 0, Volume: d.ID, Bytes: d.Bytes, BlockSize: d.BlockSize,
		Serial: v.ScsiEUIDeviceID, NAA: v.ScsiNAADeviceID, EUI: v.ScsiEUIDeviceID,
		Vendor: "SolidFir", Product: "SSD SAN", // as lsscsi shows such volumes
		ReadOnly: v.Access != accessReadWrite,
	}}
	chap := func() *arraysim.CHAP {
		return &arraysim.CHAP{User: a.Username, Password: secret.Text(password)}
	}
	t := arraysim.Target{
		IQN: v.IQN, Portals: []string{o.portal()},
		Access: []arraysim.Access{{CHAP: chap(), LUNs: luns}},
	}
	for _, initiator := range s.initiatorsOf(id) {
		t.Access = append(t.Access, arraysim.Access{Initiator: initiator, CHAP: chap(), Optional: true, LUNs: luns})
	}
	return t, true
}

func (s *state) initiatorsOf(volume int64) []string {
	var all []string
	for _, g := range s.Groups {
		if slices.Contains(g.Volumes, volume) {
			all = append(all, g.Initiators...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// expose has the data plane show what a method changed, as far as it is seen from
// outside. If that fails, it is asked to show what was before.
func (c *call) expose(before *state) *Error {
	for _, id := range slices.Sorted(maps.Keys(c.touched)) {
		was, shown := before.target(c.options, id)
		now, show := c.state.target(c.options, id)
		if shown == show && reflect.DeepEqual(was, now) {
			continue
		}
		if refused := c.data(c.show(now, show, was.IQN)); refused != nil {
			return refused
		}
		c.undo = append(c.undo, func() error { return c.show(was, shown, now.IQN) })
	}
	return nil
}

// show has a target exposed, or the one of that IQN hidden.
func (c *call) show(t arraysim.Target, exposed bool, iqn string) error {
	if exposed {
		return c.options.Data.Expose(c.ctx, t)
	}
	return c.options.Data.Hide(c.ctx, iqn)
}
