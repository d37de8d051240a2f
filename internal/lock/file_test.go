// SPDX-License-Identifier: Apache-2.0

package lock_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lock"
)

func open(t testing.TB, path string) *lock.File {
	t.Helper()
	l, err := lock.OpenFile(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// TestFileExcludes uses two Files of one path: two open file descriptions, as
// two processes have them.
func TestFileExcludes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "locks")
	files := []*lock.File{open(t, path), open(t, path)}
	info, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	// The race detector knows no lock between files, hence the mutex.
	var mu sync.Mutex
	inside, most := 0, 0
	var wg sync.WaitGroup
	for _, l := range files {
		for range 3 {
			wg.Go(func() {
				for range 20 {
					unlock, err := l.Lock(t.Context(), "a")
					if !assert.NoError(t, err) {
						return
					}
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					runtime.Gosched()
					mu.Lock()
					inside--
					mu.Unlock()
					unlock()
				}
			})
		}
	}
	wg.Wait()
	assert.Equal(t, 1, most)
}

func TestFileTryLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks")
	one, other := open(t, path), open(t, path)
	unlock, ok, err := one.TryLock("a")
	require.NoError(t, err)
	require.True(t, ok)
	for _, l := range []*lock.File{one, other} {
		_, ok, err = l.TryLock("a")
		require.NoError(t, err)
		assert.False(t, ok)
		free, ok, err := l.TryLock("b")
		require.NoError(t, err)
		assert.True(t, ok)
		free()
	}
	unlock()
	unlock()
	unlock2, ok, err := other.TryLock("a")
	require.NoError(t, err)
	require.True(t, ok)
	unlock() // of before: it must not free what the other has
	_, ok, _ = one.TryLock("a")
	assert.False(t, ok)
	unlock2()

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Zero(t, info.Size())
}

func TestFileGivesUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks")
	one, other := open(t, path), open(t, path)
	unlock, err := one.Lock(t.Context(), "scan")
	require.NoError(t, err)
	defer unlock()
	for _, l := range []*lock.File{one, other} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := l.Lock(ctx, "scan")
		cancel()
		require.EqualError(t, err, "wait for lock scan: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	// Who gave up left nothing behind.
	unlock()
	again, err := other.Lock(t.Context(), "scan")
	require.NoError(t, err)
	again()
}

func TestFileClosed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks")
	one, other := open(t, path), open(t, path)
	held, err := one.Lock(t.Context(), "a")
	require.NoError(t, err)
	waited := make(chan error)
	go func() {
		_, err := other.Lock(t.Context(), "a")
		waited <- err
	}()
	require.NoError(t, other.Close())
	require.ErrorIs(t, <-waited, fault.ErrClosed)
	_, _, err = other.TryLock("b")
	require.ErrorIs(t, err, fault.ErrClosed)

	require.NoError(t, one.Close())
	require.NoError(t, one.Close())
	held() // harmless
	third := open(t, path)
	_, ok, err := third.TryLock("a")
	require.NoError(t, err)
	assert.True(t, ok, "closing releases")
}

// TestFileRemoved: a cleaner of /tmp removes the file under programs that run.
func TestFileRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "locks")
	one := open(t, path)
	held, err := one.Lock(t.Context(), "old")
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))

	unlock, err := one.Lock(t.Context(), "a")
	require.NoError(t, err)
	late := open(t, path)
	_, ok, err := late.TryLock("a")
	require.NoError(t, err)
	assert.False(t, ok, "both lock the new file")
	unlock()
	held()
	_, ok, err = one.TryLock("old")
	require.NoError(t, err)
	assert.True(t, ok)
}

func TestFileFolderNotUsable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := lock.OpenFile(filepath.Join(file, "locks"))
	require.ErrorContains(t, err, "folder "+file+" for locks")

	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(file, link))
	_, err = lock.OpenFile(link)
	require.Error(t, err, "a link is not followed")

	if os.Geteuid() == 0 {
		return // root may write anywhere
	}
	folder := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(folder, 0o500))
	_, err = lock.OpenFile(filepath.Join(folder, "locks"))
	require.ErrorIs(t, err, fault.ErrPermission)
	require.ErrorContains(t, err, "folder "+folder+" for locks must be writable")
}

// TestFileReleasedByDeath runs this test in a second process, which takes the
// lock and is killed with it.
func TestFileReleasedByDeath(t *testing.T) {
	t.Parallel()
	const env = "LOCK_TEST_PATH"
	if path := os.Getenv(env); path != "" {
		l, err := lock.OpenFile(path)
		require.NoError(t, err)
		_, err = l.Lock(t.Context(), "a")
		require.NoError(t, err)
		_, _ = os.Stdout.WriteString("locked\n")
		select {}
	}
	path := filepath.Join(t.TempDir(), "locks")
	l := open(t, path)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileReleasedByDeath$")
	cmd.Env = append(os.Environ(), env+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	scan := bufio.NewScanner(out)
	for scan.Scan() && scan.Text() != "locked" {
		continue
	}
	_, ok, err := l.TryLock("a")
	require.NoError(t, err)
	assert.False(t, ok, "the other process has it")

	require.NoError(t, cmd.Process.Kill())
	unlock, err := l.Lock(t.Context(), "a")
	require.NoError(t, err)
	unlock()
	require.Error(t, cmd.Wait())
}

func BenchmarkFile(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "locks"))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		unlock, err := l.Lock(ctx, "volume-0b8c0a2e-6cc4-4e2a-a1a5-3d2a4dd2cbd1")
		if err != nil {
			b.Fatal(err)
		}
		unlock()
	}
}
