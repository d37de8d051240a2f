// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"errors"
	"fmt"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Code classifies an error; the values are those of gRPC.
type Code = fault.Code

// The codes.
const (
	CodeOK                 = fault.OK
	CodeCanceled           = fault.Canceled
	CodeUnknown            = fault.Unknown
	CodeInvalidArgument    = fault.InvalidArgument
	CodeDeadlineExceeded   = fault.DeadlineExceeded
	CodeNotFound           = fault.NotFound
	CodeAlreadyExists      = fault.AlreadyExists
	CodePermissionDenied   = fault.PermissionDenied
	CodeResourceExhausted  = fault.ResourceExhausted
	CodeFailedPrecondition = fault.FailedPrecondition
	CodeAborted            = fault.Aborted
	CodeUnimplemented      = fault.Unimplemented
	CodeInternal           = fault.Internal
	CodeUnavailable        = fault.Unavailable
	CodeDataLoss           = fault.DataLoss
	CodeUnauthenticated    = fault.Unauthenticated
)

// CodeOf returns the code of an error: CodeOK for nil, CodeUnknown for one that
// nobody classified.
func CodeOf(err error) Code { return fault.CodeOf(err) }

// The sentinels to be asked for with errors.Is. A feature that a driver lacks is
// errors.ErrUnsupported; a context that ended is context.Canceled or
// context.DeadlineExceeded.
var (
	ErrInvalid         = fault.ErrInvalid         // an argument or option is wrong
	ErrNotFound        = fault.ErrNotFound        // no such volume, snapshot, connection, backend
	ErrExists          = fault.ErrExists          // the id is taken; Resource gives what has it
	ErrPermission      = fault.ErrPermission      // this process or the array's account may not
	ErrExhausted       = fault.ErrExhausted       // no room, or a limit of the array
	ErrPrecondition    = fault.ErrPrecondition    // not possible in this state; nothing was changed
	ErrConflict        = fault.ErrConflict        // somebody else changed it at the same time
	ErrInternal        = fault.ErrInternal        // the array or the library did what it must not
	ErrUnavailable     = fault.ErrUnavailable     // no answer: trying again makes sense
	ErrDataLoss        = fault.ErrDataLoss        // data is corrupt, or not the data asked for
	ErrUnauthenticated = fault.ErrUnauthenticated // the array refuses the credentials

	ErrHasSnapshots    = fault.ErrHasSnapshots    // the volume has snapshots
	ErrHasDependents   = fault.ErrHasDependents   // the array needs it for something else
	ErrInUse           = fault.ErrInUse           // it has connections, or a host has it open
	ErrNotLocal        = fault.ErrNotLocal        // the volume is not attached here by this handle
	ErrNoBackend       = fault.ErrNoBackend       // its backend is not set up in this process
	ErrBackendExists   = fault.ErrBackendExists   // the backend's name is in use with other options
	ErrAlreadySetup    = fault.ErrAlreadySetup    // Setup was called before
	ErrClosed          = fault.ErrClosed          // the library or store is closed
	ErrWrongDevice     = fault.ErrWrongDevice     // the device found is another volume
	ErrDeviceNotUsable = fault.ErrDeviceNotUsable // the device is there and cannot be read
)

// OpError is the error of every verb: what was tried on which object. The error
// of the layer below is reached with errors.Is and errors.As.
type OpError struct {
	Op      string // create, extend, connect…
	Kind    string // volume, snapshot, connection, backend
	ID      string
	Backend string
	Err     error

	resource Object
}

// Error names the operation, the object and the cause.
func (e *OpError) Error() string {
	text := e.Op + " " + e.Kind
	if e.ID != "" {
		text += " " + e.ID
	}
	if e.Backend != "" {
		text += " on backend " + e.Backend
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Resource returns the object that the operation was about: for a create, clone
// or snapshot that failed the new object, stored with status error. It may be
// nil.
func (e *OpError) Resource() Object { return e.resource }

// Resource returns the object that a failed verb was about, nil if err carries
// none. The Python library calls it exc.resource.
func Resource(err error) Object {
	if e, ok := errors.AsType[*OpError](err); ok {
		return e.resource
	}
	return nil
}

func invalid(format string, args ...any) error { return fault.Errorf(ErrInvalid, format, args...) }

// errorf gives a sentinel a message that starts with the sentinel's own text.
func errorf(of error, format string, args ...any) error {
	return fault.Errorf(of, "%w: "+format, append([]any{of}, args...)...)
}

// refused tells whether a driver's error says that nothing was changed.
func refused(err error) bool {
	switch CodeOf(err) {
	case CodeInvalidArgument, CodeFailedPrecondition, CodeUnimplemented:
		return true
	}
	return false
}

var _ fmt.Stringer = Code(0)
