// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/ovo"
)

// VolumeSchema is how volumes are written in JSON. Its relations are
// volume_attachment and snapshots.
func VolumeSchema() *ovo.Schema[Volume] { return volumeSchema() }

// SnapshotSchema is how snapshots are written in JSON. Its relation is volume.
func SnapshotSchema() *ovo.Schema[Snapshot] { return snapshotSchema() }

// Versions, names and order are those of the object classes of Cinder 21 (Zed).
// All their fields are here; what is not listed is of a later version.

var volumeSchema = sync.OnceValue(func() *ovo.Schema[Volume] {
	return ovo.New("Volume", "1.9", func(v *Volume) **ovo.Wire { return &v.Wire },
		ovo.String("id", func(v *Volume) *string { return &v.ID }),
		ovo.String("_name_id", func(v *Volume) *string { return &v.NameIDOverride }),
		ovo.String("ec2_id", func(v *Volume) *string { return &v.EC2ID }),
		ovo.String("user_id", func(v *Volume) *string { return &v.UserID }),
		ovo.String("project_id", func(v *Volume) *string { return &v.ProjectID }),
		ovo.Bool("use_quota", func(v *Volume) *bool { return &v.UseQuota }, true),
		ovo.String("snapshot_id", func(v *Volume) *string { return &v.SnapshotID }),
		ovo.String("cluster_name", func(v *Volume) *string { return &v.ClusterName }),
		ovo.Null[Volume]("cluster"),
		ovo.String("host", func(v *Volume) *string { return &v.Host }),
		ovo.Int("size", func(v *Volume) *int { return &v.Size }),
		ovo.String("availability_zone", func(v *Volume) *string { return &v.AvailabilityZone }),
		ovo.String("status", func(v *Volume) *string { return &v.Status }),
		ovo.String("attach_status", func(v *Volume) *string { return &v.AttachStatus }),
		ovo.String("migration_status", func(v *Volume) *string { return &v.MigrationStatus }),
		ovo.Time("scheduled_at", func(v *Volume) *time.Time { return &v.ScheduledAt }),
		ovo.Time("launched_at", func(v *Volume) *time.Time { return &v.LaunchedAt }),
		ovo.Time("terminated_at", func(v *Volume) *time.Time { return &v.TerminatedAt }),
		ovo.EmptyString("display_name", func(v *Volume) *string { return &v.Name }),
		ovo.EmptyString("display_description", func(v *Volume) *string { return &v.Description }),
		ovo.String("provider_id", func(v *Volume) *string { return &v.ProviderID }),
		ovo.String("provider_location", func(v *Volume) *string { return &v.ProviderLocation }),
		ovo.String("provider_auth", func(v *Volume) *Secret { return &v.ProviderAuth }),
		ovo.String("provider_geometry", func(v *Volume) *string { return &v.ProviderGeometry }),
		ovo.String("volume_type_id", func(v *Volume) *string { return &v.VolumeTypeID }),
		ovo.String("source_volid", func(v *Volume) *string { return &v.SourceVolumeID }),
		ovo.String("encryption_key_id", func(v *Volume) *string { return &v.EncryptionKeyID }),
		ovo.String("consistencygroup_id", func(v *Volume) *string { return &v.ConsistencyGroupID }),
		ovo.String("group_id", func(v *Volume) *string { return &v.GroupID }),
		ovo.Bool("deleted", func(v *Volume) *bool { return &v.Deleted }, false),
		ovo.Bool("bootable", func(v *Volume) *bool { return &v.Bootable }, false),
		ovo.Bool("multiattach", func(v *Volume) *bool { return &v.MultiAttach }, false),
		ovo.String("replication_status", func(v *Volume) *string { return &v.ReplicationStatus }),
		ovo.String("replication_extended_status", func(v *Volume) *string { return &v.ReplicationExtendedStatus }),
		ovo.String("replication_driver_data", func(v *Volume) *string { return &v.ReplicationDriverData }),
		ovo.String("previous_status", func(v *Volume) *string { return &v.PreviousStatus }),
		ovo.StringMap("metadata", func(v *Volume) *map[string]string { return &v.Metadata }),
		ovo.StringMap("admin_metadata", func(v *Volume) *map[string]string { return &v.AdminMetadata }),
		ovo.StringMap("glance_metadata", func(v *Volume) *map[string]string { return &v.GlanceMetadata }),
		ovo.Object("volume_type", func(v *Volume) **VolumeType { return &v.VolumeType }, volumeTypeSchema()),
		ovo.Relation[Volume]("volume_attachment"),
		ovo.Null[Volume]("consistencygroup"),
		ovo.Relation[Volume]("snapshots"),
		ovo.Null[Volume]("group"),
		ovo.String("service_uuid", func(v *Volume) *string { return &v.ServiceUUID }),
		ovo.Bool("shared_targets", func(v *Volume) *bool { return &v.SharedTargets }, true),
		ovo.Time("created_at", func(v *Volume) *time.Time { return &v.CreatedAt }),
		ovo.Time("updated_at", func(v *Volume) *time.Time { return &v.UpdatedAt }),
		ovo.Time("deleted_at", func(v *Volume) *time.Time { return &v.DeletedAt }),
	)
})

var snapshotSchema = sync.OnceValue(func() *ovo.Schema[Snapshot] {
	return ovo.New("Snapshot", "1.6", func(s *Snapshot) **ovo.Wire { return &s.Wire },
		ovo.String("id", func(s *Snapshot) *string { return &s.ID }),
		ovo.String("user_id", func(s *Snapshot) *string { return &s.UserID }),
		ovo.String("project_id", func(s *Snapshot) *string { return &s.ProjectID }),
		ovo.Bool("use_quota", func(s *Snapshot) *bool { return &s.UseQuota }, true),
		ovo.String("volume_id", func(s *Snapshot) *string { return &s.VolumeID }),
		ovo.String("cgsnapshot_id", func(s *Snapshot) *string { return &s.CGSnapshotID }),
		ovo.String("group_snapshot_id", func(s *Snapshot) *string { return &s.GroupSnapshotID }),
		ovo.String("status", func(s *Snapshot) *string { return &s.Status }),
		ovo.String("progress", func(s *Snapshot) *string { return &s.Progress }),
		ovo.Int("volume_size", func(s *Snapshot) *int { return &s.VolumeSize }),
		ovo.EmptyString("display_name", func(s *Snapshot) *string { return &s.Name }),
		ovo.EmptyString("display_description", func(s *Snapshot) *string { return &s.Description }),
		ovo.String("encryption_key_id", func(s *Snapshot) *string { return &s.EncryptionKeyID }),
		ovo.String("volume_type_id", func(s *Snapshot) *string { return &s.VolumeTypeID }),
		ovo.String("provider_location", func(s *Snapshot) *string { return &s.ProviderLocation }),
		ovo.String("provider_id", func(s *Snapshot) *string { return &s.ProviderID }),
		ovo.StringMap("metadata", func(s *Snapshot) *map[string]string { return &s.Metadata }),
		ovo.String("provider_auth", func(s *Snapshot) *Secret { return &s.ProviderAuth }),
		ovo.Relation[Snapshot]("volume"),
		ovo.Null[Snapshot]("cgsnapshot"),
		ovo.Null[Snapshot]("group_snapshot"),
		ovo.Time("created_at", func(s *Snapshot) *time.Time { return &s.CreatedAt }),
		ovo.Time("updated_at", func(s *Snapshot) *time.Time { return &s.UpdatedAt }),
		ovo.Time("deleted_at", func(s *Snapshot) *time.Time { return &s.DeletedAt }),
		ovo.Bool("deleted", func(s *Snapshot) *bool { return &s.Deleted }, false),
	)
})

// A volume type that cinderlib makes for a volume has only some of the fields;
// one that comes from a database has all, which its Wire remembers.

var volumeTypeSchema = sync.OnceValue(func() *ovo.Schema[VolumeType] {
	return ovo.New("VolumeType", "1.3", func(t *VolumeType) **ovo.Wire { return &t.Wire },
		ovo.String("id", func(t *VolumeType) *string { return &t.ID }),
		ovo.String("name", func(t *VolumeType) *string { return &t.Name }),
		ovo.String("description", func(t *VolumeType) *string { return &t.Description }).OmitZero(),
		ovo.Bool("is_public", func(t *VolumeType) *bool { return &t.IsPublic }, true),
		ovo.StringList("projects", func(t *VolumeType) *[]string { return &t.Projects }).OmitZero(),
		ovo.StringMap("extra_specs", func(t *VolumeType) *map[string]string { return &t.ExtraSpecs }),
		ovo.String("qos_specs_id", func(t *VolumeType) *string { return &t.QoSSpecsID }),
		ovo.Object("qos_specs", func(t *VolumeType) **QoSSpecs { return &t.QoS }, qosSpecsSchema()),
		ovo.Time("created_at", func(t *VolumeType) *time.Time { return &t.CreatedAt }).OmitZero(),
		ovo.Time("updated_at", func(t *VolumeType) *time.Time { return &t.UpdatedAt }).OmitZero(),
		ovo.Time("deleted_at", func(t *VolumeType) *time.Time { return &t.DeletedAt }).OmitZero(),
		ovo.Bool("deleted", func(t *VolumeType) *bool { return &t.Deleted }, false).OmitZero(),
	)
})

var qosSpecsSchema = sync.OnceValue(func() *ovo.Schema[QoSSpecs] {
	return ovo.New("QualityOfServiceSpecs", "1.0", func(q *QoSSpecs) **ovo.Wire { return &q.Wire },
		ovo.String("id", func(q *QoSSpecs) *string { return &q.ID }),
		ovo.String("name", func(q *QoSSpecs) *string { return &q.Name }),
		// Python takes no null here.
		ovo.String("consumer", func(q *QoSSpecs) *string { return &q.Consumer }).OmitZero(),
		ovo.StringMap("specs", func(q *QoSSpecs) *map[string]string { return &q.Specs }),
		ovo.Null[QoSSpecs]("volume_types").OmitZero(),
		ovo.Time("created_at", func(q *QoSSpecs) *time.Time { return &q.CreatedAt }).OmitZero(),
		ovo.Time("updated_at", func(q *QoSSpecs) *time.Time { return &q.UpdatedAt }).OmitZero(),
		ovo.Time("deleted_at", func(q *QoSSpecs) *time.Time { return &q.DeletedAt }).OmitZero(),
		ovo.Bool("deleted", func(q *QoSSpecs) *bool { return &q.Deleted }, false).OmitZero(),
	)
})
