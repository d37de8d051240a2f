// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/arraytest"
)

// operation is one whose requests are counted. The words are those of libtest, a^ that
// adopts a volume of the cluster as a, and a~ that lets a go. Without words it is to open
// the driver.
type operation struct {
	name           string
	options        map[string]any
	before, run    string
	cinder, enough int // requests of Cinder's driver, and those that are enough
}

var grouped = map[string]any{"sf_enable_vag": true}

// operations have the requests of Cinder's driver as TestCinderDriver counts them.
var operations = []operation{
	{"open", nil, "", "", 4, 3},
	{"create, new account", nil, "", "a+", 7, 5},
	{"create", nil, "a+", "b+", 5, 3},
	{"delete", nil, "a+", "a-", 3, 3},
	{"extend", nil, "a+", "a=", 3, 2},
	{"create snapshot", nil, "a+", "a*", 4, 2},
	{"delete snapshot", nil, "a+ a*", "a/", 4, 2},
	{"volume from snapshot", nil, "a+ a*", "a*>b", 8, 4},
	{"clone", nil, "a+", "a>b", 10, 5},
	{"revert", nil, "a+ a*", "a<", 4, 2},
	{"retype", nil, "a+", "a%", 3, 2},
	// Cinder's driver asks nothing: what its target has for exports nobody calls, as the
	// driver inherits methods of these names.
	{"connect: export and connect", nil, "a+", "a!", 0, 1},
	{"connect, new access group", grouped, "a+", "a!", 3, 3},
	{"connect, its access group", grouped, "a+ b+ a!", "b!", 2, 3},
	{"disconnect", nil, "a+ a!", "a.", 0, 0},
	{"disconnect, access group", grouped, "a+ b+ a! b!", "a.", 2, 2},
	{"statistics", nil, "a+", "?", 2, 1},
	{"manage: size and manage", nil, "b+", "a^", 8, 5},
	{"unmanage", nil, "a+", "a~", 3, 2},
}

// TestCounts: the requests of each operation, beside those of Cinder's driver and those
// that are enough.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, c := range operations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, solidfire.Options{}, c.options)
			if c.run == "" {
				require.NoError(t, l.open(t).Close())
			} else {
				foreign := func() string { return l.array(false).Foreign(t, drivers.GiB) }
				arraytest.Count(t, openWorld, swept{l}, foreign, c.before, c.run)
			}
			n := l.Totals().Requests
			t.Logf("%-28s %d requests; Cinder's driver %d, enough are %d: %v", c.name, n, c.cinder, c.enough, l.Counts())
			assert.LessOrEqual(t, n, c.enough)
		})
	}
}

// TestManyVolumes: requests, and the bytes of their answers, do not grow with what the
// cluster has, but for the list. That a host connects takes the account, which names
// its volumes: never more than two thousand.
func TestManyVolumes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes ten thousand volumes")
	}
	l := newLab(t, solidfire.Options{Limits: solidfire.Limits{Volumes: 20_000}}, nil)
	d := l.opened(t)
	v := &drivers.Volume{ID: "11111111-2222-3333-4444-555555555555", Size: 1, ProjectID: "project"}
	update, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	update.Apply(v)
	measured := func() map[string][2]int64 {
		all := map[string][2]int64{}
		for name, do := range map[string]func() error{
			"statistics": func() error { _, err := d.Stats(t.Context()); return err },
			"inspect":    func() error { _, err := d.InspectVolume(t.Context(), v); return err },
			"connect": func() error {
				_, err := d.Connect(t.Context(), v, &drivers.Attachment{ID: "a", Host: host})
				return err
			},
			"snapshot and its deletion": func() error {
				s := &drivers.Snapshot{ID: "99999999-2222-3333-4444-555555555555", VolumeID: v.ID, VolumeSize: 1}
				u, err := d.CreateSnapshot(t.Context(), s, v)
				if err != nil {
					return err
				}
				u.Apply(s)
				return d.DeleteSnapshot(t.Context(), s, v)
			},
		} {
			l.Reset()
			require.NoError(t, do(), name)
			all[name] = [2]int64{int64(l.Totals().Requests), l.Totals().AnswerBytes}
		}
		return all
	}
	before := measured()
	l.fill(t, 10_000)
	for name, after := range measured() {
		t.Logf("%s: %d requests of %d bytes; with ten thousand volumes more %d of %d", name, before[name][0], before[name][1], after[0], after[1])
		assert.Equal(t, before[name][0], after[0], name)
		assert.InDelta(t, before[name][1], after[1], 100, name) // numbers have more digits
	}
	l.Reset()
	all, err := d.ListVolumes(t.Context())
	require.NoError(t, err)
	assert.Len(t, all, 10_001)
	t.Logf("list: %d requests of %d bytes", l.Totals().Requests, l.Totals().AnswerBytes)
	assert.Equal(t, 10_001/page+1, l.Totals().Requests)
}

// fill gives the cluster more volumes like the one that it has, in accounts of a
// thousand.
func (l *lab) fill(t *testing.T, n int) {
	t.Helper()
	accounts := make([]json.RawMessage, (n+999)/1000)
	for i := range accounts {
		var made struct{ AccountID json.RawMessage }
		l.ask(t, "AddAccount", map[string]any{"username": fmt.Sprint("others-", i)}, &made)
		accounts[i] = made.AccountID
	}
	text, err := json.Marshal(l.Array())
	require.NoError(t, err)
	var state struct {
		Last    map[string]int64                      `json:"last"`
		Volumes map[string]map[string]json.RawMessage `json:"volumes"`
	}
	all := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal(text, &state))
	require.NoError(t, json.Unmarshal(text, &all))
	require.Len(t, state.Volumes, 1)
	for _, one := range state.Volumes {
		for i := range n {
			state.Last["volumeID"]++
			id := strconv.FormatInt(state.Last["volumeID"], 10)
			more := maps.Clone(one)
			more["volumeID"], more["name"] = json.RawMessage(id), json.RawMessage(strconv.Quote("other-"+id))
			more["attributes"], more["accountID"] = json.RawMessage("{}"), accounts[i/1000]
			state.Volumes[id] = more
		}
		break
	}
	all["last"], err = json.Marshal(state.Last)
	require.NoError(t, err)
	all["volumes"], err = json.Marshal(state.Volumes)
	require.NoError(t, err)
	text, err = json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, l.Array()))
}
