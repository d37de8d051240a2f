// SPDX-License-Identifier: Apache-2.0

package iscsi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/iscsi"
	"github.com/gocinder/cinderlib/internal/lio"
	"github.com/gocinder/cinderlib/internal/lock"
)

// What follows runs against the real kernel, as root, in a VM with iscsid and
// multipathd; see tools/vm. Target and initiator are the same kernel.

const gib = 1 << 30

// counter counts the processes that run.
type counter struct {
	connector.Runner

	mu    sync.Mutex
	lines []string
}

func (c *counter) Run(ctx context.Context, cmd connector.Command) (connector.Result, error) {
	c.mu.Lock()
	c.lines = append(c.lines, strings.Join(cmd.Args, " "))
	c.mu.Unlock()
	return c.Runner.Run(ctx, cmd)
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// lab is a target side and an initiator side.
type lab struct {
	*testing.T
	kernel    *lio.Kernel
	host      *connector.Host
	conn      connector.Connector
	ran       *counter
	initiator string
	disks     []string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("CINDERLIB_VM is not 1: this needs a machine of its own, with LIO, iscsid and multipathd")
	}
	locks, err := lock.OpenFile(filepath.Join(t.TempDir(), "lock"))
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level()}))
	l := &lab{T: t, ran: &counter{Runner: connector.NewRunner("sudo", log)}, disks: strings.Fields(os.Getenv("VM_DISKS"))}
	l.kernel = &lio.Kernel{Lock: locks.Lock, Log: log, SaveConfig: lio.NoSaveConfig, Modprobe: func(ctx context.Context, module string) error {
		return exec.CommandContext(ctx, "modprobe", module).Run()
	}}
	l.host = &connector.Host{Run: l.ran, Locks: locks, Log: log}
	l.conn = iscsi.New(l.host)
	l.initiator = l.sh("sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
	for i := range 4 {
		_ = exec.CommandContext(t.Context(), "ip", "addr", "add", fmt.Sprintf("10.99.0.%d/32", i+1), "dev", "lo").Run()
	}
	require.NoError(t, l.kernel.Ready(t.Context()))
	t.Cleanup(func() { l.nothingLeft() })
	return l
}

// each runs a test with one portal and with two.
func each(t *testing.T, f func(l *lab, portals int)) {
	t.Helper()
	for _, portals := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d", portals), func(t *testing.T) { f(newLab(t), portals) })
	}
}

// level is that of the log: CINDERLIB_DEBUG=1 shows what multipathd says.
func level() slog.Level {
	if os.Getenv("CINDERLIB_DEBUG") != "" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (l *lab) try(format string, args ...any) (string, error) {
	line := fmt.Sprintf(format, args...)
	out, err := exec.CommandContext(context.WithoutCancel(l.Context()), "bash", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (l *lab) sh(format string, args ...any) string {
	l.Helper()
	out, err := l.try(format, args...)
	require.NoError(l, err, "%s: %s", fmt.Sprintf(format, args...), out)
	return out
}

// export makes a target of the disk with portals 10.99.0.1 to N.
func (l *lab) export(disk string, portals int) (lio.Export, connector.Request) {
	l.Helper()
	id := uuid.NewString()
	e := lio.Export{IQN: "iqn.2010-10.org.openstack:volume-" + id, Device: disk, Serial: id}
	for i := range portals {
		e.Portals = append(e.Portals, netip.MustParseAddrPort(fmt.Sprintf("10.99.0.%d:3260", i+1)))
	}
	l.show(e)
	d := &connector.ISCSIData{TargetPortal: e.Portals[0].String(), TargetIQN: e.IQN, AuthMethod: "CHAP", AuthUsername: "user", AuthPassword: "secret12345678"}
	d.Shared.DeviceWWIDs = []string{lio.WWN(id)}
	if portals > 1 {
		for _, p := range e.Portals {
			d.TargetPortals = append(d.TargetPortals, p.String())
			d.TargetIQNs = append(d.TargetIQNs, e.IQN)
		}
	}
	r := connector.Request{
		Info:      &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: d},
		SizeBytes: gib, Multipath: portals > 1,
	}
	l.Cleanup(func() {
		ctx := context.WithoutCancel(l.Context())
		if l.Failed() { // for the tests after this one
			r.Force = true
			dataOf(r).Shared.DeviceWWIDs = nil
			l.Log(l.conn.Detach(ctx, r))
		}
		assert.NoError(l, l.kernel.Unexport(ctx, e.IQN))
	})
	return e, r
}

func (l *lab) show(e lio.Export) {
	l.Helper()
	require.NoError(l, l.kernel.Export(l.Context(), e))
	require.NoError(l, l.kernel.Allow(l.Context(), e.IQN, lio.Initiator{IQN: l.initiator, User: "user", Password: "secret12345678"}))
}

func dataOf(r connector.Request) *connector.ISCSIData {
	return r.Info.Data.(*connector.ISCSIData) //nolint:forcetypeassert // export made it
}

func (l *lab) attach(r connector.Request) connector.Request {
	l.Helper()
	l.ran.take()
	start := time.Now()
	d, err := l.conn.Attach(l.Context(), r)
	require.NoError(l, err)
	l.Logf("attach: %s, %d processes: %+v", time.Since(start).Round(time.Millisecond), len(l.ran.take()), *d)
	r.Device = d
	require.NoError(l, l.host.Check(l.Context(), r))
	return r
}

func (l *lab) detach(r connector.Request) {
	l.Helper()
	l.ran.take()
	start := time.Now()
	require.NoError(l, l.conn.Detach(l.Context(), r))
	l.Logf("detach: %s, %d processes", time.Since(start).Round(time.Millisecond), len(l.ran.take()))
	l.gone(r)
}

// gone: nothing of a volume is left.
func (l *lab) gone(r connector.Request) {
	l.Helper()
	paths, err := l.conn.Paths(l.Context(), r)
	require.NoError(l, err)
	require.Empty(l, paths)
	l.nothingLeft()
}

func (l *lab) nothingLeft() {
	l.Helper()
	for _, glob := range []string{"/sys/class/iscsi_session/*", "/etc/iscsi/nodes/*/*", "/sys/block/sd*", "/dev/sd*"} {
		found, _ := filepath.Glob(glob)
		require.Empty(l, found, glob)
	}
	uuids, err := filepath.Glob("/sys/block/dm-*/dm/uuid")
	require.NoError(l, err)
	for _, u := range uuids {
		text, _ := os.ReadFile(u)
		require.NotContains(l, string(text), "mpath-")
	}
}

func TestVMOnePath(t *testing.T) {
	l := newLab(t)
	_, r := l.export(l.disks[0], 1)
	a := l.attach(r)
	l.sh("dd if=/dev/urandom of=%s bs=1M count=4", a.Device.Path)
	again := l.attach(r)
	require.Equal(t, a.Device, again.Device)
	l.detach(a)
	l.detach(a)
	r.Device = nil
	l.detach(l.attach(r))
}

func TestVMMultipath(t *testing.T) {
	l := newLab(t)
	_, r := l.export(l.disks[0], 2)
	a := l.attach(r)
	require.Contains(t, a.Device.Path, "/dev/dm-")
	l.sh("dd if=/dev/urandom of=%s bs=1M count=4", a.Device.Path)
	require.Equal(t, a.Device, l.attach(r).Device)
	l.detach(a)
	l.detach(a)
}

func TestVMMultipathOfOne(t *testing.T) {
	l := newLab(t)
	_, r := l.export(l.disks[0], 1)
	r.Multipath = true
	a := l.attach(r)
	require.Contains(t, a.Device.Path, "/dev/dm-")
	l.detach(a)
}

// TestVMBlackHole: one of three portals never answers.
func TestVMBlackHole(t *testing.T) {
	l := newLab(t)
	l.sh("ip link add hole type dummy && ip addr add 10.98.0.1/24 dev hole && ip link set hole up")
	defer l.sh("ip link del hole")
	_, r := l.export(l.disks[0], 2)
	d := dataOf(r)
	d.TargetPortals = append([]string{"10.98.0.9:3260"}, d.TargetPortals...)
	d.TargetIQNs = append(d.TargetIQNs, d.TargetIQN)
	start := time.Now()
	a := l.attach(r)
	require.Less(t, time.Since(start), 25*time.Second)
	require.Contains(t, a.Device.Path, "/dev/dm-")
	l.detach(a)
	r.Multipath = false
	l.detach(l.attach(r))
	// Alone.
	d.TargetPortals, d.TargetIQNs, d.TargetPortal = nil, nil, "10.98.0.9:3260"
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	start = time.Now()
	_, err := l.conn.Attach(ctx, r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 4*time.Second)
	l.gone(r)
	d.TargetPortal = "10.99.0.1:3299"
	_, err = l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrUnavailable)
	t.Log(err)
	l.gone(r)
}

func TestVMWrongPassword(t *testing.T) {
	l := newLab(t)
	_, r := l.export(l.disks[0], 2)
	right := dataOf(r).AuthPassword
	for _, multi := range []bool{false, true} {
		r.Multipath = multi
		dataOf(r).AuthPassword = "wrong-12345678"
		_, err := l.conn.Attach(t.Context(), r)
		require.ErrorIs(t, err, connector.ErrUnauthenticated)
		require.NotContains(t, err.Error(), "wrong-12345678")
		t.Log(err)
		l.gone(r)
		dataOf(r).AuthPassword = right
		l.detach(l.attach(r))
	}
}

// TestVMOtherVolume: the LUN of a disk that is there becomes another volume.
func TestVMOtherVolume(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		e, r := l.export(l.disks[0], portals)
		a := l.attach(r)
		// Behind the host's back.
		require.NoError(t, l.kernel.Unexport(t.Context(), e.IQN))
		other := e
		other.Device, other.Serial = l.disks[1], uuid.NewString()
		l.show(other)
		changed := r
		changed.Info = r.Info.Clone()
		dataOf(changed).Shared.DeviceWWIDs = []string{lio.WWN(other.Serial)}
		refused := func(r connector.Request) {
			t.Helper()
			_, err := l.conn.Attach(t.Context(), r)
			require.ErrorIs(t, err, connector.ErrWrongDevice)
			t.Log(err)
		}
		f, err := os.OpenFile(a.Device.Path, os.O_RDONLY, 0)
		require.NoError(t, err)
		refused(changed) // in use
		refused(r)
		refused(changed) // still, though somebody has asked the disk who it is
		require.NoError(t, f.Close())
		refused(r)
		l.detach(l.attach(changed))
	})
}

func TestVMExtend(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		file := filepath.Join(t.TempDir(), "disk")
		loop := l.sh("truncate -s 1G %s && losetup -f --show %s", file, file)
		e, r := l.export(loop, portals)
		a := l.attach(r)
		for range 2 {
			a.SizeBytes += 64 << 20
			l.sh("truncate -s %d %s && losetup -c %s", a.SizeBytes, file, loop)
			l.ran.take()
			size, err := l.conn.Extend(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, a.SizeBytes, size)
			require.Empty(t, l.ran.take())
			require.NoError(t, l.host.Check(t.Context(), a))
		}
		l.detach(a)
		_, err := l.conn.Extend(t.Context(), a)
		require.ErrorIs(t, err, connector.ErrNotFound)
		require.NoError(t, l.kernel.Unexport(t.Context(), e.IQN))
		l.sh("losetup -d %s", loop)
	})
}

func TestVMInUse(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		_, r := l.export(l.disks[0], portals)
		a := l.attach(r)
		paths, err := l.conn.Paths(t.Context(), r)
		require.NoError(t, err)
		refused := func() {
			t.Helper()
			l.ran.take()
			err := l.conn.Detach(t.Context(), a)
			require.ErrorIs(t, err, connector.ErrInUse)
			t.Log(err)
			require.Empty(t, l.ran.take())
			now, err := l.conn.Paths(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, paths, now)
		}
		f, err := os.Open(a.Device.Path)
		require.NoError(t, err)
		refused()
		require.NoError(t, f.Close())
		mnt := t.TempDir()
		l.sh("mkfs.ext4 -q %s && mount %s %s", a.Device.Path, a.Device.Path, mnt)
		refused()
		l.sh("umount %s", mnt)
		flags := t.TempDir()
		elsewhere := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", fmt.Sprintf(
			"mount %s %s && touch %s/mounted; while [ ! -e %s/end ]; do sleep 0.1; done", a.Device.Path, mnt, flags, flags))
		require.NoError(t, elsewhere.Start())
		require.Eventually(t, func() bool { _, err := os.Stat(flags + "/mounted"); return err == nil }, 30*time.Second, 50*time.Millisecond)
		refused()
		l.sh("touch %s/end", flags)
		require.NoError(t, elsewhere.Wait())
		l.sh("echo 0 $(blockdev --getsz %s) linear %s 0 | dmsetup create upon", a.Device.Path, a.Device.Path)
		refused()
		l.sh("dmsetup remove upon")
		shared := a
		shared.Shared = true
		require.NoError(t, l.conn.Detach(t.Context(), shared))
		now, err := l.conn.Paths(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, paths, now)
		l.detach(a)
	})
}

// TestVMForceInUse takes the device from under its users.
func TestVMForceInUse(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		_, r := l.export(l.disks[0], portals)
		a := l.attach(r)
		f, err := os.Open(a.Device.Path)
		require.NoError(t, err)
		a.Force = true
		err = l.conn.Detach(t.Context(), a)
		t.Log(err)
		require.NoError(t, f.Close())
		l.detach(a)
	})
}

// TestVMAllPathsDead: nothing answers any more, and what was written waits for ever.
func TestVMAllPathsDead(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		e, r := l.export(l.disks[0], portals)
		a := l.attach(r)
		if portals > 1 {
			l.sh("dmsetup message $(cat /sys/block/%s/dm/name) 0 queue_if_no_path", filepath.Base(a.Device.Path))
		}
		for i := range portals {
			l.sh("ip addr del 10.99.0.%d/32 dev lo", i+1)
		}
		l.sh("timeout 1 dd if=/dev/zero of=%s bs=4k count=16 conv=notrunc >/dev/null 2>&1 & sleep 1", a.Device.Path)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		start := time.Now()
		err := l.conn.Detach(ctx, a)
		cancel()
		require.Error(t, err)
		require.Less(t, time.Since(start), 9*time.Second)
		t.Log(err)
		a.Force = true
		start = time.Now()
		err = l.conn.Detach(t.Context(), a)
		t.Logf("by force: %s: %v", time.Since(start), err)
		for i := range portals {
			l.sh("ip addr add 10.99.0.%d/32 dev lo", i+1)
		}
		require.NoError(t, l.conn.Detach(t.Context(), a))
		l.gone(r)
		require.NoError(t, l.kernel.Unexport(t.Context(), e.IQN))
	})
}

func TestVMNoServices(t *testing.T) {
	l := newLab(t)
	_, r := l.export(l.disks[0], 2)
	l.sh("multipathd shutdown; sleep 1")
	r.EnforceMultipath = true
	l.ran.take()
	_, err := l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrPrecondition)
	require.Empty(t, l.ran.take())
	t.Log(err)
	r.EnforceMultipath = false
	a := l.attach(r)
	require.NotContains(t, a.Device.Path, "dm-")
	l.detach(a)
	l.sh("multipathd; for i in 1 2 3 4 5 6 7 8 9; do multipathd show daemon | grep -q idle && break; sleep 0.5; done")
	a = l.attach(r)
	require.Contains(t, a.Device.Path, "dm-")
	l.sh("multipathd shutdown; sleep 1")
	l.detach(a)
	l.sh("multipathd; for i in 1 2 3 4 5 6 7 8 9; do multipathd show daemon | grep -q idle && break; sleep 0.5; done")

	l.sh("iscsiadm -k 0; sleep 1")
	_, err = l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrUnavailable)
	require.ErrorContains(t, err, "iscsid")
	t.Log(err)
	l.gone(r)
	l.sh("iscsid; sleep 1")
	l.detach(l.attach(r))
}

func TestVMOtherPortals(t *testing.T) {
	l := newLab(t)
	e, r := l.export(l.disks[0], 1)
	e.Portals = append(e.Portals, netip.MustParseAddrPort("[::1]:3260"), netip.MustParseAddrPort("127.0.0.1:3261"))
	l.show(e)
	for _, p := range []string{"[0:0::1]:3260", "::1", "localhost:3261", "10.99.0.1", "10.99.0.1:3260,1"} {
		dataOf(r).TargetPortal = p
		a := l.attach(r)
		require.Equal(t, a.Device, l.attach(r).Device)
		l.detach(a)
	}
}

func TestVMReadOnly(t *testing.T) {
	l := newLab(t)
	e, r := l.export(l.disks[0], 2)
	require.NoError(t, l.kernel.Allow(t.Context(), e.IQN, lio.Initiator{IQN: l.initiator, User: "user", Password: "secret12345678", ReadOnly: true}))
	dataOf(r).Shared.AccessMode = connector.ReadOnly
	a := l.attach(r)
	require.Equal(t, "1", l.sh("cat /sys/block/%s/ro", filepath.Base(a.Device.Path)))
	l.detach(a)
}

// TestVMCutOff ends the context of an attach, or kills the process, at any
// instant. One detach leaves nothing.
func TestVMCutOff(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		_, r := l.export(l.disks[0], portals)
		for i := range 8 {
			after := time.Duration(i*i) * 50 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), after)
			start := time.Now()
			d, err := l.conn.Attach(ctx, r)
			cancel()
			require.Less(t, time.Since(start), after+3*time.Second) // a second, were the one processor not so busy
			t.Logf("ended after %s: %v %v", after, d, err)
			r.Device = d
			require.NoError(t, l.conn.Detach(t.Context(), r))
			l.gone(r)
			r.Device = nil
		}
		for i := range 8 {
			after := time.Duration(i*i) * 60 * time.Millisecond
			child := l.child(t.Context(), r, "attach")
			require.NoError(t, child.Start())
			kill := time.AfterFunc(after, func() { _ = child.Process.Kill() })
			err := child.Wait()
			kill.Stop()
			t.Logf("killed after %s: %v", after, err)
			require.NoError(t, l.conn.Detach(t.Context(), r))
			l.gone(r)
		}
	})
}

// child is this program with another user's or another process's part to play.
func (l *lab) child(ctx context.Context, r connector.Request, verb string, before ...string) *exec.Cmd {
	l.Helper()
	info, err := json.Marshal(r.Info)
	require.NoError(l, err)
	args := append(before, os.Args[0], "-test.run", "^TestChild$", "-test.v")
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = append(os.Environ(), "CINDERLIB_CHILD="+verb, "CINDERLIB_INFO="+string(info), fmt.Sprintf("CINDERLIB_MULTIPATH=%v", r.Multipath))
	return c
}

// TestChild is what child runs.
func TestChild(t *testing.T) {
	verb := os.Getenv("CINDERLIB_CHILD")
	if verb == "" {
		t.Skip("this is for children of other tests")
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := &connector.Host{Run: connector.NewRunner("sudo", log), Locks: &lock.Keyed{}, Log: log}
	c := iscsi.New(h)
	r := connector.Request{Info: &connector.ConnInfo{}, SizeBytes: gib, Multipath: os.Getenv("CINDERLIB_MULTIPATH") == "true"}
	require.NoError(t, json.Unmarshal([]byte(os.Getenv("CINDERLIB_INFO")), r.Info))
	if strings.Contains(verb, "attach") {
		d, err := c.Attach(t.Context(), r)
		require.NoError(t, err)
		r.Device = d
		require.NoError(t, h.Check(t.Context(), r))
	}
	if strings.Contains(verb, "extend") {
		_, err := c.Extend(t.Context(), r)
		require.NoError(t, err)
	}
	if strings.Contains(verb, "leave") {
		require.NoError(t, c.Detach(t.Context(), r))
	}
}

// TestVMOrdinaryUser: all that takes root goes through sudo.
func TestVMOrdinaryUser(t *testing.T) {
	each(t, func(l *lab, portals int) {
		t := l.T
		_, r := l.export(l.disks[0], portals)
		l.sh("id tester || useradd -m tester; echo 'tester ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/tester")
		child := l.child(t.Context(), r, "attach,extend,leave", "setpriv", "--reuid=tester", "--regid=tester", "--init-groups", "env", "HOME=/tmp", "TMPDIR=/tmp")
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		t.Logf("%d processes\n%s", strings.Count(string(out), "ran command"), out)
		l.gone(r)
	})
}
