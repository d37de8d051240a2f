// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/persistence"
)

// assertNothingLeft looks for what the run has left: in the store, on the
// arrays, on this host.
func (s *suite) assertNothingLeft(t *testing.T) {
	t.Helper()
	store, ctx := s.lib.Persistence(), t.Context()
	volumes, err := store.Volumes(ctx, persistence.VolumeFilter{})
	require.NoError(t, err)
	assert.Empty(t, volumes, "volumes in the store")
	snapshots, err := store.Snapshots(ctx, persistence.SnapshotFilter{})
	require.NoError(t, err)
	assert.Empty(t, snapshots, "snapshots in the store")
	connections, err := store.Connections(ctx, persistence.ConnectionFilter{})
	require.NoError(t, err)
	assert.Empty(t, connections, "connections in the store")
	for _, b := range s.backends {
		assert.Empty(t, b.volumes(t), "volumes of backend %s", b.ID())
		now, err := b.references(ctx)
		require.NoError(t, err)
		now = slices.DeleteFunc(now, func(name string) bool { return slices.Contains(b.before, name) })
		assert.Empty(t, now, "volumes on the array of backend %s", b.ID())
		for made := range b.devices {
			assertGone(t, made)
		}
	}
	assert.Empty(t, filesIn(t, s.state), "files in %s", s.state)
	assert.Empty(t, loopsOf(t, func(path string) bool { return strings.HasPrefix(path, s.state+"/") }), "loop devices on files in %s", s.state)
}

// filesIn lists the files that are left in the run's own folder, less what the
// driver file counts in.
func filesIn(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != ".provisioned" {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// loopsOf lists the loop devices on files that match, which may be deleted ones.
func loopsOf(t *testing.T, match func(path string) bool) []string {
	t.Helper()
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	require.NoError(t, err)
	var loops []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // gone meanwhile
		}
		file := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), " (deleted)")
		if match(file) {
			loops = append(loops, name)
		}
	}
	return loops
}
