// SPDX-License-Identifier: Apache-2.0

package persistence_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

func TestChanged(t *testing.T) {
	t.Parallel()
	v := &drivers.Volume{ID: "v", Metadata: map[string]string{"a": "b"}, VolumeType: &drivers.VolumeType{ExtraSpecs: map[string]string{"c": "d"}}}
	n := v.Clone()
	assert.Empty(t, persistence.Changed(v, n))
	n.VolumeType.ExtraSpecs["c"] = "e"
	n.Status = "error"
	assert.Equal(t, []string{"status", "volume_type"}, persistence.Changed(v, n))

	c := &persistence.Connection{Conn: &connector.ConnInfo{Protocol: "iscsi", Data: &connector.ISCSIData{}}, Connector: &connector.Properties{Host: "h"}}
	m := c.Clone()
	assert.Empty(t, persistence.Changed(c, m))
	m.Device = &connector.Device{}
	assert.Equal(t, []string{"connection_info"}, persistence.Changed(c, m))
	m = c.Clone()
	m.Conn.Data.(*connector.ISCSIData).TargetLUN = 1
	assert.Equal(t, []string{"connection_info"}, persistence.Changed(c, m))
	m = c.Clone()
	m.Connector = nil
	assert.Equal(t, []string{"connection_info", "connector"}, persistence.Changed(c, m))

	assert.Equal(t, []string{"display_name"}, persistence.Changed(&drivers.Snapshot{}, &drivers.Snapshot{Name: "n"}))
	assert.Equal(t, []string{"value"}, persistence.Changed(&persistence.KeyValue{}, &persistence.KeyValue{Value: "x"}))
	for _, pair := range [][2]any{
		{nil, nil}, {nil, v}, {v, nil}, {(*drivers.Volume)(nil), v}, {v, (*drivers.Volume)(nil)}, {&drivers.Snapshot{}, v}, {"a", "b"},
		{&persistence.KeyValue{Key: "a"}, &persistence.KeyValue{Key: "b"}}, {v, &persistence.KeyValue{}}, {&persistence.KeyValue{}, (*persistence.KeyValue)(nil)},
	} {
		assert.Empty(t, persistence.Changed(pair[0], pair[1]))
	}
}

func TestMergeVolume(t *testing.T) {
	t.Parallel()
	old := &drivers.Volume{ID: "v", Status: "available", Size: 1, Metadata: map[string]string{"a": "1"}}
	stored := old.Clone()
	stored.Name, stored.Metadata["a"], stored.AdminMetadata = "of another writer", "2", map[string]string{"x": "y"}
	changed := old.Clone()
	changed.Status, changed.Size = "in-use", 2
	changed.GlanceMetadata = map[string]string{"g": "h"}
	changed.VolumeType = &drivers.VolumeType{ID: "t"}

	storedBefore, oldBefore, changedBefore := stored.Clone(), old.Clone(), changed.Clone()
	got, err := persistence.Merge(stored, old, changed)
	require.NoError(t, err)
	assert.Equal(t, &drivers.Volume{
		ID: "v", Status: "in-use", Size: 2, Name: "of another writer", Metadata: map[string]string{"a": "2"},
		AdminMetadata: map[string]string{"x": "y"}, GlanceMetadata: map[string]string{"g": "h"}, VolumeType: &drivers.VolumeType{ID: "t"},
	}, got)
	got.Metadata["a"], got.AdminMetadata["x"], got.GlanceMetadata["g"], got.VolumeType.ID = "z", "z", "z", "z"
	assert.Equal(t, []*drivers.Volume{storedBefore, oldBefore, changedBefore}, []*drivers.Volume{stored, old, changed})

	stored.Status = "deleting"
	_, err = persistence.Merge(stored, old, changed)
	require.ErrorIs(t, err, persistence.ErrConflict)
	assert.EqualError(t, err, `the status is "deleting", not "available"`)
	changed.Status = old.Status
	got, err = persistence.Merge(stored, old, changed)
	require.NoError(t, err, "a writer who does not touch the status has no conflict")
	assert.Equal(t, "deleting", got.Status)
}

func TestMergeOthers(t *testing.T) {
	t.Parallel()
	s, err := persistence.Merge(&drivers.Snapshot{ID: "s", Name: "n"}, &drivers.Snapshot{ID: "s"}, &drivers.Snapshot{ID: "s", Status: "x"})
	require.NoError(t, err)
	assert.Equal(t, &drivers.Snapshot{ID: "s", Name: "n", Status: "x"}, s)
	_, err = persistence.Merge(&drivers.Snapshot{Status: "a"}, &drivers.Snapshot{}, &drivers.Snapshot{Status: "x"})
	require.ErrorIs(t, err, persistence.ErrConflict)

	c, err := persistence.Merge(&persistence.Connection{AttachedHost: "h"}, &persistence.Connection{},
		&persistence.Connection{AttachStatus: "attached", Device: &connector.Device{Path: "/dev/a"}})
	require.NoError(t, err)
	assert.Equal(t, &persistence.Connection{AttachedHost: "h", AttachStatus: "attached", Device: &connector.Device{Path: "/dev/a"}}, c)
	_, err = persistence.Merge(&persistence.Connection{AttachStatus: "reserved"}, &persistence.Connection{}, &persistence.Connection{AttachStatus: "attached"})
	require.ErrorIs(t, err, persistence.ErrConflict)

	kv := &persistence.KeyValue{Key: "k", Value: "new"}
	got, err := persistence.Merge(&persistence.KeyValue{Key: "k"}, nil, kv)
	require.NoError(t, err)
	assert.Equal(t, kv, got)
	assert.NotSame(t, kv, got)
}

func TestMergeOfWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	v := &drivers.Volume{ID: "v"}
	for _, three := range [][3]*drivers.Volume{{nil, v, v}, {v, nil, v}, {v, v, nil}, {v, v, {ID: "w"}}, {{ID: "w"}, v, v}} {
		got, err := persistence.Merge(three[0], three[1], three[2])
		require.ErrorIs(t, err, persistence.ErrInvalid)
		assert.Nil(t, got)
	}
	_, err := persistence.Merge[*persistence.KeyValue](nil, nil, nil)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = persistence.Merge("a", "b", "c")
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = persistence.Merge[any](v, &drivers.Snapshot{}, v)
	require.ErrorIs(t, err, persistence.ErrInvalid)
}
