// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// The pauses between two attempts.
const (
	firstPause = 2 * time.Millisecond
	longPause  = 250 * time.Millisecond
)

// errAgain marks what may go away by itself: a busy database, a lost connection,
// a deadlock.
var errAgain = fault.Special(persistence.ErrUnavailable, "may be tried again")

// retry runs f until it succeeds, fails for good, or the store's patience or the
// context ends. f may run several times and is to start anew each time.
func (s *Store) retry(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := f(limited)
		if err == nil {
			return nil
		}
		err = s.explain(err)
		last = cause(last, err)
		switch {
		case limited.Err() != nil:
			return s.ended(ctx, last)
		case !errors.Is(err, errAgain):
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
			return s.ended(ctx, last)
		}
	}
}

// cause is what a call waits for: not that it ended.
func cause(last, err error) error {
	if isOver(err) {
		return last
	}
	return err
}

// isOver tells whether an error is the end of a context. The timeout of a dial
// says that it is, too.
func isOver(err error) bool {
	var network *net.OpError
	return (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && !errors.As(err, &network)
}

// ended is the error of a call whose context, or the store's patience, is over.
// It says what was waited for.
func (s *Store) ended(ctx context.Context, last error) error {
	switch err := ctx.Err(); {
	case err != nil && last != nil:
		return fmt.Errorf("%s: %w; %w", s.name, err, last)
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case last != nil:
		return s.errorf(persistence.ErrUnavailable, "no answer within %v: %w", s.patience, last)
	}
	return s.errorf(persistence.ErrUnavailable, "no answer within %v", s.patience)
}

// explain marks an error of the database with its meaning and adds the name of
// the database. Errors that were marked stay as they are.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errAgain) {
		return err
	}
	if _, bad := errors.AsType[*persistence.RecordError](err); bad {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	of := s.fault(err)
	if of == nil {
		of = general(err)
	}
	if of == nil {
		if fault.CodeOf(err) != fault.Unknown {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		of = fault.ErrInternal
	}
	return persistence.Errorf(of, "%s: %w", s.name, masked(err))
}

// general gives the meaning of errors that any database has.
func general(err error) error {
	var network net.Error
	var file *fs.PathError
	var system syscall.Errno
	switch {
	case isOver(err):
		return nil
	case errors.As(err, &file) && errors.As(file.Err, &system):
		return systemFault(system)
	case errors.Is(err, sql.ErrConnDone):
		return persistence.ErrClosed
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return errAgain
	case err.Error() == "sql: database is closed": // database/sql has no name for it
		return persistence.ErrClosed
	}
	return nil
}

// systemFault gives the meaning of an error of the operating system about a
// file; nil if it has none.
func systemFault(err syscall.Errno) error {
	switch fault.CodeOf(err) {
	case fault.PermissionDenied:
		return fault.ErrPermission
	case fault.ResourceExhausted:
		return fault.ErrExhausted
	case fault.InvalidArgument:
		return persistence.ErrInvalid
	case fault.DataLoss:
		return persistence.ErrDataLoss
	}
	return nil
}
