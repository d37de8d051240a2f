// SPDX-License-Identifier: Apache-2.0

package fakehost

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

// Swept is a simulated host with a volume that it can attach.
type Swept struct {
	Host    *connector.Host
	New     func(*connector.Host) connector.Connector
	Request connector.Request
	Left    func() []string // what there is of any volume
}

// Sweep fails each call of an attach, an extend and a detach that changes the host,
// before and after it acts, and ends the context there. An attach that fails leaves
// nothing but what a detach removes, and what was not swept works afterwards. world
// makes a new host each time.
func Sweep(t *testing.T, world func(t *testing.T) Swept) {
	t.Helper()
	for _, kind := range []string{"before", "after", "cut before", "cut after"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := 1
			for sweep(t, world(t), kind, n) {
				n++
			}
			assert.Greater(t, n, 4, "calls that were swept")
		})
	}
}

// sweep tells whether there are more than n calls.
func sweep(t *testing.T, w Swept, kind string, n int) bool {
	t.Helper()
	good, r := w.New(w.Host), w.Request
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &sweeper{Runner: w.Host.Run, Files: w.Host.Files, fail: n, after: strings.HasSuffix(kind, "after")}
	cut := strings.HasPrefix(kind, "cut")
	if cut {
		s.cut = cancel
	}
	host := *w.Host
	host.Run, host.Files = s, s
	c := w.New(&host)
	expected := func(err error) {
		t.Helper()
		if err != nil {
			require.True(t, errors.Is(err, errSwept) || errors.Is(err, context.Canceled), "%s: %v", s.what, err)
		}
	}
	d, err := c.Attach(ctx, r)
	expected(err)
	r.Device = d
	if err == nil {
		_, err = c.Extend(ctx, r)
		expected(err)
		expected(c.Detach(ctx, r))
	} else {
		// Only what failed on the way back may be left.
		switch left := w.Left(); {
		case strings.Contains(err.Error(), "is being undone"): // behind the call, which has no more time
			assert.Eventually(t, func() bool { return len(w.Left()) == 0 }, time.Minute, time.Millisecond, "%s: %v", s.what, err)
		case cut || !strings.Contains(err.Error(), "undo"):
			assert.Empty(t, left, "%s: %v", s.what, err)
		}
		_ = c.Detach(ctx, r) // the context may have ended
	}
	r.Force = n%2 == 0
	require.NoError(t, good.Detach(t.Context(), r), s.what)
	require.Empty(t, w.Left(), s.what)
	r.Device, err = good.Attach(t.Context(), r)
	require.NoError(t, err, s.what)
	require.NoError(t, good.Detach(t.Context(), r), s.what)
	require.Empty(t, w.Left(), s.what)
	return s.calls >= n
}

var errSwept = errors.New("fault of the sweep")

// sweeper fails one call of those that change the host, before or after it acts.
type sweeper struct {
	connector.Runner
	connector.Files

	mu    sync.Mutex
	calls int
	fail  int // which
	after bool
	cut   context.CancelFunc // ends the context in place of failing
	what  string
}

// do does a call, or fails it.
func (s *sweeper) do(what string, act func() error) error {
	s.mu.Lock()
	s.calls++
	mine := s.calls == s.fail
	if mine {
		s.what = what
	}
	s.mu.Unlock()
	if mine && !s.after && s.fault() {
		return errSwept
	}
	err := act()
	if mine && s.after && s.fault() {
		return errSwept
	}
	return err
}

func (s *sweeper) fault() bool {
	if s.cut != nil {
		s.cut()
		return false
	}
	return true
}

func (s *sweeper) Run(ctx context.Context, c connector.Command) (r connector.Result, err error) {
	err = s.do(strings.Join(c.Args, " "), func() (err error) {
		r, err = s.Runner.Run(ctx, c)
		return err
	})
	if errors.Is(err, errSwept) {
		r = connector.Result{Code: -1}
	}
	return r, err
}

func (s *sweeper) Write(ctx context.Context, path string, data []byte) error {
	return s.do(path, func() error { return s.Files.Write(ctx, path, data) })
}

func (s *sweeper) Unlink(ctx context.Context, path string) error {
	return s.do(path, func() error { return s.Files.Unlink(ctx, path) })
}
