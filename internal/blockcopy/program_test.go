// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/command"
)

func program(ctx context.Context, args ...string) error {
	_, err := command.Run(ctx, command.Command{Args: args})
	return err
}

func TestFileBy(t *testing.T) {
	t.Parallel()
	const size = step + 5<<20 + 4096
	for _, sparse := range []bool{false, true} {
		src := file(t, size, map[int64][]byte{0: noise(1, 4096), step - 100: noise(2, 1<<20), size - 4096: noise(3, 4096)})
		old := map[int64][]byte{1 << 20: noise(4, 4096), size: noise(5, 4096)}
		if sparse {
			old = map[int64][]byte{size: noise(5, 4096)}
		}
		dst := file(t, size+4096, old)
		var told []int64
		o := Options{Bytes: size, Sparse: sparse, Progress: func(done, total int64) {
			assert.EqualValues(t, size, total)
			told = append(told, done)
		}}
		require.NoError(t, FileBy(t.Context(), program, dst, src, o))
		requireCopied(t, dst, src, size)
		text, err := os.ReadFile(dst)
		require.NoError(t, err)
		assert.Equal(t, noise(5, 4096), text[size:], "what is behind stays")
		assert.EqualValues(t, size, told[len(told)-1])
	}
}

func TestZeroBy(t *testing.T) {
	t.Parallel()
	data := noise(1, 3<<20)
	path := file(t, int64(len(data)), map[int64][]byte{0: data})
	require.NoError(t, ZeroBy(t.Context(), program, path, 1000, Options{Bytes: 2<<20 + 10}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, data[:1000], text[:1000])
	assert.True(t, allZero(text[1000:2<<20+10]))
	assert.Equal(t, data[2<<20+10:], text[2<<20+10:])
}

func TestByFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no dd here")
	calls := 0
	run := func(context.Context, ...string) error {
		calls++
		if calls == 2 {
			return broken
		}
		return nil
	}
	err := ZeroBy(t.Context(), run, "/dev/x", 0, Options{Bytes: 3 * step})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "/dev/x")
	assert.Equal(t, 2, calls)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, FileBy(ended, run, "a", "b", Options{Bytes: step}), context.Canceled)
	assert.Equal(t, 2, calls, "nothing is begun")
}
