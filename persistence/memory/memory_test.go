// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
	"github.com/gocinder/cinderlib/persistence/persistencetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	persistencetest.Run(t, persistencetest.Harness{
		New: func(*testing.T) persistence.Store { return memory.New() },
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	env := persistence.Env{}
	s, err := persistence.Open(t.Context(), env, nil)
	require.NoError(t, err)
	assert.IsType(t, &memory.Store{}, s)
	own := memory.New()
	s, err = persistence.Open(t.Context(), env, map[string]any{"storage": own})
	require.NoError(t, err)
	assert.Same(t, own, s)
	_, err = persistence.Open(t.Context(), env, map[string]any{"storage": "memory", "extra": 1})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	assert.ErrorContains(t, err, "extra")
	_, err = persistence.Open(t.Context(), env, map[string]any{"storage": "nosql"})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	assert.ErrorContains(t, err, "memory")
	_, err = persistence.Open(t.Context(), env, map[string]any{"storage": 7})
	require.ErrorIs(t, err, persistence.ErrInvalid)
}
