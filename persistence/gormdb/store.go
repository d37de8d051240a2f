// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// The names the stores are registered under, as in Python's cinderlib.
const (
	Name       = "db"
	MemoryName = "memory_db"
)

// urlOptions are the keys of persistence_config.
type urlOptions struct {
	Connection        drivers.Secret `option:"connection" required:"true" help:"URL of the database in SQLAlchemy's form"`
	SQLiteSynchronous bool           `option:"sqlite_synchronous" default:"true" help:"sqlite: a write is on the disk when it returns"`
	SoftDeletes       bool           `option:"soft_deletes" default:"false" help:"keep the rows of what is deleted, marked"`
}

func init() {
	persistence.Register(Name, func(ctx context.Context, env persistence.Env, o urlOptions) (persistence.Store, error) {
		opts := []Option{WithLogger(env.Log), WithSynchronous(o.SQLiteSynchronous)}
		if o.SoftDeletes {
			opts = append(opts, WithSoftDeletes())
		}
		return Open(ctx, o.Connection.Reveal(), opts...)
	})
	persistence.Register(MemoryName, func(ctx context.Context, env persistence.Env, _ struct{}) (persistence.Store, error) {
		return Open(ctx, "sqlite://", WithLogger(env.Log))
	})
}

// Option is an option of Open, OpenFile and OpenDialector.
type Option func(*options)

type options struct {
	log         *slog.Logger
	synchronous bool
	softDeletes bool
	patience    time.Duration
}

// WithLogger sets the logger. Statements and their values are never logged.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) {
		if log != nil {
			o.log = log
		}
	}
}

// WithSynchronous says whether a write to sqlite is on the disk when it returns;
// the default is true. If not, a crash of the machine, not of the process, may
// lose the last writes or damage the file.
func WithSynchronous(on bool) Option { return func(o *options) { o.synchronous = on } }

// WithSoftDeletes keeps the rows of what is deleted, marked as Cinder marks them.
// No query returns them.
func WithSoftDeletes() Option { return func(o *options) { o.softDeletes = true } }

// WithPatience sets how long one call waits at most for a database that is busy
// or does not answer; the context may end it earlier. The default is 30 seconds.
func WithPatience(d time.Duration) Option { return func(o *options) { o.patience = d } }

// Store is a persistence.Store in an SQL database.
type Store struct {
	name         string // of the database, in messages
	dialect      string
	log          *slog.Logger
	patience     time.Duration
	softDeletes  bool
	synchronous  bool
	memory       bool
	wholeSeconds bool
	defaultType  string
	collation    string // of the tables that are made in MySQL

	// reader and writer are the same but for sqlite, which has one writer.
	reader, writer *gorm.DB
	batch          *batcher // nil: each Write is a transaction of its own
	locks          *locks   // nil: the database has none to offer
	fault          func(error) error

	volumes     table[volume]
	snapshots   table[snapshot]
	connections table[row]

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
	closers   []io.Closer
}

var (
	_ persistence.Store     = (*Store)(nil)
	_ persistence.Ephemeral = (*Store)(nil)
	_ persistence.Locking   = (*Store)(nil)
)

// The dialects, as their dialectors are called, that this package knows well.
const (
	sqliteName = "sqlite"
	mysqlName  = "mysql"
)

// Open opens the database of a URL in SQLAlchemy's form:
//
//	sqlite:////var/lib/cl.sqlite                        a file; three slashes: relative
//	sqlite://                                           in memory, seen by this store only
//	mysql+pymysql://user:password@host/cinder?charset=utf8
//
// User and password are percent-encoded. Tables are made if the database is
// empty; one that Python's cinderlib made is used as it is. A URL or database
// that cannot be used is ErrInvalid, a file that is damaged or no database
// ErrDataLoss. Opening waits while the database is busy or silent, as long as a
// call does, but a server that refuses to talk is not asked twice.
func Open(ctx context.Context, url string, opts ...Option) (*Store, error) {
	t, err := parseURL(url)
	switch {
	case err != nil:
		return nil, err
	case t.dialect == mysqlName:
		return openMySQL(ctx, t.mysql, newStore(opts))
	case t.path == "":
		return openMemory(ctx, newStore(opts))
	}
	return OpenFile(ctx, t.path, opts...)
}

// OpenFile opens an sqlite file. One that is made is readable by its owner only:
// the database holds secrets.
func OpenFile(ctx context.Context, path string, opts ...Option) (*Store, error) {
	return openFile(ctx, path, newStore(opts))
}

// OpenDialector opens a database of sqlite or MySQL by a dialector of gorm; others
// are errors.ErrUnsupported. What Open sets up is then up to the dialector and its
// connections: durability, time zone (UTC), how long they wait. Those of MySQL
// must count the rows that a statement finds (clientFoundRows=true of
// go-sql-driver), otherwise it is ErrInvalid.
func OpenDialector(ctx context.Context, d gorm.Dialector, opts ...Option) (*Store, error) {
	s := newStore(opts)
	s.name, s.dialect = "database "+d.Name(), d.Name()
	switch s.dialect {
	case mysqlName:
		s.fault = mysqlFault
	case sqliteName:
		s.fault = sqliteFault
	default:
		return nil, s.errorf(errors.ErrUnsupported, "dialect %q is not supported (supported: %s, %s)", d.Name(), mysqlName, sqliteName)
	}
	db, err := s.gorm(d)
	if err != nil {
		return nil, s.explain(err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, s.explain(err)
	}
	s.reader, s.writer = db, db
	s.closers = append(s.closers, pool)
	if s.dialect == sqliteName {
		s.batch = newBatcher(s)
		return s.ready(ctx)
	}
	var database string
	if err := pool.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		_ = s.Close()
		return nil, s.explain(err)
	}
	s.locks = newLocks(s, pool, database)
	if _, err := s.ready(ctx); err != nil {
		return nil, err
	}
	same := s.writer.WithContext(ctx).Exec("UPDATE volume_types SET id = id WHERE "+s.exact("id"), s.exactly(s.defaultType)...)
	if same.Error == nil && same.RowsAffected == 0 {
		_ = s.Close()
		return nil, s.errorf(persistence.ErrInvalid, "its connections count the rows that change and not those that are found: clientFoundRows=true is missing")
	}
	return s, s.explain(same.Error)
}

func newStore(opts []Option) *Store {
	o := options{log: slog.New(slog.DiscardHandler), synchronous: true, patience: 30 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	return &Store{log: o.log, patience: o.patience, softDeletes: o.softDeletes, synchronous: o.synchronous}
}

// gorm makes a handle. Its own logger would write statements with their values,
// secrets among them.
func (s *Store) gorm(d gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(d, &gorm.Config{
		Logger:                 logger.Discard,
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
	})
}

// ready finishes opening.
func (s *Store) ready(ctx context.Context) (*Store, error) {
	if err := s.prepare(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Ephemeral tells whether the records end with the store, as those of memory_db.
func (s *Store) Ephemeral() bool { return s.memory }

// Locks implements persistence.Locking: MySQL has locks for all its clients. An
// sqlite file is one host's, where file locks do.
func (s *Store) Locks() persistence.Locker {
	if s.locks == nil {
		return nil
	}
	return s.locks
}

// Close implements persistence.Store. What is being written is finished first.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.closed.Store(true)
		if s.batch != nil {
			s.batch.close()
		}
		if s.locks != nil {
			s.locks.close()
		}
		for _, c := range s.closers {
			if err := c.Close(); err != nil && s.closeErr == nil {
				s.closeErr = s.explain(err)
			}
		}
	})
	return s.closeErr
}

// errorf marks an error and says which database it is about.
func (s *Store) errorf(of error, format string, args ...any) error {
	return persistence.Errorf(of, "%s: %w", s.name, fmt.Errorf(format, args...))
}
