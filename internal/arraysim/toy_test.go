// SPDX-License-Identifier: Apache-2.0

package arraysim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// toy is a REST array with things that have a number.
type toy struct {
	mu     sync.Mutex
	Things []int `json:"things"`
	Last   int   `json:"last"`
}

func (a *toy) Operation(r *arraysim.Request) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return r.Method + " " + kind
}

func (a *toy) Do(_ context.Context, r *arraysim.Request) arraysim.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.Method {
	case http.MethodPost:
		a.Last++
		a.Things = append(a.Things, a.Last)
		return arraysim.Answer{Status: 201, Body: fmt.Appendf(nil, `{"id": %d, "password": "canary-in-answer"}`, a.Last)}
	case http.MethodDelete:
		a.Things = nil
		return arraysim.Answer{Status: 204}
	}
	if r.Special != nil {
		return arraysim.Answer{Status: 200, Body: []byte(`"special"`)}
	}
	text, err := json.Marshal(a.Things)
	if err != nil {
		return arraysim.Answer{Status: 500}
	}
	return arraysim.Answer{Status: 200, Body: text}
}

func (a *toy) Error(_ *arraysim.Request, name string) arraysim.Answer {
	return arraysim.Answer{Status: 400, Body: fmt.Appendf(nil, `{"message": %q}`, name)}
}

func (a *toy) Status(_ *arraysim.Request, status int) arraysim.Answer {
	return arraysim.Answer{Status: status, Type: "text/plain", Body: []byte("no " + http.StatusText(status))}
}

func (a *toy) Secret(field string) bool      { return strings.Contains(field, "password") }
func (a *toy) Specials() []string            { return []string{"odd"} }
func (a *toy) Publish(context.Context) error { return nil }

type plainToy struct {
	Things []int `json:"things"`
	Last   int   `json:"last"`
}

func (a *toy) MarshalJSON() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.Marshal(plainToy{a.Things, a.Last})
}

func (a *toy) UnmarshalJSON(text []byte) error {
	var p plainToy
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Things, a.Last = p.Things, p.Last
	return nil
}

func (a *toy) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.Things)
}

// answer is what came back; status 0 for no answer.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

// credentials are those of all servers in these tests.
const user, password = "admin", "canary-password"

func start(t *testing.T, o arraysim.Options) (*toy, *arraysim.Running) {
	t.Helper()
	a := &toy{}
	o.User, o.Password = user, password
	return a, arraysim.Start(t, a, o)
}

func request(ctx context.Context, t *testing.T, r *arraysim.Running, method, path, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth(user, password)
	return req
}

func send(ctx context.Context, t *testing.T, r *arraysim.Running, method, path, body string) answer {
	t.Helper()
	return do(r.Client(), request(ctx, t, r, method, path, body))
}

func do(client *http.Client, req *http.Request) answer {
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	var text bytes.Buffer
	_, err = io.Copy(&text, res.Body)
	return answer{res.StatusCode, text.String(), res.Header, err}
}
