// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDeviceWithHelper: what dd writes and reads is what the process itself
// does.
func TestDeviceWithHelper(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(path, make([]byte, 10_000), 0o600))
	d := device{path: path, helper: "env LC_ALL=C"} // a helper with an argument, for every user
	const offset = 4711
	_, err := d.dd(t.Context(), bytes.NewReader(data), d.storeArgs(offset, len(data))...)
	require.NoError(t, err)
	direct, err := d.load(t.Context(), offset, len(data))
	require.NoError(t, err)
	assert.Equal(t, data, direct)
	through, err := d.dd(t.Context(), nil, d.loadArgs(offset, len(data))...)
	require.NoError(t, err)
	assert.Equal(t, data, through)
	assert.Equal(t, int64(10_000), deviceSize(t, path), "it was not cut off")

	_, err = device{path: path + "-none", helper: "env"}.dd(t.Context(), nil, "if="+path+"-none")
	require.ErrorContains(t, err, "No such file")
}
