// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/persistence"
)

// The pauses between two looks at a lock that another process holds, and how
// long the server may take to answer.
const (
	firstLook  = 2 * time.Millisecond
	longLook   = 100 * time.Millisecond
	answerTime = 5 * time.Second
)

// locks are MySQL's named locks. They are global to the server, belong to a
// connection and end with it. One connection has all locks of this store: it
// asks for one without waiting, so that no lock waits for another. Within the
// process locks exclude by name, because the server gives a lock to its own
// connection again.
//
// A connection that is lost loses the locks. They are taken again where nobody
// was quicker, and otherwise a warning is logged: what then keeps two verbs apart
// is the status in the volume's record.
type locks struct {
	pool   *sql.DB
	prefix string
	log    *slog.Logger
	in     lock.Keyed

	turn chan struct{} // holds one token: the use of what follows
	conn *sql.Conn
	held map[string]string // the server's names, with ours
	once sync.Once
}

func newLocks(pool *sql.DB, database string, log *slog.Logger) *locks {
	l := &locks{pool: pool, prefix: database + "/", log: log, turn: make(chan struct{}, 1), held: map[string]string{}}
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
	release, err := l.in.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	for pause := firstLook; ; pause = min(2*pause, longLook) {
		ok, err := l.take(ctx, name)
		if ok {
			return l.unlocker(name, release), nil
		}
		if err != nil {
			release()
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			release()
			return nil, fmt.Errorf("lock %s: held on another host or by another process: %w", name, ctx.Err())
		}
	}
}

// TryLock implements persistence.Locker.
func (l *locks) TryLock(ctx context.Context, name string) (unlock func(), ok bool, err error) {
	release, ok := l.in.TryLock(name)
	if !ok {
		return nil, false, nil
	}
	ok, err = l.take(ctx, name)
	if !ok {
		release()
		return nil, false, err
	}
	return l.unlocker(name, release), true, nil
}

func (l *locks) unlocker(name string, release func()) func() {
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		l.give(ctx, name)
		release()
	})
}

// take asks the server for a lock, once.
func (l *locks) take(ctx context.Context, name string) (bool, error) {
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, fmt.Errorf("lock %s: %w", name, ctx.Err())
	}
	// A cancel in the middle of a statement would end the connection, and the
	// locks of others with it.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	ok, err := l.ask(asking, name)
	if err != nil && l.drop() { // the connection may have been idle, and dead, for long
		ok, err = l.ask(asking, name)
	}
	if err != nil {
		l.drop()
		return false, persistence.Errorf(persistence.ErrUnavailable, "lock %s: %w", name, err)
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
		l.takeAgain(ctx)
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

// takeAgain takes the locks that went with the last connection.
func (l *locks) takeAgain(ctx context.Context) {
	for server, name := range l.held {
		if ok, err := getLock(ctx, l.conn, server); !ok {
			delete(l.held, server)
			l.log.LogAttrs(ctx, slog.LevelWarn, "a lock was lost with the connection to the database",
				slog.String("lock", name), slog.Any("error", err))
		}
	}
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
func (l *locks) give(ctx context.Context, name string) {
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done(): // somebody waits for a server that does not answer: the lock ends with that connection
		return
	}
	server := l.serverName(name)
	if _, ok := l.held[server]; !ok || l.conn == nil {
		delete(l.held, server)
		return
	}
	delete(l.held, server)
	if _, err := l.conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", server); err != nil {
		l.drop()
	}
}

func (l *locks) close() {
	l.once.Do(func() {
		<-l.turn
		defer func() { l.turn <- struct{}{} }()
		l.drop()
	})
}
