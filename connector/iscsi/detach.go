// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// volume is what there is of a volume on the host.
type volume struct {
	disks    []scsi.Disk
	maps     []*multipath.Map
	sessions []*session // to its targets, and others to them by name that have a disk of it
}

// find looks in sysfs only.
func (j *job) find() volume {
	var v volume
	wwids := slices.Clone(j.wwids)
	if j.r.Device != nil && j.r.Device.WWN != "" {
		wwids = append(wwids, j.r.Device.WWN)
	}
	used := j.usedDisks()
	ours := func(s *session, d scsi.Disk) bool {
		if len(wwids) > 0 && scsi.OneOf(d.WWID, wwids) {
			return true
		}
		halfMade := d.Name == "" && d.WWID == ""
		if len(wwids) > 0 && !halfMade && !slices.Contains(used, d.Name) {
			return false
		}
		return slices.ContainsFunc(j.targets, func(t target) bool { return j.at(s, &t) && t.lun == d.Address.LUN })
	}
	iqns := make([]string, 0, len(j.targets))
	for _, t := range j.targets {
		iqns = append(iqns, t.iqn)
	}
	for _, s := range j.sessionsOf(iqns...) {
		disks := slices.DeleteFunc(s.disks(j.host), func(d scsi.Disk) bool { return !ours(s, d) })
		v.disks = append(v.disks, disks...)
		if len(disks) > 0 || slices.ContainsFunc(j.targets, func(t target) bool { return j.at(s, &t) }) {
			v.sessions = append(v.sessions, s)
		}
	}
	names := make([]string, 0, len(v.disks))
	for _, d := range v.disks {
		names = append(names, d.Name)
		if d.WWID != "" {
			wwids = append(wwids, d.WWID)
		}
	}
	v.maps = multipath.Holding(j.host, names...)
	for _, m := range multipath.Of(j.host, wwids) {
		if !slices.ContainsFunc(v.maps, func(has *multipath.Map) bool { return has.DM == m.DM }) {
			v.maps = append(v.maps, m)
		}
	}
	return v
}

// usedDisks lists the disks below the device that was handed out, where the array
// does not tell who the volume is: os-brick may have given it another of its names.
func (j *job) usedDisks() []string {
	if len(j.wwids) > 0 || j.r.Device == nil || j.r.Device.Path == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(j.host.Path(j.r.Device.Path))
	if err != nil {
		return nil
	}
	disks := []string{filepath.Base(real)}
	below, _ := os.ReadDir(j.host.Path("/sys/block/" + disks[0] + "/slaves"))
	for _, d := range below {
		disks = append(disks, d.Name())
	}
	return disks
}

func (j *job) detach(ctx context.Context) error {
	if j.r.Shared {
		return nil
	}
	if err := j.awaitOrphans(ctx); err != nil {
		return err
	}
	v := j.find()
	j.addPaths(&v)
	if !j.r.Force {
		err := j.free(ctx, &v)
		for tries := 1; err != nil && tries < freeTries && j.newMap(&v); tries++ {
			v = j.find()
			j.addPaths(&v)
			err = j.free(ctx, &v)
		}
		if err != nil {
			return err
		}
	}
	faults := []error{j.remove(ctx, removal{disks: v.disks, maps: v.maps, flush: j.toFlush(&v), force: j.r.Force})}
	if faults[0] != nil && !j.r.Force || ctx.Err() != nil {
		return fault.Join(faults[0], ctx.Err())
	}
	if faults[0] == nil {
		faults = append(faults, j.dropGhosts(ctx, v.maps))
	}
	faults = append(faults, j.leaveAll(ctx, v.sessions))
	return fault.Join(faults...)
}

// freeTries is how often Detach looks who uses the volume, if it is multipathd
// that comes in between: it hears of a disk again when that was written to.
const freeTries = 3

// newMap tells whether a map was made of the volume's disks since v was found.
func (j *job) newMap(v *volume) bool {
	names := make([]string, 0, len(v.disks))
	for _, d := range v.disks {
		names = append(names, d.Name)
	}
	return slices.ContainsFunc(multipath.Holding(j.host, names...), func(m *multipath.Map) bool {
		return !slices.ContainsFunc(v.maps, func(has *multipath.Map) bool { return has.DM == m.DM })
	})
}

// dropGhosts removes maps that multipathd has made again while they were removed,
// when it heard of a change of their disks.
func (j *job) dropGhosts(ctx context.Context, had []*multipath.Map) error {
	wwids := slices.Clone(j.wwids)
	for _, m := range had {
		wwids = append(wwids, m.WWID)
	}
	maps := multipath.Of(j.host, wwids)
	if len(maps) == 0 {
		return nil
	}
	return j.remove(ctx, removal{maps: maps})
}

// addPaths adds the other paths of the volume's maps: a disk that is left behind
// shows another volume one day.
func (j *job) addPaths(v *volume) {
	for _, m := range v.maps {
		for _, name := range m.Disks {
			if slices.ContainsFunc(v.disks, func(d scsi.Disk) bool { return d.Name == name }) {
				continue
			}
			if d, ok := scsi.Find(j.host, name); ok {
				v.disks = append(v.disks, d)
			}
		}
	}
}

// free refuses a volume that is in use.
func (j *job) free(ctx context.Context, v *volume) error {
	var names []string
	for _, m := range v.maps {
		names = append(names, m.DM)
	}
	for _, d := range v.disks {
		if d.Name != "" {
			names = append(names, d.Name)
		}
	}
	return j.unused(ctx, names...)
}

// toFlush lists what may have been written through: the map, or without one the
// disk that was handed out, or all if that is not known. Others of a map have
// nothing to flush, and may be dead.
func (j *job) toFlush(v *volume) []string {
	var nodes []string
	if len(v.maps) > 0 {
		for _, m := range v.maps {
			nodes = append(nodes, m.Node())
		}
		return nodes
	}
	for _, d := range v.disks {
		if d.Name != "" {
			nodes = append(nodes, d.Node())
		}
	}
	if j.r.Device != nil {
		if real, err := filepath.EvalSymlinks(j.host.Path(j.r.Device.Path)); err == nil {
			for _, n := range nodes {
				if j.host.Path(n) == real {
					return []string{n}
				}
			}
		}
	}
	return nodes
}

// leaveAll logs out of sessions that have no disks any more, and deletes the
// records of the targets. Several sessions of one node go together, or stay.
func (j *job) leaveAll(ctx context.Context, have []*session) error {
	var order []node
	add := func(n node) {
		if !slices.Contains(order, n) {
			order = append(order, n)
		}
	}
	for _, t := range j.targets {
		n := j.node(&t)
		if there, known := j.record(n); there || !known {
			add(n)
		}
	}
	for _, s := range have {
		add(s.of())
	}
	var faults []error
	for _, n := range order {
		sessions := j.on(n)
		if slices.ContainsFunc(sessions, func(s *session) bool { return len(s.disks(j.host)) > 0 }) {
			continue
		}
		faults = append(faults, j.leave(ctx, n, sessions))
		if ctx.Err() != nil {
			break
		}
	}
	return fault.Join(faults...)
}

// on lists the sessions of a node.
func (j *job) on(n node) []*session {
	return slices.DeleteFunc(j.sessionsOf(n.iqn), func(s *session) bool { return s.of() != n })
}

// awaitOrphans waits for an iscsiadm that a process which was killed has left
// running: what it does would come after all was cleaned up. Nobody else runs one
// for these targets while they are locked.
func (j *job) awaitOrphans(ctx context.Context) error {
	_, err := poll.Until(ctx, j.limits.login, func() (bool, error) {
		for _, p := range scsi.Processes(j.host) {
			// Not root's may be a root helper as yet.
			if os.Geteuid() == 0 && p.Program != "" && p.Program != "iscsiadm" {
				continue
			}
			words := strings.Split(scsi.Attr(j.host, "/proc/"+p.ID+"/cmdline"), "\x00")
			if slices.ContainsFunc(j.targets, func(t target) bool { return slices.Contains(words, t.iqn) }) {
				return false, nil
			}
		}
		return true, nil
	})
	return err
}
