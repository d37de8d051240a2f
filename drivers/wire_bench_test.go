// SPDX-License-Identifier: Apache-2.0

package drivers_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// volumeWithSnapshot is some 3 KB, compact, as dumps() wrote it.
func volumeWithSnapshot(tb testing.TB) (text []byte, v *drivers.Volume, snapshots []*drivers.Snapshot) {
	tb.Helper()
	var backends []struct {
		Volumes []struct {
			OVO json.RawMessage `json:"ovo"`
		} `json:"volumes"`
	}
	require.NoError(tb, json.Unmarshal(samples(tb)["memory.brief.all-dumps.txt"], &backends))
	text = backends[0].Volumes[0].OVO
	v, snapshots, err := decodeVolume(text)
	require.NoError(tb, err)
	require.Len(tb, snapshots, 1)
	return text, v, snapshots
}

func decodeVolume(text []byte) (v *drivers.Volume, snapshots []*drivers.Snapshot, err error) {
	d := ovo.NewDecoder(text)
	v, err = drivers.VolumeSchema().Decode(d, func(d *ovo.Decoder, name string) error {
		if name != "snapshots" {
			return nil
		}
		return ovo.DecodeList(d, "SnapshotList", func(d *ovo.Decoder) error {
			s, err := drivers.SnapshotSchema().Decode(d, nil)
			snapshots = append(snapshots, s)
			return err
		})
	})
	return v, snapshots, err
}

func appendVolume(dst []byte, v *drivers.Volume, snapshots []*drivers.Snapshot) []byte {
	return drivers.VolumeSchema().Append(dst, v, func(dst []byte, name string) ([]byte, bool) {
		if name != "snapshots" {
			return dst, false
		}
		return ovo.AppendList(dst, "SnapshotList", "1.0", len(snapshots), func(dst []byte, i int) []byte {
			return drivers.SnapshotSchema().Append(dst, snapshots[i], nil)
		}), true
	})
}

func BenchmarkAppendVolume(b *testing.B) {
	text, v, snapshots := volumeWithSnapshot(b)
	dst := make([]byte, 0, 2*len(text))
	b.SetBytes(int64(len(appendVolume(nil, v, snapshots))))
	b.ReportAllocs()
	for b.Loop() {
		dst = appendVolume(dst[:0], v, snapshots)
	}
}

func BenchmarkDecodeVolume(b *testing.B) {
	text, _, _ := volumeWithSnapshot(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := decodeVolume(text); err != nil {
			b.Fatal(err)
		}
	}
}

// A volume of a database that Python opened lacks keys, which its Wire keeps.
func BenchmarkAppendOddVolume(b *testing.B) {
	var doc struct {
		OVO json.RawMessage `json:"ovo"`
	}
	require.NoError(b, json.Unmarshal(samples(b)["db-reload.brief.volume-json.json"], &doc))
	v, snapshots, err := decodeVolume(doc.OVO)
	require.NoError(b, err)
	require.NotNil(b, v.Wire)
	dst := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		dst = appendVolume(dst[:0], v, snapshots)
	}
}

func BenchmarkChanged(b *testing.B) {
	_, v, _ := volumeWithSnapshot(b)
	n := v.Clone()
	n.Status = drivers.StatusInUse
	b.ReportAllocs()
	for b.Loop() {
		if len(drivers.VolumeSchema().Changed(v, n)) != 1 {
			b.Fatal()
		}
	}
}
