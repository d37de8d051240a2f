// SPDX-License-Identifier: Apache-2.0

package persistencetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

func testInsertReadsBack(t *testing.T, _ Harness, s persistence.Store) {
	v, n, c := volume(1), snapshot(2, 1), connection(3, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(keyValue("k", "v")))
	same(t, v, readVolume(t, s, 1))
	same(t, n, readSnapshot(t, s, 2))
	same(t, c, readConnection(t, s, 3))
	assert.Equal(t, map[string]string{"k": "v"}, values(t, s, "k"))
}

func testInsertTwice(t *testing.T, _ Harness, s persistence.Store) {
	v, n, c := volume(1), snapshot(2, 1), connection(3, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(keyValue("k", "v")))
	v2, n2, c2 := v.Clone(), n.Clone(), c.Clone()
	v2.Name, v2.Metadata, v2.VolumeType.ExtraSpecs = "other", map[string]string{"other": "x"}, map[string]string{"other": "x"}
	n2.Name, n2.Metadata = "other", nil
	c2.AttachedHost, c2.Device = "other", nil
	for _, op := range []persistence.Op{
		persistence.Insert(v2), persistence.Insert(n2), persistence.Insert(c2), persistence.Insert(keyValue("k", "other")),
		persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(keyValue("k", "v")), // nor the same again
	} {
		require.ErrorIs(t, s.Write(t.Context(), op), persistence.ErrExists, "%T", op.Record)
	}
	same(t, v, readVolume(t, s, 1))
	same(t, n, readSnapshot(t, s, 2))
	same(t, c, readConnection(t, s, 3))
	assert.Equal(t, map[string]string{"k": "v"}, values(t, s, ""))
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
	write(t, s, persistence.Update(a, a.Clone()))
	same(t, got, readVolume(t, s, 1), "an update that changes nothing")
}

func testUpdateConflicts(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)), persistence.Insert(snapshot(2, 1)), persistence.Insert(connection(2, 1)))
	seen := readVolume(t, s, 1)
	first, second := seen.Clone(), seen.Clone()
	first.Status, second.Status, second.Name = "deleting", "extending", "lost"
	second.Metadata, second.VolumeType.ExtraSpecs = map[string]string{"lost": "x"}, map[string]string{"lost": "x"}
	write(t, s, persistence.Update(seen, first))
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(seen, second)), persistence.ErrConflict)
	same(t, first, readVolume(t, s, 1))
	second.Status = seen.Status
	write(t, s, persistence.Update(seen, second))
	assert.Equal(t, "deleting", readVolume(t, s, 1).Status, "who leaves the status alone has no conflict and changes none")

	n := snapshot(2, 1)
	n1, n2 := n.Clone(), n.Clone()
	n1.Status, n2.Status = "deleting", "restoring"
	write(t, s, persistence.Update(n, n1))
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(n, n2)), persistence.ErrConflict)
	same(t, n1, readSnapshot(t, s, 2))

	c := connection(2, 1)
	c1, c2 := c.Clone(), c.Clone()
	c1.AttachStatus, c2.AttachStatus = persistence.AttachDetached, persistence.AttachAttaching
	write(t, s, persistence.Update(c, c1))
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(c, c2)), persistence.ErrConflict)
	same(t, c1, readConnection(t, s, 2))
}

func testUpdateOfTheGone(t *testing.T, _ Harness, s persistence.Store) {
	v, n, c := volume(1), snapshot(2, 1), connection(3, 1)
	v2, n2, c2 := v.Clone(), n.Clone(), c.Clone()
	v2.Name, n2.Name, c2.AttachedHost = "x", "x", "x"
	updates := []persistence.Op{
		persistence.Update(v, v2), persistence.Update(n, n2), persistence.Update(c, c2),
		persistence.Update(keyValue("k", "v"), keyValue("k", "x")),
		persistence.Update(v, v), persistence.Update(n, n), persistence.Update(c, c), // that change nothing
	}
	gone := func(what string) {
		t.Helper()
		for _, op := range updates {
			require.ErrorIs(t, s.Write(t.Context(), op), persistence.ErrNotFound, "%T, %s", op.Record, what)
		}
		testEmpty(t, Harness{}, s)
	}
	gone("never there")
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(keyValue("k", "v")))
	write(t, s, updates...)
	write(t, s, persistence.Delete(c), persistence.Delete(n), persistence.Delete(v), persistence.Delete(keyValue("k", "")))
	gone("deleted")
}

func testPutReplaces(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Put(volume(1)))
	v := volume(1)
	v.Name, v.Metadata, v.VolumeType, v.VolumeTypeID, v.Host = "new", nil, nil, "", "h@other#p"
	v.Status = "error" // no conflict: it is not looked at
	write(t, s, persistence.Put(v))
	sameVolumes(t, s, "put", v)
	assert.Empty(t, volumeIDs(t, s, persistence.VolumeFilter{Backend: "backend"}))
	assert.Equal(t, []string{id(1)}, volumeIDs(t, s, persistence.VolumeFilter{Backend: "other"}))

	write(t, s, persistence.Put(snapshot(2, 1)), persistence.Put(connection(3, 1)))
	n, c := snapshot(2, 4), connection(3, 4)
	n.Status, n.Metadata, c.AttachStatus, c.Device = "error", map[string]string{"n": "m"}, persistence.AttachDetached, nil
	write(t, s, persistence.Put(volume(4)), persistence.Put(n), persistence.Put(c))
	same(t, n, readSnapshot(t, s, 2))
	same(t, c, readConnection(t, s, 3))
	assert.Empty(t, snapshotIDs(t, s, persistence.SnapshotFilter{VolumeID: id(1)}))
	assert.Empty(t, connectionIDs(t, s, persistence.ConnectionFilter{VolumeID: id(1)}))
}

func testDeleteTwice(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)), persistence.Insert(snapshot(2, 1)), persistence.Insert(connection(3, 1)))
	for range 2 {
		write(t, s, persistence.Delete(&persistence.Connection{ID: id(3)}),
			persistence.Delete(&drivers.Snapshot{ID: id(2)}), persistence.Delete(&drivers.Volume{ID: id(1)}))
	}
	testEmpty(t, Harness{}, s)
	write(t, s, persistence.Insert(volume(1)))
	sameVolumes(t, s, "inserted again", volume(1))
}

func testWritesSeveral(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	used := v.Clone()
	used.Status, used.Metadata["k"], used.VolumeType.ExtraSpecs["x"] = "in-use", "w", "z"
	write(t, s, persistence.Insert(v), persistence.Insert(snapshot(2, 1)), persistence.Insert(connection(3, 1)),
		persistence.Insert(keyValue("k", "v")), persistence.Update(v, used))
	check := func(what string) {
		t.Helper()
		sameVolumes(t, s, what, used)
		same(t, snapshot(2, 1), readSnapshot(t, s, 2), what)
		same(t, connection(3, 1), readConnection(t, s, 3), what)
		assert.Equal(t, map[string]string{"k": "v"}, values(t, s, ""), what)
	}
	check("written")
	err := s.Write(t.Context(), persistence.Insert(volume(4)), persistence.Put(keyValue("k", "lost")),
		persistence.Update(v, v2(v, "extending")), persistence.Insert(snapshot(5, 1)))
	require.ErrorIs(t, err, persistence.ErrConflict)
	check("not written")
	assert.Empty(t, snapshotIDs(t, s, persistence.SnapshotFilter{ID: id(5)}), "what stood behind the error")

	// Each operation sees what those before it did.
	write(t, s, persistence.Insert(volume(6)), persistence.Delete(volume(6)), persistence.Put(volume(6)), persistence.Delete(volume(6)),
		persistence.Put(keyValue("k", "1")), persistence.Put(keyValue("k", "2")), persistence.Put(keyValue("k", "v")))
	check("taken back")
	require.ErrorIs(t, s.Write(t.Context(), persistence.Insert(volume(6)), persistence.Insert(volume(6))), persistence.ErrExists)
	require.ErrorIs(t, s.Write(t.Context(), persistence.Delete(used), persistence.Update(used, used)), persistence.ErrNotFound)
	check("not written")
}

// v2 is the volume with another status.
func v2(v *drivers.Volume, status string) *drivers.Volume {
	n := v.Clone()
	n.Status = status
	return n
}

func testAllOrNothing(t *testing.T, _ Harness, s persistence.Store) {
	write(t, s, persistence.Insert(volume(1)))
	changed := volume(1)
	changed.Name = "changed"
	err := s.Write(t.Context(), persistence.Insert(volume(2)), persistence.Update(volume(1), changed),
		persistence.Put(keyValue("k", "v")), persistence.Insert(volume(1)))
	require.ErrorIs(t, err, persistence.ErrExists)
	sameVolumes(t, s, "not written", volume(1))
	assert.Empty(t, values(t, s, ""))
}

// Several operations on one record, and then one that fails.
func testAllOrNothingOfOne(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	renamed := v.Clone()
	renamed.Name = "renamed"
	moved := renamed.Clone()
	moved.Host, moved.CreatedAt = "host@other#pool", epoch.Add(time.Hour)
	write(t, s, persistence.Insert(v), persistence.Insert(volume(2)))
	for _, tt := range []struct {
		what string
		ops  []persistence.Op
	}{
		{"update, move", []persistence.Op{persistence.Update(v, renamed), persistence.Update(renamed, moved)}},
		{"update, delete", []persistence.Op{persistence.Update(v, renamed), persistence.Delete(v)}},
		{"update, delete, put", []persistence.Op{persistence.Update(v, renamed), persistence.Delete(v), persistence.Put(moved)}},
		{"move, update", []persistence.Op{persistence.Put(moved), persistence.Update(moved, renamed)}},
		{"delete, insert, move", []persistence.Op{persistence.Delete(v), persistence.Insert(renamed), persistence.Put(moved)}},
		{"new: insert, move", []persistence.Op{persistence.Insert(volume(3)), persistence.Update(volume(3), movedTo(3, "host@other#pool"))}},
		{"new: insert, delete", []persistence.Op{persistence.Insert(volume(3)), persistence.Delete(volume(3))}},
		{"new: put, delete, put", []persistence.Op{persistence.Put(volume(3)), persistence.Delete(volume(3)), persistence.Put(movedTo(3, "host@other#pool"))}},
	} {
		require.ErrorIs(t, s.Write(t.Context(), append(tt.ops, persistence.Insert(volume(2)))...), persistence.ErrExists, tt.what)
		sameVolumes(t, s, tt.what, v, volume(2))
		assert.Equal(t, []string{id(1), id(2)}, volumeIDs(t, s, persistence.VolumeFilter{Backend: "backend"}), tt.what)
		assert.Empty(t, volumeIDs(t, s, persistence.VolumeFilter{Backend: "other"}), tt.what)
	}
}

func movedTo(n int, host string) *drivers.Volume {
	v := volume(n)
	v.Host = host
	return v
}

func testCopies(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	c := connection(2, 1)
	write(t, s, persistence.Insert(v), persistence.Insert(c))
	v.Name, v.Metadata["k"], v.VolumeType.ExtraSpecs["x"], v.VolumeType.QoS.Specs["maxIOPS"] = "z", "z", "z", "z"
	c.Conn.Data.Common().VolumeID, c.Device.Path, c.Connector.Host = "z", "z", "z"
	same(t, volume(1), readVolume(t, s, 1))
	got := readVolume(t, s, 1)
	got.Metadata["k"], got.VolumeType.QoS.Specs["maxIOPS"] = "z", "z"
	same(t, volume(1), readVolume(t, s, 1))
	for range 2 {
		cs, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
		got := only(t, cs, err)
		same(t, connection(2, 1), got)
		got.Conn.Data.Common().VolumeID, got.Device.Path = "z", "z"
	}
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

// atOnce runs f of 0 to n-1, all at one time, and returns their errors.
func atOnce(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// Writers of one record who know nothing of each other: each changes a field of
// its own and none is lost; of those who change the status one wins.
func testLostUpdates(t *testing.T, _ Harness, s persistence.Store) {
	const times = 25
	fields := []func(v *drivers.Volume, i int){
		func(v *drivers.Volume, i int) { v.Name = fmt.Sprint("name ", i) },
		func(v *drivers.Volume, i int) { v.Size = 1000 + i },
		func(v *drivers.Volume, i int) { v.ProviderLocation = fmt.Sprint("location ", i) },
		func(v *drivers.Volume, i int) { v.LaunchedAt = epoch.Add(time.Duration(i+1) * time.Microsecond) },
		func(v *drivers.Volume, i int) { v.Metadata = map[string]string{"k": fmt.Sprint(i), fmt.Sprint(i): "m"} },
		func(v *drivers.Volume, i int) { v.AdminMetadata = map[string]string{fmt.Sprint(i): "a"} },
		func(v *drivers.Volume, i int) { v.GlanceMetadata = map[string]string{"k": fmt.Sprint(i)} },
		func(v *drivers.Volume, i int) { v.VolumeType.ExtraSpecs = map[string]string{"k": fmt.Sprint(i)} },
	}
	write(t, s, persistence.Insert(volume(1)))
	stale := readVolume(t, s, 1)
	want := stale.Clone()
	for _, field := range fields {
		field(want, times-1)
	}
	for _, err := range atOnce(len(fields), func(f int) error {
		for i := range times {
			next := stale.Clone()
			fields[f](next, i)
			if err := s.Write(t.Context(), persistence.Update(stale, next)); err != nil {
				return err
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
	sameVolumes(t, s, "all writers' last values", want)

	for round := range 10 {
		seen := volume(1)
		write(t, s, persistence.Put(seen))
		var winners []string
		for i, err := range atOnce(8, func(i int) error {
			return s.Write(t.Context(), persistence.Update(seen, v2(seen, fmt.Sprint("of ", i))))
		}) {
			if err == nil {
				winners = append(winners, fmt.Sprint("of ", i))
				continue
			}
			require.ErrorIs(t, err, persistence.ErrConflict, "round %d", round)
		}
		require.Len(t, winners, 1, "round %d", round)
		same(t, v2(seen, winners[0]), readVolume(t, s, 1))
	}
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
	v, n, c := fullVolume(), fullSnapshot(), fullConnection()
	write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Put(keyValue("k", "v")),
		persistence.Insert(volume(7)), persistence.Delete(volume(7)))
	s = reopened(t, h, s)
	sameVolumes(t, s, "reopened", v)
	found, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{VolumeID: id(1)})
	same(t, n, only(t, found, err))
	connections, err := s.Connections(t.Context(), persistence.ConnectionFilter{VolumeID: id(1)})
	same(t, c, only(t, connections, err))
	assert.Equal(t, map[string]string{"k": "v"}, values(t, s, ""))
}
