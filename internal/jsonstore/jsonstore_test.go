// SPDX-License-Identifier: Apache-2.0

package jsonstore_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/jsonstore"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/persistencetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	var paths sync.Map // of the stores
	open := func(t *testing.T, path string) persistence.Store {
		s, err := jsonstore.Open(path)
		require.NoError(t, err)
		paths.Store(s, path)
		return s
	}
	persistencetest.Run(t, persistencetest.Harness{
		New: func(t *testing.T) persistence.Store { return open(t, filepath.Join(t.TempDir(), "store.json")) },
		Reopen: func(t *testing.T, s persistence.Store) persistence.Store {
			path, ok := paths.Load(s)
			require.True(t, ok)
			require.NoError(t, s.Close())
			return open(t, path.(string))
		},
	})
}
