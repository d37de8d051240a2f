// SPDX-License-Identifier: Apache-2.0

package undo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/undo"
)

func TestUnwind(t *testing.T) {
	t.Parallel()
	errFirst, errUndo := errors.New("first"), errors.New("second")
	run := func(stop bool, result error) (done []string, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		u := undo.Stack{StopAtFault: stop}
		defer func() {
			cancel() // what is undone is undone all the same
			u.Unwind(ctx, time.Minute, &err)
			u.Unwind(ctx, time.Minute, &err) // and once
		}()
		for _, name := range []string{"a", "b", "c"} {
			u.Push(name, func(ctx context.Context) error {
				require.NoError(t, ctx.Err())
				_, bounded := ctx.Deadline()
				require.True(t, bounded)
				done = append(done, name)
				if name == "b" {
					return errUndo
				}
				return nil
			})
		}
		return done, result
	}
	var done []string
	collect := func(stop bool, result error) error {
		d, err := run(stop, result)
		done = d
		return err
	}
	require.NoError(t, collect(false, nil))
	assert.Empty(t, done)
	err := collect(false, errFirst)
	require.ErrorIs(t, err, errFirst)
	require.ErrorIs(t, err, errUndo)
	assert.Equal(t, "first; undo: b: second", err.Error())
	assert.Equal(t, []string{"c", "b", "a"}, done)
	require.ErrorIs(t, collect(true, errFirst), errUndo)
	assert.Equal(t, []string{"c", "b"}, done)
}

func TestRelease(t *testing.T) {
	t.Parallel()
	var done []string
	var err error
	var u undo.Stack
	u.Push("a", func(context.Context) error { done = append(done, "a"); return nil })
	u.Push("b", func(context.Context) error { done = append(done, "b"); return errors.New("no") })
	u.Release(t.Context(), time.Minute, &err)
	require.EqualError(t, err, "undo: b: no")
	assert.Equal(t, []string{"b", "a"}, done)
}
