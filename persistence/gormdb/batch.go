// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"errors"
	"sync"

	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/persistence"
)

// maxBatch bounds the writes of one transaction.
const maxBatch = 64

// batcher writes to sqlite, which has one writer: what was asked for while a
// transaction ran goes into the next one together, so that many goroutines share
// one wait for the disk. Each write has a savepoint: one that fails takes back
// its own operations only.
type batcher struct {
	store *Store

	mu      sync.Mutex
	queue   []*writing
	running bool
	stopped bool
	idle    sync.WaitGroup // of the goroutine that writes

	wal bool // the file has its journal; for the goroutine that writes
}

// writing is one Write that waits.
type writing struct {
	ctx  context.Context
	ops  []persistence.Op
	err  error
	done chan struct{} // closed when err is final
}

func newBatcher(s *Store) *batcher { return &batcher{store: s} }

func (b *batcher) write(ctx context.Context, ops []persistence.Op) error {
	w := &writing{ctx: ctx, ops: ops, done: make(chan struct{})}
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return b.store.errorf(persistence.ErrClosed, "the store is closed")
	}
	b.queue = append(b.queue, w)
	if !b.running {
		b.running = true
		b.idle.Add(1)
		go b.run()
	}
	b.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	if b.forget(w) {
		return b.store.gaveUp(ctx.Err(), nil, nil)
	}
	<-w.done // it is being written: that is as long as one transaction takes
	return w.err
}

// forget takes a write out of the queue, if it is there.
func (b *batcher) forget(w *writing) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range b.queue {
		if q == w {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			return true
		}
	}
	return false
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
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		n := min(len(b.queue), maxBatch)
		batch := append([]*writing(nil), b.queue[:n]...)
		b.queue = append(b.queue[:0], b.queue[n:]...)
		b.mu.Unlock()

		if n > 1 && b.together(batch) {
			continue
		}
		for _, w := range batch {
			b.alone(w)
		}
	}
}

// alone writes one, with all the patience that its caller has.
func (b *batcher) alone(w *writing) {
	w.err = b.store.retry(w.ctx, func(ctx context.Context) error {
		return b.transaction(ctx, func(tx *gorm.DB) error { return b.store.apply(tx, w.ops) })
	})
	close(w.done)
}

// together writes several in one transaction. It returns false, and nothing is
// written, if that fails for another reason than what one of them asks for.
func (b *batcher) together(batch []*writing) bool {
	errs := make([]error, len(batch))
	// Not the context of one of them: the others are not to end with it.
	ctx, cancel := context.WithTimeout(context.Background(), b.store.patience)
	defer cancel()
	err := b.transaction(ctx, func(tx *gorm.DB) error {
		for i, w := range batch {
			if errs[i] = w.ctx.Err(); errs[i] != nil {
				errs[i] = b.store.gaveUp(errs[i], nil, nil)
				continue
			}
			if err := tx.Exec("SAVEPOINT one").Error; err != nil {
				return err
			}
			errs[i] = b.store.apply(tx, w.ops)
			if errs[i] == nil {
				if err := tx.Exec("RELEASE one").Error; err != nil {
					return err
				}
				continue
			}
			if !isOwn(errs[i]) {
				return errs[i]
			}
			if err := tx.Exec("ROLLBACK TO one").Error; err != nil {
				return err
			}
			errs[i] = b.store.explain(errs[i])
		}
		return nil
	})
	if err != nil {
		return false
	}
	for i, w := range batch {
		w.err = errs[i]
		close(w.done)
	}
	return true
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
	return b.store.writer.WithContext(ctx).Transaction(f)
}
