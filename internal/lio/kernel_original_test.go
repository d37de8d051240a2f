// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

// rtstool makes a target as cinder-rtstool does; rtslib gives the backstore a
// random serial.
const rtstool = `/usr/bin/python3 - %s %s %s %s <<'X'
import sys
import rtslib_fb as r
iqn, disk, initiator, password = sys.argv[1:]
so = r.BlockStorageObject(name=iqn, dev=disk)
tpg = r.TPG(r.Target(r.FabricModule("iscsi"), iqn, "create"), mode="create")
tpg.set_attribute("authentication", "1")
lun = r.LUN(tpg, storage_object=so)
acl = r.NodeACL(tpg, initiator, mode="create")
acl.chap_userid, acl.chap_password = "original", password
r.MappedLUN(acl, lun.lun, lun.lun)
tpg.enable = 1
r.NetworkPortal(tpg, "127.0.0.1", 3260, mode="any")
r.RTSRoot().save_to_file()
print(so.wwn)
X`

// TestKernelOriginal: the target that the original made for a volume is taken
// over, but not from under a session.
func TestKernelOriginal(t *testing.T) {
	k, disks, _ := vm(t)
	require.NoError(t, k.Ready(t.Context()))
	initiator := run(t, "sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
	first := Initiator{IQN: initiator, User: "original", Password: chap}
	second := Initiator{IQN: "iqn.1993-08.org.debian:01:second", User: "user2", Password: chap, ReadOnly: true}
	e := Export{IQN: iqn1, Device: disks[0], Serial: id1, Portals: addr("127.0.0.1:3260"), Discard: true}
	serial := run(t, rtstool, iqn1, disks[0], initiator, chap)
	require.NotEqual(t, id1, serial)
	state := func() TargetState {
		t.Helper()
		list, err := k.Targets(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	original := TargetState{IQN: iqn1, Device: disks[0], Serial: serial, Portals: e.Portals, Enabled: true, Initiators: []string{initiator}, Complete: true}
	assert.Equal(t, original, state())

	// In use, its serial stays, and all that is none of the disk's works.
	require.NoError(t, login(t, iqn1, e.Portals[0], first))
	waitFor(t, "a disk", func() bool { return len(sds(t, WWN(serial))) == 1 })
	sd := sds(t, WWN(serial))[0]
	write := func() {
		t.Helper()
		run(t, "dd if=/dev/zero of=%s bs=4k count=1 oflag=direct", sd)
	}
	err := k.Export(t.Context(), e)
	require.ErrorIs(t, err, fault.ErrInUse)
	require.ErrorContains(t, err, initiator)
	assert.Equal(t, original, state())
	require.NoError(t, k.Allow(t.Context(), iqn1, second))
	assert.Equal(t, []string{second.IQN, initiator}, state().Initiators)
	require.NoError(t, k.Disallow(t.Context(), iqn1, second.IQN))
	require.NoError(t, k.Allow(t.Context(), iqn1, first))
	assert.Equal(t, original, state())
	write()
	logout(t, iqn1, e.Portals[0])

	// Then it is taken over, and whom the original let in still is.
	require.NoError(t, k.Export(t.Context(), e))
	ours := original
	ours.Serial = id1
	assert.Equal(t, ours, state())
	require.NoError(t, login(t, iqn1, e.Portals[0], first))
	waitFor(t, "a disk", func() bool { return len(sds(t, WWN(id1))) == 1 })
	sd = sds(t, WWN(id1))[0]
	write()
	require.NoError(t, k.Export(t.Context(), e))
	file := "/etc/rtslib-fb-target/saveconfig.json"
	run(t, "grep -q %s %s && ! grep -q %s %s", id1, file, serial, file)
	logout(t, iqn1, e.Portals[0])
	clean := func() {
		t.Helper()
		list, err := k.Targets(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
		assert.Equal(t, "alua", run(t, "cd %s && ls -d */ | tr -d /", coreDir))
		_, err = sh(t, "grep %s %s", iqn1, file)
		exit := new(exec.ExitError)
		require.ErrorAs(t, err, &exit)
	}
	require.NoError(t, k.Unexport(t.Context(), iqn1))
	clean()

	// What the original made can be taken back without that, in use or not.
	for _, end := range []func() error{
		func() error { return k.Disallow(t.Context(), iqn1, initiator) },
		func() error { return nil },
	} {
		serial = run(t, rtstool, iqn1, disks[0], initiator, chap)
		require.NoError(t, login(t, iqn1, e.Portals[0], first))
		waitFor(t, "a disk", func() bool { return len(sds(t, WWN(serial))) == 1 })
		require.NoError(t, end())
		require.NoError(t, k.Unexport(t.Context(), iqn1))
		clean()
		logout(t, iqn1, e.Portals[0])
	}
}
