// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// maxConnections of one store to MySQL, whose default is 151 for all.
const maxConnections = 16

func openMySQL(ctx context.Context, cfg *driver.Config, s *Store) (*Store, error) {
	s.dialect, s.fault = mysqlName, mysqlFault
	s.name = "database " + cfg.DBName + " at " + cfg.Addr
	cfg.Logger = driverLog{s.log}
	cfg.MaxAllowedPacket = 0 // the server's: what is larger is refused here, where the connection survives it
	// The end of a transaction does not look at the context, all else does before.
	cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, s.patience+time.Second)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, s.patience+time.Second)
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, s.errorf(persistence.ErrInvalid, "%w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(maxConnections)
	pool.SetMaxIdleConns(maxConnections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	s.closers = append(s.closers, pool)
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err = pool.PingContext(limited); err == nil {
		s.reader, err = s.gorm(mysql.New(mysql.Config{Conn: pool, SkipInitializeWithVersion: true}))
	}
	if err != nil {
		_ = s.Close()
		if end, _ := limited.Deadline(); !time.Now().Before(end) {
			<-limited.Done() // a dial ends a moment before its context
		}
		if limited.Err() != nil {
			return nil, s.ended(ctx, cause(nil, s.explain(err)))
		}
		return nil, s.explain(err)
	}
	s.writer = s.reader
	s.locks = newLocks(s, pool, cfg.DBName)
	return s.ready(ctx)
}

// driverLog keeps the driver from writing to stderr. What it tells are broken
// connections, not statements.
type driverLog struct{ log *slog.Logger }

// Print implements the driver's Logger.
func (l driverLog) Print(v ...any) {
	l.log.Debug("driver of MySQL", slog.String("message", fmt.Sprint(v...)))
}

// mysqlFault gives the meaning of an error of MySQL or MariaDB
// (https://mariadb.com/kb/en/mariadb-error-code-reference/); nil if it has none.
func mysqlFault(err error) error {
	switch {
	case errors.Is(err, driver.ErrInvalidConn), errors.Is(err, driver.ErrMalformPkt), errors.Is(err, driver.ErrPktSync):
		return errAgain
	case errors.Is(err, driver.ErrPktTooLarge), errors.Is(err, driver.ErrNoTLS):
		return persistence.ErrInvalid
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.ErrUnauthenticated
	}
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Number {
	case 1105: // anything
		if strings.Contains(e.Message, "max_allowed_packet") {
			return persistence.ErrInvalid
		}
	case 1045, 1130, 1698, 1862, 3118, 4151: // access denied: password, host, authentication plugin, expired, locked
		return fault.ErrUnauthenticated
	case 1044, 1142, 1143, 1227, 1370: // access denied: database, command, column, privilege, routine
		return fault.ErrPermission
	case 1049: // unknown database
		return persistence.ErrNotFound
	case 1205, 1213: // lock wait timeout, deadlock
		return errAgain
	case 1040, 1203, 1226: // too many connections, of the user, limit of the user
		return errAgain
	case 1053, 1927, 1317, 1047, 1290, 1836, 1792: // shutdown, killed, interrupted, cluster not ready, read-only while it fails over
		return errAgain
	case 1021, 1114, 1041: // disk full, table full, out of memory
		return fault.ErrExhausted
	case 1034, 1194, 1712: // damaged table or index
		return persistence.ErrDataLoss
	case 1153, 1264, 1292, 1366, 1406, 1364, 1048, 1054, 1146: // packet, value, text, length, default, NULL, column, table
		return persistence.ErrInvalid
	case 1216, 1217, 1451, 1452: // foreign keys
		return persistence.ErrPrecondition
	}
	return nil
}

// isDuplicate tells whether a row is in the way of another.
func isDuplicate(err error) bool {
	if e, ok := errors.AsType[*driver.MySQLError](err); ok {
		return e.Number == 1062
	}
	return isSQLiteDuplicate(err)
}

// isReferred tells whether a row cannot go because others refer to it.
func isReferred(err error) bool {
	e, ok := errors.AsType[*driver.MySQLError](err)
	return ok && (e.Number == 1451 || e.Number == 1217)
}

// quotedValue is what the server quotes of a value that it does not take.
var quotedValue = regexp.MustCompile(`value: '.*' for column`)

// masked is the error without that: it may be a secret. The server's own error
// stays reachable by its type.
func masked(err error) error {
	text := err.Error()
	if hidden := quotedValue.ReplaceAllString(text, "value for column"); hidden != text {
		return &maskedError{err, hidden}
	}
	return err
}

type maskedError struct {
	err  error
	text string
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
