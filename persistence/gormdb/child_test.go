// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// The environment of a child: what it does, and with which database.
const (
	childJob = "CINDERLIB_TEST_GORMDB_JOB"
	childURL = "CINDERLIB_TEST_GORMDB_URL"
)

// jobs are what processes of their own do for the tests.
var jobs = map[string]func(t *testing.T, url string){
	"write":     childWrites,
	"open":      childOpens,
	"lock":      childLocks,
	"read-only": childReadsOnly,
	"small":     childHasLittleRoom,
	"nocgo":     childHasNoCgo,
}

// TestChild is what child starts; otherwise it does nothing.
func TestChild(t *testing.T) {
	if job := os.Getenv(childJob); job != "" {
		jobs[job](t, os.Getenv(childURL))
	}
}

// child is a process that does a job, not started yet.
func child(t testing.TB, job, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childJob+"="+job, childURL+"="+url, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// succeeds runs a child to its end.
func succeeds(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestChild")
	for _, secret := range secrets {
		assert.NotContains(t, string(out), secret)
	}
}

// started starts a child and returns the lines it prints, but for those of the
// testing package.
func started(t testing.TB, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return bufio.NewScanner(out)
}

// says prints a line for the parent.
func says(line string) { fmt.Println("child:" + line) }

// said is the next line of a child; false if it is gone.
func said(lines *bufio.Scanner) (string, bool) {
	for lines.Scan() {
		if line, ok := strings.CutPrefix(lines.Text(), "child:"); ok {
			return line, true
		}
	}
	return "", false
}

func childOpens(t *testing.T, url string) {
	s := open(t, url)
	require.NoError(t, s.Write(t.Context(), persistence.Insert(volume(os.Getpid()%10000000))))
}

// Processes that make a database at once make it once.
func TestCreationRaceOfProcesses(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 8 {
			cmd := child(t, "open", url)
			wg.Go(func() {
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s", out)
			})
		}
		wg.Wait()
		assert.Len(t, ids(t, open(t, url)), 8)
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM volume_types WHERE name = '__DEFAULT__'"))
		assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM cinderlib_schema"))
	})
}

func childWrites(t *testing.T, url string) {
	s, err := gormdb.Open(t.Context(), url)
	require.NoError(t, err)
	for n := 0; ; n++ {
		v := volume(n)
		require.NoError(t, s.Write(t.Context(), persistence.Insert(v), persistence.Insert(snapshot(n))))
		if n%3 == 0 {
			changed := v.Clone()
			changed.Name = "changed"
			require.NoError(t, s.Write(t.Context(), persistence.Update(v, changed)))
		}
		says(v.ID)
	}
}

// What was written is there after the process was killed, at most one record
// more, and what belongs together.
func TestWriterKilled(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		rounds := 8
		if strings.HasPrefix(url, "mysql") {
			rounds = 3
		}
		writes := 0
		for range rounds {
			if path, ok := strings.CutPrefix(url, "sqlite:///"); ok {
				path = filepath.Join(filepath.Dir(path), fmt.Sprint(writes, ".sqlite"))
				url = "sqlite:///" + path
				defer integrity(t, path)
			} else {
				url = freshMySQL(t)
			}
			cmd := child(t, "write", url)
			lines := started(t, cmd)
			var told []string
			after := rand.IntN(60)
			for line, ok := said(lines); ok; line, ok = said(lines) {
				told = append(told, line)
				if len(told) == after+1 {
					time.AfterFunc(rand.N(5*time.Millisecond), func() { assert.NoError(t, cmd.Process.Kill()) })
				}
			}
			require.Error(t, cmd.Wait())
			require.Greater(t, len(told), after)
			s := open(t, url)
			stored := ids(t, s)
			require.GreaterOrEqual(t, len(stored), len(told))
			require.LessOrEqual(t, len(stored), len(told)+1)
			assert.Equal(t, told, stored[:len(told)])
			volumes, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
			require.NoError(t, err)
			for n, v := range volumes[:len(told)] {
				assert.Equal(t, n%3 == 0, v.Name == "changed")
				assert.Equal(t, canary, v.VolumeType.QoS.Specs["maxIOPS"])
			}
			snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
			require.NoError(t, err)
			assert.Len(t, snapshots, len(stored))
			require.NoError(t, s.Write(t.Context(), persistence.Put(volume(1))))
			writes += len(told)
		}
		t.Logf("%d writers killed, %d records told", rounds, writes)
	})
}

// ordinary makes a child run as an ordinary user: as nobody, if this is root.
func ordinary(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Dir = "/"
	return cmd
}

// Files and folders that a user may not write, or not read. The name of each case
// is that of the folder.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]struct{ file, folder os.FileMode }{
		"file":       {0o444, 0o777},
		"both":       {0o444, 0o555},
		"both, open": {0o444, 0o555}, // by a process that writes
		"folder":     {0o666, 0o555},
		"nothing":    {0, 0o777},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			require.NoError(t, os.Chmod(filepath.Dir(top), 0o755))
			dir := filepath.Join(top, name)
			require.NoError(t, os.Rename(filepath.Dir(file(t, 2)), dir))
			path := filepath.Join(dir, "cl.sqlite")
			if strings.HasSuffix(name, "open") {
				s := open(t, "sqlite:///"+path)
				require.NoError(t, s.Write(t.Context(), persistence.Insert(volume(2)), persistence.Insert(snapshot(2))))
			}
			names, err := filepath.Glob(path + "*")
			require.NoError(t, err)
			for _, name := range names {
				require.NoError(t, os.Chmod(name, mode.file))
			}
			require.NoError(t, os.Chmod(dir, mode.folder))
			t.Cleanup(func() { assert.NoError(t, os.Chmod(dir, 0o700)) })
			succeeds(t, ordinary(child(t, "read-only", path)))
			require.NoError(t, os.Chmod(dir, 0o700))
			for _, name := range names {
				require.NoError(t, os.Chmod(name, 0o600))
			}
			integrity(t, path)
		})
	}
}

func childReadsOnly(t *testing.T, path string) {
	dir := filepath.Dir(path)
	s, err := gormdb.OpenFile(t.Context(), path)
	records := 2
	switch filepath.Base(dir) {
	case "both", "folder":
		code(t, err, fault.ErrPermission, path, "folder "+dir)
		_, err = gormdb.OpenFile(t.Context(), filepath.Join(dir, "new"))
		code(t, err, fault.ErrPermission, filepath.Join(dir, "new"), "permission denied")
		return
	case "nothing":
		code(t, err, fault.ErrPermission, path, "permission denied")
		return
	case "both, open":
		records = 3
	}
	require.NoError(t, err)
	assert.Len(t, ids(t, s), records)
	code(t, s.Write(t.Context(), persistence.Put(volume(1))), fault.ErrPermission, path, "readonly")
	assert.Len(t, ids(t, s), records)
	require.NoError(t, s.Close())
}

// A database that cannot grow: what was written is there, also for the next one
// to open it, and when there is room it goes on.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	t.Run("limit of the database", func(t *testing.T) {
		t.Parallel()
		path := file(t, 3)
		s := open(t, "sqlite:///"+path)
		_, writer := s.Pools()
		_, err := writer.ExecContext(t.Context(), "PRAGMA max_page_count = 150")
		require.NoError(t, err)
		fills(t, s, path)
		_, err = writer.ExecContext(t.Context(), "PRAGMA max_page_count = 100000")
		require.NoError(t, err)
		goesOn(t, s, path)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := open(t, "sqlite://")
		_, writer := s.Pools()
		_, err := writer.ExecContext(t.Context(), "PRAGMA max_page_count = 150")
		require.NoError(t, err)
		fills(t, s, "database in memory")
	})
	t.Run("limit of the user", func(t *testing.T) {
		t.Parallel()
		path := file(t, 3)
		succeeds(t, child(t, "small", path))
		goesOn(t, open(t, "sqlite:///"+path), path)
	})
}

func childHasLittleRoom(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	s := open(t, "sqlite:///"+path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	limit := syscall.Rlimit{Cur: uint64(info.Size()) + 256<<10, Max: uint64(info.Size()) + 256<<10}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	fills(t, s, path)
	again, err := gormdb.OpenFile(t.Context(), path)
	require.NoError(t, err)
	assert.Equal(t, ids(t, s), ids(t, again))
	require.NoError(t, again.Close())
}

// A disk that is full to the last byte.
func TestSystemFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it mounts a file system: set CINDERLIB_SYSTEM=1, as root")
	}
	dir := filepath.Join(t.TempDir(), "mnt")
	require.NoError(t, os.Mkdir(dir, 0o700))
	mount := func(args ...string) {
		t.Helper()
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	mount("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", dir)
	t.Cleanup(func() { mount("umount", dir) })
	path := filepath.Join(dir, "cl.sqlite")
	s := open(t, "sqlite:///"+path)
	fill(t, s, 3)
	filler := filepath.Join(dir, "filler")
	full := func(leave int) {
		t.Helper()
		err := os.WriteFile(filler, make([]byte, 20<<20), 0o600)
		require.ErrorIs(t, err, syscall.ENOSPC)
		info, err := os.Stat(filler)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(filler, info.Size()-int64(leave)))
	}
	full(200 << 10)
	fills(t, s, path)
	full(0)
	assert.NotEmpty(t, ids(t, s))
	_, err := gormdb.OpenFile(t.Context(), filepath.Join(dir, "new"))
	code(t, err, fault.ErrExhausted, filepath.Join(dir, "new"))
	was := ids(t, s)
	require.NoError(t, s.Close(), "what cannot be moved out of the journal now stays in it")
	again, err := gormdb.OpenFile(t.Context(), path)
	if err == nil { // that is up to how much sqlite needs to open it
		_, err = again.Volumes(t.Context(), persistence.VolumeFilter{})
		require.NoError(t, again.Close())
	}
	if err != nil {
		code(t, err, fault.ErrExhausted, path)
	}
	require.NoError(t, os.Remove(filler))
	s = open(t, "sqlite:///"+path)
	assert.Equal(t, was, ids(t, s))
	goesOn(t, s, path)
}

// goesOn writes now that there is room.
func goesOn(t *testing.T, s *gormdb.Store, path string) {
	t.Helper()
	before := len(ids(t, s))
	for n := range 50 {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(volume(5000+n)), persistence.Insert(snapshot(5000+n))))
	}
	assert.Len(t, ids(t, s), before+50)
	require.NoError(t, s.Close())
	assert.Len(t, ids(t, open(t, "sqlite:///"+path)), before+50)
	integrity(t, path)
}

// fills writes until there is no room, and reads what it wrote.
func fills(t *testing.T, s *gormdb.Store, path string) {
	t.Helper()
	before := len(ids(t, s))
	written := 0
	var err error
	for ; err == nil; written++ {
		require.Less(t, written, 10000)
		v := volume(1000 + written)
		v.GlanceMetadata = map[string]string{"filler": strings.Repeat("x", 5000)}
		err = s.Write(t.Context(), persistence.Insert(v), persistence.Insert(snapshot(1000+written)))
	}
	written--
	code(t, err, fault.ErrExhausted, path)
	t.Log(err)
	assert.Len(t, ids(t, s), before+written)
	snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	assert.Len(t, snapshots, before+written)
}

func childHasNoCgo(t *testing.T, url string) {
	for _, url := range []string{"sqlite:///" + filepath.Join(t.TempDir(), "cl.sqlite"), "sqlite://"} {
		_, err := gormdb.Open(context.Background(), url)
		code(t, err, persistence.ErrPrecondition, "database", "cgo", "CGO_ENABLED=1")
	}
	if url != "" {
		s := open(t, url)
		fill(t, s, 2)
		assert.Len(t, ids(t, s), 2)
	}
}

// Without cgo sqlite says what it lacks, and MySQL does not need it.
func TestSystemNoCgo(t *testing.T) {
	t.Parallel()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it compiles gorm anew: set CINDERLIB_SYSTEM=1")
	}
	url := ""
	if os.Getenv(mysqltest.URLEnv) != "" {
		url = freshMySQL(t)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run=^TestChild$", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", childJob+"=nocgo", childURL+"="+url)
	succeeds(t, cmd)
}

func childLocks(t *testing.T, url string) {
	s := open(t, url)
	_, err := s.Locks().Lock(t.Context(), "held by a child")
	require.NoError(t, err)
	says("held")
	<-t.Context().Done()
}
