// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCheckOfADeviceThatHangs: the end of ctx is the end of the call.
func TestCheckOfADeviceThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		hang := make(chan error)
		start := time.Now()
		err := within(ctx, "check /dev/sda", func() error { return <-hang })
		require.EqualError(t, err, "check /dev/sda: no answer: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
		hang <- nil // the kernel gives the read up, and nothing is left
	})
}
