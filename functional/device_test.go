// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// data is what the original writes; otherData is what it overwrites it with.
var (
	data      = bytes.Repeat([]byte("0123456789"), 100)
	otherData = bytes.Repeat([]byte("9876543210"), 100)
)

// device is an attached volume.
type device struct {
	path   string
	helper string // gives root's rights; empty is none
}

func (b *backend) device(c *cinderlib.Connection) device {
	return device{c.Path(), b.suite.rootHelper}
}

// store writes p at an offset and has it reach the device. Where the user may
// not, dd does it with the root helper, as in the original.
func (d device) store(ctx context.Context, offset int64, p []byte) error {
	f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrPermission) && d.helper != "" && os.Geteuid() != 0 {
		_, err := d.dd(ctx, bytes.NewReader(p), d.storeArgs(offset, len(p))...)
		return err
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, offset)
	return errors.Join(err, f.Sync(), f.Close())
}

// load reads n bytes at an offset.
func (d device) load(ctx context.Context, offset int64, n int) ([]byte, error) {
	f, err := os.Open(d.path)
	if errors.Is(err, fs.ErrPermission) && d.helper != "" && os.Geteuid() != 0 {
		return d.dd(ctx, nil, d.loadArgs(offset, n)...)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, offset, int64(n)), p)
	return p, err
}

func (d device) storeArgs(offset int64, n int) []string {
	return []string{"of=" + d.path, "bs=" + strconv.Itoa(n), "oflag=seek_bytes", "seek=" + strconv.FormatInt(offset, 10), "conv=notrunc,fsync"}
}

func (d device) loadArgs(offset int64, n int) []string {
	return []string{"if=" + d.path, "bs=" + strconv.Itoa(n), "count=1", "iflag=fullblock,skip_bytes", "skip=" + strconv.FormatInt(offset, 10)}
}

func (d device) dd(ctx context.Context, in io.Reader, args ...string) ([]byte, error) {
	args = slices.Concat(strings.Fields(d.helper), []string{"dd", "status=none"}, args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = in
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%q: %w: %s", args, err, faults.String())
	}
	return out, nil
}

// write writes p at the beginning of the device, and at its very end: a device
// that says it is larger than it is does not keep that.
func (d device) write(t *testing.T, size int64, p []byte) {
	t.Helper()
	require.NoError(t, d.store(t.Context(), 0, p))
	require.NoError(t, d.store(t.Context(), size-int64(len(p)), p))
}

// read reads what write wrote, which must be the same at both ends.
func (d device) read(t *testing.T, size int64) []byte {
	t.Helper()
	begin, err := d.load(t.Context(), 0, len(data))
	require.NoError(t, err)
	end, err := d.load(t.Context(), size-int64(len(data)), len(data))
	require.NoError(t, err)
	assert.Equal(t, begin, end, "the end of the device")
	return begin
}

// sizeOf is the size in bytes of a file or block device, which needs no right to
// open it.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Mode().IsRegular() {
		return info.Size(), nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(real), "size"))
	if err != nil {
		return 0, err
	}
	sectors, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return sectors * 512, err // of 512 bytes whatever the device has (Documentation/ABI/stable/sysfs-block)
}

func deviceSize(t *testing.T, path string) int64 {
	t.Helper()
	size, err := sizeOf(path)
	require.NoError(t, err)
	return size
}

// assertSize compares sizes to the precision of the configuration.
func (s *suite) assertSize(t *testing.T, gib int, size int64) {
	t.Helper()
	if s.precision == 0 {
		assert.Equal(t, int64(gib)*drivers.GiB, size)
		return
	}
	// As Python's assertAlmostEqual: the difference is 0 when it is rounded.
	assert.InDelta(t, float64(gib), float64(size)/drivers.GiB, 0.5*math.Pow10(-s.precision))
}

func (b *backend) assertSize(t *testing.T, gib int, size int64) {
	t.Helper()
	b.suite.assertSize(t, gib, size)
}
