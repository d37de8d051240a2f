// SPDX-License-Identifier: Apache-2.0

// Package ceph is what the driver asks of a Ceph cluster: calls of librados and
// librbd, one to one, with a context and errors that say what failed. Package
// librbd has it from the libraries, fakeceph in memory; cephtest shows that both
// answer alike.
package ceph

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// Cluster is a connection. It is safe for use by many goroutines, and survives
// that the cluster goes away and comes back.
//
// A call ends with its context, or when the timeouts of the connection are over.
// What it had the cluster do may then still happen; a later call on the same
// image waits for that. Errors that the cluster gives are an *Error.
type Cluster interface {
	FSID() string
	// Option gives a setting of the client, as the configuration file, the
	// monitors and the defaults of the library make it.
	Option(name string) (string, error)
	// Command has the monitors do something. Both texts are JSON.
	Command(ctx context.Context, command string) ([]byte, error)
	// Pool gives access to the images of a pool. ENOENT: there is none.
	Pool(ctx context.Context, name string) (Pool, error)
	// Close ends the connection. It waits for calls that are under way, but not
	// for long, and not for those whose cluster does not answer.
	Close() error
}

// Pool is the images of one pool.
type Pool interface {
	// Images lists them by name.
	Images(ctx context.Context) ([]string, error)
	// Create makes an image that reads as zeros. EEXIST.
	Create(ctx context.Context, name string, bytes int64, o ImageOptions) error
	// Clone makes an image on top of a snapshot, of its size. ENOENT; EEXIST;
	// EINVAL: the snapshot is not protected, where the cluster wants that.
	Clone(ctx context.Context, parent, snapshot, name string, o ImageOptions) error
	// Copy makes an image with the content of another, of its size, without its
	// snapshots. One that was cut off is left incomplete.
	Copy(ctx context.Context, from, name string, o ImageOptions) error
	// Remove removes an image. ENOENT; ENOTEMPTY: it has snapshots; EBUSY: it is
	// open somewhere.
	Remove(ctx context.Context, name string) error
	// Rename gives an image another name. ENOENT, EEXIST.
	Rename(ctx context.Context, from, to string) error
	// TrashMove takes an image out of the list; it cannot be removed for good
	// before delay is over. It may have snapshots and clones.
	TrashMove(ctx context.Context, name string, delay time.Duration) error
	Trash(ctx context.Context) ([]Trashed, error)
	// TrashRemove removes an image for good. ENOTEMPTY; EPERM: the delay is not
	// over.
	TrashRemove(ctx context.Context, id string) error
	// Open opens an image, or one of its snapshots, which is read-only. ENOENT.
	Open(ctx context.Context, name string, o OpenOptions) (Image, error)
}

// ImageOptions are of a new image.
type ImageOptions struct {
	Features uint64 // 0: those that the client is configured for
	Order    int    // of the size of its objects: 22 is 4 MiB; 0: as the client is configured
}

// OpenOptions say how an image is opened.
type OpenOptions struct {
	Snapshot string // empty for the image itself
	ReadOnly bool
}

// Features of an image (rbd/features.h).
const (
	FeatureLayering      uint64 = 1 << 0
	FeatureStriping      uint64 = 1 << 1
	FeatureExclusiveLock uint64 = 1 << 2
	FeatureObjectMap     uint64 = 1 << 3
	FeatureFastDiff      uint64 = 1 << 4
	FeatureDeepFlatten   uint64 = 1 << 5
	FeatureJournaling    uint64 = 1 << 6
	FeatureDataPool      uint64 = 1 << 7
	FeatureOperations    uint64 = 1 << 8
	FeatureMigrating     uint64 = 1 << 9
)

// Image is an open image. Its calls come one after the other.
type Image interface {
	Info(ctx context.Context) (*Info, error)
	// Resize grows or shrinks it. EROFS, as all that changes it, if it was opened
	// read-only.
	Resize(ctx context.Context, bytes int64) error
	// Flatten copies what it has from its parent, and forgets that. EINVAL: it
	// has no parent. When ctx ends it stops soon.
	Flatten(ctx context.Context) error
	// Parent is the snapshot it is a clone of: of the image, or of the snapshot
	// that is open. ENOENT: it is none.
	Parent(ctx context.Context) (*Parent, error)
	// Children lists the clones of its snapshots, or of the one that is open,
	// those in the trash included.
	Children(ctx context.Context) ([]Child, error)
	// Watchers lists who has it open to write, this connection left out.
	Watchers(ctx context.Context) ([]string, error)
	// SetFeatures switches features on or off.
	SetFeatures(ctx context.Context, mask uint64, on bool) error

	// Snapshots lists them in the order they were made.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	CreateSnapshot(ctx context.Context, name string) error // EEXIST
	RemoveSnapshot(ctx context.Context, name string) error // ENOENT; EBUSY: it is protected
	RenameSnapshot(ctx context.Context, from, to string) error
	// Protect makes a snapshot one that clones can be made of. EBUSY: it is.
	Protect(ctx context.Context, snapshot string) error
	// Unprotect takes that back. EINVAL: it is not; EBUSY: it has clones, where
	// the cluster minds.
	Unprotect(ctx context.Context, snapshot string) error
	// RollBack gives the image the content and the size of a snapshot.
	RollBack(ctx context.Context, snapshot string) error

	Metadata(ctx context.Context) (map[string]string, error)
	SetMetadata(ctx context.Context, key, value string) error
	RemoveMetadata(ctx context.Context, key string) error // ENOENT

	// ReadAt and WriteAt do all of p or fail. EINVAL: past the end.
	ReadAt(ctx context.Context, p []byte, at int64) error
	WriteAt(ctx context.Context, p []byte, at int64) error

	// Close lets the image go. A call that was given up is waited for in the
	// background.
	Close() error
}

// Info is what an image says of itself.
type Info struct {
	ID         string
	Bytes      int64
	Features   uint64
	Order      int
	StripeUnit int64 // bytes
}

// Snapshot is one of an image.
type Snapshot struct {
	ID        uint64
	Name      string
	Bytes     int64
	Protected bool
	// Trashed: it was removed while it had clones, and goes with them. Its name
	// is no longer that which it was given.
	Trashed bool
}

// Parent names a snapshot.
type Parent struct {
	Pool, Namespace, Image, ImageID string
	Snapshot                        string
	SnapshotTrashed                 bool // its name is no longer that which it was given
	InTrash                         bool // the image is, and Image may be empty
}

// Child names an image.
type Child struct {
	Pool, Namespace, Image, ImageID string
	InTrash                         bool
}

// Trashed is an image in the trash.
type Trashed struct {
	ID, Name string
	ByUser   bool      // moved there by a client, not by a mirror or a migration
	Until    time.Time // it can be removed for good after that
}

// Error is what a call failed with. It unwraps to its number.
type Error struct {
	Op    string // create, clone
	What  string // the object, as people write it: POOL/IMAGE@SNAPSHOT
	Errno syscall.Errno
	Says  string // what the cluster says beside, if anything
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Op, e.What, e.Errno)
	if e.Says != "" {
		text += " (" + e.Says + ")"
	}
	return text
}

// Unwrap gives the number.
func (e *Error) Unwrap() error { return e.Errno }
