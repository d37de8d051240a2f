// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// lockingStore is a store with locks for all who share it. It remembers the
// names.
type lockingStore struct {
	*memory.Store
	keyed lock.Keyed

	mu    sync.Mutex
	names []string
}

func (s *lockingStore) Ephemeral() bool           { return false }
func (s *lockingStore) Locks() persistence.Locker { return s }

func (s *lockingStore) Lock(ctx context.Context, name string) (func(), error) {
	s.mu.Lock()
	s.names = append(s.names, name)
	s.mu.Unlock()
	return s.keyed.Lock(ctx, name)
}

func (s *lockingStore) TryLock(_ context.Context, name string) (func(), bool, error) {
	unlock, ok := s.keyed.TryLock(name)
	return unlock, ok, nil
}

// A store that has locks is where verbs and drivers take theirs.
func TestLocksOfTheStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := &lockingStore{Store: memory.New()}
	var env drivers.Env
	lib, err := cinderlib.New(cinderlib.WithStore(store), cinderlib.WithDriver(
		drivers.NewRegistration("noop", func(_ context.Context, e drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			env = e
			return newNoop(e.Backend), nil
		})))
	require.NoError(t, err)
	backend, err := lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "b", "volume_driver": "noop"})
	require.NoError(t, err)
	v, err := backend.CreateVolume(ctx, 1)
	require.NoError(t, err)

	unlock, err := store.Lock(ctx, "volume-"+v.ID()) // another host's
	require.NoError(t, err)
	short, cancel := context.WithCancel(ctx)
	waiting := make(chan error, 1)
	go func() { waiting <- v.Delete(short) }()
	require.Eventually(t, func() bool {
		return slices.Equal(store.seen(), []string{"volume-" + v.ID(), "volume-" + v.ID(), "volume-" + v.ID()})
	},
		10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	unlock()
	require.NoError(t, v.Delete(ctx))

	unlock, err = connector.Locker(env.Locks).Lock(ctx, "pool")
	require.NoError(t, err)
	unlock()
	assert.Equal(t, "backend-b-pool", store.seen()[len(store.seen())-1])
}

func (s *lockingStore) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}
