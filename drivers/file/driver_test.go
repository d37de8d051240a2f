// SPDX-License-Identifier: Apache-2.0

package file

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
)

// openIn opens a driver on a directory, with options beyond the least.
func openIn(t testing.TB, env drivers.Env, dir string, more map[string]any) (*Driver, error) {
	t.Helper()
	options := map[string]any{"volume_backend_name": env.Backend, "volume_driver": "file", "file_directory": dir}
	maps.Copy(options, more)
	r, err := drivers.Lookup("file")
	require.NoError(t, err)
	d, err := r.Open(t.Context(), env, options, false)
	if err != nil {
		return nil, err
	}
	return d.(*Driver), nil
}

// arrayIn is a directory to run the suite on. adjust, if not nil, changes each
// driver before it is used.
func arrayIn(t *testing.T, dir string, adjust func(*Driver)) *driverstest.Array {
	t.Helper()
	env := driverstest.Env(t, "files")
	return &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver {
			d, err := openIn(t, env, dir, nil)
			require.NoError(t, err)
			if adjust != nil {
				adjust(d)
			}
			return d
		},
		Data: func(t *testing.T, c *connector.ConnInfo) driverstest.Data {
			f, err := os.OpenFile(c.Data.(*connector.LocalData).DevicePath, os.O_RDWR, 0)
			require.NoError(t, err)
			return f
		},
		Foreign: func(t *testing.T, bytes int64) string {
			name := "disk " + uuid.NewString() + ".img"
			f, err := os.Create(filepath.Join(dir, name))
			require.NoError(t, err)
			require.NoError(t, f.Truncate(bytes))
			require.NoError(t, f.Close())
			return name
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	driverstest.Run(t, driverstest.Harness{
		New: func(t *testing.T) *driverstest.Array { return arrayIn(t, t.TempDir(), nil) },
	})
}

// The same where neither O_TMPFILE nor /proc is to be had.
func TestConformanceNamed(t *testing.T) {
	t.Parallel()
	driverstest.Run(t, driverstest.Harness{
		New: func(t *testing.T) *driverstest.Array {
			return arrayIn(t, t.TempDir(), func(d *Driver) { d.nameless = false })
		},
	})
}
