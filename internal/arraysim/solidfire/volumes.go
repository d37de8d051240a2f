// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// blockSize is that of all volumes in the interface, in bytes. Initiators see
// blocks of 512 with enable512e.
const blockSize = 4096

// purgeAfter is how long a deleted volume is kept on a real cluster. Here it stays
// until PurgeDeletedVolume.
const purgeAfter = 8 * time.Hour

// accesses are what ModifyVolume knows.
var accesses = []string{accessReadWrite, accessReadOnly, accessLocked, accessTarget}

const (
	accessReadWrite = "readWrite"
	accessReadOnly  = "readOnly"
	accessLocked    = "locked"
	accessTarget    = "replicationTarget"
)

func createVolume(c *call) (any, *Error) {
	limits := &c.options.Limits
	c.need("name")
	name, _ := c.bounded("name", 1, limits.VolumeName)
	owner := c.needInteger("accountID")
	c.need("totalSize")
	bytes, _ := c.bytes("totalSize")
	emulate, _ := c.flag("enable512e")
	access, given := c.choice("access", accesses...)
	attributes, described := c.attributes(limits.Attributes)
	q := c.qos(defaultQoS)
	if c.err != nil {
		return nil, c.err
	}
	if !given {
		access = accessReadWrite
	}
	if !described {
		attributes = emptyObject
	}
	v := volume{
		Name: name, AccountID: owner, Access: access, Enable512e: emulate,
		TotalSize: bytes, QoS: q, Attributes: attributes,
	}
	if refused := c.admit(&v); refused != nil {
		return nil, refused
	}
	if refused := c.data(c.options.Data.Create(c.ctx, v.data()), v.data().ID); refused != nil {
		return nil, refused
	}
	return c.made(&v, map[string]any{}), nil
}

// bytes reads a size, and gives it rounded up.
func (c *call) bytes(name string) (int64, bool) {
	n, ok := c.integer(name)
	if !ok {
		return 0, false
	}
	least, most := c.options.Limits.VolumeSizeMin, c.options.Limits.VolumeSizeMax
	if n < least || n > most {
		c.fail(refuse(invalidParameter, "%s: %d is not in the range [%d, %d]", name, n, least, most))
		return 0, false
	}
	unit := c.options.SizeUnit
	return (n + unit - 1) / unit * unit, true
}

// admit gives a new volume its identifiers, if there is room for it.
func (c *call) admit(v *volume) *Error {
	if _, refused := c.state.account(v.AccountID); refused != nil {
		return refused
	}
	owned := 0
	for _, other := range c.state.Volumes {
		if other.AccountID == v.AccountID {
			owned++
		}
	}
	if limits := &c.options.Limits; owned >= limits.VolumesPerAccount {
		return refuse(exceededLimit, "Exceeded maximum number of volumes per account: %d", limits.VolumesPerAccount)
	} else if len(c.state.Volumes) >= limits.Volumes {
		return refuse(exceededLimit, "Exceeded maximum number of volumes: %d", limits.Volumes)
	}
	if refused := c.room(v.TotalSize); refused != nil {
		return refused
	}
	v.VolumeID = next(&c.state.Last.Volume)
	v.Status, v.BlockSize, v.SliceCount = statusActive, blockSize, 1
	v.VolumePairs = []any{}
	v.CreateTime = timestamp(c.now)
	v.SimCreating, v.SimUncloned = c.options.CreatingReads, c.options.FirstCloneError != ""
	v.IQN = c.options.iqn(v.Name, v.VolumeID)
	cluster := hex.EncodeToString([]byte(c.options.UniqueID))
	v.ScsiNAADeviceID = fmt.Sprintf("6f47acc100000000%s%08x", cluster, v.VolumeID)
	v.ScsiEUIDeviceID = fmt.Sprintf("%s%08xf47acc0100000000", cluster, v.VolumeID)
	return nil
}

func (o *Options) iqn(name string, id int64) string {
	if !o.KeepCase {
		name = strings.ToLower(name)
	}
	return fmt.Sprintf("iqn.2010-01.com.solidfire:%s.%s.%d", o.UniqueID, name, id)
}

// made puts a new volume into the state, and into the answer.
func (c *call) made(v *volume, result map[string]any) map[string]any {
	c.state.Volumes[v.VolumeID] = v
	c.touched[v.VolumeID] = true
	result["volumeID"] = v.VolumeID
	if !c.options.BareAnswers {
		result["volume"], result["curve"] = c.state.showVolume(*v), curve
	}
	return result
}

// data turns an error of the data plane into one of the interface. If there is
// none, the volumes made are taken away should a later step fail.
func (c *call) data(err error, made ...string) *Error {
	if err != nil {
		return refuse(internalError, "data plane: %v", err)
	}
	if len(made) > 0 {
		c.undo = append(c.undo, func() error { return c.options.Data.Delete(c.ctx, made...) })
	}
	return nil
}

// data describes a volume to the data plane.
func (v *volume) data() arraysim.Volume {
	block := blockSize
	if v.Enable512e {
		block = 512
	}
	return arraysim.Volume{ID: volumeData(v.VolumeID), Bytes: v.TotalSize, BlockSize: block}
}

func volumeData(id int64) string { return fmt.Sprintf("volume-%d", id) }

// modifyVolume cannot change a name. attributes are replaced as a whole.
func modifyVolume(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	owner, moved := c.integer("accountID")
	bytes, sized := c.bytes("totalSize")
	access, changed := c.choice("access", accesses...)
	attributes, described := c.attributes(c.options.Limits.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	v, refused := c.state.volume(id)
	if refused != nil {
		return nil, refused
	}
	v.QoS = c.qos(v.QoS)
	if c.err != nil {
		return nil, c.err
	}
	if moved {
		if refused := c.move(&v, owner); refused != nil {
			return nil, refused
		}
	}
	if changed {
		v.Access = access
	}
	if described {
		v.Attributes = attributes
	}
	if sized {
		if refused := c.grow(&v, bytes); refused != nil {
			return nil, refused
		}
	}
	c.state.Volumes[id] = &v
	c.touched[id] = true
	return map[string]any{"volume": c.state.showVolume(v), "curve": curve}, nil
}

func (c *call) move(v *volume, owner int64) *Error {
	a, refused := c.state.account(owner)
	if refused != nil || owner == v.AccountID {
		return refused
	}
	if most := c.options.Limits.VolumesPerAccount; len(c.state.showAccount(a).Volumes) >= most {
		return refuse(exceededLimit, "Exceeded maximum number of volumes per account: %d", most)
	}
	v.AccountID = owner
	return nil
}

func (c *call) grow(v *volume, bytes int64) *Error {
	old := v.TotalSize
	switch {
	case bytes < old:
		return refuse("xVolumeShrinkProhibited", "Lowering a volume size is not allowed.")
	case bytes == old:
		return nil
	}
	if refused := c.room(bytes - old); refused != nil {
		return refused
	}
	v.TotalSize = bytes
	id := volumeData(v.VolumeID)
	if refused := c.data(c.options.Data.Resize(c.ctx, id, bytes)); refused != nil {
		return refused
	}
	c.undo = append(c.undo, func() error { return c.options.Data.Resize(c.ctx, id, old) })
	return nil
}

// deleteVolume keeps volume and snapshots until the purge.
func deleteVolume(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	if c.err != nil {
		return nil, c.err
	}
	v, refused := c.state.volume(id)
	if refused != nil {
		return nil, refused
	}
	v.Status = statusDeleted
	v.DeleteTime, v.PurgeTime = timestamp(c.now), timestamp(c.now.Add(purgeAfter))
	c.state.Volumes[id] = &v
	c.touched[id] = true
	c.state.regroup(id, func(g *accessGroup) {
		g.Volumes, g.DeletedVolumes = without(g.Volumes, id), with(g.DeletedVolumes, id)
	})
	if c.options.BareAnswers {
		return emptyObject, nil
	}
	return map[string]any{"volume": c.state.showVolume(v)}, nil
}

// purgeDeletedVolume takes the snapshots along.
func purgeDeletedVolume(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	if c.err != nil {
		return nil, c.err
	}
	if v := c.state.Volumes[id]; v == nil || v.Status != statusDeleted {
		return nil, noVolume(id)
	}
	gone := []string{volumeData(id)}
	for _, s := range ordered(c.state.Snapshots) {
		if s.VolumeID == id {
			gone = append(gone, snapshotData(s.SnapshotID))
			c.state.dropSnapshot(s)
		}
	}
	delete(c.state.Volumes, id)
	c.state.regroup(id, func(g *accessGroup) { g.DeletedVolumes = without(g.DeletedVolumes, id) })
	if refused := c.data(c.options.Data.Delete(c.ctx, gone...)); refused != nil {
		return nil, refused
	}
	return emptyObject, nil
}

// removeVolumePair refuses, as no volume is ever paired.
func removeVolumePair(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	if c.err != nil {
		return nil, c.err
	}
	if _, refused := c.state.volume(id); refused != nil {
		return nil, refused
	}
	return nil, refuse("xVolumeNotPaired", "VolumeID %d is not paired.", id)
}
