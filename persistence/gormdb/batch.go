// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/persistence"
)

// maxBatch bounds the writes of one transaction.
const maxBatch = 64

// batcher writes to sqlite, which has one writer: what was asked for while a
// transaction ran goes into the next one together, so that many goroutines share
// one wait for the disk. Each write has a savepoint: one that fails takes back
// its own operations only. While the database is busy the writes stay in the
// queue, which each may leave when its time is over.
type batcher struct {
	store *Store

	mu      sync.Mutex
	queue   []*writing
	running bool
	stopped bool
	idle    sync.WaitGroup // of the goroutine that writes

	// For the goroutine that writes.
	wal  bool // the file has its journal
	solo int  // so many writes are to have a transaction each
}

// writing is one Write that waits.
type writing struct {
	caller context.Context
	ctx    context.Context // the caller's, which ends with the patience, too
	ops    []persistence.Op
	last   error // why it waits
	err    error
	done   chan struct{} // closed when err is final
}

func newBatcher(s *Store) *batcher { return &batcher{store: s} }

func (b *batcher) write(ctx context.Context, ops []persistence.Op) error {
	limited, cancel := context.WithTimeout(ctx, b.store.patience)
	defer cancel()
	w := &writing{caller: ctx, ctx: limited, ops: ops, done: make(chan struct{})}
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return b.store.errorf(persistence.ErrClosed, "the store is closed")
	}
	b.queue = append(b.queue, w)
	if !b.running {
		b.running = true
		b.idle.Add(1)
		go b.run() //nolint:contextcheck // it writes for many callers, and looks at the context of each
	}
	b.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-limited.Done():
	}
	if b.forget(w) {
		return b.store.ended(ctx, w.last)
	}
	<-w.done // it is being written: that is as long as one transaction takes
	return w.err
}

// forget takes a write out of the queue, if it is there.
func (b *batcher) forget(w *writing) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, w)
	if i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	return i >= 0
}

// close ends the use when what waits is written.
func (b *batcher) close() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.idle.Wait()
}

// run writes until nothing waits.
func (b *batcher) run() {
	defer b.idle.Done()
	pause := firstPause
	for batch := b.next(); len(batch) > 0; batch = b.next() {
		err := b.attempt(batch)
		if !errors.Is(err, errAgain) {
			pause = firstPause
			continue
		}
		<-time.After(pause/2 + rand.N(pause))
		pause = min(2*pause, longPause)
	}
}

// next takes what is to be written together.
func (b *batcher) next() []*writing {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.queue), maxBatch)
	if b.solo > 0 {
		b.solo--
		n = min(n, 1)
	}
	batch := slices.Clone(b.queue[:n])
	b.queue = slices.Delete(b.queue, 0, n)
	b.running = n > 0
	return batch
}

// attempt writes in one transaction. If that fails for another reason than what
// one of several asks for, nothing is written, and they go back into the queue.
func (b *batcher) attempt(batch []*writing) error {
	// Not the context of one of several: the others are not to end with it.
	ctx, cancel := context.WithTimeout(context.Background(), b.store.patience)
	defer cancel()
	alone := len(batch) == 1
	if alone {
		ctx = batch[0].ctx
	}
	err := b.store.explain(b.transaction(ctx, func(tx *gorm.DB) error {
		if alone {
			return b.store.apply(ctx, tx, batch[0].ops)
		}
		return b.together(tx, batch)
	}))
	again := errors.Is(err, errAgain)
	b.mu.Lock()
	defer b.mu.Unlock()
	var wait []*writing
	for _, w := range batch {
		switch {
		case err == nil:
		case w.ctx.Err() != nil:
			w.err = b.store.ended(w.caller, cause(w.last, err))
		case again || !alone:
			w.last, w.err = cause(w.last, err), nil
			wait = append(wait, w)
			continue
		default:
			w.err = err
		}
		close(w.done)
	}
	b.queue = slices.Insert(b.queue, 0, wait...)
	if !again {
		b.solo = max(b.solo, len(wait))
	}
	return err
}

// together does the operations of several, each as far as it gets.
func (b *batcher) together(tx *gorm.DB, batch []*writing) error {
	for _, w := range batch {
		if w.ctx.Err() != nil {
			w.err = b.store.ended(w.caller, w.last)
			continue
		}
		if err := tx.Exec("SAVEPOINT one").Error; err != nil {
			return err
		}
		end := "RELEASE one"
		if err := b.store.apply(w.ctx, tx, w.ops); isOwn(err) {
			w.err, end = b.store.explain(err), "ROLLBACK TO one"
		} else if err != nil && w.ctx.Err() != nil {
			w.err, end = b.store.ended(w.caller, w.last), "ROLLBACK TO one"
		} else if err != nil {
			return err
		}
		if err := tx.Exec(end).Error; err != nil {
			return err
		}
	}
	return nil
}

// isOwn tells whether an error is about what was to be written, and not about
// the database.
func isOwn(err error) bool {
	for _, own := range []error{persistence.ErrInvalid, persistence.ErrNotFound, persistence.ErrExists, persistence.ErrConflict} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

func (b *batcher) transaction(ctx context.Context, f func(*gorm.DB) error) error {
	if !b.wal {
		if err := b.store.useWAL(ctx); err != nil {
			return err
		}
		b.wal = true
	}
	// For a context that can end the driver starts a goroutine a statement.
	return b.store.writer.WithContext(context.WithoutCancel(ctx)).Transaction(f)
}
