// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

func (j *job) extend(ctx context.Context) (int64, error) {
	v := j.find()
	v.disks = slices.DeleteFunc(v.disks, func(d scsi.Disk) bool { return d.Name == "" })
	if len(v.disks) == 0 {
		return 0, connector.Errorf(connector.ErrNotFound, "iscsi: no disk of the volume is on this host")
	}
	if len(v.maps) > 1 {
		return 0, connector.Errorf(connector.ErrWrongDevice, "the volume has two maps, %s and %s", v.maps[0].Name, v.maps[1].Name)
	}
	size, err := j.grown(ctx, v.disks)
	if err != nil || len(v.maps) == 0 {
		return size, err
	}
	return j.resize(ctx, v.maps[0], size)
}

// grown has the kernel ask the disks for their size, until all have the same, and
// the one asked for.
func (j *job) grown(ctx context.Context, disks []scsi.Disk) (int64, error) {
	var size int64
	var why error
	due := time.Now()
	_, err := poll.Until(ctx, j.limits.size, func() (bool, error) {
		if time.Now().Before(due) {
			return false, nil
		}
		due = time.Now().Add(firstRescan)
		if err := j.rescan(ctx, disks); err != nil {
			return false, err
		}
		size, why = j.common(disks)
		return why == nil, nil
	})
	if err == nil {
		err = why
	}
	if err != nil {
		return 0, err
	}
	return size, nil
}

// rescan asks all disks at once.
func (j *job) rescan(ctx context.Context, disks []scsi.Disk) error {
	bounded, cancel := context.WithTimeout(ctx, j.limits.refresh)
	defer cancel()
	faults := make([]error, len(disks))
	var wg sync.WaitGroup
	for i, d := range disks {
		if state := d.State(j.host); state != "running" {
			return connector.Errorf(connector.ErrUnavailable, "%s is %s; all paths must work", d.Node(), naming(state))
		}
		wg.Go(func() {
			if err := d.Rescan(bounded, j.host); err != nil {
				faults[i] = connector.Errorf(connector.ErrUnavailable, "%s: all paths must work: %w", d.Node(), err)
			}
		})
	}
	wg.Wait()
	return fault.Join(faults...)
}

// common gives the size of the disks, and what is wrong with it.
func (j *job) common(disks []scsi.Disk) (int64, error) {
	size := scsi.Size(j.host, disks[0].Name)
	for _, d := range disks {
		has := scsi.Size(j.host, d.Name)
		if has < j.r.SizeBytes {
			return size, connector.Errorf(connector.ErrWrongDevice, "%s has %d bytes, and the volume %d", d.Node(), has, j.r.SizeBytes)
		}
		if has != size {
			return size, connector.Errorf(connector.ErrUnavailable, "%s has %d bytes, and %s %d", disks[0].Node(), size, d.Node(), has)
		}
	}
	return size, nil
}

// resize gives a map the size of its paths. multipathd may be busy with others.
func (j *job) resize(ctx context.Context, m *multipath.Map, size int64) (int64, error) {
	var last error
	done, err := poll.Until(ctx, j.limits.device, func() (bool, error) {
		if scsi.Size(j.host, m.DM) >= size {
			return true, nil
		}
		last = j.daemon.Resize(ctx, m.Name)
		if fault.CodeOf(last) == fault.FailedPrecondition {
			return false, last
		}
		return scsi.Size(j.host, m.DM) >= size, nil
	})
	if err == nil && !done {
		err = connector.Errorf(connector.ErrUnavailable, "map %s has %d bytes, and its paths %d: %w", m.Name, scsi.Size(j.host, m.DM), size, orNothing(last))
	}
	return scsi.Size(j.host, m.DM), err
}
