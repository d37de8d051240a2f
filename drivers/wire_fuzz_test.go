// SPDX-License-Identifier: Apache-2.0

package drivers_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Whatever is read as a volume is written as something that is read as the same
// volume, and written as the same text.
func FuzzVolume(f *testing.F) {
	docs := samples(f)
	for _, file := range []string{"memory.full.snapshot-json.json", "db-reload.full.volume-with-specs-dump.json"} {
		envelopes(f, docs[file], "Volume", func(text []byte) { f.Add(text) })
	}
	for _, data := range oddVolumes {
		f.Add([]byte(volumeEnvelope("1.9", data)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, out, err := rewrite(drivers.VolumeSchema(), text)
		if err != nil {
			require.ErrorIs(t, err, fault.ErrInvalid)
			return
		}
		again, same, err := rewrite(drivers.VolumeSchema(), out)
		require.NoError(t, err)
		assert.Equal(t, string(out), string(same))
		assert.Empty(t, drivers.VolumeSchema().Changed(v, again))
		// A relation's text is not ours to look at, so only its place counts.
		v.Wire, again.Wire = nil, nil
		assert.Equal(t, v, again)
		for key, was := range dataOf(t, text) {
			switch key {
			case "scheduled_at", "launched_at", "terminated_at", "created_at", "updated_at", "deleted_at":
				continue // rewritten with microseconds
			case "volume_type", "volume_attachment", "snapshots":
				continue // envelopes
			}
			require.Equal(t, was, dataOf(t, out)[key], key)
		}
	})
}

func dataOf(t *testing.T, text []byte) map[string]any {
	t.Helper()
	return value(t, text).(map[string]any)["versioned_object.data"].(map[string]any)
}
