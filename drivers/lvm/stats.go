// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/gocinder/cinderlib/drivers"
)

// Stats asks LVM: two programs.
func (d *Driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	s, err := d.stats(ctx)
	return s, failed("statistics of volume group", d.group, err)
}

func (d *Driver) stats(ctx context.Context) (*drivers.Stats, error) {
	g, err := d.readGroup(ctx)
	if err != nil {
		return nil, err
	}
	list, err := d.volumes(ctx, "")
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	kind := "default"
	if d.thin() {
		kind = "thin"
	}
	p := drivers.PoolStats{
		Name: d.env.Backend, ReservedPercentage: d.o.ReservedPercentage, MaxOverSubscription: d.ratio,
		ThinProvisioning: d.thin(), ThickProvisioning: !d.thin(), MultiAttach: true,
		TotalVolumes: len(list), // as Cinder counts: snapshots and the pool among them
		Extra: map[string]any{
			"location_info": fmt.Sprintf("LVMVolumeDriver:%s:%s:%s:%d", host, d.group, kind, d.o.Mirrors),
			"backend_state": "up",
		},
	}
	if d.thin() {
		d.thinCapacity(&p, list)
	} else {
		thickCapacity(&p, g, d.o.Mirrors)
	}
	return &drivers.Stats{
		BackendName: d.env.Backend, VendorName: "Open Source", DriverVersion: Version, StorageProtocol: "iSCSI",
		SparseCopy: d.thin(), Pools: []drivers.PoolStats{p},
	}, nil
}

func gib(bytes float64) drivers.Capacity { return drivers.Capacity(bytes / drivers.GiB) }

// thinCapacity: volumes and snapshots may grow to their sizes, and occupy what
// the pool has of data. Without the pool nothing is free.
func (d *Driver) thinCapacity(p *drivers.PoolStats, list []lv) {
	var provisioned float64
	var pool *lv
	for i := range list {
		if list[i].name == d.pool {
			pool = &list[i]
			continue
		}
		provisioned += float64(list[i].size)
	}
	p.Provisioned = gib(provisioned)
	if pool == nil {
		p.Total, p.Extra["backend_state"] = drivers.Unknown, "down"
		return
	}
	size := float64(pool.size)
	p.Total = gib(size)
	p.Allocated = gib(size * pool.data / 100)
	p.Free = p.Total - p.Allocated
	p.Extra["data_percent"], p.Extra["metadata_percent"] = pool.data, pool.meta
	if pool.broken() != "" {
		p.Free, p.Extra["backend_state"] = 0, "down"
	}
}

// thickCapacity: what is not free is provisioned, and occupied.
func thickCapacity(p *drivers.PoolStats, g *group, mirrors int) {
	total, free := float64(g.size)/float64(mirrors+1), float64(g.free)
	if mirrors > 0 {
		free = float64(mirroredFree(g.devices, mirrors))
	}
	p.Total, p.Free = gib(total), gib(free)
	p.Provisioned = gib(total - free)
	p.Allocated = p.Provisioned
}

// mirroredFree is what can be had with a copy on each of some more devices, as
// Cinder reckons: the smallest device is used up against the largest.
func mirroredFree(devices []int64, mirrors int) int64 {
	free := slices.DeleteFunc(slices.Clone(devices), func(n int64) bool { return n <= 0 })
	var sum int64
	for len(free) > mirrors {
		slices.SortFunc(free, func(a, b int64) int { return int(max(-1, min(1, b-a))) })
		last := len(free) - 1
		n := free[last]
		free = free[:last]
		for i := range mirrors {
			free[i] -= n
		}
		sum += n
	}
	return sum
}
