// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/connectortest"
	"github.com/gocinder/cinderlib/internal/fakehost/rbdhost"
)

const (
	mib  = 1 << 20
	key  = "AQBvaBRgCANARYAAqJ5E1oXhCqXnX8h0v8q9Wg=="
	fsid = "6a0bd5b0-1f7c-4c35-9a0e-0c2f3d5b9a11"
)

// quick are limits for a simulated host: short where a test waits for the end of
// one, long where that would be a fault of a busy machine. The simulated rbd-nbd looks
// for a monitor as good as not at all (mount).
var quick = limits{
	add: 20 * time.Second, nbd: 20 * time.Second, remove: 20 * time.Second, refresh: 20 * time.Second,
	device: 10 * time.Second, size: 5 * time.Second, settle: 200 * time.Millisecond, busy: 300 * time.Millisecond,
	orphan: 10 * time.Second, flush: 10 * time.Second, forced: time.Second, patience: 700 * time.Millisecond, undo: time.Minute,
}

// world is a simulated host with a cluster.
type world struct {
	*rbdhost.Sim

	cluster *rbdhost.Cluster
	host    *connector.Host
	conn    *rbd
	volumes atomic.Int64
}

func newCluster(mons ...string) *rbdhost.Cluster {
	return &rbdhost.Cluster{
		FSID: fsid, Mons: mons, Keys: map[string]string{"cinder": key, "admin": key}, Images: map[string]*rbdhost.Image{}, Pools: []string{"volumes"},
	}
}

// newWorld makes a host that maps images by the kernel ("krbd"), by rbd-nbd alone
// ("nbd"), or that has both.
func newWorld(t *testing.T, way string) *world {
	t.Helper()
	w := &world{Sim: rbdhost.New(t), cluster: newCluster("10.0.0.1:6789", "[fd00::2]:6789")}
	switch way {
	case "krbd":
		w.Handle("rbd-nbd", nil)
	case "nbd":
		w.NoKernel = true
	}
	w.Add(w.cluster)
	w.host = w.Connector()
	w.conn = w.connector(w.host)
	return w
}

func (w *world) connector(h *connector.Host) *rbd {
	c := New(h).(*rbd) //nolint:forcetypeassert // it is
	c.limits = quick
	c.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "mon.example" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	}
	return c
}

// image makes an image of 4 MiB and a request for it.
func (w *world) image(name string) (*rbdhost.Image, connector.Request) {
	i := &rbdhost.Image{ID: fmt.Sprintf("%012x", w.volumes.Add(1)), Size: 4 * mib, Features: 61}
	w.Change(func() { w.cluster.Images[name] = i })
	return i, w.request(name)
}

func (w *world) volume() connector.Request {
	_, r := w.image(fmt.Sprintf("volumes/volume-%d", w.volumes.Add(1)))
	return r
}

func (w *world) request(name string) connector.Request {
	return connector.Request{
		Info: &connector.ConnInfo{Protocol: connector.ProtocolRBD, Data: &connector.RBDData{
			Name: name, Hosts: []string{"10.0.0.1", "fd00::2"}, Ports: []string{"6789", "6789"}, ClusterName: "ceph",
			AuthEnabled: true, AuthUsername: "cinder", SecretType: "ceph",
			Keyring: "[client.other]\n\tkey = AAAA\n[client.cinder]\n\tkey = " + key + "\n\tcaps mon = \"profile rbd\"\n",
		}},
		SizeBytes: 4 * mib,
	}
}

func dataIn(r connector.Request) *connector.RBDData {
	return r.Info.Data.(*connector.RBDData) //nolint:forcetypeassert // request made it
}

// with is a request with other data.
func with(r connector.Request, change func(*connector.RBDData)) connector.Request {
	r.Info = r.Info.Clone()
	change(dataIn(r))
	return r
}

func (w *world) attached(t *testing.T, r connector.Request) connector.Request {
	t.Helper()
	d, err := w.conn.Attach(t.Context(), r)
	require.NoError(t, err)
	r.Device = d
	require.NoError(t, w.host.Check(t.Context(), r))
	return r
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"krbd", "nbd"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			worlds := map[*connector.Host]*world{}
			var mu sync.Mutex
			of := func(h *connector.Host) *world {
				mu.Lock()
				defer mu.Unlock()
				return worlds[h]
			}
			volume := func(change func(*world, *rbdhost.Image, *connector.RBDData)) func(*testing.T, *connector.Host) connector.Request {
				return func(_ *testing.T, h *connector.Host) connector.Request {
					w := of(h)
					i, r := w.image(fmt.Sprintf("volumes/volume-%d", w.volumes.Add(1)))
					if change != nil {
						w.Change(func() { change(w, i, dataIn(r)) })
					}
					return r
				}
			}
			faults := map[string]connectortest.Fault{
				"no image": {
					Is:      connector.ErrNotFound,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) { d.Name = "volumes/none" }),
				},
				"no snapshot": {
					Is:      connector.ErrNotFound,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) { d.Name += "@none" }),
				},
				"cluster down": {
					Is:      connector.ErrUnavailable,
					Request: volume(func(w *world, _ *rbdhost.Image, _ *connector.RBDData) { w.cluster.Down = true }),
				},
				"wrong key": {
					Is: connector.ErrUnauthenticated,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) {
						d.Keyring = "[client.cinder]\nkey = AQBvaBRg\n"
					}),
				},
				"no such user": {
					Is: connector.ErrUnauthenticated,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) {
						d.AuthUsername, d.Keyring = "nobody", "[client.nobody]\nkey = AQBvaBRg\n"
					}),
				},
				"no keyring": {
					Is:      connector.ErrPrecondition,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) { d.Keyring = "" }),
				},
				"keyring of others": {
					Is:      connector.ErrInvalid,
					Request: volume(func(_ *world, _ *rbdhost.Image, d *connector.RBDData) { d.AuthUsername = "glance" }),
				},
				"too small": {
					Is:      connector.ErrWrongDevice,
					Request: volume(func(_ *world, i *rbdhost.Image, _ *connector.RBDData) { i.Size = mib }),
				},
				"no modules": {
					Is: connector.ErrPrecondition,
					Request: volume(func(w *world, _ *rbdhost.Image, _ *connector.RBDData) {
						w.NoKernel, w.NoNBD = true, true
					}),
				},
			}
			if way == "krbd" {
				faults["features"] = connectortest.Fault{
					Is:      connector.ErrPrecondition,
					Request: volume(func(_ *world, i *rbdhost.Image, _ *connector.RBDData) { i.Features |= rbdhost.Journaling }),
				}
				faults["demoted"] = connectortest.Fault{
					Is:      connector.ErrPrecondition,
					Request: volume(func(_ *world, i *rbdhost.Image, _ *connector.RBDData) { i.Demoted = true }),
				}
			}
			connectortest.Run(t, connectortest.Harness{
				New: func(t *testing.T) (connector.Connector, *connector.Host) {
					w := newWorld(t, way)
					mu.Lock()
					defer mu.Unlock()
					worlds[w.host] = w
					t.Cleanup(func() { require.Empty(t, w.Left()) })
					return w.conn, w.host
				},
				Request: volume(nil),
				Grow: func(_ *testing.T, h *connector.Host, r connector.Request, bytes int64) {
					w := of(h)
					w.Change(func() { w.cluster.Images[dataIn(r).Name].Size = bytes })
				},
				Faults: faults,
			})
		})
	}
}
