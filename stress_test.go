// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/jsonstore"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// Many goroutines work on shared handles, cancelled at random moments. Nothing
// may be lost or left: no goroutine, no file lock, no file that the store does
// not know, no record that the array does not have.
//
// It is not parallel, because it counts the goroutines of the process.
func TestStress(t *testing.T) {
	stress(t, "file")
}

// The same with loop devices, none of which may be left.
func TestStressWithLoopDevices(t *testing.T) {
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it makes loop devices: set CINDERLIB_SYSTEM=1, as root")
	}
	dir := stress(t, "loop")
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	require.NoError(t, err)
	for _, loop := range loops {
		file, err := os.ReadFile(loop)
		if err == nil {
			assert.NotContains(t, string(file), dir, "%s is left", loop)
		}
	}
}

func stress(t *testing.T, attach string) (dir string) {
	t.Helper()
	const workers, rounds = 64, 12
	locks, dir := filepath.Join(t.TempDir(), "locks"), t.TempDir()
	b := newFileIn(t, dir, attach, cinderlib.WithFileLocksPath(locks))
	ctx := t.Context()
	shared := make([]*cinderlib.Volume, 8)
	for i := range shared {
		v, err := b.CreateVolume(ctx, 1)
		require.NoError(t, err)
		shared[i] = v
	}
	_, err := b.Volumes(ctx)
	require.NoError(t, err)

	var calls, cancelled atomic.Int64
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				err := mixed(ctx, b, shared[random.IntN(len(shared))], random)
				calls.Add(1)
				switch {
				case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
					cancelled.Add(1)
				case err != nil:
					code := cinderlib.CodeOf(err)
					ordinary := code == cinderlib.CodeFailedPrecondition || code == cinderlib.CodeInvalidArgument || code == cinderlib.CodeNotFound
					assert.True(t, ordinary, "%s: %v", code, err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls, %d of them cancelled", calls.Load(), cancelled.Load())
	assert.Positive(t, cancelled.Load())

	_, err = b.Recover(ctx)
	require.NoError(t, err)
	for v, err := range b.AllVolumes(ctx, cinderlib.VolumeFilter{}) {
		require.NoError(t, err)
		require.NoError(t, v.Cleanup(ctx))
		connections, err := v.Connections(ctx)
		require.NoError(t, err)
		for _, c := range connections {
			require.NoError(t, c.Disconnect(ctx, cinderlib.WithForce()))
		}
		snapshots, err := v.Snapshots(ctx)
		require.NoError(t, err)
		for _, s := range snapshots {
			require.NoError(t, s.Delete(ctx))
		}
		require.NoError(t, v.Delete(ctx))
	}
	require.NoError(t, b.Refresh(ctx))
	volumes, err := b.Volumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, volumes)
	left, err := b.ManageableVolumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, left, "files that the store does not know")
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+8 }, 5*time.Second, 10*time.Millisecond,
		"goroutines that go on")
	assert.Empty(t, heldLocks(t, locks))
	return dir
}

// mixed does one random thing with a volume.
func mixed(ctx context.Context, b *cinderlib.Backend, v *cinderlib.Volume, random *rand.Rand) error {
	if random.IntN(3) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Microsecond)
		defer cancel()
	}
	switch random.IntN(9) {
	case 0:
		made, err := b.CreateVolume(ctx, 1)
		if err != nil {
			return err
		}
		return made.Delete(ctx)
	case 1:
		made, err := v.Clone(ctx)
		if err != nil {
			return err
		}
		return made.Delete(ctx)
	case 2:
		s, err := v.CreateSnapshot(ctx)
		if err != nil {
			return err
		}
		return s.Delete(ctx)
	case 3:
		_, err := v.Extend(ctx, v.Size()+1)
		return err
	case 4:
		c, err := v.Connect(ctx, &connector.Properties{Host: "elsewhere"})
		if err != nil {
			return err
		}
		return c.Disconnect(ctx)
	case 5:
		if _, err := v.Attach(ctx); err != nil {
			return err
		}
		return v.Detach(ctx)
	case 6:
		return v.Update(ctx, cinderlib.WithMetadata(map[string]string{"round": "x"}))
	case 7:
		if _, err := v.Dump(ctx); err != nil {
			return err
		}
		return v.Refresh(ctx)
	}
	_, err := b.Volumes(ctx)
	return err
}

// heldLocks lists the file locks of this process on files below dir.
func heldLocks(t *testing.T, dir string) (held []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fdinfo")
	require.NoError(t, err)
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || !strings.HasPrefix(target, dir) {
			continue
		}
		info, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", e.Name()))
		if err == nil && strings.Contains(string(info), "lock:") {
			held = append(held, string(info))
		}
	}
	return held
}

// Two libraries share a store and an array, as two processes do.
func TestTwoLibrariesOnOneStore(t *testing.T) {
	t.Parallel()
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "store.json")
		locks := t.TempDir()
		shareStore(t, func() (persistence.Store, error) { return jsonstore.Open(path) }, locks, locks)
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "store.sqlite")
		locks := t.TempDir()
		shareStore(t, func() (persistence.Store, error) { return gormdb.OpenFile(t.Context(), path) }, locks, locks)
	})
}

// On MySQL they exclude each other without a folder in common, as two hosts do.
func TestTwoHostsOnOneStoreMySQL(t *testing.T) {
	url := mysqltest.Fresh(t)
	shareStore(t, func() (persistence.Store, error) { return gormdb.Open(t.Context(), url) }, t.TempDir(), t.TempDir())
}

func shareStore(t *testing.T, openStore func() (persistence.Store, error), locks ...string) {
	ctx, array := t.Context(), t.TempDir()
	open := func(locks string) *cinderlib.Backend {
		store, err := openStore()
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, store.Close()) })
		lib, err := cinderlib.New(cinderlib.WithStore(store), cinderlib.WithFileLocksPath(locks))
		require.NoError(t, err)
		b, err := lib.NewBackend(ctx, cinderlib.Options{
			"volume_backend_name": "disk", "volume_driver": "file", "file_directory": array,
		})
		require.NoError(t, err)
		return b
	}
	one, two := open(locks[0]), open(locks[1])
	v, err := one.CreateVolume(ctx, 1)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, b := range []*cinderlib.Backend{one, two} {
		for range 4 {
			wg.Go(func() {
				mine, err := library(b).VolumeByID(ctx, v.ID())
				if !assert.NoError(t, err) {
					return
				}
				for range 5 {
					s, err := mine.CreateSnapshot(ctx)
					if assert.NoError(t, err) {
						assert.NoError(t, s.Delete(ctx))
					}
					done, err := b.Recover(ctx) // what others work on is left alone
					assert.NoError(t, err)
					for _, d := range done {
						assert.True(t, d.Busy, "%+v", d)
					}
				}
			})
		}
	}
	wg.Wait()
	require.NoError(t, v.Delete(ctx))
	left, err := two.ManageableVolumes(ctx)
	require.NoError(t, err)
	assert.Empty(t, left)
}
