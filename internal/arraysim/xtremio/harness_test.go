// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

const (
	user, password = "admin", "canary-password"
	host           = "iqn.1993-08.org.debian:01:222"
	gib            = 1 << 30
)

// sim is an XMS on the network, and a client of a version of its interface.
type sim struct {
	*arraysim.Running
	t      *testing.T
	xms    *xtremio.XMS
	client *http.Client
	base   string
}

type object = map[string]any

func newSim(t *testing.T, o xtremio.Options) *sim {
	t.Helper()
	if o.Now == nil {
		o.Now = noon
	}
	x, err := xtremio.New(o)
	require.NoError(t, err)
	r := arraysim.Start(t, x, arraysim.Options{User: user, Password: password, Bodies: true})
	return &sim{r, t, x, r.Client(), "/api/json/v2/types/"}
}

func noon() time.Time { return time.Date(2016, 6, 1, 12, 0, 0, 0, time.UTC) }

// at is the same XMS by another version of the interface.
func (s *sim) at(base string) *sim {
	other := *s
	other.base = base
	return &other
}

func (s *sim) v1() *sim { return s.at("/api/json/types/") }
func (s *sim) v3() *sim { return s.at("/api/json/v3/types/") }

// raw sends a request as it is given, without a Content-Type, and gives the status
// and the body of the answer; 0 if there is none.
func (s *sim) raw(method, where, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+where, strings.NewReader(body))
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

// send gives status and answer of a request to a type.
func (s *sim) send(method, where string, body any) (int, object) {
	s.t.Helper()
	text := ""
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(s.t, err)
		text = string(raw)
	}
	status, answer := s.raw(method, s.base+where, text)
	var o object
	require.NoError(s.t, json.Unmarshal([]byte(answer), &o), "%s %s: %d %s", method, where, status, answer)
	return status, o
}

// ok gives the answer to a request that succeeds.
func (s *sim) ok(method, where string, body any) object {
	s.t.Helper()
	want := 200
	if method == http.MethodPost {
		want = 201
	}
	status, o := s.send(method, where, body)
	require.Equal(s.t, want, status, "%s %s: %v", method, where, o)
	return o
}

// refused gives the message of a request that fails with 400.
func (s *sim) refused(method, where string, body any) string {
	s.t.Helper()
	status, o := s.send(method, where, body)
	require.Equal(s.t, 400, status, "%s %s: %v", method, where, o)
	require.InDelta(s.t, 400, o["error_code"], 0)
	return get[string](s.t, o, "message")
}

// made gives the index of what a POST makes.
func (s *sim) made(kind string, body object) int {
	s.t.Helper()
	return linked(s.t, s.ok(http.MethodPost, kind, body))[0]
}

// linked gives the indexes in the links of an answer.
func linked(t *testing.T, answer object) []int {
	t.Helper()
	var all []int
	for _, l := range get[[]any](t, answer, "links") {
		n, err := strconv.Atoi(path.Base(get[string](t, l, "href")))
		require.NoError(t, err)
		all = append(all, n)
	}
	require.NotEmpty(t, all)
	return all
}

// content gives one object.
func (s *sim) content(where string) object {
	s.t.Helper()
	return get[object](s.t, s.ok(http.MethodGet, where, nil), "content")
}

// names gives those of a list, in its order.
func (s *sim) names(kind, query string) []string {
	s.t.Helper()
	all := []string{}
	for _, row := range get[[]any](s.t, s.ok(http.MethodGet, kind+query, nil), kind) {
		all = append(all, get[string](s.t, row, "name"))
	}
	return all
}

// volume, snapshot and attached make what tests begin with.
func (s *sim) volume(name string) int {
	s.t.Helper()
	return s.made("volumes", object{"vol-name": name, "vol-size": "1g"})
}

func (s *sim) snapshot(of, name string) int {
	s.t.Helper()
	return s.made("snapshots", object{"volume-list": []string{of}, "snap-suffix": name, "snapshot-set-name": "set-" + name})
}

func (s *sim) attached(initiator string, volumes ...string) {
	s.t.Helper()
	s.made("initiator-groups", object{"ig-name": initiator})
	s.made("initiators", object{"initiator-name": initiator, "ig-id": initiator, "port-address": initiator})
	for _, v := range volumes {
		s.made("lun-maps", object{"vol-id": v, "ig-id": initiator})
	}
}

// get gives what is at a path of members.
func get[T any](t *testing.T, value any, members ...string) T {
	t.Helper()
	for _, member := range members {
		o, ok := value.(object)
		require.True(t, ok, "%s of %v", member, value)
		value = o[member]
	}
	result, ok := value.(T)
	require.True(t, ok, "%v: %v", members, value)
	return result
}

func stateOf(t *testing.T, x *xtremio.XMS) string {
	t.Helper()
	text, err := json.Marshal(x)
	require.NoError(t, err)
	return string(text)
}

// differs tells where got has not what want has; empty: nowhere. GUID stands for any.
func differs(where string, want, got any) string {
	switch w := want.(type) {
	case object:
		g, ok := got.(object)
		if !ok {
			return where
		}
		for key, value := range w {
			if at := differs(where+"."+key, value, g[key]); at != "" {
				return at
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return fmt.Sprintf("%s is %v", where, got)
		}
		for n := range w {
			if at := differs(fmt.Sprintf("%s[%d]", where, n), w[n], g[n]); at != "" {
				return at
			}
		}
		return ""
	}
	if text, ok := got.(string); want == "GUID" && ok && len(text) == 32 {
		return ""
	}
	if !assert.ObjectsAreEqual(want, got) {
		return fmt.Sprintf("%s is %v", where, got)
	}
	return ""
}

// same requires that got has what the JSON text says.
func same(t *testing.T, want string, got any, about string) {
	t.Helper()
	var w any
	require.NoError(t, json.Unmarshal([]byte(want), &w), want)
	require.Empty(t, differs("", w, got), about)
}
