// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lock"
)

const (
	prefix = "iqn.2010-10.org.openstack:"
	iqn1   = prefix + "volume-1"
	iqn2   = prefix + "volume-2"
	id1    = "41f67c5d-5e05-470f-b143-9481563a24fb"
	id2    = "52a7d6e0-1111-4222-8333-123456789abc"
	host1  = "iqn.1993-08.org.debian:01:abc"
	host2  = "iqn.1993-08.org.debian:01:def"
	canary = "xyzzy-canary-1"
)

// world is a host with a fake kernel.
type world struct {
	*fakeKernel
	*Kernel
	logs *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	f := newFake()
	for i, name := range []string{"/dev/vg/v1", "/dev/vg/v2", "/dev/vg/v3"} {
		f.devices[name] = &fakeDevice{device: device{253, uint32(i + 1)}, discard: i != 1}
	}
	w := &world{fakeKernel: f, logs: &bytes.Buffer{}}
	locks := &lock.Keyed{}
	w.Kernel = &Kernel{
		fs: f.through(), Lock: locks.Lock, Modprobe: f.modprobe,
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	t.Cleanup(func() {
		assert.Empty(t, f.wrong)
		assert.NotContains(t, w.logs.String(), canary)
	})
	return w
}

func addr(texts ...string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, s := range texts {
		list = append(list, netip.MustParseAddrPort(s))
	}
	return list
}

func export1() Export {
	return Export{IQN: iqn1, Device: "/dev/vg/v1", Serial: id1, Portals: addr("10.0.0.1:3260", "[::1]:3260"), Discard: true}
}

func export2() Export {
	return Export{IQN: iqn2, Device: "/dev/vg/v2", Serial: id2, Portals: addr("10.0.0.1:3260")}
}

func initiator1() Initiator { return Initiator{IQN: host1, User: "user1", Password: canary} }

func (w *world) get(p string) string {
	w.fakeKernel.mu.Lock()
	defer w.fakeKernel.mu.Unlock()
	n := w.nodes[p]
	switch {
	case n == nil:
		return "absent"
	case n.read != nil:
		return n.read()
	case n.target != "":
		return n.target
	}
	return n.value
}

func TestExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.Export(t.Context(), export1()))
	store, group := coreDir+"/iblock_0/"+iqn1, iscsiDir+"/"+iqn1+"/tpgt_1"
	for p, want := range map[string]string{
		store + "/enable":                      "1",
		store + "/udev_path":                   "/dev/vg/v1",
		store + "/wwn/vpd_unit_serial":         "T10 VPD Unit Serial Number: " + id1,
		store + "/attrib/emulate_tpu":          "1",
		group + "/enable":                      "1",
		group + "/attrib/authentication":       "1",
		group + "/attrib/generate_node_acls":   "0",
		group + "/lun/lun_0/cinderlib":         store,
		group + "/np/10.0.0.1:3260/iser":       "0",
		group + "/np/[::1]:3260/iser":          "0",
		coreDir + "/iblock_1":                  "absent",
		store + "/attrib/emulate_write_cache":  "0",
		group + "/np/10.0.0.1:3260/cxgbit":     "0",
		iscsiDir + "/" + iqn1 + "/tpgt_1/acls": "",
	} {
		assert.Equal(t, want, w.get(p), p)
	}
	first, calls := w.String(), w.calls
	w.calls = 0
	require.NoError(t, w.Export(t.Context(), export1()))
	assert.Equal(t, first, w.String())
	t.Logf("first export %d calls, second %d", calls, w.calls)

	require.NoError(t, w.Export(t.Context(), export2()))
	assert.Equal(t, "0", w.get(coreDir+"/iblock_1/"+iqn2+"/attrib/emulate_tpu"))
	list, err := w.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []TargetState{
		{IQN: iqn1, Device: "/dev/vg/v1", Serial: id1, Portals: export1().Portals, Enabled: true, Complete: true},
		{IQN: iqn2, Device: "/dev/vg/v2", Serial: id2, Portals: export2().Portals, Enabled: true, Complete: true},
	}, list)
	both := w.String()

	// The index of a removed one is used again.
	require.NoError(t, w.Unexport(t.Context(), iqn1))
	assert.NotContains(t, w.String(), iqn1)
	assert.Contains(t, w.String(), "/core/iblock_1/")
	require.NoError(t, w.Unexport(t.Context(), iqn1))
	require.NoError(t, w.Export(t.Context(), export1()))
	assert.Equal(t, both, w.String())
}

func TestExportChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.Export(t.Context(), export1()))
	reader := initiator1()
	reader.ReadOnly = true
	writer := initiator1()
	writer.IQN = strings.ToUpper(host2)
	require.NoError(t, w.Allow(t.Context(), iqn1, reader))
	require.NoError(t, w.Allow(t.Context(), iqn1, writer))
	group := iscsiDir + "/" + iqn1 + "/tpgt_1"
	require.True(t, w.login(iqn1, host1))

	// What sessions survive is done under them.
	e := export1()
	e.Discard = false
	e.Portals = addr("127.0.0.1:3261", "10.0.0.1:3260")
	require.NoError(t, w.Export(t.Context(), e))
	assert.Equal(t, "absent", w.get(group+"/np/[::1]:3260"))
	assert.Equal(t, "0", w.get(group+"/np/127.0.0.1:3261/iser"))
	assert.Equal(t, "0", w.get(coreDir+"/iblock_0/"+iqn1+"/attrib/emulate_tpu"))

	// The same device under another name.
	w.devices["/dev/vg/renamed"] = w.devices["/dev/vg/v1"]
	e.Device = "/dev/vg/renamed"
	require.NoError(t, w.Export(t.Context(), e))
	assert.Equal(t, "/dev/vg/renamed", w.get(coreDir+"/iblock_0/"+iqn1+"/udev_path"))
	sessions, err := w.Sessions(t.Context(), iqn1)
	require.NoError(t, err)
	assert.Equal(t, []Session{{Initiator: host1, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}}, sessions)

	// Another device, serial or mode is not.
	before := w.String()
	for _, other := range []func(*Export){
		func(e *Export) { e.Device = "/dev/vg/v3" },
		func(e *Export) { e.Serial = id2 },
		func(e *Export) { e.ReadOnly = true },
	} {
		changed := e
		other(&changed)
		err = w.Export(t.Context(), changed)
		require.ErrorIs(t, err, fault.ErrInUse)
		assert.ErrorContains(t, err, host1)
		assert.Equal(t, before, w.String())
	}

	// Without a session it is, and the initiators stay what they were.
	w.nodes[group+"/acls/"+host1].session = nil
	e.Device, e.Serial, e.ReadOnly = "/dev/vg/v3", id2, true
	require.NoError(t, w.Export(t.Context(), e))
	assert.Equal(t, "1\n", w.get(group+"/acls/"+host1+"/lun_0/write_protect"))
	assert.Equal(t, "0\n", w.get(group+"/acls/"+host2+"/lun_0/write_protect"))
	assert.Equal(t, canary, w.get(group+"/acls/"+host1+"/auth/password"))
	list, err := w.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []TargetState{{
		IQN: iqn1, Device: "/dev/vg/v3", Serial: id2, Enabled: true, Complete: true,
		Portals: addr("10.0.0.1:3260", "127.0.0.1:3261"), Initiators: []string{host1, host2},
	}}, list)
	assert.Empty(t, w.devices["/dev/vg/v1"].holder)
	require.NoError(t, w.Unexport(t.Context(), iqn1))
	assert.NotContains(t, w.String(), iqn1)
	assert.NotContains(t, w.String(), "iblock")
}

func TestExportErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.devices["/dev/null"] = &fakeDevice{plain: true}
	w.devices["/dev/vg/held"] = &fakeDevice{device: device{253, 7}, holder: "dm-9"}
	w.devices["/dev/vg/mounted"] = &fakeDevice{device: device{253, 8}, holder: "ext4"}
	w.devices["/dev/vg/ro"] = &fakeDevice{device: device{253, 9}, readOnly: true}
	w.taken[netip.MustParseAddrPort("10.0.0.1:80")] = true
	require.NoError(t, w.Export(t.Context(), export2()))
	for name, c := range map[string]struct {
		change func(*Export)
		want   error
		text   string
	}{
		"no device":      {func(e *Export) { e.Device = "/dev/vg/none" }, fault.ErrNotFound, "/dev/vg/none"},
		"no block":       {func(e *Export) { e.Device = "/dev/null" }, fault.ErrInvalid, "not a block device"},
		"comma":          {func(e *Export) { e.Device = "/dev/a,b" }, fault.ErrInvalid, "commas"},
		"relative":       {func(e *Export) { e.Device = "dev/a" }, fault.ErrInvalid, "absolute"},
		"held":           {func(e *Export) { e.Device = "/dev/vg/held" }, fault.ErrInUse, "held by dm-9"},
		"mounted":        {func(e *Export) { e.Device = "/dev/vg/mounted" }, fault.ErrInUse, "mounted"},
		"read-only":      {func(e *Export) { e.Device = "/dev/vg/ro" }, fault.ErrPermission, "only be read"},
		"other target's": {func(e *Export) { e.Device = "/dev/vg/v2" }, fault.ErrInUse, "/dev/vg/v2"},
		"name":           {func(e *Export) { e.IQN = "volume-1" }, fault.ErrInvalid, "volume-1"},
		"serial":         {func(e *Export) { e.Serial = "a\nb" }, fault.ErrInvalid, "serial"},
		"no portal":      {func(e *Export) { e.Portals = nil }, fault.ErrInvalid, "portal"},
		"port 0":         {func(e *Export) { e.Portals = addr("10.0.0.1:0") }, fault.ErrInvalid, "10.0.0.1:0"},
		"port taken":     {func(e *Export) { e.Portals = addr("127.0.0.1:3260", "10.0.0.1:80") }, fault.ErrPrecondition, "10.0.0.1:80"},
		"on all":         {func(e *Export) { e.Portals = addr("0.0.0.0:3260") }, fault.ErrPrecondition, "0.0.0.0:3260"},
		"iser":           {func(e *Export) { e.ISER = true }, fault.ErrPrecondition, "ib_isert"},
	} {
		before := w.String()
		e := export1()
		c.change(&e)
		err := w.Export(t.Context(), e)
		require.ErrorIs(t, err, c.want, name)
		assert.ErrorContains(t, err, c.text, name)
		assert.Equal(t, before, w.String(), name)
	}
	// An address that the host will have later is fine with the kernel.
	e := export1()
	e.Portals = addr("10.9.9.9:3260")
	require.NoError(t, w.Export(t.Context(), e))
	assert.Contains(t, w.logs.String(), "10.9.9.9")
	e.Portals = addr("10.0.0.1:3260", "[::ffff:10.0.0.1]:3260")
	require.NoError(t, w.Export(t.Context(), e))
	assert.Equal(t, "absent", w.get(iscsiDir+"/"+iqn1+"/tpgt_1/np/10.9.9.9:3260"))
	e.Portals = addr("0.0.0.0:3260")
	require.NoError(t, w.Unexport(t.Context(), iqn2))
	require.NoError(t, w.Export(t.Context(), e))
	before := w.String()
	e.Portals = addr("10.0.0.1:3260", "10.0.0.1:80")
	require.ErrorIs(t, w.Export(t.Context(), e), fault.ErrPrecondition)
	assert.Equal(t, before, w.String())
	e.Portals = addr("10.0.0.1:3260")
	require.NoError(t, w.Export(t.Context(), e))
	w.rdma = true
	e.ISER = true
	require.NoError(t, w.Export(t.Context(), e))
	assert.Equal(t, "1", w.get(iscsiDir+"/"+iqn1+"/tpgt_1/np/10.0.0.1:3260/iser"))
	require.NoError(t, w.Unexport(t.Context(), iqn1))
}

// What others made by hand, what the original left half made.
func TestExportRepairs(t *testing.T) {
	t.Parallel()
	store, group := coreDir+"/iblock_0/"+iqn1, iscsiDir+"/"+iqn1+"/tpgt_1"
	for name, hurt := range map[string]func(w *world){
		"disabled":          func(w *world) { assert.NoError(t, w.write(t.Context(), group+"/enable", "0")) },
		"open to all":       func(w *world) { assert.NoError(t, w.write(t.Context(), group+"/attrib/generate_node_acls", "1")) },
		"no authentication": func(w *world) { assert.NoError(t, w.write(t.Context(), group+"/attrib/authentication", "0")) },
		"no portal":         func(w *world) { assert.NoError(t, w.rmdir(t.Context(), group+"/np/[::1]:3260")) },
		"no LUN link":       func(w *world) { assert.NoError(t, w.unlink(t.Context(), group+"/lun/lun_0/cinderlib")) },
		"no target": func(w *world) {
			assert.NoError(t, w.change(t.Context(), "", iqn1, func(ctx context.Context, t *tree) error { return t.removeTarget(ctx, iqn1) }))
		},
		"no backstore": func(w *world) {
			assert.NoError(t, w.unlink(t.Context(), group+"/lun/lun_0/cinderlib"))
			assert.NoError(t, w.rmdir(t.Context(), store))
		},
		"empty adapter": func(w *world) {
			assert.NoError(t, w.Unexport(t.Context(), iqn1))
			assert.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_0"))
		},
		"backstore not enabled": func(w *world) {
			assert.NoError(t, w.Unexport(t.Context(), iqn1))
			assert.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_3"))
			assert.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_3/"+iqn1))
		},
		"original's stale backstore": func(w *world) {
			assert.NoError(t, w.Unexport(t.Context(), iqn1))
			assert.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_3"))
			s := coreDir + "/iblock_3/" + iqn1
			assert.NoError(t, w.mkdir(t.Context(), s))
			assert.NoError(t, w.write(t.Context(), s+"/control", "udev_path=/dev/vg/v3"))
			assert.NoError(t, w.write(t.Context(), s+"/enable", "1"))
			assert.NoError(t, w.mkdir(t.Context(), s+"/alua/mine"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.NoError(t, w.Export(t.Context(), export1()))
			want := w.String()
			hurt(w)
			require.NotEqual(t, want, w.String())
			require.NoError(t, w.Export(t.Context(), export1()))
			assert.Equal(t, want, w.String())
		})
	}
}

// The target that the original made: the serial is random, links are named
// otherwise. Export takes it over unless somebody is logged in.
func TestOriginal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, group := coreDir+"/iblock_4/"+iqn1, iscsiDir+"/"+iqn1+"/tpgt_1"
	acl := group + "/acls/" + host1
	for _, dir := range []string{coreDir + "/iblock_4", store, path1, group, group + "/lun/lun_0", group + "/np/0.0.0.0:3260", acl, acl + "/lun_0"} {
		require.NoError(t, w.mkdir(t.Context(), dir))
		if dir == store {
			for _, file := range [][2]string{{"udev_path", "/dev/vg/v1"}, {"control", "udev_path=/dev/vg/v1"}, {"enable", "1"}, {"wwn/vpd_unit_serial", id2}} {
				require.NoError(t, w.write(t.Context(), store+"/"+file[0], file[1]))
			}
		}
	}
	require.NoError(t, w.symlink(t.Context(), store, group+"/lun/lun_0/0a1b2c3d4e"))
	require.NoError(t, w.symlink(t.Context(), group+"/lun/lun_0", acl+"/lun_0/5f6a7b8c9d"))
	require.NoError(t, w.write(t.Context(), acl+"/auth/userid", "original"))
	require.NoError(t, w.write(t.Context(), acl+"/auth/password", "original-"+canary))
	require.NoError(t, w.write(t.Context(), group+"/enable", "1"))
	original := w.String()

	second := initiator1()
	second.IQN, second.ReadOnly = host2, true
	for _, inUse := range []bool{true, false} {
		if inUse {
			require.True(t, w.login(iqn1, host1))
		} else {
			w.nodes[acl].session = nil
			require.Equal(t, original, w.String())
		}
		require.NoError(t, w.Allow(t.Context(), iqn1, second))
		assert.Equal(t, "1\n", w.get(group+"/acls/"+host2+"/lun_0/write_protect"))
		require.NoError(t, w.Disallow(t.Context(), iqn1, host2))
		if inUse {
			require.ErrorIs(t, w.Export(t.Context(), export1()), fault.ErrInUse)
		}
	}
	require.NoError(t, w.Export(t.Context(), export1()))
	list, err := w.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []TargetState{{
		IQN: iqn1, Device: "/dev/vg/v1", Serial: id1, Portals: addr("10.0.0.1:3260", "[::1]:3260"), Enabled: true, Initiators: []string{host1}, Complete: true,
	}}, list)
	assert.Equal(t, "original-"+canary, w.get(acl+"/auth/password"))
	assert.Equal(t, "0\n", w.get(acl+"/lun_0/write_protect"))
	require.True(t, w.login(iqn1, host1))
	require.NoError(t, w.Export(t.Context(), export1()), "it is ours now, also in use")
	require.NoError(t, w.Unexport(t.Context(), iqn1))
	assert.NotContains(t, w.String(), iqn1)
}

func TestAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.ErrorIs(t, w.Allow(t.Context(), iqn1, initiator1()), fault.ErrNotFound)
	require.NoError(t, w.Disallow(t.Context(), iqn1, host1))
	require.NoError(t, w.Export(t.Context(), export1()))
	empty := w.String()
	i := initiator1()
	i.IQN = strings.ToUpper(host1)
	require.NoError(t, w.Allow(t.Context(), iqn1, i))
	one := w.String()
	require.NoError(t, w.Allow(t.Context(), iqn1, i))
	assert.Equal(t, one, w.String())
	require.True(t, w.login(iqn1, host1))

	// New credentials and mode, without the end of the session.
	i.User, i.Password, i.ReadOnly = "user2", "another-"+canary, true
	require.NoError(t, w.Allow(t.Context(), iqn1, i))
	acl := iscsiDir + "/" + iqn1 + "/tpgt_1/acls/" + host1
	assert.Equal(t, "user2", w.get(acl+"/auth/userid"))
	assert.Equal(t, "another-"+canary, w.get(acl+"/auth/password"))
	assert.Equal(t, "1\n", w.get(acl+"/lun_0/write_protect"))
	assert.NotNil(t, w.nodes[acl].session)

	// An ACL without its LUN, or with one that was taken from under it.
	require.NoError(t, w.unlink(t.Context(), acl+"/lun_0/cinderlib"))
	require.NoError(t, w.Allow(t.Context(), iqn1, i))
	assert.Equal(t, "1\n", w.get(acl+"/lun_0/write_protect"))
	w.nodes[acl+"/lun_0"].mapped = false
	require.NoError(t, w.Allow(t.Context(), iqn1, i))
	assert.Equal(t, "1\n", w.get(acl+"/lun_0/write_protect"))

	second := initiator1()
	second.IQN = host2
	require.NoError(t, w.Allow(t.Context(), iqn1, second))
	require.NoError(t, w.Disallow(t.Context(), iqn1, strings.ToUpper(host1)))
	require.NoError(t, w.Disallow(t.Context(), iqn1, host1))
	list, err := w.Targets(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{host2}, list[0].Initiators)
	require.NoError(t, w.Disallow(t.Context(), iqn1, host2))
	assert.Equal(t, empty, w.String())

	require.NoError(t, w.unlink(t.Context(), iscsiDir+"/"+iqn1+"/tpgt_1/lun/lun_0/cinderlib"))
	require.ErrorIs(t, w.Allow(t.Context(), iqn1, initiator1()), fault.ErrPrecondition)
	for _, bad := range []func(*Initiator){
		func(i *Initiator) { i.IQN = "" },
		func(i *Initiator) { i.IQN = "a/b" },
		func(i *Initiator) { i.IQN = ".." },
		func(i *Initiator) { i.User = "" },
		func(i *Initiator) { i.User = "NULLuser" },
		func(i *Initiator) { i.Password = "NULL" + canary },
		func(i *Initiator) { i.Password = canary + "\n" },
		func(i *Initiator) { i.Password = "" },
	} {
		i := initiator1()
		bad(&i)
		err := w.Allow(t.Context(), iqn1, i)
		require.ErrorIs(t, err, fault.ErrInvalid)
		assert.NotContains(t, err.Error(), canary)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			assert.NotContains(t, fmt.Sprintf(verb, i), canary)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for serial, want := range map[string]string{
		id1:           "naa.600140541f67c5d5e05470fb14394815",
		"":            "naa.60014050000000000000000000000000",
		"volume-1":    "naa.6001405e100000000000000000000000",
		"ABCDEF":      "naa.6001405abcdef0000000000000000000",
		id1 + "fffff": "naa.600140541f67c5d5e05470fb14394815",
	} {
		assert.Equal(t, want, WWN(serial), serial)
	}
	assert.Equal(t, "3600140541f67c5d5e05470fb14394815", "3"+strings.TrimPrefix(WWN(id1), "naa."))
	for _, ok := range []string{
		iqn1, "iqn.2010-10.org.openstack:volume-" + id1, "iqn.2003-01.org.linux-iscsi.host.x8664:sn.1", "eui.0123456789abcdef", "naa.6001405000000000",
		"iqn.2010-10.localhost:a.b", "iqn.2010-12." + strings.Repeat("a", 200) + ".b",
	} {
		if ok[0] == 'n' {
			ok = strings.Replace(ok, "naa.6", "naa.5", 1)
		}
		assert.NoError(t, CheckIQN(ok), ok)
	}
	for _, bad := range []string{
		"", "volume", "iqn.2010-13.org.a:b", "iqn.2010-00.org.a:b", "iqn.210-10.org.a:b", "iqn.2010-10.org", "iqn.2010-10.Org.a:b", "iqn.2010-10.org.a:b_c",
		"iqn.2010-10.org.a:b c", "iqn.2010-10.org.a:b/c", "iqn.2010-10.org.a:b,c", "iqn.2010-10.org.a:b\n", "iqn.2010-10.org.a:[b]", "iqn.2010-10.org.a:ä",
		"eui.0123", "naa.6001405000000000", "iqn.2010-12." + strings.Repeat("a", 223) + ".b", "..",
	} {
		assert.ErrorIs(t, CheckIQN(bad), fault.ErrInvalid, bad)
	}
}
