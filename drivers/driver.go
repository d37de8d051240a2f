// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"context"

	"github.com/gocinder/cinderlib/connector"
)

// Driver is what every array must do. To write one: implement it, describe its
// options in a tagged struct, call Register in init, pass driverstest.Run, add
// the folder to drivers/all.
//
// What the library promises. A driver is called from many goroutines, but never
// with two calls on one volume (its snapshots and connections included) at the
// same time, in this process or in another that shares the locks path. Arguments
// are validated: sizes are positive and growing, ids are well formed and safe in
// a file name or URL, connector properties are complete for the driver's
// protocol. Records are complete and never nil; they are the driver's to read,
// not to change.
//
// What a driver promises. Every call may be repeated: it may have been cut off
// at any instant before, by a kill or by an answer that was lost. Objects on the
// array are found by the record's id (NameOnArray or what the vendor needs),
// even when the update of the call that made them was never stored. A call that
// fails has taken back what it did, as far as it can; what remains, the matching
// Delete or Disconnect removes. When ctx ends a call returns within a second
// where the array allows. No goroutine outlives Close. Errors are marked with
// the sentinels of this package, so that a caller can tell a full pool from a
// dead array; one marked ErrPrecondition, ErrInvalid or errors.ErrUnsupported
// says that nothing was changed. A call on a volume or snapshot that the array
// does not have is ErrNotFound, but for those that take something away, which
// succeed.
type Driver interface {
	// Stats asks the array for its capacities. There is at least one pool.
	Stats(ctx context.Context) (*Stats, error)
	Provisioner
	Snapshotter
	Exporter
	// Close lets go of connections. It may be called twice.
	Close() error
}

// Provisioner makes, changes and removes volumes.
type Provisioner interface {
	// CreateVolume makes v, of v.Size GiB, in which nobody's old data is to be
	// read. A volume of that name and size that is there already, from a call that
	// was cut off, is taken as made; of another size: ErrExists.
	// ErrExhausted: there is no room. ErrInvalid: the array cannot have the id in a
	// name.
	CreateVolume(ctx context.Context, v *Volume) (*VolumeUpdate, error)
	// DeleteVolume removes v and whatever a cut-off CreateVolume, CloneVolume or
	// VolumeFromSnapshot of v left behind. A volume that is not there is success.
	// ErrHasDependents, ErrInUse: the array refuses, nothing was changed.
	DeleteVolume(ctx context.Context, v *Volume) error
	// ExtendVolume grows v to size GiB, also while it is connected where the
	// array can. A volume that has that size already is success. It never shrinks
	// one, whatever the record says: a larger one is ErrInvalid.
	ExtendVolume(ctx context.Context, v *Volume, size int) error
	// CloneVolume makes v, of v.Size GiB, with the content of src and, behind
	// that, zeros. v.Size is at least src.Size.
	CloneVolume(ctx context.Context, v, src *Volume) (*VolumeUpdate, error)
	// InspectVolume tells what the array holds. ErrNotFound: it has no such
	// volume. It is how a call that was cut off is settled, so it must ask the
	// array and not a cache.
	InspectVolume(ctx context.Context, v *Volume) (*VolumeState, error)
}

// VolumeState is what the array says of a volume.
type VolumeState struct {
	SizeBytes int64 // the size a host sees
}

// Snapshotter makes, removes and uses snapshots. src and v are the volume that
// the snapshot is of.
type Snapshotter interface {
	// CreateSnapshot freezes the content of v at one instant. Where the array
	// cannot do that while v is connected: ErrInUse.
	CreateSnapshot(ctx context.Context, s *Snapshot, v *Volume) (*SnapshotUpdate, error)
	// DeleteSnapshot removes s; one that is not there is success.
	// ErrHasDependents: volumes were made from it and need it.
	DeleteSnapshot(ctx context.Context, s *Snapshot, v *Volume) error
	// VolumeFromSnapshot makes v, of v.Size GiB, with the content of s and,
	// behind that, zeros. v.Size is at least s.VolumeSize.
	VolumeFromSnapshot(ctx context.Context, v *Volume, s *Snapshot, src *Volume) (*VolumeUpdate, error)
}

// Exporter makes volumes reachable from hosts. Export and Unexport are of the
// volume, Connect and Disconnect of one host.
type Exporter interface {
	// Export makes v reachable in general (a target, its credentials). It is
	// called before each Connect; what is there is kept, secrets included.
	Export(ctx context.Context, v *Volume) (*VolumeUpdate, error)
	// Unexport takes back Export. It is called when the last connection is gone;
	// what is not exported is success.
	Unexport(ctx context.Context, v *Volume) error
	// Connect lets one host use v and says how. v has the update of Export. A
	// second call for the same host gives the same answer.
	Connect(ctx context.Context, v *Volume, a *Attachment) (*connector.ConnInfo, error)
	// Disconnect takes back Connect for one host, which has let go of the device.
	// A host that is not connected, or a volume that is gone, is success. While
	// a.Others holds another connection of the same host, as the driver tells
	// hosts apart, the host keeps its access.
	Disconnect(ctx context.Context, v *Volume, a *Attachment) error
}

// Attachment is what a driver is told of a connection.
type Attachment struct {
	ID     string                // the connection's
	Host   *connector.Properties // of the host to connect; not to be changed
	Mode   connector.AccessMode
	Others []*connector.Properties // of the hosts of the volume's other connections
	Force  bool                    // Disconnect only: go on after faults that can be left behind
}

// Reverter is for arrays that can put a snapshot's content back into its volume.
type Reverter interface {
	// RevertToSnapshot gives v, which nobody has connected, the content of s; s
	// stays. The volume may come back with the size of the snapshot: the library
	// grows it again. Repeating it is safe.
	RevertToSnapshot(ctx context.Context, v *Volume, s *Snapshot) error
}

// Retyper is for arrays that can change what the extra specs and the quality of
// service of a volume ask for, while hosts use it.
type Retyper interface {
	// RetypeVolume gives v, whose record has the type it was made with or given
	// last, what the type t asks for; nil is none. Repeating it is safe. What was
	// cut off is taken back by another call, with the type of the record.
	// errors.ErrUnsupported, ErrInvalid: it cannot be changed to that, and nothing
	// was.
	RetypeVolume(ctx context.Context, v *Volume, t *VolumeType) (*VolumeUpdate, error)
}

// Manager is for arrays that can list what they hold and take over volumes that
// the library did not make.
type Manager interface {
	// ListVolumes lists the array's volumes in the order of their references,
	// those that the library made included.
	ListVolumes(ctx context.Context) ([]ExistingVolume, error)
	// ManageVolume takes over the volume called ref as v: afterwards it is found
	// by v's id, and its size is v.Size GiB. ErrNotFound: there is none of that
	// name.
	ManageVolume(ctx context.Context, v *Volume, ref string) (*VolumeUpdate, error)
	// UnmanageVolume lets v go: it stays on the array with its data.
	UnmanageVolume(ctx context.Context, v *Volume) error
}

// ExistingVolume is one entry of Manager.ListVolumes.
type ExistingVolume struct {
	Reference string // what ManageVolume takes
	VolumeID  string // of the volume, if the name is one that the library gives
	SizeBytes int64
	// NotSafe says why it must not be managed; empty if it may be.
	NotSafe string
}
