// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// Thin or thick: what the options and the group say.
func TestThinOrThick(t *testing.T) {
	t.Parallel()
	nothing := func(*rig) {}
	pool := func(r *rig) { r.foreign(poolName, 1<<30, poolLV) }
	foreign := func(r *rig) { r.foreign("root", 1<<30, linear) }
	for _, c := range []struct {
		kind     string
		there    func(*rig)
		thin     bool
		programs int
	}{
		{"default", nothing, false, 2},
		{"default", pool, false, 2},
		{"default", foreign, false, 2},
		{"thin", nothing, true, 3},
		{"thin", pool, true, 2},
		{"thin", foreign, true, 3},
		{"auto", nothing, true, 3},
		{"auto", pool, true, 2},
		{"auto", foreign, false, 2},
		{"auto", func(r *rig) { foreign(r); pool(r) }, true, 2},
		// Something else has the pool's name.
		{"auto", func(r *rig) { r.foreign(poolName, 1<<30, linear) }, false, 2},
	} {
		r := newRig(t)
		c.there(r)
		var d *Driver
		n := r.count(func() error { d = r.open(map[string]any{"lvm_type": c.kind}); return nil })
		assert.Equal(t, c.thin, d.thin(), "%+v", c)
		assert.Equal(t, c.programs, n, "%+v", c)
		_, made := r.lvs[poolName]
		assert.Equal(t, c.thin || d.pool == "" && made, made)
	}
	r := newRig(t)
	r.foreign(poolName, 1<<30, linear)
	_, err := r.openIn(r.env(), thinly())
	require.Error(t, err, "the pool's name is another's")
}

// The pool takes 95 % of what is free, in whole extents.
func TestPoolSize(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1023)
	r.open(nil)
	assert.Equal(t, int64(971), r.lv(poolName).extents) // 971.85
	for _, devices := range [][]int64{{1}, {0}} {
		r = newRig(t, devices...)
		_, err := r.openIn(r.env(), nil)
		require.ErrorIs(t, err, drivers.ErrExhausted)
		require.ErrorContains(t, err, "lvm: open volume group cinder-volumes")
	}
}

// Two processes look at an empty group at the same time. Each then makes the
// pool; there is one, and both are thin.
func TestPoolRace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var looked, all sync.WaitGroup
	looked.Add(2)
	r.host.Handle("lvs", func() func(context.Context, []string, []byte) connector.Result {
		report := r.program("lvs", r.lvsReport)
		return func(ctx context.Context, args []string, stdin []byte) connector.Result {
			result := report(ctx, args, stdin)
			if !slices.Contains(args, "-S") { // the first look
				looked.Done()
				looked.Wait()
			}
			return result
		}
	}())
	for range 2 {
		all.Go(func() {
			d, err := r.openIn(r.env(), nil)
			if assert.NoError(t, err) {
				assert.True(t, d.thin())
				assert.NoError(t, d.Close())
			}
		})
	}
	all.Wait()
	assert.Equal(t, 2, r.host.Count("lvcreate"))
}

// A pool that came up inactive, as after a start of the host without udev, is
// activated: LVM says nothing of how full an inactive one is.
func TestPoolInactive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.open(thinly())
	r.set(func() { r.deactivate(r.lvs[poolName]); r.data = "50.00" })
	d := r.open(nil)
	assert.True(t, r.lv(poolName).active)
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.InDelta(t, float64(s.Pools[0].Total)/2, float64(s.Pools[0].Free), 0.01)
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.missing = true
	_, err := r.openIn(r.env(), nil)
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	require.ErrorContains(t, err, `lvm: open volume group cinder-volumes`)
	require.ErrorContains(t, err, `"cinder-volumes" not found`)

	r = newRig(t)
	r.target.ready = drivers.Errorf(drivers.ErrPrecondition, "lio: get ready: kernel module target_core_mod")
	_, err = r.openIn(r.env(), nil)
	require.ErrorIs(t, err, drivers.ErrPrecondition)

	r = newRig(t)
	for _, name := range []string{"vgs", "lvs"} {
		for _, text := range []string{"", "no JSON", `{"report":[]}`, `{"report":[{"vg":[{"vg_size":"x"}],"lv":[{"lv_size":"x"}]}]}`} {
			if name == "lvs" && text == `{"report":[]}` {
				continue // a group without LVs
			}
			old := newRig(t)
			old.host.Handle(name, func(context.Context, []string, []byte) connector.Result {
				return connector.Result{Stdout: []byte(text)}
			})
			_, err := old.openIn(old.env(), nil)
			require.Error(t, err, "%s: %q", name, text)
			assert.True(t, errors.Is(err, drivers.ErrInternal) || errors.Is(err, drivers.ErrUnavailable), "%v", err)
		}
	}
	r.host.Handle("vgs", nil)
	_, err = r.openIn(r.env(), nil)
	require.Error(t, err, "LVM is not installed")
	require.ErrorContains(t, err, "vgs")
	assert.NotErrorIs(t, err, drivers.ErrNotFound)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	env := func(o map[string]any) []string {
		t.Helper()
		d := r.open(o)
		r.host.Forget()
		_, err := d.Stats(t.Context())
		require.NoError(t, err)
		_, err = d.CreateVolume(t.Context(), volume(1))
		require.NoError(t, err)
		calls := r.host.Calls()
		for _, c := range calls {
			assert.Equal(t, calls[0].Env, c.Env)
			assert.True(t, c.Root, "%v", c.Args)
		}
		return calls[0].Env
	}
	assert.Empty(t, env(nil), "the file is not there")
	r.host.Write("/etc/cinder/lvm.conf", "")
	assert.Equal(t, []string{"LVM_SYSTEM_DIR=/etc/cinder"}, env(nil))
	assert.Empty(t, env(map[string]any{"lvm_conf_file": "none"}))
	r.host.Write("/srv/x.conf", "")
	assert.Equal(t, []string{"LVM_SYSTEM_DIR=/srv", "LVM_SUPPRESS_FD_WARNINGS=1"},
		env(map[string]any{"lvm_conf_file": "/srv/x.conf", "lvm_suppress_fd_warnings": true}))
	r.host.Remove("/run/udev/control")
	assert.Equal(t, []string{"DM_DISABLE_UDEV=1"}, env(map[string]any{"lvm_conf_file": "None"}))
}
