// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"

	"github.com/gocinder/cinderlib/drivers"
)

// Stats makes one request.
func (d *Driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	var found struct {
		Capacity capacity `json:"clusterCapacity"`
	}
	if err := d.call(ctx, getClusterCapacity, params{}, &found); err != nil {
		return nil, d.failed("statistics of", d.o.Address, err)
	}
	c := &found.Capacity
	total, thin := c.MaxProvisioned, false
	if d.o.Calculation == "usedSpace" {
		total, thin = c.MaxUsed, true
	}
	compression, deduplication, thinness := c.efficiency()
	return &drivers.Stats{
		BackendName: d.env.Backend, VendorName: "SolidFire Inc", DriverVersion: Version, StorageProtocol: "iSCSI",
		Pools: []drivers.PoolStats{{
			Name: d.env.Backend, Total: gib(total), Free: gib(max(0, total-c.Used)),
			Provisioned: gib(c.Provisioned), Allocated: gib(c.Used),
			ReservedPercentage: d.o.ReservedPercentage, MaxOverSubscription: d.ratio,
			ThinProvisioning: thin, ThickProvisioning: !thin, MultiAttach: true, QoS: true,
		}},
		Extra: map[string]any{
			"replication_enabled": false, "active_cluster_mvip": d.cluster.MVIP,
			"compression_percent": compression, "deduplication_percent": deduplication, "thin_provision_percent": thinness,
			"current_iops": c.CurrentIOPS, "average_iops": c.AverageIOPS, "max_iops": c.MaxIOPS, "peak_iops": c.PeakIOPS,
		},
	}, nil
}

// capacity is in bytes, and in blocks of 4 KiB.
type capacity struct {
	MaxProvisioned        float64 `json:"maxProvisionedSpace"`
	MaxUsed               float64 `json:"maxUsedSpace"`
	Used                  float64 `json:"usedSpace"`
	Provisioned           float64 `json:"provisionedSpace"`
	UniqueBlocks          float64 `json:"uniqueBlocks"`
	UniqueBlocksUsedSpace float64 `json:"uniqueBlocksUsedSpace"`
	NonZeroBlocks         float64 `json:"nonZeroBlocks"`
	ZeroBlocks            float64 `json:"zeroBlocks"`
	CurrentIOPS           int64   `json:"currentIOPS"`
	AverageIOPS           int64   `json:"averageIOPS"`
	MaxIOPS               int64   `json:"maxIOPS"`
	PeakIOPS              int64   `json:"peakIOPS"`
}

const block = 4096

// efficiency is in percent, 100 of what a cluster without data has.
func (c *capacity) efficiency() (compression, deduplication, thin float64) {
	if c.UniqueBlocks == 0 || c.UniqueBlocksUsedSpace == 0 || c.NonZeroBlocks == 0 || c.ZeroBlocks == 0 {
		return 100, 100, 100
	}
	return c.UniqueBlocks * block / c.UniqueBlocksUsedSpace * 100,
		c.NonZeroBlocks / c.UniqueBlocks * 100,
		(c.NonZeroBlocks + c.ZeroBlocks) / c.NonZeroBlocks * 100
}

func gib(bytes float64) drivers.Capacity { return drivers.Capacity(bytes / drivers.GiB) }
