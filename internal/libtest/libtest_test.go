// SPDX-License-Identifier: Apache-2.0

package libtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/file"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// fileDriver has its own say in deletions.
type fileDriver struct {
	drivers.Driver

	dies            bool         // the process does, when it has deleted a volume
	refused, broken atomic.Int32 // deletions of snapshots: so many first ones are
}

func (d *fileDriver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	return d.Driver.(drivers.Reverter).RevertToSnapshot(ctx, v, s) //nolint:forcetypeassert // the file driver does
}

func (d *fileDriver) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	return d.Driver.(drivers.Retyper).RetypeVolume(ctx, v, t) //nolint:forcetypeassert // the file driver does
}

func (d *fileDriver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	err := d.Driver.DeleteVolume(ctx, v)
	if d.dies {
		die()
	}
	return err
}

var errBroken = errors.New("broken")

func (d *fileDriver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	switch {
	case d.broken.Add(-1) >= 0:
		return errBroken
	case d.refused.Add(-1) >= 0:
		return drivers.Errorf(drivers.ErrHasDependents, "a volume was made of it")
	}
	return d.Driver.DeleteSnapshot(ctx, s, v)
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func open(ctx context.Context, folder string, d *fileDriver) (*libtest.World, error) {
	registered, err := drivers.Lookup("file")
	if err != nil {
		return nil, err
	}
	options := cinderlib.Options{"volume_backend_name": "file", "volume_driver": "file", "file_directory": filepath.Join(folder, "array")}
	return libtest.Open(ctx, folder, options, cinderlib.WithDriver(
		drivers.NewRegistration("file", func(ctx context.Context, env drivers.Env, _ file.Options) (drivers.Driver, error) {
			d.Driver, err = registered.Open(ctx, env, options, false)
			return d, err
		}),
	))
}

func newWorld(t *testing.T, folder string, d *fileDriver) *libtest.World {
	t.Helper()
	w, err := open(t.Context(), folder, d)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Lib.Close(context.WithoutCancel(t.Context()))) })
	return w
}

// has tells what there is: a%:1*!0 is a volume with QoS, of 1 GiB, with a snapshot and a
// connection to Host(0).
func has(t *testing.T, w *libtest.World) string {
	t.Helper()
	require.NoError(t, w.Backend.Refresh(t.Context()))
	volumes, err := w.Backend.Volumes(t.Context())
	require.NoError(t, err)
	var all []string
	for _, v := range volumes {
		snapshots, err := v.Snapshots(t.Context())
		require.NoError(t, err)
		connections, err := v.Connections(t.Context())
		require.NoError(t, err)
		name := v.Name()
		if maps.Equal(v.QoSSpecs(), libtest.QoS()) {
			name += "%"
		}
		one := fmt.Sprintf("%s:%d%s", name, v.Size(), strings.Repeat("*", len(snapshots)))
		for _, c := range connections {
			one += strings.Replace(c.ConnectorInfo().Host, "host-", "!", 1)
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

func TestWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), &fileDriver{})
	for _, c := range []struct{ words, then string }{
		{"a+ ?", "a:1"},
		{"a* a*", "a:1**"},
		{"a/", "a:1*"},
		{"a< a>b", "a:1* b:1"},
		{"a%", "a%:1* b:1"},
		{"a*>c c=", "a%:1* b:1 c%:2"},
		{"b! b! c!", "a%:1* b:1!0!0 c%:2!0"},
		{"b.", "a%:1* b:1!0 c%:2!0"},
		{"b. b-", "a%:1* c%:2!0"},
	} {
		require.NoError(t, w.Do(t.Context(), c.words), c.words)
		assert.Equal(t, c.then, has(t, w), c.words)
	}
	for _, word := range []string{"a", "a$", "a>", "a>bc", "a*>", "a*>bc", "a+>b", "a->b", "a**", "a>b>c", "b-", "c/", "c<", "c*>d", "a.", "+", "??"} {
		require.ErrorContains(t, w.Do(t.Context(), word+" d+"), word+": ")
	}
	assert.Equal(t, "a%:1* c%:2!0", has(t, w))
	w.Host = libtest.Host(1)
	require.NoError(t, w.Do(t.Context(), "a!"))
	assert.Equal(t, "a%:1*!1 c%:2!0", has(t, w))
	require.NoError(t, w.Clear(t.Context()))
	assert.Empty(t, has(t, w))
}

// TestClear: what has dependants waits for them, and nothing else that goes wrong is
// passed over.
func TestClear(t *testing.T) {
	t.Parallel()
	d := &fileDriver{}
	w := newWorld(t, t.TempDir(), d)
	require.NoError(t, w.Clear(t.Context()), "there is nothing")
	require.NoError(t, w.Do(t.Context(), "a+ a* a*>b b!"))
	d.refused.Store(1)
	require.NoError(t, w.Clear(t.Context()))
	assert.Empty(t, has(t, w))

	require.NoError(t, w.Do(t.Context(), "a+ a* a*>b"))
	d.refused.Store(10)
	require.ErrorIs(t, w.Clear(t.Context()), drivers.ErrHasDependents, "nothing gets better")
	assert.Equal(t, "a:1*", has(t, w))

	d.refused.Store(0)
	d.broken.Store(1)
	require.NoError(t, w.Do(t.Context(), "b+"))
	require.ErrorIs(t, w.Clear(t.Context()), errBroken)
	require.NoError(t, w.Clear(t.Context()))
	assert.Empty(t, has(t, w))
}

func TestMain(m *testing.M) { os.Exit(libtest.Main(m, child)) }

// child does a job: done, fail, or wait FILE until the process is killed; delete FOLDER
// dies meanwhile.
func child(ctx context.Context, job string) error {
	what, path, _ := strings.Cut(job, " ")
	switch what {
	case "done":
		return nil
	case "wait":
		_, err := os.ReadFile(path)
		return err
	case "delete":
		w, err := open(ctx, path, &fileDriver{dies: true})
		if err != nil {
			return err
		}
		return w.Do(ctx, "a-")
	}
	return errors.New("a job that fails")
}

// TestSettle: a process is killed when the array has deleted a volume and the store
// has it still. Another one with the same folder knows.
func TestSettle(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(t, folder, &fileDriver{})
	require.NoError(t, w.Settle(t.Context()))
	require.NoError(t, w.Do(t.Context(), "a+ b+"))
	killed, err := libtest.RunChild(t.Context(), "delete "+folder)
	require.NoError(t, err)
	require.True(t, killed)
	assert.Equal(t, "a:1 b:1", has(t, w))
	require.NoError(t, w.Settle(t.Context()))
	assert.Equal(t, "b:1", has(t, w))
}

func TestRunChild(t *testing.T) {
	t.Parallel()
	killed, err := libtest.RunChild(t.Context(), "done")
	require.NoError(t, err)
	assert.False(t, killed)

	killed, err = libtest.RunChild(t.Context(), "fail")
	require.ErrorContains(t, err, "a job that fails")
	assert.False(t, killed)

	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the child
		assert.NoError(t, err)
		kill()
		opened <- f
	}()
	killed, err = libtest.RunChild(ctx, "wait "+fifo)
	require.NoError(t, err)
	assert.True(t, killed)
	require.NoError(t, (<-opened).Close())
}
