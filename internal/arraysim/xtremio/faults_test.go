// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

// Each kind, for the POST of a volume: what the client gets and what is there then.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault   arraysim.Fault
		status  int
		text    string // part of the answer
		volumes int
	}{
		{arraysim.Fault{Kind: arraysim.Refuse, Name: xtremio.Busy}, 400, `{"message":"system_is_busy","error_code":400}`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 500}, 500, `{"message":"Internal Server Error","error_code":500}`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 503, HTML: true}, 503, "<h1>503 Service Unavailable</h1>", 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 400, HTML: true}, 400, "<h1>400 Bad Request</h1>", 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 500, Name: "xms_internal"}, 500, `"message":"xms_internal"`, 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 401}, 401, "401 Unauthorized", 0},
		{arraysim.Fault{Kind: arraysim.Status, Status: 403}, 403, `"error_code":403`, 0},
		{arraysim.Fault{Kind: arraysim.Malformed}, 201, `{"links":[{"href":`, 1},
		{arraysim.Fault{Kind: arraysim.DropBefore}, 0, "EOF", 0},
		{arraysim.Fault{Kind: arraysim.DropAfter}, 0, "EOF", 1},
		{arraysim.Fault{Kind: arraysim.Twice}, 400, "vol_obj_name_not_unique", 1},
		{arraysim.Fault{Kind: arraysim.SlowAnswer, Delay: time.Millisecond}, 201, `/volumes/1"`, 1},
		{arraysim.Fault{Kind: arraysim.SlowEffect, Delay: time.Millisecond}, 201, `/volumes/1"`, 1},
	} {
		s := newSim(t, xtremio.Options{})
		c.fault.Operation, c.fault.Times = "POST volumes", 1
		require.NoError(t, s.AddFault(c.fault))
		status, text := s.raw(post, s.base+"volumes", `{"vol-name": "v", "vol-size": "1g"}`)
		name := fmt.Sprintf("%s %d", c.fault.Kind, c.fault.Status)
		assert.Equal(t, c.status, status, name)
		assert.Contains(t, text, c.text, name)
		if c.fault.Kind == arraysim.Malformed {
			assert.False(t, json.Valid([]byte(text)))
		}
		assert.Len(t, s.names("volumes", ""), c.volumes, name)
		s.volume("again")
		assert.Equal(t, 2, s.Count("POST volumes"))
	}
}

// Busy for all requests, or for some, and for so many.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	require.NoError(t, s.AddFault(arraysim.Fault{Kind: arraysim.Refuse, Name: xtremio.Busy, Times: 2}))
	assert.Equal(t, xtremio.Busy, s.refused(read, "clusters", nil))
	assert.Equal(t, xtremio.Busy, s.v1().refused(post, "volumes", object{"vol-name": "v", "vol-size": "1g"}))
	s.volume("v")
	require.NoError(t, s.AddFault(arraysim.Fault{Operation: "PUT volumes", After: 1, Kind: arraysim.Refuse, Name: xtremio.Busy}))
	s.ok(put, "volumes/1", object{"vol-size": "2g"})
	assert.Equal(t, xtremio.Busy, s.refused(put, "volumes/?name=v", object{"vol-size": "3g"}))
	assert.Equal(t, "2097152", s.content("volumes/1")["vol-size"])
	require.Error(t, s.AddFault(arraysim.Fault{Kind: arraysim.Special, Name: "any"}), "there are none")
	assert.Equal(t, map[string]int{"GET clusters": 1, "POST volumes": 2, "PUT volumes": 2, "GET volumes": 1}, s.Counts())
}

// No secret is in a record, though the records have bodies.
func TestRedaction(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.made("initiator-groups", object{"ig-name": host})
	s.made("initiators", object{"initiator-name": host, "ig-id": host, "port-address": host,
		"initiator-authentication-user-name": "chap_user", "initiator-authentication-password": "canary-login",
		"cluster-authentication-user-name": "cluster", "cluster-authentication-password": "canary-clust"})
	s.ok(read, "initiators?full=1", nil)
	s.ok(put, "initiators/1", object{"initiator-discovery-user-name": "d", "initiator-discovery-password": "canary-disco"})
	s.content("initiators/1")
	message := s.refused(put, "initiators/1", object{"initiator-discovery-password": []string{"canary-refused"}})
	assert.NotContains(t, message, "canary", "messages do not quote values")
	s.refused(put, "initiators/1", object{"initiator-authentication-password": "canary"})
	s.raw(put, s.base+"initiators/1", `{"initiator-authentication-password": "canary-cut`)
	s.raw(read, s.base+"initiators?chap-authentication-initiator-password=canary-query", "")
	records := s.Records()
	require.Len(t, records, 9)
	assert.NotContains(t, fmt.Sprintf("%+v", records), "canary")
	assert.Contains(t, records[1].Request, `"initiator-authentication-user-name":"chap_user"`)
	assert.Contains(t, records[2].Answer, `"chap-authentication-initiator-password":"***"`)
}
