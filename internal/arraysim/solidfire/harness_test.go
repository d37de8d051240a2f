// SPDX-License-Identifier: Apache-2.0

package solidfire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

const (
	user, password = "admin", "canary-password"
	gib            = 1 << 30
)

// sim is a cluster on the network, and a client.
type sim struct {
	*arraysim.Running
	t       *testing.T
	cluster *solidfire.Cluster
	client  *http.Client
}

type object = map[string]any

func newSim(t *testing.T, o solidfire.Options) *sim {
	t.Helper()
	c, err := solidfire.New(o)
	require.NoError(t, err)
	r := arraysim.Start(t, c, arraysim.Options{User: user, Password: password, Bodies: true})
	return &sim{r, t, c, r.Client()}
}

// post gives the status and the body of the answer; 0 if there is none.
func (s *sim) post(path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.SetBasicAuth(user, password)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, text.String()
}

// send gives the whole answer to a method.
func (s *sim) send(method string, params any) (int, object) {
	s.t.Helper()
	body, err := json.Marshal(object{"method": method, "params": params})
	require.NoError(s.t, err)
	status, text := s.post("/json-rpc/8.0/", string(body))
	var answer object
	require.NoError(s.t, json.Unmarshal([]byte(text), &answer), "%d %s", status, text)
	return status, answer
}

// call gives the result of a method that succeeds.
func (s *sim) call(method string, params any) object {
	s.t.Helper()
	status, answer := s.send(method, params)
	require.Contains(s.t, answer, "result", "%s: %v", method, answer)
	assert.Equal(s.t, 200, status)
	result, ok := answer["result"].(object)
	require.True(s.t, ok)
	return result
}

// refused gives the name of the error of a method that fails.
func (s *sim) refused(method string, params any) string {
	s.t.Helper()
	_, answer := s.send(method, params)
	require.Contains(s.t, answer, "error", "%s: %v", method, answer)
	e, ok := answer["error"].(object)
	require.True(s.t, ok)
	name, _ := e["name"].(string)
	return name
}

// account and volume make one, and give its identifier.
func (s *sim) account(name string) int {
	s.t.Helper()
	return integer(s.t, s.call("AddAccount", object{
		"username": name, "initiatorSecret": "canary-initi", "targetSecret": "canary-target", "attributes": object{},
	}), "accountID")
}

func (s *sim) volume(account int, name string) int {
	s.t.Helper()
	return integer(s.t, s.call("CreateVolume", object{"name": name, "accountID": account, "totalSize": gib, "enable512e": true}), "volumeID")
}

func (s *sim) snapshot(volume int) int {
	s.t.Helper()
	return integer(s.t, s.call("CreateSnapshot", object{"volumeID": volume, "name": "snap"}), "snapshotID")
}

// listed gives the member of a list's entries that is a number.
func (s *sim) listed(method string, params any, list, member string) []int {
	s.t.Helper()
	all := []int{}
	for _, entry := range at[[]any](s.t, s.call(method, params), list) {
		all = append(all, integer(s.t, entry, member))
	}
	return all
}

// volumes gives the identifiers that ListVolumes lists.
func (s *sim) volumes(params object) []int {
	s.t.Helper()
	return s.listed("ListVolumes", params, "volumes", "volumeID")
}

// seen gives one volume as it is listed.
func (s *sim) seen(id int) object {
	s.t.Helper()
	list := at[[]any](s.t, s.call("ListVolumes", object{"volumeIDs": []int{id}}), "volumes")
	require.Len(s.t, list, 1)
	v, ok := list[0].(object)
	require.True(s.t, ok)
	return v
}

// at gives what is at a path of members.
func at[T any](t *testing.T, value any, path ...string) T {
	t.Helper()
	for _, member := range path {
		o, ok := value.(object)
		require.True(t, ok, "%s of %v", member, value)
		value = o[member]
	}
	result, ok := value.(T)
	require.True(t, ok, "%v: %v", path, value)
	return result
}

func integer(t *testing.T, value any, path ...string) int {
	t.Helper()
	return int(at[float64](t, value, path...))
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func stateOf(t *testing.T, c *solidfire.Cluster) string {
	t.Helper()
	text, err := json.Marshal(c)
	require.NoError(t, err)
	return string(text)
}

// direct asks a cluster without a server.
func direct(t *testing.T, c *solidfire.Cluster, method string, params any) object {
	t.Helper()
	text, err := c.Call(t.Context(), method, params)
	require.NoError(t, err)
	var result object
	require.NoError(t, json.Unmarshal(text, &result))
	return result
}
