// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// Each kind, for a CreateVolume: what the client gets and what the cluster has.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault   arraysim.Fault
		status  int
		text    string // part of the answer
		volumes int
	}{
		{arraysim.Fault{Kind: arraysim.Refuse, Name: "xDBVersionMismatch"}, 200, `"code":500,"name":"xDBVersionMismatch"`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 500}, 500, `"name":"xInternalError"`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 503, HTML: true}, 503, "<h1>503 Service Unavailable</h1>", 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 503, Name: "xNotPrimary"}, 503, `"name":"xNotPrimary"`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 401}, 401, "401 Unauthorized.", 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 404}, 404, `"name":"xUnknownAPIVersion"`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 429}, 429, "429 Too Many Requests", 0},
		{arraysim.Fault{Kind: arraysim.Malformed}, 200, `{"id":null,"result":{`, 1},
		{arraysim.Fault{Kind: arraysim.DropBefore}, 0, "EOF", 0},
		{arraysim.Fault{Kind: arraysim.DropAfter}, 0, "EOF", 1},
		{arraysim.Fault{Kind: arraysim.Twice}, 200, `"volumeID":2}`, 2},
		{arraysim.Fault{Kind: arraysim.SlowAnswer, Delay: time.Millisecond}, 200, `"volumeID":1}`, 1},
		{arraysim.Fault{Kind: arraysim.SlowEffect, Delay: time.Millisecond}, 200, `"volumeID":1}`, 1},
		{arraysim.Fault{Kind: arraysim.Special, Name: solidfire.Full}, 200, `"name":"xExceededLimit"`, 0},
	} {
		s := newSim(t, solidfire.Options{})
		s.account("a")
		c.fault.Operation = "CreateVolume"
		c.fault.Times = 1
		require.NoError(t, s.AddFault(c.fault))
		create := `{"method": "CreateVolume", "params": {"name": "v", "accountID": 1, "totalSize": 1073741824}}`
		status, text := s.post("/json-rpc/8.0/", create)
		name := fmt.Sprintf("%s %d", c.fault.Kind, c.fault.Status)
		assert.Equal(t, c.status, status, name)
		assert.Contains(t, text, c.text, name)
		if c.fault.Kind == arraysim.Malformed {
			assert.False(t, json.Valid([]byte(text)))
		}
		assert.Len(t, s.volumes(object{"volumeName": "v"}), c.volumes, name)
		s.volume(1, "again")
		assert.Equal(t, 2, s.Count("CreateVolume"))
	}
}

func TestSpecialFaults(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSim(t, solidfire.Options{Now: c.Now})
	id := s.volume(s.account("a"), "v")
	snapshot := s.snapshot(id)

	require.NoError(t, s.AddFault(arraysim.Fault{Operation: "CloneVolume", Kind: arraysim.Special, Name: solidfire.SlowClone, Delay: time.Hour, Times: 1}))
	slow := s.call("CloneVolume", object{"volumeID": id, "name": "slow"})
	fast := s.call("CloneVolume", object{"volumeID": id, "name": "fast"})
	assert.Equal(t, "running", s.call("GetAsyncResult", object{"asyncHandle": slow["asyncHandle"]})["status"])
	assert.Equal(t, "complete", s.call("GetAsyncResult", object{"asyncHandle": fast["asyncHandle"]})["status"])
	c.advance(time.Hour)

	require.NoError(t, s.AddFault(arraysim.Fault{Kind: arraysim.Special, Name: solidfire.LostHandle, Times: 1}))
	assert.Equal(t, "xDBNoSuchPath", s.refused("GetAsyncResult", object{"asyncHandle": slow["asyncHandle"]}))

	s.ClearFaults()
	require.NoError(t, s.AddFault(arraysim.Fault{Kind: arraysim.Special, Name: solidfire.Full}))
	assert.Equal(t, "xExceededLimit", s.refused("CloneVolume", object{"volumeID": id, "name": "c"}))
	assert.Equal(t, "xExceededLimit", s.refused("CreateSnapshot", object{"volumeID": id}))
	assert.Equal(t, "xExceededLimit", s.refused("ModifyVolume", object{"volumeID": id, "totalSize": 2 * gib}))
	assert.Equal(t, "xExceededLimit", s.refused("RollbackToSnapshot", object{"volumeID": id, "snapshotID": snapshot, "saveCurrentState": false}))
	s.call("ModifyVolume", object{"volumeID": id, "attributes": object{}})
}

// No secret is in a record, though the records have bodies.
func TestRedaction(t *testing.T) {
	t.Parallel()
	s := newSim(t, solidfire.Options{})
	s.account("prj1") // its secrets are canaries
	s.call("GetAccountByName", object{"username": "prj1"})
	s.call("ListAccounts", object{})
	s.call("ModifyAccount", object{"accountID": 1, "targetSecret": "canary-newer"})
	s.refused("AddAccount", object{"username": "prj1", "initiatorSecret": "canary-refused"})
	s.refused("AddAccount", object{"username": "x", "initiatorSecret": []string{"canary-refused"}})
	s.refused("CompleteClusterPairing", object{"clusterPairingKey": "canary-key"})
	s.post("/json-rpc/8.0/", `{"method": "AddAccount", "params": {"initiatorSecret": "canary-cut`)
	s.post("/json-rpc/8.0/?initiatorSecret=canary-query", `{"method": "GetAPI"}`)
	records := s.Records()
	require.Len(t, records, 9)
	assert.NotContains(t, fmt.Sprintf("%+v", records), "canary")
	assert.Contains(t, records[0].Request, `"username":"prj1"`)
	assert.Contains(t, records[1].Answer, `"initiatorSecret":"***"`)
	assert.Equal(t, "invalid", records[7].Operation)
}
