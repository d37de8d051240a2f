// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/drivers"
)

// Copied counts records.
type Copied struct{ Volumes, Snapshots, Connections, KeyValues int }

// copyPage is how many records Copy reads, and writes, at once.
const copyPage = 500

// Copy copies all records of from into to: volumes, then snapshots, connections
// and key-values. A record that is in to is replaced whole; others in it stay.
// Copy may be repeated, which is the way to go on after an error.
//
// It takes a page of records at a time, in one Write each; only key-values are
// read all at once. Nobody else should write to either store meanwhile: what
// changes in from behind the page that Copy is at is not copied.
//
// Progress, if not nil, is called after each page that was stored, with all that
// was copied so far, by the goroutine that called Copy.
//
// Copy returns what it has copied, with an error too; then that does not count
// the page that failed. The error wraps the store's, and says at which records
// it was. When ctx ends, Copy stops before the next page. ErrInvalid: the two
// are the same store, as far as their values tell, or a record has no id.
func Copy(ctx context.Context, from, to Store, progress func(Copied)) (Copied, error) {
	c := copying{to: to, progress: progress}
	if sameStore(from, to) {
		return c.done, Errorf(ErrInvalid, "copy: a store cannot be copied onto itself")
	}
	err := copyPages(ctx, &c, "volumes", &c.done.Volumes,
		func(p Page) ([]*drivers.Volume, error) { return from.Volumes(ctx, VolumeFilter{Page: p}) },
		func(v *drivers.Volume) (time.Time, string) { return v.CreatedAt, v.ID })
	if err != nil {
		return c.done, err
	}
	err = copyPages(ctx, &c, "snapshots", &c.done.Snapshots,
		func(p Page) ([]*drivers.Snapshot, error) { return from.Snapshots(ctx, SnapshotFilter{Page: p}) },
		func(s *drivers.Snapshot) (time.Time, string) { return s.CreatedAt, s.ID })
	if err != nil {
		return c.done, err
	}
	err = copyPages(ctx, &c, "connections", &c.done.Connections,
		func(p Page) ([]*Connection, error) { return from.Connections(ctx, ConnectionFilter{Page: p}) },
		func(n *Connection) (time.Time, string) { return n.CreatedAt, n.ID })
	if err != nil {
		return c.done, err
	}
	return c.done, c.keyValues(ctx, from)
}

// copying is a Copy that is under way.
type copying struct {
	to       Store
	progress func(Copied)
	done     Copied
}

// copyPages copies the records of one kind, of which place gives the time and
// the id that order them.
func copyPages[R Record](ctx context.Context, c *copying, kind string, count *int, read func(Page) ([]R, error), place func(R) (time.Time, string)) error {
	page := Page{Limit: copyPage}
	for {
		records, err := read(page)
		if err != nil {
			return fmt.Errorf("copy: read the %s after %q: %w", kind, page.AfterID, err)
		}
		if len(records) == 0 {
			return nil
		}
		_, first := place(records[0])
		ops := make([]Op, len(records))
		for i, r := range records {
			page.AfterTime, page.AfterID = place(r)
			if page.AfterID == "" { // the next page would be the first again
				return Errorf(ErrInvalid, "copy: one of the %s has no id", kind)
			}
			ops[i] = Put(r)
		}
		if err := c.write(ctx, kind, first, count, ops); err != nil {
			return err
		}
		if len(records) < copyPage {
			return nil
		}
	}
}

func (c *copying) keyValues(ctx context.Context, from Store) error {
	all, err := from.KeyValues(ctx, "")
	if err != nil {
		return fmt.Errorf("copy: read the key-values: %w", err)
	}
	for page := range slices.Chunk(all, copyPage) {
		ops := make([]Op, len(page))
		for i := range page {
			ops[i] = Put(&page[i])
		}
		if err := c.write(ctx, "key-values", page[0].Key, &c.done.KeyValues, ops); err != nil {
			return err
		}
	}
	return nil
}

// write stores a page of which first is the first id.
func (c *copying) write(ctx context.Context, kind, first string, count *int, ops []Op) error {
	err := ctx.Err() // whether or not the stores look at it
	if err == nil {
		err = c.to.Write(ctx, ops...)
	}
	if err != nil {
		return fmt.Errorf("copy: write the %s from %q on: %w", kind, first, err)
	}
	*count += len(ops)
	if c.progress != nil {
		c.progress(c.done)
	}
	return nil
}

// sameStore tells whether two stores are one, without the panic that comparing
// values of outsiders' types may end in.
func sameStore(a, b Store) bool { return reflect.ValueOf(a).Comparable() && a == b }
