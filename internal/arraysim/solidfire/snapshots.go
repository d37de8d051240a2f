// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/json"
	"fmt"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// checksum is that of every snapshot, as nothing is read to make one.
const checksum = "0x0"

func snapshotData(id int64) string { return fmt.Sprintf("snapshot-%d", id) }

// described is what the methods that make snapshots share.
type described struct {
	name       string
	replicate  bool
	attributes json.RawMessage
}

// described names a snapshot after its time if the client does not.
func (c *call) described() described {
	name, named := c.bounded("name", 0, c.options.Limits.SnapshotName)
	if !named || name == "" {
		name = timestamp(c.now)
	}
	replicate, _ := c.flag("enableRemoteReplication")
	attributes, given := c.attributes(c.options.Limits.Attributes)
	if !given {
		attributes = emptyObject
	}
	return described{name, replicate, attributes}
}

func createSnapshot(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	d := c.described()
	if c.err != nil {
		return nil, c.err
	}
	made, refused := c.snapshots(d, id)
	if refused != nil {
		return nil, refused
	}
	return c.snapshotAnswer(made[0]), nil
}

func (c *call) snapshotAnswer(s *snapshot) map[string]any {
	result := map[string]any{"snapshotID": s.SnapshotID, "checksum": s.Checksum}
	if !c.options.BareAnswers {
		result["snapshot"] = *s
	}
	return result
}

// snapshots makes one snapshot of each volume, all of the same moment, or none.
func (c *call) snapshots(d described, volumes ...int64) ([]*snapshot, *Error) {
	var copies []arraysim.Copy
	var made []*snapshot
	var ids []string
	for _, id := range volumes {
		v, refused := c.state.volume(id)
		if refused != nil {
			return nil, refused
		}
		if refused := c.ready(id); refused != nil {
			return nil, refused
		}
		if most := c.options.Limits.SnapshotsPerVolume; c.state.snapshotsOf(id) >= most {
			return nil, refuse(maxSnapshots, "Exceeded maximum number of snapshots per volume: %d", most)
		}
		if refused := c.room(0); refused != nil {
			return nil, refused
		}
		s := &snapshot{
			SnapshotID: next(&c.state.Last.Snapshot), VolumeID: id, Name: d.name, Status: "done",
			TotalSize: v.TotalSize, Checksum: checksum, CreateTime: timestamp(c.now),
			EnableRemoteReplication: d.replicate, Attributes: d.attributes,
		}
		c.state.Snapshots[s.SnapshotID] = s
		to := v.data()
		to.ID = snapshotData(s.SnapshotID)
		copies = append(copies, arraysim.Copy{From: volumeData(id), To: to})
		made, ids = append(made, s), append(ids, to.ID)
	}
	return made, c.data(c.options.Data.Copy(c.ctx, copies...), ids...)
}

func (s *state) snapshotsOf(volume int64) int {
	n := 0
	for _, snapshot := range s.Snapshots {
		if snapshot.VolumeID == volume {
			n++
		}
	}
	return n
}

// listSnapshots refuses to filter by what there is not, which is the simulator's
// choice.
func listSnapshots(c *call) (any, *Error) {
	volume, byVolume := c.integer("volumeID")
	id, byID := c.integer("snapshotID")
	if c.err != nil {
		return nil, c.err
	}
	if byVolume && c.state.Volumes[volume] == nil {
		return nil, noVolume(volume)
	}
	if s := c.state.Snapshots[id]; byID && (s == nil || byVolume && s.VolumeID != volume) {
		return nil, noSnapshot(id)
	}
	snapshots := []*snapshot{}
	for _, s := range ordered(c.state.Snapshots) {
		if (!byVolume || s.VolumeID == volume) && (!byID || s.SnapshotID == id) {
			snapshots = append(snapshots, s)
		}
	}
	return map[string]any{"snapshots": snapshots}, nil
}

func deleteSnapshot(c *call) (any, *Error) {
	id := c.needInteger("snapshotID")
	if c.err != nil {
		return nil, c.err
	}
	s := c.state.Snapshots[id]
	if s == nil {
		return nil, noSnapshot(id)
	}
	c.state.dropSnapshot(s)
	if refused := c.data(c.options.Data.Delete(c.ctx, snapshotData(id))); refused != nil {
		return nil, refused
	}
	return emptyObject, nil
}

// dropSnapshot takes a snapshot out of its group, too, which goes with its last
// member; that is the simulator's choice.
func (s *state) dropSnapshot(gone *snapshot) {
	delete(s.Snapshots, gone.SnapshotID)
	old := s.Sets[gone.GroupID]
	if old == nil {
		return
	}
	set := *old
	set.Members = nil
	for _, m := range old.Members {
		if m.SnapshotID != gone.SnapshotID {
			set.Members = append(set.Members, m)
		}
	}
	if s.Sets[gone.GroupID] = &set; len(set.Members) == 0 {
		delete(s.Sets, gone.GroupID)
	}
}

// rollbackToSnapshot gives, without saveCurrentState, the snapshot that was rolled
// back to; that is the simulator's choice.
func rollbackToSnapshot(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	to := c.needInteger("snapshotID")
	c.need("saveCurrentState")
	save, _ := c.flag("saveCurrentState")
	d := c.described()
	if c.err != nil {
		return nil, c.err
	}
	v, refused := c.state.volume(id)
	if refused != nil {
		return nil, refused
	}
	s := c.state.Snapshots[to]
	if s == nil || s.VolumeID != id {
		return nil, noSnapshot(to)
	}
	if refused := c.room(0); refused != nil {
		return nil, refused
	}
	answer := s
	if save {
		made, refused := c.snapshots(d, id)
		if refused != nil {
			return nil, refused
		}
		answer = made[0]
	}
	return c.rollBack(&v, s, answer)
}

func (c *call) rollBack(v *volume, s, answer *snapshot) (any, *Error) {
	data, id := c.options.Data, volumeData(v.VolumeID)
	if refused := c.data(data.RollBack(c.ctx, id, snapshotData(s.SnapshotID))); refused != nil {
		return nil, refused
	}
	switch {
	case s.TotalSize == v.TotalSize:
	case c.options.RollbackKeepsSize:
		if refused := c.data(data.Resize(c.ctx, id, v.TotalSize)); refused != nil {
			return nil, refused
		}
	default:
		v.TotalSize = s.TotalSize
		c.state.Volumes[v.VolumeID] = v
		c.touched[v.VolumeID] = true
	}
	return c.snapshotAnswer(answer), nil
}
