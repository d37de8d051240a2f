// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// copyDriver clones as an array does that cannot: it connects both volumes to
// this host and has the library copy.
type copyDriver struct {
	*noop
	env   drivers.Env
	dir   string
	calls []string
	fail  error // of the target's Connect
}

func (d *copyDriver) path(v *drivers.Volume) string { return filepath.Join(d.dir, v.ID) }

func (d *copyDriver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	f, err := os.Create(d.path(v))
	if err != nil {
		return nil, err
	}
	_, _ = d.noop.CreateVolume(ctx, v)
	return nil, errors.Join(f.Truncate(int64(v.Size)*drivers.GiB), f.Close())
}

func (d *copyDriver) end(v *drivers.Volume, what string) drivers.Endpoint {
	return drivers.Endpoint{
		Connect: func(_ context.Context, a *drivers.Attachment) (*connector.ConnInfo, error) {
			d.calls = append(d.calls, "connect "+what+" "+string(a.Mode))
			if what == "target" && d.fail != nil {
				return nil, d.fail
			}
			return &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &connector.LocalData{DevicePath: d.path(v)}}, nil
		},
		Disconnect: func(ctx context.Context, _ *drivers.Attachment) error {
			d.calls = append(d.calls, "disconnect "+what)
			return ctx.Err()
		},
	}
}

func (d *copyDriver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if _, err := d.CreateVolume(ctx, v); err != nil {
		return nil, err
	}
	return nil, d.env.Copy(ctx, drivers.CopyRequest{
		Source: d.end(src, "source"), Target: d.end(v, "target"), Bytes: int64(src.Size) * drivers.GiB, Sparse: true,
	})
}

func TestCopyThroughTheHost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &copyDriver{noop: newNoop("copy"), dir: t.TempDir()}
	lib, err := cinderlib.New(cinderlib.WithFileLocksPath(t.TempDir()), cinderlib.WithDriver(drivers.NewRegistration("copy",
		func(_ context.Context, env drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			d.env = env
			return d, nil
		})))
	require.NoError(t, err)
	b, err := lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "copy", "volume_driver": "copy"})
	require.NoError(t, err)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	write(t, filepath.Join(d.dir, v.ID()), "copied")

	var last, total int64
	clone, err := v.Clone(ctx, cinderlib.WithSize(2), cinderlib.WithProgress(func(done, all int64) { last, total = done, all }))
	require.NoError(t, err)
	assert.Equal(t, "copied", read(t, filepath.Join(d.dir, clone.ID()), 6))
	assert.Equal(t, []string{"connect source ro", "connect target rw", "disconnect target", "disconnect source"}, d.calls)
	assert.Equal(t, int64(1<<30), total)
	assert.Equal(t, total, last)

	// Whatever fails, what was connected is disconnected, newest first, also when
	// the caller has given up.
	d.calls, d.fail = nil, drivers.Errorf(drivers.ErrUnavailable, "no path")
	_, err = v.Clone(ctx)
	require.ErrorIs(t, err, cinderlib.ErrUnavailable)
	assert.Equal(t, []string{"connect source ro", "connect target rw", "disconnect target", "disconnect source"}, d.calls)

	d.calls, d.fail = nil, nil
	ended, cancel := context.WithCancel(ctx)
	_, err = v.Clone(ended, cinderlib.WithProgress(func(int64, int64) { cancel() }))
	if err != nil { // a copy that was done before it looked is done
		require.ErrorIs(t, err, context.Canceled)
	}
	assert.Equal(t, []string{"disconnect target", "disconnect source"}, d.calls[2:])
}
