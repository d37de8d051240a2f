// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

// Whatever is sent, the answer is JSON with a message or without, and the state is
// one that can be saved.
func FuzzRequest(f *testing.F) {
	for _, r := range [][3]string{
		{"GET", "v2/types/volumes?name=v&prop=index&filter=x", ``},
		{"GET", "v2/types/volumes?full=1&filter=name:eq:a,index:gt:0,&filter=vol-size:le:9&prop=name", `{}`},
		{"GET", "types/volumes/1", `[]`},
		{"GET", "v3/types/iscsi-portals/?name=%zz", ``},
		{"POST", "v2/types/volumes", `{"vol-name": "w", "vol-size": "1e3g", "lb-size": 4096.0, "cluster-id": [1, 2, 3]}`},
		{"POST", "v2/types/volumes", `{"vol-name": "\ud800", "vol-size": 9223372036854775807}`},
		{"POST", "v2/types/snapshots", `{"volume-list": ["v", 1, ["x", "v", 1]], "snap-suffix": "s"}`},
		{"POST", "v2/types/snapshots", `{"from-volume-id": "v.a", "to-volume-id": 1, "no-backup": "TRUE"}`},
		{"POST", "types/snapshots", `{"snap-list": [{"ancestor-vol-id": "v", "snap-vol-name": "s"}, null]}`},
		{"PUT", "v2/types/volumes/1", `{"vol-size": "2g", "vol-access": null}`},
		{"PUT", "v2/types/initiators/1", `{"port-address": "10:00:00:00:c9:00:00:01", "remove-initiator-authentication-credentials": true}`},
		{"POST", "v2/types/lun-maps", `{"vol-id": "v", "ig-id": 1, "lun": 1e0}`},
		{"POST", "v2/types/consistency-groups", `{"consistency-group-name": "g", "vol-list": [1, 2]}`},
		{"DELETE", "v2/types/consistency-group-volumes?name=cg&vol-id=1", `{"vol-id": "v"}`},
		{"DELETE", "v2/types/volumes/2", `null`},
		{"DELETE", "v2/types/snapshot-sets?name=set-a&cluster-id=1", ``},
		{"PATCH", "v2/types/volumes/1", `7`},
	} {
		f.Add(r[0], r[1], r[2])
	}
	f.Fuzz(func(t *testing.T, method, where, body string) {
		x, err := xtremio.New(xtremio.Options{Version: "6.2.1", Now: noon})
		require.NoError(t, err)
		for path, body := range map[string]object{
			"volumes":            {"vol-name": "v", "vol-size": "1g"},
			"initiator-groups":   {"ig-name": "g"},
			"consistency-groups": {"consistency-group-name": "cg"},
		} {
			call(t, x, post, path, body)
		}
		call(t, x, post, "snapshots", object{"volume-list": []string{"v"}, "snap-suffix": "a", "snapshot-set-name": "set-a"})
		call(t, x, post, "initiators", object{"initiator-name": "i", "port-address": host, "ig-id": "g"})
		r, err := http.NewRequestWithContext(t.Context(), method, "https://xms/api/json/"+where, strings.NewReader(body))
		if err != nil {
			t.Skip("no request of HTTP")
		}
		w := httptest.NewRecorder()
		arraysim.NewServer(x, arraysim.Options{}).ServeHTTP(w, r)
		var answer struct {
			Message *string
			Code    int `json:"error_code"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
		assert.Contains(t, []int{200, 201, 400, 404, 405}, w.Code, "%s", w.Body)
		assert.Equal(t, w.Code >= 400, answer.Message != nil, "%s", w.Body)
		before := stateOf(t, x)
		require.NoError(t, x.UnmarshalJSON([]byte(before)))
		assert.Equal(t, before, stateOf(t, x))
	})
}

// call asks an XMS without a server.
func call(t *testing.T, x *xtremio.XMS, method, path string, body any) object {
	t.Helper()
	text, err := x.Call(t.Context(), method, path, body)
	require.NoError(t, err, "%s %s", method, path)
	var answer object
	require.NoError(t, json.Unmarshal(text, &answer))
	return answer
}
