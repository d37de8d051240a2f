// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/fault"
)

// mounted mounts a new file system of that many MiB. It takes root, and
// CINDERLIB_SYSTEM=1: then what is missing is a failure.
func mounted(t *testing.T, kind string, mib int64) string {
	t.Helper()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it mounts file systems: set CINDERLIB_SYSTEM=1, as root")
	}
	require.Zero(t, os.Geteuid(), "mounting takes root")
	dir := t.TempDir()
	at := filepath.Join(dir, "mnt")
	require.NoError(t, os.Mkdir(at, 0o700))
	args := []string{"-t", "tmpfs", "-o", "size=" + strconv.FormatInt(mib, 10) + "m", "tmpfs", at}
	if kind != "tmpfs" {
		image := filepath.Join(dir, "image")
		require.NoError(t, os.WriteFile(image, nil, 0o600))
		require.NoError(t, os.Truncate(image, mib<<20))
		mkfs := map[string][]string{
			"xfs":   {"mkfs.xfs", "-q", "-m", "reflink=1", image},
			"btrfs": {"mkfs.btrfs", "-q", image},
			"ext4":  {"mkfs.ext4", "-q", "-m", "0", image},
		}[kind]
		run(t, mkfs...)
		args = []string{"-t", kind, "-o", "loop", image, at}
	}
	run(t, append([]string{"mount"}, args...)...)
	t.Cleanup(func() { run(t, "umount", at) })
	return at
}

func run(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...).CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
}

// The suite on file systems that share content, on one that does not, and in
// memory.
func TestSystemConformance(t *testing.T) {
	t.Parallel()
	for kind, mib := range map[string]int64{"xfs": 512, "btrfs": 512, "ext4": 256, "tmpfs": 256} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := mounted(t, kind, mib)
			driverstest.Run(t, driverstest.Harness{Serial: true, New: func(t *testing.T) *driverstest.Array {
				dir, err := os.MkdirTemp(at, "suite") //nolint:usetesting // on that file system
				require.NoError(t, err)
				return arrayIn(t, dir, func(d *Driver) { small(d, 1000, 1000) }) // sparse as they are, the volumes are larger
			}})
		})
	}
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &s))
	return int64(s.Bavail) * s.Bsize
}

// With reflinks a clone takes no room, a connected volume can be frozen, and
// what is frozen is of one instant.
func TestSystemReflinks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			reflinks(t, mounted(t, kind, 512))
		})
	}
}

func reflinks(t *testing.T, at string) {
	t.Helper()
	d := small(newDriver(t, at, nil), 1000, 1000)
	d.env.Copy = func(context.Context, drivers.CopyRequest) error {
		t.Error("nothing is copied")
		return nil
	}
	v, clone := volume(t, 1), volume(t, 2)
	create(t, d, v)
	data := write(t, d, v.NameOnArray(), 32<<20)
	run(t, "sync", "-f", at)
	before := free(t, at)
	_, err := d.CloneVolume(t.Context(), clone, v)
	require.NoError(t, err)
	v.Status = drivers.StatusInUse
	s := snapshot(v)
	_, err = d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
	run(t, "sync", "-f", at)
	assert.Less(t, before-free(t, at), int64(4<<20), "two copies of 32 MiB take next to nothing")
	assert.Equal(t, data, read(t, d, clone.NameOnArray(), len(data)))

	write(t, d, v.NameOnArray(), 1<<20)
	assert.Equal(t, data, read(t, d, s.NameOnArray(), len(data)))
	v.Status = drivers.StatusAvailable
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
	assert.Equal(t, data, read(t, d, v.NameOnArray(), len(data)))
	frozenAtOneInstant(t, d, v)
}

// frozenAtOneInstant freezes v while a writer counts up in two places: the
// second place is never ahead of the first.
func frozenAtOneInstant(t *testing.T, d *Driver, v *drivers.Volume) {
	t.Helper()
	f, err := os.OpenFile(d.path(v.NameOnArray()), os.O_RDWR, 0)
	require.NoError(t, err)
	first, second := int64(0), int64(4<<20)
	_, err = f.WriteAt([]byte{0, 0}, first)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0, 0}, second)
	require.NoError(t, err)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			count := []byte{byte(n >> 8), byte(n)}
			for _, at := range []int64{first, second} {
				if _, err := f.WriteAt(count, at); !assert.NoError(t, err) {
					return
				}
			}
		}
	})
	v.Status = drivers.StatusInUse
	for range 10 {
		s := snapshot(v)
		_, err := d.CreateSnapshot(t.Context(), s, v)
		require.NoError(t, err)
		b := read(t, d, s.NameOnArray(), int(second)+2)
		a, z := uint16(b[0])<<8|uint16(b[1]), uint16(b[second])<<8|uint16(b[second+1])
		assert.Contains(t, []uint16{0, 1}, a-z, "first %d, second %d", a, z)
		require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
	}
	close(stop)
	writer.Wait()
	require.NoError(t, f.Close())
}

// A disk that fills up on the way: a typed error, nothing left, and the same
// call succeeds when there is room.
func TestSystemFullDisk(t *testing.T) {
	t.Parallel()
	for kind, mib := range map[string]int64{"tmpfs": 64, "ext4": 64} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := mounted(t, kind, mib)
			env := driverstest.Env(t, "files")
			strict := newDriver(t, at, nil)
			_, err := strict.CreateVolume(t.Context(), volume(t, 2))
			requireCode(t, fault.ResourceExhausted, err) // 64 MiB × 20
			d, err := openIn(t, env, at, map[string]any{"max_over_subscription_ratio": "1000"})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, d.Close()) })
			v, clone := volume(t, 1), volume(t, 1)
			create(t, d, v)
			data := write(t, d, v.NameOnArray(), 16<<20)
			before := objects(t, at)

			// It is full before the copy is through.
			filler := filepath.Join(at, "filler")
			copyBlocks := d.env.Copy
			d.env.Copy = func(ctx context.Context, r drivers.CopyRequest) error {
				fill(t, filler, free(t, at)-8<<20)
				return copyBlocks(ctx, r)
			}
			_, err = d.CloneVolume(t.Context(), clone, v)
			require.ErrorIs(t, err, drivers.ErrExhausted)
			require.ErrorIs(t, err, syscall.ENOSPC)
			_, err = d.CreateSnapshot(t.Context(), snapshot(v), v)
			require.ErrorIs(t, err, drivers.ErrExhausted, "refused before it begins")
			assert.ErrorContains(t, err, "are needed for a copy")
			require.NoError(t, os.Remove(filler))
			assert.ElementsMatch(t, before, objects(t, at))
			d.env.Copy = copyBlocks
			_, err = d.CloneVolume(t.Context(), clone, v)
			require.NoError(t, err)
			assert.Equal(t, data, read(t, d, clone.NameOnArray(), len(data)))

			if kind != "tmpfs" {
				return // it keeps a little to itself
			}
			// It is full to the last byte.
			fill(t, filler, 1<<30)
			_, err = d.CreateVolume(t.Context(), volume(t, 1))
			require.ErrorIs(t, err, drivers.ErrExhausted)
			requireCode(t, fault.ResourceExhausted, d.ExtendVolume(t.Context(), v, 2))
			again := newDriver(t, at, nil)
			_, err = again.Stats(t.Context())
			require.NoError(t, err)
			require.NoError(t, again.DeleteVolume(t.Context(), clone))
			_, err = d.CreateVolume(t.Context(), volume(t, 1))
			require.NoError(t, err, "there is room again")
		})
	}
}

// fill makes a file of size bytes, or of as much as there is room for.
func fill(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	chunk := make([]byte, 1<<16)
	for done := int64(0); done < size; {
		n, err := f.Write(chunk[:min(int64(len(chunk)), size-done)])
		done += int64(n)
		if err != nil {
			var p *fs.PathError
			require.ErrorAs(t, err, &p)
			require.ErrorIs(t, p.Err, syscall.ENOSPC)
			break
		}
	}
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

// The path that a loop device is asked for has the size of the volume, also
// after it has grown.
func TestSystemLoop(t *testing.T) {
	t.Parallel()
	at := mounted(t, "tmpfs", 64)
	d := small(newDriver(t, at, map[string]any{"file_attach": "loop"}), 1000, 1000)
	v := volume(t, 1)
	create(t, d, v)
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: &connector.Properties{}, Mode: connector.ReadWrite})
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", info.Data.(*connector.LocalData).DevicePath).Output()
	require.NoError(t, err)
	device := string(out[:len(out)-1])
	t.Cleanup(func() { run(t, "losetup", "--detach", device) })
	require.NoError(t, d.ExtendVolume(t.Context(), v, 2))
	run(t, "losetup", "--set-capacity", device)
	size, err := exec.CommandContext(t.Context(), "blockdev", "--getsize64", device).Output()
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(2*drivers.GiB)+"\n", string(size))
}
