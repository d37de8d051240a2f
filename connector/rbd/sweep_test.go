// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost/rbdhost"
)

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

// TestSweep fails each call of an attach, an extend and a detach, before and after
// it acts. An attach that fails leaves nothing but what a detach removes, and what
// was not swept works afterwards.
func TestSweep(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"krbd", "nbd", "features"} {
		for _, kind := range []string{"before", "after", "cut before", "cut after"} {
			t.Run(way+" "+kind, func(t *testing.T) {
				t.Parallel()
				n := 1
				for over := false; !over; n++ {
					over = sweep(t, way, kind, n)
				}
				assert.Greater(t, n, 4, "calls that were swept")
			})
		}
	}
}

func sweep(t *testing.T, way, kind string, n int) (over bool) {
	t.Helper()
	w := newWorld(t, way)
	i, r := w.image("volumes/swept")
	if way == "features" {
		i.Features |= rbdhost.Journaling
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &sweeper{Runner: w.host.Run, Files: w.host.Files, fail: n, after: strings.HasSuffix(kind, "after")}
	cut := strings.HasPrefix(kind, "cut")
	if cut {
		s.cut = cancel
	}
	h := w.Connector()
	h.Run, h.Files = s, s
	c := w.connector(h)
	d, err := c.Attach(ctx, r)
	attached := err == nil
	if err != nil {
		require.True(t, errors.Is(err, errSwept) || errors.Is(err, context.Canceled), "%s: %v", s.what, err)
		// Only what failed on the way back may be left.
		if left := w.Left(); cut || !strings.Contains(err.Error(), "undo") {
			assert.Empty(t, left, "%s: %v", s.what, err)
		}
	}
	r.Device = d
	if attached {
		_, err = c.Extend(ctx, r)
		if err != nil {
			require.True(t, errors.Is(err, errSwept) || errors.Is(err, context.Canceled), "%s: %v", s.what, err)
		}
	}
	err = c.Detach(ctx, r)
	if attached && s.calls >= n && err != nil {
		require.True(t, errors.Is(err, errSwept) || errors.Is(err, context.Canceled), "%s: %v", s.what, err)
	}
	r.Force = n%2 == 0
	require.NoError(t, w.conn.Detach(t.Context(), r), s.what)
	require.Empty(t, w.Left(), s.what)
	r.Device, err = w.conn.Attach(t.Context(), r)
	require.NoError(t, err, s.what)
	require.NoError(t, w.conn.Detach(t.Context(), r), s.what)
	require.Empty(t, w.Left(), s.what)
	return s.calls < n
}
