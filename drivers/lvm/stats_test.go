// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

// The numbers were worked out by hand.
func TestStats(t *testing.T) {
	t.Parallel()
	name, err := os.Hostname()
	require.NoError(t, err)

	t.Run("thick", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 2560, 2560) // 20 GiB
		d := r.open(thick(map[string]any{"reserved_percentage": 7, "max_over_subscription_ratio": "auto"}))
		v := r.created(d, 2)
		r.snapped(d, v)
		s, err := d.Stats(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "lvm", s.BackendName)
		assert.Equal(t, "Open Source", s.VendorName)
		assert.Equal(t, "3.0.0", s.DriverVersion)
		assert.Equal(t, "iSCSI", s.StorageProtocol)
		assert.False(t, s.SharedTargets)
		assert.False(t, s.SparseCopy)
		// 2 GiB are 512 extents; the snapshot has 4 of its own for what it writes
		// down: 524288 chunks, 2048 and 2 more, in extents of 1024 chunks.
		const used = (512 + 515) * 4.0 / 1024
		text, err := json.Marshal(s.Map()["pools"])
		require.NoError(t, err)
		want, err := json.Marshal([]map[string]any{{
			"pool_name": "lvm", "total_capacity_gb": 20, "free_capacity_gb": 20 - used, "provisioned_capacity_gb": used,
			"allocated_capacity_gb": used, "reserved_percentage": 7, "max_over_subscription_ratio": 20,
			"thin_provisioning_support": false, "thick_provisioning_support": true, "multiattach": true, "QoS_support": false,
			"total_volumes": 2, "location_info": "LVMVolumeDriver:" + name + ":cinder-volumes:default:0", "backend_state": "up",
		}})
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(text))
	})

	t.Run("mirrored", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 1024, 512, 512)
		d := r.open(thick(map[string]any{"lvm_mirrors": 1}))
		s, err := d.Stats(t.Context())
		require.NoError(t, err)
		p := s.Pools[0]
		assert.InDelta(t, 4, float64(p.Total), 0, "2048 extents of 4 MiB, twice")
		assert.InDelta(t, 4, float64(p.Free), 0)
		assert.InDelta(t, 0, float64(p.Provisioned), 0)
		assert.Contains(t, p.Extra["location_info"], ":default:1")
	})

	t.Run("thin", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 2560)
		r.foreign(poolName, 8<<30, poolLV)
		d := r.open(map[string]any{"max_over_subscription_ratio": "3.5"})
		v := r.created(d, 5)
		r.snapped(d, v)
		r.foreign("root", 1<<30, linear)
		r.data, r.meta = "12.50", "3.25"
		s, err := d.Stats(t.Context())
		require.NoError(t, err)
		assert.True(t, s.SparseCopy)
		p := s.Pools[0]
		assert.True(t, p.ThinProvisioning && !p.ThickProvisioning)
		assert.InDelta(t, 8, float64(p.Total), 0)
		assert.InDelta(t, 1, float64(p.Allocated), 0)
		assert.InDelta(t, 7, float64(p.Free), 0)
		assert.InDelta(t, 11, float64(p.Provisioned), 0, "all but the pool")
		assert.InDelta(t, 3.5, p.MaxOverSubscription, 0)
		assert.Equal(t, 4, p.TotalVolumes, "the pool counts, as in Cinder")
		assert.Equal(t, "up", p.Extra["backend_state"])
		assert.InDelta(t, 3.25, p.Extra["metadata_percent"], 0)
		assert.Contains(t, p.Extra["location_info"], ":thin:0")
	})
}

// A pool that takes nothing any more says so, and creates are refused.
func TestBrokenPool(t *testing.T) {
	t.Parallel()
	for health, data := range map[string]string{"D": "100.00", "F": "", "M": "20.00"} {
		r := newRig(t)
		d := r.open(thinly())
		v := r.created(d, 1)
		r.set(func() { r.health, r.data = health, data })
		s, err := d.Stats(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "down", s.Pools[0].Extra["backend_state"], health)
		assert.Zero(t, s.Pools[0].Free)
		assert.Positive(t, s.Pools[0].Total)
		if health == "D" {
			_, err = d.CreateVolume(t.Context(), volume(1))
			require.ErrorIs(t, err, drivers.ErrExhausted)
			_, err = d.CreateSnapshot(t.Context(), snapshotOf(v), v)
			require.ErrorIs(t, err, drivers.ErrExhausted)
			_, err = d.CloneVolume(t.Context(), volume(1), v)
			require.ErrorIs(t, err, drivers.ErrExhausted)
			assert.Equal(t, []string{v.NameOnArray()}, r.names())
		}
		require.NoError(t, d.DeleteVolume(t.Context(), v))
	}

	r := newRig(t)
	d := r.open(thinly())
	r.set(func() { r.remove(r.lvs[poolName]) })
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.True(t, s.Pools[0].Total.IsUnknown())
	assert.Equal(t, "down", s.Pools[0].Extra["backend_state"])
	_, err = d.CreateVolume(t.Context(), volume(1))
	require.Error(t, err)
	r.set(func() { r.missing = true })
	_, err = d.Stats(t.Context())
	require.ErrorIs(t, err, drivers.ErrUnavailable)
}
