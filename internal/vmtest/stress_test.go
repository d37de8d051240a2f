// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// TestStress: two processes with 16 goroutines each create, attach, write, read,
// detach and delete on one host.
func TestStress(t *testing.T) {
	need(t)
	wipe(t)
	folder := t.TempDir()
	w, err := open(t.Context(), folder, false)
	require.NoError(t, err)
	var processes sync.WaitGroup
	for p := range 2 {
		processes.Go(func() {
			killed, err := libtest.RunChild(t.Context(), "work|"+folder+"|"+strconv.Itoa(p))
			assert.NoError(t, err)
			assert.False(t, killed)
		})
	}
	processes.Wait()
	require.NoError(t, w.check(t.Context()))
	require.NoError(t, w.lib.Close(t.Context()))
	requireNothingLeft(t)
}

// workOnMany is one of the processes.
func workOnMany(ctx context.Context, args []string) error {
	w, err := open(ctx, args[0], false)
	if err != nil {
		return err
	}
	process, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	const goroutines = 16
	faults := make([]error, goroutines)
	var all sync.WaitGroup
	for i := range faults {
		all.Go(func() { faults[i] = w.life(ctx, process<<32|uint64(i), 1+i%2) })
	}
	all.Wait()
	return errors.Join(errors.Join(faults...), w.lib.Close(ctx))
}

// life is that of one volume, whose data nobody else touches. It is attached some
// times.
func (w *world) life(ctx context.Context, seed uint64, rounds int) error {
	v, err := w.b.CreateVolume(ctx, 1)
	if err != nil {
		return err
	}
	var want sum
	for round := range rounds {
		c, err := v.Attach(ctx)
		for tries := 1; errors.Is(err, connector.ErrUnavailable) && tries < 5; tries++ {
			c, err = v.Attach(ctx) // 32 at once on one processor: a login may be over its time
		}
		if err != nil {
			return err
		}
		if round == 0 {
			want, err = write(c.Path(), seed, 4*mib, nil)
		}
		if err != nil {
			return err
		}
		read, err := content(c.Path(), 4*mib)
		if err == nil && read != want {
			err = errors.New("wrong data")
		}
		if err != nil {
			return fmt.Errorf("volume %s on %s: %w", v.ID(), c.Path(), err)
		}
		if err := v.Detach(ctx); err != nil {
			return err
		}
	}
	return v.Delete(ctx)
}
