// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// Capacity is an amount in GiB. Infinite and Unknown are written as Cinder
// writes them, as the texts "infinite" and "unknown".
type Capacity float64

// The capacities that are no number.
var (
	Infinite = Capacity(math.Inf(1))
	Unknown  = Capacity(math.NaN())
)

// IsUnknown tells whether c is Unknown, which no comparison finds.
func (c Capacity) IsUnknown() bool { return math.IsNaN(float64(c)) }

func (c Capacity) value() any {
	switch {
	case c.IsUnknown():
		return "unknown"
	case math.IsInf(float64(c), 0):
		return "infinite"
	}
	return float64(c)
}

// MarshalJSON writes a number, "infinite" or "unknown".
func (c Capacity) MarshalJSON() ([]byte, error) { return json.Marshal(c.value()) }

// Stats is an array's report of itself.
type Stats struct {
	BackendName     string
	VendorName      string
	DriverVersion   string
	StorageProtocol string
	SharedTargets   bool
	SparseCopy      bool
	Pools           []PoolStats
	// Extra holds what the vendor reports beyond these, under Cinder's names.
	Extra map[string]any
}

// PoolStats is the part of one pool.
type PoolStats struct {
	Name                string
	Total               Capacity
	Free                Capacity
	Provisioned         Capacity // what the volumes may grow to
	Allocated           Capacity // what the volumes occupy
	ReservedPercentage  int
	MaxOverSubscription float64
	ThinProvisioning    bool
	ThickProvisioning   bool
	MultiAttach         bool
	QoS                 bool
	TotalVolumes        int
	Extra               map[string]any
}

// Clone returns a deep copy.
func (s *Stats) Clone() *Stats {
	c := *s
	c.Extra = maps.Clone(s.Extra)
	c.Pools = slices.Clone(s.Pools)
	for i := range c.Pools {
		c.Pools[i].Extra = maps.Clone(s.Pools[i].Extra)
	}
	return &c
}

// Map gives the report under Cinder's names.
func (s *Stats) Map() map[string]any {
	m := map[string]any{}
	maps.Copy(m, s.Extra)
	m["volume_backend_name"] = s.BackendName
	m["vendor_name"] = s.VendorName
	m["driver_version"] = s.DriverVersion
	m["storage_protocol"] = s.StorageProtocol
	m["shared_targets"] = s.SharedTargets
	m["sparse_copy_volume"] = s.SparseCopy
	pools := make([]map[string]any, len(s.Pools))
	for i := range s.Pools {
		pools[i] = s.Pools[i].Map()
	}
	m["pools"] = pools
	return m
}

// Map gives the pool under Cinder's names.
func (p *PoolStats) Map() map[string]any {
	m := map[string]any{}
	maps.Copy(m, p.Extra)
	m["pool_name"] = p.Name
	m["total_capacity_gb"] = p.Total.value()
	m["free_capacity_gb"] = p.Free.value()
	m["provisioned_capacity_gb"] = p.Provisioned.value()
	m["allocated_capacity_gb"] = p.Allocated.value()
	m["reserved_percentage"] = p.ReservedPercentage
	m["max_over_subscription_ratio"] = p.MaxOverSubscription
	m["thin_provisioning_support"] = p.ThinProvisioning
	m["thick_provisioning_support"] = p.ThickProvisioning
	m["multiattach"] = p.MultiAttach
	m["QoS_support"] = p.QoS
	m["total_volumes"] = p.TotalVolumes
	return m
}
