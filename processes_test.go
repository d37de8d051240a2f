// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// workEnv has the database in which a child process of TestProcesses works.
const workEnv = "CINDERLIB_TEST_WORK"

// What each of two processes does: in each of its goroutines so many volumes are
// made, with a snapshot; one in keepEvery of them stays.
const (
	workers   = 8
	each      = 125
	keepEvery = 10
)

// Two processes of eight goroutines make, snapshot and delete 2,000 volumes in
// one database. Each prints what it keeps; there must be that and nothing else.
func TestProcesses(t *testing.T) {
	t.Parallel()
	processes(t, "sqlite:///"+filepath.Join(t.TempDir(), "cl.sqlite"))
}

func TestProcessesMySQL(t *testing.T) {
	mysqltest.Need(t)
	processes(t, mysqltest.Fresh(t))
}

func processes(t *testing.T, url string) {
	self, err := os.Executable()
	require.NoError(t, err)
	locks := t.TempDir()
	var wg sync.WaitGroup
	var out, faults [2]bytes.Buffer
	for i := range out {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), workEnv+"="+url+"|"+locks)
			cmd.Stdout, cmd.Stderr = &out[i], &faults[i]
			assert.NoError(t, cmd.Run(), "%s", &faults[i])
		})
	}
	wg.Wait()

	var kept []string
	for i := range out {
		kept = append(kept, strings.Fields(out[i].String())...)
	}
	require.Len(t, kept, 2*workers*((each+keepEvery-1)/keepEvery))
	store, err := gormdb.Open(t.Context(), url)
	require.NoError(t, err)
	defer func() { assert.NoError(t, store.Close()) }()
	volumes, err := store.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	snapshots, err := store.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	var stored, of []string
	for _, v := range volumes {
		stored = append(stored, v.ID)
		assert.Equal(t, "available", v.Status)
		assert.Equal(t, map[string]string{"round": "2"}, v.Metadata)
	}
	for _, s := range snapshots {
		of = append(of, s.VolumeID)
	}
	assert.ElementsMatch(t, kept, stored)
	assert.ElementsMatch(t, kept, of)
}

// workingChild is one of the processes.
func workingChild(spec string) int {
	url, locks, _ := strings.Cut(spec, "|")
	ctx := context.Background()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	store, err := gormdb.Open(ctx, url)
	if err != nil {
		return fail(err)
	}
	backend, err := noopBackend(ctx, store, cinderlib.WithFileLocksPath(locks))
	if err != nil {
		return fail(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var first error
	for range workers {
		wg.Go(func() {
			for n := range each {
				kept, err := workOnce(ctx, backend, n)
				mu.Lock()
				if err != nil && first == nil {
					first = err
				}
				if kept != "" {
					fmt.Fprintln(os.Stdout, kept)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != nil {
		return fail(first)
	}
	if err := store.Close(); err != nil {
		return fail(err)
	}
	return 0
}

// workOnce makes a volume and a snapshot, changes the volume from two handles,
// and deletes both, or returns the id of what stays.
func workOnce(ctx context.Context, backend *cinderlib.Backend, n int) (kept string, err error) {
	v, err := backend.CreateVolume(ctx, 1, cinderlib.WithID(uuid.NewString()))
	if err != nil {
		return "", err
	}
	s, err := v.CreateSnapshot(ctx)
	if err != nil {
		return "", err
	}
	stale, err := cinderlib.LibraryOf(backend).VolumeByID(ctx, v.ID())
	if err != nil {
		return "", err
	}
	if err := v.Update(ctx, cinderlib.WithMetadata(map[string]string{"round": "1"})); err != nil {
		return "", err
	}
	if err := stale.Update(ctx, cinderlib.WithMetadata(map[string]string{"round": "2"})); err != nil {
		return "", err
	}
	if n%keepEvery == 0 {
		return v.ID(), nil
	}
	if err := s.Delete(ctx); err != nil {
		return "", err
	}
	return "", v.Delete(ctx)
}
