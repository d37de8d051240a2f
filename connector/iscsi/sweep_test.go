// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost/scsihost"
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

// mine counts a call.
func (s *sweeper) mine(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.calls != s.fail {
		return false
	}
	s.what = what
	return true
}

func (s *sweeper) fault() error {
	if s.cut != nil {
		s.cut()
		return nil
	}
	return errSwept
}

func (s *sweeper) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	mine := s.mine(strings.Join(c.Args, " "))
	if mine && !s.after {
		if err := s.fault(); err != nil {
			return connector.Result{Code: -1}, err
		}
	}
	r, err := s.Runner.Run(ctx, c)
	if mine && s.after {
		if err := s.fault(); err != nil {
			return connector.Result{Code: -1}, err
		}
	}
	return r, err
}

func (s *sweeper) Write(ctx context.Context, path string, data []byte) error {
	mine := s.mine(path)
	if mine && !s.after {
		if err := s.fault(); err != nil {
			return err
		}
	}
	err := s.Files.Write(ctx, path, data)
	if mine && s.after {
		if err := s.fault(); err != nil {
			return err
		}
	}
	return err
}

// TestSweep fails each call of an attach and a detach, before and after it acts.
// An attach that fails leaves nothing but what a detach removes, and what was not
// swept works afterwards.
func TestSweep(t *testing.T) {
	t.Parallel()
	for _, portals := range []int{1, 2} {
		for _, kind := range []string{"before", "after", "cut before", "cut after"} {
			t.Run(fmt.Sprintf("%d %s", portals, kind), func(t *testing.T) {
				t.Parallel()
				for n, over := 1, false; !over; n++ {
					over = sweep(t, portals, kind, n)
				}
			})
		}
	}
}

func sweep(t *testing.T, portals int, kind string, n int) (over bool) {
	t.Helper()
	w := newWorld(t)
	_, r := w.volume(portals)
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

// TestRandom does with volumes, some of one target, what hosts go through, and
// looks after each step that nothing is there which nobody attached.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func random(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	w := newWorld(t)
	target, first := w.volume(2)
	requests := []connector.Request{first}
	for lun := 1; lun < 3; lun++ { // others of the same target
		target.LUNs[lun*200] = &scsihost.LUN{WWID: wwid(int64(100 + lun)), Size: 4 * mib}
		r := first
		r.Info = first.Info.Clone()
		dataIn(r).TargetLUN = lun * 200
		dataIn(r).Shared.DeviceWWIDs = []string{wwid(int64(100 + lun))}
		requests = append(requests, r)
	}
	_, alone := w.volume(1)
	requests = append(requests, alone)
	attached := map[int]*connector.Device{}
	for range 40 {
		i := rnd.IntN(len(requests))
		r := requests[i]
		r.Device = attached[i]
		switch rnd.IntN(8) {
		case 0, 1, 2:
			d, err := w.conn.Attach(t.Context(), r)
			require.NoError(t, err)
			if attached[i] != nil {
				require.Equal(t, attached[i], d)
			}
			attached[i] = d
		case 3:
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(20))*time.Millisecond)
			d, err := w.conn.Attach(ctx, r)
			cancel()
			if err == nil {
				attached[i] = d
			} else if strings.Contains(err.Error(), "is being undone") {
				w.await(t, r)
			}
		case 4, 5:
			r.Force = rnd.IntN(2) == 0
			require.NoError(t, w.conn.Detach(t.Context(), r))
			delete(attached, i)
		case 6: // a path dies, and comes back
			p := target.Portals[rnd.IntN(2)]
			w.Change(func() { w.Dead[p] = true })
			if attached[i] != nil && i < 3 {
				r.Force = true
				_ = w.conn.Detach(t.Context(), r) // its flush may fail
				delete(attached, i)
			}
			w.Change(func() { delete(w.Dead, p) })
		case 7:
			if attached[i] != nil {
				unmount := w.Mount(attached[i].Path, "/mnt")
				require.ErrorIs(t, w.conn.Detach(t.Context(), r), connector.ErrInUse)
				unmount()
			}
		}
		for i, r := range requests {
			paths, err := w.conn.Paths(t.Context(), r)
			require.NoError(t, err)
			if attached[i] == nil {
				require.Empty(t, paths, "%d is not attached", i)
			} else {
				require.Contains(t, paths, attached[i].Path, "%d is attached", i)
			}
		}
	}
	for i, r := range requests {
		r.Device = attached[i]
		require.NoError(t, w.conn.Detach(t.Context(), r))
	}
	require.Empty(t, w.Left())
}

// await waits for what a call has left behind.
func (w *world) await(t *testing.T, r connector.Request) {
	t.Helper()
	j, err := w.conn.job(t.Context(), r)
	require.NoError(t, err)
	unlock, err := j.lock(t.Context())
	require.NoError(t, err)
	unlock()
}
