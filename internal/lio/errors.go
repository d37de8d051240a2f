// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

// failed says what was being done, and sees to it that errors.Is finds the
// sentinel of err's code. A nil err stays nil.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lio: %s: %w", what, mark(err))
}

var sentinels = map[fault.Code]error{
	fault.InvalidArgument:    fault.ErrInvalid,
	fault.NotFound:           fault.ErrNotFound,
	fault.AlreadyExists:      fault.ErrExists,
	fault.PermissionDenied:   fault.ErrPermission,
	fault.ResourceExhausted:  fault.ErrExhausted,
	fault.FailedPrecondition: fault.ErrPrecondition,
	fault.Unavailable:        fault.ErrUnavailable,
	fault.DataLoss:           fault.ErrDataLoss,
	fault.Unknown:            fault.ErrInternal,
}

func mark(err error) error {
	s := sentinels[fault.CodeOf(err)]
	if s == nil || errors.Is(err, s) {
		return err
	}
	return fault.Errorf(s, "%w", err)
}

// gone tells that what was asked for is not there.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// unless gives err unless it is one of the others.
func unless(err error, others ...syscall.Errno) error {
	for _, o := range others {
		if errors.Is(err, o) {
			return nil
		}
	}
	return err
}
