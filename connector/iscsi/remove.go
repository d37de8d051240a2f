// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// removal takes disks off the host, and the maps made of them.
type removal struct {
	disks []scsi.Disk
	maps  []*multipath.Map // beside those that hold the disks
	flush []string         // nodes
	force bool             // go on after faults
}

// remove removes from the top: buffers, maps, what multipathd knows, disks. A
// map that has paths beside the disks stays, without them.
func (c *iscsi) remove(ctx context.Context, rm removal) error {
	var faults []error
	// failed tells whether to stop.
	failed := func(err error) bool {
		if err != nil {
			faults = append(faults, err)
		}
		return err != nil && (!rm.force || ctx.Err() != nil)
	}
	names := make([]string, 0, len(rm.disks))
	for _, d := range rm.disks {
		names = append(names, d.Name)
	}
	daemon := true
	if len(names)+len(rm.maps) > 0 {
		var err error
		if daemon, err = c.daemon.Running(ctx); err != nil {
			return err
		}
	}
	maps := c.whole(rm.maps, names)
	if rm.force && daemon {
		for _, m := range maps {
			_ = c.daemon.DisableQueueing(ctx, m.Name) // or what is written waits for paths for ever
		}
	}
	if failed(c.flush(ctx, rm)) {
		return fault.Join(faults...)
	}
	var left []*multipath.Map
	for _, m := range maps {
		err := c.dropMap(ctx, m, daemon)
		if err != nil && rm.force && ctx.Err() == nil {
			left = append(left, m)
			continue
		}
		if failed(err) {
			return fault.Join(faults...)
		}
	}
	for _, d := range rm.disks {
		if daemon && d.Name != "" && d.There(c.host) {
			_ = c.daemon.DelPath(ctx, d.Name) // it would make the map again, and look at a disk that is gone
		}
		if failed(d.Remove(ctx, c.host)) {
			return fault.Join(faults...)
		}
	}
	for _, m := range left {
		failed(c.dropLater(ctx, m, daemon))
	}
	return fault.Join(faults...)
}

// whole gives the maps that are to go with the disks.
func (c *iscsi) whole(maps []*multipath.Map, disks []string) []*multipath.Map {
	all := slices.Clone(maps)
	for _, m := range multipath.Holding(c.host, disks...) {
		if !slices.ContainsFunc(all, func(has *multipath.Map) bool { return has.DM == m.DM }) {
			all = append(all, m)
		}
	}
	return slices.DeleteFunc(all, func(m *multipath.Map) bool {
		return slices.ContainsFunc(m.Disks, func(d string) bool { return !slices.Contains(disks, d) })
	})
}

func (c *iscsi) flush(ctx context.Context, rm removal) error {
	limit := c.limits.flush
	if rm.force {
		limit = c.limits.forced
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var faults []error
	for _, node := range rm.flush {
		faults = append(faults, scsi.Flush(bounded, c.host, node))
	}
	return fault.Join(faults...)
}

// dropMap removes a map. Those who look into a device that has just been closed
// may have it open for a moment.
func (c *iscsi) dropMap(ctx context.Context, m *multipath.Map, daemon bool) error {
	var last error
	start := time.Now()
	gone, err := poll.Until(ctx, c.limits.drop, func() (bool, error) {
		if !m.There(c.host) {
			return true, nil
		}
		if time.Since(start) > c.limits.settle {
			if users, err := scsi.Users(ctx, c.host, m.DM); err != nil || len(users) > 0 {
				return false, fault.Join(err, errUsed)
			}
		}
		if daemon {
			last = c.daemon.DelMap(ctx, m.Name)
		} else {
			_, last = c.host.Run.Run(ctx, connector.Command{Args: []string{"multipath", "-f", m.Name}, Root: true})
		}
		return !m.There(c.host), nil
	})
	switch {
	case gone:
		return nil
	case err != nil && !errors.Is(err, errUsed) || ctx.Err() != nil:
		return fmt.Errorf("remove map %s: %w", m.Name, err)
	case errors.Is(last, connector.ErrPermission):
		return last
	}
	return connector.Errorf(connector.ErrInUse, "remove map %s: %s: %w", m.Name, c.users(ctx, m.DM), orNothing(last))
}

var errUsed = errors.New("somebody uses it")

func orNothing(err error) error {
	if err == nil {
		return errors.New("it is still there")
	}
	return err
}

// dropLater removes a map that is in use and has lost its paths: now if it can
// be, or when its last user closes it.
func (c *iscsi) dropLater(ctx context.Context, m *multipath.Map, daemon bool) error {
	if err := c.dropMap(ctx, m, daemon); err == nil || ctx.Err() != nil {
		return err
	}
	_, err := c.host.Run.Run(ctx, connector.Command{Args: []string{"dmsetup", "remove", "--deferred", m.Name}, Root: true})
	// Flushes of ours that waited for the paths end now, too.
	gone, ended := poll.Until(ctx, c.limits.forced, func() (bool, error) { return !m.There(c.host), nil })
	if gone || ended != nil {
		return ended
	}
	used := connector.Errorf(connector.ErrInUse, "map %s has lost its paths: %s", m.Name, c.users(ctx, m.DM))
	return fault.Join(used, err)
}

func (c *iscsi) users(ctx context.Context, name string) string {
	users, err := scsi.Users(ctx, c.host, name)
	if err != nil {
		return err.Error()
	}
	if len(users) == 0 {
		return "it is open somewhere"
	}
	return strings.Join(users, ", ")
}

// unused waits until nobody uses the devices but udev, which looks into every one
// that is new or has been written to.
func (c *iscsi) unused(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	var users []string
	free, err := poll.Until(ctx, c.limits.settle, func() (bool, error) {
		var err error
		users, err = scsi.Users(ctx, c.host, names...)
		return len(users) == 0, err
	})
	if err == nil && !free {
		err = connector.Errorf(connector.ErrInUse, "%s", strings.Join(users, ", "))
	}
	return err
}

// removeUnused removes a disk that shows what nobody wants any more, and the map
// made of it.
func (c *iscsi) removeUnused(ctx context.Context, d scsi.Disk) error {
	if d.Name == "" {
		return d.Remove(ctx, c.host)
	}
	names := []string{d.Name}
	for _, m := range multipath.Holding(c.host, d.Name) {
		names = append(names, m.DM)
	}
	if err := c.unused(ctx, names...); err != nil {
		return err
	}
	return c.remove(ctx, removal{disks: []scsi.Disk{d}})
}
