// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// Requests as clients send them, and what has to be in the answers.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{Now: newClock().Now})
	volume := `{"volumeID": 1, "name": "UUID-6d2c", "accountID": 2, "status": "active", "access": "readWrite",
		"totalSize": 1073741824, "blockSize": 4096, "enable512e": true, "iqn": "iqn.2010-01.com.solidfire:abcd.uuid-6d2c.1",
		"scsiNAADeviceID": "6f47acc1000000006162636400000001", "scsiEUIDeviceID": "6162636400000001f47acc0100000000",
		"qos": {"minIOPS": 50, "maxIOPS": 15000, "burstIOPS": 15000, "burstTime": 60, "curve": {"4096": 100, "1048576": 15000}},
		"volumeAccessGroups": [], "volumePairs": [], "attributes": {"uuid": "6d2c"}, "createTime": "2020-01-01T00:00:00Z",
		"deleteTime": "", "purgeTime": "", "sliceCount": 1, "virtualVolumeID": null}`
	for n, e := range []struct{ method, params, result string }{
		{"GetClusterCapacity", `{}`, `{"clusterCapacity": {"maxProvisionedSpace": 55309227155456, "maxUsedSpace": 8402009333760, "usedSpace": 0,
			"provisionedSpace": 0, "uniqueBlocks": 0, "uniqueBlocksUsedSpace": 0, "nonZeroBlocks": 0, "zeroBlocks": 0, "currentIOPS": 0,
			"averageIOPS": 0, "peakIOPS": 0, "maxIOPS": 200000, "timestamp": "2020-01-01T00:00:00Z"}}`},
		{"GetClusterInfo", `{}`, `{"clusterInfo": {"name": "lab", "mvip": "192.0.2.10", "svip": "10.0.0.9", "uniqueID": "abcd",
			"uuid": "53c8be1e-89e2-4f7f-a2e3-7cb84c47e0ec", "repCount": 2, "attributes": {}, "encryptionAtRestState": "disabled"}}`},
		{"GetClusterVersionInfo", `{}`, `{"clusterAPIVersion": "10.0", "clusterVersion": "10.0.0.150", "clusterVersionInfo": [],
			"softwareVersionInfo": {"currentVersion": "10.0.0.150", "pendingVersion": "10.0.0.150", "nodeID": 0, "packageName": "", "startTime": ""}}`},
		{"GetAPI", `{}`, `{"currentVersion": "10.0", "supportedVersions": ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0", "8.0", "9.0", "10.0"]}`},
		{"GetLimits", `{}`, `{"volumeSizeMin": 1000000000, "volumeSizeMax": 8000000491520, "snapshotsPerVolumeMax": 32, "volumeAccessGroupCountMax": 1000}`},
		{"AddAccount", `{"username": "prj0"}`, `{"accountID": 1}`},
		{"AddAccount", `{"username": "prj1", "initiatorSecret": "AB12CD34EF56", "targetSecret": "AB12CD34EF56", "attributes": {}}`, `{"accountID": 2}`},
		{"CreateVolume", `{"name": "UUID-6d2c", "accountID": 2, "sliceCount": 1, "totalSize": 1073741824, "enable512e": true,
			"attributes": {"uuid": "6d2c"}, "qos": {}}`, `{"volumeID": 1, "volume": ` + volume + `}`},
		{"ListVolumes", `{"volumeName": "UUID-6d2c"}`, `{"volumes": [` + volume + `]}`},
		{"ListVolumesForAccount", `{"accountID": 2}`, `{"volumes": [` + volume + `]}`},
		{"ListActiveVolumes", `{}`, `{"volumes": [` + volume + `]}`},
		{"ListVolumes", `{"startVolumeID": "1", "limit": 1}`, `{"volumes": [` + volume + `]}`},
		{"GetAccountByName", `{"username": "prj1"}`, `{"account": {"accountID": 2, "username": "prj1", "status": "active",
			"initiatorSecret": "AB12CD34EF56", "targetSecret": "AB12CD34EF56", "volumes": [1], "attributes": {}}}`},
		{"GetAccountByID", `{"accountID": "2"}`, `{"account": {"accountID": 2, "username": "prj1"}}`},
		{"ListAccounts", `{}`, `{"accounts": [{"accountID": 1, "username": "prj0", "volumes": []}, {"accountID": 2, "username": "prj1", "volumes": [1]}]}`},
		{"GetClusterCapacity", `{}`, `{"clusterCapacity": {"provisionedSpace": 1073741824, "nonZeroBlocks": 65536, "zeroBlocks": 196608,
			"uniqueBlocks": 32768, "usedSpace": 134217728, "uniqueBlocksUsedSpace": 134217728}}`},
		{"CloneVolume", `{"name": "UUID-2", "newAccountID": 2, "volumeID": 1, "newSize": 2147483648}`, `{"volumeID": 2, "cloneID": 1, "asyncHandle": 1}`},
		{"GetAsyncResult", `{"asyncHandle": 1}`, `{"status": "complete", "resultType": "Clone", "result": {"cloneID": 1, "message": "Clone complete.", "volumeID": 2}}`},
		{"ModifyVolume", `{"name": "other", "sliceCount": 1, "volumeID": 2, "accountID": 2, "totalSize": 2147483648, "enable512e": true,
			"attributes": {"is_clone": "True"}, "qos": {}}`, `{"volume": {"volumeID": 2, "name": "UUID-2", "totalSize": 2147483648, "attributes": {"is_clone": "True"}}, "curve": {"4096": 100}}`},
		{"CreateSnapshot", `{"volumeID": 1, "name": "UUID-70a1"}`, `{"snapshotID": 1, "checksum": "0x0"}`},
		{"ListSnapshots", `{"volumeID": 1}`, `{"snapshots": [{"snapshotID": 1, "volumeID": 1, "name": "UUID-70a1", "status": "done", "totalSize": 1073741824,
			"checksum": "0x0", "groupID": 0, "createTime": "2020-01-01T00:00:00Z", "attributes": {}}]}`},
		{"CloneVolume", `{"name": "UUID-3", "newAccountID": 2, "volumeID": 1, "snapshotID": 1}`, `{"volumeID": 3, "cloneID": 2, "asyncHandle": 2}`},
		{"RollbackToSnapshot", `{"accountID": 2, "volumeID": 1, "snapshotID": 1, "saveCurrentState": "false"}`, `{"snapshotID": 1, "checksum": "0x0"}`},
		{"RollbackToSnapshot", `{"volumeID": 1, "snapshotID": 1, "saveCurrentState": true, "name": "saved"}`, `{"snapshotID": 2, "checksum": "0x0"}`},
		{"DeleteSnapshot", `{"snapshotID": 2}`, `{}`},
		{"CreateGroupSnapshot", `{"name": "UUID-gs1", "volumes": [1, 2]}`, `{"groupSnapshotID": 1, "members": [
			{"volumeID": 1, "snapshotID": 3, "checksum": "0x0"}, {"volumeID": 2, "snapshotID": 4, "checksum": "0x0"}]}`},
		{"ListGroupSnapshots", `{}`, `{"groupSnapshots": [{"groupSnapshotID": 1, "name": "UUID-gs1", "createTime": "2020-01-01T00:00:00Z", "members": [
			{"volumeID": 1, "snapshotID": 3, "checksum": "0x0"}, {"volumeID": 2, "snapshotID": 4, "checksum": "0x0"}]}]}`},
		{"ListSnapshots", `{"snapshotID": 3}`, `{"snapshots": [{"snapshotID": 3, "groupID": 1}]}`},
		{"DeleteGroupSnapshot", `{"groupSnapshotID": 1}`, `{}`},
		{"ListSnapshots", `{}`, `{"snapshots": [{"snapshotID": 1}]}`},
		{"CreateVolumeAccessGroup", `{"name": "iqn-x-h1", "initiators": ["iqn.X:h1"], "volumes": [1], "attributes": {"openstack": true}}`, `{"volumeAccessGroupID": 1}`},
		{"ListVolumeAccessGroups", `{}`, `{"volumeAccessGroups": [{"volumeAccessGroupID": 1, "name": "iqn-x-h1", "initiators": ["iqn.x:h1"], "initiatorIDs": [1],
			"volumes": [1], "deletedVolumes": [], "attributes": {"openstack": true}}]}`},
		{"AddVolumesToVolumeAccessGroup", `{"volumeAccessGroupID": 1, "volumes": [2]}`, `{}`},
		{"AddInitiatorsToVolumeAccessGroup", `{"volumeAccessGroupID": 1, "initiators": ["iqn.x:h2"]}`, `{}`},
		{"GetVolumeStats", `{"volumeID": 2}`, `{"volumeStats": {"volumeID": 2, "accountID": 2, "volumeAccessGroups": [1]}}`},
		{"RemoveVolumesFromVolumeAccessGroup", `{"volumeAccessGroupID": 1, "volumes": [2]}`, `{}`},
		{"RemoveInitiatorsFromVolumeAccessGroup", `{"volumeAccessGroupID": 1, "initiators": ["iqn.X:h2"]}`, `{}`},
		{"DeleteVolume", `{"volumeID": 1}`, `{"volume": {"volumeID": 1, "status": "deleted", "deleteTime": "2020-01-01T00:00:00Z", "purgeTime": "2020-01-01T08:00:00Z"}}`},
		{"ListVolumeAccessGroups", `{}`, `{"volumeAccessGroups": [{"volumes": [], "deletedVolumes": [1], "initiators": ["iqn.x:h1"]}]}`},
		{"ListDeletedVolumes", `{}`, `{"volumes": [{"volumeID": 1}]}`},
		{"PurgeDeletedVolume", `{"volumeID": 1}`, `{}`},
		{"ListSnapshots", `{}`, `{"snapshots": []}`},
		{"ListVolumeAccessGroups", `{}`, `{"volumeAccessGroups": [{"volumes": [], "deletedVolumes": []}]}`},
		{"DeleteVolumeAccessGroup", `{"volumeAccessGroupID": 1}`, `{}`},
		{"ListClusterPairs", `{}`, `{"clusterPairs": []}`},
		{"ModifyAccount", `{"accountID": 1, "username": "renamed", "initiatorSecret": "new-canary-in"}`, `{"account": {"username": "renamed"}}`},
		{"RemoveAccount", `{"accountID": 1}`, `{}`},
		{"ListAccounts", `{"startAccountID": 1, "limit": 1}`, `{"accounts": [{"accountID": 2, "volumes": [2, 3]}]}`},
	} {
		status, text := s.post("/json-rpc/8.0/", fmt.Sprintf(`{"method": %q, "params": %s, "id": %d}`, e.method, e.params, n))
		require.Equal(t, http.StatusOK, status, e.method)
		var got, want any
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.NoError(t, json.Unmarshal([]byte(fmt.Sprintf(`{"id": %d, "result": %s}`, n, e.result)), &want))
		require.Empty(t, missing("", want, got), "%s %s\n%s", e.method, e.params, text)
	}
}

// missing tells where got has not what want has.
func missing(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return path
		}
		for key, value := range w {
			if where := missing(path+"."+key, value, g[key]); where != "" {
				return where
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return path
		}
		for n := range w {
			if where := missing(fmt.Sprintf("%s[%d]", path, n), w[n], g[n]); where != "" {
				return where
			}
		}
		return ""
	}
	if !assert.ObjectsAreEqual(want, got) {
		return fmt.Sprintf("%s is %v", path, got)
	}
	return ""
}

// The transport: identifiers, versions, paths, verbs, credentials.
func TestTransport(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	capacity := `{"method": "GetLimits", "params": {}}`
	for _, path := range []string{"/json-rpc/1.0/", "/json-rpc/10.0", "/json-rpc/7.4/"} {
		status, text := s.post(path, capacity)
		assert.Equal(t, 200, status, path)
		assert.Contains(t, text, `{"id":null,"result":{`)
	}
	for _, path := range []string{"/json-rpc/10.1/", "/json-rpc/11.0", "/json-rpc/0.9/", "/json-rpc/x/", "/json-rpc/8.0/more", "/json-rpc/", "/"} {
		status, text := s.post(path, capacity)
		assert.Equal(t, 404, status, path)
		assert.Contains(t, text, "xUnknownAPIVersion")
	}
	_, text := s.post("/json-rpc/8.0", `{"method": "GetAPI", "id": 17}`)
	assert.Contains(t, text, `"id":17`)
	_, text = s.post("/json-rpc/8.0", `{"method": "Nothing", "id": -3}`)
	assert.JSONEq(t, `{"id": -3, "error": {"code": 500, "name": "xUnknownAPIMethod", "message": "Unknown method \"Nothing\""}}`, text)
	for body, name := range map[string]string{
		`{"method": "GetAPI"`:               "xInvalidParameter",
		`[]`:                                "xInvalidParameter",
		``:                                  "xInvalidParameter",
		`{}`:                                "xMissingParameter",
		`{"method": 7}`:                     "xInvalidParameterType",
		`{"method": "GetAPI", "params": 7}`: "xInvalidParameterType",
	} {
		status, text := s.post("/json-rpc/8.0", body)
		assert.Equal(t, 200, status)
		assert.Contains(t, text, name, body)
	}
	assert.Equal(t, 5, s.Count("invalid"), "what has no method is counted, too: %v", s.Counts())

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/json-rpc/8.0/", nil)
	require.NoError(t, err)
	req.SetBasicAuth(user, password)
	res, err := s.client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 405, res.StatusCode)

	req.SetBasicAuth(user, "wrong")
	res, err = s.client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	page := make([]byte, 200)
	n, _ := res.Body.Read(page)
	assert.Equal(t, 401, res.StatusCode)
	assert.Contains(t, string(page[:n]), "401 Unauthorized.")
	assert.False(t, json.Valid(page[:n]))
}
