// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// failed says what was being done with which object, and sees to it that err is
// marked with a sentinel. A nil err stays nil.
func failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("file: %s %s: %w", what, name, mark(err))
}

// sentinel is what marks an error of that code.
func sentinel(c fault.Code) error {
	switch c {
	case fault.InvalidArgument:
		return drivers.ErrInvalid
	case fault.NotFound:
		return drivers.ErrNotFound
	case fault.AlreadyExists:
		return drivers.ErrExists
	case fault.PermissionDenied:
		return drivers.ErrPermission
	case fault.ResourceExhausted:
		return drivers.ErrExhausted
	case fault.FailedPrecondition:
		return drivers.ErrPrecondition
	case fault.Unavailable:
		return drivers.ErrUnavailable
	case fault.Unknown:
		return drivers.ErrInternal
	}
	return nil // those of contexts and data loss are sentinels themselves, or have none in package drivers
}

// mark has errors.Is find the sentinel of err's code.
func mark(err error) error {
	s := sentinel(fault.CodeOf(err))
	if s == nil || errors.Is(err, s) {
		return err
	}
	return drivers.Errorf(s, "%w", err)
}
