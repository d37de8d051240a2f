// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost/scsihost"
)

// ran gives the programs that a call has run, and forgets them.
func (w *world) ran(t *testing.T, call func() error) []string {
	t.Helper()
	w.Forget()
	require.NoError(t, call())
	var lines []string
	for _, c := range w.Calls() {
		assert.True(t, c.Root, "%v", c.Args)
		lines = append(lines, strings.Join(c.Args, " "))
	}
	return lines
}

func (w *world) attached(t *testing.T, r connector.Request) connector.Request {
	t.Helper()
	d, err := w.conn.Attach(t.Context(), r)
	require.NoError(t, err)
	r.Device = d
	return r
}

// TestProcesses is the budget: three for each path, two to take it back, none
// where a session is there.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for _, portals := range []int{1, 2, 4} {
		w := newWorld(t)
		target, r := w.volume(portals)
		attach := func(r connector.Request) func() error {
			return func() error { _, err := w.conn.Attach(t.Context(), r); return err }
		}
		detach := func(r connector.Request) func() error {
			return func() error { return w.conn.Detach(t.Context(), r) }
		}
		assert.Len(t, w.ran(t, attach(r)), 3*portals)
		assert.Empty(t, w.ran(t, attach(r)), "repeated")
		target.LUNs[1] = &scsihost.LUN{WWID: wwid(50), Size: 4 * mib}
		other := r
		other.Info = r.Info.Clone()
		dataIn(other).TargetLUN = 1
		dataIn(other).Shared.DeviceWWIDs = []string{wwid(50)}
		assert.Empty(t, w.ran(t, attach(other)), "another volume of the target")
		assert.Empty(t, w.ran(t, func() error { _, err := w.conn.Extend(t.Context(), r); return err }))
		assert.Empty(t, w.ran(t, func() error { _, err := w.conn.Paths(t.Context(), r); return err }))
		assert.Empty(t, w.ran(t, detach(other)), "the sessions have another volume")
		shared := r
		shared.Shared = true
		assert.Empty(t, w.ran(t, detach(shared)))
		assert.Len(t, w.ran(t, detach(r)), 2*portals)
		assert.Empty(t, w.ran(t, detach(r)), "repeated")
		assert.Empty(t, w.Left())
	}
}

// TestSecrets: what is secret is marked so wherever it is in a command.
func TestSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.volume(1)
	dataIn(r).AuthPassword = "canary"
	_, err := w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrUnauthenticated)
	require.NotContains(t, err.Error(), "canary")
	seen := false
	for _, c := range w.Calls() {
		if i := slices.Index(c.Args, "canary"); i >= 0 {
			seen = true
			assert.Contains(t, c.Secret, i)
		}
	}
	assert.True(t, seen)
}

// TestLUNReused: the LUN of a disk that was left behind is another volume now.
func TestLUNReused(t *testing.T) {
	t.Parallel()
	for _, portals := range []int{1, 2} {
		w := newWorld(t)
		target, r := w.volume(portals)
		old := w.attached(t, r)
		w.Change(func() { target.LUNs[0] = &scsihost.LUN{WWID: wwid(77), Size: 4 * mib} })
		reused := r
		reused.Info = r.Info.Clone()
		dataIn(reused).Shared.DeviceWWIDs = []string{wwid(77)}

		unmount := w.Mount(old.Device.Path, "/mnt")
		before := w.Left()
		_, err := w.conn.Attach(t.Context(), reused)
		require.ErrorIs(t, err, connector.ErrWrongDevice)
		assert.Equal(t, before, w.Left(), "it is in use")
		unmount()
		reused = w.attached(t, reused)
		require.NoError(t, w.host.Check(t.Context(), reused))
		// The one that is gone does not take the other with it.
		require.NoError(t, w.conn.Detach(t.Context(), old))
		require.NoError(t, w.host.Check(t.Context(), reused))
		require.NoError(t, w.conn.Detach(t.Context(), reused))
		assert.Empty(t, w.Left())
	}
}

// TestDeadPortal: an attach succeeds without it, a detach by force removes what
// is behind it.
func TestDeadPortal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, r := w.volume(3)
	w.Change(func() { w.Dead[target.Portals[0]] = true })
	r = w.attached(t, r)
	require.Contains(t, r.Device.Path, "dm-")
	assert.Len(t, w.Calls(), 6)
	_, err := w.conn.Extend(t.Context(), r)
	require.NoError(t, err)
	w.Change(func() { w.Dead[target.Portals[1]] = true })
	_, err = w.conn.Extend(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrUnavailable)
	w.Change(func() { w.Dead[target.Portals[2]] = true })
	r.Force = true
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}

// TestStaleSession: one that does not come back, because the target has other
// credentials by now, is made anew.
func TestStaleSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, r := w.volume(1)
	w.attached(t, r)
	w.Change(func() { target.Portals = nil })
	w.Change(func() { w.Freeze(target) })
	w.Change(func() { target.Portals, target.Password = portalsOf(r), "new" })
	dataIn(r).AuthPassword = "new"
	r = w.attached(t, r)
	require.NoError(t, w.host.Check(t.Context(), r))
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}

func portalsOf(r connector.Request) (portals []netip.AddrPort) {
	for _, p := range dataIn(r).TargetPortals {
		portals = append(portals, netip.MustParseAddrPort(p))
	}
	return portals
}

// TestForceInUse: what somebody has open goes all the same, and the map with its
// last user.
func TestForceInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.volume(2)
	r = w.attached(t, r)
	closed := w.Open(r.Device.Path)
	require.ErrorIs(t, w.conn.Detach(t.Context(), r), connector.ErrInUse)
	r.Force = true
	err := w.conn.Detach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrInUse)
	closed()
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}

// TestWithoutIdentity: paths that the array does not tell about must agree.
func TestWithoutIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, r := w.volume(1)
	other, r2 := w.volume(1)
	d := dataIn(r)
	d.Shared.DeviceWWIDs = nil
	d.TargetPortals = append(d.TargetPortals, dataIn(r2).TargetPortals...)
	d.TargetIQNs = append(d.TargetIQNs, dataIn(r2).TargetIQNs...)
	r.Multipath = true
	_, err := w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	assert.Empty(t, w.Left())
	w.Change(func() { other.LUNs[0].WWID = one.LUNs[0].WWID })
	r = w.attached(t, r)
	require.Contains(t, r.Device.Path, "dm-")
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}

// TestRecordOfOthers: a half written record, as a kill leaves it, is mended.
func TestRecordOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, r := w.volume(1)
	record := "/etc/iscsi/nodes/" + target.IQN + "/10.0.0.1,3260"
	w.Write(record, "")
	r = w.attached(t, r)
	require.NoError(t, w.conn.Detach(t.Context(), r))
	w.Write(record, "")
	require.NoError(t, w.conn.Detach(t.Context(), r), "a record without a session")
	assert.Empty(t, w.Left())
}

// TestHangingLogin: iscsiadm that does not return is given up; the session, when
// it is there, counts.
func TestHangingLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.conn.limits.login = 300 * time.Millisecond
	w.HangAfterLogin = true
	_, r := w.volume(1)
	r = w.attached(t, r)
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}

func TestTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.conn.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "array.example" {
			return nil, os.ErrNotExist
		}
		return []netip.Addr{netip.MustParseAddr("10.9.9.9")}, nil
	}
	good := map[string]string{
		"10.0.0.1": "10.0.0.1:3260", "10.0.0.1:860": "10.0.0.1:860", "10.0.0.1:3260,1": "10.0.0.1:3260",
		"[fe80:0:0::1]:3260": "[fe80::1]:3260", "fe80::1": "[fe80::1]:3260", "[fe80::1]": "[fe80::1]:3260",
		"::ffff:10.0.0.1": "10.0.0.1:3260", "array.example": "10.9.9.9:3260", "array.example:860": "10.9.9.9:860",
	}
	request := func(change func(*connector.ISCSIData)) connector.Request {
		_, r := w.volume(1)
		d := dataIn(r)
		d.TargetPortals, d.TargetIQNs = nil, nil
		change(d)
		return r
	}
	for text, want := range good {
		j, err := w.conn.job(t.Context(), request(func(d *connector.ISCSIData) { d.TargetPortal = text }))
		require.NoError(t, err, text)
		assert.Equal(t, want, j.targets[0].portal.String(), text)
	}
	for name, change := range map[string]func(*connector.ISCSIData){
		"no portal":   func(d *connector.ISCSIData) { d.TargetPortal = "" },
		"port":        func(d *connector.ISCSIData) { d.TargetPortal = "10.0.0.1:port" },
		"option":      func(d *connector.ISCSIData) { d.TargetPortal = "-x" },
		"no name":     func(d *connector.ISCSIData) { d.TargetIQN = "" },
		"path":        func(d *connector.ISCSIData) { d.TargetIQN = "iqn.x/../y" },
		"name option": func(d *connector.ISCSIData) { d.TargetIQN = "--logoutall=all" },
		"LUN":         func(d *connector.ISCSIData) { d.TargetLUN = -1 },
		"mode":        func(d *connector.ISCSIData) { d.Shared.Extra = map[string]any{"addressing_mode": "SAM9"} },
		"uneven lists": func(d *connector.ISCSIData) {
			d.TargetPortals, d.TargetIQNs = []string{"10.0.0.1", "10.0.0.2"}, []string{"iqn.x"}
		},
		"uneven LUNs":   func(d *connector.ISCSIData) { d.TargetPortals, d.TargetLUNs = []string{"10.0.0.1"}, []int{1, 2} },
		"no such names": func(d *connector.ISCSIData) { d.TargetPortal = "a b" },
	} {
		_, err := w.conn.job(t.Context(), request(change))
		require.ErrorIs(t, err, connector.ErrInvalid, name)
	}
	_, err := w.conn.job(t.Context(), request(func(d *connector.ISCSIData) { d.TargetPortal = "nobody.example" }))
	require.ErrorIs(t, err, connector.ErrUnavailable)
}

// TestAddressingMode: the kernel counts such LUNs otherwise.
func TestAddressingMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, r := w.volume(1)
	target.LUNs = map[int]*scsihost.LUN{300 + 16384: target.LUNs[0]}
	dataIn(r).TargetLUN = 300
	dataIn(r).Shared.Extra = map[string]any{"addressing_mode": "SAM2"}
	r = w.attached(t, r)
	require.NoError(t, w.conn.Detach(t.Context(), r))
	assert.Empty(t, w.Left())
}
