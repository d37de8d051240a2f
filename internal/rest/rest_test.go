// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

const canary = "canary-Password-7"

var quick = rest.Retry{Tries: 3, First: time.Millisecond, Longest: 2 * time.Millisecond}

// array is a server that counts, and a client of it.
type array struct {
	*rest.Client

	requests, connections atomic.Int32
	log                   bytes.Buffer
	server                *httptest.Server
}

func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request), change ...func(*rest.Options)) *array {
	t.Helper()
	a := &array{}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(int(a.requests.Add(1)), w, r)
	}))
	a.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			a.connections.Add(1)
		}
	}
	a.server.StartTLS()
	o := rest.Options{
		URL: a.server.URL + "/api", User: "admin", Password: canary, Retry: quick, TLS: rest.TLS{SkipVerify: true},
		Log: slog.New(slog.NewTextHandler(&a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	a.Client, err = rest.New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		a.Close()
		a.server.Close()
		assert.NotContains(t, a.log.String(), canary)
	})
	return a
}

func drop(http.ResponseWriter) { panic(http.ErrAbortHandler) }

var create = rest.Request{Operation: "create", Method: http.MethodPost, Path: "volumes", Body: map[string]int{"size": 1}}

func TestDo(t *testing.T) {
	t.Parallel()
	var seen []rest.Exchange
	a := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		assert.Equal(t, "admin "+canary, user+" "+password)
		assert.Equal(t, "POST /api/volumes?full=1&name=a+b", r.Method+" "+r.URL.String())
		assert.Equal(t, "openstack", r.Header.Get("Application-Type"))
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.JSONEq(t, `{"size":1}`, string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":7}`)
	}, func(o *rest.Options) {
		o.Header = http.Header{"Application-Type": {"openstack"}}
		o.Observe = func(e rest.Exchange) { seen = append(seen, e) }
	})
	r := create
	r.Query = url.Values{"name": {"a b"}, "full": {"1"}}
	for range 10 {
		got, err := a.Do(t.Context(), r)
		require.NoError(t, err)
		var volume struct{ ID int }
		require.NoError(t, got.Decode(&volume))
		require.Equal(t, 7, volume.ID)
	}
	assert.Equal(t, int32(1), a.connections.Load(), "one connection is used again")
	require.Len(t, seen, 10)
	assert.Equal(t, 10, seen[0].Sent)
}

// TestTries: what is sent again, and how often.
func TestTries(t *testing.T) {
	t.Parallel()
	read := create
	read.Again = true
	errLimit := errors.New("limit reached")
	checked := create
	checked.Check = func(a *rest.Answer) error {
		if strings.Contains(string(a.Body), "busy") {
			return rest.Busy(fault.Errorf(fault.ErrUnavailable, "xBusy"))
		}
		if strings.Contains(string(a.Body), "limit") {
			return errLimit
		}
		return nil
	}
	status := func(code int, body string) func(int, http.ResponseWriter, *http.Request) {
		return func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	dropped := func(_ int, w http.ResponseWriter, _ *http.Request) { drop(w) }
	for name, c := range map[string]struct {
		handle func(int, http.ResponseWriter, *http.Request)
		r      rest.Request
		tries  int32
		is     error
		lost   bool
	}{
		"busy, then not": {func(n int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, []string{"busy", "busy", "{}"}[n-1])
		}, checked, 3, nil, false},
		"always busy":                {status(200, "busy"), checked, 3, fault.ErrUnavailable, false},
		"refused by the array":       {status(500, "limit"), checked, 1, errLimit, false},
		"the credentials":            {status(401, "<html>"), create, 1, fault.ErrUnauthenticated, false},
		"service busy":               {status(503, ""), create, 3, fault.ErrUnavailable, false},
		"too fast":                   {status(429, ""), create, 3, fault.ErrUnavailable, false},
		"failed inside":              {status(500, "<html>"), create, 1, fault.ErrUnavailable, true},
		"failed inside, of a read":   {status(502, ""), read, 3, fault.ErrUnavailable, true},
		"not there":                  {status(404, ""), create, 1, fault.ErrNotFound, false},
		"forbidden":                  {status(403, ""), create, 1, fault.ErrPermission, false},
		"redirected":                 {status(302, ""), create, 1, fault.ErrInternal, false},
		"lost":                       {dropped, create, 1, fault.ErrUnavailable, true},
		"lost, and carried out once": {dropped, read, 3, fault.ErrUnavailable, true},
		"a part of the answer": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			drop(w)
		}, create, 1, fault.ErrUnavailable, true},
		"too long": {status(200, strings.Repeat("x", 2000)), create, 1, fault.ErrInternal, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serve(t, c.handle, func(o *rest.Options) { o.Answer = 1000 })
			_, err := a.Do(t.Context(), c.r)
			if c.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.is)
				require.ErrorContains(t, err, "create: ")
				require.NotContains(t, err.Error(), canary)
			}
			assert.Equal(t, c.lost, rest.Lost(err), "%v", err)
			assert.Equal(t, c.tries, a.requests.Load())
		})
	}
}

// TestNobodyListens: what was not sent may be sent again, and is not lost.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	tries := 0
	c, err := rest.New(rest.Options{URL: "https://" + l.Addr().String(), Retry: quick, Observe: func(rest.Exchange) { tries++ }})
	require.NoError(t, err)
	_, err = c.Do(t.Context(), create)
	require.ErrorIs(t, err, fault.ErrUnavailable)
	require.ErrorContains(t, err, l.Addr().String())
	assert.False(t, rest.Lost(err))
	assert.Equal(t, 3, tries)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	silent := func(_ int, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		a := serve(t, silent, func(o *rest.Options) { o.Timeout = 2 * time.Second }) // it is sent within that
		_, err := a.Do(t.Context(), create)
		require.ErrorIs(t, err, fault.ErrUnavailable)
		require.ErrorContains(t, err, "does not answer within 2s")
		require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's context has not ended")
		assert.True(t, rest.Lost(err))
	})
	// ending ends the context when the request has come to the array.
	ending := func(t *testing.T) (context.Context, *array) {
		t.Helper()
		ctx, end := context.WithCancel(t.Context())
		return ctx, serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			end()
			silent(n, w, r)
		})
	}
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, a := ending(t)
		_, err := a.Do(ctx, create)
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, rest.Lost(err))
		assert.Equal(t, fault.Canceled, fault.CodeOf(err))
	})
	t.Run("grace", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		a := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			cancel()
			_, _ = io.WriteString(w, "{}")
		})
		patient := create
		patient.Grace = time.Minute
		_, err := a.Do(ctx, patient)
		require.NoError(t, err, "the answer was known")
		_, err = a.Do(ctx, patient)
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, rest.Lost(err), "it was not sent")
	})
	t.Run("grace that is over", func(t *testing.T) {
		t.Parallel()
		ctx, a := ending(t)
		patient := create
		patient.Grace = 30 * time.Millisecond
		_, err := a.Do(ctx, patient)
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, rest.Lost(err))
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := serve(t, silent).Do(ctx, create)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, fault.DeadlineExceeded, fault.CodeOf(err))
	})
	t.Run("context between two tries", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		a := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			cancel()
		}, func(o *rest.Options) { o.Retry = rest.Retry{Tries: 3, First: time.Hour, Longest: time.Hour} })
		_, err := a.Do(ctx, create)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, int32(1), a.requests.Load())
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	answer := func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }
	a := serve(t, answer, func(o *rest.Options) { o.TLS = rest.TLS{} })
	_, err := a.Do(t.Context(), create)
	require.ErrorIs(t, err, fault.ErrPrecondition)
	require.ErrorContains(t, err, "is not trusted")
	assert.False(t, rest.Lost(err))
	assert.Equal(t, int32(1), a.connections.Load(), "it is not tried again")

	folder := t.TempDir()
	file := filepath.Join(folder, "ca.pem")
	cert := a.server.Certificate()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600))
	for _, authorities := range []string{file, folder} {
		c, err := rest.New(rest.Options{URL: a.server.URL, TLS: rest.TLS{Authorities: authorities}})
		require.NoError(t, err)
		_, err = c.Do(t.Context(), create)
		require.NoError(t, err)
		c.Close()
	}
	for _, authorities := range []string{folder + "/none", t.TempDir(), "rest_test.go"} {
		_, err = rest.New(rest.Options{URL: a.server.URL, TLS: rest.TLS{Authorities: authorities}})
		require.ErrorIs(t, err, fault.ErrInvalid)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "array", "https://", "https://[::1", "%"} {
		_, err := rest.New(rest.Options{URL: u})
		require.ErrorIs(t, err, fault.ErrInvalid, u)
	}
	a := &rest.Answer{Status: 200, Body: []byte("<html>" + strings.Repeat("x", 1000))}
	var v struct{}
	err := a.Decode(&v)
	require.ErrorIs(t, err, fault.ErrInternal)
	assert.Less(t, len(err.Error()), 500)
	_, is := errors.AsType[*json.SyntaxError](err)
	assert.True(t, is)
}
