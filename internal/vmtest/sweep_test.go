// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/libtest"
	"github.com/gocinder/cinderlib/internal/poll"
	"github.com/gocinder/cinderlib/persistence"
)

// verb is one thing done to the world's only volume. before brings the world to
// where it can be done.
type verb struct {
	name   string
	before func(ctx context.Context, w *world) error
	run    func(ctx context.Context, w *world) error
}

var verbs = []verb{
	{
		"create",
		func(ctx context.Context, w *world) error { return w.clear(ctx) },
		func(ctx context.Context, w *world) error { _, err := w.b.CreateVolume(ctx, 1); return err },
	},
	{
		"connect", haveVolume,
		func(ctx context.Context, w *world) error {
			v, err := w.volume(ctx)
			if err != nil {
				return err
			}
			host, err := w.lib.HostProperties(ctx, connector.PropertiesOptions{})
			if err == nil {
				_, err = v.Connect(ctx, host)
			}
			return err
		},
	},
	{
		"attach", haveVolume,
		func(ctx context.Context, w *world) error {
			v, err := w.volume(ctx)
			if err == nil {
				_, err = v.Attach(ctx)
			}
			return err
		},
	},
	{
		"detach",
		func(ctx context.Context, w *world) error {
			err := haveVolume(ctx, w)
			if err != nil {
				return err
			}
			v, err := w.volume(ctx)
			if err == nil {
				_, err = v.Attach(ctx)
			}
			return err
		},
		func(ctx context.Context, w *world) error {
			v, err := w.volume(ctx)
			if err != nil {
				return err
			}
			return v.Cleanup(ctx)
		},
	},
	{
		"delete", haveVolume,
		func(ctx context.Context, w *world) error {
			v, err := w.volume(ctx)
			if err != nil {
				return err
			}
			return v.Delete(ctx)
		},
	},
}

// volume is the only one.
func (w *world) volume(ctx context.Context) (*cinderlib.Volume, error) {
	if err := w.b.Refresh(ctx); err != nil {
		return nil, err
	}
	volumes, err := w.b.Volumes(ctx)
	if err == nil && len(volumes) != 1 {
		err = fmt.Errorf("there are %d volumes", len(volumes))
	}
	if err != nil {
		return nil, err
	}
	return volumes[0], nil
}

// haveVolume sees to it that there is one volume, connected to nobody.
func haveVolume(ctx context.Context, w *world) error {
	v, err := w.volume(ctx)
	if err != nil {
		if err := w.clear(ctx); err != nil {
			return err
		}
		_, err = w.b.CreateVolume(ctx, 1)
		return err
	}
	return v.Cleanup(ctx)
}

// clear removes all volumes.
func (w *world) clear(ctx context.Context) error {
	if err := w.b.Refresh(ctx); err != nil {
		return err
	}
	volumes, err := w.b.Volumes(ctx)
	for _, v := range volumes {
		err = errors.Join(err, v.Cleanup(ctx), v.Delete(ctx))
	}
	return err
}

// settle does what a program does when it starts again, and finds nothing to do
// the second time.
func (w *world) settle(ctx context.Context) error {
	for round := range 2 {
		settled, err := w.b.Recover(ctx)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if round == 1 && len(settled) > 0 {
			return fmt.Errorf("the second Recover still found %+v", settled)
		}
		if err := w.b.EnsureExports(ctx); err != nil {
			return fmt.Errorf("ensure exports: %w", err)
		}
	}
	return nil
}

// check compares what the store says with what there is on this host.
func (w *world) check(ctx context.Context) error {
	volumes, err := w.lib.Persistence().Volumes(ctx, persistence.VolumeFilter{})
	if err != nil {
		return err
	}
	connections, err := w.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{})
	if err != nil {
		return err
	}
	attached := 0
	for _, c := range connections {
		if c.Device != nil {
			attached++
		}
	}
	want := map[string]int{"volume-": len(volumes), "/iscsi/iqn.": min(1, len(connections)), "/core/": min(1, len(connections)), "session": attached, "/block/sd": attached, "/nodes/": attached}
	var found []string
	for range 40 { // udev, iscsid and the kernel take a moment
		if found, err = leftovers(ctx); err != nil {
			return err
		}
		if fits(found, want) {
			return nil
		}
		if err := poll.Pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the store has %d volumes and %d connections, %d attached; on the host there are %v", len(volumes), len(connections), attached, found)
}

// fits tells whether what was found is what there should be, kind by kind.
func fits(found []string, want map[string]int) bool {
	have := map[string]int{}
	for _, f := range found {
		kind := ""
		for k := range want {
			if strings.Contains(f, k) && (k != "volume-" || !strings.Contains(f, "/")) {
				kind = k
			}
		}
		if kind == "" {
			return false
		}
		have[kind]++
	}
	for k, n := range want {
		if have[k] != n {
			return false
		}
	}
	return true
}

// stride is which part of the steps a sweep takes: all with CINDERLIB_VM_SWEEP=all,
// otherwise one in four, others in each verb.
func stride() int {
	if os.Getenv("CINDERLIB_VM_SWEEP") == "all" {
		return 1
	}
	return 4
}

// sweep has each step of each verb go wrong, before and after it was done.
func sweep(t *testing.T, wrong func(t *testing.T, w *world, folder string, v verb, step int, after bool)) {
	t.Helper()
	need(t)
	wipe(t)
	ctx := t.Context()
	folder := t.TempDir()
	w, err := open(ctx, folder, false)
	require.NoError(t, err)
	tried := 0
	for i, v := range verbs {
		require.NoError(t, v.before(ctx, w), v.name)
		w.steps.reset()
		require.NoError(t, v.run(ctx, w), v.name)
		n, programs, _, _ := w.steps.counted()
		require.NoError(t, w.check(ctx))
		start := time.Now()
		for step := 1 + i%stride(); step <= n; step += stride() {
			for _, after := range []bool{false, true} {
				require.NoError(t, v.before(ctx, w), v.name)
				wrong(t, w, folder, v, step, after)
				where := fmt.Sprintf("%s, step %d of %d, after it: %v", v.name, step, n, after)
				require.NoError(t, w.settle(ctx), where)
				require.NoError(t, w.check(ctx), where)
				tried++
			}
		}
		t.Logf("%s: %d steps (%s), one in %d tried, %s", v.name, n, strings.Join(programs, ", "), stride(), time.Since(start).Round(time.Second))
	}
	require.NoError(t, w.clear(ctx))
	require.NoError(t, w.lib.Close(ctx))
	requireNothingLeft(t)
	t.Logf("%d faults tried", tried)
}

// TestFaultSweep: a step fails. The verb takes back what it did, or Recover does.
func TestFaultSweep(t *testing.T) {
	sweep(t, func(t *testing.T, w *world, _ string, v verb, step int, after bool) {
		w.steps.plan(step, after, func() error { return errInjected })
		if err := v.run(t.Context(), w); err != nil {
			require.ErrorIs(t, err, errInjected, "%s, step %d", v.name, step)
		}
		w.steps.reset()
	})
}

// TestKillSweep: the process is killed at a step. Another one recovers.
func TestKillSweep(t *testing.T) {
	sweep(t, func(t *testing.T, _ *world, folder string, v verb, step int, after bool) {
		_, err := libtest.RunChild(t.Context(), strings.Join([]string{"verb", folder, v.name, strconv.Itoa(step), strconv.FormatBool(after)}, "|"))
		require.NoError(t, err, v.name)
	})
}

// killedInVerb is the process that is killed.
func killedInVerb(ctx context.Context, args []string) error {
	w, err := open(ctx, args[0], false)
	if err != nil {
		return err
	}
	step, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for _, v := range verbs {
		if v.name == args[1] {
			w.steps.plan(step, args[3] == "true", func() error {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			})
			return v.run(ctx, w)
		}
	}
	return fmt.Errorf("no verb %s", args[1])
}
