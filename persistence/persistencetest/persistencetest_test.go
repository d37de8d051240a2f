// SPDX-License-Identifier: Apache-2.0

package persistencetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// TestFullRecords checks that no field was forgotten when one was added.
func TestFullRecords(t *testing.T) {
	t.Parallel()
	complete(t, drivers.VolumeSchema(), blankVolume(), fullVolume(), "id", "deleted", "deleted_at",
		"cluster", "volume_attachment", "consistencygroup", "snapshots", "group") // the latter are no fields of the record
	complete(t, drivers.SnapshotSchema(), blankSnapshot(), fullSnapshot(), "id", "volume_id", "deleted", "deleted_at",
		"volume", "cgsnapshot", "group_snapshot")
	complete(t, persistence.ConnectionSchema(), blankConnection(), fullConnection(), "id", "volume_id", "deleted", "deleted_at", "volume")
}

func complete[T any](t *testing.T, schema *ovo.Schema[T], blank, full *T, but ...string) {
	t.Helper()
	want := make([]string, 0, len(schema.Fields))
	for _, f := range schema.Fields {
		if !slices.Contains(but, f.Name()) {
			want = append(want, f.Name())
		}
	}
	assert.Equal(t, want, schema.Changed(blank, full))
}

// faulty is a memory store that breaks the contract in one way: what it has a
// function for.
type faulty struct {
	*memory.Store
	change    func(s *memory.Store, op persistence.Op) persistence.Op
	write     func(ctx context.Context, s *memory.Store, ops []persistence.Op) error
	volumes   func(ctx context.Context, s *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error)
	keyValues func(ctx context.Context, s *memory.Store, key string) ([]persistence.KeyValue, error)
	close     func(s *memory.Store) error
	start     []persistence.Op
}

func (f *faulty) Write(ctx context.Context, ops ...persistence.Op) error {
	if f.change != nil {
		ops = slices.Clone(ops)
		for i := range ops {
			ops[i] = f.change(f.Store, ops[i])
		}
	}
	if f.write != nil {
		return f.write(ctx, f.Store, ops)
	}
	return f.Store.Write(ctx, ops...)
}

func (f *faulty) Volumes(ctx context.Context, filter persistence.VolumeFilter) ([]*drivers.Volume, error) {
	if f.volumes != nil {
		return f.volumes(ctx, f.Store, filter)
	}
	return f.Store.Volumes(ctx, filter)
}

func (f *faulty) KeyValues(ctx context.Context, key string) ([]persistence.KeyValue, error) {
	if f.keyValues != nil {
		return f.keyValues(ctx, f.Store, key)
	}
	return f.Store.KeyValues(ctx, key)
}

func (f *faulty) Close() error {
	if f.close != nil {
		return f.close(f.Store)
	}
	return f.Store.Close()
}

// changed makes a faulty store that keeps another volume than it is given; old
// is nil unless it is an update.
func changed(change func(s *memory.Store, old, v *drivers.Volume)) func() *faulty {
	return func() *faulty {
		return &faulty{change: func(s *memory.Store, op persistence.Op) persistence.Op {
			if v, ok := op.Record.(*drivers.Volume); ok && op.Kind != persistence.OpDelete {
				v = v.Clone()
				old, _ := op.Old.(*drivers.Volume)
				if old != nil {
					old = old.Clone()
					op.Old = old
				}
				change(s, old, v)
				op.Record = v
			}
			return op
		}}
	}
}

// kinds makes a faulty store that does another operation than it is told to.
func kinds(from, to persistence.OpKind) func() *faulty {
	return func() *faulty {
		return &faulty{change: func(_ *memory.Store, op persistence.Op) persistence.Op {
			if op.Kind == from {
				op.Kind = to
			}
			return op
		}}
	}
}

// matching makes a faulty store that finds volumes in its own way.
func matching(match func(v *drivers.Volume, f persistence.VolumeFilter) bool) func() *faulty {
	return func() *faulty {
		return &faulty{volumes: func(ctx context.Context, s *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
			all, err := s.Volumes(ctx, persistence.VolumeFilter{ID: f.ID})
			all = slices.DeleteFunc(all, func(v *drivers.Volume) bool { return !match(v, f) })
			if f.Limit > 0 {
				all = all[:min(f.Limit, len(all))]
			}
			return all, err
		}}
	}
}

func exactly(v *drivers.Volume, f persistence.VolumeFilter) bool {
	return (f.Name == "" || f.Name == v.Name) && (f.Backend == "" || f.Backend == v.Backend()) && !f.Skip(v.CreatedAt, v.ID)
}

type breakage struct {
	noticed []string // by which tests of the suite
	store   func() *faulty
}

func breakages() map[string]breakage {
	return map[string]breakage{
		"insert replaces":     {[]string{"InsertTwice", "WritesSeveral", "AllOrNothing", "AllOrNothingOfOne"}, kinds(persistence.OpInsert, persistence.OpPut)},
		"update replaces":     {[]string{"UpdateMerges", "UpdateConflicts", "UpdateOfTheGone", "LostUpdates"}, kinds(persistence.OpUpdate, persistence.OpPut)},
		"put only adds":       {[]string{"PutReplaces", "KeyValues", "AllFields", "Specs"}, kinds(persistence.OpPut, persistence.OpInsert)},
		"one by one":          {[]string{"AllOrNothing", "AllOrNothingOfOne", "WritesSeveral"}, oneByOne},
		"conflicts unseen":    {[]string{"UpdateConflicts", "WritesSeveral", "LostUpdates"}, changed(noConflict)},
		"gone is fine":        {[]string{"UpdateOfTheGone"}, goneIsFine},
		"delete once":         {[]string{"DeleteTwice"}, deleteOnce},
		"writes lost":         {[]string{"Concurrent"}, writesLost},
		"shares":              {[]string{"CopiesInAndOut"}, shares},
		"context ignored":     {[]string{"Context"}, contextIgnored},
		"close once":          {[]string{"Close"}, closeOnce},
		"forgets":             {[]string{"Reopen"}, func() *faulty { return &faulty{} }}, // as TestBroken reopens it
		"never empty":         {[]string{"Empty", "DeleteTwice"}, func() *faulty { return &faulty{start: []persistence.Op{persistence.Put(volume(1))}} }},
		"secret lost":         {[]string{"InsertReadsBack", "AllFields"}, changed(func(_ *memory.Store, _, v *drivers.Volume) { v.ProviderAuth = "" })},
		"field lost":          {[]string{"AllFields"}, changed(func(_ *memory.Store, _, v *drivers.Volume) { v.EC2ID = "" })},
		"false becomes true":  {[]string{"AllFields"}, changed(func(_ *memory.Store, _, v *drivers.Volume) { v.UseQuota = true })},
		"empty not written":   {[]string{"AllFields"}, changed(emptyNotWritten)},
		"seconds":             {[]string{"Awkward", "AllFields", "Order"}, changed(seconds)},
		"three bytes":         {[]string{"Awkward", "Names", "Maps"}, changed(threeBytes)},
		"map keys stay":       {[]string{"Maps", "UpdateMerges"}, changed(keysStay)},
		"one map for all":     {[]string{"Maps", "AllFields"}, changed(func(_ *memory.Store, _, v *drivers.Volume) { v.GlanceMetadata = v.Metadata })},
		"specs saved once":    {[]string{"Specs"}, changed(specsSavedOnce)},
		"specs stay":          {[]string{"Specs", "AllFields"}, changed(specsStay)},
		"one consumer":        {[]string{"Specs", "AllFields"}, changed(oneConsumer)},
		"specs of all":        {[]string{"Specs"}, changed(specsOfAll)},
		"numbers are floats":  {[]string{"ConnectionInfo", "AllFields"}, floats},
		"names in any case":   {[]string{"Names", "Filters"}, matching(namesInAnyCase)},
		"names padded":        {[]string{"Names"}, matching(namesPadded)},
		"names are patterns":  {[]string{"Names"}, matching(namesArePatterns)},
		"backends begin":      {[]string{"Backends", "Filters"}, matching(backendsBegin)},
		"zones too":           {[]string{"Backends"}, matching(zonesToo)},
		"pages by time":       {[]string{"Pages"}, matching(pagesByTime)},
		"pages by id":         {[]string{"Pages"}, pagesByID},
		"newest first":        {[]string{"Order", "Pages"}, newestFirst},
		"keys in one case":    {[]string{"KeyCase", "Names"}, keysInOneCase},
		"values cut":          {[]string{"KeyValues"}, valuesCut},
		"backend ignored":     {[]string{"Filters"}, matching(func(v *drivers.Volume, f persistence.VolumeFilter) bool { f.Backend = ""; return exactly(v, f) })},
		"whole record stored": {[]string{"LostUpdates"}, wholeRecord},
	}
}

func oneByOne() *faulty {
	return &faulty{write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
		for _, op := range ops {
			if err := s.Write(ctx, op); err != nil {
				return err
			}
		}
		return nil
	}}
}

func stored(s *memory.Store, v *drivers.Volume) *drivers.Volume {
	found, _ := s.Volumes(context.Background(), persistence.VolumeFilter{ID: v.ID})
	if len(found) == 0 {
		return &drivers.Volume{}
	}
	return found[0]
}

func noConflict(s *memory.Store, old, v *drivers.Volume) {
	if old != nil && old.Status != v.Status {
		old.Status = stored(s, v).Status
	}
}

func goneIsFine() *faulty {
	return &faulty{write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
		err := s.Write(ctx, ops...)
		if errors.Is(err, persistence.ErrNotFound) {
			return nil
		}
		return err
	}}
}

func deleteOnce() *faulty {
	return &faulty{write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
		for _, op := range ops {
			if v, ok := op.Record.(*drivers.Volume); ok && op.Kind == persistence.OpDelete && stored(s, v).ID == "" {
				return persistence.Errorf(persistence.ErrNotFound, "gone")
			}
		}
		return s.Write(ctx, ops...)
	}}
}

func writesLost() *faulty {
	return &faulty{write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
		if v, ok := ops[0].Record.(*drivers.Volume); ok && v.ID == id(100) && ops[0].Kind == persistence.OpUpdate {
			return nil
		}
		return s.Write(ctx, ops...)
	}}
}

func shares() *faulty {
	var mu sync.Mutex
	given := map[string]*drivers.Volume{}
	return &faulty{
		write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
			mu.Lock()
			defer mu.Unlock()
			for _, op := range ops {
				if v, ok := op.Record.(*drivers.Volume); ok {
					given[v.ID] = v
				}
			}
			return s.Write(ctx, ops...)
		},
		volumes: func(_ context.Context, _ *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
			mu.Lock()
			defer mu.Unlock()
			return []*drivers.Volume{given[f.ID]}, nil
		},
	}
}

func contextIgnored() *faulty {
	return &faulty{
		write: func(ctx context.Context, s *memory.Store, ops []persistence.Op) error {
			return s.Write(context.WithoutCancel(ctx), ops...)
		},
		volumes: func(ctx context.Context, s *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
			return s.Volumes(context.WithoutCancel(ctx), f)
		},
	}
}

func closeOnce() *faulty {
	closed := false
	return &faulty{close: func(*memory.Store) error {
		if closed {
			return persistence.Errorf(persistence.ErrClosed, "closed")
		}
		closed = true
		return nil
	}}
}

func emptyNotWritten(_ *memory.Store, old, v *drivers.Volume) {
	if old != nil && v.Description == "" {
		v.Description = old.Description
	}
}

func seconds(_ *memory.Store, _, v *drivers.Volume) {
	const second = 1e9
	v.LaunchedAt, v.CreatedAt = v.LaunchedAt.Truncate(second), v.CreatedAt.Truncate(second)
}

func threeBytes(_ *memory.Store, _, v *drivers.Volume) {
	cut := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r > 0xffff {
				return '?'
			}
			return r
		}, s)
	}
	v.Name = cut(v.Name)
	for k := range v.Metadata {
		v.Metadata[k] = cut(v.Metadata[k])
	}
}

func keysStay(s *memory.Store, old, v *drivers.Volume) {
	if old != nil && persistence.Changed(&drivers.Volume{Metadata: old.Metadata}, &drivers.Volume{Metadata: v.Metadata}) != nil {
		all := stored(s, v).Metadata
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, v.Metadata)
		v.Metadata = all
	}
}

// specsSavedOnce is a fault of the Python original.
func specsSavedOnce(_ *memory.Store, old, v *drivers.Volume) {
	if old != nil && v.VolumeType != nil && len(persistence.Changed(
		&drivers.Volume{VolumeType: old.VolumeType}, &drivers.Volume{VolumeType: v.VolumeType})) == 0 {
		v.VolumeType.ExtraSpecs = map[string]string{}
	}
}

func specsStay(s *memory.Store, _, v *drivers.Volume) {
	if v.VolumeType == nil {
		v.VolumeType = stored(s, v).VolumeType
	}
}

func oneConsumer(_ *memory.Store, _, v *drivers.Volume) {
	if q := v.QoS(); q != nil {
		q.Consumer = "back-end"
	}
}

func specsOfAll(s *memory.Store, _, v *drivers.Volume) {
	if v.VolumeType == nil {
		return
	}
	all, _ := s.Volumes(context.Background(), persistence.VolumeFilter{})
	for _, other := range all {
		if other.ID != v.ID {
			other.VolumeType = v.VolumeType
			_ = s.Write(context.Background(), persistence.Put(other))
		}
	}
}

func floats() *faulty {
	return &faulty{change: func(_ *memory.Store, op persistence.Op) persistence.Op {
		c, ok := op.Record.(*persistence.Connection)
		if !ok || c.Conn == nil {
			return op
		}
		c = c.Clone()
		op.Record = c
		text, _ := c.Conn.MarshalJSON()
		var value any
		if json.Unmarshal(text, &value) == nil {
			text, _ = json.Marshal(value)
			c.Conn = &connector.ConnInfo{}
			_ = c.Conn.UnmarshalJSON(text)
		}
		return op
	}}
}

func namesInAnyCase(v *drivers.Volume, f persistence.VolumeFilter) bool {
	if strings.EqualFold(f.Name, v.Name) {
		f.Name = ""
	}
	return exactly(v, f)
}

func namesPadded(v *drivers.Volume, f persistence.VolumeFilter) bool {
	if strings.TrimRight(f.Name, " ") == strings.TrimRight(v.Name, " ") {
		f.Name = ""
	}
	return exactly(v, f)
}

func namesArePatterns(v *drivers.Volume, f persistence.VolumeFilter) bool {
	if start, _, ok := strings.Cut(f.Name, "%"); ok && strings.HasPrefix(v.Name, start) {
		f.Name = ""
	}
	return exactly(v, f)
}

func backendsBegin(v *drivers.Volume, f persistence.VolumeFilter) bool {
	if strings.HasPrefix(v.Backend(), f.Backend) {
		f.Backend = ""
	}
	return exactly(v, f)
}

func zonesToo(v *drivers.Volume, f persistence.VolumeFilter) bool {
	if v.AvailabilityZone == f.Backend {
		f.Backend = ""
	}
	return exactly(v, f)
}

func pagesByTime(v *drivers.Volume, f persistence.VolumeFilter) bool {
	after := f.AfterID
	f.AfterID = ""
	return exactly(v, f) && (after == "" || v.CreatedAt.After(f.AfterTime))
}

func pagesByID() *faulty {
	return &faulty{volumes: func(ctx context.Context, s *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
		if f.AfterID != "" && stored(s, &drivers.Volume{ID: f.AfterID}).ID == "" {
			return nil, nil
		}
		return s.Volumes(ctx, f)
	}}
}

func newestFirst() *faulty {
	return &faulty{volumes: func(ctx context.Context, s *memory.Store, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
		found, err := s.Volumes(ctx, f)
		slices.Reverse(found)
		return found, err
	}}
}

func keysInOneCase() *faulty {
	return &faulty{
		change: func(_ *memory.Store, op persistence.Op) persistence.Op {
			if kv, ok := op.Record.(*persistence.KeyValue); ok {
				op.Record = keyValue(strings.ToLower(kv.Key), kv.Value)
			}
			return op
		},
		keyValues: func(ctx context.Context, s *memory.Store, key string) ([]persistence.KeyValue, error) {
			return s.KeyValues(ctx, strings.ToLower(key))
		},
	}
}

func valuesCut() *faulty {
	return &faulty{change: func(_ *memory.Store, op persistence.Op) persistence.Op {
		if kv, ok := op.Record.(*persistence.KeyValue); ok {
			op.Record = keyValue(kv.Key, kv.Value[:min(len(kv.Value), 1<<16)])
		}
		return op
	}}
}

// wholeRecord merges as it should, but with what it read before others wrote.
func wholeRecord() *faulty {
	var first *drivers.Volume
	var mu sync.Mutex
	return &faulty{change: func(s *memory.Store, op persistence.Op) persistence.Op {
		v, ok := op.Record.(*drivers.Volume)
		if !ok || op.Kind != persistence.OpUpdate {
			return op
		}
		mu.Lock()
		defer mu.Unlock()
		if first == nil { // as if all had read at one time
			first = stored(s, v)
		}
		merged, err := persistence.Merge(first, op.Old.(*drivers.Volume), v)
		if err != nil {
			return op
		}
		return persistence.Put(merged)
	}}
}

const breakEnv = "PERSISTENCETEST_BREAK"

// TestBroken runs the suite on a faulty store, in the process that
// TestSuiteNotices starts for it.
func TestBroken(t *testing.T) {
	b, ok := breakages()[os.Getenv(breakEnv)]
	if !ok {
		t.Skip("it is run by TestSuiteNotices")
	}
	open := func(t *testing.T) persistence.Store {
		f := b.store()
		f.Store = memory.New()
		require.NoError(t, f.Store.Write(t.Context(), f.start...))
		return f
	}
	Run(t, Harness{New: open, Reopen: func(t *testing.T, s persistence.Store) persistence.Store {
		if os.Getenv(breakEnv) != "forgets" {
			return s
		}
		return open(t)
	}})
}

// TestSuiteNotices proves the suite: each of its tests fails for a store that
// it is there to find out.
func TestSuiteNotices(t *testing.T) {
	t.Parallel()
	noticing := map[string]bool{}
	for broken, b := range breakages() {
		for _, name := range b.noticed {
			noticing[name] = true
		}
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v",
				"-test.run=^TestBroken$/^("+strings.Join(b.noticed, "|")+")$")
			cmd.Env = append(slices.Clone(os.Environ()), breakEnv+"="+broken)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite noticed nothing:\n%s", out)
			for _, name := range b.noticed {
				assert.Contains(t, string(out), "--- FAIL: TestBroken/"+name+" ", "%s", out)
			}
			assert.NotContains(t, string(out), "panic:")
		})
	}
	for _, c := range checks() {
		assert.True(t, noticing[c.name], "no breakage shows that %s can fail", c.name)
	}
}
