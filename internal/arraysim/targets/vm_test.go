// SPDX-License-Identifier: Apache-2.0

package targets_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// TestVMPlaneLife follows the bytes of a volume through all that a cluster does.
func TestVMPlaneLife(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", true)
	session := l.in(v.IQN, byCHAP())
	disk := l.disk(session, 0)
	assert.Equal(t, "naa."+strings.ToLower(v.ScsiNAADeviceID), l.sysfs(disk, "device/wwid"))
	assert.Equal(t, "SolidFir", l.sysfs(disk, "device/vendor"))
	assert.Equal(t, "SSD SAN", l.sysfs(disk, "device/model"))
	assert.Equal(t, "512", l.sysfs(disk, "queue/logical_block_size"))
	assert.Equal(t, int64(gib), l.bytes(disk))
	require.NoError(t, l.put(disk, 'a', 0))
	snapshot := l.number("snapshotID", "CreateSnapshot", object{"volumeID": v.VolumeID, "name": "s"})
	require.NoError(t, l.put(disk, 'b', 0))
	require.NoError(t, l.put(disk, 'b', gib-mib))
	assert.True(t, l.has(disk, 'b', 0))

	before := l.sockets()
	l.call("ModifyVolume", object{"volumeID": v.VolumeID, "totalSize": 3 * gib})
	l.grown(disk, 3*gib)
	require.NoError(t, l.put(disk, 'c', 3*gib-mib))
	assert.Equal(t, before, l.sockets(), "the session went on")
	l.out(session)

	l.call("RollbackToSnapshot", object{"volumeID": v.VolumeID, "snapshotID": snapshot, "saveCurrentState": true})
	session = l.in(v.IQN, byCHAP())
	disk = l.disk(session, 0)
	assert.Equal(t, int64(gib), l.bytes(disk))
	assert.True(t, l.has(disk, 'a', 0))
	assert.True(t, l.has(disk, 0, gib-mib))

	clone := l.seen(l.number("volumeID", "CloneVolume", object{
		"volumeID": v.VolumeID, "snapshotID": snapshot, "name": "c", "newSize": 2 * gib,
	}))
	cloned := l.disk(l.in(clone.IQN, byCHAP()), 0)
	assert.Equal(t, "naa."+clone.ScsiNAADeviceID, l.sysfs(cloned, "device/wwid"))
	assert.Equal(t, int64(2*gib), l.bytes(cloned))
	assert.True(t, l.has(cloned, 'a', 0))
	assert.True(t, l.has(cloned, 0, 2*gib-mib))
	require.NoError(t, l.put(cloned, 'd', 0))
	assert.True(t, l.has(disk, 'a', 0))

	// While a host is logged in.
	require.NoError(t, l.put(disk, 'e', 0))
	before = l.sockets()
	l.call("RollbackToSnapshot", object{"volumeID": v.VolumeID, "snapshotID": snapshot, "saveCurrentState": false})
	assert.True(t, l.has(disk, 'a', 0))
	assert.Equal(t, before, l.sockets())

	l.call("DeleteVolume", object{"volumeID": clone.VolumeID})
	require.Error(t, l.put(cloned, 'x', 0))
	l.sh("iscsiadm -m node -T %s -u", clone.IQN)
	_, err := l.login(clone.IQN, byCHAP())
	require.Error(t, err)
	l.call("PurgeDeletedVolume", object{"volumeID": clone.VolumeID})
	assert.NoFileExists(t, filepath.Join(l.dir, "volume-2"))
}

// TestVMPlaneDiscard: what a host discards is zeros, and a hole in the file.
func TestVMPlaneDiscard(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", true)
	disk := l.disk(l.in(v.IQN, byCHAP()), 0)
	used := func() int64 {
		info, err := os.Stat(filepath.Join(l.dir, "volume-1"))
		require.NoError(t, err)
		st, ok := info.Sys().(*syscall.Stat_t)
		require.True(t, ok)
		return st.Blocks * 512
	}
	for n := range int64(8) {
		require.NoError(t, l.put(disk, 'a', n*mib))
	}
	assert.GreaterOrEqual(t, used(), int64(8*mib))
	l.sh("blkdiscard -o 0 -l 7M /dev/%s", disk)
	assert.True(t, l.has(disk, 0, 6*mib))
	assert.True(t, l.has(disk, 'a', 7*mib))
	assert.Less(t, used(), int64(2*mib))
	l.sh("blkdiscard -z -o 7M -l 1M /dev/%s", disk)
	assert.True(t, l.has(disk, 0, 7*mib))
	l.sh("mkfs.ext4 -q /dev/%s", disk)
}

// TestVMPlane4096 has no emulation of blocks of 512 bytes.
func TestVMPlane4096(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", false)
	disk := l.disk(l.in(v.IQN, byCHAP()), 0)
	assert.Equal(t, "naa."+v.ScsiNAADeviceID, l.sysfs(disk, "device/wwid"))
	assert.Equal(t, "4096", l.sysfs(disk, "queue/logical_block_size"))
	assert.Equal(t, int64(gib), l.bytes(disk))
	require.NoError(t, l.put(disk, 'a', gib-mib))
	l.call("ModifyVolume", object{"volumeID": v.VolumeID, "totalSize": 2 * gib})
	l.grown(disk, 2*gib)
	assert.True(t, l.has(disk, 'a', gib-mib))
	assert.True(t, l.has(disk, 0, 2*gib-mib))
	require.NoError(t, l.put(disk, 'b', 2*gib-mib))
}

// TestVMPlaneWhoMayLogIn: by CHAP all, without those of a volume access group.
func TestVMPlaneWhoMayLogIn(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", true)
	refused := func(w way) {
		t.Helper()
		_, err := l.login(v.IQN, w)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "canary")
		t.Log(err)
	}
	elsewhere := func(w way) way { w.iface = "other"; return w }
	wrong := way{user: user, password: "canary-wrong"}
	refused(way{})
	refused(wrong)
	refused(way{user: "prj2", password: secret})

	mine := l.in(v.IQN, byCHAP())
	require.NoError(t, l.put(l.disk(mine, 0), 'a', 0))
	before := l.sockets()
	require.Len(t, before, 1)
	g := l.number("volumeAccessGroupID", "CreateVolumeAccessGroup", object{"name": "g", "initiators": []string{other}, "volumes": []int64{v.VolumeID}})
	assert.Equal(t, before, l.sockets(), "another one's access")
	theirs := l.in(v.IQN, elsewhere(way{}))
	assert.True(t, l.has(l.disk(theirs, 0), 'a', 0))
	l.out(theirs)
	theirs = l.in(v.IQN, elsewhere(byCHAP()))
	both := l.sockets()
	require.Len(t, both, 2)

	l.call("AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": g, "initiators": []string{l.initiator}})
	assert.Equal(t, both, l.sockets(), "one that is logged in becomes a member")
	require.NoError(t, l.put(l.disk(mine, 0), 'b', 0))
	assert.True(t, l.has(l.disk(theirs, 0), 'b', 0))
	l.out(mine)
	mine = l.in(v.IQN, way{})
	require.NoError(t, l.put(l.disk(mine, 0), 'c', 0))
	l.out(mine)
	l.out(theirs)
	l.out(l.in(v.IQN, wrong)) // this is as near as LIO comes to it

	mine, theirs = l.in(v.IQN, byCHAP()), l.in(v.IQN, elsewhere(way{}))
	disk, lost := l.disk(mine, 0), l.disk(theirs, 0)
	l.call("RemoveInitiatorsFromVolumeAccessGroup", object{"volumeAccessGroupID": g, "initiators": []string{other, l.initiator}})
	require.NoError(t, l.put(disk, 'd', 0), "it logs in anew by itself")
	require.Error(t, l.put(lost, 'x', 0))
	assert.True(t, l.has(disk, 'd', 0))
	l.out(mine)
	l.out(theirs)
	refused(way{})
	refused(elsewhere(way{}))
	mine = l.in(v.IQN, byCHAP())
	before = l.sockets()
	l.call("ModifyAccount", object{"accountID": l.account, "initiatorSecret": "canary-other"})
	assert.Equal(t, before, l.sockets(), "the secret counts at the next login")
	l.out(mine)
	refused(byCHAP())
	l.out(l.in(v.IQN, way{user: user, password: "canary-other"}))

	// Who was in without an entry gets one.
	l.call("AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": g, "initiators": []string{l.initiator}})
	l.out(l.in(v.IQN, way{}))
}

// TestVMPlaneReadOnly changes the access to a volume that is in use.
func TestVMPlaneReadOnly(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", true)
	session := l.in(v.IQN, byCHAP())
	disk := l.disk(session, 0)
	require.NoError(t, l.put(disk, 'a', 0))
	before := l.sockets()
	l.call("ModifyVolume", object{"volumeID": v.VolumeID, "access": "readOnly"})
	assert.Equal(t, before, l.sockets())
	require.Error(t, l.put(disk, 'b', 0))
	assert.True(t, l.has(disk, 'a', 0))
	l.out(session)
	session = l.in(v.IQN, byCHAP())
	disk = l.disk(session, 0)
	assert.Equal(t, "1", l.sysfs(disk, "ro"))
	require.Error(t, l.put(disk, 'b', 0))
	l.out(session)
	l.call("ModifyVolume", object{"volumeID": v.VolumeID, "access": "locked"})
	_, err := l.login(v.IQN, byCHAP())
	require.Error(t, err)
	l.call("ModifyVolume", object{"volumeID": v.VolumeID, "access": "readWrite"})
	disk = l.disk(l.in(v.IQN, byCHAP()), 0)
	require.NoError(t, l.put(disk, 'b', 0))
}

// lun describes a volume as arrays with fixed targets do.
func lun(number int, id string) arraysim.LUN {
	return arraysim.LUN{
		Number: number, Volume: id, Bytes: 64 * mib, BlockSize: 512, Serial: "serial of " + id,
		NAA: "6514f0c50a1b2c3d4e5f60718293a4" + map[string]string{"one": "01", "two": "02", "three": "03"}[id], Vendor: "XtremIO", Product: "XtremApp",
	}
}

// TestVMPlaneFixedTargets: two targets, and two initiators that see several LUNs.
func TestVMPlaneFixedTargets(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	for _, id := range []string{"one", "two", "three"} {
		require.NoError(t, l.plane.Create(ctx, volume(id, 64*mib)))
	}
	mutual := &arraysim.CHAP{User: "u", Password: "canary-password", TargetUser: "t", TargetPassword: "canary-of-target"}
	iqns := []string{"iqn.2008-05.com.xtremio:x1-sc1", "iqn.2008-05.com.xtremio:x1-sc2"}
	portals := []string{portal, "[::1]:3260"}
	expose := func(mine, theirs []arraysim.LUN) {
		t.Helper()
		for i, iqn := range iqns {
			access := []arraysim.Access{{Initiator: strings.ToUpper(l.initiator), CHAP: mutual, LUNs: mine}}
			if theirs != nil {
				access = append(access, arraysim.Access{Initiator: other, LUNs: theirs})
			}
			require.NoError(t, l.plane.Expose(ctx, arraysim.Target{IQN: iqn, Portals: portals[i : i+1], Access: access}))
		}
	}
	expose([]arraysim.LUN{lun(1, "one")}, []arraysim.LUN{lun(1, "two")})

	byBoth := way{user: "u", password: "canary-password", userIn: "t", passwordIn: "canary-of-target"}
	_, err := l.login(iqns[0], way{user: "u", password: "canary-password", userIn: "t", passwordIn: "canary-wrong-target"})
	require.Error(t, err)
	_, err = l.login(iqns[0], way{})
	require.Error(t, err)
	first := l.in(iqns[0], byBoth)
	byBoth.portal = portals[1]
	second := l.in(iqns[1], byBoth)
	theirs := l.in(iqns[0], way{iface: "other"})
	a, b, c := l.disk(first, 1), l.disk(second, 1), l.disk(theirs, 1)
	assert.Equal(t, "naa."+lun(1, "one").NAA, l.sysfs(a, "device/wwid"))
	assert.Equal(t, l.sysfs(a, "device/wwid"), l.sysfs(b, "device/wwid"))
	assert.Contains(t, l.sysfs(a, "device/vpd_pg80"), lun(1, "one").NAA[7:], "the serial says otherwise, and gives way")
	assert.Equal(t, "naa."+lun(1, "two").NAA, l.sysfs(c, "device/wwid"))
	require.NoError(t, l.put(a, '1', 0))
	require.NoError(t, l.put(c, '2', 0))
	assert.True(t, l.has(b, '1', 0))

	found := func(iface string) string {
		t.Helper()
		list, _ := l.try("iscsiadm -m discoverydb -t st -p %s -I %s -o nonpersistent -D", portal, iface)
		return list
	}
	assert.Contains(t, found("default"), iqns[0])
	assert.Contains(t, found("other"), iqns[0])

	// More, the same once more, and less.
	before := l.sockets()
	readOnly := lun(7, "two")
	readOnly.ReadOnly = true
	for range 2 {
		expose([]arraysim.LUN{lun(1, "one"), readOnly, lun(2, "three")}, []arraysim.LUN{lun(1, "two")})
	}
	l.sh("iscsiadm -m session -R")
	assert.Equal(t, []string{"1", "2", "7"}, l.luns(first))
	assert.Equal(t, []string{"1"}, l.luns(theirs))
	assert.True(t, l.has(l.disk(first, 7), '2', 0))
	require.Error(t, l.put(l.disk(first, 7), 'x', 0))
	require.NoError(t, l.put(l.disk(second, 2), '3', 0))
	expose([]arraysim.LUN{lun(1, "one")}, []arraysim.LUN{lun(1, "two")})
	require.Error(t, l.put(l.disk(second, 2), 'x', 0))
	require.NoError(t, l.put(a, '4', 0))
	assert.True(t, l.has(c, '2', 0))
	assert.Equal(t, before, l.sockets())
	require.ErrorIs(t, l.plane.Delete(ctx, "one"), fault.ErrInUse)
	require.NoError(t, l.plane.Delete(ctx, "three"), "no target shows it any more")

	// An initiator without an entry has no session.
	expose([]arraysim.LUN{lun(1, "one")}, nil)
	require.Error(t, l.put(c, 'x', 0))
	l.sh("iscsiadm -m node -T %s -I other -u", iqns[0])
	_, err = l.login(iqns[0], way{iface: "other"})
	require.Error(t, err)
	assert.NotContains(t, found("other"), iqns[0])
	require.NoError(t, l.put(a, '5', 0))

	for range 2 {
		require.NoError(t, l.plane.Hide(ctx, iqns[0]))
	}
	require.NoError(t, l.put(b, '6', 0))
}

// TestVMPlaneFails: an Expose that fails leaves what was before.
func TestVMPlaneFails(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	require.NoError(t, l.plane.Create(ctx, volume("one", 64*mib)))
	taken, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address+":3999")
	require.NoError(t, err)
	defer taken.Close()
	target := arraysim.Target{
		IQN: "iqn.2008-05.com.xtremio:x1", Portals: []string{portal},
		Access: []arraysim.Access{{Initiator: l.initiator, LUNs: []arraysim.LUN{lun(1, "one")}}},
	}
	bad := target
	bad.Portals = []string{address + ":3999"}
	err = l.plane.Expose(ctx, bad)
	require.ErrorIs(t, err, fault.ErrPrecondition)
	t.Log(err)
	assert.NoDirExists(t, "/sys/kernel/config/target/iscsi/"+target.IQN)

	require.NoError(t, l.plane.Expose(ctx, target))
	session := l.in(target.IQN, way{})
	disk := l.disk(session, 1)
	before := l.sockets()
	bad.Access = append(bad.Access, arraysim.Access{Initiator: other})
	require.ErrorIs(t, l.plane.Expose(ctx, bad), fault.ErrPrecondition)
	missing := target
	missing.Access = []arraysim.Access{{Initiator: l.initiator, LUNs: []arraysim.LUN{lun(1, "one"), lun(2, "two")}}}
	require.ErrorIs(t, l.plane.Expose(ctx, missing), os.ErrNotExist)
	require.NoError(t, l.put(disk, 'a', 0))
	assert.Equal(t, before, l.sockets())
	_, err = l.login(target.IQN, way{iface: "other"})
	require.Error(t, err)

	// Other identifiers, and other bytes, under the same number.
	changed := lun(1, "one")
	changed.NAA = lun(1, "three").NAA
	target.Access[0].LUNs = []arraysim.LUN{changed}
	require.NoError(t, l.plane.Expose(ctx, target))
	l.out(session)
	assert.Equal(t, "naa."+changed.NAA, l.sysfs(l.disk(l.in(target.IQN, way{}), 1), "device/wwid"))
}

// TestVMPlaneClose: whatever goes on, and after a Plane that was killed.
func TestVMPlaneClose(t *testing.T) {
	l := newLab(t)
	v := l.create("v1", true)
	l.call("CreateVolumeAccessGroup", object{"name": "g", "initiators": []string{other}, "volumes": []int64{v.VolumeID}})
	require.NoError(t, l.put(l.disk(l.in(v.IQN, byCHAP()), 0), 'a', 0))
	l.in(v.IQN, way{iface: "other"})

	l.sh("iscsiadm -m node -u")
	l.plane = l.open() // on what the first one has left
	require.NoError(t, l.plane.Create(t.Context(), volume("one", 64*mib)))
	require.NoError(t, l.plane.Expose(t.Context(), arraysim.Target{
		IQN: "iqn.2008-05.com.xtremio:x1", Portals: []string{portal}, Access: []arraysim.Access{{LUNs: []arraysim.LUN{lun(0, "one")}}},
	}))
	found, err := filepath.Glob("/sys/kernel/config/target/iscsi/iqn.*")
	require.NoError(t, err)
	assert.Len(t, found, 1)
	stores, err := filepath.Glob("/sys/kernel/config/target/core/fileio_*/*/udev_path")
	require.NoError(t, err)
	assert.Len(t, stores, 1)
	session := l.in("iqn.2008-05.com.xtremio:x1", way{})
	l.disk(session, 0)

	require.NoError(t, l.plane.Close(context.WithoutCancel(t.Context())))
	require.NoError(t, l.plane.Close(t.Context()))
	l.sh("iscsiadm -m node -u; iscsiadm -m node -o delete")
	require.NoError(t, os.Remove(filepath.Join(l.dir, "volume-1")), "the first one's")
	require.NoError(t, os.Remove(l.dir))
	l.nothingLeft()
}

// TestVMPlaneDemoOff: nobody stays in who came without an entry.
func TestVMPlaneDemoOff(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	require.NoError(t, l.plane.Create(ctx, volume("one", 64*mib)))
	luns := []arraysim.LUN{lun(3, "one")}
	target := arraysim.Target{IQN: "iqn.2008-05.com.xtremio:x1", Portals: []string{portal}, Access: []arraysim.Access{{LUNs: luns}}}
	require.NoError(t, l.plane.Expose(ctx, target))
	mine, theirs := l.in(target.IQN, way{}), l.in(target.IQN, way{iface: "other"})
	a, b := l.disk(mine, 3), l.disk(theirs, 3)
	before := l.sockets()
	target.Access = []arraysim.Access{{Initiator: l.initiator, LUNs: luns}}
	require.NoError(t, l.plane.Expose(ctx, target))
	require.NoError(t, l.put(a, 'a', 0))
	require.Error(t, l.put(b, 'b', 0))
	for _, s := range l.sockets() {
		assert.Contains(t, before, s, "no new login")
	}
	l.sh("iscsiadm -m node -T %s -I other -u", target.IQN)
	_, err := l.login(target.IQN, way{iface: "other"})
	require.Error(t, err)
	l.out(mine)
	l.out(l.in(target.IQN, way{}))
}
