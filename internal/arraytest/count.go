// SPDX-License-Identifier: Apache-2.0

package arraytest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// Count has a library do what words say, after what comes before them, and nothing else
// that an array would count: a.Reset is called between. A volume is then there that the
// library does not know, of 1 GiB; foreign makes it. Beside the words of libtest there are a^,
// which adopts it as a, and a~, which lets a go.
func Count(t *testing.T, open Open, a Array, foreign func() string, before, words string) {
	t.Helper()
	w, err := open(t.Context(), t.TempDir(), a.Options())
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Lib.Close(t.Context())) }()
	require.NoError(t, w.Do(t.Context(), before))
	there := foreign()
	a.Reset()
	require.NoError(t, do(t.Context(), w, there, words))
}

func do(ctx context.Context, w *libtest.World, there, words string) error {
	switch name, verb := words[:1], words[1:]; verb {
	case "^":
		_, err := w.Backend.ManageVolume(ctx, there, cinderlib.WithName(name))
		return err
	case "~":
		v, err := w.Volume(ctx, name)
		if err != nil {
			return err
		}
		return v.Unmanage(ctx)
	}
	return w.Do(ctx, words)
}
