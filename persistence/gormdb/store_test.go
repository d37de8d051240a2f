// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
	"github.com/gocinder/cinderlib/persistence/persistencetest"
)

// open opens a database for one test.
func open(t testing.TB, url string, opts ...gormdb.Option) *gormdb.Store {
	t.Helper()
	s, err := gormdb.Open(t.Context(), url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// harness runs the suite on databases that fresh makes, each of which it returns
// the URL of.
func harness(fresh func(t *testing.T) string, opts ...gormdb.Option) persistencetest.Harness {
	var urls sync.Map // by store
	open := func(t *testing.T, url string) persistence.Store {
		s, err := gormdb.Open(t.Context(), url, opts...)
		require.NoError(t, err)
		urls.Store(s, url)
		return s
	}
	return persistencetest.Harness{
		New: func(t *testing.T) persistence.Store { return open(t, fresh(t)) },
		Reopen: func(t *testing.T, s persistence.Store) persistence.Store {
			url, ok := urls.Load(s)
			require.True(t, ok)
			require.NoError(t, s.Close())
			return open(t, url.(string))
		},
	}
}

func freshFile(t *testing.T) string { return "sqlite:///" + filepath.Join(t.TempDir(), "cl.sqlite") }

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(freshFile))
	})
	t.Run("sqlite-nosync", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(freshFile, gormdb.WithSynchronous(false)))
	})
	t.Run("sqlite-soft", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(freshFile, gormdb.WithSoftDeletes()))
	})
	t.Run("memory_db", func(t *testing.T) {
		t.Parallel()
		h := harness(func(*testing.T) string { return "sqlite://" })
		h.Reopen = nil
		persistencetest.Run(t, h)
	})
}
