// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
)

func TestCodeOf(t *testing.T) {
	t.Parallel()
	_, notThere := os.Open("/does/not/exist")
	for want, errs := range map[fault.Code][]error{
		fault.OK:                 {nil},
		fault.Unknown:            {io.EOF, errors.New("x")},
		fault.InvalidArgument:    {fault.ErrInvalid, fault.Errorf(fault.ErrInvalid, "x %d", 1), syscall.EINVAL},
		fault.NotFound:           {notThere, fault.ErrNoBackend, fmt.Errorf("a: %w", fault.ErrNotFound)},
		fault.FailedPrecondition: {fault.ErrHasSnapshots, fault.ErrInUse, syscall.EBUSY},
		fault.Canceled:           {context.Canceled, fmt.Errorf("lock: %w", context.Canceled)},
		fault.DeadlineExceeded:   {context.DeadlineExceeded},
		fault.Unimplemented:      {fmt.Errorf("revert: %w", errors.ErrUnsupported)},
		fault.ResourceExhausted:  {&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}},
		fault.DataLoss:           {fault.ErrWrongDevice},
		fault.AlreadyExists:      {fault.Join(fault.ErrExists, fault.ErrNotFound), os.ErrExist},
		fault.Unavailable:        {fault.Errorf(fault.ErrUnavailable, "x: %w", context.Canceled), fault.Join(io.EOF, fault.ErrUnavailable)},
	} {
		for _, err := range errs {
			assert.Equal(t, want, fault.CodeOf(err), "%v", err)
		}
	}
	assert.Equal(t, "FailedPrecondition", fault.FailedPrecondition.String())
	assert.Equal(t, "Code(99)", fault.Code(99).String())
}

func TestErrorf(t *testing.T) {
	t.Parallel()
	err := fault.Errorf(fault.ErrHasSnapshots, "volume %s: %w", "v", io.EOF)
	assert.Equal(t, "volume v: EOF", err.Error())
	for _, is := range []error{fault.ErrHasSnapshots, fault.ErrPrecondition, io.EOF} {
		require.ErrorIs(t, err, is)
	}
	require.NotErrorIs(t, err, fault.ErrInUse)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	require.NoError(t, fault.Join(nil, nil))
	assert.Same(t, fault.ErrInUse, fault.Join(nil, fault.ErrInUse))
	err := fault.Join(io.EOF, nil, fault.ErrInUse)
	assert.Equal(t, "EOF; in use", err.Error())
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, err, fault.ErrInUse)
}
