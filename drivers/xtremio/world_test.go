// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/arraytest"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// openWorld opens one whose driver asks again at once.
func openWorld(ctx context.Context, folder string, options map[string]any) (*libtest.World, error) {
	quickly := func(protocol string) cinderlib.Option {
		return cinderlib.WithDriver(drivers.NewRegistration(driverName(protocol), func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
			d, err := openWith(ctx, env, o, protocol, quick)
			if err != nil {
				return nil, err
			}
			return d.offered(), nil
		}))
	}
	return libtest.Open(ctx, folder, options, quickly(connector.ProtocolISCSI), quickly(connector.ProtocolFC))
}

// Options implements arraytest.Array.
func (l *lab) Options() map[string]any { return l.options }

// RequireAgreement implements arraytest.Array: each volume and snapshot has the name of
// one in the store.
func (l *lab) RequireAgreement(t *testing.T, w *libtest.World, where string) {
	t.Helper()
	require.NoError(t, w.Backend.Refresh(t.Context()), where)
	volumes, err := w.Backend.Volumes(t.Context())
	require.NoError(t, err, where)
	records := map[string]bool{}
	for _, v := range volumes {
		records[v.ID()] = true
		require.NoError(t, v.Refresh(t.Context()), where)
		all, err := v.Snapshots(t.Context())
		require.NoError(t, err, where)
		for _, s := range all {
			records[s.ID()] = true
		}
	}
	for _, name := range l.names(t, "volumes") {
		assert.True(t, records[name], "%s: the array has %s, and the store does not", where, name)
		delete(records, name)
	}
	assert.Empty(t, records, "%s: the store has more than the array", where)
}

// RequireEmpty implements arraytest.Array. Groups of hosts stay.
func (l *lab) RequireEmpty(t *testing.T, where string) {
	t.Helper()
	for _, kind := range []string{"volumes", "lun-maps"} {
		require.Empty(t, l.names(t, kind), "%s: %s", where, kind)
	}
	require.Empty(t, l.data.Volumes(), where)
}

// trouble is each kind of it.
var trouble = map[string]arraysim.Fault{
	"busy":             {Kind: arraysim.Refuse, Name: "system_is_busy"},
	"refused":          {Kind: arraysim.Refuse, Name: "some_unknown_error"},
	"no more":          {Kind: arraysim.Refuse, Name: "too_many_objs"},
	"status 500":       {Kind: arraysim.Status, Status: 500, HTML: true},
	"status 503":       {Kind: arraysim.Status, Status: 503},
	"status 401":       {Kind: arraysim.Status, Status: 401},
	"malformed answer": {Kind: arraysim.Malformed},
	"dropped before":   {Kind: arraysim.DropBefore},
	"dropped after":    {Kind: arraysim.DropAfter},
	"delivered twice":  {Kind: arraysim.Twice},
}

func sweeps() map[string]*arraytest.Sweep {
	sweep := func(protocol string, xms xtremio.Options, options map[string]any, verbs []arraytest.Verb) *arraytest.Sweep {
		return &arraytest.Sweep{Open: openWorld, Verbs: verbs, Canary: password, New: func(t *testing.T) arraytest.Array {
			return newLab(t, protocol, xms, options)
		}}
	}
	chap := xtremio.Options{Version: "6.2.1", Clusters: []xtremio.ClusterOptions{{CHAP: "initiator"}}}
	return map[string]*arraytest.Sweep{
		"iSCSI": sweep(connector.ProtocolISCSI, chap, nil, arraytest.Verbs("%")),
		"FC":    sweep(connector.ProtocolFC, xtremio.Options{}, map[string]any{"xtremio_clean_unused_ig": true}, arraytest.Connecting()),
		"old":   sweep(connector.ProtocolISCSI, xtremio.Options{Version: "3.0.3"}, nil, arraytest.Verbs("%<!.?-=/")),
	}
}

func TestFaultSweep(t *testing.T) {
	t.Parallel()
	arraytest.Faults(t, sweeps(), trouble, 400)
}

func TestMain(m *testing.M) { os.Exit(arraytest.Main(m, openWorld)) }

// TestKillSweep: two requests open the driver.
func TestKillSweep(t *testing.T) {
	t.Parallel()
	arraytest.Kills(t, sweeps(), 2, 60)
}
