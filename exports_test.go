// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// lossy is an array whose exports go with its power.
type lossy struct {
	*noop
	mu      sync.Mutex
	exports map[string]map[string]bool // hosts by volume
	portal  string
	dead    string // the volume that is not there any more
}

func (d *lossy) Export(_ context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v.ID == d.dead {
		return nil, drivers.Errorf(drivers.ErrNotFound, "no such volume")
	}
	if d.exports[v.ID] == nil {
		d.exports[v.ID] = map[string]bool{}
	}
	u := &drivers.VolumeUpdate{ProviderLocation: &d.portal}
	if v.ProviderAuth == "" {
		auth := drivers.Secret("CHAP user " + v.ID)
		u.ProviderAuth = &auth
	}
	return u, nil
}

func (d *lossy) Connect(_ context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.exports[v.ID] == nil {
		return nil, drivers.Errorf(drivers.ErrPrecondition, "not exported")
	}
	d.exports[v.ID][a.Host.Host] = true
	return &connector.ConnInfo{Protocol: "iscsi", Data: &connector.ISCSIData{
		TargetPortal: v.ProviderLocation, AuthPassword: v.ProviderAuth, Shared: connector.Common{VolumeID: v.ID},
	}}, nil
}

// writes counts the writes to a store.
type writes struct {
	persistence.Store
	n int
}

func (w *writes) Write(ctx context.Context, ops ...persistence.Op) error {
	w.n++
	return w.Store.Write(ctx, ops...)
}

func TestEnsureExports(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	array := &lossy{noop: newNoop("b"), exports: map[string]map[string]bool{}, portal: "192.0.2.1:3260"}
	registration := drivers.NewRegistration("lossy",
		func(context.Context, drivers.Env, sampleOptions) (drivers.Driver, error) { return array, nil })
	store := &writes{Store: memory.New()}
	lib, err := cinderlib.New(cinderlib.WithDriver(registration), cinderlib.WithStore(store))
	require.NoError(t, err)
	b, err := lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "b", "volume_driver": "lossy"})
	require.NoError(t, err)
	volumes := make([]*cinderlib.Volume, 3)
	for i := range volumes {
		volumes[i], err = b.CreateVolume(ctx, 1)
		require.NoError(t, err)
	}
	connect := func(v *cinderlib.Volume, host string, opts ...cinderlib.ConnectOption) *cinderlib.Connection {
		c, err := v.Connect(ctx, &connector.Properties{Host: host, Initiator: "iqn." + host}, opts...)
		require.NoError(t, err)
		return c
	}
	readOnly := connect(volumes[0], "one", cinderlib.WithAttachMode(connector.ReadOnly))
	connect(volumes[0], "two")
	connect(volumes[1], "one")

	lose := func() {
		array.mu.Lock()
		defer array.mu.Unlock()
		array.exports = map[string]map[string]bool{}
	}
	want := map[string]map[string]bool{volumes[0].ID(): {"one": true, "two": true}, volumes[1].ID(): {"one": true}}
	for range 2 {
		lose()
		store.n = 0
		require.NoError(t, b.EnsureExports(ctx))
		assert.Equal(t, want, array.exports, "each host has its volumes, and the third nobody")
		assert.Zero(t, store.n, "nothing to store")
	}

	// The portal has another address since.
	lose()
	array.portal = "192.0.2.2:3260"
	require.NoError(t, b.EnsureExports(ctx))
	require.NoError(t, readOnly.Refresh(ctx))
	data, ok := readOnly.ConnInfo().Data.(*connector.ISCSIData)
	require.True(t, ok)
	assert.Equal(t, array.portal, data.TargetPortal)
	assert.Equal(t, connector.ReadOnly, data.Common().AccessMode, "stays what the connection has")
	assert.Equal(t, "CHAP user "+volumes[0].ID(), data.AuthPassword.Reveal(), "and so does the secret")

	// One volume's fault is told, and the others are exported.
	lose()
	array.dead = volumes[0].ID()
	err = b.EnsureExports(ctx)
	require.ErrorIs(t, err, cinderlib.ErrNotFound)
	require.ErrorContains(t, err, volumes[0].ID())
	assert.Equal(t, map[string]map[string]bool{volumes[1].ID(): {"one": true}}, array.exports)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, b.EnsureExports(ended), context.Canceled)
	require.NoError(t, lib.Close(ctx))
	require.ErrorIs(t, b.EnsureExports(ctx), cinderlib.ErrClosed)
}
