// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/persistence"
)

// The pauses between two looks at a lock that another process holds, how long the
// server may take to answer, and to see the end of a connection.
const (
	firstLook  = 2 * time.Millisecond
	longLook   = 100 * time.Millisecond
	answerTime = 5 * time.Second
	graceTime  = time.Second
)

// locks are MySQL's named locks. They are global to the server, belong to a
// connection and end with it. One connection has all locks of this store: it
// asks for one without waiting, so that no lock waits for another. Within the
// process locks exclude by name, because the server gives a lock to its own
// connection again.
//
// A connection that is lost loses the locks. When a lock is next asked for they
// are taken again where nobody was quicker; otherwise a warning is logged: what then keeps two verbs apart
// is the status in the volume's record.
type locks struct {
	pool     *sql.DB
	prefix   string
	log      *slog.Logger
	patience time.Duration
	explain  func(error) error
	in       lock.Keyed

	turn   chan struct{} // holds one token: the use of what follows
	conn   *sql.Conn
	held   map[string]string // the server's names, with ours
	closed bool
}

func newLocks(s *Store, pool *sql.DB, database string) *locks {
	l := &locks{
		pool: pool, prefix: database + "/", log: s.log, patience: s.patience, explain: s.explain,
		turn: make(chan struct{}, 1), held: map[string]string{},
	}
	l.turn <- struct{}{}
	return l
}

// serverName is a name that the server takes: it allows 64 characters.
func (l *locks) serverName(name string) string {
	sum := sha256.Sum256([]byte(l.prefix + name))
	return "cinderlib-" + hex.EncodeToString(sum[:20])
}

// Lock implements persistence.Locker.
func (l *locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	release, err := l.in.Lock(ctx, l.prefix+name)
	if err != nil {
		return nil, err
	}
	var silent time.Time // since when the server has not answered
	for pause := firstLook; ; pause = min(2*pause, longLook) {
		ok, err := l.take(ctx, name)
		if ok {
			return l.unlocker(name, release), nil //nolint:contextcheck // a lock is given back whatever became of the caller
		}
		switch {
		case err == nil:
			silent = time.Time{}
		case silent.IsZero():
			silent = time.Now()
		}
		if err != nil && (!errors.Is(err, errAgain) || time.Since(silent) > l.patience) {
			release()
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			release()
			if err == nil {
				err = errHeld
			}
			return nil, fmt.Errorf("lock %s%s: %w; %w", l.prefix, name, ctx.Err(), err)
		}
	}
}

// errHeld is why a lock was waited for.
var errHeld = errors.New("it is held on another host or by another process")

// TryLock implements persistence.Locker.
func (l *locks) TryLock(ctx context.Context, name string) (unlock func(), ok bool, err error) {
	release, ok := l.in.TryLock(l.prefix + name)
	if !ok {
		return nil, false, nil
	}
	ok, err = l.take(ctx, name)
	if !ok {
		release()
		return nil, false, err
	}
	return l.unlocker(name, release), true, nil //nolint:contextcheck // as above
}

func (l *locks) unlocker(name string, release func()) func() {
	return sync.OnceFunc(func() {
		l.give(name)
		release()
	})
}

// take asks the server for a lock, once.
func (l *locks) take(ctx context.Context, name string) (bool, error) {
	ended := func() error { return fmt.Errorf("lock %s%s: %w", l.prefix, name, ctx.Err()) }
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, ended()
	}
	switch {
	case ctx.Err() != nil:
		return false, ended()
	case l.closed:
		return false, persistence.Errorf(persistence.ErrClosed, "lock %s%s: the store is closed", l.prefix, name)
	}
	asking := ctx
	if len(l.held) > 0 {
		// A cancel in the middle of a statement would end the connection, and the
		// locks of others with it.
		asking = context.WithoutCancel(ctx)
	}
	asking, cancel := context.WithTimeout(asking, answerTime)
	defer cancel()
	ok, err := l.ask(asking, name)
	if err != nil && l.drop() { // the connection may have been idle, and dead, for long
		ok, err = l.ask(asking, name)
	}
	if err != nil {
		l.drop()
		if ctx.Err() != nil {
			return false, ended()
		}
		if isOver(err) { // that is not the caller's
			err = persistence.Errorf(errAgain, "no answer within %v", answerTime)
		}
		return false, fmt.Errorf("lock %s%s: %w", l.prefix, name, l.explain(err))
	}
	if ok {
		l.held[l.serverName(name)] = name
	}
	return ok, nil
}

// ask needs the turn.
func (l *locks) ask(ctx context.Context, name string) (bool, error) {
	if l.conn == nil {
		conn, err := l.pool.Conn(ctx)
		if err != nil {
			return false, err
		}
		// The server ends connections that are idle; a lock may be held for days.
		if _, err := conn.ExecContext(ctx, "SET SESSION wait_timeout = 31536000"); err != nil {
			_ = conn.Close()
			return false, err
		}
		l.conn = conn
		if err := l.takeAgain(ctx); err != nil {
			return false, err
		}
	}
	return getLock(ctx, l.conn, l.serverName(name))
}

func getLock(ctx context.Context, conn *sql.Conn, name string) (bool, error) {
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", name).Scan(&got); err != nil {
		return false, err
	}
	if !got.Valid {
		return false, fmt.Errorf("the server has no such lock")
	}
	return got.Int64 == 1, nil
}

// takeAgain takes the locks that went with the last connection. The server may
// not have seen its end yet.
func (l *locks) takeAgain(ctx context.Context) error {
	until := time.Now().Add(graceTime)
	for server, name := range l.held {
		ok, err := getLock(ctx, l.conn, server)
		for err == nil && !ok && time.Now().Before(until) {
			<-time.After(5 * firstLook)
			ok, err = getLock(ctx, l.conn, server)
		}
		if err != nil {
			return err
		}
		if !ok {
			delete(l.held, server)
			l.log.LogAttrs(ctx, slog.LevelWarn, "a lock was lost with the connection to the database", slog.String("lock", l.prefix+name))
		}
	}
	return nil
}

// errDropped makes database/sql close a connection instead of keeping it.
var errDropped = driver.ErrBadConn

// drop closes the connection, and with it, on the server, its locks.
func (l *locks) drop() (had bool) {
	if l.conn == nil {
		return false
	}
	_ = l.conn.Raw(func(any) error { return errDropped })
	_ = l.conn.Close()
	l.conn = nil
	return true
}

// give returns a lock to the server.
func (l *locks) give(name string) {
	<-l.turn // nobody has it for longer than the server has time to answer
	defer func() { l.turn <- struct{}{} }()
	server := l.serverName(name)
	_, held := l.held[server]
	delete(l.held, server)
	if !held || l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if _, err := l.conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", server); err != nil {
		l.drop()
	}
}

func (l *locks) close() {
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	l.closed = true
	l.drop()
}
