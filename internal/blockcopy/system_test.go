// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

// loop makes a block device of a file.
func loop(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "losetup", "--detach", device).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	return device
}

// Block devices at either end: they do not tell their holes, and discard in
// their own way.
func TestSystemBlockDevices(t *testing.T) {
	t.Parallel()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it makes loop devices: set CINDERLIB_SYSTEM=1, as root")
	}
	require.Zero(t, os.Geteuid(), "loop devices take root")
	const size = 32 << 20
	data := map[int64][]byte{0: noise(1, 4096), 8 << 20: noise(2, 3<<20+512), size - 512: noise(3, 512)}
	for _, sparse := range []bool{true, false} {
		source, old := file(t, size, data), map[int64][]byte{0: noise(9, size+4096)}
		if sparse {
			old = nil
		}
		for _, from := range []string{source, loop(t, source)} {
			target := file(t, size+4096, old)
			device := loop(t, target)
			require.NoError(t, File(t.Context(), device, from, Options{Bytes: size, Sparse: sparse}))
			requireCopied(t, device, source, size)
			got, err := os.ReadFile(device)
			require.NoError(t, err)
			if !sparse {
				assert.True(t, bytes.Equal(old[0][size:], got[size:]), "what is behind stays")
			}
			assert.LessOrEqual(t, occupied(t, target), int64(8<<20), "zeros are discarded or left out")

			err = File(t.Context(), device, file(t, size+8192, nil), Options{Bytes: size + 8192})
			require.ErrorIs(t, err, fault.ErrInvalid)
			assert.ErrorContains(t, err, "the target holds 33558528 bytes, 33562624 are to be copied")
		}
	}
}
