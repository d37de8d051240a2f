// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

// rig is a simulated host with its volume group and targets.
type rig struct {
	*fakeLVM
	target *fakeTarget
}

func newRig(tb testing.TB, devices ...int64) *rig {
	tb.Helper()
	f := newLVM(tb, devices...)
	return &rig{f, newTarget(f)}
}

// options decodes options as the library does.
func options(tb testing.TB, more map[string]any) (Options, error) {
	tb.Helper()
	values := map[string]any{"volume_backend_name": "lvm", "volume_driver": "lvm"}
	maps.Copy(values, more)
	o, _, err := optdecode.Decode[Options](values, false)
	return o, err
}

// env is what a driver is opened with: another each time, on one host.
func (r *rig) env() drivers.Env {
	e := driverstest.Env(r.tb, "lvm")
	e.Host = r.host.Connector()
	e.Host.IP = "192.0.2.1"
	return e
}

func (r *rig) openIn(env drivers.Env, more map[string]any) (*Driver, error) {
	r.tb.Helper()
	o, err := options(r.tb, more)
	require.NoError(r.tb, err)
	return openWith(context.Background(), env, o, r.target)
}

// open opens a driver and closes it after the test.
func (r *rig) open(more map[string]any) *Driver {
	r.tb.Helper()
	d, err := r.openIn(r.env(), more)
	require.NoError(r.tb, err)
	r.tb.Cleanup(func() { assert.NoError(r.tb, d.Close()) })
	return d
}

func thick(more ...map[string]any) map[string]any {
	m := map[string]any{"lvm_type": "default"}
	for _, o := range more {
		maps.Copy(m, o)
	}
	return m
}

func thinly() map[string]any { return map[string]any{"lvm_type": "thin"} }

// both runs a test with thick and with thin volumes.
func both(t *testing.T, run func(t *testing.T, options map[string]any, isThin bool)) {
	t.Helper()
	for name, o := range map[string]map[string]any{"thick": thick(), "thin": thinly()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, o, name == "thin")
		})
	}
}

func volume(size int) *drivers.Volume {
	return &drivers.Volume{ID: uuid.NewString(), Size: size, Status: drivers.StatusCreating}
}

func snapshotOf(v *drivers.Volume) *drivers.Snapshot {
	return &drivers.Snapshot{ID: uuid.NewString(), VolumeID: v.ID, VolumeSize: v.Size, Status: drivers.StatusCreating}
}

func snapName(s *drivers.Snapshot) string { return "_" + s.NameOnArray() }

// created makes a volume.
func (r *rig) created(d *Driver, size int) *drivers.Volume {
	r.tb.Helper()
	v := volume(size)
	_, err := d.CreateVolume(context.Background(), v)
	require.NoError(r.tb, err)
	return v
}

func (r *rig) snapped(d *Driver, v *drivers.Volume) *drivers.Snapshot {
	r.tb.Helper()
	s := snapshotOf(v)
	_, err := d.CreateSnapshot(context.Background(), s, v)
	require.NoError(r.tb, err)
	return s
}

// exported exports a volume and stores what the driver says.
func (r *rig) exported(d *Driver, v *drivers.Volume) *drivers.Volume {
	r.tb.Helper()
	u, err := d.Export(context.Background(), v)
	require.NoError(r.tb, err)
	stored := v.Clone()
	u.Apply(stored)
	return stored
}

func host(n int) *connector.Properties {
	return &connector.Properties{Host: "host", Initiator: "iqn.1993-08.org.debian:01:" + string(rune('a'+n))}
}

// count runs a call and gives the number of programs that it ran.
func (r *rig) count(call func() error) int {
	r.tb.Helper()
	r.host.Forget()
	require.NoError(r.tb, call())
	return r.host.Count("")
}

// mishap is what happens to one run of a program.
type mishap int

const (
	failBefore mishap = iota // it says that it failed, and did nothing
	failAfter                // it says that it failed, and did its work
	crashBefore
	crashAfter // a segmentation fault, once
	dieBefore  // it is the process of the driver that ends there
	dieAfter
	mishaps
)

func (f mishap) String() string {
	return [...]string{"fails before", "fails after", "crashes before", "crashes after", "process dies before", "process dies after"}[f]
}

var errDead = errors.New("the process is dead")

// mortal runs programs, one of which meets a fault. After a death none runs.
type mortal struct {
	run connector.Runner

	mu    sync.Mutex
	count int
	at    int // which one, counted from 1; 0 for none
	what  mishap
	hit   []string // the arguments of that one
	dead  bool
}

// next tells whether the fault is this run's.
func (m *mortal) next(args []string) (hit bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, errDead
	}
	m.count++
	if m.count != m.at {
		return false, nil
	}
	m.hit = slices.Clone(args)
	m.dead = m.what == dieBefore || m.what == dieAfter
	return true, nil
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *mortal) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	hit, err := m.next(c.Args)
	if err != nil {
		return connector.Result{Code: -1}, err
	}
	if !hit {
		return m.run.Run(ctx, c)
	}
	if m.what == failAfter || m.what == crashAfter || m.what == dieAfter {
		if r, err := m.run.Run(ctx, c); err != nil {
			return r, err
		}
	}
	switch m.what {
	case crashBefore, crashAfter:
		return connector.Result{Code: 139}, errors.New("exit 139")
	case dieBefore, dieAfter:
		return connector.Result{Code: -1}, errDead
	}
	text := "  device-mapper: reload ioctl on  (253:4) failed: Input/output error\n"
	return connector.Result{Code: 5, Stderr: []byte(text)}, errors.New("exit 5: " + text)
}

// arm makes an Env whose n-th program meets the fault.
func (r *rig) arm(at int, what mishap) (drivers.Env, *mortal) {
	e := r.env()
	m := &mortal{run: e.Host.Run, at: at, what: what}
	e.Host.Run = m
	copyPaths := e.Copy
	e.Copy = func(ctx context.Context, c drivers.CopyRequest) error {
		if m.died() {
			return errDead
		}
		return copyPaths(ctx, c)
	}
	return e, m
}
