// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

func testStats(t *testing.T, b *backend) {
	stats, err := b.RefreshStats(t.Context())
	require.NoError(t, err)
	report := stats.Map()
	assert.NotEmpty(t, report["vendor_name"])
	assert.Equal(t, b.ID(), report["volume_backend_name"])
	require.NotEmpty(t, stats.Pools)
	var names []string
	for _, pool := range stats.Pools {
		names = append(names, pool.Name)
		m := pool.Map()
		assert.Contains(t, m, "free_capacity_gb")
		assert.Contains(t, m, "total_capacity_gb")
	}
	assert.Equal(t, b.PoolNames(), names)
}

// totals are the figures of all pools together.
type totals struct {
	volumes                int
	provisioned, allocated float64
}

func totalsOf(stats *drivers.Stats) totals {
	var sum totals
	for _, p := range stats.Pools {
		sum.volumes += p.TotalVolumes
		if known(p.Provisioned) {
			sum.provisioned += float64(p.Provisioned)
		}
		if known(p.Allocated) {
			sum.allocated += float64(p.Allocated)
		}
	}
	return sum
}

func known(c drivers.Capacity) bool { return !c.IsUnknown() && !math.IsInf(float64(c), 0) }

func testStatsWithCreation(t *testing.T, b *backend) {
	before, err := b.RefreshStats(t.Context())
	require.NoError(t, err)
	size := 1 + rand.IntN(5)
	b.createVolume(t, size)
	assert.Equal(t, before.Map(), b.Stats().Map(), "nobody has refreshed them")

	after, err := b.RefreshStats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, after.Map(), b.Stats().Map())
	x, y := totalsOf(before), totalsOf(after)
	assert.NotEqual(t, x, y, "the array does not count the volume")
	if y.volumes > 0 { // not every array reports it
		assert.Equal(t, x.volumes+1, y.volumes)
	}
	// What the volumes may grow to has grown by the size; where the array does
	// not report that, what was allocated. Reports are rounded, to hundredths at
	// the most.
	tolerance := max(0.011, 0.5*math.Pow10(-b.suite.precision)*min(1, float64(b.suite.precision)))
	if y.provisioned > 0 {
		assert.InDelta(t, float64(size), y.provisioned-x.provisioned, tolerance, "provisioned")
	} else if y.allocated > 0 {
		assert.InDelta(t, float64(size), y.allocated-x.allocated, tolerance, "allocated")
	}
}
