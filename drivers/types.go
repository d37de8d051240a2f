// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/internal/secret"
)

// GiB is the unit of every size that is called a size in GiB, in bytes.
const GiB = 1 << 30

// Secret is text that prints as *** everywhere; Reveal gives it.
type Secret = secret.Text

// Statuses of volumes and snapshots. A driver's update may store others.
const (
	StatusCreating      = "creating"
	StatusAvailable     = "available"
	StatusInUse         = "in-use"
	StatusExtending     = "extending"
	StatusRetyping      = "retyping"
	StatusReverting     = "reverting" // volumes
	StatusRestoring     = "restoring" // the snapshot that a volume is being reverted to
	StatusManaging      = "managing"
	StatusDeleting      = "deleting"
	StatusDeleted       = "deleted"
	StatusError         = "error"
	StatusErrorDeleting = "error_deleting"
)

// Volume is the record of one volume: what the store keeps, what a driver
// reads, what JSON carries. Field for field it is Cinder's Volume object, whose
// names JSON and databases use. Empty text and zero times mean null.
//
// A driver never changes the record it is given; it returns a VolumeUpdate.
type Volume struct {
	ID                        string
	NameIDOverride            string // _name_id: names the array's object after a migration; use NameID
	EC2ID                     string
	UserID                    string
	ProjectID                 string
	UseQuota                  bool
	SnapshotID                string // the snapshot it was made from
	ClusterName               string
	Host                      string // HOST@BACKEND#POOL
	Size                      int    // GiB
	AvailabilityZone          string // the backend's name in dumps of cinderlib before 0.3
	Status                    string
	AttachStatus              string
	MigrationStatus           string
	ScheduledAt               time.Time
	LaunchedAt                time.Time
	TerminatedAt              time.Time
	Name                      string // display_name
	Description               string // display_description
	ProviderID                string
	ProviderLocation          string
	ProviderAuth              Secret
	ProviderGeometry          string
	VolumeTypeID              string
	SourceVolumeID            string // source_volid: the volume it was cloned from
	EncryptionKeyID           string
	ConsistencyGroupID        string
	GroupID                   string
	Deleted                   bool
	Bootable                  bool
	MultiAttach               bool
	ReplicationStatus         string
	ReplicationExtendedStatus string
	ReplicationDriverData     string
	PreviousStatus            string // where a transitional or error status came from
	Metadata                  map[string]string
	AdminMetadata             map[string]string
	GlanceMetadata            map[string]string
	VolumeType                *VolumeType
	ServiceUUID               string
	SharedTargets             bool
	CreatedAt                 time.Time
	UpdatedAt                 time.Time
	DeletedAt                 time.Time

	Wire *ovo.Wire // what JSON held beyond these fields
}

// NameID is the id that names the volume on the array: ID, unless a migration
// left it with another.
func (v *Volume) NameID() string {
	if v.NameIDOverride != "" {
		return v.NameIDOverride
	}
	return v.ID
}

// NameOnArray is the name Cinder gives the volume on the array.
func (v *Volume) NameOnArray() string { return "volume-" + v.NameID() }

// Backend is the name of the volume's backend: what stands between @ and # of
// Host or, in dumps of cinderlib before 0.3, the availability zone.
func (v *Volume) Backend() string {
	_, rest, ok := strings.Cut(v.Host, "@")
	if !ok {
		return v.AvailabilityZone
	}
	name, _, _ := strings.Cut(rest, "#")
	return name
}

// Pool is the name of the volume's pool, what stands after # of Host.
func (v *Volume) Pool() string {
	_, pool, _ := strings.Cut(v.Host, "#")
	return pool
}

// ExtraSpecs are the extra specs of the volume's type. Do not change the map.
func (v *Volume) ExtraSpecs() map[string]string {
	if v.VolumeType == nil {
		return nil
	}
	return v.VolumeType.ExtraSpecs
}

// QoS is the volume's quality of service, nil if it has none.
func (v *Volume) QoS() *QoSSpecs {
	if v.VolumeType == nil {
		return nil
	}
	return v.VolumeType.QoS
}

// Clone returns a deep copy.
func (v *Volume) Clone() *Volume {
	c := *v
	c.Metadata = maps.Clone(v.Metadata)
	c.AdminMetadata = maps.Clone(v.AdminMetadata)
	c.GlanceMetadata = maps.Clone(v.GlanceMetadata)
	if v.VolumeType != nil {
		c.VolumeType = v.VolumeType.Clone()
	}
	return &c
}

// VolumeType carries the extra specs and the quality of service of one volume;
// its ID and Name are the volume's id. Types are not shared.
type VolumeType struct {
	ID          string
	Name        string
	Description string
	IsPublic    bool
	Projects    []string
	ExtraSpecs  map[string]string
	QoSSpecsID  string
	QoS         *QoSSpecs
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   time.Time
	Deleted     bool

	Wire *ovo.Wire // what JSON held beyond these fields
}

// Clone returns a deep copy.
func (t *VolumeType) Clone() *VolumeType {
	c := *t
	c.Projects = slices.Clone(t.Projects)
	c.ExtraSpecs = maps.Clone(t.ExtraSpecs)
	if t.QoS != nil {
		q := *t.QoS
		q.Specs = maps.Clone(t.QoS.Specs)
		c.QoS = &q
	}
	return &c
}

// QoSSpecs is a quality of service.
type QoSSpecs struct {
	ID       string
	Name     string
	Consumer string // back-end, front-end or both
	Specs    map[string]string

	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time
	Deleted   bool

	Wire *ovo.Wire // what JSON held beyond these fields
}

// Snapshot is the record of one snapshot, field for field Cinder's Snapshot
// object. The remarks on Volume hold.
type Snapshot struct {
	ID               string
	UserID           string
	ProjectID        string
	UseQuota         bool
	VolumeID         string
	CGSnapshotID     string
	GroupSnapshotID  string
	Status           string
	Progress         string // the backend's name; use Backend
	VolumeSize       int    // GiB
	Name             string // display_name
	Description      string // display_description
	EncryptionKeyID  string
	VolumeTypeID     string
	ProviderLocation string
	ProviderID       string
	Metadata         map[string]string
	ProviderAuth     Secret
	CreatedAt        time.Time
	UpdatedAt        time.Time
	DeletedAt        time.Time
	Deleted          bool

	Wire *ovo.Wire // what JSON held beyond these fields
}

// NameOnArray is the name Cinder gives the snapshot on the array.
func (s *Snapshot) NameOnArray() string { return "snapshot-" + s.ID }

// Backend is the name of the snapshot's backend.
func (s *Snapshot) Backend() string { return s.Progress }

// Clone returns a deep copy.
func (s *Snapshot) Clone() *Snapshot {
	c := *s
	c.Metadata = maps.Clone(s.Metadata)
	return &c
}

// VolumeUpdate is what a driver wants changed in a volume's record. A nil field
// leaves the record's as it is; a map replaces the record's whole map.
type VolumeUpdate struct {
	ProviderID            *string
	ProviderLocation      *string
	ProviderAuth          *Secret
	ProviderGeometry      *string
	ReplicationStatus     *string
	ReplicationDriverData *string
	Metadata              map[string]string
	AdminMetadata         map[string]string
}

// Apply makes the update's changes in v. A nil update changes nothing.
func (u *VolumeUpdate) Apply(v *Volume) {
	if u == nil {
		return
	}
	set(&v.ProviderID, u.ProviderID)
	set(&v.ProviderLocation, u.ProviderLocation)
	set(&v.ProviderAuth, u.ProviderAuth)
	set(&v.ProviderGeometry, u.ProviderGeometry)
	set(&v.ReplicationStatus, u.ReplicationStatus)
	set(&v.ReplicationDriverData, u.ReplicationDriverData)
	if u.Metadata != nil {
		v.Metadata = maps.Clone(u.Metadata)
	}
	if u.AdminMetadata != nil {
		v.AdminMetadata = maps.Clone(u.AdminMetadata)
	}
}

// SnapshotUpdate is what a driver wants changed in a snapshot's record.
type SnapshotUpdate struct {
	ProviderID       *string
	ProviderLocation *string
	ProviderAuth     *Secret
	Metadata         map[string]string
}

// Apply makes the update's changes in s. A nil update changes nothing.
func (u *SnapshotUpdate) Apply(s *Snapshot) {
	if u == nil {
		return
	}
	set(&s.ProviderID, u.ProviderID)
	set(&s.ProviderLocation, u.ProviderLocation)
	set(&s.ProviderAuth, u.ProviderAuth)
	if u.Metadata != nil {
		s.Metadata = maps.Clone(u.Metadata)
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
