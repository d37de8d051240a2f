// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// Every refusal, and that none changes anything.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{Now: newClock().Now, CloneTime: 1, Limits: solidfire.Limits{
		Accounts: 3, Volumes: 4, VolumesPerAccount: 3, SnapshotsPerVolume: 2, VolumesPerGroupSnapshot: 2, CloneJobsPerVolume: 1,
		VolumeAccessGroups: 5, VolumesPerGroup: 2, InitiatorsPerGroup: 3, GroupsPerVolume: 4,
	}})
	s.account("prj1")
	s.account("prj2")
	s.account("prj3")
	for n := range 3 {
		s.volume(1, fmt.Sprintf("v%d", n+1))
	}
	s.call("DeleteVolume", object{"volumeID": 3})
	s.call("CloneVolume", object{"volumeID": 1, "name": "clone", "newAccountID": 2}) // the job runs for ever
	s.snapshot(1)
	s.snapshot(1)
	s.snapshot(2)
	s.call("CreateVolumeAccessGroup", object{"name": "g1", "initiators": []string{"iqn.x:h1"}, "volumes": []int{1}})
	for n := range 3 {
		s.call("CreateVolumeAccessGroup", object{"name": fmt.Sprintf("g%d", n+2), "volumes": []int{1}})
	}
	s.call("CreateVolumeAccessGroup", object{"name": "g5", "volumes": []int{2, 4}})

	long := strings.Repeat("n", 65)
	volume := func(with object) object {
		o := object{"name": "v", "accountID": 3, "totalSize": gib}
		maps.Copy(o, with)
		return o
	}
	before := stateOf(t, s.cluster)
	for _, c := range []struct {
		method string
		params any
		name   string
	}{
		{"Nothing", nil, "xUnknownAPIMethod"},
		{"StartClusterPairing", object{}, "xUnknownAPIMethod"},
		{"RemoveVolumePair", object{"volumeID": 1}, "xVolumeNotPaired"},
		{"RemoveVolumePair", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},

		{"AddAccount", object{}, "xMissingParameter"},
		{"AddAccount", object{"username": nil}, "xMissingParameter"},
		{"AddAccount", object{"username": 7}, "xInvalidParameterType"},
		{"AddAccount", object{"username": ""}, "xInvalidParameter"},
		{"AddAccount", object{"username": long}, "xInvalidParameter"},
		{"AddAccount", object{"username": "a", "initiatorSecret": "short"}, "xInvalidParameter"},
		{"AddAccount", object{"username": "a", "targetSecret": "much-longer-than-16"}, "xInvalidParameter"},
		{"AddAccount", object{"username": "a", "attributes": []int{}}, "xInvalidParameterType"},
		{"AddAccount", object{"username": "a", "attributes": object{"x": strings.Repeat("x", 1000)}}, "xInvalidParameter"},
		{"AddAccount", object{"username": "prj1"}, "xDuplicateUsername"},
		{"AddAccount", object{"username": "PRJ1"}, "xExceededLimit"}, // names are compared exactly
		{"GetAccountByName", object{"username": "prj"}, "xUnknownAccount"},
		{"GetAccountByName", object{}, "xMissingParameter"},
		{"GetAccountByID", object{"accountID": 9}, "xAccountIDDoesNotExist"},
		{"ModifyAccount", object{"accountID": 9}, "xAccountIDDoesNotExist"},
		{"ModifyAccount", object{"accountID": 1, "username": "prj2"}, "xDuplicateUsername"},
		{"RemoveAccount", object{"accountID": 1}, "xInvalidParameter"},
		{"RemoveAccount", object{"accountID": 9}, "xAccountIDDoesNotExist"},
		{"ListAccounts", object{"limit": -1}, "xInvalidParameter"},

		{"CreateVolume", object{"accountID": 3, "totalSize": gib}, "xMissingParameter"},
		{"CreateVolume", object{"name": "v", "totalSize": gib}, "xMissingParameter"},
		{"CreateVolume", object{"name": "v", "accountID": 3}, "xMissingParameter"},
		{"CreateVolume", volume(object{"name": long}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"accountID": "three"}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"accountID": 9}), "xAccountIDDoesNotExist"},
		{"CreateVolume", volume(object{"totalSize": 999_999_999}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"totalSize": 8_000_000_491_521}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"totalSize": 1.5}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"enable512e": "perhaps"}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"enable512e": 1}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"access": "none"}), "xUnrecognizedEnumString"},
		{"CreateVolume", volume(object{"qos": object{"minIOPS": 49}}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"qos": object{"maxIOPS": 100_001}}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"qos": object{"burstIOPS": 99}}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"qos": object{"minIOPS": 300, "maxIOPS": 200, "burstIOPS": 400}}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"qos": object{"minIOPS": 100, "maxIOPS": 300, "burstIOPS": 200}}), "xInvalidParameter"},
		{"CreateVolume", volume(object{"qos": "fast"}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"qos": object{"minIOPS": "fast"}}), "xInvalidParameterType"},
		{"CreateVolume", volume(object{"accountID": 1}), "xExceededLimit"},
		{"CreateVolume", volume(nil), "xExceededLimit"},

		{"ModifyVolume", object{}, "xMissingParameter"},
		{"ModifyVolume", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},
		{"ModifyVolume", object{"volumeID": 3}, "xVolumeIDDoesNotExist"},
		{"ModifyVolume", object{"volumeID": 1, "totalSize": gib - 1<<20}, "xVolumeShrinkProhibited"},
		{"ModifyVolume", object{"volumeID": 1, "totalSize": 9_000_000_000_000}, "xInvalidParameter"},
		{"ModifyVolume", object{"volumeID": 1, "accountID": 9}, "xAccountIDDoesNotExist"},
		{"ModifyVolume", object{"volumeID": 4, "accountID": 1}, "xExceededLimit"},
		{"ModifyVolume", object{"volumeID": 1, "access": "x"}, "xUnrecognizedEnumString"},
		{"ModifyVolume", object{"volumeID": 1, "qos": object{"minIOPS": 15_001}}, "xInvalidParameter"},
		{"ModifyVolume", object{"volumeID": 1, "attributes": "x"}, "xInvalidParameterType"},
		{"DeleteVolume", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},
		{"DeleteVolume", object{"volumeID": 3}, "xVolumeIDDoesNotExist"},
		{"PurgeDeletedVolume", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},
		{"PurgeDeletedVolume", object{"volumeID": 1}, "xVolumeIDDoesNotExist"},
		{"GetVolumeStats", object{"volumeID": 3}, "xVolumeIDDoesNotExist"},

		{"ListVolumes", object{"accounts": 7}, "xInvalidParameterType"},
		{"ListVolumes", object{"accounts": []string{"x"}}, "xInvalidParameterType"},
		{"ListVolumes", object{"volumeIDs": []int{1}, "limit": 1}, "xInvalidParameter"},
		{"ListVolumes", object{"volumeIDs": []int{1}, "startVolumeID": 1}, "xInvalidParameter"},
		{"ListVolumes", object{"volumeIDs": []int{1}, "accounts": []int{1}}, "xInvalidParameter"},
		{"ListVolumes", object{"volumeStatus": "lost"}, "xUnrecognizedEnumString"},
		{"ListVolumesForAccount", object{"accountID": 9}, "xAccountIDDoesNotExist"},
		{"ListVolumesForAccount", object{}, "xMissingParameter"},

		{"CloneVolume", object{"volumeID": 9, "name": "c"}, "xVolumeIDDoesNotExist"},
		{"CloneVolume", object{"volumeID": 3, "name": "c"}, "xVolumeIDDoesNotExist"},
		{"CloneVolume", object{"volumeID": 2}, "xMissingParameter"},
		{"CloneVolume", object{"volumeID": 2, "name": "c", "snapshotID": 1}, "xSnapshotIDDoesNotExist"},
		{"CloneVolume", object{"volumeID": 2, "name": "c", "snapshotID": 9}, "xSnapshotIDDoesNotExist"},
		{"CloneVolume", object{"volumeID": 2, "name": "c", "newAccountID": 9}, "xAccountIDDoesNotExist"},
		{"CloneVolume", object{"volumeID": 2, "name": "c", "newSize": 1}, "xInvalidParameter"},
		{"CloneVolume", object{"volumeID": 1, "name": "c"}, "xMaxClonesPerVolumeExceeded"},
		{"CloneVolume", object{"volumeID": 2, "name": "c"}, "xExceededLimit"},
		{"GetAsyncResult", object{"asyncHandle": 9}, "xDBNoSuchPath"},
		{"GetAsyncResult", object{}, "xMissingParameter"},

		{"CreateSnapshot", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},
		{"CreateSnapshot", object{"volumeID": 3}, "xVolumeIDDoesNotExist"},
		{"CreateSnapshot", object{"volumeID": 1}, "xMaxSnapshotsPerVolumeExceeded"},
		{"CreateSnapshot", object{"volumeID": 2, "name": long}, "xInvalidParameter"},
		{"DeleteSnapshot", object{"snapshotID": 9}, "xSnapshotIDDoesNotExist"},
		{"ListSnapshots", object{"volumeID": 9}, "xVolumeIDDoesNotExist"},
		{"ListSnapshots", object{"snapshotID": 9}, "xSnapshotIDDoesNotExist"},
		{"ListSnapshots", object{"snapshotID": 1, "volumeID": 2}, "xSnapshotIDDoesNotExist"},
		{"RollbackToSnapshot", object{"volumeID": 1, "snapshotID": 1}, "xMissingParameter"},
		{"RollbackToSnapshot", object{"volumeID": 9, "snapshotID": 1, "saveCurrentState": false}, "xVolumeIDDoesNotExist"},
		{"RollbackToSnapshot", object{"volumeID": 2, "snapshotID": 1, "saveCurrentState": false}, "xSnapshotIDDoesNotExist"},
		{"RollbackToSnapshot", object{"volumeID": 1, "snapshotID": 1, "saveCurrentState": true}, "xMaxSnapshotsPerVolumeExceeded"},
		{"CreateGroupSnapshot", object{}, "xMissingParameter"},
		{"CreateGroupSnapshot", object{"volumes": []int{}}, "xInvalidParameter"},
		{"CreateGroupSnapshot", object{"volumes": []int{2, 9}}, "xVolumeIDDoesNotExist"},
		{"CreateGroupSnapshot", object{"volumes": []int{2, 1}}, "xMaxSnapshotsPerVolumeExceeded"},
		{"CreateGroupSnapshot", object{"volumes": []int{1, 2, 4}}, "xExceededLimit"},
		{"DeleteGroupSnapshot", object{"groupSnapshotID": 9}, "xSnapshotIDDoesNotExist"},

		{"CreateVolumeAccessGroup", object{}, "xMissingParameter"},
		{"CreateVolumeAccessGroup", object{"name": long}, "xInvalidParameter"},
		{"CreateVolumeAccessGroup", object{"name": "g", "initiators": "iqn.x:h1"}, "xInvalidParameterType"},
		{"CreateVolumeAccessGroup", object{"name": "g", "initiators": []int{1}}, "xInvalidParameterType"},
		{"CreateVolumeAccessGroup", object{"name": "g", "initiators": []string{strings.Repeat("i", 225)}}, "xInvalidParameter"},
		{"CreateVolumeAccessGroup", object{"name": "g"}, "xExceededLimit"}, // as many as there may be
		{"AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 2, "initiators": []string{"iqn.new", "IQN.x:h1"}}, "xExceededLimit"},
		{"AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "initiators": []string{"iqn.X:h1"}}, "xAlreadyInVolumeAccessGroup"},
		{"AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "initiators": []string{"a", "b", "c"}}, "xExceededLimit"},
		{"AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 9, "initiators": []string{"a"}}, "xVolumeAccessGroupIDDoesNotExist"},
		{"AddInitiatorsToVolumeAccessGroup", object{"volumeAccessGroupID": 1}, "xMissingParameter"},
		{"RemoveInitiatorsFromVolumeAccessGroup", object{"volumeAccessGroupID": 1, "initiators": []string{"iqn.x:h1", "a"}}, "xNotInVolumeAccessGroup"},
		{"RemoveInitiatorsFromVolumeAccessGroup", object{"volumeAccessGroupID": 9, "initiators": []string{"a"}}, "xVolumeAccessGroupIDDoesNotExist"},
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{1}}, "xAlreadyInVolumeAccessGroup"},
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{9}}, "xVolumeIDDoesNotExist"},
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{3}}, "xVolumeIDDoesNotExist"},
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 9, "volumes": []int{1}}, "xVolumeAccessGroupIDDoesNotExist"},
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 5, "volumes": []int{1}}, "xExceededLimit"},    // groups of the volume
		{"AddVolumesToVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{2, 4}}, "xExceededLimit"}, // volumes of the group
		{"RemoveVolumesFromVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{1, 2}}, "xNotInVolumeAccessGroup"},
		{"RemoveVolumesFromVolumeAccessGroup", object{"volumeAccessGroupID": 1, "volumes": []int{9}}, "xVolumeIDDoesNotExist"},
		{"RemoveVolumesFromVolumeAccessGroup", object{"volumeAccessGroupID": 9, "volumes": []int{1}}, "xVolumeAccessGroupIDDoesNotExist"},
		{"DeleteVolumeAccessGroup", object{"volumeAccessGroupID": 9}, "xVolumeAccessGroupIDDoesNotExist"},
	} {
		assert.Equal(t, c.name, s.refused(c.method, c.params), "%s %v", c.method, c.params)
		assert.Equal(t, before, stateOf(t, s.cluster), "%s %v", c.method, c.params)
	}
}

// An initiator is in one group; the message has what clients look for.
func TestInitiatorInAnotherGroup(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	s.call("CreateVolumeAccessGroup", object{"name": "a", "initiators": []string{"iqn.x:h1"}})
	_, answer := s.send("CreateVolumeAccessGroup", object{"name": "b", "initiators": []string{"iqn.x:h1"}})
	assert.Equal(t, "xExceededLimit", at[string](t, answer, "error", "name"))
	assert.Contains(t, at[string](t, answer, "error", "message"), "Exceeded maximum number of VolumeAccessGroups per Initiator")
	assert.Contains(t, at[string](t, answer, "error", "message"), "iqn.x:h1")
	_, answer = s.send("ListVolumes", object{"accounts": 7})
	assert.Equal(t, "accounts: Invalid type: expected array but found 7", at[string](t, answer, "error", "message"))
	_, answer = s.send("DeleteVolume", object{})
	assert.Equal(t, "Missing member=[volumeID]", at[string](t, answer, "error", "message"))
	_, answer = s.send("AddAccount", object{"username": "a", "initiatorSecret": 4711})
	assert.NotContains(t, at[string](t, answer, "error", "message"), "4711", "messages do not quote secrets")
}
