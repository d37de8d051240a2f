// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/connectortest"
	"github.com/gocinder/cinderlib/internal/fakehost/scsihost"
)

const mib = 1 << 20

// quick are limits for a simulated host: short where a test waits for the end of
// one, long where that would be a fault of a busy machine.
var quick = limits{
	portal: 3 * time.Second, refused: 20 * time.Millisecond, login: 20 * time.Second, iscsiadm: 20 * time.Second,
	session: 5 * time.Second, device: 20 * time.Second, size: time.Second, refresh: 10 * time.Second,
	others: 3 * time.Second, dm: 15 * time.Second, settle: 200 * time.Millisecond, drop: 500 * time.Millisecond, flush: 10 * time.Second,
	forced: time.Second, patience: 700 * time.Millisecond, undo: time.Minute,
}

// world is a simulated host with arrays.
type world struct {
	*scsihost.Sim

	host    *connector.Host
	conn    *iscsi
	volumes atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Sim: scsihost.New(t)}
	w.host = w.Connector()
	w.conn = w.connector(w.host)
	return w
}

func (w *world) connector(h *connector.Host) *iscsi {
	c := New(h).(*iscsi) //nolint:forcetypeassert // it is
	c.limits, c.dial = quick, w.Dial
	return c
}

// volume makes a target with one volume.
func (w *world) volume(portals int) (*scsihost.Target, connector.Request) {
	n := w.volumes.Add(1)
	t := &scsihost.Target{
		IQN: fmt.Sprintf("iqn.2010-10.org.openstack:volume-%d", n), User: "user", Password: "secret",
		LUNs: map[int]*scsihost.LUN{0: {WWID: wwid(n), Size: 4 * mib}},
	}
	d := &connector.ISCSIData{TargetIQN: t.IQN, AuthMethod: "CHAP", AuthUsername: "user", AuthPassword: "secret"}
	d.Shared.DeviceWWIDs = []string{wwid(n)}
	for i := range portals {
		p := netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:3260", i, n))
		t.Portals = append(t.Portals, p)
		d.TargetPortals = append(d.TargetPortals, p.String())
		d.TargetIQNs = append(d.TargetIQNs, t.IQN)
	}
	d.TargetPortal = d.TargetPortals[0]
	w.Add(t)
	return t, connector.Request{
		Info:      &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: d},
		SizeBytes: 4 * mib, Multipath: portals > 1,
	}
}

func wwid(n int64) string { return fmt.Sprintf("naa.6001405%025x", n) }

func dataIn(r connector.Request) *connector.ISCSIData {
	return r.Info.Data.(*connector.ISCSIData) //nolint:forcetypeassert // volume made it
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, portals := range []int{1, 2} {
		t.Run(fmt.Sprint(portals), func(t *testing.T) {
			t.Parallel()
			worlds := map[*connector.Host]*world{}
			var mu sync.Mutex
			of := func(h *connector.Host) *world {
				mu.Lock()
				defer mu.Unlock()
				return worlds[h]
			}
			volume := func(change func(*world, *scsihost.Target, *connector.Request)) func(*testing.T, *connector.Host) connector.Request {
				return func(_ *testing.T, h *connector.Host) connector.Request {
					w := of(h)
					target, r := w.volume(portals)
					if change != nil {
						w.Change(func() { change(w, target, &r) })
					}
					return r
				}
			}
			connectortest.Run(t, connectortest.Harness{
				New: func(t *testing.T) (connector.Connector, *connector.Host) {
					w := newWorld(t)
					mu.Lock()
					defer mu.Unlock()
					worlds[w.host] = w
					t.Cleanup(func() { require.Empty(t, w.Left()) })
					return w.conn, w.host
				},
				Request: volume(nil),
				Grow: func(_ *testing.T, h *connector.Host, r connector.Request, bytes int64) {
					w := of(h)
					w.Change(func() {
						for _, target := range w.Targets() {
							if target.IQN == dataIn(r).TargetIQN {
								target.LUNs[0].Size = bytes
							}
						}
					})
				},
				Faults: map[string]connectortest.Fault{
					"no portal answers": {
						Is: connector.ErrUnavailable,
						Request: volume(func(w *world, target *scsihost.Target, _ *connector.Request) {
							for _, p := range target.Portals {
								w.Dead[p] = true
							}
						}),
					},
					"no portal listens": {
						Is:      connector.ErrUnavailable,
						Request: volume(func(_ *world, target *scsihost.Target, _ *connector.Request) { target.Portals = nil }),
					},
					"wrong password": {
						Is: connector.ErrUnauthenticated,
						Request: volume(func(_ *world, _ *scsihost.Target, r *connector.Request) {
							dataIn(*r).AuthPassword = "wrong"
						}),
					},
					"other volume": {
						Is: connector.ErrWrongDevice,
						Request: volume(func(_ *world, target *scsihost.Target, _ *connector.Request) {
							target.LUNs[0].WWID = wwid(999)
						}),
					},
					"no LUN": {
						Is:      connector.ErrUnavailable,
						Request: volume(func(_ *world, target *scsihost.Target, _ *connector.Request) { delete(target.LUNs, 0) }),
					},
					"too small": {
						Is:      connector.ErrWrongDevice,
						Request: volume(func(_ *world, target *scsihost.Target, _ *connector.Request) { target.LUNs[0].Size = mib }),
					},
					"no iscsid": {
						Is:      connector.ErrUnavailable,
						Request: volume(func(w *world, _ *scsihost.Target, _ *connector.Request) { w.NoIscsid = true }),
					},
					"no iscsiadm": {
						Is:      connector.ErrPrecondition,
						Request: volume(func(w *world, _ *scsihost.Target, _ *connector.Request) { w.Handle("iscsiadm", nil) }),
					},
					"no multipathd": {
						Is: connector.ErrPrecondition,
						Request: volume(func(w *world, _ *scsihost.Target, r *connector.Request) {
							w.NoMultipath = true
							r.Multipath, r.EnforceMultipath = true, true
						}),
					},
				},
			})
		})
	}
}

// TestOrphans: an iscsiadm that a killed process has left running is waited for,
// if it is about the same target.
func TestOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, r := w.volume(1)
	_, other := w.volume(1)
	w.Process(88, "iscsiadm", "-m", "node", "-T", target.IQN, "--login")
	_, err := w.conn.Attach(t.Context(), other)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = w.conn.Attach(ctx, r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w.Remove("/proc/88")
	_, err = w.conn.Attach(t.Context(), r)
	require.NoError(t, err)
}

// TestReadOnlyOnTheHost: an array that lets a host write is not asked to when the
// volume is attached to be read.
func TestReadOnlyOnTheHost(t *testing.T) {
	t.Parallel()
	for portals := 1; portals < 3; portals++ {
		w := newWorld(t)
		_, r := w.volume(portals)
		dataIn(r).Shared.AccessMode = connector.ReadOnly
		ro := func(d *connector.Device) string {
			text, _ := os.ReadFile(w.Path("/sys/block/" + filepath.Base(d.Path) + "/ro"))
			return strings.TrimSpace(string(text))
		}
		d, err := w.conn.Attach(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, "1", ro(d))
		again, err := w.conn.Attach(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, d, again)
		require.Equal(t, "1", ro(d))
		dataIn(r).Shared.AccessMode = connector.ReadWrite
		_, err = w.conn.Attach(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, "0", ro(d), "somebody wants to write")
		dataIn(r).Shared.AccessMode = connector.ReadOnly
		_, err = w.conn.Attach(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, "0", ro(d), "and may go on")
		r.Device = d
		require.NoError(t, w.conn.Detach(t.Context(), r))
		require.Empty(t, w.Left())
	}
}
