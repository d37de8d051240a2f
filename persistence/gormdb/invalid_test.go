// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

const badText = canary + "\xff"

// wide is a text of so many characters, each of several bytes.
func wide(n int) string { return strings.Repeat("é", n) }

// mistake is a change of a record that makes it too large for a column, or what
// no database takes, and what the error says of it.
type mistake[R any] struct {
	says   string
	change func(R)
}

func badVolumes() []mistake[*drivers.Volume] {
	type v = *drivers.Volume
	list := []mistake[v]{
		{"display_name has 256 characters", func(v v) { v.Name = wide(256) }},
		{"display_name is no valid UTF-8", func(v v) { v.Name = badText }},
		{"display_description has 300", func(v v) { v.Description = wide(300) }},
		{"provider_location has 257 characters, the database has room for 256", func(v v) { v.ProviderLocation = wide(257) }},
		{"provider_auth has 257", func(v v) { v.ProviderAuth = drivers.Secret(canary + wide(251)) }},
		{"provider_auth is no valid UTF-8", func(v v) { v.ProviderAuth = badText }},
		{"snapshot_id has 37", func(v v) { v.SnapshotID = wide(37) }},
		{"group_id is no valid UTF-8", func(v v) { v.GroupID = "\xc3" }},
		{"status has 256", func(v v) { v.Status = wide(256) }},
		{"volume_type_id has 37", func(v v) { v.VolumeTypeID, v.VolumeType.ID = wide(37), wide(37) }},
		{"volume_type_id is", func(v v) { v.VolumeTypeID = id(9) }},
		{"launched_at", func(v v) { v.LaunchedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"created_at", func(v v) { v.CreatedAt = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200)) }},
		{"updated_at", func(v v) { v.UpdatedAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"a key of volume_metadata has 256", func(v v) { v.Metadata = map[string]string{wide(256): canary} }},
		{"a key of volume_metadata is no valid UTF-8", func(v v) { v.Metadata = map[string]string{badText: ""} }},
		{"the value of k in volume_metadata has 256", func(v v) { v.Metadata = map[string]string{"a": "b", "k": canary + wide(250)} }},
		{"the value of k in volume_admin_metadata is no valid UTF-8", func(v v) { v.AdminMetadata = map[string]string{"k": badText} }},
		{"the value of k in volume_glance_metadata is no valid UTF-8", func(v v) { v.GlanceMetadata = map[string]string{"k": badText} }},
		{"a key of volume_type_extra_specs has 256", func(v v) { v.VolumeType.ExtraSpecs = map[string]string{wide(256): canary} }},
		{"the value of k in volume_type_extra_specs has 256", func(v v) { v.VolumeType.ExtraSpecs = map[string]string{"k": wide(256)} }},
		{"the value of k in volume_type_extra_specs is no valid UTF-8", func(v v) { v.VolumeType.ExtraSpecs = map[string]string{"k": badText} }},
		{"the name of the volume type has 256", func(v v) { v.VolumeType.Name = wide(256) }},
		{"the name of the volume type is no valid UTF-8", func(v v) { v.VolumeType.Name = badText }},
		{"the description of the volume type has 256", func(v v) { v.VolumeType.Description = wide(256) }},
		{"the description of the volume type is no valid UTF-8", func(v v) { v.VolumeType.Description = badText }},
		{"QoS", func(v v) { v.VolumeType.QoSSpecsID, v.VolumeType.QoS.ID = wide(37), wide(37) }},
		{"the name of the QoS is no valid UTF-8", func(v v) { v.VolumeType.QoS.Name = badText }},
		{"the consumer of the QoS has 256", func(v v) { v.VolumeType.QoS.Consumer = wide(256) }},
		{"a key of quality_of_service_specs has 256", func(v v) { v.VolumeType.QoS.Specs = map[string]string{wide(256): ""} }},
		{"the value of k in quality_of_service_specs has 256", func(v v) { v.VolumeType.QoS.Specs = map[string]string{"k": wide(256)} }},
		{"cannot be called consumer", func(v v) { v.VolumeType.QoS.Specs = map[string]string{"consumer": "x"} }},
	}
	return list
}

func badSnapshots() []mistake[*drivers.Snapshot] {
	type s = *drivers.Snapshot
	return []mistake[s]{
		{"display_name has 256", func(s s) { s.Name = wide(256) }},
		{"provider_location has 256", func(s s) { s.ProviderLocation = wide(256) }},
		{"provider_auth is no valid UTF-8", func(s s) { s.ProviderAuth = badText }},
		{"volume_id has 37", func(s s) { s.VolumeID = wide(37) }},
		{"updated_at", func(s s) { s.UpdatedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"a key of snapshot_metadata has 256", func(s s) { s.Metadata = map[string]string{wide(256): canary} }},
		{"the value of k in snapshot_metadata is no valid UTF-8", func(s s) { s.Metadata = map[string]string{"k": badText} }},
	}
}

func badConnections() []mistake[*persistence.Connection] {
	type c = *persistence.Connection
	return []mistake[c]{
		{"attached_host has 256", func(c c) { c.AttachedHost = wide(256) }},
		{"mountpoint is no valid UTF-8", func(c c) { c.Mountpoint = badText }},
		{"attach_mode has 37", func(c c) { c.AttachMode = connector.AccessMode(wide(37)) }},
		{"volume_id has 37", func(c c) { c.VolumeID = wide(37) }},
		{"attach_time", func(c c) { c.AttachTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	}
}

// rejects tries a bad record in every way, alone and as the third of several
// operations.
func rejects[R interface {
	*drivers.Volume | *drivers.Snapshot | *persistence.Connection
	Clone() R
}](t *testing.T, s *gormdb.Store, kind string, stored, other R, list []mistake[R]) {
	t.Helper()
	before := dump(t, s)
	for i, c := range list {
		bad, fresh := stored.Clone(), other.Clone()
		c.change(bad)
		c.change(fresh)
		for _, op := range []persistence.Op{persistence.Update(stored, bad), persistence.Put(bad), persistence.Put(fresh), persistence.Insert(fresh)} {
			err := s.Write(t.Context(), persistence.Insert(volume(1000+i)), persistence.Put(&persistence.KeyValue{Key: id(0), Value: "new"}), op, persistence.Insert(volume(3000+i)))
			code(t, err, persistence.ErrInvalid, "database", kind+" ", c.says)
			require.Equal(t, before, dump(t, s), "%v", err)
		}
	}
}

// dump is all that the store holds, as text.
func dump(t testing.TB, s *gormdb.Store) string {
	t.Helper()
	volumes, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	connections, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
	require.NoError(t, err)
	keys, err := s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	var b strings.Builder
	for _, v := range volumes {
		b.Write(drivers.VolumeSchema().Append(nil, v, nil))
	}
	for _, n := range snapshots {
		b.Write(drivers.SnapshotSchema().Append(nil, n, nil))
	}
	for _, c := range connections {
		b.Write(persistence.ConnectionSchema().Append(nil, c, nil))
	}
	fmt.Fprint(&b, keys)
	return b.String()
}

// What a database does not take is refused before any of it is written, also by
// a database that would take it: sqlite has no lengths.
func TestValuesRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 2)
		rejects(t, s, "volume", volume(1), volume(500), badVolumes())
		rejects(t, s, "snapshot", snapshot(1), snapshot(500), badSnapshots())
		rejects(t, s, "connection", connection(1), connection(500), badConnections())

		long, bad := wide(256), "\xff"+canary
		for _, key := range []string{"", long, bad} {
			before := dump(t, s)
			for _, op := range []persistence.Op{
				persistence.Insert(&persistence.KeyValue{Key: key}), persistence.Put(&persistence.KeyValue{Key: key}),
			} {
				err := s.Write(t.Context(), persistence.Insert(volume(700)), op)
				require.ErrorIs(t, err, persistence.ErrInvalid)
				assert.ErrorContains(t, err, "database")
				assert.ErrorContains(t, err, "key")
			}
			require.Equal(t, before, dump(t, s))
		}
		code(t, s.Write(t.Context(), persistence.Put(&persistence.KeyValue{Key: "k", Value: badText})), persistence.ErrInvalid, "database", "the value of k")
		code(t, s.Write(t.Context(), persistence.Op{Kind: persistence.OpInsert, Record: volume(1).VolumeType}), persistence.ErrInvalid, "database", "VolumeType is no record")
		code(t, s.Write(t.Context(), persistence.Op{Record: volume(1)}), persistence.ErrInvalid, "database", "no such kind of operation: 0")
		code(t, s.Write(t.Context(), persistence.Op{Kind: persistence.OpUpdate, Record: volume(1)}), persistence.ErrInvalid, "database", "last seen")
		for _, op := range []persistence.Op{
			persistence.Insert(&drivers.Volume{}), persistence.Put(&drivers.Snapshot{}), persistence.Insert(&persistence.Connection{}),
			persistence.Insert(&drivers.Volume{ID: wide(37)}), persistence.Put(&drivers.Volume{ID: badText}),
		} {
			before := dump(t, s)
			err := s.Write(t.Context(), op)
			require.ErrorIs(t, err, persistence.ErrInvalid)
			assert.ErrorContains(t, err, "id")
			require.Equal(t, before, dump(t, s))
		}
		// What cannot be there is not found.
		for _, odd := range []string{wide(5000), "\xff", "a\x00b", strings.Repeat("'\\\"", 30)} {
			found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: odd, Name: odd, Backend: odd})
			require.NoError(t, err)
			assert.Empty(t, found)
			keys, err := s.KeyValues(t.Context(), odd)
			require.NoError(t, err)
			assert.Empty(t, keys)
			require.NoError(t, s.Write(t.Context(), persistence.Delete(&drivers.Volume{ID: odd}), persistence.Delete(&persistence.Connection{ID: odd})))
		}
		assert.Len(t, ids(t, s), 2)
	})
}

// What is odd and allowed comes back as it was: NUL, the longest there may be,
// the times at both ends.
func TestValuesKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s := open(t, url)
		v := volume(1)
		v.Name, v.ProviderAuth, v.ProviderLocation = wide(255), drivers.Secret(wide(256)), "a\x00b\r\n\t\x7f\x1b"
		v.Metadata = map[string]string{"a\x00": "\x00", wide(255): wide(255), "": ""}
		v.GlanceMetadata = map[string]string{"long": strings.Repeat("x", 1<<20)}
		v.LaunchedAt, v.TerminatedAt = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)
		v.Size = 1<<31 - 1
		kv := &persistence.KeyValue{Key: "k\x00" + wide(250), Value: strings.Repeat("\x00'\\%_\"", 1<<18)}
		require.NoError(t, s.Write(t.Context(), persistence.Insert(v), persistence.Insert(kv)))
		found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(1), Name: v.Name})
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.True(t, bytes.Equal(drivers.VolumeSchema().Append(nil, v, nil), drivers.VolumeSchema().Append(nil, found[0], nil)))
		keys, err := s.KeyValues(t.Context(), kv.Key)
		require.NoError(t, err)
		require.Len(t, keys, 1)
		assert.Equal(t, *kv, keys[0])
	})
}
