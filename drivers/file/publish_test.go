// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

const victimEnv = "DRIVERS_FILE_VICTIM"

// TestVictim is the process that is killed: it makes a clone, a snapshot or a
// revert slowly, or all of them again and again, and says when it is midway.
func TestVictim(t *testing.T) {
	what, rest, ok := strings.Cut(os.Getenv(victimEnv), " ")
	if !ok {
		t.Skip("it is run by the tests that kill it")
	}
	mode, dir, _ := strings.Cut(rest, " ")
	d := withoutReflinks(newDriver(t, dir, map[string]any{"volume_copy_bps_limit": 4096}))
	d.nameless = mode == "nameless"
	v := &drivers.Volume{ID: "source", Size: 1, Status: drivers.StatusAvailable}
	s := &drivers.Snapshot{ID: "frozen", VolumeSize: 1}
	copyBlocks := d.env.Copy
	d.env.Copy = func(ctx context.Context, r drivers.CopyRequest) error {
		fmt.Println("midway")
		return copyBlocks(ctx, r)
	}
	switch what {
	case "clone":
		_, _ = d.CloneVolume(t.Context(), &drivers.Volume{ID: "new", Size: 2}, v)
	case "snapshot":
		_, _ = d.CreateSnapshot(t.Context(), &drivers.Snapshot{ID: "new", VolumeSize: 1}, v)
	case "revert":
		_ = d.RevertToSnapshot(t.Context(), v, s)
	case "all":
		d.speed = 0
		d.env.Copy = copyBlocks
		fmt.Println("midway")
		for i := range 10_000 {
			n := &drivers.Volume{ID: fmt.Sprint("new", i), Size: 2, Status: drivers.StatusAvailable}
			cut := &drivers.Snapshot{ID: fmt.Sprint("new", i), VolumeSize: 2}
			_, _ = d.CloneVolume(t.Context(), n, v)
			_, _ = d.CreateSnapshot(t.Context(), cut, n)
			_ = d.RevertToSnapshot(t.Context(), n, cut)
			_ = d.DeleteSnapshot(t.Context(), cut, n)
			_ = d.DeleteVolume(t.Context(), n)
		}
	}
}

// A process that is killed leaves nothing that could be taken for an object, and
// what it leaves is removed by whoever comes next.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"clone", "snapshot", "revert"} {
		for _, mode := range []string{"nameless", "named"} {
			t.Run(what+" "+mode, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				d := newDriver(t, dir, nil)
				v := &drivers.Volume{ID: "source", Size: 1}
				create(t, d, v)
				data := write(t, d, v.NameOnArray(), 1<<20)
				_, err := d.CreateSnapshot(t.Context(), &drivers.Snapshot{ID: "frozen", VolumeSize: 1}, v)
				require.NoError(t, err)
				whole := objects(t, dir)

				partial := map[string]string{"clone": "volume-new", "snapshot": "snapshot-new", "revert": "volume-source"}[what]
				cmd := victim(t, what+" "+mode+" "+dir)
				if mode == "named" {
					require.FileExists(t, d.partial(partial))
					require.NoError(t, d.sweep())
					require.FileExists(t, d.partial(partial), "its maker lives")
					requireBusy(t, d, partial)
				} else {
					assert.Equal(t, whole, objects(t, dir))
				}
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait() // killed

				left := slices.DeleteFunc(objects(t, dir), func(n string) bool { return "."+partial+".partial" == n })
				assert.Equal(t, whole, left, "no object is half made")
				assert.Equal(t, data, read(t, d, v.NameOnArray(), len(data)))
				switch what {
				case "clone":
					require.NoError(t, d.DeleteVolume(t.Context(), &drivers.Volume{ID: "new"}))
				case "snapshot":
					require.NoError(t, d.DeleteSnapshot(t.Context(), &drivers.Snapshot{ID: "new"}, v))
				case "revert":
					again := newDriver(t, dir, nil) // which sweeps
					require.NoError(t, again.RevertToSnapshot(t.Context(), v, &drivers.Snapshot{ID: "frozen", VolumeSize: 1}))
				}
				assert.Equal(t, whole, objects(t, dir))
			})
		}
	}
}

// The same at instants that nobody chose.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"nameless", "named"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := newDriver(t, dir, nil)
			v := &drivers.Volume{ID: "source", Size: 1}
			create(t, d, v)
			data := write(t, d, v.NameOnArray(), 256<<10)
			for range 12 {
				cmd := victim(t, "all "+mode+" "+dir)
				<-time.After(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait() // killed
				for _, name := range objects(t, dir) {
					if strings.HasPrefix(name, ".") {
						continue
					}
					info, err := os.Stat(d.path(name))
					require.NoError(t, err)
					want := int64(2 * drivers.GiB)
					if name == v.NameOnArray() {
						want = drivers.GiB
					}
					assert.Equal(t, want, info.Size(), name)
					assert.Equal(t, data, read(t, d, name, len(data)), name)
				}
				again, err := openIn(t, d.env, dir, nil)
				require.NoError(t, err)
				for _, name := range objects(t, dir) {
					assert.False(t, strings.HasPrefix(name, "."), "%s is swept", name)
				}
				require.NoError(t, again.Close())
			}
		})
	}
}

// victim starts the process that is to be killed, and waits until it is midway.
func victim(t *testing.T, what string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v")
	cmd.Env = append(slices.Clone(os.Environ()), victimEnv+"="+what)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "midway"; {
	}
	return cmd
}

func requireBusy(t *testing.T, d *Driver, name string) {
	t.Helper()
	_, err := d.newDraft(name)
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	require.ErrorIs(t, d.removePartial(name), drivers.ErrUnavailable)
}

// Leftovers go when their object is made, deleted or reverted, and all of them
// when a driver is opened. What only looks like one stays.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	v := volume(t, 1)
	leave := func(name string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("left"), 0o600))
	}
	partial := "." + v.NameOnArray() + ".partial"
	leave(partial)
	create(t, d, v)
	assert.Equal(t, []string{v.NameOnArray()}, objects(t, dir))
	leave(partial)
	require.NoError(t, d.DeleteVolume(t.Context(), v))
	assert.Empty(t, objects(t, dir))

	stay := []string{".partial", ".volume-x.part", ".x.partial", "volume-x.partial", "x"}
	for _, name := range append([]string{partial, ".snapshot-1.partial"}, stay...) {
		leave(name)
	}
	newDriver(t, dir, nil)
	assert.ElementsMatch(t, stay, objects(t, dir))
}

// A kill between the two steps of publishing leaves two names of one file.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	d.nameless = false
	v := volume(t, 1)
	create(t, d, v)
	require.NoError(t, os.Link(d.path(v.NameOnArray()), d.partial(v.NameOnArray())))
	create(t, d, v)
	require.NoError(t, d.sweep())
	assert.Equal(t, []string{v.NameOnArray()}, objects(t, d.dir))
}

// Publishing replaces nothing, by no way.
func TestPublishReplacesNothing(t *testing.T) {
	t.Parallel()
	for _, nameless := range []bool{true, false} {
		d := newDriver(t, t.TempDir(), nil)
		d.nameless = nameless
		require.NoError(t, os.WriteFile(d.path("volume-1"), []byte("mine"), 0o600))
		draft, err := d.newDraft("volume-1")
		require.NoError(t, err)
		require.ErrorIs(t, draft.publish("volume-1"), fs.ErrExist)
		draft.discard()
		assert.Equal(t, "mine", string(read(t, d, "volume-1", 4)))
		assert.Equal(t, []string{"volume-1"}, objects(t, d.dir))
	}
}

// Where there are no hard links the name is moved. Directories have none.
func TestPublishWithoutLinks(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	partial := d.partial("volume-1")
	require.NoError(t, os.Mkdir(partial, 0o700))
	draft := &draft{d: d, partial: partial}
	require.NoError(t, draft.publish("volume-1"))
	assert.Equal(t, []string{"volume-1"}, objects(t, d.dir))
	require.NoError(t, os.Mkdir(partial, 0o700))
	require.NoError(t, os.Remove(d.path("volume-1")))
	require.NoError(t, os.WriteFile(d.path("volume-1"), nil, 0o600))
	draft.partial = partial
	require.ErrorIs(t, draft.publish("volume-1"), fs.ErrExist)
}

// A sweep that was about to remove a leftover which has become the object
// meanwhile leaves it.
func TestSweepAfterPublish(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	d.nameless = false
	draft, err := d.newDraft("volume-1")
	require.NoError(t, err)
	late, err := os.Open(draft.partial) // as the sweep has done
	require.NoError(t, err)
	require.NoError(t, draft.publish("volume-1"))
	draft.discard()
	require.NoError(t, hold(late, late.Name()))
	assert.False(t, names(d.partial("volume-1"), late))
	require.NoError(t, late.Close())
	assert.Equal(t, []string{"volume-1"}, objects(t, d.dir))
}

// The name that a revert needs for an instant is no leftover.
func TestSweepDuringRevert(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	require.NoError(t, os.Mkdir(d.path("volume-1"), 0o700)) // which no file replaces
	draft, err := d.newDraft("volume-1")
	require.NoError(t, err)
	require.Error(t, draft.replace("volume-1"))
	require.FileExists(t, d.partial("volume-1"))
	require.NoError(t, newDriver(t, d.dir, nil).sweep())
	require.FileExists(t, d.partial("volume-1"))
	requireBusy(t, d, "volume-1")
	draft.discard()
	assert.Equal(t, []string{"volume-1"}, objects(t, d.dir))
}

func TestRevertIsAtomic(t *testing.T) {
	t.Parallel()
	for _, nameless := range []bool{true, false} {
		d := newDriver(t, t.TempDir(), nil)
		d.nameless = nameless
		v := volume(t, 1)
		create(t, d, v)
		old := write(t, d, v.NameOnArray(), 1<<16)
		s := snapshot(v)
		_, err := d.CreateSnapshot(t.Context(), s, v)
		require.NoError(t, err)
		newer := write(t, d, v.NameOnArray(), 1<<15)
		open, err := os.Open(d.path(v.NameOnArray())) // who has it open keeps what he had
		require.NoError(t, err)
		require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
		assert.Equal(t, old, read(t, d, v.NameOnArray(), len(old)))
		got := make([]byte, len(newer))
		_, err = open.ReadAt(got, 0)
		require.NoError(t, err)
		assert.Equal(t, newer, got)
		require.NoError(t, open.Close())
		assert.ElementsMatch(t, []string{v.NameOnArray(), s.NameOnArray()}, objects(t, d.dir))
		err = d.RevertToSnapshot(t.Context(), volume(t, 1), s)
		requireCode(t, fault.NotFound, err)
		assert.ElementsMatch(t, []string{v.NameOnArray(), s.NameOnArray()}, objects(t, d.dir))
	}
}
