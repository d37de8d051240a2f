// SPDX-License-Identifier: Apache-2.0

package arraysim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Each kind, by what the client sees and what the array has then.
func TestFaultKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  arraysim.Fault
		status int // 0: no answer
		body   string
		things int
	}{
		{"error", arraysim.Fault{Kind: arraysim.Refuse, Name: "busy"}, 400, `{"message": "busy"}`, 0},
		{"status, of the array", arraysim.Fault{Kind: arraysim.Status, Status: 503}, 503, "no Service Unavailable", 0},
		{"status 401", arraysim.Fault{Kind: arraysim.Status, Status: 401}, 401, "no Unauthorized", 0},
		{"status 429", arraysim.Fault{Kind: arraysim.Status, Status: 429}, 429, "no Too Many Requests", 0},
		{"status, with an error", arraysim.Fault{Kind: arraysim.Status, Status: 500, Name: "broken"}, 500, `{"message": "broken"}`, 0},
		{"status, HTML", arraysim.Fault{Kind: arraysim.Status, Status: 404, HTML: true}, 404,
			"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>\n", 0},
		{"malformed", arraysim.Fault{Kind: arraysim.Malformed}, 201, `{"id": 1, "password":`, 1},
		{"slow answer", arraysim.Fault{Kind: arraysim.SlowAnswer, Delay: time.Millisecond}, 201, `{"id": 1, "password": "canary-in-answer"}`, 1},
		{"slow effect", arraysim.Fault{Kind: arraysim.SlowEffect, Delay: time.Millisecond}, 201, `{"id": 1, "password": "canary-in-answer"}`, 1},
		{"drop before", arraysim.Fault{Kind: arraysim.DropBefore}, 0, "", 0},
		{"drop after", arraysim.Fault{Kind: arraysim.DropAfter}, 0, "", 1},
		{"twice", arraysim.Fault{Kind: arraysim.Twice}, 201, `{"id": 2, "password": "canary-in-answer"}`, 2},
		{"custom", arraysim.Fault{Kind: arraysim.Custom, Hook: func(_ context.Context, r *arraysim.Request, do func() arraysim.Answer) arraysim.Answer {
			a := do()
			a.Body = []byte(r.User)
			return a
		}}, 201, user, 1},
		{"custom, dropped", arraysim.Fault{Kind: arraysim.Custom, Hook: func(context.Context, *arraysim.Request, func() arraysim.Answer) arraysim.Answer {
			return arraysim.Answer{}
		}}, 0, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, r := start(t, arraysim.Options{})
			require.NoError(t, r.AddFault(c.fault))
			got := send(t.Context(), t, r, http.MethodPost, "/things", "{}")
			assert.Equal(t, c.status, got.status)
			assert.Equal(t, c.status == 0, got.err != nil, "%v", got.err)
			if len(c.body) > 20 && c.name == "malformed" {
				assert.False(t, json.Valid([]byte(got.body)))
			} else {
				assert.Equal(t, c.body, got.body)
			}
			assert.Equal(t, c.things, a.count())
			records := r.Records()
			require.Len(t, records, 1)
			assert.Equal(t, c.fault.Kind, records[0].Fault)
			assert.Equal(t, c.status, records[0].Status)

			r.ClearFaults()
			assert.Equal(t, 201, send(t.Context(), t, r, http.MethodPost, "/things", "{}").status)
		})
	}
}

func TestSpecial(t *testing.T) {
	t.Parallel()
	_, r := start(t, arraysim.Options{})
	require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.Special, Name: "odd", Times: 1}))
	assert.Equal(t, `"special"`, send(t.Context(), t, r, http.MethodGet, "/things", "").body)
	assert.Equal(t, "null", send(t.Context(), t, r, http.MethodGet, "/things", "").body)
}

func TestFaultCounts(t *testing.T) {
	t.Parallel()
	_, r := start(t, arraysim.Options{})
	require.NoError(t, r.AddFault(arraysim.Fault{Operation: "POST things", After: 1, Times: 2, Kind: arraysim.Refuse, Name: "first"}))
	require.NoError(t, r.AddFault(arraysim.Fault{After: 2, Times: 1, Kind: arraysim.Refuse, Name: "second"}))
	var bodies []string
	for _, method := range []string{"GET", "POST", "POST", "POST", "GET", "POST"} {
		a := send(t.Context(), t, r, method, "/things", "")
		bodies = append(bodies, a.body[:min(len(a.body), 20)])
	}
	// The second fault passed GET and POST; it waits while the first one hits.
	assert.Equal(t, []string{"null", `{"id": 1, "password"`, `{"message": "first"}`, `{"message": "first"}`, `{"message": "second"`, `{"id": 2, "password"`}, bodies)
	assert.Equal(t, map[string]int{"GET things": 2, "POST things": 4}, r.Counts())
}

// A slow effect comes though nobody waits for it any more; a slow answer has
// already come into effect.
func TestSlow(t *testing.T) {
	t.Parallel()
	t.Run("effect", func(t *testing.T) {
		t.Parallel()
		var a *toy
		t.Cleanup(func() { assert.Equal(t, 1, a.count()) }) // runs after the server has closed, which ends the delay
		a, r := start(t, arraysim.Options{})
		require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.SlowEffect, Delay: time.Hour}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gone := make(chan error, 1)
		client, req := r.Client(), request(ctx, t, r, http.MethodPost, "/things", "")
		go func() { gone <- do(client, req).err }()
		require.Eventually(t, func() bool { return r.Count("") == 1 }, 10*time.Second, 5*time.Millisecond)
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		assert.Zero(t, a.count())
	})
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		a, r := start(t, arraysim.Options{})
		require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.SlowAnswer, Delay: time.Hour}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gone := make(chan error, 1)
		client, req := r.Client(), request(ctx, t, r, http.MethodPost, "/things", "")
		go func() { gone <- do(client, req).err }()
		require.Eventually(t, func() bool { return a.count() == 1 }, 10*time.Second, 5*time.Millisecond)
		assert.Equal(t, 1, r.Count("POST things"), "a request counts when it arrives")
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
	})
	t.Run("until the end", func(t *testing.T) {
		t.Parallel()
		var wait sync.WaitGroup
		t.Cleanup(wait.Wait) // runs after the server has closed
		_, r := start(t, arraysim.Options{})
		require.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.SlowAnswer, Delay: time.Hour}))
		client, req := r.Client(), request(context.WithoutCancel(t.Context()), t, r, http.MethodPost, "/things", "")
		wait.Go(func() { do(client, req) })
		require.Eventually(t, func() bool { return r.Count("") == 1 }, 10*time.Second, 5*time.Millisecond)
	})
}

func TestAddFaultRefuses(t *testing.T) {
	t.Parallel()
	_, r := start(t, arraysim.Options{})
	for _, f := range []arraysim.Fault{
		{},
		{Kind: "unheard of"},
		{Kind: arraysim.Refuse},
		{Kind: arraysim.Status, Status: 200},
		{Kind: arraysim.Special, Name: "even"},
		{Kind: arraysim.Custom},
		{Kind: arraysim.Twice, After: -1},
	} {
		require.ErrorIs(t, r.AddFault(f), fault.ErrInvalid, "%+v", f)
	}
	assert.Equal(t, "null", strings.TrimSpace(send(t.Context(), t, r, http.MethodGet, "/things", "").body))
}

// Faults come and go while requests are served.
func TestFaultsConcurrently(t *testing.T) {
	t.Parallel()
	a, r := start(t, arraysim.Options{})
	client := r.Client()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 10 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/things", nil)
				if !assert.NoError(t, err) {
					return
				}
				req.SetBasicAuth(user, password)
				res, err := client.Do(req)
				if assert.NoError(t, err) {
					res.Body.Close()
				}
			}
		})
	}
	for range 50 {
		assert.NoError(t, r.AddFault(arraysim.Fault{Kind: arraysim.Refuse, Name: "busy", Times: 1}))
		r.ClearFaults()
		r.Records()
	}
	wait.Wait()
	refused := 0
	for _, record := range r.Records() {
		if record.Fault != "" {
			refused++
		}
	}
	assert.Equal(t, 40, r.Totals().Requests)
	assert.Equal(t, 40-refused, a.count())
}
