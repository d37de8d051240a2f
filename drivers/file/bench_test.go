// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a volume costs must not depend on how many there are.
func BenchmarkCreateDelete(b *testing.B) {
	for _, files := range []int{0, 10_000} {
		b.Run(fmt.Sprint("beside ", files), func(b *testing.B) {
			d := small(newDriver(b, b.TempDir(), nil), 1e6, 1e6)
			for i := range files {
				f, err := os.Create(d.path(fmt.Sprint("volume-", i)))
				require.NoError(b, err)
				require.NoError(b, f.Truncate(1<<30))
				require.NoError(b, f.Close())
			}
			create(b, d, volume(b, 1))
			for b.Loop() {
				v := volume(b, 1)
				create(b, d, v)
				require.NoError(b, d.DeleteVolume(b.Context(), v))
			}
		})
	}
}

// Making and removing a file, put on the disk, is what cannot be done without.
func BenchmarkBareFile(b *testing.B) {
	d := newDriver(b, b.TempDir(), nil)
	for b.Loop() {
		f, err := os.Create(d.path("bare"))
		require.NoError(b, err)
		require.NoError(b, f.Truncate(1<<30))
		require.NoError(b, f.Sync())
		require.NoError(b, f.Close())
		require.NoError(b, d.flush())
		require.NoError(b, os.Remove(d.path("bare")))
		require.NoError(b, d.flush())
	}
}

func BenchmarkClone(b *testing.B) {
	for _, mib := range []int{0, 64} {
		b.Run(fmt.Sprint(mib, " MiB of data"), func(b *testing.B) {
			d := newDriver(b, b.TempDir(), nil)
			v := volume(b, 1)
			create(b, d, v)
			write(b, d, v.NameOnArray(), mib<<20)
			for b.Loop() {
				n := volume(b, 1)
				_, err := d.CloneVolume(b.Context(), n, v)
				require.NoError(b, err)
				require.NoError(b, d.DeleteVolume(b.Context(), n))
			}
		})
	}
}

func BenchmarkStats(b *testing.B) {
	d := newDriver(b, b.TempDir(), nil)
	for i := range 1000 {
		require.NoError(b, os.WriteFile(d.path(fmt.Sprint("volume-", i)), nil, 0o600))
	}
	for b.Loop() {
		_, err := d.Stats(b.Context())
		require.NoError(b, err)
	}
}
