// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/arraytest"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// operation is one whose requests are counted. The words are those of libtest, a^ that
// adopts a volume of the array as a, and a~ that lets a go. Without words it is to open
// the driver.
type operation struct {
	name           string
	protocol       string
	options        map[string]any
	before, run    string
	cinder, enough int // requests of Cinder's driver, and those that are enough
}

var clean = map[string]any{"xtremio_clean_unused_ig": true}

// operations have the requests of Cinder's driver on XMS 4.2 as its contract counts
// them. Those of a host that connects are without what a driver has cached.
var operations = []operation{
	{"open", "iscsi", nil, "", "", 3, 2},
	{"create", "iscsi", nil, "", "a+", 1, 1},
	{"delete", "iscsi", nil, "a+", "a-", 1, 1},
	{"extend", "iscsi", nil, "a+", "a=", 1, 2}, // it looks that it does not shrink
	{"create snapshot", "iscsi", nil, "a+", "a*", 2, 2},
	{"delete snapshot", "iscsi", nil, "a+ a*", "a/", 1, 1},
	{"volume from snapshot", "iscsi", nil, "a+ a*", "a*>b", 2, 2},
	{"clone", "iscsi", nil, "a+", "a>b", 3, 2},
	{"revert", "iscsi", nil, "a+ a*", "a<", 0, 1},
	{"connect, new host", "iscsi", nil, "a+", "a!", 9, 7},
	{"connect", "iscsi", nil, "a+ b+ a!", "b!", 6, 3},
	{"disconnect", "iscsi", nil, "a+ a!", "a.", 3, 3},
	{"disconnect and clean", "iscsi", clean, "a+ a!", "a.", 5, 5},
	{"connect, new host", "fibre_channel", nil, "a+", "a!", 10, 8}, // two ports
	{"connect", "fibre_channel", nil, "a+ b+ a!", "b!", 4, 3},
	{"disconnect", "fibre_channel", nil, "a+ a!", "a.", 4, 4},
	{"statistics", "iscsi", nil, "a+", "?", 1, 1},
	{"manage: size and manage", "iscsi", nil, "b+", "a^", 3, 3},
	{"unmanage", "iscsi", nil, "a+", "a~", 1, 1},
}

// TestCounts: the requests of each operation, beside those of Cinder's driver and those
// that are enough.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, c := range operations {
		t.Run(c.protocol+" "+c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.protocol, xtremio.Options{Version: "4.2.0"}, c.options)
			if c.run == "" {
				require.NoError(t, l.open(t).Close())
			} else {
				foreign := func() string { return l.array(c.protocol).Foreign(t, drivers.GiB) }
				arraytest.Count(t, openWorld, l, foreign, c.before, c.run)
			}
			n := l.Totals().Requests
			t.Logf("%-13s %-24s %d requests; Cinder's driver %d, enough are %d: %v", c.protocol, c.name, n, c.cinder, c.enough, l.Counts())
			assert.LessOrEqual(t, n, c.enough)
		})
	}
}

// TestManyVolumes: requests, and the bytes of their answers, do not grow with what the
// array has, but for the list.
func TestManyVolumes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes five thousand volumes")
	}
	l := newLab(t, connector.ProtocolISCSI, xtremio.Options{Version: "6.2.1"}, nil)
	d := l.opened(t)
	v := &drivers.Volume{ID: "11111111-2222-3333-4444-555555555555", Size: 1}
	s := &drivers.Snapshot{ID: "21111111-2222-3333-4444-555555555555", VolumeID: v.ID, VolumeSize: 1}
	a := &drivers.Attachment{ID: "a", Host: libtest.Host(0)}
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	_, err = d.Connect(t.Context(), v, a)
	require.NoError(t, err)
	verbs := map[string]func() error{
		"statistics": func() error { _, err := d.Stats(t.Context()); return err },
		"inspect":    func() error { _, err := d.InspectVolume(t.Context(), v); return err },
		"connect":    func() error { _, err := d.Connect(t.Context(), v, a); return err },
		"snapshot and its deletion": func() error {
			if _, err := d.CreateSnapshot(t.Context(), s, v); err != nil {
				return err
			}
			return d.DeleteSnapshot(t.Context(), s, v)
		},
	}
	measure := func() map[string][2]int {
		all := map[string][2]int{}
		for name, do := range verbs {
			l.Reset()
			require.NoError(t, do(), name)
			n := l.Totals()
			all[name] = [2]int{n.Requests, int(n.AnswerBytes)}
		}
		return all
	}
	few := measure()
	const many = 5000
	for i := range many {
		l.ask(t, http.MethodPost, "volumes", map[string]any{"vol-name": fmt.Sprintf("many-%d", i), "vol-size": "1g"}, nil)
	}
	after := measure()
	for name, n := range after {
		t.Logf("%s: %d requests, %d bytes; with few volumes %d, %d", name, n[0], n[1], few[name][0], few[name][1])
		assert.Equal(t, few[name][0], n[0], name)
		assert.InDelta(t, few[name][1], n[1], 100, name)
	}
	l.Reset()
	list, err := d.ListVolumes(t.Context())
	require.NoError(t, err)
	assert.Len(t, list, many+1)
	assert.Equal(t, 1, l.Totals().Requests)
}
