// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

func TestVolumeIsASparseFile(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v := volume(t, 7)
	create(t, d, v)
	info, err := os.Lstat(d.path("volume-" + v.ID))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "a regular file, of its owner")
	assert.Equal(t, int64(7*drivers.GiB), info.Size())
	assert.Zero(t, info.Sys().(*syscall.Stat_t).Blocks)
	assert.Equal(t, []string{"volume-" + v.ID}, objects(t, d.dir))
}

func TestUnsafeIDs(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	good := volume(t, 1)
	create(t, d, good)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "a\x00b", strings.Repeat("x", maxID+1)} {
		v := volume(t, 1)
		v.ID = id
		s := snapshot(good)
		s.ID = id
		for what, do := range map[string]func(context.Context) error{
			"create":          func(ctx context.Context) error { _, err := d.CreateVolume(ctx, v); return err },
			"delete":          func(ctx context.Context) error { return d.DeleteVolume(ctx, v) },
			"extend":          func(ctx context.Context) error { return d.ExtendVolume(ctx, v, 2) },
			"clone to":        func(ctx context.Context) error { _, err := d.CloneVolume(ctx, v, good); return err },
			"clone of":        func(ctx context.Context) error { _, err := d.CloneVolume(ctx, volume(t, 1), v); return err },
			"inspect":         func(ctx context.Context) error { _, err := d.InspectVolume(ctx, v); return err },
			"snapshot":        func(ctx context.Context) error { _, err := d.CreateSnapshot(ctx, s, good); return err },
			"snapshot of":     func(ctx context.Context) error { _, err := d.CreateSnapshot(ctx, snapshot(good), v); return err },
			"delete snapshot": func(ctx context.Context) error { return d.DeleteSnapshot(ctx, s, good) },
			"from snapshot": func(ctx context.Context) error {
				_, err := d.VolumeFromSnapshot(ctx, volume(t, 1), s, good)
				return err
			},
			"connect":           func(ctx context.Context) error { _, err := d.Connect(ctx, v, &drivers.Attachment{}); return err },
			"revert":            func(ctx context.Context) error { return d.RevertToSnapshot(ctx, good, s) },
			"revert the volume": func(ctx context.Context) error { return d.RevertToSnapshot(ctx, v, snapshot(good)) },
			"manage":            func(ctx context.Context) error { _, err := d.ManageVolume(ctx, v, "x"); return err },
			"unmanage":          func(ctx context.Context) error { return d.UnmanageVolume(ctx, v) },
		} {
			err := do(t.Context())
			require.ErrorIs(t, err, drivers.ErrInvalid, "%s with the id %q", what, id)
		}
	}
	assert.Equal(t, []string{good.NameOnArray()}, objects(t, d.dir))
}

// What has an object's name and is none of ours is neither used nor removed.
func TestStrangeFiles(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v, link := volume(t, 1), volume(t, 1)
	require.NoError(t, os.Mkdir(d.path(v.NameOnArray()), 0o700))
	require.NoError(t, os.Symlink("/etc/hostname", d.path(link.NameOnArray())))
	for _, each := range []*drivers.Volume{v, link} {
		_, err := d.InspectVolume(t.Context(), each)
		requireCode(t, fault.Internal, err)
		_, err = d.CreateVolume(t.Context(), each)
		requireCode(t, fault.Internal, err)
		requireCode(t, fault.Internal, d.ExtendVolume(t.Context(), each, 2))
		_, err = d.CloneVolume(t.Context(), volume(t, 1), each)
		requireCode(t, fault.Internal, err)
	}
	require.Error(t, d.DeleteVolume(t.Context(), v))
	require.DirExists(t, d.path(v.NameOnArray()))
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.Zero(t, s.Pools[0].TotalVolumes)
}

// Without reflinks a connected volume cannot be frozen.
func TestInUseWithoutReflinks(t *testing.T) {
	t.Parallel()
	d := withoutReflinks(newDriver(t, t.TempDir(), nil))
	for name, c := range map[string]struct {
		status, before string
		inUse          bool
	}{
		"available":               {status: drivers.StatusAvailable},
		"available, once in use":  {status: drivers.StatusAvailable, before: drivers.StatusInUse},
		"in use":                  {status: drivers.StatusInUse, inUse: true},
		"extending":               {status: drivers.StatusExtending, before: drivers.StatusAvailable},
		"extending while in use":  {status: drivers.StatusExtending, before: drivers.StatusInUse, inUse: true},
		"extension in use failed": {status: drivers.StatusError, before: drivers.StatusInUse, inUse: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, clone := volume(t, 1), volume(t, 1)
			create(t, d, v)
			s := snapshot(v)
			v.Status, v.PreviousStatus = c.status, c.before
			_, snapErr := d.CreateSnapshot(t.Context(), s, v)
			_, cloneErr := d.CloneVolume(t.Context(), clone, v)
			if !c.inUse {
				require.NoError(t, snapErr)
				require.NoError(t, cloneErr)
				return
			}
			for _, err := range []error{snapErr, cloneErr} {
				require.ErrorIs(t, err, drivers.ErrInUse)
				assert.ErrorContains(t, err, "no reflinks")
				assert.ErrorContains(t, err, "disconnect it first")
			}
			require.ErrorIs(t, d.RevertToSnapshot(t.Context(), v, s), drivers.ErrInUse)
			assert.NoFileExists(t, d.path(s.NameOnArray()))
			assert.NoFileExists(t, d.path(clone.NameOnArray()))
		})
	}
}

// A snapshot that is there is whole, whatever the status of the volume.
func TestRepeatedSnapshotOfAConnectedVolume(t *testing.T) {
	t.Parallel()
	d := withoutReflinks(newDriver(t, t.TempDir(), nil))
	v := volume(t, 1)
	create(t, d, v)
	s := snapshot(v)
	_, err := d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
	v.Status = drivers.StatusInUse
	_, err = d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
}

func TestSharingFails(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v := volume(t, 1)
	create(t, d, v)
	for errno, code := range map[syscall.Errno]fault.Code{
		syscall.ENOSPC: fault.ResourceExhausted, syscall.EDQUOT: fault.ResourceExhausted, syscall.EIO: fault.DataLoss,
	} {
		d.share = func(_, _ *os.File) error { return os.NewSyscallError("reflink", errno) }
		_, err := d.CloneVolume(t.Context(), volume(t, 1), v)
		requireCode(t, code, err)
	}
	// All else means that there are no reflinks here.
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.ENOTTY, syscall.EXDEV, syscall.EINVAL, syscall.ENOSYS, 524} {
		d.share = func(_, _ *os.File) error { return os.NewSyscallError("reflink", errno) }
		_, err := d.CloneVolume(t.Context(), volume(t, 1), v)
		require.NoError(t, err, errno)
	}
}

// An extension whose answer was lost made the file larger than the record says:
// a clone takes what the record says.
func TestCloneTakesWhatIsRecorded(t *testing.T) {
	t.Parallel()
	for _, reflinks := range []bool{false, true} {
		d := newDriver(t, t.TempDir(), nil)
		d.share = func(dst, src *os.File) error { // what a reflink gives: all of it
			if !reflinks {
				return syscall.EOPNOTSUPP
			}
			info, err := src.Stat()
			if err == nil {
				err = dst.Truncate(info.Size())
			}
			if err == nil {
				_, err = dst.WriteAt([]byte("behind"), drivers.GiB+10)
			}
			return err
		}
		v, clone := volume(t, 1), volume(t, 3)
		create(t, d, v)
		require.NoError(t, os.Truncate(d.path(v.NameOnArray()), 2*drivers.GiB))
		_, err := d.CloneVolume(t.Context(), clone, v)
		require.NoError(t, err)
		info, err := os.Stat(d.path(clone.NameOnArray()))
		require.NoError(t, err)
		assert.Equal(t, int64(3*drivers.GiB), info.Size())
		assert.Zero(t, info.Sys().(*syscall.Stat_t).Blocks, "nothing is behind what is recorded")
	}
}

// A file that has lost its end is not taken for whole.
func TestCutFile(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	v := volume(t, 2)
	create(t, d, v)
	s := snapshot(v)
	_, err := d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(d.path(v.NameOnArray()), drivers.GiB))
	_, err = d.CloneVolume(t.Context(), volume(t, 2), v)
	requireCode(t, fault.Internal, err)
	assert.ErrorContains(t, err, "1073741824 bytes, less than the 2 GiB")
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, s), "that mends it")
	state, err := d.InspectVolume(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, int64(2*drivers.GiB), state.SizeBytes)
}

func TestCopyFails(t *testing.T) {
	t.Parallel()
	for _, nameless := range []bool{true, false} {
		d := withoutReflinks(newDriver(t, t.TempDir(), nil))
		d.nameless = nameless
		v := volume(t, 1)
		create(t, d, v)
		before := objects(t, d.dir)
		broken := errors.New("the cable was pulled")
		for _, c := range []struct {
			err  error
			code fault.Code
		}{
			{broken, fault.Internal}, {syscall.ENOSPC, fault.ResourceExhausted}, {context.Canceled, fault.Canceled},
		} {
			d.env.Copy = func(_ context.Context, r drivers.CopyRequest) error {
				f, err := os.OpenFile(r.Target.Path, os.O_WRONLY, 0)
				require.NoError(t, err)
				_, err = f.WriteString("half of it")
				require.NoError(t, err)
				require.NoError(t, f.Close())
				return c.err
			}
			_, err := d.CloneVolume(t.Context(), volume(t, 1), v)
			require.ErrorIs(t, err, c.err)
			requireCode(t, c.code, err)
			_, err = d.CreateSnapshot(t.Context(), snapshot(v), v)
			require.ErrorIs(t, err, c.err)
			assert.Equal(t, before, objects(t, d.dir), "nothing is left")
		}
	}
}

func TestCopyIsLimited(t *testing.T) {
	t.Parallel()
	d := withoutReflinks(newDriver(t, t.TempDir(), map[string]any{"volume_copy_bps_limit": 12345}))
	var got drivers.CopyRequest
	d.env.Copy = func(_ context.Context, r drivers.CopyRequest) error { got = r; return nil }
	v := volume(t, 1)
	create(t, d, v)
	_, err := d.CloneVolume(t.Context(), volume(t, 2), v)
	require.NoError(t, err)
	assert.Equal(t, int64(12345), got.BytesPerSecond)
	assert.Equal(t, int64(drivers.GiB), got.Bytes)
	assert.True(t, got.Sparse)
}

// Several drivers make the same volume: one file, everybody succeeds.
func TestSameVolumeAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := volume(t, 1)
	var all sync.WaitGroup
	for range 8 {
		d := newDriver(t, dir, nil)
		all.Go(func() {
			_, err := d.CreateVolume(t.Context(), v)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.Equal(t, []string{v.NameOnArray()}, objects(t, dir))
}

func TestSizes(t *testing.T) {
	t.Parallel()
	d := newDriver(t, t.TempDir(), nil)
	for _, size := range []int{0, -1, 1 << 34} {
		_, err := d.CreateVolume(t.Context(), volume(t, size))
		requireCode(t, fault.InvalidArgument, err)
	}
	v := volume(t, 2)
	create(t, d, v)
	_, err := d.CloneVolume(t.Context(), volume(t, 1), v)
	requireCode(t, fault.InvalidArgument, err)
	requireCode(t, fault.InvalidArgument, d.ExtendVolume(t.Context(), v, 1))
}
