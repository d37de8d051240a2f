// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lock"
)

// What follows runs against the real kernel, as root or as a user with sudo, in a
// VM with open-iscsi, targetcli. Disks are those in $VM_DISKS, or loop devices.

// chap is the password of initiators; no command line of the package shows it.
const chap = "secret12345678"

func vm(t *testing.T) (k *Kernel, disks []string, p *programs) {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("CINDERLIB_VM is not 1: this needs a machine of its own, with the LIO kernel modules")
	}
	_, _ = sh(t, "multipathd shutdown") // it would hold the disks
	locks, err := lock.OpenFile(filepath.Join(t.TempDir(), "lock"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, locks.Close()) })
	disks = strings.Fields(os.Getenv("VM_DISKS"))
	for i := len(disks); i < 3; i++ {
		disks = append(disks, run(t, "f=%s/disk; truncate -s 64M $f && losetup -f --show $f", t.TempDir()))
		t.Cleanup(func() {
			assert.NoError(t, asRoot(context.WithoutCancel(t.Context()), "losetup", "-d", disks[i]).Run())
		})
	}
	p = &programs{Runner: connector.NewRunner("sudo", nil)}
	t.Cleanup(func() { assert.NotContains(t, strings.Join(p.ran, "\n"), "secret") })
	k = &Kernel{
		Lock: locks.Lock, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Files: connector.NewFiles(p),
		Run: func(ctx context.Context, stdin []byte, args ...string) error {
			_, err := p.Run(ctx, connector.Command{Args: args, Stdin: stdin, Root: true})
			return err
		},
	}
	k.Modprobe = func(ctx context.Context, module string) error { return k.Run(ctx, nil, "modprobe", module) }
	return k, disks, p
}

// programs keeps the command lines of a Runner.
type programs struct {
	connector.Runner
	ran []string
}

func (p *programs) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	p.ran = append(p.ran, strings.Join(c.Args, " "))
	return p.Runner.Run(ctx, c)
}

func asRoot(ctx context.Context, args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// sh runs a command line as root.
func sh(t *testing.T, format string, args ...any) (string, error) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	out, err := asRoot(t.Context(), "bash", "-c", line).CombinedOutput()
	t.Logf("%s: %v\n%s", line, err, out)
	return strings.TrimSpace(string(out)), err
}

func run(t *testing.T, format string, args ...any) string {
	t.Helper()
	out, err := sh(t, format, args...)
	require.NoError(t, err, out)
	return out
}

// iscsiadm is the command line for one portal.
func iscsiadm(iqn string, at netip.AddrPort) string {
	return fmt.Sprintf("iscsiadm -m node -T %s -p %s", iqn, at)
}

func login(t *testing.T, iqn string, at netip.AddrPort, i Initiator) error {
	t.Helper()
	n := iscsiadm(iqn, at)
	run(t, "%s -o new", n)
	run(t, "%s -o update -n node.session.auth.authmethod -v CHAP -n node.session.auth.username -v %s -n node.session.auth.password -v %s "+
		"-n node.session.timeo.replacement_timeout -v 2 -n node.session.initial_login_retry_max -v 1", n, i.User, i.Password.Reveal())
	_, err := sh(t, "%s --login", n)
	return err
}

func logout(t *testing.T, iqn string, at netip.AddrPort) {
	t.Helper()
	run(t, "%s --logout", iscsiadm(iqn, at))
}

// sds gives the disks of that WWN that initiators of this host see.
func sds(t *testing.T, wwn string) []string {
	t.Helper()
	found, err := filepath.Glob("/sys/block/sd*/device/wwid")
	require.NoError(t, err)
	var names []string
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err == nil && strings.TrimSpace(string(text)) == wwn {
			names = append(names, "/dev/"+strings.Split(f, "/")[3])
		}
	}
	return names
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	assert.Eventually(t, ok, 20*time.Second, 50*time.Millisecond, what)
}

// TestKernelPrograms: root needs none.
func TestKernelPrograms(t *testing.T) {
	k, disks, p := vm(t)
	run(t, "! mountpoint -q %[1]s || umount %[1]s", configDir)
	run(t, "mkdir -p %[1]s && chmod 700 %[1]s", debianFolder) // as the package of targetctl has it
	require.ErrorIs(t, k.Unexport(t.Context(), iqn1), fault.ErrPrecondition)
	e := Export{IQN: iqn1, Device: disks[0], Serial: id1, Portals: addr("127.0.0.1:3260"), Discard: true}
	i := Initiator{IQN: host1, User: "u", Password: chap}
	for _, step := range []struct {
		what string
		most int
		do   func() error
	}{
		{"ready", 5, func() error { return k.Ready(t.Context()) }},
		{"export", 20, func() error { return k.Export(t.Context(), e) }},
		{"allow", 13, func() error { return k.Allow(t.Context(), iqn1, i) }},
		{"disallow", 7, func() error { return k.Disallow(t.Context(), iqn1, host1) }},
		{"unexport", 13, func() error { return k.Unexport(t.Context(), iqn1) }},
	} {
		p.ran = nil
		measure(t, step.what, step.do)
		t.Logf("%s: %d programs\n%s", step.what, len(p.ran), strings.Join(p.ran, "\n"))
		if os.Geteuid() == 0 {
			step.most = 0
		}
		assert.LessOrEqual(t, len(p.ran), step.most, step.what)
	}
	assert.True(t, k.host().mounted(configDir))
}

func TestKernel(t *testing.T) {
	k, disks, p := vm(t)
	require.NoError(t, k.Ready(t.Context()))
	require.NoError(t, k.Ready(t.Context()))
	measure := func(t *testing.T, what string, call func() error) {
		t.Helper()
		p.ran = nil
		measure(t, what, call)
		t.Logf("%s: %d programs", what, len(p.ran))
		if os.Geteuid() == 0 {
			assert.Empty(t, p.ran, what)
		}
	}
	t.Log(run(t, "uname -r; cat %s", dbroot))
	initiator := run(t, "sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
	e := Export{IQN: iqn1, Device: disks[0], Serial: id1, Portals: addr("127.0.0.1:3260", "[::1]:3261"), Discard: true}
	i := Initiator{IQN: strings.ToUpper(initiator), User: "user1", Password: chap}
	other := Export{IQN: iqn2, Device: disks[1], Serial: id2, Portals: addr("127.0.0.1:3260")}
	require.NoError(t, k.Export(t.Context(), other))

	measure(t, "export", func() error { return k.Export(t.Context(), e) })
	measure(t, "export again", func() error { return k.Export(t.Context(), e) })
	measure(t, "allow", func() error { return k.Allow(t.Context(), iqn1, i) })
	measure(t, "allow again", func() error { return k.Allow(t.Context(), iqn1, i) })
	list, err := k.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []TargetState{
		{IQN: iqn1, Device: disks[0], Serial: id1, Portals: e.Portals, Enabled: true, Initiators: []string{initiator}, Complete: true},
		{IQN: iqn2, Device: disks[1], Serial: id2, Portals: other.Portals, Enabled: true, Complete: true},
	}, list)
	group := iscsiDir + "/" + iqn1 + "/tpgt_1"
	for file, want := range map[string]string{
		group + "/enable":                                     "1",
		group + "/attrib/authentication":                      "1",
		group + "/attrib/generate_node_acls":                  "0",
		group + "/lun/lun_0/cinderlib/wwn/vpd_unit_serial":    "T10 VPD Unit Serial Number: " + id1,
		group + "/lun/lun_0/cinderlib/attrib/emulate_tpu":     "1",
		group + "/lun/lun_0/cinderlib/udev_path":              disks[0],
		group + "/acls/" + initiator + "/auth/userid":         "user1",
		group + "/acls/" + initiator + "/auth/password":       chap,
		group + "/acls/" + initiator + "/lun_0/write_protect": "0",
	} {
		assert.Equal(t, want, run(t, "cat %s", file), file)
	}

	t.Run("login", func(t *testing.T) {
		wrong := i
		wrong.Password = "wrong-secret-1"
		require.Error(t, login(t, iqn1, e.Portals[0], wrong))
		sessions, err := k.Sessions(t.Context(), iqn1)
		require.NoError(t, err)
		assert.Empty(t, sessions)
		require.NoError(t, login(t, iqn1, e.Portals[0], i))
		require.NoError(t, login(t, iqn1, e.Portals[1], i))
		waitFor(t, "two disks", func() bool { return len(sds(t, WWN(id1))) == 2 })
		sessions, err = k.Sessions(t.Context(), iqn1)
		require.NoError(t, err)
		assert.Equal(t, []Session{{Initiator: initiator, Addresses: []netip.Addr{netip.MustParseAddr("::1")}}}, sessions)
		sd := sds(t, WWN(id1))[0]
		assert.Equal(t, "3"+strings.TrimPrefix(WWN(id1), "naa."), run(t, "/lib/udev/scsi_id -g -u -d %s", sd))
		run(t, "dd if=/dev/urandom of=%s bs=1M count=4 oflag=direct 2>&1 && cmp -n 4194304 %s %s", sd, sd, disks[0])
		run(t, "blkdiscard -o 0 -l 1048576 %s", sd)

		// Nothing of it changes under a session.
		for _, changed := range []Export{{Serial: id2, Device: disks[0]}, {Serial: id1, Device: disks[2]}} {
			changed.IQN, changed.Portals = iqn1, e.Portals
			err := k.Export(t.Context(), changed)
			require.ErrorIs(t, err, fault.ErrInUse)
			assert.ErrorContains(t, err, initiator)
		}
		require.NoError(t, k.Export(t.Context(), e))

		// The same disk by another name.
		run(t, "ln -s %s /dev/renamed", disks[0])
		renamed := e
		renamed.Device = "/dev/renamed"
		require.NoError(t, k.Export(t.Context(), renamed))
		require.NoError(t, k.Export(t.Context(), e))

		// Read-only under a session, and back.
		reader := i
		reader.ReadOnly = true
		require.NoError(t, k.Allow(t.Context(), iqn1, reader))
		_, err = sh(t, "dd if=/dev/zero of=%s bs=4k count=1 oflag=direct", sd)
		require.Error(t, err)
		require.NoError(t, k.Allow(t.Context(), iqn1, i))
		run(t, "echo 1 >/sys/block/%s/device/rescan", filepath.Base(sd)) // udev may have had it looked at
		run(t, "dd if=/dev/zero of=%s bs=4k count=1 oflag=direct", sd)

		// A portal goes without the session that came by it.
		one := e
		one.Portals = e.Portals[:1]
		require.NoError(t, k.Export(t.Context(), one))
		assert.Len(t, sds(t, WWN(id1)), 2)
		run(t, "dd if=/dev/zero of=%s bs=4k count=1 oflag=direct", sds(t, WWN(id1))[1])
		require.NoError(t, k.Export(t.Context(), e))
		logout(t, iqn1, e.Portals[0])
		logout(t, iqn1, e.Portals[1])
	})

	t.Run("read-only", func(t *testing.T) {
		reader := i
		reader.ReadOnly = true
		require.NoError(t, k.Allow(t.Context(), iqn1, reader))
		require.NoError(t, login(t, iqn1, e.Portals[0], reader))
		waitFor(t, "a disk", func() bool { return len(sds(t, WWN(id1))) == 1 })
		sd := sds(t, WWN(id1))[0]
		assert.Equal(t, "1", run(t, "cat /sys/block/%s/ro", filepath.Base(sd)))
		_, err := sh(t, "dd if=/dev/zero of=%s bs=4k count=1 oflag=direct", sd)
		require.Error(t, err)
		logout(t, iqn1, e.Portals[0])
	})

	t.Run("second initiator", func(t *testing.T) {
		second := Initiator{IQN: "iqn.1993-08.org.debian:01:second", User: "user2", Password: chap, ReadOnly: true}
		measure(t, "allow second", func() error { return k.Allow(t.Context(), iqn1, second) })
		assert.Equal(t, "1", run(t, "cat %s/acls/%s/lun_0/write_protect", group, second.IQN))
		measure(t, "disallow second", func() error { return k.Disallow(t.Context(), iqn1, second.IQN) })
		assert.Equal(t, initiator, run(t, "ls %s/acls", group))
	})

	t.Run("other serial, device, mode", func(t *testing.T) {
		changed := e
		changed.Serial, changed.Device, changed.ReadOnly = "no-hex-ZZ-12AB", disks[2], true
		require.NoError(t, k.Export(t.Context(), changed))
		require.NoError(t, login(t, iqn1, e.Portals[0], i))
		waitFor(t, "a disk", func() bool { return len(sds(t, WWN(changed.Serial))) == 1 })
		assert.Equal(t, "1", run(t, "cat /sys/block/%s/ro", filepath.Base(sds(t, WWN(changed.Serial))[0])))
		logout(t, iqn1, e.Portals[0])
		require.NoError(t, k.Export(t.Context(), e))
		assert.Equal(t, "1", run(t, "cat %s/acls/%s/lun_0/write_protect", group, initiator), "the mode of the ACL is kept")
		require.NoError(t, k.Allow(t.Context(), iqn1, i))
	})

	t.Run("targetcli and rtslib", func(t *testing.T) { interop(t, k, e, other, initiator) })

	t.Run("disallow", func(t *testing.T) {
		require.NoError(t, login(t, iqn1, e.Portals[0], i))
		measure(t, "disallow in use", func() error { return k.Disallow(t.Context(), iqn1, strings.ToUpper(initiator)) })
		require.NoError(t, k.Disallow(t.Context(), iqn1, initiator))
		logout(t, iqn1, e.Portals[0])
		require.Error(t, login(t, iqn1, e.Portals[0], i))
	})

	t.Run("unexport", func(t *testing.T) {
		require.NoError(t, k.Allow(t.Context(), iqn1, i))
		require.NoError(t, login(t, iqn1, e.Portals[0], i))
		measure(t, "unexport in use", func() error { return k.Unexport(t.Context(), iqn1) })
		measure(t, "unexport again", func() error { return k.Unexport(t.Context(), iqn1) })
		logout(t, iqn1, e.Portals[0])
		measure(t, "unexport", func() error { return k.Unexport(t.Context(), iqn2) })
		assert.Equal(t, "discovery_auth", run(t, "cd %s && ls -d */ | tr -d /", iscsiDir))
		assert.Equal(t, "alua", run(t, "cd %s && ls -d */ | tr -d /", coreDir))
		_, err := sh(t, "ss -ltn | grep -E '326[0-9]'")
		require.Error(t, err, "nobody listens any more")
	})
}

// interop has targetcli and rtslib look at what we made, and make it again from
// what we saved.
func interop(t *testing.T, k *Kernel, e, other Export, initiator string) {
	require.NoError(t, k.Export(t.Context(), e))
	out := run(t, "targetcli ls")
	for _, want := range []string{iqn1, iqn2, initiator, "127.0.0.1:3260", "[::1]:3261", e.Device + " (", "mapped_lun0"} {
		assert.Contains(t, out, want)
	}
	file := debianFolder + "/saveconfig.json"
	ours := run(t, "cat %s", file)
	assert.Equal(t, "600 root", run(t, "stat -c '%%a %%U' %s", file))
	before, err := k.Targets(t.Context())
	require.NoError(t, err)

	run(t, "targetctl clear && targetctl restore")
	after, err := k.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, after)
	// Nothing is to be repaired but links that have another name.
	require.NoError(t, k.Export(t.Context(), e))
	require.NoError(t, k.Export(t.Context(), other))

	// What rtslib writes about the same, and that our saving leaves it alone.
	run(t, "targetcli saveconfig")
	theirs := run(t, "cat %s", file)
	contains(t, ours, theirs)
	require.NoError(t, k.Export(t.Context(), e))
	assert.Equal(t, theirs, run(t, "cat %s", file))
}

// contains: all that is in the one file is in the other.
func contains(t *testing.T, part, whole string) {
	t.Helper()
	var a, b any
	require.NoError(t, json.Unmarshal([]byte(part), &a))
	require.NoError(t, json.Unmarshal([]byte(whole), &b))
	assert.Empty(t, differences("", a, b))
}

func differences(at string, part, whole any) []string {
	switch p := part.(type) {
	case map[string]any:
		w, _ := whole.(map[string]any)
		var found []string
		for key, value := range p {
			found = append(found, differences(at+"/"+key, value, w[key])...)
		}
		return found
	case []any:
		w, _ := whole.([]any)
		if len(p) != len(w) {
			return []string{fmt.Sprintf("%s: %v, but %v", at, part, whole)}
		}
		var found []string
		for _, value := range p { // in any order
			if !slices.ContainsFunc(w, func(o any) bool { return len(differences("", value, o)) == 0 }) {
				found = append(found, fmt.Sprintf("%s: %v not in %v", at, value, whole))
			}
		}
		return found
	}
	if part != whole {
		return []string{fmt.Sprintf("%s: %v, but %v", at, part, whole)}
	}
	return nil
}

func TestKernelErrors(t *testing.T) {
	k, disks, _ := vm(t)
	require.NoError(t, k.Ready(t.Context()))
	e := Export{IQN: iqn1, Device: disks[0], Serial: id1, Portals: addr("127.0.0.1:3260")}
	clean := func(what string) {
		t.Helper()
		list, err := k.Targets(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list, what)
		assert.Equal(t, "alua", run(t, "cd %s && ls -d */ | tr -d /", coreDir), what)
	}
	refused := func(what string, e Export, want error, text string) {
		t.Helper()
		err := k.Export(t.Context(), e)
		t.Logf("%s: %v", what, err)
		require.ErrorIs(t, err, want, what)
		require.ErrorContains(t, err, text, what)
		clean(what)
	}
	with := func(change func(*Export)) Export {
		c := e
		change(&c)
		return c
	}
	run(t, "mkfs.ext4 -q %s && mkdir -p /mnt/x && mount %s /mnt/x", disks[0], disks[0])
	refused("mounted", e, fault.ErrInUse, disks[0])
	run(t, "umount /mnt/x && wipefs -a %s", disks[0])
	run(t, "dmsetup create hold --table '0 2048 linear %s 0'", disks[0])
	refused("held", e, fault.ErrInUse, "dm-")
	run(t, "dmsetup remove --retry hold")
	run(t, "blockdev --setro %s", disks[0])
	refused("read-only", e, fault.ErrPermission, disks[0])
	ro := with(func(e *Export) { e.ReadOnly = true })
	require.NoError(t, k.Export(t.Context(), ro))
	require.NoError(t, k.Unexport(t.Context(), iqn1))
	run(t, "blockdev --setrw %s", disks[0])
	refused("no device", with(func(e *Export) { e.Device = "/dev/nope" }), fault.ErrNotFound, "/dev/nope")
	refused("no block device", with(func(e *Export) { e.Device = "/dev/null" }), fault.ErrInvalid, "/dev/null")
	refused("iser", with(func(e *Export) { e.ISER = true }), fault.ErrPrecondition, "iSER")

	listener, err := new(netListener).open(t.Context(), "127.0.0.1:3277")
	require.NoError(t, err)
	refused("port taken", with(func(e *Export) { e.Portals = addr("127.0.0.1:3260", "127.0.0.1:3277") }), fault.ErrPrecondition, "127.0.0.1:3277")
	require.NoError(t, listener.Close())

	require.NoError(t, k.Export(t.Context(), with(func(e *Export) { e.Portals = addr("10.99.99.99:3260") })), "the kernel binds to addresses to come")
	require.NoError(t, k.Export(t.Context(), e))
	all := Export{IQN: iqn2, Device: disks[1], Serial: id2, Portals: addr("0.0.0.0:3260")}
	err = k.Export(t.Context(), all)
	t.Log(err)
	require.ErrorIs(t, err, fault.ErrPrecondition)
	require.NoError(t, k.Unexport(t.Context(), iqn1))
	require.NoError(t, k.Export(t.Context(), all))
	require.NoError(t, k.Unexport(t.Context(), iqn2))
	clean("at the end")

	// A file system that lacks something, as the fake has it.
	h := k.host()
	require.ErrorIs(t, h.write(t.Context(), iscsiDir+"/nothing", "1"), syscall.ENOENT)
	require.ErrorIs(t, h.mkdir(t.Context(), iscsiDir), syscall.EEXIST)
	require.ErrorIs(t, h.mkdir(t.Context(), coreDir+"/foo_0"), syscall.EINVAL)
	require.True(t, h.mounted(configDir))
	require.False(t, h.mounted("/etc"))
}

// TestKernelCrash kills the work after each of its steps, and repeats it.
func TestKernelCrash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the same steps, each of which a program does that is slow in a VM")
	}
	k, disks, _ := vm(t)
	require.NoError(t, k.Ready(t.Context()))
	e := Export{IQN: iqn1, Device: disks[0], Serial: id1, Portals: addr("127.0.0.1:3260", "[::1]:3261")}
	i := Initiator{IQN: "iqn.1993-08.org.debian:01:x", User: "u", Password: chap}
	snapshot := func() string {
		return run(t, "cd %s && find . -name '*statistics' -prune -o \\( -type d -o -type l \\) -print | grep -v /alua | sort", targetDir)
	}
	empty := snapshot()
	whole := func() error {
		return errors.Join(k.Export(t.Context(), e), k.Allow(t.Context(), iqn1, i))
	}
	require.NoError(t, whole())
	want := snapshot()
	require.NoError(t, k.Unexport(t.Context(), iqn1))
	assert.Equal(t, empty, snapshot())
	killed := 0
	for at := 1; ; at++ {
		dying := &mortal{files: k.host(), left: at}
		k.fs = dying
		err := whole()
		k.fs = nil
		if dying.left > 0 {
			require.NoError(t, err)
			break
		}
		killed++
		if at%2 == 0 {
			require.NoError(t, whole(), "killed after %d", at)
			require.Equal(t, want, snapshot(), "killed after %d", at)
		}
		dying = &mortal{files: k.host(), left: at / 2}
		k.fs = dying
		_ = k.Unexport(t.Context(), iqn1) // killed, mostly
		k.fs = nil
		require.NoError(t, k.Unexport(t.Context(), iqn1), "killed after %d", at)
		require.Equal(t, empty, snapshot(), "killed after %d", at)
	}
	require.NoError(t, k.Unexport(t.Context(), iqn1))
	t.Logf("killed %d times", killed)
}
