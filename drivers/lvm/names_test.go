// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"cinder-volumes", "volume-a-b", "cinder--volumes-volume--a--b"},
		{"vg", "_snapshot-1", "vg-_snapshot--1"},
		{"a--b", "c", "a----b-c"},
		{"a.b+c_d", "x", "a.b+c_d-x"},
	} {
		assert.Equal(t, c[2], deviceName(c[0], c[1]))
	}
	d := &Driver{group: "cinder-volumes", prefix: "iqn.2010-10.org.openstack:"}
	assert.Equal(t, "/dev/mapper/cinder--volumes-volume--1", d.device("volume-1"))
	s, err := d.snapshotName(&drivers.Snapshot{ID: "snapshot-1"})
	require.NoError(t, err)
	assert.Equal(t, "_snapshot-snapshot-1", s)
	for id, ok := range map[string]bool{
		"1": true, "a.b": true, "a+b": true, "a_b": true, "snapshot1": true, "a:b": false, "a b": false, "a/b": false, "ä": false,
		"a_tmeta": false, "x_mlog": false, "x_pmspare": false, "x_rimage_0": false, "x_cvol": false,
		strings.Repeat("x", 90): true, strings.Repeat("x", 100): false, strings.Repeat("-", 50): false,
	} {
		_, err := d.volumeName(&drivers.Volume{ID: id})
		assert.Equal(t, ok, err == nil, "%s: %v", id, err)
		_, snapErr := d.snapshotName(&drivers.Snapshot{ID: id})
		assert.Equal(t, ok, snapErr == nil, "%s: %v", id, snapErr)
		if !ok {
			require.ErrorIs(t, err, drivers.ErrInvalid)
		}
	}
}

// What the name of a target cannot have is refused before anything is made.
func TestTargetNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	const upper = "A7D9E1B2-0000-4000-8000-ABCDEFABCDEF"
	iqn, err := d.iqn(&drivers.Volume{ID: upper})
	require.NoError(t, err)
	assert.Equal(t, "iqn.2010-10.org.openstack:volume-"+strings.ToLower(upper), iqn)
	for _, id := range []string{"Upper", "a_b", "a+b"} {
		v := &drivers.Volume{ID: id, Size: 1}
		_, err := d.CreateVolume(t.Context(), v)
		require.ErrorIs(t, err, drivers.ErrInvalid)
		_, err = d.CloneVolume(t.Context(), v, volume(1))
		require.ErrorIs(t, err, drivers.ErrInvalid)
		require.NoError(t, d.DeleteVolume(t.Context(), v))
	}
	assert.Empty(t, r.names())
}

// A disk's identity depends on the volume's id only. Ids that are no UUIDs do not
// share one because they share digits.
func TestSerial(t *testing.T) {
	t.Parallel()
	of := func(id string) string { return serial(&drivers.Volume{ID: id, NameIDOverride: "other"}) }
	const id = "1f0c1b9e-4d1e-4d0c-9f3e-1d2c3b4a5968"
	assert.Equal(t, id, of(id))
	assert.Equal(t, id, of(strings.ToUpper(id)))
	assert.Equal(t, "naa.60014051f0c1b9e4d1e4d0c9f3e1d2c3", lio.WWN(of(id)))
	assert.Equal(t, "55caebd2-f135-58cd-9817-bab649f3de0e", of("1"), "it never changes")
	seen := map[string]string{}
	for _, id := range []string{"1", "2", "a", "b", "volume-1", "x1", "1x", "g", "h", "zzz", strings.Repeat("x", 36)} {
		wwn := lio.WWN(of(id))
		assert.Empty(t, seen[wwn], "%s", id)
		seen[wwn] = id
	}
}
