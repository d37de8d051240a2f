// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/fault"
)

func TestErrorStatus(t *testing.T) {
	t.Parallel()
	for want, o := range map[int]solidfire.Options{200: {}, 500: {ErrorStatus: 500}} {
		s := newSim(t, o)
		status, answer := s.send("GetAccountByName", object{"username": "prj1"})
		assert.Equal(t, want, status)
		assert.Equal(t, object{"id": nil, "error": object{"code": 500.0, "name": "xUnknownAccount", "message": "Unknown account"}}, answer)
	}
}

func TestErrorNames(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{UnknownMethod: "xNoSuchMethod", FullError: "xClusterFull", MaxOverProvisionableSpace: 2 * gib})
	assert.Equal(t, "xNoSuchMethod", s.refused("StartVolumePairing", object{}))
	account := s.account("a")
	id := s.volume(account, "v1")
	assert.Equal(t, "xClusterFull", s.refused("ModifyVolume", object{"volumeID": id, "totalSize": 3 * gib}))
	s.volume(account, "v2")
	assert.Equal(t, "xClusterFull", s.refused("CreateVolume", object{"name": "v3", "accountID": account, "totalSize": gib}))
	assert.Equal(t, "xClusterFull", s.refused("CloneVolume", object{"name": "v3", "volumeID": id}))
	s.snapshot(id) // space is used only as data changes

	full := newSim(t, solidfire.Options{MaxUsedSpace: gib / 8})
	id = full.volume(full.account("a"), "v1") // a quarter is written, every other block a duplicate
	assert.Equal(t, "xExceededLimit", full.refused("CreateSnapshot", object{"volumeID": id}))
}

func TestIQN(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]solidfire.Options{
		"iqn.2010-01.com.solidfire:abcd.uuid-6d2c.1": {},
		"iqn.2010-01.com.solidfire:87hg.UUID-6d2c.1": {KeepCase: true, UniqueID: "87hg"},
	} {
		s := newSim(t, o)
		id := s.volume(s.account("a"), "UUID-6d2c")
		assert.Equal(t, want, s.seen(id)["iqn"])
		assert.Equal(t, "UUID-6d2c", s.seen(id)["name"])
		assert.Equal(t, want, s.cluster.Targets()[0].IQN)
	}
}

func TestSizeUnit(t *testing.T) {
	t.Parallel()
	for unit, want := range map[int64]int{0: 1_000_341_504, 4096: 1_000_001_536, 1_000_000: 1_000_000_000} {
		s := newSim(t, solidfire.Options{SizeUnit: unit})
		result := s.call("CreateVolume", object{"name": "v", "accountID": s.account("a"), "totalSize": 1_000_000_000})
		assert.Equal(t, want, integer(t, s.seen(integer(t, result, "volumeID")), "totalSize"))
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{Limits: solidfire.Limits{MaxIOPSMax: 200_000, BurstIOPSMax: 200_000, VolumeSizeMin: 1 << 20, Attributes: 20}})
	account := s.account("a")
	s.call("CreateVolume", object{
		"name": "v", "accountID": account, "totalSize": 1 << 20,
		"qos": object{"minIOPS": 15000, "maxIOPS": 200_000, "burstIOPS": 200_000},
	})
	assert.Equal(t, "xInvalidParameter", s.refused("CreateVolume", object{"name": "v", "accountID": account, "totalSize": gib, "attributes": object{"a": "more than 20 bytes"}}))
	assert.Equal(t, 200_000, integer(t, s.call("GetLimits", object{}), "volumeMaxIOPSMax"))
	assert.Equal(t, 1<<20, integer(t, s.call("GetLimits", object{}), "volumeSizeMin"))
}

func TestLoginSecret(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]solidfire.Options{"canary-initi": {}, "canary-target": {LoginWithTarget: true}} {
		s := newSim(t, o)
		s.volume(s.account("prj1"), "v")
		chap := s.cluster.Targets()[0].Access[0].CHAP
		assert.Equal(t, "prj1", chap.User)
		assert.Equal(t, want, chap.Password.Reveal())
	}
}

func TestBareAnswers(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{BareAnswers: true})
	assert.Equal(t, object{"accountID": 1.0}, s.call("AddAccount", object{"username": "a"}))
	assert.Equal(t, object{"volumeID": 1.0}, s.call("CreateVolume", object{"name": "v", "accountID": 1, "totalSize": gib}))
	assert.Equal(t, object{"volumeID": 2.0, "cloneID": 1.0, "asyncHandle": 1.0}, s.call("CloneVolume", object{"name": "v", "volumeID": 1}))
	assert.Equal(t, object{"snapshotID": 1.0, "checksum": "0x0"}, s.call("CreateSnapshot", object{"volumeID": 1}))
	assert.Equal(t, object{"volumeAccessGroupID": 1.0}, s.call("CreateVolumeAccessGroup", object{"name": "g"}))
	assert.Equal(t, object{}, s.call("ModifyAccount", object{"accountID": 1}))
	assert.Equal(t, object{}, s.call("DeleteVolume", object{"volumeID": 1}))
	assert.Len(t, s.call("CreateGroupSnapshot", object{"volumes": []int{2}}), 2)
}

func TestCloneHidden(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{CloneHidden: 2})
	account := s.account("a")
	source := s.volume(account, "v")
	clone := integer(t, s.call("CloneVolume", object{"name": "c", "volumeID": source}), "volumeID")
	s.call("ModifyVolume", object{"volumeID": clone, "attributes": object{"is_clone": true}}) // it is there, only not listed
	assert.Equal(t, []int{source}, s.volumes(object{"volumeIDs": []int{source}}), "a list that is not about it does not count")
	assert.Equal(t, []int{source}, s.listed("ListVolumesForAccount", object{"accountID": account}, "volumes", "volumeID"))
	assert.Empty(t, s.volumes(object{"volumeIDs": []int{clone}}))
	assert.Equal(t, []int{clone}, s.volumes(object{"volumeIDs": []int{clone}}))
}

func TestCreatingReads(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{CreatingReads: 2})
	result := s.call("CreateVolume", object{"name": "v", "accountID": s.account("a"), "totalSize": gib})
	assert.Equal(t, "creating", at[string](t, result, "volume", "status"))
	assert.Equal(t, "creating", s.seen(1)["status"])
	assert.Empty(t, s.listed("ListActiveVolumes", object{}, "volumes", "volumeID"))
	assert.Equal(t, "active", s.seen(1)["status"])

	s.volume(1, "v2")
	assert.Equal(t, "xSliceNotRegistered", s.refused("CreateSnapshot", object{"volumeID": 2}))
	assert.Equal(t, "xSliceNotRegistered", s.refused("CloneVolume", object{"volumeID": 2, "name": "c"}))
	s.snapshot(2)
}

func TestFirstCloneError(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{FirstCloneError: "xNotReadyForIO"})
	id := s.volume(s.account("a"), "v")
	clone := object{"volumeID": id, "name": "c"}
	assert.Equal(t, "xNotReadyForIO", s.refused("CloneVolume", clone))
	s.call("CloneVolume", clone)
	s.call("CloneVolume", clone)
}

func TestAPIVersion(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{APIVersion: "12.3"})
	status, _ := s.post("/json-rpc/12.3/", `{"method": "GetAPI"}`)
	assert.Equal(t, 200, status)
	status, _ = s.post("/json-rpc/12.4/", `{"method": "GetAPI"}`)
	assert.Equal(t, 404, status)
	supported := at[[]any](t, s.call("GetAPI", object{}), "supportedVersions")
	assert.Equal(t, "12.3", supported[len(supported)-1])
	assert.Equal(t, "12.3", at[string](t, s.call("GetClusterVersionInfo", object{}), "clusterAPIVersion"))
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []solidfire.Options{
		{UniqueID: "ABCD"}, {UniqueID: "abcde"}, {APIVersion: "ten"}, {ErrorStatus: 400}, {SizeUnit: -1}, {CloneHidden: -1},
	} {
		_, err := solidfire.New(o)
		require.ErrorIs(t, err, fault.ErrInvalid, "%+v", o)
	}
}
