// SPDX-License-Identifier: Apache-2.0

// Package persistencetest proves that a persistence.Store keeps the contract.
// A store's own test calls Run.
package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	tests := []struct {
		name string
		test func(t *testing.T, h Harness, s persistence.Store)
	}{
		{"Empty", testEmpty},
		{"InsertReadsBack", testInsertReadsBack},
		{"InsertTwice", testInsertTwice},
		{"UpdateMerges", testUpdateMerges},
		{"UpdateConflicts", testUpdateConflicts},
		{"UpdateOfTheGone", testUpdateOfTheGone},
		{"PutReplaces", testPutReplaces},
		{"DeleteTwice", testDeleteTwice},
		{"AllOrNothing", testAllOrNothing},
		{"CopiesInAndOut", testCopies},
		{"Filters", testFilters},
		{"Order", testOrder},
		{"Pages", testPages},
		{"KeyValues", testKeyValues},
		{"Awkward", testAwkward},
		{"Context", testContext},
		{"Concurrent", testConcurrent},
		{"Close", testClose},
		{"Reopen", testReopen},
	}
	names := map[string]bool{}
	for _, tt := range tests {
		names[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			if why, skip := h.Skip[tt.name]; skip {
				require.NotEmpty(t, why, "a skip needs a reason")
				t.Skip(why)
			}
			s := h.New(t)
			t.Cleanup(func() { assert.NoError(t, s.Close()) })
			tt.test(t, h, s)
		})
	}
	for name := range h.Skip {
		require.True(t, names[name], "Skip names %q, which is no test of the suite", name)
	}
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

func readVolume(t *testing.T, s persistence.Store, n int) *drivers.Volume {
	t.Helper()
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(n)})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func write(t *testing.T, s persistence.Store, ops ...persistence.Op) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), ops...))
}

func testEmpty(t *testing.T, _ Harness, s persistence.Store) {
	v, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	assert.Empty(t, v)
	n, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{ID: id(1)})
	require.NoError(t, err)
	assert.Empty(t, n)
	c, err := s.Connections(t.Context(), persistence.ConnectionFilter{VolumeID: id(1)})
	require.NoError(t, err)
	assert.Empty(t, c)
	k, err := s.KeyValues(t.Context(), "none")
	require.NoError(t, err)
	assert.Empty(t, k)
	require.NoError(t, s.Write(t.Context()), "writing nothing")
}

// sameVolume compares what a store must keep: times by instant, nil and empty
// maps alike.
func sameVolume(t *testing.T, want, got *drivers.Volume) {
	t.Helper()
	assert.Empty(t, drivers.VolumeSchema().Changed(want, got), "fields that differ")
}

func testInsertReadsBack(t *testing.T, _ Harness, s persistence.Store) {
	v, n, c := volume(1), snapshot(2, 1), connection(3, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c))

	sameVolume(t, v, readVolume(t, s, 1))
	ns, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{ID: id(2)})
	require.NoError(t, err)
	require.Len(t, ns, 1)
	assert.Empty(t, drivers.SnapshotSchema().Changed(n, ns[0]))
	cs, err := s.Connections(t.Context(), persistence.ConnectionFilter{ID: id(3)})
	require.NoError(t, err)
	require.Len(t, cs, 1)
	assert.Empty(t, persistence.ConnectionSchema().Changed(c, cs[0]))
}

func testInsertTwice(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)))
	other := volume(1)
	other.Name = "other"
	require.ErrorIs(t, s.Write(t.Context(), persistence.Insert(other)), persistence.ErrExists)
	assert.Equal(t, "name-1", readVolume(t, s, 1).Name)
}

func testUpdateMerges(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)))
	a, b := readVolume(t, s, 1), readVolume(t, s, 1)
	a2, b2 := a.Clone(), b.Clone()
	a2.Name, a2.Status = "renamed", "in-use"
	b2.Description, b2.Metadata = "described", map[string]string{"n": "m"}
	write(t, s, persistence.Update(a, a2))
	write(t, s, persistence.Update(b, b2))
	got := readVolume(t, s, 1)
	assert.Equal(t, "renamed", got.Name)
	assert.Equal(t, "in-use", got.Status)
	assert.Equal(t, "described", got.Description)
	assert.Equal(t, map[string]string{"n": "m"}, got.Metadata)
	assert.Equal(t, map[string]string{"maxIOPS": "500"}, got.QoS().Specs)
}

func testUpdateConflicts(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)), persistence.Insert(connection(2, 1)))
	seen := readVolume(t, s, 1)
	first, second := seen.Clone(), seen.Clone()
	first.Status, second.Status, second.Name = "deleting", "extending", "lost"
	write(t, s, persistence.Update(seen, first))
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(seen, second)), persistence.ErrConflict)
	got := readVolume(t, s, 1)
	assert.Equal(t, "deleting", got.Status)
	assert.Equal(t, "name-1", got.Name)

	c := connection(2, 1)
	c1, c2 := c.Clone(), c.Clone()
	c1.AttachStatus, c2.AttachStatus = persistence.AttachDetached, persistence.AttachAttaching
	write(t, s, persistence.Update(c, c1))
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(c, c2)), persistence.ErrConflict)
}

func testUpdateOfTheGone(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	w := v.Clone()
	w.Name = "x"
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(v, w)), persistence.ErrNotFound)
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(snapshot(1, 1), snapshot(1, 1))), persistence.ErrNotFound)
}

func testPutReplaces(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Put(volume(1)))
	v := volume(1)
	v.Name, v.Metadata, v.VolumeType, v.VolumeTypeID, v.Host = "new", nil, nil, "", "h@other#p"
	write(t, s, persistence.Put(v))
	sameVolume(t, v, readVolume(t, s, 1))
	old, err := s.Volumes(t.Context(), persistence.VolumeFilter{Backend: "backend"})
	require.NoError(t, err)
	assert.Empty(t, old)
	all, err := s.Volumes(t.Context(), persistence.VolumeFilter{Backend: "other"})
	require.NoError(t, err)
	assert.Len(t, all, 1)
}

func testDeleteTwice(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)), persistence.Insert(snapshot(2, 1)), persistence.Insert(connection(3, 1)))
	for range 2 {
		write(t, s, persistence.Delete(&persistence.Connection{ID: id(3)}),
			persistence.Delete(&drivers.Snapshot{ID: id(2)}), persistence.Delete(&drivers.Volume{ID: id(1)}))
	}
	testEmpty(t, Harness{}, s)
	write(t, s, persistence.Insert(volume(1)))
}

func testAllOrNothing(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)))
	changed := volume(1)
	changed.Name = "changed"
	err := s.Write(t.Context(), persistence.Insert(volume(2)), persistence.Update(volume(1), changed),
		persistence.Put(&persistence.KeyValue{Key: "k", Value: "v"}), persistence.Insert(volume(1)))
	require.ErrorIs(t, err, persistence.ErrExists)
	all, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, "name-1", all[0].Name)
	kvs, err := s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, kvs)
}

func testCopies(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	c := connection(2, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(c))
	v.Name, v.Metadata["k"], v.VolumeType.ExtraSpecs["x"], v.VolumeType.QoS.Specs["maxIOPS"] = "z", "z", "z", "z"
	c.Conn.Data.Common().VolumeID, c.Device.Path, c.Connector.Host = "z", "z", "z"
	sameVolume(t, volume(1), readVolume(t, s, 1))
	got := readVolume(t, s, 1)
	got.Metadata["k"], got.VolumeType.QoS.Specs["maxIOPS"] = "z", "z"
	sameVolume(t, volume(1), readVolume(t, s, 1))
	for range 2 {
		cs, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
		require.NoError(t, err)
		require.Len(t, cs, 1)
		assert.Empty(t, persistence.ConnectionSchema().Changed(connection(2, 1), cs[0]))
		cs[0].Conn.Data.Common().VolumeID, cs[0].Device.Path = "z", "z"
	}
}

func testFilters(t *testing.T, _ Harness, s persistence.Store) {
	a, b, c := volume(1), volume(2), volume(3)
	b.Host, b.Name = "elsewhere@other#pool", "name-1"
	c.Host = "host@back%end_#pool" // % and _ are letters here
	write(t, s, persistence.Insert(a), persistence.Insert(b), persistence.Insert(c),
		persistence.Insert(snapshot(4, 1)), persistence.Insert(snapshot(5, 2)),
		persistence.Insert(connection(6, 1)), persistence.Insert(connection(7, 2)))
	volumes := func(f persistence.VolumeFilter) (ids []string) {
		found, err := s.Volumes(t.Context(), f)
		require.NoError(t, err)
		for _, v := range found {
			ids = append(ids, v.ID)
		}
		return ids
	}
	assert.Equal(t, []string{id(1), id(2), id(3)}, volumes(persistence.VolumeFilter{}))
	assert.Equal(t, []string{id(1), id(2)}, volumes(persistence.VolumeFilter{Name: "name-1"}))
	assert.Equal(t, []string{id(2)}, volumes(persistence.VolumeFilter{Name: "name-1", Backend: "other"}))
	assert.Equal(t, []string{id(1)}, volumes(persistence.VolumeFilter{Backend: "backend"}))
	assert.Equal(t, []string{id(3)}, volumes(persistence.VolumeFilter{Backend: "back%end_"}))
	assert.Empty(t, volumes(persistence.VolumeFilter{ID: id(1), Backend: "other"}))
	assert.Empty(t, volumes(persistence.VolumeFilter{Name: "NAME-1"}), "names are exact")
	assert.Empty(t, volumes(persistence.VolumeFilter{Backend: "back"}), "backends are exact")

	ns, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{VolumeID: id(1), Name: "snap-4", Backend: "backend"})
	require.NoError(t, err)
	assert.Len(t, ns, 1)
	ns, err = s.Snapshots(t.Context(), persistence.SnapshotFilter{VolumeID: id(1), Name: "snap-5"})
	require.NoError(t, err)
	assert.Empty(t, ns)

	cs, err := s.Connections(t.Context(), persistence.ConnectionFilter{VolumeID: id(2)})
	require.NoError(t, err)
	require.Len(t, cs, 1)
	assert.Equal(t, id(7), cs[0].ID)
	cs, err = s.Connections(t.Context(), persistence.ConnectionFilter{Backend: "backend"})
	require.NoError(t, err)
	require.Len(t, cs, 1)
	assert.Equal(t, id(6), cs[0].ID)
}

func testOrder(t *testing.T, _ Harness, s persistence.Store) {
	same := func(n int) *drivers.Volume { v := volume(n); v.CreatedAt = epoch; return v }
	write(t, s, persistence.Insert(volume(9)), persistence.Insert(same(5)), persistence.Insert(volume(8)), persistence.Insert(same(2)))
	write(t, s, persistence.Delete(volume(8)), persistence.Insert(volume(7)))
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{Backend: "backend"})
	require.NoError(t, err)
	ids := make([]string, len(found))
	for i, v := range found {
		ids[i] = v.ID
	}
	assert.Equal(t, []string{id(2), id(5), id(7), id(9)}, ids)
}

func testPages(t *testing.T, _ Harness, s persistence.Store) {
	ops := make([]persistence.Op, 0, 25)
	for n := range 25 {
		v := volume(n + 1)
		v.CreatedAt = epoch.Add(time.Duration(n/4) * time.Second) // several of one age
		ops = append(ops, persistence.Insert(v))
	}
	write(t, s, ops...)
	var seen []string
	f := persistence.VolumeFilter{Page: persistence.Page{Limit: 7}}
	for range 10 {
		page, err := s.Volumes(t.Context(), f)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		require.LessOrEqual(t, len(page), 7)
		for _, v := range page {
			seen = append(seen, v.ID)
		}
		last := page[len(page)-1]
		f.AfterTime, f.AfterID = last.CreatedAt, last.ID
		write(t, s, persistence.Delete(last)) // the place it marks stays
	}
	require.Len(t, seen, 25)
	for n := range 25 {
		assert.Equal(t, id(n+1), seen[n])
	}
}

func testKeyValues(t *testing.T, _ Harness, s persistence.Store) {
	put := func(k, v string) persistence.Op { return persistence.Put(&persistence.KeyValue{Key: k, Value: v}) }
	write(t, s, put("b", "1"), put("a", strings.Repeat("long ", 20000)), put("b", "2"), put("c", ""))
	one, err := s.KeyValues(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, []persistence.KeyValue{{Key: "b", Value: "2"}}, one)
	all, err := s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, "a", all[0].Key)
	assert.Len(t, all[0].Value, 100000)
	write(t, s, persistence.Delete(&persistence.KeyValue{Key: "b"}), persistence.Delete(&persistence.KeyValue{Key: "b"}))
	one, err = s.KeyValues(t.Context(), "b")
	require.NoError(t, err)
	assert.Empty(t, one)
	require.Error(t, s.Write(t.Context(), put("", "x")))
}

func testAwkward(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	v.Name = "Grüße 'quoted\" `x` %_ \\ 漢字 😀"
	v.Metadata = map[string]string{"ключ": "значение", "": "empty key", "empty value": ""}
	v.AdminMetadata = map[string]string{}
	v.LaunchedAt = time.Date(2026, 6, 7, 8, 9, 10, 123456000, time.FixedZone("", 7200))
	write(t, s, persistence.Insert(v))
	got := readVolume(t, s, 1)
	assert.Equal(t, v.Name, got.Name)
	assert.Equal(t, v.Metadata, got.Metadata)
	assert.True(t, v.LaunchedAt.Equal(got.LaunchedAt), "microseconds and instant")
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{Name: v.Name})
	require.NoError(t, err)
	assert.Len(t, found, 1)
}

func testContext(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Volumes(ctx, persistence.VolumeFilter{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Write(ctx, persistence.Delete(volume(1))), context.Canceled)
	assert.Equal(t, "name-1", readVolume(t, s, 1).Name)
}

func testConcurrent(t *testing.T, _ Harness, s persistence.Store) {
	const workers, each = 8, 25
	write(t, s, persistence.Insert(volume(9999)))
	var wg sync.WaitGroup
	errs := make(chan error, workers*each*4)
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				n := w*each + i + 1
				v := volume(n)
				w2 := v.Clone()
				w2.Status = "in-use"
				errs <- s.Write(t.Context(), persistence.Insert(v))
				errs <- s.Write(t.Context(), persistence.Update(v, w2), persistence.Insert(snapshot(n, n)))
				// One field of a shared record each: no update is lost.
				found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(9999)})
				if err == nil && len(found) != 1 {
					err = errors.New("the shared record is gone")
				}
				errs <- err
				if i%2 == 0 {
					errs <- s.Write(t.Context(), persistence.Delete(v))
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	all, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	assert.Len(t, all, workers*(each/2)+1)
	snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	assert.Len(t, snapshots, workers*each)
}

func testClose(t *testing.T, h Harness, _ persistence.Store) {
	s := h.New(t)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Write(t.Context(), persistence.Insert(volume(1))), persistence.ErrClosed)
}

func testReopen(t *testing.T, h Harness, _ persistence.Store) {
	if h.Reopen == nil {
		t.Skip("nothing survives Close, as the harness says")
	}
	s := h.New(t)
	v, n, c := volume(1), snapshot(2, 1), connection(3, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Put(&persistence.KeyValue{Key: "k", Value: "v"}))
	s = h.Reopen(t, s)
	defer func() { assert.NoError(t, s.Close()) }()
	sameVolume(t, v, readVolume(t, s, 1))
	ns, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{VolumeID: id(1)})
	require.NoError(t, err)
	require.Len(t, ns, 1)
	cs, err := s.Connections(t.Context(), persistence.ConnectionFilter{VolumeID: id(1)})
	require.NoError(t, err)
	require.Len(t, cs, 1)
	assert.Empty(t, persistence.ConnectionSchema().Changed(c, cs[0]))
	kv, err := s.KeyValues(t.Context(), "k")
	require.NoError(t, err)
	assert.Len(t, kv, 1)
}
