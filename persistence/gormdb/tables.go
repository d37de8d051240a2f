// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// The tables are Cinder's, as cinderlib uses them: docs/database-schema.md
// describes them. A column has the name of the field in JSON.

const (
	volumesTable     = "volumes"
	snapshotsTable   = "snapshots"
	connectionsTable = "volume_attachment"
	keyValuesTable   = "cinderlib_persistence_key_value"
	typesTable       = "volume_types"
	specsTable       = "volume_type_extra_specs"
	qosTable         = "quality_of_service_specs"
	// versionTable is ours: it tells what made the other tables. Databases that
	// Python made have none.
	versionTable = "cinderlib_schema"
)

// schemaVersion is the version of the tables that this package makes and knows.
const schemaVersion = 1

// typeColumn is the one column that is never NULL and has a default of its own,
// the id of the type called defaultTypeName.
const (
	typeColumn      = "volume_type_id"
	defaultTypeName = "__DEFAULT__"
)

type volume = drivers.Volume

var volumeColumns = []column[volume]{
	str("id", 36, func(v *volume) *string { return &v.ID }),
	str("_name_id", 36, func(v *volume) *string { return &v.NameIDOverride }),
	flag("use_quota", true, func(v *volume) *bool { return &v.UseQuota }),
	str("ec2_id", 255, func(v *volume) *string { return &v.EC2ID }),
	str("user_id", 255, func(v *volume) *string { return &v.UserID }),
	str("project_id", 255, func(v *volume) *string { return &v.ProjectID }),
	str("snapshot_id", 36, func(v *volume) *string { return &v.SnapshotID }),
	str("cluster_name", 255, func(v *volume) *string { return &v.ClusterName }),
	str("host", 255, func(v *volume) *string { return &v.Host }),
	integer("size", func(v *volume) *int { return &v.Size }),
	str("availability_zone", 255, func(v *volume) *string { return &v.AvailabilityZone }),
	str("status", 255, func(v *volume) *string { return &v.Status }),
	str("attach_status", 255, func(v *volume) *string { return &v.AttachStatus }),
	str("migration_status", 255, func(v *volume) *string { return &v.MigrationStatus }),
	date("scheduled_at", func(v *volume) *time.Time { return &v.ScheduledAt }),
	date("launched_at", func(v *volume) *time.Time { return &v.LaunchedAt }),
	date("terminated_at", func(v *volume) *time.Time { return &v.TerminatedAt }),
	label("display_name", func(v *volume) *string { return &v.Name }),
	label("display_description", func(v *volume) *string { return &v.Description }),
	str("provider_location", 256, func(v *volume) *string { return &v.ProviderLocation }),
	str("provider_auth", 256, func(v *volume) *drivers.Secret { return &v.ProviderAuth }),
	str("provider_geometry", 255, func(v *volume) *string { return &v.ProviderGeometry }),
	str("provider_id", 255, func(v *volume) *string { return &v.ProviderID }),
	required(str(typeColumn, 36, func(v *volume) *string { return &v.VolumeTypeID })),
	str("source_volid", 36, func(v *volume) *string { return &v.SourceVolumeID }),
	str("encryption_key_id", 36, func(v *volume) *string { return &v.EncryptionKeyID }),
	str("consistencygroup_id", 36, func(v *volume) *string { return &v.ConsistencyGroupID }),
	str("group_id", 36, func(v *volume) *string { return &v.GroupID }),
	flag("bootable", false, func(v *volume) *bool { return &v.Bootable }),
	flag("multiattach", false, func(v *volume) *bool { return &v.MultiAttach }),
	str("replication_status", 255, func(v *volume) *string { return &v.ReplicationStatus }),
	str("replication_extended_status", 255, func(v *volume) *string { return &v.ReplicationExtendedStatus }),
	str("replication_driver_data", 255, func(v *volume) *string { return &v.ReplicationDriverData }),
	str("previous_status", 255, func(v *volume) *string { return &v.PreviousStatus }),
	str("service_uuid", 36, func(v *volume) *string { return &v.ServiceUUID }),
	flag("shared_targets", true, func(v *volume) *bool { return &v.SharedTargets }),
	date("created_at", func(v *volume) *time.Time { return &v.CreatedAt }),
	date("updated_at", func(v *volume) *time.Time { return &v.UpdatedAt }),
	date("deleted_at", func(v *volume) *time.Time { return &v.DeletedAt }),
	flag("deleted", false, func(v *volume) *bool { return &v.Deleted }),
}

type snapshot = drivers.Snapshot

var snapshotColumns = []column[snapshot]{
	str("id", 36, func(s *snapshot) *string { return &s.ID }),
	str("user_id", 255, func(s *snapshot) *string { return &s.UserID }),
	str("project_id", 255, func(s *snapshot) *string { return &s.ProjectID }),
	flag("use_quota", true, func(s *snapshot) *bool { return &s.UseQuota }),
	str("volume_id", 36, func(s *snapshot) *string { return &s.VolumeID }),
	str("cgsnapshot_id", 36, func(s *snapshot) *string { return &s.CGSnapshotID }),
	str("group_snapshot_id", 36, func(s *snapshot) *string { return &s.GroupSnapshotID }),
	str("status", 255, func(s *snapshot) *string { return &s.Status }),
	str("progress", 255, func(s *snapshot) *string { return &s.Progress }),
	integer("volume_size", func(s *snapshot) *int { return &s.VolumeSize }),
	label("display_name", func(s *snapshot) *string { return &s.Name }),
	label("display_description", func(s *snapshot) *string { return &s.Description }),
	str("encryption_key_id", 36, func(s *snapshot) *string { return &s.EncryptionKeyID }),
	required(str(typeColumn, 36, func(s *snapshot) *string { return &s.VolumeTypeID })),
	str("provider_location", 255, func(s *snapshot) *string { return &s.ProviderLocation }),
	str("provider_id", 255, func(s *snapshot) *string { return &s.ProviderID }),
	str("provider_auth", 255, func(s *snapshot) *drivers.Secret { return &s.ProviderAuth }),
	date("created_at", func(s *snapshot) *time.Time { return &s.CreatedAt }),
	date("updated_at", func(s *snapshot) *time.Time { return &s.UpdatedAt }),
	date("deleted_at", func(s *snapshot) *time.Time { return &s.DeletedAt }),
	flag("deleted", false, func(s *snapshot) *bool { return &s.Deleted }),
}

type connection = persistence.Connection

// infoColumn and hostColumn are connection_info and connector: two texts of
// JSON, of which the second repeats a part of the first.
const (
	infoColumn = "connection_info"
	hostColumn = "connector"
)

// row is a connection with the texts that connection_info and connector have in
// the table.
type row struct {
	connection
	info, host string
}

var connectionColumns = []column[row]{
	str("id", 36, func(c *row) *string { return &c.ID }),
	str("volume_id", 36, func(c *row) *string { return &c.VolumeID }),
	str("instance_uuid", 36, func(c *row) *string { return &c.InstanceUUID }),
	str("attached_host", 255, func(c *row) *string { return &c.AttachedHost }),
	str("mountpoint", 255, func(c *row) *string { return &c.Mountpoint }),
	date("attach_time", func(c *row) *time.Time { return &c.AttachTime }),
	date("detach_time", func(c *row) *time.Time { return &c.DetachTime }),
	str("attach_status", 255, func(c *row) *string { return &c.AttachStatus }),
	str("attach_mode", 36, func(c *row) *connector.AccessMode { return &c.AttachMode }),
	unbounded(str(infoColumn, 0, func(c *row) *string { return &c.info })),
	unbounded(str(hostColumn, 0, func(c *row) *string { return &c.host })),
	date("created_at", func(c *row) *time.Time { return &c.CreatedAt }),
	date("updated_at", func(c *row) *time.Time { return &c.UpdatedAt }),
	date("deleted_at", func(c *row) *time.Time { return &c.DeletedAt }),
	flag("deleted", false, func(c *row) *bool { return &c.Deleted }),
}

func required[T any](c column[T]) column[T] { c.required = true; return c }

func unbounded[T any](c column[T]) column[T] { c.form = long; return c }

// mapTable holds a map of a record, a row a key.
type mapTable[T any] struct {
	field string // as JSON calls the map
	table string
	owner string // the column with the record's id
	long  bool   // the value is TEXT
	at    func(*T) *map[string]string
}

var volumeMaps = []mapTable[volume]{
	{"metadata", "volume_metadata", "volume_id", false, func(v *volume) *map[string]string { return &v.Metadata }},
	{"admin_metadata", "volume_admin_metadata", "volume_id", false, func(v *volume) *map[string]string { return &v.AdminMetadata }},
	{"glance_metadata", "volume_glance_metadata", "volume_id", true, func(v *volume) *map[string]string { return &v.GlanceMetadata }},
}

var snapshotMaps = []mapTable[snapshot]{
	{"metadata", "snapshot_metadata", "snapshot_id", false, func(s *snapshot) *map[string]string { return &s.Metadata }},
}

// The rows of quality_of_service_specs: the root, whose value is the name, and
// its children, of which one is the consumer.
const (
	qosRoot     = "QoS_Specs_Name"
	qosConsumer = "consumer"
)
