// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"testing"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
	"github.com/gocinder/cinderlib/internal/fakehost/rbdhost"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"krbd", "nbd", "features"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			fakehost.Sweep(t, func(t *testing.T) fakehost.Swept {
				w := newWorld(t, way)
				i, r := w.image("volumes/swept")
				if way == "features" {
					i.Features |= rbdhost.Journaling
				}
				return fakehost.Swept{
					Host: w.Connector(), Request: r, Left: w.Left,
					New: func(h *connector.Host) connector.Connector { return w.connector(h) },
				}
			})
		})
	}
}
