// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/google/uuid"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// Connections to sqlite: one writes and takes its lock when a transaction
// begins, the others read. sqlite waits in steps of its own for a lock of
// another process, without regard to a context, so it is let wait for a moment
// only; retry does the rest.
const (
	commonParams = "_busy_timeout=100&_stmt_cache_size=50"
	writerParams = "&_txlock=immediate"
)

func openFile(ctx context.Context, path string, s *Store) (*Store, error) {
	s.name, s.fault = "database "+path, sqliteFault
	params := commonParams
	writable, err := checkFile(path)
	switch {
	case err != nil:
		return nil, s.explain(err)
	case !writable:
		params += "&mode=ro"
	case !s.synchronous:
		params += "&_synchronous=OFF"
	default:
		params += "&_synchronous=FULL"
	}
	dsn := "file:" + escapePath(filepath.Clean(path)) + "?" + params
	opened, err := s.openSQLite(ctx, dsn, dsn+writerParams)
	if errors.Is(err, fault.ErrPermission) {
		return nil, fmt.Errorf("%w (also to be read a database that was written to needs its folder %s to be writable)", err, filepath.Dir(path))
	}
	return opened, err
}

// escapePath writes a path as sqlite's URIs have it.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// checkFile makes the file if need be, and tells whether it can be written.
func checkFile(path string) (writable bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case err == nil:
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = persistence.Errorf(persistence.ErrInvalid, "it is not a regular file")
		}
		return true, errors.Join(err, f.Close())
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		if f, readErr := os.Open(path); readErr == nil {
			return false, f.Close()
		}
	case errors.Is(err, fs.ErrNotExist):
		return false, persistence.Errorf(persistence.ErrInvalid, "the folder %s does not exist", filepath.Dir(path))
	}
	return false, err
}

func openMemory(ctx context.Context, s *Store) (*Store, error) {
	s.name, s.fault, s.memory = "database in memory", sqliteFault, true
	// A name that begins with a slash is shared by the connections of the process.
	dsn := "file:/" + uuid.NewString() + "?vfs=memdb&" + commonParams
	return s.openSQLite(ctx, dsn, dsn+writerParams)
}

func (s *Store) openSQLite(ctx context.Context, readDSN, writeDSN string) (_ *Store, err error) {
	s.dialect = sqliteName
	s.batch = newBatcher(s)
	if s.writer, err = s.pool(ctx, writeDSN, 1); err != nil {
		_ = s.Close()
		return nil, err
	}
	if s.reader, err = s.pool(ctx, readDSN, max(4, 2*runtime.GOMAXPROCS(0))); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s.ready(ctx)
}

// pool opens a pool of connections that are kept until the store is closed: with
// the last one a database in memory would go.
func (s *Store) pool(ctx context.Context, dsn string, size int) (*gorm.DB, error) {
	pool, err := sql.Open(sqlite.DriverName, dsn)
	if err != nil {
		return nil, s.explain(err)
	}
	if !hasCgo {
		_ = pool.Close()
		return nil, s.errorf(persistence.ErrPrecondition, "this program was built without cgo: sqlite needs CGO_ENABLED=1 and a C compiler (MySQL does not)")
	}
	s.closers = append(s.closers, pool)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	var db *gorm.DB
	err = s.retry(ctx, func(ctx context.Context) error {
		// The first look at the file: what is no database shows here.
		if _, err := pool.ExecContext(ctx, "SELECT count(*) FROM sqlite_master"); err != nil {
			return err
		}
		db, err = s.gorm(sqlite.New(sqlite.Config{Conn: pool}))
		return err
	})
	return db, err
}

// useWAL lets readers and the writer of a file go on beside each other. It is
// done before the first write and lasts: a file that is only read stays as it
// is.
func (s *Store) useWAL(ctx context.Context) error {
	if s.memory {
		return nil
	}
	var mode string
	return s.writer.WithContext(ctx).Raw("PRAGMA journal_mode = WAL").Scan(&mode).Error
}
