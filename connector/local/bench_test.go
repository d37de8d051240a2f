// SPDX-License-Identifier: Apache-2.0

package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkAttachDetach is one attach and one detach.
func BenchmarkAttachDetach(b *testing.B) {
	for name, loop := range map[string]bool{"plain": false, "loop": true} {
		b.Run(name, func(b *testing.B) {
			if loop && os.Geteuid() != 0 {
				b.Skip("loop devices need root")
			}
			path := filepath.Join(b.TempDir(), "volume")
			require.NoError(b, os.WriteFile(path, make([]byte, 4*mib), 0o600))
			c, r := New(thisHost()), request(path, loop)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Attach(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				if err := c.Detach(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
