// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"context"
	"fmt"
	"time"

	"github.com/gocinder/cinderlib/drivers"
)

// Store keeps records. It may be called from any goroutine. Records are copied
// in and out: changing one that was handed in or returned changes nothing in the
// store. A Store only stores; it checks no state and knows no defaults.
//
// Outsiders implement Store, so it grows by optional interfaces only.
type Store interface {
	// Volumes, Snapshots and Connections return the records that match, oldest
	// first: by CreatedAt, then by ID. No match is an empty result, not an error.
	// Records deleted softly are not returned. One that cannot be read is a
	// RecordError; the records that can be read come with it.
	Volumes(ctx context.Context, f VolumeFilter) ([]*drivers.Volume, error)
	Snapshots(ctx context.Context, f SnapshotFilter) ([]*drivers.Snapshot, error)
	Connections(ctx context.Context, f ConnectionFilter) ([]*Connection, error)
	// KeyValues returns the one with the key, or all for an empty key, by key.
	KeyValues(ctx context.Context, key string) ([]KeyValue, error)
	// Write does all the operations, in order, or none: when it returns nil they
	// will survive a crash, as far as the store survives one at all. A store that
	// cannot do several at once does them in order and stops at the first error.
	Write(ctx context.Context, ops ...Op) error
	// Close ends the use of the store. It may be called twice.
	Close() error
}

// Op is one operation of Store.Write; make it with Insert, Update, Put or
// Delete.
type Op struct {
	Kind OpKind
	// Record is the record to write or delete: *drivers.Volume,
	// *drivers.Snapshot, *Connection or *KeyValue. Delete needs its id or key only.
	Record any
	// Old is Update's: the record as the writer last saw it.
	Old any
}

// OpKind says what an Op does.
type OpKind int

// The kinds of Op.
const (
	// OpInsert adds a record. ErrExists: there is one with its id.
	OpInsert OpKind = iota + 1
	// OpUpdate changes the fields that differ between Old and Record, and leaves
	// what others changed meanwhile in other fields. ErrNotFound: the record is
	// gone. ErrConflict: Status (of a connection AttachStatus) is among the
	// fields, and it is not what Old has.
	OpUpdate
	// OpPut adds a record or replaces it whole.
	OpPut
	// OpDelete removes a record; one that is not there is success.
	OpDelete
)

// Insert adds a record, which must not be there.
func Insert[R Record](r R) Op { return Op{Kind: OpInsert, Record: r} }

// Update changes the fields in which r differs from old.
func Update[R Record](old, r R) Op { return Op{Kind: OpUpdate, Record: r, Old: old} }

// Put adds or replaces a record.
func Put[R Record](r R) Op { return Op{Kind: OpPut, Record: r} }

// Delete removes a record; only its id or key matters.
func Delete[R Record](r R) Op { return Op{Kind: OpDelete, Record: r} }

// VolumeFilter selects volumes. What is set must match; the zero filter selects
// all.
type VolumeFilter struct {
	ID      string
	Name    string // exactly
	Backend string // as drivers.Volume.Backend gives it
	Page
}

// SnapshotFilter selects snapshots.
type SnapshotFilter struct {
	ID       string
	Name     string // exactly
	VolumeID string
	Backend  string
	Page
}

// ConnectionFilter selects connections.
type ConnectionFilter struct {
	ID       string
	VolumeID string
	Backend  string // of their volumes; a connection whose volume is not stored has none
	Page
}

// Page cuts a long result into pages: at most Limit records (0: all) that come
// after the one with AfterTime and AfterID, which need not exist any more. The
// zero Page is the whole result.
type Page struct {
	Limit     int
	AfterTime time.Time
	AfterID   string
}

// Skip tells whether a record comes at or before the end of the last page.
func (p Page) Skip(created time.Time, id string) bool {
	if p.AfterID == "" {
		return false
	}
	if c := created.Compare(p.AfterTime); c != 0 {
		return c < 0
	}
	return id <= p.AfterID
}

// RecordError names a record that is in the store and cannot be read: it is of
// ErrDataLoss. Errors of several records come joined.
type RecordError struct {
	Kind string // volume, snapshot or connection
	ID   string
	Err  error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%s %s cannot be read: %v", e.Kind, e.ID, e.Err)
}

// Unwrap gives ErrDataLoss beside the cause.
func (e *RecordError) Unwrap() []error { return []error{ErrDataLoss, e.Err} }

// Ephemeral is implemented by stores whose records end with the process, or are
// seen by no other. The library then takes no locks against other processes.
type Ephemeral interface {
	Ephemeral() bool
}

// Locking is implemented by stores that can keep locks for all who share them,
// on whatever host.
type Locking interface {
	// Locks returns nil if the store has no locks to offer: locks between the
	// processes of this host are enough.
	Locks() Locker
}

// Locker is a set of named locks. The end of a holder, however it comes, releases
// its locks.
type Locker interface {
	// Lock waits until name is free or ctx ends; then the error wraps ctx.Err().
	// unlock may be called again, and from any goroutine.
	Lock(ctx context.Context, name string) (unlock func(), err error)
	// TryLock locks name if it is free. That it is not is no error.
	TryLock(ctx context.Context, name string) (unlock func(), ok bool, err error)
}
