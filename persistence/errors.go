// SPDX-License-Identifier: Apache-2.0

package persistence

import "github.com/gocinder/cinderlib/internal/fault"

// The sentinels a store marks its errors with, by Errorf.
var (
	ErrInvalid      = fault.ErrInvalid      // configuration or record is wrong
	ErrNotFound     = fault.ErrNotFound     // the record to update is gone
	ErrExists       = fault.ErrExists       // the record to insert is there
	ErrConflict     = fault.ErrConflict     // the status was changed meanwhile
	ErrUnavailable  = fault.ErrUnavailable  // the database does not answer
	ErrClosed       = fault.ErrClosed       // the store was closed
	ErrPrecondition = fault.ErrPrecondition // not possible in the state that things are in
	ErrDataLoss     = fault.ErrDataLoss     // the database, or a record in it, is damaged
)

// Errorf formats as fmt.Errorf does (with %w) and marks the error as a case of
// the sentinel of.
func Errorf(of error, format string, args ...any) error { return fault.Errorf(of, format, args...) }
