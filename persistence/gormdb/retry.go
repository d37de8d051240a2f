// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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
		switch {
		case ctx.Err() != nil:
			return s.gaveUp(ctx.Err(), last, err)
		case limited.Err() != nil:
			return s.errorf(persistence.ErrUnavailable, "no answer within %v: %w", s.patience, first(last, err))
		case !errors.Is(err, errAgain):
			return err
		}
		last = err
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
			if ctx.Err() != nil {
				return s.gaveUp(ctx.Err(), last, err)
			}
			return s.errorf(persistence.ErrUnavailable, "no answer within %v: %w", s.patience, last)
		}
	}
}

// gaveUp is the error of a context that ended: it says what was waited for.
func (s *Store) gaveUp(ended, last, err error) error {
	if last == nil || errors.Is(err, ended) {
		return fmt.Errorf("%s: %w", s.name, ended)
	}
	return fmt.Errorf("%s: %w; %w", s.name, ended, last)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// explain marks an error of the database with its meaning and adds the name of
// the database. Errors that were marked stay as they are.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	var bad *persistence.RecordError
	if errors.As(err, &bad) || errors.Is(err, errAgain) {
		return err
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
	return persistence.Errorf(of, "%s: %w", s.name, err)
}

// general gives the meaning of errors that any database has.
func general(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, sql.ErrConnDone):
		return persistence.ErrClosed
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return errAgain
	case err.Error() == "sql: database is closed": // database/sql has no name for it
		return persistence.ErrClosed
	}
	return nil
}
