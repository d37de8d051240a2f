// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
)

func createGroupSnapshot(c *call) (any, *Error) {
	c.need("volumes")
	volumes, _ := c.ids("volumes")
	d := c.described()
	if c.err != nil {
		return nil, c.err
	}
	switch most := c.options.Limits.VolumesPerGroupSnapshot; {
	case len(volumes) == 0:
		return nil, refuse(invalidParameter, "volumes: must not be empty")
	case len(volumes) > most:
		return nil, refuse(exceededLimit, "Exceeded maximum number of volumes per group snapshot: %d", most)
	}
	made, refused := c.snapshots(d, volumes...)
	if refused != nil {
		return nil, refused
	}
	set := &groupSnapshot{
		GroupSnapshotID: next(&c.state.Last.Set), GroupSnapshotUUID: newUUID(), Name: d.name, Status: "done",
		CreateTime: timestamp(c.now), Attributes: d.attributes,
	}
	for _, s := range made {
		s.GroupID, s.GroupSnapshotUUID = set.GroupSnapshotID, set.GroupSnapshotUUID
		set.Members = append(set.Members, member{s.VolumeID, s.SnapshotID, s.Checksum})
	}
	c.state.Sets[set.GroupSnapshotID] = set
	result := map[string]any{"groupSnapshotID": set.GroupSnapshotID, "members": set.Members}
	if !c.options.BareAnswers {
		result["groupSnapshot"] = set
	}
	return result, nil
}

// newUUID makes a random one, of version 4 as RFC 9562 has it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// listGroupSnapshots filters by member volumes, or gives one.
func listGroupSnapshots(c *call) (any, *Error) {
	volumes, byVolume := c.ids("volumes")
	id, byID := c.integer("groupSnapshotID")
	if c.err != nil {
		return nil, c.err
	}
	sets := []*groupSnapshot{}
	for _, set := range ordered(c.state.Sets) {
		has := slices.ContainsFunc(set.Members, func(m member) bool { return slices.Contains(volumes, m.VolumeID) })
		if (!byVolume || has) && (!byID || set.GroupSnapshotID == id) {
			sets = append(sets, set)
		}
	}
	return map[string]any{"groupSnapshots": sets}, nil
}

// deleteGroupSnapshot leaves the members as snapshots with saveMembers. The name
// of the error for one that there is not is the simulator's choice.
func deleteGroupSnapshot(c *call) (any, *Error) {
	id := c.needInteger("groupSnapshotID")
	save, _ := c.flag("saveMembers")
	if c.err != nil {
		return nil, c.err
	}
	set := c.state.Sets[id]
	if set == nil {
		return nil, refuse(snapshotIDDoesNotExist, "GroupSnapshotID %d does not exist.", id)
	}
	delete(c.state.Sets, id)
	var gone []string
	for _, m := range set.Members {
		if !save {
			delete(c.state.Snapshots, m.SnapshotID)
			gone = append(gone, snapshotData(m.SnapshotID))
		} else if s := c.state.Snapshots[m.SnapshotID]; s != nil {
			alone := *s
			alone.GroupID, alone.GroupSnapshotUUID = 0, ""
			c.state.Snapshots[m.SnapshotID] = &alone
		}
	}
	if refused := c.data(c.options.Data.Delete(c.ctx, gone...)); refused != nil {
		return nil, refused
	}
	return emptyObject, nil
}
