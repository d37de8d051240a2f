// SPDX-License-Identifier: Apache-2.0

package rbd

import (
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
	var v, clone *drivers.Volume
	var s *drivers.Snapshot
	ctx := b.Context()
	ops := []struct {
		name    string
		before  func()
		driver  func() error
		program [][]string
	}{
		{
			"create", func() { v = &drivers.Volume{ID: uuid.NewString(), Size: 1} },
			func() error { _, err := d.CreateVolume(ctx, v); return err },
			[][]string{{"rbd", "create", "-s", "1G", name + "/bench"}},
		},
		{
			"snapshot", func() { s = &drivers.Snapshot{ID: uuid.NewString(), VolumeID: v.ID, VolumeSize: 1} },
			func() error { _, err := d.CreateSnapshot(ctx, s, v); return err },
			[][]string{{"rbd", "snap", "create", name + "/bench@s"}, {"rbd", "snap", "protect", name + "/bench@s"}},
		},
		{
			"clone", func() { clone = &drivers.Volume{ID: uuid.NewString(), Size: 1} },
			func() error { _, err := d.VolumeFromSnapshot(ctx, clone, s, v); return err },
			[][]string{{"rbd", "clone", name + "/bench@s", name + "/clone"}},
		},
		{
			"stats", func() {},
			func() error { _, err := d.Stats(ctx); return err },
			[][]string{{"ceph", "df", "-f", "json"}, {"ceph", "osd", "pool", "get-quota", name, "-f", "json"}},
		},
		{
			"delete a clone", func() {},
			func() error { return d.DeleteVolume(ctx, clone) },
			[][]string{{"rbd", "rm", "--no-progress", name + "/clone"}},
		},
		{
			"delete a snapshot", func() {},
			func() error { return d.DeleteSnapshot(ctx, s, v) },
			[][]string{{"rbd", "snap", "unprotect", name + "/bench@s"}, {"rbd", "snap", "rm", "--no-progress", name + "/bench@s"}},
		},
		{
			"delete", func() {},
			func() error { return d.DeleteVolume(ctx, v) },
			[][]string{{"rbd", "rm", "--no-progress", name + "/bench"}},
		},
	}
	ours, theirs := make([][]time.Duration, len(ops)), make([][]time.Duration, len(ops))
	round := func() {
		for i, op := range ops {
			op.before()
			start := time.Now()
			require.NoError(b, op.driver(), op.name)
			ours[i] = append(ours[i], time.Since(start))
			start = time.Now()
			for _, args := range op.program {
				require.NoError(b, program(args...), op.name)
			}
			theirs[i] = append(theirs[i], time.Since(start))
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
