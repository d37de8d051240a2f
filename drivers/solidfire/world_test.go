// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// openWorld opens one whose driver has little patience.
func openWorld(ctx context.Context, folder string, options map[string]any) (*libtest.World, error) {
	quickly := drivers.NewRegistration("solidfire", func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
		d, err := openWith(ctx, env, o, quick)
		if err != nil {
			return nil, err
		}
		d.patience = 50 * time.Millisecond
		return d, nil
	})
	return libtest.Open(ctx, folder, options, cinderlib.WithDriver(quickly))
}

var host = libtest.Host(0)

// RequireAgreement: what the cluster has is in the store, once.
func (l *lab) RequireAgreement(t *testing.T, w *libtest.World, where string) {
	t.Helper()
	require.NoError(t, w.Backend.Refresh(t.Context()), where)
	volumes, err := w.Backend.Volumes(t.Context())
	require.NoError(t, err, where)
	records, snapshots := map[string]*qos{}, 0
	for _, v := range volumes {
		records["UUID-"+v.ID()] = &usual
		if len(v.QoSSpecs()) > 0 {
			records["UUID-"+v.ID()] = &qos{500, 600, 700} // of libtest.QoS
		}
		all, err := v.Snapshots(t.Context())
		require.NoError(t, err, where)
		snapshots += len(all)
	}
	for _, o := range l.volumes(t) {
		if assert.NotNil(t, records[o.Name], "%s: the cluster has the volume %d %s twice, or the store has it not", where, o.ID, o.Name) {
			assert.Equal(t, records[o.Name], o.QoS, where)
		}
		delete(records, o.Name)
	}
	assert.LessOrEqual(t, len(l.snapshots(t)), snapshots, where)
}

func (l *lab) volumes(t *testing.T) []volume {
	t.Helper()
	var found struct{ Volumes []volume }
	l.ask(t, "ListVolumes", map[string]any{}, &found)
	return found.Volumes
}

func (l *lab) snapshots(t *testing.T) []snapshot {
	t.Helper()
	var found struct{ Snapshots []snapshot }
	l.ask(t, "ListSnapshots", map[string]any{}, &found)
	return found.Snapshots
}

func (l *lab) RequireEmpty(t *testing.T, where string) {
	t.Helper()
	require.Empty(t, l.volumes(t), where)
	require.Empty(t, l.snapshots(t), where)
	var found struct{ VolumeAccessGroups []accessGroup }
	l.ask(t, "ListVolumeAccessGroups", map[string]any{}, &found)
	require.Empty(t, found.VolumeAccessGroups, where)
	require.Empty(t, l.data.Volumes(), where)
}
