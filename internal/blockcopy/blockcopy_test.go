// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

// file makes a file of size bytes that holds data at the given places.
func file(t testing.TB, size int64, data map[int64][]byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "f")
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	for off, b := range data {
		_, err := f.WriteAt(b, off)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	return f.Name()
}

// noise is n bytes without a zero, made from seed.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64()|0x0101010101010101)
	}
	return b[:n]
}

func occupied(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// requireCopied compares the first n bytes of two files.
func requireCopied(t testing.TB, dst, src string, n int64) {
	t.Helper()
	a, err := os.ReadFile(src)
	require.NoError(t, err)
	b, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(len(b)), n)
	require.True(t, bytes.Equal(a[:n], b[:n]), "the contents differ")
}

func TestFile(t *testing.T) {
	t.Parallel()
	const size = 8<<20 + 12345
	old := map[int64][]byte{0: noise(9, size)}
	sources := map[string]map[int64][]byte{
		"empty":        nil,
		"dense":        {0: noise(1, size)},
		"holes":        {0: noise(1, 4096), 3 << 20: noise(2, 300_000), size - 5: noise(3, 5)},
		"hole first":   {5 << 20: noise(1, 1<<20)},
		"zeros inside": {0: append(append(noise(1, 100_000), make([]byte, 2<<20)...), noise(2, 100)...)},
		"zeros dense":  {0: make([]byte, size)},
	}
	for name, data := range sources {
		for _, sparse := range []bool{true, false} {
			for _, bytes := range []int64{size, size - 4097, 1 << 20, 1, 0} {
				t.Run(fmt.Sprintf("%s/sparse=%t/%d", name, sparse, bytes), func(t *testing.T) {
					t.Parallel()
					src := file(t, size, data)
					dst := file(t, 0, nil)
					if !sparse {
						dst = file(t, size+10, old)
					}
					require.NoError(t, File(t.Context(), dst, src, Options{Bytes: bytes, Sparse: sparse}))
					requireCopied(t, dst, src, bytes)
					got, err := os.ReadFile(dst)
					require.NoError(t, err)
					if sparse {
						assert.Len(t, got, int(bytes))
						return
					}
					require.Len(t, got, size+10, "what is behind stays")
					assert.Equal(t, old[0][bytes:size], got[bytes:size])
				})
			}
		}
	}
}

// Random files, with and without the help of holes and discards.
func TestFileRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 2))
		size := 1 + r.Int64N(4<<20)
		data := map[int64][]byte{}
		for range r.IntN(8) {
			off := r.Int64N(size)
			b := noise(r.Uint64(), int(min(size-off, 1+r.Int64N(1<<20))))
			if r.IntN(3) == 0 {
				clear(b)
			}
			data[off] = b
		}
		src, dst := file(t, size, data), file(t, size, nil)
		o := Options{Bytes: size, Sparse: r.IntN(2) == 0}
		if !o.Sparse {
			dst = file(t, size, map[int64][]byte{0: noise(seed, int(size))})
		}
		from, err := os.Open(src)
		require.NoError(t, err)
		to, err := os.OpenFile(dst, os.O_WRONLY, 0)
		require.NoError(t, err)
		c := &copier{ctx: t.Context(), dst: to, src: from, o: o, discard: r.IntN(2) == 0, holes: r.IntN(2) == 0}
		require.NoError(t, c.run())
		requireCopied(t, dst, src, size)
		require.NoError(t, from.Close())
		require.NoError(t, to.Close())
	}
}

func TestSparseTargetStaysSparse(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	src := file(t, size, map[int64][]byte{0: noise(1, 4096), 512 << 20: append(noise(2, 64<<10), make([]byte, 8<<20)...)})
	dst := file(t, 0, nil)
	require.NoError(t, File(t.Context(), dst, src, Options{Bytes: size, Sparse: true}))
	assert.LessOrEqual(t, occupied(t, dst), int64(512<<10))

	old := file(t, 16<<20, map[int64][]byte{0: noise(3, 16<<20)})
	require.NoError(t, File(t.Context(), old, src, Options{Bytes: 16 << 20}))
	assert.LessOrEqual(t, occupied(t, old), int64(2<<20), "zeros are holes where the file system has them")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	whole, short := file(t, 100, nil), file(t, 99, nil)
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for name, c := range map[string]struct {
		dst, src string
		o        Options
		code     fault.Code
		says     []string
	}{
		"short source": {dst: file(t, 0, nil), src: short, o: Options{Bytes: 100}, code: fault.InvalidArgument,
			says: []string{"holds 99 bytes", "100 are to be copied"}},
		"itself":         {dst: whole, src: whole, o: Options{Bytes: 1}, code: fault.InvalidArgument, says: []string{"the same"}},
		"negative":       {dst: short, src: whole, o: Options{Bytes: -1}, code: fault.InvalidArgument},
		"no source":      {dst: short, src: whole + "x", o: Options{Bytes: 1}, code: fault.NotFound, says: []string{"source"}},
		"no target":      {dst: whole + "x", src: whole, o: Options{Bytes: 1}, code: fault.NotFound, says: []string{"target"}},
		"pipe as source": {dst: short, src: pipe, o: Options{Bytes: 1}, code: fault.InvalidArgument},
		"null as target": {dst: "/dev/null", src: whole, o: Options{Bytes: 1}, code: fault.InvalidArgument},
		"folder":         {dst: t.TempDir(), src: whole, o: Options{Bytes: 1}, code: fault.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := File(t.Context(), c.dst, c.src, c.o)
			require.Error(t, err)
			assert.Equal(t, c.code, fault.CodeOf(err), err)
			for _, text := range append(c.says, c.src, c.dst) {
				assert.ErrorContains(t, err, text)
			}
		})
	}
}

func TestSourceShrinks(t *testing.T) {
	t.Parallel()
	src, dst := file(t, 4<<20, map[int64][]byte{0: noise(1, 4<<20)}), file(t, 0, nil)
	from, err := os.OpenFile(src, os.O_RDWR, 0)
	require.NoError(t, err)
	to, err := os.OpenFile(dst, os.O_WRONLY, 0)
	require.NoError(t, err)
	for _, holes := range []bool{true, false} {
		require.NoError(t, from.Truncate(4<<20))
		c := &copier{ctx: t.Context(), dst: to, src: from, o: Options{Bytes: 4 << 20, Sparse: true}, holes: holes}
		require.NoError(t, c.prepare())
		require.NoError(t, from.Truncate(1<<20+5))
		c.done = 1 << 20
		_, hole, err := c.extent(c.done)
		if err == nil {
			c.done = 2 << 20
			if holes {
				_, _, err = c.extent(c.done)
			} else {
				err = c.data(hole)
			}
		}
		require.ErrorIs(t, err, fault.ErrConflict)
		assert.ErrorContains(t, err, "4194304")
	}
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	// The device that is always full is no block device: copier is asked directly.
	src := file(t, 1<<20, map[int64][]byte{0: noise(1, 1<<20)})
	from, err := os.Open(src)
	require.NoError(t, err)
	to, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	c := &copier{ctx: t.Context(), dst: to, src: from, o: Options{Bytes: 1 << 20}, piece: chunk}
	err = c.data(1 << 20)
	require.ErrorIs(t, err, fault.ErrExhausted)
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
}

func TestRate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rate, bytes int64 }{
		"slow": {rate: 1 << 20, bytes: 10 << 20},
		"fast": {rate: 40 << 20, bytes: 16 << 20},
		"tiny": {rate: 1000, bytes: 20_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := file(t, c.bytes, map[int64][]byte{0: noise(1, int(c.bytes))}), file(t, 0, nil)
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var reports []int64
				var last time.Time
				err := File(t.Context(), dst, src, Options{Bytes: c.bytes, Sparse: true, BytesPerSecond: c.rate, Progress: func(done, total int64) {
					assert.Equal(t, c.bytes, total)
					if done < total && len(reports) > 0 {
						assert.GreaterOrEqual(t, time.Since(last), reportEvery)
					}
					last = time.Now()
					reports = append(reports, done)
				}})
				require.NoError(t, err)
				want := time.Duration(c.bytes) * time.Second / time.Duration(c.rate)
				assert.InEpsilon(t, want, time.Since(start), 0.25, "%v", time.Since(start))
				assert.IsIncreasing(t, append([]int64{-1}, reports...))
				assert.Equal(t, c.bytes, reports[len(reports)-1])
				assert.LessOrEqual(t, len(reports), int(time.Since(start)/reportEvery)+1)
			})
			requireCopied(t, dst, src, c.bytes)
		})
	}
}

func TestRateCountsNoHoles(t *testing.T) {
	t.Parallel()
	src, dst := file(t, 1<<30, map[int64][]byte{0: noise(1, 1<<20)}), file(t, 0, nil)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, File(t.Context(), dst, src, Options{Bytes: 1 << 30, Sparse: true, BytesPerSecond: 1 << 20}))
		assert.Less(t, time.Since(start), 2*time.Second)
	})
}

func TestPacerForgetsLostTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1000)
		require.NoError(t, p.wait(t.Context(), 1000))
		<-time.After(time.Hour)
		start := time.Now()
		for range 5 {
			require.NoError(t, p.wait(t.Context(), 1000))
		}
		assert.Equal(t, 4*time.Second-credit, time.Since(start))
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	src, dst := file(t, 1<<20, map[int64][]byte{0: noise(1, 1<<20)}), file(t, 0, nil)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		returned := false
		err := File(ctx, dst, src, Options{Bytes: 1 << 20, Sparse: true, BytesPerSecond: 100, Progress: func(done, total int64) {
			assert.False(t, returned)
			assert.Less(t, done, total)
		}})
		returned = true
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(start), "also in the middle of a pause")
		assert.ErrorContains(t, err, "of 1048576 bytes")
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.ErrorIs(t, File(ctx, dst, src, Options{Bytes: 1 << 20}), context.Canceled)
	after, err := os.ReadFile(dst)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// A cancel without a limit is found at the next chunk.
func TestCancelBetweenChunks(t *testing.T) {
	t.Parallel()
	src, dst := file(t, 8<<20, map[int64][]byte{0: noise(1, 8<<20)}), file(t, 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	from, err := os.Open(src)
	require.NoError(t, err)
	to, err := os.OpenFile(dst, os.O_WRONLY, 0)
	require.NoError(t, err)
	c := &copier{ctx: ctx, dst: to, src: from, o: Options{Bytes: 8 << 20}}
	c.o.Progress = func(int64, int64) { cancel() }
	require.NoError(t, c.prepare())
	c.reported = time.Time{} // report after the first chunk
	require.ErrorIs(t, c.data(8<<20), context.Canceled)
	assert.Equal(t, int64(chunk), c.done)
}

// The target may be a file without a name.
func TestProcSelfFd(t *testing.T) {
	t.Parallel()
	src := file(t, 100_000, map[int64][]byte{0: noise(1, 100_000)})
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "gone"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, os.Remove(f.Name()))
	require.NoError(t, File(t.Context(), fmt.Sprintf("/proc/self/fd/%d", f.Fd()), src, Options{Bytes: 100_000, Sparse: true}))
	got := make([]byte, 100_000)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	assert.Equal(t, noise(1, 100_000), got)
}

func FuzzNonZero(f *testing.F) {
	f.Add(uint64(1), 3*grain, grain, grain+5)
	f.Fuzz(func(t *testing.T, seed uint64, size, from, n int) {
		if size < 0 || size > 1<<20 || from < 0 || from > size || n < 0 || n > size-from {
			t.Skip()
		}
		b := noise(seed, size)
		clear(b[from : from+n])
		run := nonZero(b)
		require.LessOrEqual(t, run, size)
		if run < size {
			require.True(t, allZero(b[run:min(run+grain, size)]))
		}
		assert.Equal(t, bytes.Count(b, []byte{0}) == len(b), allZero(b))
	})
}

func BenchmarkCopy(b *testing.B) {
	const size = 256 << 20
	tenth := map[int64][]byte{}
	for off := int64(0); off < size; off += 10 << 20 {
		tenth[off] = noise(uint64(off), 1<<20)
	}
	for name, data := range map[string]map[int64][]byte{
		"dense": {0: noise(1, size)}, "zeros": {0: make([]byte, size)}, "tenth": tenth, "hole": nil,
	} {
		b.Run(name, func(b *testing.B) {
			src := file(b, size, data)
			b.SetBytes(size)
			for b.Loop() {
				dst := file(b, 0, nil)
				if err := File(b.Context(), dst, src, Options{Bytes: size, Sparse: true}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_ = os.Remove(dst)
				b.StartTimer()
			}
		})
	}
}
