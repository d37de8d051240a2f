// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
)

// BenchmarkBesideProgram does each operation in turn with the driver and with the
// programs rbd and ceph, and tells how many times as long those take.
func BenchmarkBesideProgram(b *testing.B) {
	c := admin(b)
	name := newPool(b, c)
	d, err := openWith(b.Context(), driverstest.Env(b, "rbd"), options(b, name, nil), dialReal)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	program := func(args ...string) error {
		return exec.CommandContext(b.Context(), args[0], append([]string{"-n", "client.admin", "-c", confFile()}, args[1:]...)...).Run()
	}
	const n = 10 // of each in turn: a deletion keeps the cluster busy for a while
	var volumes, clones [n]*drivers.Volume
	var snapshots [n]*drivers.Snapshot
	ctx := b.Context()
	bench := func(k int) string { return fmt.Sprintf("%s/bench-%d", name, k) }
	ops := []struct {
		name    string
		driver  func(k int) error
		program func(k int) [][]string
	}{
		{
			"create",
			func(k int) error {
				volumes[k] = &drivers.Volume{ID: uuid.NewString(), Size: 1}
				_, err := d.CreateVolume(ctx, volumes[k])
				return err
			},
			func(k int) [][]string { return [][]string{{"rbd", "create", "-s", "1G", bench(k)}} },
		},
		{
			"snapshot",
			func(k int) error {
				snapshots[k] = &drivers.Snapshot{ID: uuid.NewString(), VolumeID: volumes[k].ID, VolumeSize: 1}
				_, err := d.CreateSnapshot(ctx, snapshots[k], volumes[k])
				return err
			},
			func(k int) [][]string {
				return [][]string{{"rbd", "snap", "create", bench(k) + "@s"}, {"rbd", "snap", "protect", bench(k) + "@s"}}
			},
		},
		{
			"clone",
			func(k int) error {
				clones[k] = &drivers.Volume{ID: uuid.NewString(), Size: 1}
				_, err := d.VolumeFromSnapshot(ctx, clones[k], snapshots[k], volumes[k])
				return err
			},
			func(k int) [][]string { return [][]string{{"rbd", "clone", bench(k) + "@s", bench(k) + "-clone"}} },
		},
		{
			"stats",
			func(int) error { _, err := d.Stats(ctx); return err },
			func(int) [][]string {
				return [][]string{{"ceph", "df", "-f", "json"}, {"ceph", "osd", "pool", "get-quota", name, "-f", "json"}}
			},
		},
		{
			"delete a clone",
			func(k int) error { return d.DeleteVolume(ctx, clones[k]) },
			func(k int) [][]string { return [][]string{{"rbd", "rm", "--no-progress", bench(k) + "-clone"}} },
		},
		{
			"delete a snapshot",
			func(k int) error { return d.DeleteSnapshot(ctx, snapshots[k], volumes[k]) },
			func(k int) [][]string {
				return [][]string{{"rbd", "snap", "unprotect", bench(k) + "@s"}, {"rbd", "snap", "rm", "--no-progress", bench(k) + "@s"}}
			},
		},
		{
			"delete",
			func(k int) error { return d.DeleteVolume(ctx, volumes[k]) },
			func(k int) [][]string { return [][]string{{"rbd", "rm", "--no-progress", bench(k)}} },
		},
	}
	ours, theirs := make([][]time.Duration, len(ops)), make([][]time.Duration, len(ops))
	round := func() {
		for i, op := range ops {
			for k := range n {
				start := time.Now()
				require.NoError(b, op.driver(k), op.name)
				ours[i] = append(ours[i], time.Since(start))
			}
			for k := range n {
				start := time.Now()
				for _, args := range op.program(k) {
					require.NoError(b, program(args...), op.name)
				}
				theirs[i] = append(theirs[i], time.Since(start))
			}
		}
	}
	round() // a new pool makes its placement groups
	clear(ours)
	clear(theirs)
	for b.Loop() {
		round()
	}
	for i, op := range ops {
		mine, its := median(ours[i]), median(theirs[i])
		b.Logf("%-17s %6.1f a second, the program %5.1f: %5.1f times as many", op.name, 1/mine.Seconds(), 1/its.Seconds(), float64(its)/float64(mine))
	}
}

// median: what is much longer is the machine's.
func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}
