// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
	"github.com/gocinder/cinderlib/internal/fakehost/scsihost"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	for _, portals := range []int{1, 2} {
		t.Run(fmt.Sprint(portals), func(t *testing.T) {
			t.Parallel()
			fakehost.Sweep(t, func(t *testing.T) fakehost.Swept {
				w := newWorld(t)
				_, r := w.volume(portals)
				return fakehost.Swept{
					Host: w.Connector(), Request: r, Left: w.Left,
					New: func(h *connector.Host) connector.Connector { return w.connector(h) },
				}
			})
		})
	}
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
		step := rnd.IntN(8)
		did := fmt.Sprintf("step %d with volume %d", step, i)
		switch step {
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
			did += fmt.Sprintf(": %v", err)
			if err == nil {
				attached[i] = d
			} else {
				w.await(t, r) // a login that iscsid still works at is taken back behind the call
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
				did += fmt.Sprintf(": %v", w.conn.Detach(t.Context(), r)) // its flush may fail
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
				require.Empty(t, paths, "%d is not attached, %s", i, did)
			} else {
				require.Contains(t, paths, attached[i].Path, "%d is attached, %s", i, did)
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
