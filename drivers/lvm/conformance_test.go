// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
)

// array is a host to run the suite on.
func (r *rig) array(options map[string]any, foreign kind) *driverstest.Array {
	return &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver {
			t.Helper()
			d, err := r.openIn(r.env(), options)
			require.NoError(t, err)
			return d
		},
		Data: func(t *testing.T, c *connector.ConnInfo) driverstest.Data {
			t.Helper()
			x := r.target.export(c.Data.(*connector.ISCSIData).TargetIQN)
			require.NotNil(t, x, "it is exported")
			f, err := os.OpenFile(r.host.Path(x.Device), os.O_RDWR, 0)
			require.NoError(t, err)
			return f
		},
		Access: func(_ *testing.T, v *drivers.Volume, h *connector.Properties) bool {
			x := r.target.export("iqn.2010-10.org.openstack:" + v.NameOnArray())
			if x == nil {
				return false
			}
			_, ok := x.acls[h.Initiator]
			return ok
		},
		Foreign: func(_ *testing.T, bytes int64) string {
			name := "disk-" + uuid.NewString()
			r.foreign(name, bytes, foreign)
			return name
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options map[string]any
		foreign kind
	}{
		"thick":                   {thick(), linear},
		"thin":                    {thinly(), thinLV},
		"auto":                    {nil, thinLV},
		"thick in a group":        {nil, linear}, // which auto leaves as it is
		"thin, thick foreign":     {thinly(), linear},
		"thick, merges take time": {thick(), linear},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driverstest.Run(t, driverstest.Harness{Granule: extentBytes, New: func(t *testing.T) *driverstest.Array {
				r := newRig(t)
				switch name {
				case "thick in a group":
					r.foreign("root", 1<<30, linear)
				case "thick, merges take time":
					r.looks = 3
				}
				r.warn = "  WARNING: File descriptor 7 (/dev/dm-5) leaked on lvs invocation. Parent PID 829: x"
				return r.array(c.options, c.foreign)
			}})
		})
	}
}
