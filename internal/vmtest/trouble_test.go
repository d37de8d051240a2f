// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
)

// TestTrouble has something of the host missing. Each verb says so in time, and
// works again when it is back.
func TestTrouble(t *testing.T) {
	w := newWorld(t, true)
	v := w.create(t)
	attach := func(ctx context.Context) error {
		_, err := v.Attach(ctx)
		return err
	}
	detach := func(ctx context.Context) error { return v.Detach(ctx) }
	create := func(ctx context.Context) error {
		_, err := w.b.CreateVolume(ctx, 1)
		return err
	}
	statistics := func(ctx context.Context) error {
		_, err := w.b.RefreshStats(ctx)
		return err
	}
	for _, c := range []struct {
		name       string
		make, mend string
		verb       func(context.Context) error
		is         error
		says       string
		works      bool // all the same
		afterwards func(context.Context) error
	}{
		{
			"iscsiadm is missing", "mv /sbin/iscsiadm /sbin/iscsiadm.away", "mv /sbin/iscsiadm.away /sbin/iscsiadm",
			attach, exec.ErrNotFound, "iscsiadm is not installed", false, nil,
		},
		{
			"lvcreate is missing", "mv /sbin/lvcreate /sbin/lvcreate.away", "mv /sbin/lvcreate.away /sbin/lvcreate",
			create, exec.ErrNotFound, "lvcreate is not installed", false, nil,
		},
		{
			"the volume group is missing", "vgrename -q cinder-volumes elsewhere", "vgrename -q elsewhere cinder-volumes",
			create, cinderlib.ErrUnavailable, `Volume group "cinder-volumes" not found`, false, nil,
		},
		{
			"the volume group is missing", "vgrename -q cinder-volumes elsewhere", "vgrename -q elsewhere cinder-volumes",
			statistics, cinderlib.ErrUnavailable, `Volume group "cinder-volumes" not found`, false, nil,
		},
		{
			"configfs is read-only", "mount -o remount,ro /sys/kernel/config", "mount -o remount,rw /sys/kernel/config",
			attach, cinderlib.ErrPermission, "read-only file system", false, nil,
		},
		{
			"iscsid is stopped", "kill $(pidof iscsid); while pidof iscsid >/dev/null; do sleep 0.1; done", "iscsid",
			attach, cinderlib.ErrUnavailable, "iscsid", false, nil,
		},
		{
			"both portals are gone", "ip addr del 10.99.0.1/32 dev lo; ip addr del 10.99.1.1/32 dev lo; ip route add blackhole 10.99.0.0/16",
			"ip route del blackhole 10.99.0.0/16; ip addr add 10.99.0.1/32 dev lo; ip addr add 10.99.1.1/32 dev lo",
			attach, cinderlib.ErrUnavailable, "10.99.0.1:3260", false, nil,
		},
		{
			"one portal is gone", "ip addr del 10.99.1.1/32 dev lo; ip route add blackhole 10.99.1.0/24",
			"ip route del blackhole 10.99.1.0/24; ip addr add 10.99.1.1/32 dev lo",
			attach, nil, "", true, detach,
		},
		{
			"multipathd is stopped", "multipathd shutdown; while pidof multipathd >/dev/null; do sleep 0.1; done", "multipathd",
			attach, nil, "", true, detach,
		},
	} {
		sh(t, c.make)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		start := time.Now()
		err := c.verb(ctx)
		t.Logf("%s: %s: %v", c.name, time.Since(start).Round(10*time.Millisecond), err)
		assert.NoError(t, ctx.Err(), "%s: in time", c.name)
		if c.works {
			assert.NoError(t, err, c.name)
			assert.NoError(t, c.afterwards(ctx), c.name)
		} else {
			assert.ErrorIs(t, err, c.is, c.name)
			assert.ErrorContains(t, err, c.says, c.name)
		}
		cancel()
		sh(t, c.mend)
		require.NoError(t, w.settle(t.Context()), c.name)
		if c.works || t.Failed() {
			continue
		}
		if err := c.verb(t.Context()); assert.NoError(t, err, "%s: and mended", c.name) && v.LocalAttach() != nil {
			require.NoError(t, v.Detach(t.Context()))
		}
	}
	w.empty(t)
}
