// SPDX-License-Identifier: Apache-2.0

package connector

import "github.com/gocinder/cinderlib/internal/fault"

// The sentinels of this package's errors, beside those of the operating system.
var (
	ErrInvalid         = fault.ErrInvalid         // connection data or properties are wrong or incomplete
	ErrNotFound        = fault.ErrNotFound        // there is no such device
	ErrPermission      = fault.ErrPermission      // it needs root, and the root helper did not help
	ErrInUse           = fault.ErrInUse           // somebody has the device open
	ErrUnavailable     = fault.ErrUnavailable     // no path answers
	ErrUnauthenticated = fault.ErrUnauthenticated // the target refuses the credentials
	ErrPrecondition    = fault.ErrPrecondition    // the host lacks what it takes: a program, a daemon
	ErrWrongDevice     = fault.ErrWrongDevice     // the device is another volume
	ErrDeviceNotUsable = fault.ErrDeviceNotUsable // the device is there and cannot be read
)

// Errorf formats as fmt.Errorf does (with %w) and marks the error as a case of
// the sentinel of.
func Errorf(of error, format string, args ...any) error { return fault.Errorf(of, format, args...) }
