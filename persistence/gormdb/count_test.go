// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
)

// counter counts the statements of a store, transactions apart.
func counter(t *testing.T, s *Store) func() int64 {
	t.Helper()
	var n atomic.Int64
	count := func(*gorm.DB) { n.Add(1) }
	for _, db := range []*gorm.DB{s.reader, s.writer} {
		if db.Callback().Row().Get("count") != nil {
			break // they are the same
		}
		require.NoError(t, db.Callback().Row().After("gorm:row").Register("count", count))
		require.NoError(t, db.Callback().Raw().After("gorm:raw").Register("count", count))
	}
	return func() int64 { return n.Swap(0) }
}

func record(n int, typed bool) *drivers.Volume {
	v := &drivers.Volume{
		ID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", n), Status: "available", Host: "h@b#p", Metadata: map[string]string{"k": "v"},
		CreatedAt: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
	}
	if typed {
		v.VolumeTypeID = v.ID
		v.VolumeType = &drivers.VolumeType{ID: v.ID, Name: v.ID, ExtraSpecs: map[string]string{"thin": "true"}}
	}
	return v
}

// The number of statements does not grow with the number of volumes.
func TestStatements(t *testing.T) {
	t.Parallel()
	statements(t, "sqlite:///"+t.TempDir()+"/cl.sqlite")
}

func TestStatementsMySQL(t *testing.T) { statements(t, mysqltest.Fresh(t)) }

func statements(t *testing.T, url string) {
	ctx := t.Context()
	s, err := Open(ctx, url)
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.Close()) }()
	count := counter(t, s)
	write := func(ops ...persistence.Op) {
		require.NoError(t, s.Write(ctx, ops...))
	}
	write(persistence.Insert(record(0, false))) // the journal of sqlite is set with the first write
	count()

	plain := record(1, false)
	plain.Metadata = nil
	write(persistence.Insert(plain))
	assert.EqualValues(t, 1, count(), "insert of a volume")
	changed := *plain
	changed.Status, changed.Name = "in-use", "x"
	write(persistence.Update(plain, &changed))
	assert.EqualValues(t, 1, count(), "update of a volume")
	write(persistence.Delete(plain))
	assert.EqualValues(t, 7, count(), "deletion: its type, three maps, itself; whether a type of its id is left")

	previous := int64(-1)
	for _, n := range []int{10, 1000} {
		ops := make([]persistence.Op, n)
		for i := range ops {
			ops[i] = persistence.Put(record(i, i%2 == 0))
		}
		write(ops...)
		count()
		found, err := s.Volumes(ctx, persistence.VolumeFilter{Backend: "b"})
		require.NoError(t, err)
		require.Len(t, found, n)
		all := count()
		assert.EqualValues(t, 4, all, "%d volumes: themselves, maps, types, specs", n)
		if previous >= 0 {
			assert.Equal(t, previous, all)
		}
		previous = all
		_, err = s.Volumes(ctx, persistence.VolumeFilter{ID: ops[1].Record.(*drivers.Volume).ID})
		require.NoError(t, err)
		assert.EqualValues(t, 2, count(), "one volume: itself and its maps")
		_, err = s.Snapshots(ctx, persistence.SnapshotFilter{Backend: "b"})
		require.NoError(t, err)
		assert.EqualValues(t, 1, count(), "no snapshot")
		_, err = s.Connections(ctx, persistence.ConnectionFilter{Backend: "b"})
		require.NoError(t, err)
		assert.EqualValues(t, 1, count(), "connections of a backend")
	}
}
