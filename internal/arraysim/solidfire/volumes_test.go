// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

func TestLists(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	one, two := s.account("prj1"), s.account("prj11")
	for n := range 6 {
		s.volume([]int{one, two}[n%2], fmt.Sprintf("v%d", n/2)) // names repeat
	}
	s.call("DeleteVolume", object{"volumeID": 3})
	s.call("DeleteVolume", object{"volumeID": 4})
	s.call("PurgeDeletedVolume", object{"volumeID": 4})

	for _, c := range []struct {
		method string
		params object
		want   []int
	}{
		{"ListVolumes", object{}, []int{1, 2, 3, 5, 6}},
		{"ListVolumes", object{"limit": 2}, []int{1, 2}},
		{"ListVolumes", object{"limit": 0}, []int{1, 2, 3, 5, 6}},
		{"ListVolumes", object{"startVolumeID": "4", "limit": 1}, []int{5}}, // the next one, without a word
		{"ListVolumes", object{"startVolumeID": 3, "limit": 2}, []int{3, 5}},
		{"ListVolumes", object{"startVolumeID": 7}, []int{}},
		{"ListVolumes", object{"volumeIDs": []any{6, "2", 4, 99, 6}}, []int{2, 6}},
		{"ListVolumes", object{"volumeIDs": []int{}}, []int{}},
		{"ListVolumes", object{"volumeIDs": nil}, []int{1, 2, 3, 5, 6}},
		{"ListVolumes", object{"volumeName": "v1"}, []int{3}},
		{"ListVolumes", object{"volumeName": "v"}, []int{}},
		{"ListVolumes", object{"accounts": []int{two}}, []int{2, 6}},
		{"ListVolumes", object{"accounts": []int{two, 99}, "startVolumeID": 3, "limit": 5}, []int{6}},
		{"ListVolumes", object{"volumeStatus": "deleted"}, []int{3}},
		{"ListVolumes", object{"volumeStatus": "active", "limit": 3}, []int{1, 2, 5}},
		{"ListVolumes", object{"isPaired": true}, []int{}},
		{"ListVolumes", object{"isPaired": "false", "includeVirtualVolumes": "false"}, []int{1, 2, 3, 5, 6}},
		{"ListVolumesForAccount", object{"accountID": one}, []int{1, 3, 5}},
		{"ListVolumesForAccount", object{"accountID": "1", "startVolumeID": 2, "limit": 1}, []int{3}},
		{"ListActiveVolumes", object{}, []int{1, 2, 5, 6}},
		{"ListActiveVolumes", object{"startVolumeID": 3, "limit": 1}, []int{5}},
		{"ListDeletedVolumes", object{}, []int{3}},
	} {
		assert.Equal(t, c.want, s.listed(c.method, c.params, "volumes", "volumeID"), "%s %v", c.method, c.params)
	}
	assert.Equal(t, []any{1.0, 3.0, 5.0}, at[[]any](t, s.call("GetAccountByName", object{"username": "prj1"}), "account", "volumes"))
	assert.Equal(t, []int{1}, s.listed("ListAccounts", object{"limit": 1}, "accounts", "accountID"))
	assert.Equal(t, []int{2}, s.listed("ListAccounts", object{"startAccountID": "2"}, "accounts", "accountID"))
}

// ModifyVolume changes what it is told, and nothing else.
func TestModifyVolume(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	one, two := s.account("prj1"), s.account("prj2")
	id := integer(t, s.call("CreateVolume", object{
		"name": "v", "accountID": one, "totalSize": gib, "attributes": object{"a": 1, "b": "x"},
		"qos": object{"minIOPS": "100", "maxIOPS": 200, "burstIOPS": 300},
	}), "volumeID")

	s.call("ModifyVolume", object{"volumeID": id, "qos": object{}, "name": "other"})
	v := s.seen(id)
	assert.Equal(t, "v", v["name"])
	assert.InDelta(t, 100, at[float64](t, v, "qos", "minIOPS"), 0)
	assert.Equal(t, object{"a": 1.0, "b": "x"}, v["attributes"])
	assert.Equal(t, false, v["enable512e"])

	s.call("ModifyVolume", object{"volumeID": id, "qos": object{"burstIOPS": 400}, "attributes": object{"c": nil}, "totalSize": 2 * gib, "accountID": two, "access": "readOnly"})
	v = s.seen(id)
	assert.InDelta(t, 200, at[float64](t, v, "qos", "maxIOPS"), 0)
	assert.InDelta(t, 400, at[float64](t, v, "qos", "burstIOPS"), 0)
	assert.Equal(t, object{"c": nil}, v["attributes"], "replaced as a whole")
	assert.Equal(t, 2*gib, integer(t, v, "totalSize"))
	assert.Equal(t, "readOnly", v["access"])
	assert.Empty(t, s.listed("ListVolumesForAccount", object{"accountID": one}, "volumes", "volumeID"))
	assert.Equal(t, []int{id}, s.listed("ListVolumesForAccount", object{"accountID": two}, "volumes", "volumeID"))

	s.call("ModifyVolume", object{"volumeID": id, "qos": nil, "totalSize": "2147483648"})
	assert.Equal(t, 2*gib, integer(t, s.seen(id), "totalSize"))
	s.call("ModifyVolume", object{"volumeID": id, "totalSize": 2*gib + 1})
	assert.Equal(t, 2*gib+1<<20, integer(t, s.seen(id), "totalSize"), "rounded up")
}

func TestClone(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSim(t, solidfire.Options{Now: c.Now, CloneTime: time.Minute})
	one, two := s.account("prj1"), s.account("prj2")
	source := integer(t, s.call("CreateVolume", object{
		"name": "v", "accountID": one, "totalSize": 2 * gib, "enable512e": true, "attributes": object{"a": 1}, "qos": object{"minIOPS": 100},
	}), "volumeID")
	s.call("CreateVolumeAccessGroup", object{"name": "g", "volumes": []int{source}})
	snapshot := s.snapshot(source)
	s.call("ModifyVolume", object{"volumeID": source, "totalSize": 3 * gib})

	first := s.call("CloneVolume", object{"volumeID": source, "name": "c1"})
	v := s.seen(integer(t, first, "volumeID"))
	assert.Equal(t, 3*gib, integer(t, v, "totalSize"))
	assert.Equal(t, one, integer(t, v, "accountID"))
	assert.Equal(t, 100, integer(t, v, "qos", "minIOPS"))
	assert.Equal(t, object{"a": 1.0}, v["attributes"])
	assert.Equal(t, true, v["enable512e"])
	assert.Equal(t, []any{}, v["volumeAccessGroups"], "membership is not inherited")
	assert.Equal(t, []any{1.0}, s.seen(source)["volumeAccessGroups"])

	second := s.call("CloneVolume", object{"volumeID": source, "snapshotID": snapshot, "name": "c2", "newAccountID": two, "attributes": object{"b": 2}, "enable512e": "false"})
	v = s.seen(integer(t, second, "volumeID"))
	assert.Equal(t, 2*gib, integer(t, v, "totalSize"), "the snapshot's")
	assert.Equal(t, two, integer(t, v, "accountID"))
	assert.Equal(t, object{"b": 2.0}, v["attributes"])
	assert.Equal(t, false, v["enable512e"])

	assert.Equal(t, "xMaxClonesPerVolumeExceeded", s.refused("CloneVolume", object{"volumeID": source, "name": "c3"}))
	handle := object{"asyncHandle": first["asyncHandle"]}
	running := s.call("GetAsyncResult", handle)
	assert.Equal(t, "running", running["status"])
	assert.NotContains(t, running, "result")
	c.advance(time.Minute)
	keep := object{"asyncHandle": first["asyncHandle"], "keepResult": true}
	assert.Equal(t, "complete", s.call("GetAsyncResult", keep)["status"])
	assert.Equal(t, "complete", s.call("GetAsyncResult", handle)["status"])
	assert.Equal(t, "xDBNoSuchPath", s.refused("GetAsyncResult", handle), "read, and gone")

	small := s.call("CloneVolume", object{"volumeID": source, "name": "small", "newSize": gib})
	assert.Equal(t, gib, integer(t, s.seen(integer(t, small, "volumeID")), "totalSize"))
}

// A job takes real time, too.
func TestCloneInRealTime(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{CloneTime: 400 * time.Millisecond})
	result := s.call("CloneVolume", object{"volumeID": s.volume(s.account("a"), "v"), "name": "c"})
	status := func() any {
		return s.call("GetAsyncResult", object{"asyncHandle": result["asyncHandle"], "keepResult": true})["status"]
	}
	assert.Equal(t, "running", status())
	assert.Eventually(t, func() bool { return status() == "complete" }, 5*time.Second, 10*time.Millisecond)
}

func TestRollBack(t *testing.T) {
	t.Parallel()
	for _, keeps := range []bool{false, true} {
		s := newSim(t, solidfire.Options{RollbackKeepsSize: keeps})
		id := s.volume(s.account("a"), "v")
		snapshot := s.snapshot(id)
		s.call("ModifyVolume", object{"volumeID": id, "totalSize": 2 * gib})
		saved := integer(t, s.call("RollbackToSnapshot", object{"volumeID": id, "snapshotID": snapshot, "saveCurrentState": "true"}), "snapshotID")
		assert.NotEqual(t, snapshot, saved)
		assert.Equal(t, map[bool]int{false: gib, true: 2 * gib}[keeps], integer(t, s.seen(id), "totalSize"))
		assert.Equal(t, []int{snapshot, saved}, s.listed("ListSnapshots", object{}, "snapshots", "snapshotID"))
	}
}

func TestGroupSnapshotMembers(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	account := s.account("a")
	one, two := s.volume(account, "v1"), s.volume(account, "v2")
	s.call("CreateGroupSnapshot", object{"name": "kept", "volumes": []int{one, two}})
	s.call("DeleteGroupSnapshot", object{"groupSnapshotID": 1, "saveMembers": true})
	assert.Equal(t, []int{0, 0}, s.listed("ListSnapshots", object{}, "snapshots", "groupID"))

	s.call("CreateGroupSnapshot", object{"name": "shrinks", "volumes": []int{one, two}})
	s.call("DeleteSnapshot", object{"snapshotID": 3})
	assert.Equal(t, []int{2}, s.listed("ListGroupSnapshots", object{"volumes": []int{two}}, "groupSnapshots", "groupSnapshotID"))
	assert.Empty(t, s.listed("ListGroupSnapshots", object{"volumes": []int{one}}, "groupSnapshots", "groupSnapshotID"))
	s.call("DeleteSnapshot", object{"snapshotID": 4})
	assert.Empty(t, s.listed("ListGroupSnapshots", object{"groupSnapshotID": 2}, "groupSnapshots", "groupSnapshotID"))
}

// Requests at the same time: every identifier once, and all that was made is there.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	account := s.account("a")
	var mu sync.Mutex
	var made []int
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for n := range 5 {
				status, text := s.post("/json-rpc/8.0/", fmt.Sprintf(
					`{"method": "CreateVolume", "params": {"name": "v%d-%d", "accountID": %d, "totalSize": 1073741824}}`, worker, n, account))
				assert.Equal(t, 200, status)
				var answer struct{ Result struct{ VolumeID int } }
				assert.NoError(t, json.Unmarshal([]byte(text), &answer))
				mu.Lock()
				made = append(made, answer.Result.VolumeID)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	slices.Sort(made)
	assert.Len(t, slices.Compact(made), 40)
	assert.Equal(t, made, s.volumes(object{}))
	assert.Equal(t, 40, s.Count("CreateVolume"))
}
