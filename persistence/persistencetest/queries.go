// SPDX-License-Identifier: Apache-2.0

package persistencetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

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

// The ids of what a filter finds, in order.

func volumeIDs(t *testing.T, s persistence.Store, f persistence.VolumeFilter) []string {
	t.Helper()
	found, err := s.Volumes(t.Context(), f)
	require.NoError(t, err)
	ids := make([]string, len(found))
	for i, v := range found {
		ids[i] = v.ID
	}
	return ids
}

func snapshotIDs(t *testing.T, s persistence.Store, f persistence.SnapshotFilter) []string {
	t.Helper()
	found, err := s.Snapshots(t.Context(), f)
	require.NoError(t, err)
	ids := make([]string, len(found))
	for i, n := range found {
		ids[i] = n.ID
	}
	return ids
}

func connectionIDs(t *testing.T, s persistence.Store, f persistence.ConnectionFilter) []string {
	t.Helper()
	found, err := s.Connections(t.Context(), f)
	require.NoError(t, err)
	ids := make([]string, len(found))
	for i, c := range found {
		ids[i] = c.ID
	}
	return ids
}

func testFilters(t *testing.T, _ Harness, s persistence.Store) {
	a, b, c := volume(1), volume(2), volume(3)
	b.Host, b.Name = "elsewhere@other#pool", "name-1"
	c.Host = "host@back%end_#pool" // % and _ are letters here
	write(t, s, persistence.Insert(a), persistence.Insert(b), persistence.Insert(c),
		persistence.Insert(snapshot(4, 1)), persistence.Insert(snapshot(5, 2)),
		persistence.Insert(connection(6, 1)), persistence.Insert(connection(7, 2)))
	volumes := func(f persistence.VolumeFilter) []string { return volumeIDs(t, s, f) }
	assert.Equal(t, []string{id(1), id(2), id(3)}, volumes(persistence.VolumeFilter{}))
	assert.Equal(t, []string{id(1), id(2)}, volumes(persistence.VolumeFilter{Name: "name-1"}))
	assert.Equal(t, []string{id(2)}, volumes(persistence.VolumeFilter{Name: "name-1", Backend: "other"}))
	assert.Equal(t, []string{id(1)}, volumes(persistence.VolumeFilter{Backend: "backend"}))
	assert.Equal(t, []string{id(3)}, volumes(persistence.VolumeFilter{Backend: "back%end_"}))
	assert.Equal(t, []string{id(2)}, volumes(persistence.VolumeFilter{ID: id(2), Name: "name-1", Backend: "other"}))
	assert.Empty(t, volumes(persistence.VolumeFilter{ID: id(1), Backend: "other"}))
	assert.Empty(t, volumes(persistence.VolumeFilter{ID: id(3), Name: "name-1"}))
	assert.Empty(t, volumes(persistence.VolumeFilter{Name: "NAME-1"}), "names are exact")
	assert.Empty(t, volumes(persistence.VolumeFilter{Backend: "back"}), "backends are exact")
	assert.Empty(t, volumes(persistence.VolumeFilter{ID: "00000001"}), "ids are exact")
	assert.Empty(t, volumes(persistence.VolumeFilter{ID: "%"}), "ids are exact")

	snapshots := func(f persistence.SnapshotFilter) []string { return snapshotIDs(t, s, f) }
	assert.Equal(t, []string{id(4)}, snapshots(persistence.SnapshotFilter{VolumeID: id(1), Name: "snap-4", Backend: "backend"}))
	assert.Equal(t, []string{id(4), id(5)}, snapshots(persistence.SnapshotFilter{Backend: "backend"}))
	assert.Empty(t, snapshots(persistence.SnapshotFilter{VolumeID: id(1), Name: "snap-5"}))
	assert.Empty(t, snapshots(persistence.SnapshotFilter{ID: id(4), VolumeID: id(2)}))

	connections := func(f persistence.ConnectionFilter) []string { return connectionIDs(t, s, f) }
	assert.Equal(t, []string{id(7)}, connections(persistence.ConnectionFilter{VolumeID: id(2)}))
	assert.Equal(t, []string{id(6)}, connections(persistence.ConnectionFilter{Backend: "backend"}))
	assert.Equal(t, []string{id(6)}, connections(persistence.ConnectionFilter{VolumeID: id(1), Backend: "backend"}))
	assert.Empty(t, connections(persistence.ConnectionFilter{VolumeID: id(2), Backend: "backend"}))
	assert.Empty(t, connections(persistence.ConnectionFilter{ID: id(6), VolumeID: id(2)}))
}

// A backend is what drivers.Volume.Backend says, exactly.
func testBackends(t *testing.T, _ Harness, s persistence.Store) {
	places := []struct{ host, zone, backend string }{
		{"host@one#pool", "", "one"},
		{"other@one#other", "zone", "one"},
		{"host@One#pool", "", "One"},
		{"host@one2#pool", "", "one2"},
		{"host@on#one", "", "on"},
		{"host@two", "", "two"},
		{"host@a@b#pool#x", "", "a@b"},
		{"ho#st@three", "", "three"},
		{"host@öne#pool", "", "öne"},
		{"host@o%#pool", "", "o%"},
		{"host@#pool", "zone", ""},
		{"host#pool", "zone", "zone"},
		{"host", "Zone", "Zone"},
		{"", "zone", "zone"},
		{"", "", ""},
	}
	want, all := map[string][]string{}, make([]string, 0, len(places))
	for i, p := range places {
		v := volume(i + 1)
		v.Host, v.AvailabilityZone = p.host, p.zone
		require.Equal(t, p.backend, v.Backend())
		n := snapshot(i+1, i+1)
		n.Progress = p.backend
		write(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(connection(i+1, i+1)))
		want[p.backend] = append(want[p.backend], id(i+1))
		all = append(all, id(i+1))
	}
	want[""] = all // no filter
	check := func(want []string, backend string) {
		assert.Equal(t, want, volumeIDs(t, s, persistence.VolumeFilter{Backend: backend}), "volumes of %q", backend)
		assert.Equal(t, want, snapshotIDs(t, s, persistence.SnapshotFilter{Backend: backend}), "snapshots of %q", backend)
		assert.Equal(t, want, connectionIDs(t, s, persistence.ConnectionFilter{Backend: backend}), "connections of %q", backend)
	}
	for backend, ids := range want {
		check(ids, backend)
	}
	for _, none := range []string{"ONE", "one ", "pool", "host", "%", "_ne", "a", "b", "host@one", "one#pool", "o"} {
		check([]string{}, none)
	}

	// A connection moves with its volume, and has no backend without.
	moved, gone := volume(1), volume(2)
	moved.Host, gone.Host = "host@one#pool", "other@one#other"
	to := moved.Clone()
	to.Host = "host@two#pool"
	write(t, s, persistence.Update(moved, to), persistence.Delete(gone))
	assert.Equal(t, []string{id(1), id(6)}, volumeIDs(t, s, persistence.VolumeFilter{Backend: "two"}))
	assert.Equal(t, []string{id(1), id(6)}, connectionIDs(t, s, persistence.ConnectionFilter{Backend: "two"}))
	assert.Empty(t, volumeIDs(t, s, persistence.VolumeFilter{Backend: "one"}))
	assert.Empty(t, connectionIDs(t, s, persistence.ConnectionFilter{Backend: "one"}))
	assert.Equal(t, []string{id(2)}, connectionIDs(t, s, persistence.ConnectionFilter{VolumeID: id(2)}))
}

// Texts that a database may take for one another, or for more than a text.
func testNames(t *testing.T, _ Harness, s persistence.Store) {
	names := []string{
		"name", "Name", "NAME", "name ", " name", "name\t", "name\n", "nam", "names",
		"náme", "nàme", "na\u0301me", "ß", "ss", "ı", "i", "I", "å", "A\u030a", "ﬁ", "fi",
		"na'me", `na"me`, "na`me", `na\me`, `na\\me`, "na''me", "na%", "na_e", "n*", "n?me", "%", "_", "[n]ame",
		"' OR '1'='1", "name;--", "$1", "?", ":name", "@name", "{{.}}", "NULL", "null", "0", "00", "0.0", "1", "1e0", "true",
		"名", "名前", "😀", "🙂", "ば", "は", "バ", strings.Repeat("x", 255), strings.Repeat("x", 254),
	}
	ops := make([]persistence.Op, 0, 3*len(names))
	for i, name := range names {
		v, n := volume(i+1), snapshot(i+1, i+1) // of one id: each kind has its own
		v.Name, n.Name = name, name
		ops = append(ops, persistence.Insert(v), persistence.Insert(n), persistence.Insert(connection(i+1, i+1)))
	}
	write(t, s, ops...)
	for i, name := range names {
		assert.Equal(t, []string{id(i + 1)}, volumeIDs(t, s, persistence.VolumeFilter{Name: name}), "volumes named %q", name)
		assert.Equal(t, []string{id(i + 1)}, snapshotIDs(t, s, persistence.SnapshotFilter{Name: name}), "snapshots named %q", name)
		assert.Equal(t, []string{id(i + 1)}, snapshotIDs(t, s, persistence.SnapshotFilter{Name: name, VolumeID: id(i + 1)}))
		assert.Equal(t, name, readVolume(t, s, i+1).Name)
		assert.Equal(t, name, readSnapshot(t, s, i+1).Name)
	}
	for _, none := range []string{"nAME", "names ", "x", "n%", "____", "' OR 1=1 --", "2"} {
		assert.Empty(t, volumeIDs(t, s, persistence.VolumeFilter{Name: none}), "%q", none)
		assert.Empty(t, snapshotIDs(t, s, persistence.SnapshotFilter{Name: none}), "%q", none)
	}

	write(t, s, persistence.Insert(keyValue("key", "1")), persistence.Insert(keyValue("it's 50%", "2")))
	assert.Equal(t, map[string]string{"key": "1"}, values(t, s, "key"))
	assert.Equal(t, map[string]string{"it's 50%": "2"}, values(t, s, "it's 50%"))
	for _, none := range []string{"KEY", "Key", "key ", " key", "kéy", "ke", "k%", "k_y", "keys", "%", "it's 50"} {
		assert.Empty(t, values(t, s, none), "key %q", none)
	}
}

// Keys that differ in little are several all the same: a case of its own, as a
// database may have decided that long ago.
func testKeyCase(t *testing.T, _ Harness, s persistence.Store) {
	keys := []string{"key", "Key", "KEY", "key ", "kéy", "ke\u0301y"}
	want := map[string]string{}
	for _, key := range keys {
		write(t, s, persistence.Insert(keyValue(key, "of "+key)))
		want[key] = "of " + key
	}
	check := func() {
		t.Helper()
		assert.Equal(t, want, values(t, s, ""))
		for _, key := range keys {
			value, ok := want[key]
			assert.Equal(t, ok, len(values(t, s, key)) == 1, "key %q", key)
			assert.Equal(t, value, values(t, s, key)[key])
		}
	}
	check()
	want["Key"], want["KEY"] = "changed", "put"
	write(t, s, persistence.Update(keyValue("Key", "of Key"), keyValue("Key", "changed")), persistence.Put(keyValue("KEY", "put")))
	check()
	delete(want, "KEY")
	delete(want, "key")
	write(t, s, persistence.Delete(keyValue("KEY", "")), persistence.Delete(keyValue("key", "")))
	check()
	require.ErrorIs(t, s.Write(t.Context(), persistence.Update(keyValue("key", "1"), keyValue("key", "2"))), persistence.ErrNotFound)
	check()
}

func testOrder(t *testing.T, _ Harness, s persistence.Store) {
	same := func(n int) *drivers.Volume { v := volume(n); v.CreatedAt = epoch; return v }
	write(t, s, persistence.Insert(volume(9)), persistence.Insert(same(5)), persistence.Insert(volume(8)), persistence.Insert(same(2)))
	write(t, s, persistence.Delete(volume(8)), persistence.Insert(volume(7)))
	assert.Equal(t, []string{id(2), id(5), id(7), id(9)}, volumeIDs(t, s, persistence.VolumeFilter{Backend: "backend"}))
	// Nothing but CreatedAt and the id has a part in it.
	old := readVolume(t, s, 5)
	changed := old.Clone()
	changed.Name, changed.UpdatedAt = "a", epoch.Add(time.Hour)
	write(t, s, persistence.Update(old, changed), persistence.Put(volume(7)))
	assert.Equal(t, []string{id(2), id(5), id(7), id(9)}, volumeIDs(t, s, persistence.VolumeFilter{}))
	// A microsecond is enough.
	early := volume(6)
	early.CreatedAt = epoch.Add(-time.Microsecond)
	write(t, s, persistence.Insert(early))
	assert.Equal(t, []string{id(6), id(2), id(5), id(7), id(9)}, volumeIDs(t, s, persistence.VolumeFilter{}))
}

// age is the creation time of the n-th record: several have one, and the first
// have none.
func age(n int) time.Time {
	if n < 4 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(n/4) * time.Second)
}

// paged reads page after page and gives the ids.
func paged[R any](t *testing.T, limit int, read func(persistence.Page) ([]R, error), place func(R) (time.Time, string)) []string {
	t.Helper()
	var ids []string
	page := persistence.Page{Limit: limit}
	for range 30 {
		found, err := read(page)
		require.NoError(t, err)
		if len(found) == 0 {
			return ids
		}
		require.LessOrEqual(t, len(found), limit)
		for _, r := range found {
			page.AfterTime, page.AfterID = place(r)
			ids = append(ids, page.AfterID)
		}
	}
	require.Fail(t, "the pages have no end", ids)
	return nil
}

func testPages(t *testing.T, _ Harness, s persistence.Store) {
	const count = 25
	want, odd := make([]string, 0, count), []string{}
	ops := make([]persistence.Op, 0, 3*count)
	for n := range count {
		v, snap, c := volume(n+1), snapshot(n+1, n%2+1), connection(n+1, n%2+1)
		v.CreatedAt, snap.CreatedAt, c.CreatedAt = age(n), age(n), age(n)
		if n%2 == 1 {
			v.Host, v.Name, snap.Progress, snap.Name = "host@odd#pool", "odd", "odd", "odd"
			odd = append(odd, id(n+1))
		}
		ops = append(ops, persistence.Insert(v), persistence.Insert(snap), persistence.Insert(c))
		want = append(want, id(n+1))
	}
	write(t, s, ops...)
	volumePlace := func(v *drivers.Volume) (time.Time, string) { return v.CreatedAt, v.ID }
	snapshotPlace := func(n *drivers.Snapshot) (time.Time, string) { return n.CreatedAt, n.ID }
	connectionPlace := func(c *persistence.Connection) (time.Time, string) { return c.CreatedAt, c.ID }
	for _, limit := range []int{1, 2, 7, 12, count, count + 1} {
		what := fmt.Sprintf("pages of %d", limit)
		for _, f := range []persistence.VolumeFilter{{}, {Backend: "odd"}, {Name: "odd"}, {Name: "odd", Backend: "odd"}} {
			expected := want
			if f != (persistence.VolumeFilter{}) {
				expected = odd
			}
			assert.Equal(t, expected, paged(t, limit, func(p persistence.Page) ([]*drivers.Volume, error) {
				f.Page = p
				return s.Volumes(t.Context(), f)
			}, volumePlace), what)
		}
		for _, f := range []persistence.SnapshotFilter{{}, {Backend: "odd"}, {Name: "odd"}, {VolumeID: id(2)}} {
			expected := want
			if f != (persistence.SnapshotFilter{}) {
				expected = odd
			}
			assert.Equal(t, expected, paged(t, limit, func(p persistence.Page) ([]*drivers.Snapshot, error) {
				f.Page = p
				return s.Snapshots(t.Context(), f)
			}, snapshotPlace), what)
		}
		for _, f := range []persistence.ConnectionFilter{{}, {Backend: "odd"}, {VolumeID: id(2)}} {
			expected := want
			if f != (persistence.ConnectionFilter{}) {
				expected = odd
			}
			assert.Equal(t, expected, paged(t, limit, func(p persistence.Page) ([]*persistence.Connection, error) {
				f.Page = p
				return s.Connections(t.Context(), f)
			}, connectionPlace), what)
		}
	}
	assert.Equal(t, want[3:], volumeIDs(t, s, persistence.VolumeFilter{Page: persistence.Page{AfterTime: age(2), AfterID: id(3)}}), "no limit")
	assert.Empty(t, volumeIDs(t, s, persistence.VolumeFilter{ID: id(3), Page: persistence.Page{AfterTime: age(2), AfterID: id(3)}}))

	// The place that a page begins behind stays when its record is deleted.
	assert.Equal(t, want, paged(t, 7, func(p persistence.Page) ([]*drivers.Volume, error) {
		if p.AfterID != "" {
			write(t, s, persistence.Delete(&drivers.Volume{ID: p.AfterID}))
		}
		return s.Volumes(t.Context(), persistence.VolumeFilter{Page: p})
	}, volumePlace))
}

func testKeyValues(t *testing.T, _ Harness, s persistence.Store) {
	put := func(k, v string) persistence.Op { return persistence.Put(keyValue(k, v)) }
	write(t, s, put("b", "1"), put("a", strings.Repeat("long ", 20000)), put("b", "2"), put("c", ""))
	one, err := s.KeyValues(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, []persistence.KeyValue{{Key: "b", Value: "2"}}, one)
	all, err := s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, "a", all[0].Key)
	assert.Len(t, all[0].Value, 100000)
	assert.Equal(t, []persistence.KeyValue{{Key: "b", Value: "2"}, {Key: "c"}}, all[1:])
	write(t, s, persistence.Update(keyValue("b", "2"), keyValue("b", "")), persistence.Update(keyValue("c", ""), keyValue("c", "é'\"\\\n😀")))
	assert.Equal(t, map[string]string{"b": ""}, values(t, s, "b"))
	assert.Equal(t, map[string]string{"c": "é'\"\\\n😀"}, values(t, s, "c"))
	write(t, s, persistence.Delete(keyValue("b", "")), persistence.Delete(keyValue("b", "")))
	one, err = s.KeyValues(t.Context(), "b")
	require.NoError(t, err)
	assert.Empty(t, one)
	require.Error(t, s.Write(t.Context(), put("", "x")))
}
