// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
)

// TestCounts counts the programs that each operation runs, and tells what time
// the library itself takes beside them.
func TestCounts(t *testing.T) {
	for _, paths := range []int{1, 2} {
		w := newWorld(t, paths > 1)
		ctx := t.Context()
		var v, clone *cinderlib.Volume
		var snap *cinderlib.Snapshot
		var c *cinderlib.Connection
		for _, op := range []struct {
			name         string
			most, python int // programs
			run          func() error
		}{
			{"create", 1, 1, func() (err error) { v, err = w.b.CreateVolume(ctx, 1); return err }},
			{"snapshot", 1, 2, func() (err error) { snap, err = v.CreateSnapshot(ctx); return err }},
			{"clone", 1, 4, func() (err error) { clone, err = v.Clone(ctx); return err }},
			{"delete the clone", 2, 3, func() error { return clone.Delete(ctx) }},
			{"delete the snapshot", 2, 3, func() error { return snap.Delete(ctx) }},
			{"statistics", 2, 4, func() error { _, err := w.b.RefreshStats(ctx); return err }},
			{"connect (export)", 0, 6, func() error {
				host, err := w.lib.HostProperties(ctx, connector.PropertiesOptions{Multipath: paths > 1})
				if err == nil {
					c, err = v.Connect(ctx, host)
				}
				return err
			}},
			{"attach", 3 * paths, 11*paths + 2, func() error { return c.Attach(ctx) }},
			{"extend attached", 2, 2 + 5*paths, func() error { _, err := v.Extend(ctx, 2); return err }},
			{"detach", 2 * paths, 5 + 4*paths, func() error { return c.Detach(ctx) }},
			{"disconnect (unexport)", 0, 5, func() error { return c.Disconnect(ctx) }},
			{"delete", 2, 3, func() error { return v.Delete(ctx) }},
		} {
			w.steps.reset()
			start := time.Now()
			err := op.run()
			took := time.Since(start)
			require.NoError(t, err, op.name)
			_, programs, writes, spent := w.steps.counted()
			assert.LessOrEqual(t, len(programs), op.most, "%s: %v", op.name, programs)
			t.Logf("%d path(s), %-22s %d programs (at most %d, Python %d), %2d writes, %4d ms, of them %4d ms in these: %s",
				paths, op.name, len(programs), op.most, op.python, writes, took.Milliseconds(), spent.Milliseconds(), strings.Join(programs, ", "))
		}
	}
}
