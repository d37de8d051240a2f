// SPDX-License-Identifier: Apache-2.0

package arraysim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	a, r := start(t, arraysim.Options{})
	for _, c := range []struct{ user, password string }{{"", ""}, {user, ""}, {user, "wrong"}, {"root", password}, {"", password}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/things", nil)
		require.NoError(t, err)
		if c.user != "" {
			req.SetBasicAuth(c.user, c.password)
		}
		got := do(r.Client(), req)
		assert.Equal(t, 401, got.status)
		assert.Equal(t, "no Unauthorized", got.body)
	}
	assert.Zero(t, a.count())
	assert.Equal(t, 5, r.Count("POST things"))

	open := arraysim.Start(t, a, arraysim.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, open.URL+"/things", nil)
	require.NoError(t, err)
	assert.Equal(t, 201, do(open.Client(), req).status, "without credentials everybody may")
}

func TestLargeBody(t *testing.T) {
	t.Parallel()
	a, r := start(t, arraysim.Options{MaxBody: 10})
	assert.Equal(t, 413, send(t.Context(), t, r, http.MethodPost, "/things", strings.Repeat("x", 11)).status)
	assert.Zero(t, a.count())
	assert.Equal(t, 201, send(t.Context(), t, r, http.MethodPost, "/things", strings.Repeat("x", 10)).status)
}

func TestRecords(t *testing.T) {
	t.Parallel()
	_, r := start(t, arraysim.Options{Keep: 2})
	for n := range 7 {
		send(t.Context(), t, r, http.MethodPost, fmt.Sprintf("/things/%d?password=canary", n), "{ }")
	}
	send(t.Context(), t, r, http.MethodDelete, "/things", "")
	body := len(`{"id": 7, "password": "canary-in-answer"}`)
	assert.Equal(t, []arraysim.Record{
		{N: 7, Operation: "POST things", Method: "POST", Path: "/things/6", RequestBytes: 3, Status: 201, AnswerBytes: body},
		{N: 8, Operation: "DELETE things", Method: "DELETE", Path: "/things", Status: 204},
	}, r.Records())
	assert.Equal(t, arraysim.Totals{Requests: 8, RequestBytes: 21, AnswerBytes: int64(7 * body)}, r.Totals())
	assert.Equal(t, 8, r.Count(""))
	assert.Equal(t, 7, r.Count("POST things"))

	require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.Refuse, Name: "busy"}))
	r.Reset()
	assert.Empty(t, r.Records())
	assert.Empty(t, r.Counts())
	assert.Zero(t, r.Totals())
	assert.Equal(t, 400, send(t.Context(), t, r, http.MethodPost, "/things", "").status, "faults stay")
	assert.Equal(t, 1, r.Records()[0].N)
}

// No secret is in a record, wherever it was.
func TestRedaction(t *testing.T) {
	t.Parallel()
	_, r := start(t, arraysim.Options{Bodies: true})
	for _, body := range []string{
		`{"name": "kept", "n": 12345678901234567890, "inner": [{"old-password": "canary-1", "password": {"x": ["canary-2"]}}], "none-password": null}`,
		`{"name": "` + password + `"}`,
		`{"password": "canary-3"`,
		`password=canary-4`,
		`{} {"password": "canary-5"}`,
	} {
		send(t.Context(), t, r, http.MethodPost, "/things?password=canary-6&password=canary-7&name=kept&other="+password, body)
	}
	require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.Malformed}))
	send(t.Context(), t, r, http.MethodPost, "/things", "")

	records := r.Records()
	require.Len(t, records, 6)
	assert.NotContains(t, fmt.Sprintf("%+v", records), "canary")
	assert.JSONEq(t, `{"inner":[{"old-password":"***","password":"***"}],"n":12345678901234567890,"name":"kept","none-password":null}`, records[0].Request)
	assert.Contains(t, records[0].Request, `12345678901234567890`, "numbers stay exact")
	assert.JSONEq(t, `{"id":1,"password":"***"}`, records[0].Answer)
	assert.Equal(t, "name=kept&other=%2A%2A%2A&password=%2A%2A%2A&password=%2A%2A%2A", strings.ReplaceAll(records[0].Query, "***", "%2A%2A%2A"))
	assert.Equal(t, "(not JSON)", records[3].Request)
	assert.Equal(t, "(not JSON)", records[5].Answer)
}

// A password is not in a record in any of the forms that it is written in.
func TestPasswordRedaction(t *testing.T) {
	t.Parallel()
	odd := `can"ary<&\ %`
	r := arraysim.Start(t, &toy{}, arraysim.Options{User: user, Password: odd, Bodies: true})
	body, err := json.Marshal(map[string]string{"name": "x" + odd})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/things?name="+url.QueryEscape(odd), bytes.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth(user, odd)
	assert.Equal(t, 201, do(r.Client(), req).status)
	record := r.Records()[0]
	assert.JSONEq(t, `{"name": "x***"}`, record.Request)
	assert.Equal(t, "name=***", record.Query)
}
