// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// Stats makes one request.
func (d *Driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	c, err := d.read(ctx)
	if err != nil {
		return nil, d.failed("statistics of", d.o.Address, err)
	}
	protocol := "iSCSI"
	if d.protocol == connector.ProtocolFC {
		protocol = "FC"
	}
	s := &drivers.Stats{
		BackendName: d.env.Backend, VendorName: "Dell EMC", DriverVersion: Version, StorageProtocol: protocol,
		Pools: []drivers.PoolStats{{
			Name: d.env.Backend, Total: gib(c.Space), Free: gib(max(0, c.Space-c.Used)), Provisioned: gib(c.Provisioned), Allocated: gib(c.Used),
			ReservedPercentage: d.o.ReservedPercentage, MaxOverSubscription: d.ratio, ThinProvisioning: true, MultiAttach: true,
		}},
	}
	if d.version > 1 {
		s.Extra = map[string]any{"consistencygroup_support": true, "consistent_group_snapshot_enabled": true}
	}
	return s, nil
}

func gib(size number) drivers.Capacity { return drivers.Capacity(size) * kib / drivers.GiB }
