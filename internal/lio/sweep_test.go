// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attempt is one call, and what its caller repeats after it failed.
type attempt struct {
	prepare func(*testing.T, *world)
	do      func(*testing.T, *world) error
	repeat  func(*testing.T, *world) error // nil: do
	// whole tells that do, when it fails, leaves all as it was.
	whole bool
}

func allow(i Initiator) func(*testing.T, *world) error {
	return func(t *testing.T, w *world) error { return w.Allow(t.Context(), iqn1, i) }
}

func export(e Export) func(*testing.T, *world) error {
	return func(t *testing.T, w *world) error { return w.Export(t.Context(), e) }
}

func unexport(t *testing.T, w *world) error { return w.Unexport(t.Context(), iqn1) }

func attempts() map[string]attempt {
	reader, writer, changed := initiator1(), initiator1(), initiator1()
	reader.ReadOnly = true
	writer.IQN = host2
	changed.User, changed.Password, changed.ReadOnly = "other", "other-"+canary, true
	swapped, moved := export1(), export1()
	swapped.Serial, swapped.Device = id2, "/dev/vg/v3"
	moved.Portals, moved.Discard = addr("127.0.0.1:3261", "10.0.0.1:3260"), false
	prepared := func(steps ...func(*testing.T, *world) error) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			for _, s := range steps {
				require.NoError(t, s(t, w))
			}
		}
	}
	withTwo := prepared(export(export1()), allow(reader), allow(writer))
	return map[string]attempt{
		"export":        {prepare: prepared(), do: export(export1()), whole: true},
		"export again":  {prepare: withTwo, do: export(export1()), whole: true},
		"other portals": {prepare: withTwo, do: export(moved)},
		"other device": {prepare: withTwo, do: export(swapped), repeat: func(t *testing.T, w *world) error {
			// Whoever exports knows who was allowed.
			err := w.Export(t.Context(), swapped)
			for _, i := range []Initiator{reader, writer} {
				if err == nil {
					err = w.Allow(t.Context(), iqn1, i)
				}
			}
			return err
		}},
		"half made": {prepare: func(t *testing.T, w *world) {
			require.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_5"))
			require.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_5/"+iqn1))
			require.NoError(t, w.mkdir(t.Context(), coreDir+"/iblock_7"))
			require.NoError(t, w.mkdir(t.Context(), path1))
		}, do: export(export1())},
		"allow":        {prepare: prepared(export(export1()), allow(writer)), do: allow(reader), whole: true},
		"allow anew":   {prepare: withTwo, do: allow(changed)},
		"disallow":     {prepare: withTwo, do: func(t *testing.T, w *world) error { return w.Disallow(t.Context(), iqn1, host1) }},
		"unexport":     {prepare: withTwo, do: unexport},
		"from nothing": {prepare: func(t *testing.T, w *world) { require.NoError(t, w.rmdir(t.Context(), iscsiDir)) }, do: export(export1())},
	}
}

// begin makes a host with another target, in use, and what the attempt needs.
func (a attempt) begin(t *testing.T, name string) (*world, string) {
	w := newWorld(t)
	w.SaveConfig = NoSaveConfig // it takes half of the time
	if name != "from nothing" { // there nothing can be before it
		require.NoError(t, w.Export(t.Context(), export2()))
		require.NoError(t, w.Allow(t.Context(), iqn2, initiator1()))
		require.True(t, w.login(iqn2, host1))
	}
	clean := lasting(w)
	a.prepare(t, w)
	w.SaveConfig = ""
	w.calls = 0
	return w, clean
}

func (w *world) file() string { return string(w.saved[rtslibFolder+"/saveconfig.json"]) }

// TestSweep fails, and kills, every call into the kernel once.
func TestSweep(t *testing.T) {
	t.Parallel()
	for name, a := range attempts() {
		if a.repeat == nil {
			a.repeat = a.do
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := a.begin(t, name)
			require.NoError(t, a.do(t, w))
			want, wantFile, steps := lasting(w), w.file(), w.calls
			struck := 0
			for _, mode := range []string{"before", "after", "killed"} {
				for at := 1; at <= steps; at++ {
					for _, end := range []string{"repeat", "unexport"} {
						w, clean := a.begin(t, name)
						before := lasting(w)
						w.at, w.mode = at, mode
						err := a.do(t, w)
						require.NotEmpty(t, w.hit)
						what := mode + " " + w.hit + " then " + end
						if err != nil {
							assert.NotContains(t, err.Error(), canary, what)
							if a.whole && mode != "killed" {
								require.Equal(t, before, lasting(w), what)
							}
						} else if mode != "killed" {
							require.Equal(t, want, lasting(w), what)
						}
						w.faults = faults{}
						struck++
						if end == "repeat" {
							require.NoError(t, a.repeat(t, w), what)
							require.Equal(t, want, lasting(w), what)
							require.Equal(t, wantFile, w.file(), what)
							continue
						}
						require.NoError(t, unexport(t, w), what)
						require.Equal(t, clean, lasting(w), what)
						require.NotContains(t, w.file(), iqn1, what)
					}
				}
			}
			t.Logf("%d calls, %d faults", steps, struck)
		})
	}
}

// lasting is the host without what the first call on it sets for good.
func lasting(w *world) string {
	var kept []string
	for line := range strings.Lines(w.String()) {
		first := strings.Fields(line)[0]
		if first != "/dbroot" && (!strings.HasPrefix(first, "/iscsi") || strings.Contains(first, "iqn")) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
