// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"maps"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// CreateOption is an option of Backend.CreateVolume and Backend.ManageVolume.
type CreateOption interface{ applyCreate(*volumeParams) }

// CopyOption is an option of Volume.Clone and Snapshot.CreateVolume.
type CopyOption interface{ applyCopy(*volumeParams) }

// SnapshotOption is an option of Volume.CreateSnapshot.
type SnapshotOption interface{ applySnapshot(*snapshotParams) }

// UpdateOption is an option of Volume.Update and Snapshot.Update.
type UpdateOption interface{ applyUpdate(*updateParams) }

// RetypeOption is an option of Volume.Retype.
type RetypeOption interface{ applyRetype(*typeParams) }

// ConnectOption is an option of Volume.Connect, Volume.Attach and
// Connection.Update.
type ConnectOption interface{ applyConnect(*connectParams) }

// DetachOption is an option of Detach and Disconnect of volumes and connections.
type DetachOption interface{ applyDetach(*detachParams) }

// VolumeOption is valid wherever a volume is made.
type VolumeOption interface {
	CreateOption
	CopyOption
}

// NewOption is valid wherever a volume or snapshot is made.
type NewOption interface {
	VolumeOption
	SnapshotOption
}

// LabelOption is valid wherever a volume or snapshot is made, and changes it
// later.
type LabelOption interface {
	NewOption
	UpdateOption
}

// TypeOption is valid where a volume is made or retyped.
type TypeOption interface {
	VolumeOption
	RetypeOption
}

// typeParams are nil where they were not given.
type typeParams struct {
	extraSpecs map[string]string
	qos        *drivers.QoSSpecs
}

type volumeParams struct {
	typeParams

	id               string
	name             *string
	description      *string
	metadata         map[string]string
	adminMetadata    map[string]string
	bootable         *bool
	multiAttach      *bool
	availabilityZone *string
	host             string
	pool             string
	size             int
	progress         func(done, total int64)
}

type snapshotParams struct {
	id, name, description string
	metadata              map[string]string
}

type updateParams struct {
	name, description       *string
	metadata, adminMetadata map[string]string
	bootable                *bool
}

type connectParams struct {
	id           string
	mode         connector.AccessMode
	attachedHost *string
	mountpoint   *string
	instanceUUID *string
	multipath    *bool
}

type detachParams struct{ force, ignoreErrors bool }

type label func(name, description **string, metadata *map[string]string)

func (l label) applyCreate(p *volumeParams) { l(&p.name, &p.description, &p.metadata) }
func (l label) applyCopy(p *volumeParams)   { l(&p.name, &p.description, &p.metadata) }
func (l label) applyUpdate(p *updateParams) { l(&p.name, &p.description, &p.metadata) }
func (l label) applySnapshot(p *snapshotParams) {
	name, description := &p.name, &p.description
	l(&name, &description, &p.metadata)
	p.name, p.description = *name, *description
}

// WithName sets the display name, one line of at most 255 characters. It is not
// the name on the array.
func WithName(name string) LabelOption {
	return label(func(n, _ **string, _ *map[string]string) { *n = &name })
}

// WithDescription sets the display description, at most 255 characters.
func WithDescription(text string) LabelOption {
	return label(func(_, d **string, _ *map[string]string) { *d = &text })
}

// WithMetadata sets the whole metadata map.
func WithMetadata(m map[string]string) LabelOption {
	m = copied(m)
	return label(func(_, _ **string, p *map[string]string) { *p = m })
}

// copied returns a copy that is not nil, so that an empty map says "none".
func copied(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	maps.Copy(c, m)
	return c
}

type idOption string

func (o idOption) applyCreate(p *volumeParams)     { p.id = string(o) }
func (o idOption) applyCopy(p *volumeParams)       { p.id = string(o) }
func (o idOption) applySnapshot(p *snapshotParams) { p.id = string(o) }
func (o idOption) applyConnect(p *connectParams)   { p.id = string(o) }

// IDOption is valid for everything that has an id.
type IDOption interface {
	NewOption
	ConnectOption
}

// WithID sets the id of the new object; without it, it gets a random UUID. An id
// that is in use is ErrExists, and Resource gives what has it: a caller that
// repeats a create finds its volume there.
func WithID(id string) IDOption { return idOption(id) }

type volumeOption func(*volumeParams)

func (o volumeOption) applyCreate(p *volumeParams) { o(p) }
func (o volumeOption) applyCopy(p *volumeParams)   { o(p) }

// WithPool chooses the pool, one of Backend.PoolNames; without it a new volume
// gets the first pool, a copy the pool of its source.
func WithPool(name string) VolumeOption {
	return volumeOption(func(p *volumeParams) { p.pool = name })
}

// WithHost sets the whole host field, HOST@BACKEND#POOL; WithPool then means
// nothing. The backend in it must be the volume's.
func WithHost(host string) VolumeOption {
	return volumeOption(func(p *volumeParams) { p.host = host })
}

// WithAvailabilityZone sets the availability zone, which the library only keeps.
func WithAvailabilityZone(zone string) VolumeOption {
	return volumeOption(func(p *volumeParams) { p.availabilityZone = &zone })
}

// WithMultiAttach marks the volume for use by several hosts at once, which some
// arrays must know when they make it.
func WithMultiAttach(on bool) VolumeOption {
	return volumeOption(func(p *volumeParams) { p.multiAttach = &on })
}

type typeOption func(*typeParams)

func (o typeOption) applyCreate(p *volumeParams) { o(&p.typeParams) }
func (o typeOption) applyCopy(p *volumeParams)   { o(&p.typeParams) }
func (o typeOption) applyRetype(p *typeParams)   { o(p) }

// WithExtraSpecs sets the driver's extra specs, all of them.
func WithExtraSpecs(specs map[string]string) TypeOption {
	specs = copied(specs)
	return typeOption(func(p *typeParams) { p.extraSpecs = specs })
}

// WithQoSSpecs sets the quality of service, enforced by the array.
func WithQoSSpecs(specs map[string]string) TypeOption {
	q := &drivers.QoSSpecs{Consumer: "back-end", Specs: copied(specs)}
	return typeOption(func(p *typeParams) { p.qos = q })
}

type stateOption struct {
	create func(*volumeParams)
	update func(*updateParams)
}

func (o stateOption) applyCreate(p *volumeParams) { o.create(p) }
func (o stateOption) applyCopy(p *volumeParams)   { o.create(p) }
func (o stateOption) applyUpdate(p *updateParams) { o.update(p) }

// StateOption is valid where a volume is made or updated.
type StateOption interface {
	VolumeOption
	UpdateOption
}

// WithBootable marks the volume as bootable, which the library only keeps.
func WithBootable(on bool) StateOption {
	return stateOption{
		func(p *volumeParams) { p.bootable = &on },
		func(p *updateParams) { p.bootable = &on },
	}
}

// WithAdminMetadata sets the volume's whole admin metadata map.
func WithAdminMetadata(m map[string]string) StateOption {
	m = copied(m)
	return stateOption{
		func(p *volumeParams) { p.adminMetadata = m },
		func(p *updateParams) { p.adminMetadata = m },
	}
}

type copyOption func(*volumeParams)

func (o copyOption) applyCopy(p *volumeParams) { o(p) }

// WithSize makes the copy bigger than its source, in GiB.
func WithSize(size int) CopyOption {
	return copyOption(func(p *volumeParams) { p.size = size })
}

// WithProgress has a copy through this host report how many bytes are done,
// a few times a second, from one goroutine, never after the verb returned. A
// copy that the array makes reports nothing.
func WithProgress(report func(done, total int64)) CopyOption {
	return copyOption(func(p *volumeParams) { p.progress = report })
}

type connectOption func(*connectParams)

func (o connectOption) applyConnect(p *connectParams) { o(p) }

// WithAttachMode sets how the host may use the volume, ReadWrite or ReadOnly.
func WithAttachMode(mode connector.AccessMode) ConnectOption {
	return connectOption(func(p *connectParams) { p.mode = mode })
}

// WithAttachedHost sets the attached_host field.
func WithAttachedHost(name string) ConnectOption {
	return connectOption(func(p *connectParams) { p.attachedHost = &name })
}

// WithMountpoint sets the mountpoint field.
func WithMountpoint(path string) ConnectOption {
	return connectOption(func(p *connectParams) { p.mountpoint = &path })
}

// WithInstanceUUID sets the instance_uuid field.
func WithInstanceUUID(id string) ConnectOption {
	return connectOption(func(p *connectParams) { p.instanceUUID = &id })
}

// WithMultipath has Volume.Attach use several paths or one, whatever the
// backend's options say.
func WithMultipath(on bool) ConnectOption {
	return connectOption(func(p *connectParams) { p.multipath = &on })
}

type detachOption func(*detachParams)

func (o detachOption) applyDetach(p *detachParams) { o(p) }

// WithForce goes on after faults, to leave as little as possible behind; they
// are returned together at the end. Data that was not written yet may be lost.
func WithForce() DetachOption {
	return detachOption(func(p *detachParams) { p.force = true })
}

// WithIgnoreErrors takes faults of the host's side as done; they are logged.
func WithIgnoreErrors() DetachOption {
	return detachOption(func(p *detachParams) { p.ignoreErrors = true })
}
