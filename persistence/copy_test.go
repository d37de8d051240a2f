// SPDX-License-Identifier: Apache-2.0

package persistence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/jsonstore"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

var copyEpoch = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// numbers says how many records of each kind to make.
type numbers = persistence.Copied

// filled returns a store with so many records, of one creation time or several
// of each.
func filled(t *testing.T, n numbers, oneTime bool) *memory.Store {
	t.Helper()
	created := func(i int) time.Time {
		if oneTime {
			return copyEpoch
		}
		return copyEpoch.Add(time.Duration(i/3) * time.Microsecond)
	}
	// In another order than that of the ids.
	id := func(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012d", uint32(i)*2654435761, i) }
	s := memory.New()
	for i := range n.Volumes {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(&drivers.Volume{
			ID: id(i), Name: fmt.Sprint("volume ", i), Size: i, Status: "available", Host: fmt.Sprintf("host@backend%d#pool", i%3),
			UseQuota: i%2 == 0, SharedTargets: i%3 == 0, ProviderAuth: "CHAP user secret", CreatedAt: created(i),
			Metadata: map[string]string{"i": fmt.Sprint(i)}, AdminMetadata: map[string]string{"a": "b"}, GlanceMetadata: map[string]string{"g": "h"},
			VolumeTypeID: id(i), VolumeType: &drivers.VolumeType{
				ID: id(i), Name: id(i), ExtraSpecs: map[string]string{"x": fmt.Sprint(i)}, QoSSpecsID: id(i),
				QoS: &drivers.QoSSpecs{ID: id(i), Name: id(i), Consumer: "both", Specs: map[string]string{"maxIOPS": fmt.Sprint(i)}},
			},
		})))
	}
	for i := range n.Snapshots {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(&drivers.Snapshot{
			ID: id(i), VolumeID: id(i / 2), Name: fmt.Sprint("snapshot ", i), Status: "available", VolumeSize: i,
			Progress: "backend", Metadata: map[string]string{"i": fmt.Sprint(i)}, CreatedAt: created(i),
		})))
	}
	for i := range n.Connections {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(&persistence.Connection{
			ID: id(i), VolumeID: id(i / 2), AttachStatus: persistence.AttachAttached, AttachMode: connector.ReadOnly, CreatedAt: created(i),
			Conn:      &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: &connector.ISCSIData{TargetLUN: i, AuthPassword: "s3cret"}},
			Connector: &connector.Properties{Host: "node", Extra: map[string]any{"more": []any{1.5, nil}}},
			Device:    &connector.Device{Path: fmt.Sprint("/dev/", i)},
		})))
	}
	for i := range n.KeyValues {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(&persistence.KeyValue{Key: id(i), Value: fmt.Sprint("value ", i)})))
	}
	return s
}

// content is all that a store holds, in order.
type content struct {
	Volumes     []*drivers.Volume
	Snapshots   []*drivers.Snapshot
	Connections []*persistence.Connection
	KeyValues   []persistence.KeyValue
}

func (c content) count() persistence.Copied {
	return persistence.Copied{
		Volumes: len(c.Volumes), Snapshots: len(c.Snapshots), Connections: len(c.Connections), KeyValues: len(c.KeyValues),
	}
}

func contentOf(t *testing.T, s persistence.Store) (c content) {
	t.Helper()
	var err error
	c.Volumes, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	c.Snapshots, err = s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	c.Connections, err = s.Connections(t.Context(), persistence.ConnectionFilter{})
	require.NoError(t, err)
	c.KeyValues, err = s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	return c
}

// sameContent checks that two stores hold the same: every field, and what their
// JSON has beyond.
func sameContent(t *testing.T, want, got persistence.Store) {
	t.Helper()
	w, g := contentOf(t, want), contentOf(t, got)
	sameRecords(t, drivers.VolumeSchema(), w.Volumes, g.Volumes)
	sameRecords(t, drivers.SnapshotSchema(), w.Snapshots, g.Snapshots)
	sameRecords(t, persistence.ConnectionSchema(), w.Connections, g.Connections)
	assert.True(t, slices.Equal(w.KeyValues, g.KeyValues), "key-values")
}

func sameRecords[T any](t *testing.T, schema *ovo.Schema[T], want, got []*T) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		changed := schema.Changed(want[i], got[i])
		if len(changed) > 0 || !bytes.Equal(schema.Append(nil, want[i], nil), schema.Append(nil, got[i], nil)) {
			require.Fail(t, "another record", "%s %d: %v", schema.Name, i, changed)
		}
	}
}

// watched is a store that notes how much it is asked for at once, and fails when
// it is told to.
type watched struct {
	persistence.Store
	failRead, failWrite int // the n-th, from 1; 0: none

	ignoresContext bool

	reads, writes int
	largest       int // page that was asked for, or write; huge for all
	writtenKinds  []string
}

var errBroken = errors.New("broken")

func (w *watched) read(ctx context.Context, limit int) (context.Context, error) {
	w.reads++
	if limit == 0 {
		limit = 1 << 30
	}
	w.largest = max(w.largest, limit)
	if w.reads == w.failRead {
		return nil, errBroken
	}
	if w.ignoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	return ctx, nil
}

func (w *watched) Volumes(ctx context.Context, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
	ctx, err := w.read(ctx, f.Limit)
	if err != nil {
		return nil, err
	}
	return w.Store.Volumes(ctx, f)
}

func (w *watched) Snapshots(ctx context.Context, f persistence.SnapshotFilter) ([]*drivers.Snapshot, error) {
	ctx, err := w.read(ctx, f.Limit)
	if err != nil {
		return nil, err
	}
	return w.Store.Snapshots(ctx, f)
}

func (w *watched) Connections(ctx context.Context, f persistence.ConnectionFilter) ([]*persistence.Connection, error) {
	ctx, err := w.read(ctx, f.Limit)
	if err != nil {
		return nil, err
	}
	return w.Store.Connections(ctx, f)
}

func (w *watched) KeyValues(ctx context.Context, key string) ([]persistence.KeyValue, error) {
	ctx, err := w.read(ctx, 1) // they have no pages
	if err != nil {
		return nil, err
	}
	return w.Store.KeyValues(ctx, key)
}

func (w *watched) Write(ctx context.Context, ops ...persistence.Op) error {
	w.writes++
	w.largest = max(w.largest, len(ops))
	if w.writes == w.failWrite {
		return errBroken
	}
	for _, op := range ops {
		if op.Kind != persistence.OpPut {
			return errors.New("a copy puts")
		}
		kind := fmt.Sprintf("%T", op.Record)
		if n := len(w.writtenKinds); n == 0 || w.writtenKinds[n-1] != kind {
			w.writtenKinds = append(w.writtenKinds, kind)
		}
	}
	if w.ignoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	return w.Store.Write(ctx, ops...)
}

// maxPage bounds the memory that a copy needs.
const maxPage = 1000

func TestCopy(t *testing.T) {
	t.Parallel()
	n := numbers{Volumes: 2100, Snapshots: 2200, Connections: 2300, KeyValues: 2400}
	for name, oneTime := range map[string]bool{"some of each time": false, "all of one time": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := &watched{Store: filled(t, n, oneTime)}, &watched{Store: memory.New()}
			var steps []persistence.Copied
			copied, err := persistence.Copy(t.Context(), from, to, func(c persistence.Copied) { steps = append(steps, c) })
			require.NoError(t, err)
			assert.Equal(t, n, copied)
			sameContent(t, from.Store, to.Store)

			assert.LessOrEqual(t, max(from.largest, to.largest), maxPage)
			assert.Zero(t, from.writes)
			assert.Zero(t, to.reads)
			assert.Equal(t, []string{"*drivers.Volume", "*drivers.Snapshot", "*persistence.Connection", "*persistence.KeyValue"}, to.writtenKinds)
			assert.Len(t, steps, to.writes)
			last := persistence.Copied{}
			for _, c := range steps {
				grown := 0
				for _, pair := range [][2]int{
					{last.Volumes, c.Volumes}, {last.Snapshots, c.Snapshots}, {last.Connections, c.Connections}, {last.KeyValues, c.KeyValues},
				} {
					require.GreaterOrEqual(t, pair[1], pair[0])
					if pair[1] > pair[0] {
						grown++
					}
				}
				require.Equal(t, 1, grown, "each page is of one kind")
				last = c
			}
			assert.Equal(t, n, last)
		})
	}
}

// There and back, by way of what the file holds.
func TestCopyToAFile(t *testing.T) {
	t.Parallel()
	for name, oneTime := range map[string]bool{"some of each time": false, "all of one time": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := numbers{Volumes: 1100, Snapshots: 1050, Connections: 1001, KeyValues: 1200}
			from, path := filled(t, n, oneTime), filepath.Join(t.TempDir(), "store.json")
			to, err := jsonstore.Open(path)
			require.NoError(t, err)
			copied, err := persistence.Copy(t.Context(), from, to, nil)
			require.NoError(t, err)
			assert.Equal(t, n, copied)
			require.NoError(t, to.Close())
			to, err = jsonstore.Open(path)
			require.NoError(t, err)
			defer to.Close()
			back := memory.New()
			copied, err = persistence.Copy(t.Context(), to, back, nil)
			require.NoError(t, err)
			assert.Equal(t, n, copied)
			sameContent(t, from, back)
		})
	}
}

// Numbers at which a page begins or ends.
func TestCopyFewOrFullPages(t *testing.T) {
	t.Parallel()
	for _, n := range []numbers{
		{}, {Volumes: 1}, {KeyValues: 1}, {Snapshots: 500}, {Volumes: 499, Snapshots: 501, Connections: 1000, KeyValues: 500}, {Volumes: 1000, KeyValues: 1001},
	} {
		from, to := filled(t, n, true), memory.New()
		pages := 0
		copied, err := persistence.Copy(t.Context(), from, to, func(c persistence.Copied) {
			pages++
			assert.NotZero(t, c)
		})
		require.NoError(t, err)
		assert.Equal(t, n, copied)
		assert.Equal(t, n == numbers{}, pages == 0)
		sameContent(t, from, to)
	}
}

func TestCopyAgain(t *testing.T) {
	t.Parallel()
	n := numbers{Volumes: 600, Snapshots: 10, Connections: 10, KeyValues: 600}
	from, to := filled(t, n, true), memory.New()
	for range 3 {
		copied, err := persistence.Copy(t.Context(), from, to, nil)
		require.NoError(t, err)
		assert.Equal(t, n, copied)
		sameContent(t, from, to)
	}

	// What is there is replaced whole, what is only there stays.
	c := contentOf(t, to)
	changed, other := c.Volumes[0].Clone(), c.Volumes[1].Clone()
	changed.Status, changed.Name, changed.AdminMetadata, changed.MultiAttach = "error", "changed", map[string]string{"x": "y"}, true
	other.ID = "other"
	require.NoError(t, to.Write(t.Context(), persistence.Put(changed), persistence.Insert(other), persistence.Delete(c.Volumes[2]),
		persistence.Delete(c.Connections[0]), persistence.Put(&persistence.KeyValue{Key: c.KeyValues[0].Key, Value: "changed"})))
	_, err := persistence.Copy(t.Context(), from, to, nil)
	require.NoError(t, err)
	found, err := to.Volumes(t.Context(), persistence.VolumeFilter{ID: "other"})
	require.NoError(t, err)
	sameRecords(t, drivers.VolumeSchema(), []*drivers.Volume{other}, found)
	require.NoError(t, to.Write(t.Context(), persistence.Delete(other)))
	sameContent(t, from, to)
}

// What a document held beyond the fields goes along.
func TestCopyUnknownKeys(t *testing.T) {
	t.Parallel()
	volume, err := drivers.VolumeSchema().Decode(ovo.NewDecoder([]byte(`{"versioned_object.name":"Volume",`+
		`"versioned_object.namespace":"cinder","versioned_object.version":"1.8",`+
		`"versioned_object.data":{"id":"v","display_name":null,"later_field":{"x":["ñ",1]}}}`)), nil)
	require.NoError(t, err)
	connection, _, err := decode(envelope(`"id":"c","volume_id":"v","connection_info":{"conn":{"driver_volume_type":"x"},"more":1},"later":true`))
	require.NoError(t, err)
	from, to := memory.New(), memory.New()
	require.NoError(t, from.Write(t.Context(), persistence.Insert(volume), persistence.Insert(connection)))
	_, err = persistence.Copy(t.Context(), from, to, nil)
	require.NoError(t, err)
	sameContent(t, from, to)
	c := contentOf(t, to)
	assert.NotNil(t, volume.Wire)
	assert.Equal(t, volume.Wire, c.Volumes[0].Wire)
	assert.Equal(t, connection.Wire, c.Connections[0].Wire)
}

func TestCopyFails(t *testing.T) {
	t.Parallel()
	n := numbers{Volumes: 1100, Snapshots: 501, Connections: 20, KeyValues: 700}
	source := filled(t, n, true)
	c := contentOf(t, source)
	onWrite := func(kind, first string) string {
		return fmt.Sprintf("copy: write the %s from %q on: broken", kind, first)
	}
	onRead := func(kind, last string) string { return fmt.Sprintf("copy: read the %s after %q: broken", kind, last) }
	for _, tt := range []struct {
		read, write int
		copied      persistence.Copied
		says        string
	}{
		{write: 1, says: onWrite("volumes", c.Volumes[0].ID)},
		{write: 2, copied: persistence.Copied{Volumes: 500}, says: onWrite("volumes", c.Volumes[500].ID)},
		{write: 3, copied: persistence.Copied{Volumes: 1000}, says: onWrite("volumes", c.Volumes[1000].ID)},
		{write: 4, copied: persistence.Copied{Volumes: 1100}, says: onWrite("snapshots", c.Snapshots[0].ID)},
		{write: 5, copied: persistence.Copied{Volumes: 1100, Snapshots: 500}, says: onWrite("snapshots", c.Snapshots[500].ID)},
		{write: 6, copied: persistence.Copied{Volumes: 1100, Snapshots: 501}, says: onWrite("connections", c.Connections[0].ID)},
		{write: 7, copied: persistence.Copied{Volumes: 1100, Snapshots: 501, Connections: 20}, says: onWrite("key-values", c.KeyValues[0].Key)},
		{write: 8, copied: persistence.Copied{Volumes: 1100, Snapshots: 501, Connections: 20, KeyValues: 500}, says: onWrite("key-values", c.KeyValues[500].Key)},
		{read: 1, says: onRead("volumes", "")},
		{read: 3, copied: persistence.Copied{Volumes: 1000}, says: onRead("volumes", c.Volumes[999].ID)},
		{read: 4, copied: persistence.Copied{Volumes: 1100}, says: onRead("snapshots", "")},
		{read: 6, copied: persistence.Copied{Volumes: 1100, Snapshots: 501}, says: onRead("connections", "")},
		{read: 7, copied: persistence.Copied{Volumes: 1100, Snapshots: 501, Connections: 20}, says: "copy: read the key-values: broken"},
	} {
		from, to := &watched{Store: source, failRead: tt.read}, &watched{Store: memory.New(), failWrite: tt.write}
		last := persistence.Copied{}
		copied, err := persistence.Copy(t.Context(), from, to, func(c persistence.Copied) { last = c })
		require.ErrorIs(t, err, errBroken)
		require.EqualError(t, err, tt.says)
		assert.Equal(t, tt.copied, copied)
		assert.Equal(t, tt.copied, last)
		assert.Equal(t, tt.copied, contentOf(t, to.Store).count())

		copied, err = persistence.Copy(t.Context(), from, to, nil)
		require.NoError(t, err, "and once more")
		assert.Equal(t, n, copied)
		sameContent(t, source, to.Store)
	}
}

func TestCopyKeepsTheMark(t *testing.T) {
	t.Parallel()
	from, to := filled(t, numbers{Volumes: 1}, true), memory.New()
	require.NoError(t, to.Close())
	_, err := persistence.Copy(t.Context(), from, to, nil)
	require.ErrorIs(t, err, persistence.ErrClosed)
}

func TestCopyCancelled(t *testing.T) {
	t.Parallel()
	source := filled(t, numbers{Volumes: 1000, Snapshots: 1, Connections: 1, KeyValues: 501}, false)
	for _, ignores := range []bool{false, true} { // then Copy looks at ctx itself
		for pages, want := range []persistence.Copied{
			{}, {Volumes: 500}, {Volumes: 1000}, {Volumes: 1000, Snapshots: 1}, {Volumes: 1000, Snapshots: 1, Connections: 1},
			{Volumes: 1000, Snapshots: 1, Connections: 1, KeyValues: 500},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			from, to := &watched{Store: source, ignoresContext: ignores}, &watched{Store: memory.New(), ignoresContext: ignores}
			if pages == 0 {
				cancel()
			}
			copied, err := persistence.Copy(ctx, from, to, func(persistence.Copied) {
				if pages--; pages == 0 {
					cancel()
				}
			})
			cancel()
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, want, copied)
		}
	}
}

// uncomparable is a store that == panics for.
type uncomparable struct {
	*memory.Store
	_ []int
}

func TestCopyOntoItself(t *testing.T) {
	t.Parallel()
	s := filled(t, numbers{Volumes: 3}, true)
	type wrapped struct{ persistence.Store }
	for _, same := range []persistence.Store{s, wrapped{s}, &watched{Store: s}} {
		called := false
		copied, err := persistence.Copy(t.Context(), same, same, func(persistence.Copied) { called = true })
		require.ErrorIs(t, err, persistence.ErrInvalid)
		assert.Zero(t, copied)
		assert.False(t, called)
	}
	before := contentOf(t, s)
	for _, pair := range [][2]persistence.Store{
		{uncomparable{Store: s}, uncomparable{Store: memory.New()}}, {wrapped{uncomparable{Store: s}}, wrapped{uncomparable{Store: memory.New()}}},
		{wrapped{s}, wrapped{memory.New()}}, {s, wrapped{s}}, // that cannot be told, and does no harm
	} {
		copied, err := persistence.Copy(t.Context(), pair[0], pair[1], nil)
		require.NoError(t, err)
		assert.Equal(t, persistence.Copied{Volumes: 3}, copied)
		sameContent(t, s, pair[1])
	}
	assert.Equal(t, before, contentOf(t, s))
}

func TestCopyOfARecordWithoutID(t *testing.T) {
	t.Parallel()
	for kind, record := range map[string]persistence.Op{
		"volumes": persistence.Put(&drivers.Volume{}), "snapshots": persistence.Put(&drivers.Snapshot{}), "connections": persistence.Put(&persistence.Connection{}),
	} {
		from := memory.New()
		require.NoError(t, from.Write(t.Context(), record))
		copied, err := persistence.Copy(t.Context(), from, memory.New(), nil)
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.EqualError(t, err, "copy: one of the "+kind+" has no id")
		assert.Zero(t, copied)
	}
}

// The stores of a copy may be in use: what nobody changes is copied all the
// same, once, also when what a page ended with is deleted.
func TestCopyOfAStoreThatShrinks(t *testing.T) {
	t.Parallel()
	from, to := filled(t, numbers{Volumes: 1500}, true), memory.New()
	ids := map[string]bool{}
	for _, v := range contentOf(t, from).Volumes {
		ids[v.ID] = true
	}
	copied, err := persistence.Copy(t.Context(), from, to, func(c persistence.Copied) {
		gone := contentOf(t, to).Volumes[c.Volumes-1]
		require.NoError(t, from.Write(t.Context(), persistence.Delete(gone)))
	})
	require.NoError(t, err)
	assert.Equal(t, 1500, copied.Volumes)
	for _, v := range contentOf(t, to).Volumes {
		delete(ids, v.ID)
	}
	assert.Empty(t, slices.Collect(maps.Keys(ids)))
}
