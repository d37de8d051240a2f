// SPDX-License-Identifier: Apache-2.0

package drivers

import "github.com/gocinder/cinderlib/internal/fault"

// The sentinels a driver marks its errors with, by Errorf. A feature that the
// array lacks is errors.ErrUnsupported.
var (
	ErrInvalid         = fault.ErrInvalid         // the array cannot take such an argument
	ErrNotFound        = fault.ErrNotFound        // it is not on the array
	ErrExists          = fault.ErrExists          // the name is taken by something else
	ErrExhausted       = fault.ErrExhausted       // no room, or a limit of the array
	ErrPrecondition    = fault.ErrPrecondition    // not in this state; nothing was changed
	ErrInUse           = fault.ErrInUse           // a host has it open; nothing was changed
	ErrHasDependents   = fault.ErrHasDependents   // other objects need it; nothing was changed
	ErrPermission      = fault.ErrPermission      // the account may not
	ErrUnauthenticated = fault.ErrUnauthenticated // the array refuses the credentials
	ErrUnavailable     = fault.ErrUnavailable     // no answer, or busy: trying again makes sense
	ErrInternal        = fault.ErrInternal        // the array answered what its contract does not allow
)

// Errorf formats as fmt.Errorf does (with %w) and marks the error as a case of
// the sentinel of.
func Errorf(of error, format string, args ...any) error { return fault.Errorf(of, format, args...) }
