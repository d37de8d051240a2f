// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"github.com/gocinder/cinderlib/internal/arraysim"
)

// cloneVolume copies a volume or one of its snapshots. The copy is there at once,
// as a real cluster serves it while it copies; the job only takes its time.
func cloneVolume(c *call) (any, *Error) {
	limits := &c.options.Limits
	source := c.needInteger("volumeID")
	c.need("name")
	name, _ := c.bounded("name", 1, limits.VolumeName)
	from, ofSnapshot := c.integer("snapshotID")
	owner, owned := c.integer("newAccountID")
	bytes, sized := c.bytes("newSize")
	access, restricted := c.choice("access", accesses...)
	emulate, emulated := c.flag("enable512e")
	attributes, described := c.attributes(limits.Attributes)
	if c.err != nil {
		return nil, c.err
	}
	old, refused := c.source(source)
	if refused != nil {
		return nil, refused
	}
	v := volume{
		Name: name, AccountID: old.AccountID, Access: accessReadWrite, Enable512e: old.Enable512e,
		TotalSize: old.TotalSize, QoS: old.QoS, Attributes: old.Attributes,
	}
	copied := arraysim.Copy{From: volumeData(source)}
	if ofSnapshot {
		s := c.state.Snapshots[from]
		if s == nil || s.VolumeID != source {
			return nil, noSnapshot(from)
		}
		v.TotalSize, copied.From = s.TotalSize, snapshotData(from)
	}
	if owned {
		v.AccountID = owner
	}
	if sized {
		v.TotalSize = bytes
	}
	if restricted {
		v.Access = access
	}
	if emulated {
		v.Enable512e = emulate
	}
	if described {
		v.Attributes = attributes
	}
	if refused := c.admit(&v); refused != nil {
		return nil, refused
	}
	v.SimHidden = c.options.CloneHidden
	copied.To = v.data()
	if refused := c.data(c.options.Data.Copy(c.ctx, copied), copied.To.ID); refused != nil {
		return nil, refused
	}
	job := c.startJob(source, v.VolumeID)
	return c.made(&v, map[string]any{"cloneID": job.CloneID, "asyncHandle": job.AsyncHandle}), nil
}

// source gives a volume that can be cloned now. What refuses it once only is
// counted off in the record itself, as a refused request keeps no state.
func (c *call) source(id int64) (volume, *Error) {
	v, refused := c.state.volume(id)
	if refused != nil {
		return v, refused
	}
	if refused := c.ready(id); refused != nil {
		return v, refused
	}
	if v.SimUncloned {
		c.state.Volumes[id].SimUncloned = false
		return v, refuse(c.options.FirstCloneError, "VolumeID %d is not ready", id)
	}
	running := 0
	for _, job := range c.state.Jobs {
		if job.Source == id && c.now.Before(job.Ends) {
			running++
		}
	}
	if most := c.options.Limits.CloneJobsPerVolume; running >= most {
		return v, refuse("xMaxClonesPerVolumeExceeded", "Exceeded maximum number of clone jobs per volume: %d", most)
	}
	return v, nil
}

// ready refuses a volume that is being created, and counts as a look at it.
func (c *call) ready(id int64) *Error {
	if v := c.state.Volumes[id]; v.SimCreating > 0 {
		v.SimCreating--
		return refuse("xSliceNotRegistered", "VolumeID %d is being created", id)
	}
	return nil
}

func (c *call) startJob(source, clone int64) *cloneJob {
	duration := c.options.CloneTime
	if c.specially(SlowClone) {
		duration = c.special.Delay
	}
	job := &cloneJob{
		AsyncHandle: next(&c.state.Last.Handle), CloneID: next(&c.state.Last.Clone),
		VolumeID: clone, Source: source, Began: c.now, Ends: c.now.Add(duration),
	}
	c.state.Jobs[job.AsyncHandle] = job
	return job
}

// getAsyncResult forgets the handle of a job that is complete, without keepResult.
func getAsyncResult(c *call) (any, *Error) {
	handle := c.needInteger("asyncHandle")
	keep, _ := c.flag("keepResult")
	if c.err != nil {
		return nil, c.err
	}
	job := c.state.Jobs[handle]
	if job == nil || c.specially(LostHandle) {
		return nil, refuse(dbNoSuchPath, "asyncHandle %d does not exist", handle)
	}
	result := map[string]any{
		"resultType": "Clone", "createTime": timestamp(job.Began), "lastUpdateTime": timestamp(job.Began),
	}
	if c.now.Before(job.Ends) {
		result["status"] = "running"
		return result, nil
	}
	result["status"], result["lastUpdateTime"] = "complete", timestamp(job.Ends)
	result["result"] = map[string]any{"message": "Clone complete.", "volumeID": job.VolumeID, "cloneID": job.CloneID}
	if !keep {
		delete(c.state.Jobs, handle)
	}
	return result, nil
}
