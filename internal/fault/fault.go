// SPDX-License-Identifier: Apache-2.0

// Package fault defines the error codes of the library and one sentinel for
// each, once: every public package re-exports the same variables, so that
// errors.Is answers alike wherever an error came from.
package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Code classifies an error. The values are those of gRPC
// (google.golang.org/grpc/codes), so that a CSI driver maps them one to one.
type Code int

// The codes in use. OK is the code of a nil error, Unknown that of an error
// nobody classified.
const (
	OK                 Code = 0
	Canceled           Code = 1
	Unknown            Code = 2
	InvalidArgument    Code = 3
	DeadlineExceeded   Code = 4
	NotFound           Code = 5
	AlreadyExists      Code = 6
	PermissionDenied   Code = 7
	ResourceExhausted  Code = 8
	FailedPrecondition Code = 9
	Aborted            Code = 10
	Unimplemented      Code = 12
	Internal           Code = 13
	Unavailable        Code = 14
	DataLoss           Code = 15
	Unauthenticated    Code = 16
)

var names = map[Code]string{
	OK: "OK", Canceled: "Canceled", Unknown: "Unknown",
	InvalidArgument: "InvalidArgument", DeadlineExceeded: "DeadlineExceeded",
	NotFound: "NotFound", AlreadyExists: "AlreadyExists",
	PermissionDenied: "PermissionDenied", ResourceExhausted: "ResourceExhausted",
	FailedPrecondition: "FailedPrecondition", Aborted: "Aborted",
	Unimplemented: "Unimplemented", Internal: "Internal",
	Unavailable: "Unavailable", DataLoss: "DataLoss",
	Unauthenticated: "Unauthenticated",
}

// String returns gRPC's name of the code.
func (c Code) String() string {
	if s, ok := names[c]; ok {
		return s
	}
	return fmt.Sprintf("Code(%d)", int(c))
}

// kind is a sentinel: a code with a text, perhaps a special case of another.
type kind struct {
	code   Code
	text   string
	parent error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.parent }

// The sentinel of each code. Unimplemented has errors.ErrUnsupported, Canceled
// and DeadlineExceeded have those of package context.
var (
	ErrInvalid         error = &kind{code: InvalidArgument, text: "invalid argument"}
	ErrNotFound        error = &kind{code: NotFound, text: "not found"}
	ErrExists          error = &kind{code: AlreadyExists, text: "already exists"}
	ErrPermission      error = &kind{code: PermissionDenied, text: "permission denied"}
	ErrExhausted       error = &kind{code: ResourceExhausted, text: "resource exhausted"}
	ErrPrecondition    error = &kind{code: FailedPrecondition, text: "not possible in this state"}
	ErrConflict        error = &kind{code: Aborted, text: "changed by somebody else"}
	ErrInternal        error = &kind{code: Internal, text: "internal error"}
	ErrUnavailable     error = &kind{code: Unavailable, text: "unavailable"}
	ErrDataLoss        error = &kind{code: DataLoss, text: "data corrupt or lost"}
	ErrUnauthenticated error = &kind{code: Unauthenticated, text: "credentials refused"}
)

// The special cases that callers ask for by name.
var (
	ErrHasSnapshots    = Special(ErrPrecondition, "has snapshots")
	ErrHasDependents   = Special(ErrPrecondition, "has dependents")
	ErrInUse           = Special(ErrPrecondition, "in use")
	ErrNotLocal        = Special(ErrPrecondition, "not attached on this host")
	ErrNoBackend       = Special(ErrNotFound, "backend not set up in this process")
	ErrBackendExists   = Special(ErrExists, "backend exists with other options")
	ErrAlreadySetup    = Special(ErrPrecondition, "already set up")
	ErrClosed          = Special(ErrPrecondition, "closed")
	ErrWrongDevice     = Special(ErrDataLoss, "device is not the volume asked for")
	ErrDeviceNotUsable = Special(ErrUnavailable, "device cannot be used")
)

// Special makes a sentinel that is a special case of another: errors.Is finds
// both, and the code is the same.
func Special(parent error, text string) error {
	return &kind{code: CodeOf(parent), text: text, parent: parent}
}

// detail gives a sentinel its message; the message's own %w chain stays whole.
type detail struct {
	of  error
	err error
}

func (d *detail) Error() string   { return d.err.Error() }
func (d *detail) Unwrap() []error { return []error{d.of, d.err} }

// Errorf formats as fmt.Errorf does (with %w) and marks the result as a case of
// the sentinel of.
func Errorf(of error, format string, args ...any) error {
	return &detail{of: of, err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code of err: that of the first classified error in its
// tree, outermost first. Errors of the operating system are classified by
// their meaning. Nil is OK, anything else Unknown.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if c := find(err); c != OK {
		return c
	}
	return Unknown
}

func find(err error) Code {
	if k, ok := err.(*kind); ok { //nolint:errorlint // find walks the tree itself, node by node
		return k.code
	}
	switch err { //nolint:errorlint // as above
	case context.Canceled:
		return Canceled
	case context.DeadlineExceeded:
		return DeadlineExceeded
	case errors.ErrUnsupported:
		return Unimplemented
	case os.ErrNotExist:
		return NotFound
	case os.ErrExist:
		return AlreadyExists
	case os.ErrPermission:
		return PermissionDenied
	}
	if c, ok := errno(err); ok {
		return c
	}
	switch u := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return find(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if c := find(inner); c != OK {
				return c
			}
		}
	}
	return OK
}
