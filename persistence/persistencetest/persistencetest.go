// SPDX-License-Identifier: Apache-2.0

// Package persistencetest proves that a persistence.Store keeps the contract.
// A store's own test calls Run.
package persistencetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Harness says how to make the store under test.
type Harness struct {
	// New returns an empty store. The suite closes it.
	New func(t *testing.T) persistence.Store
	// Reopen closes the store and opens it again with what it holds; nil if
	// nothing survives Close.
	Reopen func(t *testing.T, s persistence.Store) persistence.Store
	// Skip has subtests that do not hold for the store, each with the reason.
	Skip map[string]string
}

// check is one test of the suite.
type check struct {
	name string
	test func(t *testing.T, h Harness, s persistence.Store)
}

func checks() []check {
	return []check{
		// writes.go
		{"InsertReadsBack", testInsertReadsBack},
		{"InsertTwice", testInsertTwice},
		{"UpdateMerges", testUpdateMerges},
		{"UpdateConflicts", testUpdateConflicts},
		{"UpdateOfTheGone", testUpdateOfTheGone},
		{"PutReplaces", testPutReplaces},
		{"DeleteTwice", testDeleteTwice},
		{"WritesSeveral", testWritesSeveral},
		{"AllOrNothing", testAllOrNothing},
		{"AllOrNothingOfOne", testAllOrNothingOfOne},
		{"CopiesInAndOut", testCopies},
		{"Context", testContext},
		{"Concurrent", testConcurrent},
		{"LostUpdates", testLostUpdates},
		{"Close", testClose},
		{"Reopen", testReopen},
		// queries.go
		{"Empty", testEmpty},
		{"Filters", testFilters},
		{"Backends", testBackends},
		{"Names", testNames},
		{"KeyCase", testKeyCase},
		{"Order", testOrder},
		{"Pages", testPages},
		{"KeyValues", testKeyValues},
		// fields.go
		{"Awkward", testAwkward},
		{"AllFields", testAllFields},
		{"Maps", testMaps},
		{"Specs", testSpecs},
		{"ConnectionInfo", testConnectionInfo},
	}
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range checks() {
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			if why, skip := h.Skip[c.name]; skip {
				require.NotEmpty(t, why, "a skip needs a reason")
				t.Skip(why)
			}
			s := h.New(t)
			t.Cleanup(func() { assert.NoError(t, s.Close()) })
			c.test(t, h, s)
		})
	}
	for name := range h.Skip {
		require.True(t, names[name], "Skip names %q, which is no test of the suite", name)
	}
}

// reopened returns the store as another process would find it; the same one if
// nothing survives Close.
func reopened(t *testing.T, h Harness, s persistence.Store) persistence.Store {
	t.Helper()
	if h.Reopen == nil {
		return s
	}
	again := h.Reopen(t, s)
	t.Cleanup(func() { assert.NoError(t, again.Close()) })
	return again
}

// id is a UUID that sorts like its number.
func id(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func volume(n int) *drivers.Volume {
	return &drivers.Volume{
		ID: id(n), Name: fmt.Sprintf("name-%d", n), Description: "a volume", Size: n, Status: "available",
		AttachStatus: "detached", Host: "host@backend#pool", ProjectID: "p", UserID: "u",
		UseQuota: true, SharedTargets: true, ProviderAuth: "CHAP user secret",
		Metadata: map[string]string{"k": "v"}, AdminMetadata: map[string]string{"a": "b"},
		VolumeTypeID: id(n),
		VolumeType: &drivers.VolumeType{
			ID: id(n), Name: id(n), IsPublic: true, ExtraSpecs: map[string]string{"x": "y"}, QoSSpecsID: id(n),
			QoS: &drivers.QoSSpecs{ID: id(n), Name: id(n), Consumer: "back-end", Specs: map[string]string{"maxIOPS": "500"}},
		},
		CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}
}

func snapshot(n, of int) *drivers.Snapshot {
	return &drivers.Snapshot{
		ID: id(n), VolumeID: id(of), VolumeSize: 1, Status: "available", Name: fmt.Sprintf("snap-%d", n),
		Progress: "backend", UseQuota: true, Metadata: map[string]string{"s": "t"},
		CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}
}

func connection(n, of int) *persistence.Connection {
	return &persistence.Connection{
		ID: id(n), VolumeID: id(of), AttachStatus: persistence.AttachAttached, AttachMode: connector.ReadWrite,
		Conn: &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &connector.LocalData{
			DevicePath: "/dev/x", Shared: connector.Common{VolumeID: id(of), AccessMode: connector.ReadWrite},
		}},
		Connector: &connector.Properties{Host: "node", Initiator: "iqn.x", Multipath: true},
		Device:    &connector.Device{Type: "local", Path: "/dev/x"},
		CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}
}

func keyValue(key, value string) *persistence.KeyValue {
	return &persistence.KeyValue{Key: key, Value: value}
}

func readVolume(t *testing.T, s persistence.Store, n int) *drivers.Volume {
	t.Helper()
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(n)})
	return only(t, found, err)
}

func readSnapshot(t *testing.T, s persistence.Store, n int) *drivers.Snapshot {
	t.Helper()
	found, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{ID: id(n)})
	return only(t, found, err)
}

func readConnection(t *testing.T, s persistence.Store, n int) *persistence.Connection {
	t.Helper()
	found, err := s.Connections(t.Context(), persistence.ConnectionFilter{ID: id(n)})
	return only(t, found, err)
}

// only returns the one record that was found.
func only[R any](t *testing.T, found []R, err error) R {
	t.Helper()
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// values returns the key-values that a key, or the empty one, finds, by key.
func values(t *testing.T, s persistence.Store, key string) map[string]string {
	t.Helper()
	found, err := s.KeyValues(t.Context(), key)
	require.NoError(t, err)
	m := map[string]string{}
	for _, kv := range found {
		m[kv.Key] = kv.Value
	}
	require.Len(t, m, len(found), "keys that are there twice")
	return m
}

func write(t *testing.T, s persistence.Store, ops ...persistence.Op) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), ops...))
}

// same compares what a store must keep: times by instant, nil and empty maps
// alike.
func same[R persistence.Record](t *testing.T, want, got R, what ...string) {
	t.Helper()
	require.NotNil(t, got)
	for _, field := range persistence.Changed(want, got) {
		assert.Failf(t, "the store has another "+field, "%s\nwant %s\ngot  %s",
			strings.Join(what, ", "), data(t, want)[field], data(t, got)[field])
	}
}

// data gives the fields of a record as JSON.
func data(t *testing.T, record any) map[string]json.RawMessage {
	t.Helper()
	var text []byte
	switch r := record.(type) {
	case *drivers.Volume:
		text = drivers.VolumeSchema().Append(nil, r, nil)
	case *drivers.Snapshot:
		text = drivers.SnapshotSchema().Append(nil, r, nil)
	case *persistence.Connection:
		text = persistence.ConnectionSchema().Append(nil, r, nil)
	}
	var envelope struct {
		Data map[string]json.RawMessage `json:"versioned_object.data"`
	}
	require.NoError(t, json.Unmarshal(text, &envelope))
	return envelope.Data
}

// sameVolumes checks that these are all volumes there are, listed and one by one.
func sameVolumes(t *testing.T, s persistence.Store, what string, want ...*drivers.Volume) {
	t.Helper()
	all, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	require.Len(t, all, len(want), what)
	for i, v := range want {
		same(t, v, all[i], what, "listed")
		one, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: v.ID})
		same(t, v, only(t, one, err), what)
	}
}
