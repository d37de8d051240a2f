// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// Whatever is sent, the answer is JSON with a result or an error and a state that
// can be saved.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `{"method": "ListVolumes", "params": {"startVolumeID": "1", "limit": 1e0}, "id": 3}`,
		`{"method": "CreateVolume", "params": {"name": "v", "accountID": 1, "totalSize": 1e9, "qos": {"minIOPS": null}, "attributes": {"a": [1e400]}}}`,
		`{"method": "CloneVolume", "params": {"volumeID": 1, "name": "c", "newSize": "1073741824", "snapshotID": null}}`,
		`{"method": "AddAccount", "params": {"username": "\ud800", "initiatorSecret": "12345678901"}, "id": "x"}`,
		`{"method": "RollbackToSnapshot", "params": {"volumeID": 1, "snapshotID": 1, "saveCurrentState": "TRUE"}}`,
		`{"method": "CreateVolumeAccessGroup", "params": {"name": "g", "initiators": ["IQN"], "volumes": [1, "1"]}}`,
		`{"method": "CreateGroupSnapshot", "params": {"volumes": [1]}}`, `{"method": "GetAPI", "params": []}`,
		`{"method": "ListVolumes", "params": {"volumeIDs": [9223372036854775808]}, "id": -}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := solidfire.New(solidfire.Options{})
		require.NoError(t, err)
		direct(t, c, "AddAccount", object{"username": "a"})
		direct(t, c, "CreateVolume", object{"name": "v", "accountID": 1, "totalSize": gib})
		direct(t, c, "CreateSnapshot", object{"volumeID": 1})
		r := &arraysim.Request{Method: http.MethodPost, URL: &url.URL{Path: "/json-rpc/8.0/"}, Body: body}
		assert.NotEmpty(t, c.Operation(r))
		a := c.Do(t.Context(), r)
		var answer struct{ Result, Error json.RawMessage }
		require.NoError(t, json.Unmarshal(a.Body, &answer), "%s", a.Body)
		assert.Equal(t, 200, a.Status)
		assert.NotEqual(t, answer.Result == nil, answer.Error == nil, "%s", a.Body)
		before := stateOf(t, c)
		require.NoError(t, c.UnmarshalJSON([]byte(before)))
		assert.Equal(t, before, stateOf(t, c))
	})
}
