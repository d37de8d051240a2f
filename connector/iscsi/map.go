// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/poll"
)

// When multipathd is helped, and when it is to make a map of less than all paths.
const (
	helpAfter = 300 * time.Millisecond
	helpAgain = 500 * time.Millisecond
	helpFew   = 3 * time.Second
)

// mapOf finds the map of the disks. With wait it sees to it that there is one,
// that a path of it works and that it has the size of the paths; if multipathd
// wants none, it gives nil.
func (j *job) mapOf(ctx context.Context, disks []string, first scsi.Disk, wait bool) (*multipath.Map, error) {
	if !wait {
		return j.theMap(disks, first)
	}
	var m *multipath.Map
	var reason error
	start := time.Now()
	help := &helper{job: j, disks: disks}
	usable, err := poll.Until(ctx, j.limits.dm, func() (bool, error) {
		if m, reason = j.theMap(disks, first); reason != nil {
			j.sortOut(ctx, disks, first)
			return false, ctx.Err()
		}
		if m != nil {
			if reason = j.usable(ctx, m, disks, first); reason == nil {
				return true, nil
			}
		}
		return false, help.along(ctx, m, time.Since(start))
	})
	switch {
	case err != nil:
		return nil, err
	case !usable:
		return nil, reason // none, if multipathd wants no map
	}
	return m, nil
}

// sortOut has multipathd look again at disks that are in the wrong map: it
// remembers a disk of the same name that is gone.
func (j *job) sortOut(ctx context.Context, disks []string, first scsi.Disk) {
	for _, d := range disks {
		for _, m := range multipath.Holding(j.host, d) {
			if !j.itsMap(m, first) {
				_ = j.daemon.DelPath(ctx, d) // what counts is the map
				_ = j.daemon.AddPath(ctx, d)
			}
		}
	}
}

// theMap gives the map that the disks are paths of. They must agree, and so must
// its identity.
func (j *job) theMap(disks []string, first scsi.Disk) (*multipath.Map, error) {
	maps := multipath.Holding(j.host, disks...)
	if len(maps) == 0 {
		return nil, nil
	}
	for _, m := range maps {
		if m.DM != maps[0].DM {
			return nil, connector.Errorf(connector.ErrWrongDevice, "the paths %v belong to two maps, %s and %s", disks, m.Name, maps[0].Name)
		}
		if !j.itsMap(m, first) {
			return nil, connector.Errorf(connector.ErrWrongDevice, "%s is a path of the map %s, and is %s", first.Node(), m.WWID, first.WWID)
		}
	}
	return maps[0], nil
}

func (j *job) itsMap(m *multipath.Map, first scsi.Disk) bool {
	names := append(first.Names(j.host), j.wwids...)
	return len(names) == 0 || scsi.OneOf(m.WWID, names)
}

// usable says what a map lacks.
func (j *job) usable(ctx context.Context, m *multipath.Map, disks []string, first scsi.Disk) error {
	if !scsi.Ready(j.host, m.DM) {
		return connector.Errorf(connector.ErrUnavailable, "the map %s has no node %s", m.Name, m.Node())
	}
	paths, err := j.daemon.Paths(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(paths, func(p multipath.Path) bool {
		return p.State == "active" && slices.Contains(disks, p.Name) && p.Map == m.Name
	}) {
		return connector.Errorf(connector.ErrUnavailable, "the map %s has no path that works", m.Name)
	}
	want := max(j.r.SizeBytes, scsi.Size(j.host, first.Name))
	if scsi.Size(j.host, m.DM) < want {
		if err := j.daemon.Resize(ctx, m.Name); err != nil {
			return err
		}
		if has := scsi.Size(j.host, m.DM); has < want {
			return connector.Errorf(connector.ErrWrongDevice, "the map %s has %d bytes, and its paths %d", m.Name, has, want)
		}
	}
	return nil
}

// helper sees to it that multipathd makes a map. It hears of disks from udev,
// which takes its time; it may have missed one; and with find_multipaths it wants
// two of them, or a WWID that it has seen in a map before.
type helper struct {
	*job
	disks []string
	next  time.Duration // when to help again
	asked bool          // for the WWID to be remembered
}

func (h *helper) along(ctx context.Context, m *multipath.Map, passed time.Duration) error {
	if passed < h.next || passed < helpAfter {
		return ctx.Err()
	}
	h.next = passed + helpAgain
	paths, err := h.daemon.Paths(ctx)
	if err != nil {
		return ctx.Err() // it may be starting
	}
	wwid, ready := "", 0
	for _, d := range h.disks {
		i := slices.IndexFunc(paths, func(p multipath.Path) bool { return p.Name == d })
		switch {
		case i < 0:
			_ = h.daemon.AddPath(ctx, d) // what counts is the map
		case paths[i].WWID == "": // udev is not done with it
		case m != nil && paths[i].Map == "":
			_ = h.daemon.AddPath(ctx, d)
		default:
			wwid = paths[i].WWID
			ready++
		}
	}
	if m != nil || wwid == "" || ready < len(h.disks) && passed < helpFew {
		return ctx.Err()
	}
	if passed > h.limits.dm/2 && !h.asked {
		h.asked = true
		// It writes /etc/multipath/wwids, which multipathd has no command for.
		_, _ = h.host.Run.Run(ctx, connector.Command{Args: []string{"multipath", "-a", wwid}, Root: true})
		_ = h.daemon.AddPath(ctx, h.disks[0])
	}
	_ = h.daemon.AddMap(ctx, wwid)
	return ctx.Err()
}
