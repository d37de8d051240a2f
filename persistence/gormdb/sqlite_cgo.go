// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package gormdb

import (
	"errors"
	"strings"

	"github.com/mattn/go-sqlite3"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// hasCgo: without cgo the driver of sqlite builds, and fails when it is used.
const hasCgo = true

// sqliteFault gives the meaning of an error of sqlite
// (https://www.sqlite.org/rescode.html); nil if it has none.
func sqliteFault(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return nil
	}
	if of := systemFault(e.SystemErrno); of != nil {
		return of
	}
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrProtocol:
		return errAgain
	case sqlite3.ErrFull, sqlite3.ErrNomem:
		return fault.ErrExhausted
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrAuth, sqlite3.ErrCantOpen:
		return fault.ErrPermission
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrIoErr:
		return persistence.ErrDataLoss
	case sqlite3.ErrConstraint, sqlite3.ErrTooBig, sqlite3.ErrMismatch:
		return persistence.ErrInvalid
	case sqlite3.ErrError: // it has no code of its own for what is missing
		if strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column") || strings.Contains(e.Error(), "no column named") {
			return persistence.ErrInvalid
		}
	}
	return nil
}

func isSQLiteDuplicate(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey || e.ExtendedCode == sqlite3.ErrConstraintUnique)
}
