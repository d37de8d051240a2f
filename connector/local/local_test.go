// SPDX-License-Identifier: Apache-2.0

package local

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/connectortest"
	"github.com/gocinder/cinderlib/internal/fakehost"
	"github.com/gocinder/cinderlib/internal/lock"
)

const mib = 1 << 20

// thisHost is the host that the tests run on, with locks of the test's own.
func thisHost() *connector.Host {
	return &connector.Host{Run: connector.NewRunner("", nil), Locks: &lock.Keyed{}, Log: slog.New(slog.DiscardHandler)}
}

// volume makes a file of 4 MiB and a request for it.
func volume(t *testing.T, folder string, loop bool) connector.Request {
	t.Helper()
	path := filepath.Join(folder, "volume-"+uuid.NewString())
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 4*mib))
	return request(path, loop)
}

func request(path string, loop bool) connector.Request {
	return connector.Request{
		Info: &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &connector.LocalData{
			DevicePath: path, Loop: loop,
		}},
		ConnectionID: uuid.NewString(),
		SizeBytes:    4 * mib,
	}
}

func dataIn(r connector.Request) *connector.LocalData {
	return r.Info.Data.(*connector.LocalData) //nolint:forcetypeassert // request made it
}

func faults(loop bool) map[string]connectortest.Fault {
	at := func(path func(t *testing.T) string) func(*testing.T, *connector.Host) connector.Request {
		return func(t *testing.T, _ *connector.Host) connector.Request { return request(path(t), loop) }
	}
	return map[string]connectortest.Fault{
		"missing":  {Request: at(func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }), Is: connector.ErrNotFound},
		"folder":   {Request: at(func(t *testing.T) string { return t.TempDir() }), Is: connector.ErrInvalid},
		"terminal": {Request: at(func(*testing.T) string { return "/dev/null" }), Is: connector.ErrInvalid},
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	wrong := faults(false)
	for name, path := range map[string]string{"relative": "a/file", "no path": ""} {
		_, err := New(thisHost()).Attach(t.Context(), request(path, false))
		require.ErrorIs(t, err, connector.ErrInvalid, name)
	}
	connectortest.Run(t, connectortest.Harness{
		New: func(*testing.T) (connector.Connector, *connector.Host) {
			h := thisHost()
			return New(h), h
		},
		Request: func(t *testing.T, _ *connector.Host) connector.Request { return volume(t, t.TempDir(), false) },
		Grow:    growFile,
		Faults:  wrong,
		Skip:    map[string]string{"PathsComeAndGo": "a plain file is there before and after"},
	})
}

// TestPlainBelowRoot: the host's / is a folder here.
func TestPlainBelowRoot(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T) (connector.Connector, *connector.Host) {
			h := fakehost.New(t).Connector()
			return New(h), h
		},
		Request: func(t *testing.T, h *connector.Host) connector.Request {
			r := volume(t, h.Path("/dev"), false)
			d := dataIn(r)
			d.DevicePath = "/dev/" + filepath.Base(d.DevicePath)
			return r
		},
		Grow: growFile,
		Skip: map[string]string{"PathsComeAndGo": "a plain file is there before and after"},
	})
}

func growFile(t *testing.T, h *connector.Host, r connector.Request, bytes int64) {
	require.NoError(t, os.Truncate(h.Path(dataIn(r).DevicePath), bytes))
}

func TestPlainDetach(t *testing.T) {
	t.Parallel()
	c, r := New(thisHost()), volume(t, t.TempDir(), false)
	path := dataIn(r).DevicePath
	require.NoError(t, os.Remove(path))
	require.NoError(t, c.Detach(t.Context(), r), "gone")

	require.NoError(t, os.WriteFile(path, nil, 0))
	require.NoError(t, c.Detach(t.Context(), r), "not ours to open")

	dataIn(r).Shared.AccessMode = connector.ReadOnly
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Truncate(path, 4*mib))
	require.NoError(t, os.Chmod(path, 0o400))
	d, err := c.Attach(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, &connector.Device{Type: "local", Path: path}, d)
}

func TestPlainExtendSeesTheSize(t *testing.T) {
	t.Parallel()
	c, r := New(thisHost()), volume(t, t.TempDir(), false)
	r.SizeBytes = 8 * mib
	_, err := c.Extend(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	r.SizeBytes = 0
	size, err := c.Extend(t.Context(), r)
	require.NoError(t, err)
	assert.EqualValues(t, 4*mib, size)
	require.NoError(t, os.Remove(dataIn(r).DevicePath))
	_, err = c.Extend(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrNotFound)
}
