// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeyedForgets: a name that nobody has or wants takes no memory.
func TestKeyedForgets(t *testing.T) {
	t.Parallel()
	var k Keyed
	for i := range 100 {
		unlock, err := k.Lock(t.Context(), strconv.Itoa(i))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := k.Lock(ctx, strconv.Itoa(i))
			gone <- err
		}()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		unlock()
	}
	assert.Empty(t, k.held)
	assert.Empty(t, k.waiting)
}
