// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"bytes"
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

// zeroed opens a file of noise and clears it from a byte on, up to another.
func zeroed(t *testing.T, size int, clear func(*os.File) error) (before, after []byte) {
	t.Helper()
	before = noise(5, size)
	path := file(t, int64(size), map[int64][]byte{0: before})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	for range 2 { // it may be repeated
		require.NoError(t, clear(f))
	}
	require.NoError(t, f.Close())
	after, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, after, size, "the file keeps its size")
	return before, after
}

// written clears as on a device that cannot discard.
func written(ctx context.Context, f *os.File, from int64, o Options) error {
	c := &copier{ctx: ctx, dst: f, o: o, done: from}
	c.begin()
	if err := c.zeros(o.Bytes); err != nil {
		return err
	}
	return c.finish()
}

func TestZero(t *testing.T) {
	t.Parallel()
	const size = 3<<20 + 12345
	for name, do := range map[string]func(context.Context, *os.File, int64, Options) error{"discarded": Zero, "written": written} {
		for _, c := range [][2]int64{{0, size}, {0, 0}, {size, size}, {1, 2}, {4097, size - 1}, {1 << 20, 2 << 20}, {0, 100}} {
			var reports []int64
			before, after := zeroed(t, size, func(f *os.File) error {
				reports = nil
				return do(t.Context(), f, c[0], Options{Bytes: c[1], Sparse: name == "discarded", Progress: func(done, total int64) {
					assert.Equal(t, c[1], total)
					reports = append(reports, done)
				}})
			})
			assert.True(t, bytes.Equal(before[:c[0]], after[:c[0]]), "%s %v: what is before stays", name, c)
			assert.True(t, allZero(after[c[0]:c[1]]), "%s %v", name, c)
			assert.True(t, bytes.Equal(before[c[1]:], after[c[1]:]), "%s %v: what is behind stays", name, c)
			require.NotEmpty(t, reports)
			assert.Equal(t, c[1], reports[len(reports)-1])
		}
	}
}

// A large file is let go in steps; it takes no room afterwards.
func TestZeroLarge(t *testing.T) {
	t.Parallel()
	path := file(t, 1<<30, map[int64][]byte{0: noise(1, 8<<20), 500 << 20: noise(2, 8<<20), 1<<30 - 100: noise(3, 100)})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, Zero(t.Context(), f, 0, Options{Bytes: 1 << 30}))
	require.NoError(t, f.Close())
	assert.Zero(t, occupied(t, path))
}

func TestZeroRate(t *testing.T) {
	t.Parallel()
	path := file(t, 4<<20, map[int64][]byte{0: noise(1, 4<<20)})
	synctest.Test(t, func(t *testing.T) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, written(ctx, f, 0, Options{Bytes: 4 << 20, BytesPerSecond: 1 << 20}), context.DeadlineExceeded)
		assert.Equal(t, 1500*time.Millisecond, time.Since(start))
		half := make([]byte, 4<<20)
		_, err = f.ReadAt(half, 0)
		require.NoError(t, err)
		assert.True(t, allZero(half[:1<<20]))
		assert.Equal(t, noise(1, 4<<20)[2<<20:], half[2<<20:])

		start = time.Now()
		require.NoError(t, written(t.Context(), f, 0, Options{Bytes: 4 << 20, BytesPerSecond: 1 << 20}))
		assert.InDelta(t, 4, time.Since(start).Seconds(), 0.25)
	})
}

func TestZeroFails(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := noise(1, 1000)
	path := file(t, 1000, map[int64][]byte{0: before})
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	err = Zero(ctx, f, 0, Options{Bytes: 1000})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "zeros into "+path)
	require.NoError(t, f.Close())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)

	require.ErrorIs(t, Zero(t.Context(), f, 0, Options{Bytes: 1000}), os.ErrClosed)

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	err = Zero(t.Context(), full, 0, Options{Bytes: 1000})
	require.ErrorIs(t, err, fault.ErrExhausted)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, full.Close())

	reader, err := os.Open(path)
	require.NoError(t, err)
	require.Error(t, Zero(t.Context(), reader, 0, Options{Bytes: 1000}))
	require.NoError(t, reader.Close())
}
