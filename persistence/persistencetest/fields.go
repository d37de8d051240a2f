// SPDX-License-Identifier: Apache-2.0

package persistencetest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

func testAwkward(t *testing.T, _ Harness, s persistence.Store) {
	v := volume(1)
	v.Name = "Grüße 'quoted\" `x` %_ \\ 漢字 😀"
	v.Metadata = map[string]string{"ключ": "значение", "": "empty key", "empty value": ""}
	v.AdminMetadata = map[string]string{}
	v.LaunchedAt = time.Date(2026, 6, 7, 8, 9, 10, 123456000, time.FixedZone("", 7200))
	write(t, s, persistence.Insert(v))
	got := readVolume(t, s, 1)
	assert.Equal(t, v.Name, got.Name)
	assert.Equal(t, v.Metadata, got.Metadata)
	assert.True(t, v.LaunchedAt.Equal(got.LaunchedAt), "microseconds and instant")
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{Name: v.Name})
	require.NoError(t, err)
	assert.Len(t, found, 1)
}

// at is the n-th of times that differ in every unit.
func at(n int) time.Time {
	return time.Date(2020+n, time.Month(n), n+1, n+2, n+3, n+4, (100000+n)*1000, time.UTC)
}

// The full records have another value than blank ones in every field but ID,
// Deleted and DeletedAt: what is deleted softly is not returned. Of the type
// they have what is about a volume.

func blankVolume() *drivers.Volume {
	return &drivers.Volume{ID: id(1), UseQuota: true, SharedTargets: true}
}

func fullVolume() *drivers.Volume {
	return &drivers.Volume{
		ID:                        id(1),
		NameIDOverride:            id(11),
		EC2ID:                     "ec2 id",
		UserID:                    "user id",
		ProjectID:                 "project id",
		UseQuota:                  false,
		SnapshotID:                id(12),
		ClusterName:               "cluster name",
		Host:                      "host@backend#pool",
		Size:                      4711,
		AvailabilityZone:          "availability zone",
		Status:                    "in-use",
		AttachStatus:              "attached",
		MigrationStatus:           "migration status",
		ScheduledAt:               at(1),
		LaunchedAt:                at(2),
		TerminatedAt:              at(3),
		Name:                      "name",
		Description:               "description",
		ProviderID:                "provider id",
		ProviderLocation:          "provider location",
		ProviderAuth:              "provider auth",
		ProviderGeometry:          "provider geometry",
		VolumeTypeID:              id(1),
		SourceVolumeID:            id(13),
		EncryptionKeyID:           id(14),
		ConsistencyGroupID:        id(15),
		GroupID:                   id(16),
		Bootable:                  true,
		MultiAttach:               true,
		ReplicationStatus:         "replication status",
		ReplicationExtendedStatus: "replication extended status",
		ReplicationDriverData:     "replication driver data",
		PreviousStatus:            "previous status",
		Metadata:                  map[string]string{"meta": "data", "and": "more"},
		AdminMetadata:             map[string]string{"admin": "data"},
		GlanceMetadata:            map[string]string{"glance": "data"},
		VolumeType: &drivers.VolumeType{
			ID: id(1), Name: id(1), Description: "of the type", IsPublic: false,
			ExtraSpecs: map[string]string{"extra": "specs", "and": "more"}, QoSSpecsID: id(1),
			QoS: &drivers.QoSSpecs{ID: id(1), Name: id(1), Consumer: "front-end", Specs: map[string]string{"qos": "specs", "and": "more"}},
		},
		ServiceUUID:   id(17),
		SharedTargets: false,
		CreatedAt:     at(4),
		UpdatedAt:     at(5),
	}
}

func blankSnapshot() *drivers.Snapshot {
	return &drivers.Snapshot{ID: id(2), VolumeID: id(1), UseQuota: true}
}

func fullSnapshot() *drivers.Snapshot {
	return &drivers.Snapshot{
		ID:               id(2),
		UserID:           "user id",
		ProjectID:        "project id",
		UseQuota:         false,
		VolumeID:         id(1),
		CGSnapshotID:     id(21),
		GroupSnapshotID:  id(22),
		Status:           "available",
		Progress:         "backend",
		VolumeSize:       4712,
		Name:             "name",
		Description:      "description",
		EncryptionKeyID:  id(23),
		VolumeTypeID:     id(1),
		ProviderLocation: "provider location",
		ProviderID:       "provider id",
		Metadata:         map[string]string{"meta": "data", "and": "more"},
		ProviderAuth:     "provider auth",
		CreatedAt:        at(6),
		UpdatedAt:        at(7),
	}
}

func blankConnection() *persistence.Connection {
	return &persistence.Connection{ID: id(3), VolumeID: id(1)}
}

func fullConnection() *persistence.Connection {
	return &persistence.Connection{
		ID:           id(3),
		VolumeID:     id(1),
		InstanceUUID: id(31),
		AttachedHost: "attached host",
		Mountpoint:   "/dev/vdb",
		AttachTime:   at(8),
		DetachTime:   at(9),
		AttachStatus: persistence.AttachAttached,
		AttachMode:   connector.ReadOnly,
		Conn:         &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: iscsiData()},
		Connector: &connector.Properties{
			Platform: "x86_64", OSType: "linux", IP: "192.0.2.1", Host: "connector's host", Multipath: true, EnforceMultipath: true,
			Initiator: "iqn.1993-08.org.debian:01:1", WWPNs: []string{"5001438000000001"}, WWNNs: []string{"5001438100000001"},
			NQN: "nqn.2014-08.org.nvmexpress:uuid:1", UUID: "root's uuid", SystemUUID: "machine's uuid", DoLocalAttach: true, Extra: nested(),
		},
		Device: &connector.Device{
			Type: "block", Path: "/dev/sdz", WWN: "naa.6", MultipathID: "36", Conf: "/etc/ceph/ceph.conf", Extra: nested(),
		},
		CreatedAt: at(10),
		UpdatedAt: at(11),
	}
}

// nested is what JSON can hold and a driver may put into an Extra.
func nested() map[string]any {
	return map[string]any{
		"null": nil, "true": true, "false": false, "text": `"quoted" 'text' \ <&>` + "\n\t\x01\u2028",
		"unicode": "Größe 漢字 😀", "größe": "key", "": "empty key", "empty": "", "list": []any{}, "object": map[string]any{},
		"zero": 0, "int": int64(math.MaxInt64), "negative": int64(math.MinInt64), "beyond 2^53": int64(1<<53 + 1),
		"big": json.Number("123456789012345678901234567890"), "float": 0.1, "tiny": 5e-324, "huge": math.MaxFloat64,
		"as written": json.Number("1.50"), "exponent": json.Number("1E+2"),
		"nested": map[string]any{"lists": []any{[]any{1, "two", nil, false, 3.5}, map[string]any{"deep": map[string]any{"er": []any{}}}}},
		"long":   strings.Repeat("0123456789", 100),
	}
}

func iscsiData() *connector.ISCSIData {
	return &connector.ISCSIData{
		TargetDiscovered: true, TargetPortal: "192.0.2.9:3260", TargetIQN: "iqn.2010-10.org.openstack:volume", TargetLUN: 1,
		TargetPortals: []string{"192.0.2.9:3260", "[2001:db8::9]:3260"}, TargetIQNs: []string{"iqn.a", "iqn.b"}, TargetLUNs: []int{1, 2},
		AuthMethod: "CHAP", AuthUsername: "user", AuthPassword: "s3cret ñ",
		DiscoveryAuthMethod: "CHAP", DiscoveryAuthUsername: "discoverer", DiscoveryAuthPassword: "s3cret 2",
		PhysicalBlockSize: "4096", LogicalBlockSize: "512",
		Shared: connector.Common{
			VolumeID: id(1), AccessMode: connector.ReadOnly, Discard: new(true), Encrypted: new(false),
			DeviceWWIDs: []string{"naa.6"}, Extra: map[string]any{"qos_specs": nil, "more": nested()},
		},
	}
}

func testAllFields(t *testing.T, h Harness, s persistence.Store) {
	keepsFields(t, h, s, "volume", blankVolume(), fullVolume(), func(t *testing.T, s persistence.Store) *drivers.Volume { return readVolume(t, s, 1) })
	write(t, s, persistence.Insert(fullVolume()))
	keepsFields(t, h, s, "snapshot", blankSnapshot(), fullSnapshot(), func(t *testing.T, s persistence.Store) *drivers.Snapshot { return readSnapshot(t, s, 2) })
	keepsFields(t, h, s, "connection", blankConnection(), fullConnection(), func(t *testing.T, s persistence.Store) *persistence.Connection { return readConnection(t, s, 3) })
	same(t, fullVolume(), readVolume(t, s, 1), "the volume of both")
}

func keepsFields[R persistence.Record](t *testing.T, h Harness, s persistence.Store, kind string, blank, full R, read func(*testing.T, persistence.Store) R) {
	t.Helper()
	for _, step := range []struct {
		what string
		op   persistence.Op
		want R
	}{
		{"inserted", persistence.Insert(full), full},
		{"emptied", persistence.Update(full, blank), blank},
		{"filled", persistence.Update(blank, full), full},
		{"emptied by a put", persistence.Put(blank), blank},
		{"filled by a put", persistence.Put(full), full},
		{"put again", persistence.Put(full), full},
	} {
		write(t, s, step.op)
		same(t, step.want, read(t, s), kind, step.what)
	}
	write(t, s, persistence.Delete(full))
	write(t, s, persistence.Insert(blank))
	same(t, blank, read(t, s), kind, "inserted empty")
	write(t, s, persistence.Delete(blank))
}

// What becomes of a map, step by step.
func mapSteps() []map[string]string {
	return []map[string]string{
		{"k": "changed", "second": "2", "empty": "", "größe": "漢字 😀", "it's": `"%_\`},
		{"second": "2", "other": "x"},
		{"new": "keys only"},
		{},
		{"back": "again"},
		nil,
		{"long": strings.Repeat("x", 255)},
	}
}

func testMaps(t *testing.T, h Harness, s persistence.Store) {
	maps := []func(*drivers.Volume) *map[string]string{
		func(v *drivers.Volume) *map[string]string { return &v.Metadata },
		func(v *drivers.Volume) *map[string]string { return &v.AdminMetadata },
		func(v *drivers.Volume) *map[string]string { return &v.GlanceMetadata },
	}
	v, other := volume(1), volume(2)
	v.GlanceMetadata, other.GlanceMetadata = map[string]string{"k": "g"}, map[string]string{"k": "g"}
	snap := snapshot(1, 1) // of the volume's id, whose maps are others
	write(t, s, persistence.Insert(v), persistence.Insert(other), persistence.Insert(snap))
	sameVolumes(t, s, "inserted", v, other)
	for i, of := range maps {
		for j, step := range mapSteps() {
			n := v.Clone()
			*of(n) = step
			write(t, s, persistence.Update(v, n))
			v = n
			sameVolumes(t, s, fmt.Sprintf("map %d, step %d", i, j), v, other)
			same(t, snap, readSnapshot(t, s, 1))
		}
	}
	for _, step := range mapSteps() {
		n := snap.Clone()
		n.Metadata = step
		write(t, s, persistence.Update(snap, n))
		snap = n
		same(t, snap, readSnapshot(t, s, 1))
		sameVolumes(t, s, "with another snapshot", v, other)
	}

	// Writers of one map each.
	stale := v.Clone()
	for i, of := range maps {
		n := stale.Clone()
		*of(n) = map[string]string{"of writer": fmt.Sprint(i), "k": "v"}
		*of(v) = *of(n)
		write(t, s, persistence.Update(stale, n))
	}
	sameVolumes(t, s, "written by three", v, other)

	bare, bareSnap := v.Clone(), snap.Clone()
	bare.Metadata, bare.AdminMetadata, bare.GlanceMetadata, bareSnap.Metadata = nil, nil, nil, nil
	write(t, s, persistence.Put(bare), persistence.Put(bareSnap))
	sameVolumes(t, s, "put without", bare, other)
	same(t, bareSnap, readSnapshot(t, s, 1), "put without")
	write(t, s, persistence.Put(v), persistence.Put(snap))
	sameVolumes(t, s, "put with", v, other)
	write(t, s, persistence.Delete(v), persistence.Delete(snap))
	write(t, s, persistence.Insert(bare), persistence.Insert(bareSnap))
	sameVolumes(t, s, "inserted again without", bare, other)
	same(t, bareSnap, readSnapshot(t, s, 1), "inserted again without")
	sameVolumes(t, reopened(t, h, s), "reopened", bare, other)
}

func testSpecs(t *testing.T, h Harness, s persistence.Store) {
	v, other := volume(1), volume(2)
	write(t, s, persistence.Insert(v), persistence.Insert(other))
	sameVolumes(t, s, "inserted", v, other)
	newType := func() *drivers.VolumeType {
		return &drivers.VolumeType{ID: id(1), Name: id(1), IsPublic: true, ExtraSpecs: map[string]string{"fresh": "specs"}}
	}
	qos := func() *drivers.QoSSpecs {
		return &drivers.QoSSpecs{ID: id(1), Name: id(1), Consumer: "both", Specs: map[string]string{"fresh": "qos"}}
	}
	for _, step := range []struct {
		what   string
		change func(v *drivers.Volume)
	}{
		{"another field changed", func(v *drivers.Volume) { v.Name = "renamed" }},
		{"and once more", func(v *drivers.Volume) { v.Name, v.Status = "renamed again", "in-use" }},
		{"specs changed", func(v *drivers.Volume) {
			v.VolumeType.ExtraSpecs = map[string]string{"x": "z", "hw:größe": "漢字 <is> True", "empty": ""}
		}},
		{"a spec removed", func(v *drivers.Volume) { delete(v.VolumeType.ExtraSpecs, "x") }},
		{"specs removed", func(v *drivers.Volume) { v.VolumeType.ExtraSpecs = nil }},
		{"another field changed without specs", func(v *drivers.Volume) { v.Name = "n" }},
		{"specs added", func(v *drivers.Volume) { v.VolumeType.ExtraSpecs = map[string]string{"new": "specs"} }},
		{"consumer changed", func(v *drivers.Volume) { v.VolumeType.QoS.Consumer = "front-end" }},
		{"qos changed", func(v *drivers.Volume) {
			v.VolumeType.QoS.Specs = map[string]string{"maxIOPS": "900", "read_iops_sec": "1", "empty": ""}
		}},
		{"a qos spec removed", func(v *drivers.Volume) { delete(v.VolumeType.QoS.Specs, "maxIOPS") }},
		{"a consumer only", func(v *drivers.Volume) { v.VolumeType.QoS.Specs = nil }},
		{"qos removed", func(v *drivers.Volume) { v.VolumeType.QoS, v.VolumeType.QoSSpecsID = nil, "" }},
		{"another field changed without qos", func(v *drivers.Volume) { v.Name = "o" }},
		{"qos added", func(v *drivers.Volume) { v.VolumeType.QoS, v.VolumeType.QoSSpecsID = qos(), id(1) }},
		{"type described", func(v *drivers.Volume) { v.VolumeType.Description, v.VolumeType.IsPublic = "a type", false }},
		{"type removed", func(v *drivers.Volume) { v.VolumeType, v.VolumeTypeID = nil, "" }},
		{"another field changed without type", func(v *drivers.Volume) { v.Name = "p" }},
		{"type added", func(v *drivers.Volume) { v.VolumeType, v.VolumeTypeID = newType(), id(1) }},
		{"qos added to the new type", func(v *drivers.Volume) { v.VolumeType.QoS, v.VolumeType.QoSSpecsID = qos(), id(1) }},
		{"another field changed at the end", func(v *drivers.Volume) { v.Name = "q" }},
	} {
		n := v.Clone()
		step.change(n)
		write(t, s, persistence.Update(v, n))
		v = n
		sameVolumes(t, s, step.what, v, other)
	}

	typeless := v.Clone()
	typeless.VolumeType, typeless.VolumeTypeID = nil, ""
	simple := v.Clone()
	simple.VolumeType = newType()
	for _, step := range []struct {
		what string
		put  *drivers.Volume
	}{{"put", v}, {"put twice", v}, {"put without type", typeless}, {"and twice", typeless}, {"put with type", v}, {"put without qos", simple}, {"put with qos", v}} {
		write(t, s, persistence.Put(step.put))
		sameVolumes(t, s, step.what, step.put, other)
	}
	for _, next := range []*drivers.Volume{typeless, v, simple, v} {
		write(t, s, persistence.Delete(v))
		sameVolumes(t, s, "deleted", other)
		write(t, s, persistence.Insert(next))
		sameVolumes(t, s, "inserted again", next, other)
	}
	sameVolumes(t, reopened(t, h, s), "reopened", v, other)
}

func testConnectionInfo(t *testing.T, h Harness, s persistence.Store) {
	host := &connector.Properties{Host: "node", Initiator: "iqn.x", Multipath: true, Extra: nested()}
	device := &connector.Device{Type: "block", Path: "/dev/sdz", Extra: nested()}
	discard := connector.Common{VolumeID: id(1), Discard: new(false), Extra: map[string]any{"encrypted": nil}}
	records := []*persistence.Connection{
		{},
		{Connector: host},
		{Device: device},
		{Conn: &connector.ConnInfo{Protocol: "nvmeof"}, Connector: host},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: iscsiData()}, Connector: host, Device: device},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolISER, Data: &connector.ISCSIData{TargetLUN: 0}}, Connector: &connector.Properties{}},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolFC, Data: &connector.FCData{
			TargetWWNs: []string{"5001"}, InitiatorTargetMap: map[string][]string{"5001438000000001": {"5001", "5002"}}, EnableWildcardScan: new(false),
		}}, Connector: host, Device: device},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolRBD, Data: &connector.RBDData{
			Name: "pool/image", Hosts: []string{"192.0.2.1"}, Ports: []string{"6789"}, Keyring: "s3cret\n", AuthEnabled: true, Shared: discard,
		}}, Connector: host},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &connector.LocalData{DevicePath: "/dev/x", Loop: true}}, Device: device},
		{Conn: &connector.ConnInfo{Protocol: "nvmeof", Data: &connector.RawData{Values: nested(), Shared: discard}}, Connector: host, Device: device},
		{Conn: &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: &connector.RawData{
			Values: map[string]any{"target_lun": []any{"no", "number"}, "target_portal": nil, "values": nested()},
		}}, Connector: host},
	}
	write(t, s, persistence.Insert(volume(1)))
	check := func(s persistence.Store, what string) {
		t.Helper()
		all, err := s.Connections(t.Context(), persistence.ConnectionFilter{VolumeID: id(1)})
		require.NoError(t, err)
		require.Len(t, all, len(records), what)
		for i, c := range records {
			same(t, c, all[i], what, c.ID, "listed")
			same(t, c, readConnection(t, s, i+1), what, c.ID)
		}
	}
	for i, c := range records {
		c.ID, c.VolumeID, c.CreatedAt = id(i+1), id(1), epoch.Add(time.Duration(i)*time.Second)
		write(t, s, persistence.Insert(c))
	}
	check(s, "inserted")
	for _, step := range []struct {
		what   string
		change func(c *persistence.Connection)
	}{
		{"nothing changed", func(*persistence.Connection) {}},
		{"another field changed", func(c *persistence.Connection) { c.AttachStatus, c.Mountpoint = persistence.AttachAttached, "/dev/vdb" }},
		{"device changed", func(c *persistence.Connection) {
			c.Device = &connector.Device{Type: "block", Path: "/dev/dm-1", MultipathID: "36", Extra: map[string]any{"new": nested()}}
		}},
		{"device removed", func(c *persistence.Connection) { c.Device = nil }},
		{"device added", func(c *persistence.Connection) { c.Device = &connector.Device{Path: "/dev/a"} }},
		{"disconnected", func(c *persistence.Connection) { c.Conn, c.Device = nil, nil }},
		{"connected otherwise", func(c *persistence.Connection) {
			c.Conn = &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: iscsiData()}
		}},
		{"host changed", func(c *persistence.Connection) {
			c.Connector = &connector.Properties{Host: "other", Extra: map[string]any{"new": nested()}}
		}},
		{"emptied", func(c *persistence.Connection) { c.Conn, c.Connector, c.Device = nil, nil, nil }},
	} {
		for i, c := range records {
			n := c.Clone()
			step.change(n)
			write(t, s, persistence.Update(c, n))
			records[i] = n
		}
		check(s, step.what)
		if step.what == "device changed" { // when there is most to it
			s = reopened(t, h, s)
			check(s, "reopened")
		}
	}
}
