// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/secret"
)

// plane is a data plane that knows sizes, and fails on request.
type plane struct {
	mu      sync.Mutex
	bytes   map[string]int64
	targets map[string]arraysim.Target
	fail    string // the call that fails
	calls   []string
}

func newPlane() *plane {
	return &plane{bytes: map[string]int64{}, targets: map[string]arraysim.Target{}}
}

func (p *plane) do(call, what string, f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call+" "+what)
	if p.fail == call {
		return errors.New("no more " + call)
	}
	f()
	return nil
}

func (p *plane) Create(_ context.Context, v arraysim.Volume) error {
	return p.do("create", fmt.Sprint(v.ID, " ", v.BlockSize), func() { p.bytes[v.ID] = v.Bytes })
}

func (p *plane) Resize(_ context.Context, id string, bytes int64) error {
	return p.do("resize", id, func() { p.bytes[id] = bytes })
}

func (p *plane) Copy(_ context.Context, copies ...arraysim.Copy) error {
	var what []string
	for _, c := range copies {
		what = append(what, c.From+">"+c.To.ID)
	}
	return p.do("copy", strings.Join(what, " "), func() {
		for _, c := range copies {
			p.bytes[c.To.ID] = c.To.Bytes
		}
	})
}

func (p *plane) RollBack(_ context.Context, id, from string) error {
	return p.do("roll back", id+" "+from, func() { p.bytes[id] = p.bytes[from] })
}

func (p *plane) Delete(_ context.Context, ids ...string) error {
	return p.do("delete", strings.Join(ids, " "), func() {
		for _, id := range ids {
			delete(p.bytes, id)
		}
	})
}

func (p *plane) Expose(_ context.Context, t arraysim.Target) error {
	return p.do("expose", t.IQN, func() { p.targets[t.IQN] = t })
}

func (p *plane) Hide(_ context.Context, iqn string) error {
	return p.do("hide", iqn, func() { delete(p.targets, iqn) })
}

func (p *plane) failing(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail, p.calls = call, nil
}

func (p *plane) shown() []arraysim.Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []arraysim.Target
	for _, iqn := range slices.Sorted(maps.Keys(p.targets)) {
		all = append(all, p.targets[iqn])
	}
	return all
}

func (p *plane) sizes() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.bytes)
}

func TestTargets(t *testing.T) {
	t.Parallel()
	p := newPlane()
	s := newSim(t, solidfire.Options{Data: p, SVIP: "10.0.0.9:3261"})
	one, two := s.account("prj1"), s.account("prj2")
	id := s.volume(one, "UUID-v")
	luns := []arraysim.LUN{{
		Volume: "volume-1", Bytes: gib, BlockSize: 512, Serial: "6162636400000001f47acc0100000000", EUI: "6162636400000001f47acc0100000000",
		NAA: "6f47acc1000000006162636400000001", Vendor: "SolidFir", Product: "SSD SAN",
	}}
	chap := &arraysim.CHAP{User: "prj1", Password: secret.Text("canary-initi")}
	want := arraysim.Target{
		IQN: "iqn.2010-01.com.solidfire:abcd.uuid-v.1", Portals: []string{"10.0.0.9:3261"},
		Access: []arraysim.Access{{CHAP: chap, LUNs: luns}},
	}
	assert.Equal(t, []arraysim.Target{want}, p.shown())
	assert.Equal(t, []string{"create volume-1 512", "expose " + want.IQN}, p.calls)

	s.call("CreateVolumeAccessGroup", object{"name": "g", "initiators": []string{"iqn.x:h2", "iqn.x:h1"}, "volumes": []int{id}})
	want.Access = append(want.Access,
		arraysim.Access{Initiator: "iqn.x:h1", CHAP: chap, Optional: true, LUNs: luns},
		arraysim.Access{Initiator: "iqn.x:h2", CHAP: chap, Optional: true, LUNs: luns})
	assert.Equal(t, []arraysim.Target{want}, p.shown())

	s.call("RemoveInitiatorsFromVolumeAccessGroup", object{"volumeAccessGroupID": 1, "initiators": []string{"iqn.x:h2"}})
	assert.Len(t, p.shown()[0].Access, 2)
	s.call("ModifyVolume", object{"volumeID": id, "accountID": two, "access": "readOnly", "totalSize": 2 * gib})
	assert.Equal(t, "prj2", p.shown()[0].Access[0].CHAP.User)
	assert.True(t, p.shown()[0].Access[0].LUNs[0].ReadOnly)
	assert.Equal(t, int64(2*gib), p.shown()[0].Access[0].LUNs[0].Bytes)
	s.call("ModifyAccount", object{"accountID": two, "initiatorSecret": "another-one!"})
	assert.Equal(t, secret.Text("another-one!"), p.shown()[0].Access[1].CHAP.Password)
	s.call("DeleteVolumeAccessGroup", object{"volumeAccessGroupID": 1})
	assert.Len(t, p.shown()[0].Access, 1)
	s.call("ModifyVolume", object{"volumeID": id, "access": "locked"})
	assert.Empty(t, p.shown())
	s.call("ModifyVolume", object{"volumeID": id, "access": "readWrite"})
	assert.Equal(t, s.cluster.Targets(), p.shown())

	p.failing("")
	s.call("ModifyVolume", object{"volumeID": id, "attributes": object{"a": 1}})
	s.snapshot(id)
	s.call("CloneVolume", object{"volumeID": id, "snapshotID": 1, "name": "c", "enable512e": false})
	s.call("CreateGroupSnapshot", object{"volumes": []int{1, 2}})
	s.call("RollbackToSnapshot", object{"volumeID": id, "snapshotID": 1, "saveCurrentState": false})
	s.call("DeleteSnapshot", object{"snapshotID": 1})
	s.call("DeleteVolume", object{"volumeID": id})
	s.call("PurgeDeletedVolume", object{"volumeID": id})
	assert.Equal(t, []string{
		"copy volume-1>snapshot-1", "copy snapshot-1>volume-2", "expose iqn.2010-01.com.solidfire:abcd.c.2",
		"copy volume-1>snapshot-2 volume-2>snapshot-3", "roll back volume-1 snapshot-1", "delete snapshot-1",
		"hide " + want.IQN, "delete volume-1 snapshot-2",
	}, p.calls)
	assert.Equal(t, map[string]int64{"volume-2": 2 * gib, "snapshot-3": 2 * gib}, p.sizes())
}

// What the data plane refuses, the cluster refuses, and neither has changed.
func TestDataPlaneFails(t *testing.T) {
	t.Parallel()
	p := newPlane()
	s := newSim(t, solidfire.Options{Data: p})
	account := s.account("prj1")
	for n := range 3 {
		s.volume(account, fmt.Sprintf("v%d", n+1))
	}
	s.snapshot(1)
	s.call("ModifyVolume", object{"volumeID": 1, "totalSize": 2 * gib})
	s.call("CreateVolumeAccessGroup", object{"name": "g", "volumes": []int{1, 2}})
	s.call("DeleteVolume", object{"volumeID": 3})
	s.account("prj2")
	state, sizes, targets := stateOf(t, s.cluster), p.sizes(), p.shown()
	for _, c := range []struct {
		fail, method string
		params       object
	}{
		{"create", "CreateVolume", object{"name": "v", "accountID": 1, "totalSize": gib}},
		{"expose", "CreateVolume", object{"name": "v", "accountID": 1, "totalSize": gib}},
		{"resize", "ModifyVolume", object{"volumeID": 1, "totalSize": 3 * gib}},
		{"expose", "ModifyVolume", object{"volumeID": 1, "totalSize": 3 * gib, "accountID": 2}},
		{"copy", "CloneVolume", object{"volumeID": 1, "name": "c"}},
		{"expose", "CloneVolume", object{"volumeID": 1, "name": "c"}},
		{"copy", "CreateSnapshot", object{"volumeID": 1}},
		{"copy", "CreateGroupSnapshot", object{"volumes": []int{1, 2}}},
		{"roll back", "RollbackToSnapshot", object{"volumeID": 1, "snapshotID": 1, "saveCurrentState": true}},
		{"delete", "DeleteSnapshot", object{"snapshotID": 1}},
		{"delete", "PurgeDeletedVolume", object{"volumeID": 3}},
		{"hide", "DeleteVolume", object{"volumeID": 1}},
		{"expose", "AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "initiators": []string{"iqn.x:h1"}}},
	} {
		p.failing(c.fail)
		assert.Equal(t, "xInternalError", s.refused(c.method, c.params), "%s %s", c.fail, c.method)
		assert.Equal(t, state, stateOf(t, s.cluster), "%s %s", c.fail, c.method)
		assert.Equal(t, sizes, p.sizes(), "%s %s", c.fail, c.method)
		assert.Equal(t, targets, p.shown(), "%s %s", c.fail, c.method)
	}
}

// A cluster goes on where its state was saved, and gives no identifier again.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSim(t, solidfire.Options{Now: c.Now, CloneHidden: 1})
	account := s.account("prj1")
	for n := range 3 {
		s.volume(account, fmt.Sprintf("v%d", n+1))
	}
	s.snapshot(1)
	s.call("CreateGroupSnapshot", object{"volumes": []int{1, 2}})
	s.call("CreateVolumeAccessGroup", object{"name": "g", "initiators": []string{"iqn.x:h1"}, "volumes": []int{1, 2}, "attributes": object{"openstack": true}})
	s.call("CloneVolume", object{"volumeID": 1, "name": "c"})
	s.call("DeleteVolume", object{"volumeID": 3})
	s.call("PurgeDeletedVolume", object{"volumeID": 3})
	s.call("DeleteVolume", object{"volumeID": 4})
	s.call("PurgeDeletedVolume", object{"volumeID": 4})
	s.call("CreateVolumeAccessGroup", object{"name": "gone"})
	s.call("DeleteVolumeAccessGroup", object{"volumeAccessGroupID": 2})
	s.call("DeleteSnapshot", object{"snapshotID": 3})

	path := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, arraysim.Save(path, s.cluster))
	p := newPlane()
	loaded, err := solidfire.New(solidfire.Options{Now: c.Now, Data: p})
	require.NoError(t, err)
	there, err := arraysim.Load(path, loaded)
	require.NoError(t, err)
	require.True(t, there)
	assert.JSONEq(t, stateOf(t, s.cluster), stateOf(t, loaded))
	for _, method := range []string{"ListAccounts", "ListVolumes", "ListSnapshots", "ListGroupSnapshots", "ListVolumeAccessGroups", "GetClusterCapacity"} {
		assert.Equal(t, s.call(method, object{}), direct(t, loaded, method, object{}), method)
	}
	require.NoError(t, loaded.Publish(t.Context()))
	assert.Equal(t, s.cluster.Targets(), p.shown())

	assert.Equal(t, 5, integer(t, direct(t, loaded, "CreateVolume", object{"name": "v", "accountID": 1, "totalSize": gib}), "volumeID"))
	assert.Equal(t, 4, integer(t, direct(t, loaded, "CreateSnapshot", object{"volumeID": 1}), "snapshotID"))
	assert.Equal(t, 3, integer(t, direct(t, loaded, "CreateVolumeAccessGroup", object{"name": "g"}), "volumeAccessGroupID"))
	assert.Equal(t, 2, integer(t, direct(t, loaded, "CloneVolume", object{"volumeID": 1, "name": "c"}), "asyncHandle"))

	before := stateOf(t, loaded)
	require.Error(t, loaded.UnmarshalJSON([]byte(`{"volumes": {"1": null}}`)))
	require.Error(t, loaded.UnmarshalJSON([]byte(`{"volumes": 1}`)))
	assert.Equal(t, before, stateOf(t, loaded))
	require.NoError(t, loaded.UnmarshalJSON([]byte(`{"accounts": {"7": {"accountID": 7, "username": "x", "status": "active"}}}`)))
	assert.Equal(t, 8, integer(t, direct(t, loaded, "AddAccount", object{"username": "y"}), "accountID"), "a file that was edited")

	_, err = loaded.Call(t.Context(), "DeleteVolume", object{"volumeID": 99})
	refusal, ok := errors.AsType[*solidfire.Error](err)
	require.True(t, ok)
	assert.Equal(t, "xVolumeIDDoesNotExist", refusal.Name)
}
