// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/fault"
)

// small gives d a file system of that many GiB.
func small(d *Driver, total, free float64) *Driver {
	d.space = func(string) (space, error) {
		return space{total: total * drivers.GiB, free: free * drivers.GiB}, nil
	}
	return d
}

func TestOverSubscription(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"max_over_subscription_ratio": "1.5"}), 10, 10)
	v, s := volume(t, 5), volume(t, 5)
	create(t, d, v)
	create(t, d, s)
	_, err := d.CreateVolume(t.Context(), volume(t, 6))
	require.ErrorIs(t, err, drivers.ErrExhausted)
	for _, figure := range []string{"6.00 GiB are needed", "only 5.00 GiB are left", "10.00 GiB × 1.5", "less 10.00 GiB"} {
		assert.ErrorContains(t, err, figure)
	}
	requireCode(t, fault.ResourceExhausted, d.ExtendVolume(t.Context(), v, 11))
	_, err = d.CloneVolume(t.Context(), volume(t, 6), v)
	requireCode(t, fault.ResourceExhausted, err)
	snap := snapshot(v)
	_, err = d.CreateSnapshot(t.Context(), snap, v)
	require.NoError(t, err)
	_, err = d.CreateSnapshot(t.Context(), snapshot(v), v)
	requireCode(t, fault.ResourceExhausted, err)
	_, err = d.VolumeFromSnapshot(t.Context(), volume(t, 5), snap, v)
	requireCode(t, fault.ResourceExhausted, err)
	assert.Len(t, objects(t, d.dir), 3, "nothing is left of what was refused")

	// What is there stays possible, and what goes makes room.
	create(t, d, v)
	_, err = d.CreateSnapshot(t.Context(), snap, v)
	require.NoError(t, err)
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, snap))
	require.NoError(t, d.DeleteVolume(t.Context(), s))
	require.NoError(t, d.ExtendVolume(t.Context(), v, 10))
	_, err = d.CreateVolume(t.Context(), volume(t, 1))
	requireCode(t, fault.ResourceExhausted, err)
}

func TestReserved(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), map[string]any{"reserved_percentage": 20})
	v := volume(t, 1)
	create(t, small(d, 10, 2.1), v)
	for _, free := range []float64{2, 0.5, 0} {
		small(d, 10, free)
		_, err := d.CreateVolume(t.Context(), volume(t, 1))
		require.ErrorIs(t, err, drivers.ErrExhausted)
		assert.ErrorContains(t, err, fmt.Sprintf("%.2f GiB of 10.00 GiB free, and 2.00 GiB are reserved", free))
		requireCode(t, fault.ResourceExhausted, d.ExtendVolume(t.Context(), v, 2))
	}
	full := small(newDriver(t, t.TempDir(), nil), 10, 0)
	_, err := full.CreateVolume(t.Context(), volume(t, 1))
	requireCode(t, fault.ResourceExhausted, err)
}

// A copy takes room at once: it is refused before it fills the disk.
func TestCopyNeedsRoom(t *testing.T) {
	t.Parallel()
	d := withoutReflinks(newDriver(t, t.TempDir(), map[string]any{"reserved_percentage": 10}))
	v := volume(t, 1)
	create(t, d, v)
	write(t, d, v.NameOnArray(), 64<<20)
	small(d, 0.3, 0.03+0.05)
	_, err := d.CloneVolume(t.Context(), volume(t, 1), v)
	require.ErrorIs(t, err, drivers.ErrExhausted)
	assert.ErrorContains(t, err, "0.06 GiB are needed")
	assert.ErrorContains(t, err, "only 0.05 GiB free that are not reserved")
	_, err = small(d, 0.3, 0.03+0.07).CloneVolume(t.Context(), volume(t, 1), v)
	require.NoError(t, err)
}

func TestUnlimited(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), nil), 0, 0) // a tmpfs without a size
	create(t, d, volume(t, 1000))
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.True(t, math.IsInf(float64(s.Pools[0].Total), 1))
	assert.True(t, math.IsInf(float64(s.Pools[0].Free), 1))
}

func TestSpaceFails(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	broken := errors.New("the disk is away")
	d.space = func(string) (space, error) { return space{}, broken }
	_, err := d.CreateVolume(t.Context(), volume(t, 1))
	require.ErrorIs(t, err, broken)
	_, err = d.Stats(t.Context())
	require.ErrorIs(t, err, broken)
	assert.Empty(t, objects(t, d.dir))
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"reserved_percentage": 7, "max_over_subscription_ratio": "auto"}), 10.006, 5.004)
	v := volume(t, 3)
	create(t, d, v)
	create(t, d, volume(t, 2))
	write(t, d, v.NameOnArray(), 16<<20)
	withoutReflinks(d)
	_, err := d.CreateSnapshot(t.Context(), snapshot(v), v)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.path("foreign"), make([]byte, 1<<20), 0o600))
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "cinderlib", s.VendorName)
	assert.Equal(t, Version, s.DriverVersion)
	assert.Equal(t, "local", s.StorageProtocol)
	assert.Equal(t, "files", s.BackendName)
	assert.Equal(t, []drivers.PoolStats{{
		Name: "files", Total: 10.01, Free: 5, Provisioned: 8, Allocated: 0.03,
		ReservedPercentage: 7, MaxOverSubscription: 20, ThinProvisioning: true, MultiAttach: true, TotalVolumes: 2,
	}}, s.Pools)
}

// In the common case a volume is made without the directory being read: here the
// bound is made too low, and is believed.
func TestBoundSparesTheDirectory(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"max_over_subscription_ratio": "2"}), 10, 10)
	create(t, d, volume(t, 15))
	require.NoError(t, d.writeBound(0))
	create(t, d, volume(t, 15))
	bound, known := d.readBound()
	assert.True(t, known)
	assert.Equal(t, int64(15*drivers.GiB), bound)
	_, err := d.Stats(t.Context()) // which puts it right
	require.NoError(t, err)
	bound, _ = d.readBound()
	assert.Equal(t, int64(30*drivers.GiB), bound)
}

// A bound that says less than the truth would let too much through; one that
// says more is put right when it matters.
func TestBoundIsNeverTooLow(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"max_over_subscription_ratio": "2"}), 10, 10)
	v := volume(t, 5)
	create(t, d, v)
	for name, damage := range map[string]func(t *testing.T){
		"missing":    func(t *testing.T) { require.NoError(t, os.Remove(d.path(boundName))) },
		"empty":      func(t *testing.T) { require.NoError(t, os.Truncate(d.path(boundName), 0)) },
		"longer":     func(t *testing.T) { overwrite(t, d, fmt.Sprintf(boundFormat, d.boot, 0)+"more") },
		"negative":   func(t *testing.T) { overwrite(t, d, fmt.Sprintf(boundFormat, d.boot, -drivers.GiB)) },
		"other boot": func(t *testing.T) { overwrite(t, d, fmt.Sprintf(boundFormat, "another", 0)) },
		"nonsense":   func(t *testing.T) { overwrite(t, d, "\x00\x00\x00") },
		"too high":   func(t *testing.T) { require.NoError(t, d.writeBound(math.MaxInt64)) },
		"cut off":    func(t *testing.T) { require.NoError(t, d.writeBound(20*drivers.GiB)) },
	} {
		damage(t)
		w := volume(t, 10)
		create(t, d, w)
		_, err := d.CreateVolume(t.Context(), volume(t, 6))
		require.ErrorIs(t, err, drivers.ErrExhausted, name)
		require.NoError(t, d.DeleteVolume(t.Context(), w))
		bound, known := d.readBound()
		assert.True(t, known, name)
		assert.GreaterOrEqual(t, bound, int64(5*drivers.GiB), name)
	}
	d.boot = "" // a host that does not tell its boots
	create(t, d, volume(t, 10))
	_, err := d.CreateVolume(t.Context(), volume(t, 6))
	requireCode(t, fault.ResourceExhausted, err)
}

func overwrite(t *testing.T, d *Driver, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.path(boundName), []byte(text), 0o600))
}

// Where the bound cannot be written it must not be believed.
func TestBoundThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	d := small(newDriver(t, t.TempDir(), map[string]any{"max_over_subscription_ratio": "2"}), 10, 10)
	require.NoError(t, os.Symlink("/dev/full", d.path(boundName)))
	create(t, d, volume(t, 15))
	_, err := d.CreateVolume(t.Context(), volume(t, 6))
	requireCode(t, fault.ResourceExhausted, err)
}

// Processes that share a directory share its capacity to the last GiB.
func TestCapacityIsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := driverstest.Env(t, "files")
	var mu sync.Mutex
	var made int
	var all sync.WaitGroup
	for range 4 {
		d, err := openIn(t, env, dir, map[string]any{"max_over_subscription_ratio": "2"})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, d.Close()) })
		small(d, 10, 10)
		all.Go(func() {
			for i := range 10 {
				v := volume(t, 1)
				_, err := d.CreateVolume(t.Context(), v)
				if err == nil && i%3 == 0 {
					assert.NoError(t, d.DeleteVolume(t.Context(), v))
					continue
				}
				if err != nil {
					assert.ErrorIs(t, err, drivers.ErrExhausted)
					continue
				}
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	assert.Len(t, objects(t, dir), made)
	assert.LessOrEqual(t, made, 20)
	d := small(newDriver(t, dir, map[string]any{"max_over_subscription_ratio": "2"}), 10, 10)
	for ; made < 20; made++ {
		create(t, d, volume(t, 1))
	}
	_, err := d.CreateVolume(t.Context(), volume(t, 1))
	requireCode(t, fault.ResourceExhausted, err)
}

func TestSum(t *testing.T) {
	t.Parallel()
	assert.Equal(t, int64(3), sum(1, 2))
	assert.Equal(t, int64(math.MaxInt64), sum(math.MaxInt64, 1))
	assert.Equal(t, int64(math.MaxInt64), sum(math.MaxInt64-5, math.MaxInt64-5))
}
