// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
	"github.com/gocinder/cinderlib/persistence/persistencetest"
)

// First the database of testdata/python.sql, that of a Python program; at the end
// those that Cinder's own migrations make.

// defaultType is the id of the type __DEFAULT__ there.
const defaultType = "88d8e106-9bfa-476c-a3b7-f44b1581c91d"

// The ids there: of volumes, of the snapshot, of connections.

func volumeID(n int) string     { return fmt.Sprintf("00000001-0000-4000-8000-%012d", n) }
func snapshotID(n int) string   { return fmt.Sprintf("00000002-0000-4000-8000-%012d", n) }
func connectionID(n int) string { return fmt.Sprintf("00000003-0000-4000-8000-%012d", n) }

// withSpecs is the volume whose type has extra specs.
var withSpecs = volumeID(5)

// recordTables are those whose rows are records, each after those whose rows
// point to its own.
var recordTables = []string{
	"snapshot_metadata", "volume_metadata", "volume_admin_metadata", "volume_glance_metadata", "volume_attachment",
	"snapshots", "volumes", "volume_type_extra_specs", "volume_types", "quality_of_service_specs", "cinderlib_persistence_key_value",
}

// emptying are the statements that leave a database of Cinder's as it was made.
func emptying() []string {
	var statements []string
	for _, table := range recordTables {
		statement := "DELETE FROM " + table
		switch table {
		case "volume_types":
			statement += " WHERE name <> '__DEFAULT__'"
		case "quality_of_service_specs": // its rows point to one another
			statements = append(statements, statement+" WHERE specs_id IS NOT NULL")
		}
		statements = append(statements, statement)
	}
	return statements
}

// execFile runs statements in an sqlite file.
func execFile(t testing.TB, path string, statements ...string) {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+path+"?_synchronous=OFF")
	require.NoError(t, err)
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	for _, statement := range statements {
		_, err := pool.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// pythonFile makes the database and returns its path.
func pythonFile(t testing.TB, also ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/python.sql")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "python.sqlite")
	execFile(t, path, append([]string{string(text)}, also...)...)
	return path
}

func openFile(t testing.TB, path string, opts ...gormdb.Option) *gormdb.Store {
	t.Helper()
	return open(t, "sqlite:///"+path, opts...)
}

// cells are a row of a table: values as SQL writes them, which tells text from
// numbers, by column.
type cells map[string]string

func (r cells) String() string {
	var b strings.Builder
	for _, column := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%s=%s ", column, r[column])
	}
	return b.String()
}

// columnNames lists the columns of a table of an sqlite file.
func columnNames(t testing.TB, pool *sql.DB, table string) []string {
	t.Helper()
	return texts(t, pool, "SELECT name FROM pragma_table_info('"+table+"')")
}

// texts reads a column of text.
func texts(t testing.TB, pool *sql.DB, query string) []string {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var list []string
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		list = append(list, text)
	}
	require.NoError(t, rows.Err())
	return list
}

// The separators that programs of Python's time had for such things.
const (
	unitSeparator   = "\x1f"
	recordSeparator = "\x1e"
)

// rowsQuery is a statement that gives one text a row: the values, quoted.
func rowsQuery(columns []string, table, where string) string {
	quoted := make([]string, len(columns))
	for i, name := range columns {
		quoted[i] = `quote("` + name + `")`
	}
	query := "SELECT " + strings.Join(quoted, " || char(31) || ") + ` FROM "` + table + `"`
	if where != "" {
		query += " WHERE " + where
	}
	return query + " ORDER BY rowid"
}

func splitRows(columns, texts []string) []cells {
	rows := make([]cells, len(texts))
	for i, text := range texts {
		rows[i] = cells{}
		for j, value := range strings.Split(text, unitSeparator) {
			rows[i][columns[j]] = value
		}
	}
	return rows
}

// readRows reads rows of an sqlite file, in the order in which they were written.
func readRows(t testing.TB, path, table, where string) []cells {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+path+"?_query_only=1")
	require.NoError(t, err)
	defer pool.Close()
	columns := columnNames(t, pool, table)
	require.NotEmpty(t, columns, table)
	return splitRows(columns, texts(t, pool, rowsQuery(columns, table, where)))
}

// oneRow reads a row, by the driver and, where there is one, by the program
// sqlite3.
func oneRow(t testing.TB, path, table, where string) cells {
	t.Helper()
	rows := readRows(t, path, table, where)
	require.Len(t, rows, 1, "%s where %s", table, where)
	assert.Equal(t, rows, programRows(t, path, table, where, rows), "the program sqlite3 reads something else")
	return rows[0]
}

// programRows reads rows with the program sqlite3; without it, it returns those
// that are expected.
func programRows(t testing.TB, path, table, where string, expected []cells) []cells {
	t.Helper()
	program, err := exec.LookPath("sqlite3")
	if err != nil {
		require.NotEqual(t, "1", os.Getenv("CINDERLIB_SYSTEM"), "there is no program sqlite3")
		return expected
	}
	columns := slices.Sorted(maps.Keys(expected[0]))
	out, err := exec.CommandContext(t.Context(), program, "-batch", "-bail", "-list", "-newline", recordSeparator, path,
		rowsQuery(columns, table, where)).Output()
	require.NoError(t, err)
	return splitRows(columns, strings.Split(strings.TrimSuffix(string(out), recordSeparator), recordSeparator))
}

// content is all that an sqlite file holds: its definitions and, by table, rows.
type content struct {
	schema []string
	rows   map[string][]cells
}

func readContent(t testing.TB, path string) content {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+path+"?_query_only=1")
	require.NoError(t, err)
	defer pool.Close()
	c := content{
		schema: texts(t, pool, "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '') FROM sqlite_master ORDER BY 1"),
		rows:   map[string][]cells{},
	}
	for _, mark := range []string{"user_version", "application_id", "encoding"} {
		c.schema = append(c.schema, mark+" "+texts(t, pool, "PRAGMA "+mark)[0])
	}
	for _, table := range texts(t, pool, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		columns := columnNames(t, pool, table)
		c.rows[table] = splitRows(columns, texts(t, pool, rowsQuery(columns, table, "")))
	}
	return c
}

func (c content) count() (n int) {
	for _, rows := range c.rows {
		n += len(rows)
	}
	return n
}

// without leaves out the rows that have one of the ids in any column.
func (c content) without(ids ...string) content {
	less := content{schema: c.schema, rows: map[string][]cells{}}
	for table, rows := range c.rows {
		less.rows[table] = slices.DeleteFunc(slices.Clone(rows), func(r cells) bool {
			for _, value := range r {
				if slices.ContainsFunc(ids, func(id string) bool { return value == "'"+id+"'" }) {
					return true
				}
			}
			return false
		})
	}
	return less
}

// fileSum is the checksum of a database that nobody has open: nothing is beside
// it.
func fileSum(t testing.TB, path string) [sha256.Size]byte {
	t.Helper()
	beside, err := filepath.Glob(path + "?*")
	require.NoError(t, err)
	assert.Empty(t, beside)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(text)
}

// The dump is whole.
func TestPythonFile(t *testing.T) {
	t.Parallel()
	c := readContent(t, pythonFile(t))
	assert.Len(t, c.schema, 37+61+3, "tables, indexes and marks of the file")
	assert.Equal(t, 35, c.count(), "rows")
	for table, n := range map[string]int{
		"volumes": 5, "snapshots": 1, "volume_attachment": 2, "volume_metadata": 6, "volume_admin_metadata": 3, "volume_glance_metadata": 0,
		"snapshot_metadata": 1, "volume_types": 2, "volume_type_extra_specs": 2, "quality_of_service_specs": 3,
		"cinderlib_persistence_key_value": 0, "alembic_version": 1,
	} {
		assert.Len(t, c.rows[table], n, table)
	}
	assert.Equal(t, []cells{{"version_num": "'c92a3e68beed'"}}, c.rows["alembic_version"])
}

// samples are the records of a document, those inside of others too.
type samples struct {
	volumes     []*drivers.Volume
	snapshots   []*drivers.Snapshot
	connections []*persistence.Connection
}

// document is the part of a document that is no versioned object.
type document struct {
	Class   string          `json:"class"`
	OVO     json.RawMessage `json:"ovo"`
	Volumes []document      `json:"volumes"`
}

func (s *samples) document(doc document) error {
	switch doc.Class {
	case "Volume":
		return s.volume(ovo.NewDecoder(doc.OVO))
	case "Snapshot":
		return s.snapshot(ovo.NewDecoder(doc.OVO))
	case "Connection":
		return s.connection(ovo.NewDecoder(doc.OVO))
	}
	for _, inner := range doc.Volumes {
		if err := s.document(inner); err != nil {
			return err
		}
	}
	return nil
}

func (s *samples) volume(d *ovo.Decoder) error {
	v, err := drivers.VolumeSchema().Decode(d, func(d *ovo.Decoder, name string) error {
		if d.Null() {
			return nil
		}
		if name == "snapshots" {
			return ovo.DecodeList(d, "SnapshotList", s.snapshot)
		}
		return ovo.DecodeList(d, "VolumeAttachmentList", s.connection)
	})
	s.volumes = append(s.volumes, v)
	return err
}

func (s *samples) snapshot(d *ovo.Decoder) error {
	n, err := drivers.SnapshotSchema().Decode(d, s.related)
	s.snapshots = append(s.snapshots, n)
	return err
}

func (s *samples) connection(d *ovo.Decoder) error {
	c, err := persistence.ConnectionSchema().Decode(d, s.related)
	s.connections = append(s.connections, c)
	return err
}

func (s *samples) related(d *ovo.Decoder, _ string) error {
	if d.Null() {
		return nil
	}
	return s.volume(d)
}

// readSamples reads the documents that Python wrote of the database.
func readSamples(t testing.TB) (all samples) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/python/db-reload.brief.*-dump.json")
	require.NoError(t, err)
	require.Len(t, files, 8)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var docs []document
		if text[0] == '[' {
			require.NoError(t, json.Unmarshal(text, &docs))
		} else {
			docs = make([]document, 1)
			require.NoError(t, json.Unmarshal(text, &docs[0]))
		}
		for _, doc := range docs {
			require.NoError(t, all.document(doc), file)
		}
	}
	return all
}

// All that is in the database is read as Python read it, but for the default
// type: it has another id in every database, so records do not show it.
func TestPythonReads(t *testing.T) {
	t.Parallel()
	s, ctx := openFile(t, pythonFile(t)), t.Context()
	all := readSamples(t)
	seen := map[string]bool{}
	for _, want := range all.volumes {
		found, err := s.Volumes(ctx, persistence.VolumeFilter{ID: want.ID})
		require.NoError(t, err)
		require.Len(t, found, 1, want.ID)
		got := found[0]
		seen[got.ID] = true
		require.NotNil(t, want.VolumeType)
		if want.ID == withSpecs {
			// When Python made the rows of the type is nothing about the volume.
			require.False(t, want.VolumeType.CreatedAt.IsZero())
			want.VolumeType.CreatedAt = time.Time{}
			assert.Empty(t, persistence.Changed(want, got), want.ID)
			assert.Equal(t, map[string]string{"thin": "true", "volume_backend_name": "sample"}, got.ExtraSpecs())
			continue
		}
		assert.Equal(t, defaultType, want.VolumeTypeID)
		assert.Equal(t, "__DEFAULT__", want.VolumeType.Name)
		assert.Equal(t, []string{"volume_type_id", "volume_type"}, persistence.Changed(want, got), want.ID)
		assert.Empty(t, got.VolumeTypeID)
		assert.Nil(t, got.VolumeType)
	}
	for _, want := range all.snapshots {
		found, err := s.Snapshots(ctx, persistence.SnapshotFilter{ID: want.ID})
		require.NoError(t, err)
		require.Len(t, found, 1, want.ID)
		seen[want.ID] = true
		assert.Equal(t, defaultType, want.VolumeTypeID)
		assert.Equal(t, []string{"volume_type_id"}, persistence.Changed(want, found[0]), want.ID)
		assert.Empty(t, found[0].VolumeTypeID)
	}
	devices := 0
	for _, want := range all.connections {
		found, err := s.Connections(ctx, persistence.ConnectionFilter{ID: want.ID})
		require.NoError(t, err)
		require.Len(t, found, 1, want.ID)
		got := found[0]
		seen[got.ID] = true
		assert.Empty(t, persistence.Changed(want, got), want.ID)
		assert.Equal(t, "toomanysecrets", got.Conn.Data.(*connector.ISCSIData).AuthPassword.Reveal())
		assert.Equal(t, "iqn.1994-05.com.example:client-1", got.Connector.Initiator)
		if got.ID == connectionID(2) {
			devices++
			assert.Equal(t, "/dev/sdz", got.Device.Path)
		} else {
			assert.Nil(t, got.Device)
		}
	}
	assert.NotZero(t, devices)
	t.Logf("compared %d volumes, %d snapshots, %d connections: %d fields", len(all.volumes), len(all.snapshots), len(all.connections),
		len(all.volumes)*len(drivers.VolumeSchema().Fields)+len(all.snapshots)*len(drivers.SnapshotSchema().Fields)+
			len(all.connections)*len(persistence.ConnectionSchema().Fields))

	// The lists hold these records and no other, oldest first.
	volumes, err := s.Volumes(ctx, persistence.VolumeFilter{Backend: "sample"})
	require.NoError(t, err)
	require.Len(t, volumes, 5)
	for i, v := range volumes {
		assert.Equal(t, volumeID(i+1), v.ID)
	}
	snapshots, err := s.Snapshots(ctx, persistence.SnapshotFilter{Backend: "sample", VolumeID: volumeID(1), Name: "snap-1"})
	require.NoError(t, err)
	require.Len(t, snapshots, 1)
	assert.Equal(t, map[string]string{"k": "v"}, snapshots[0].Metadata)
	connections, err := s.Connections(ctx, persistence.ConnectionFilter{Backend: "sample", VolumeID: volumeID(4)})
	require.NoError(t, err)
	require.Len(t, connections, 2)
	assert.Len(t, seen, 5+1+2)
	assert.Equal(t, map[string]string{"purpose": "sample", "unicode": "ñandú"}, volumes[0].Metadata)
	assert.Equal(t, map[string]string{"readonly": "False"}, volumes[0].AdminMetadata)
	keyValues, err := s.KeyValues(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, keyValues)
}

// readAll reads all that a store holds.
func readAll(t testing.TB, s persistence.Store) (all samples, keyValues []persistence.KeyValue) {
	t.Helper()
	var err error
	all.volumes, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
	require.NoError(t, err)
	all.snapshots, err = s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	all.connections, err = s.Connections(t.Context(), persistence.ConnectionFilter{})
	require.NoError(t, err)
	keyValues, err = s.KeyValues(t.Context(), "")
	require.NoError(t, err)
	return all, keyValues
}

// onceOpen opens a file for the time that f takes.
func onceOpen(t testing.TB, path string, f func(s *gormdb.Store), opts ...gormdb.Option) {
	t.Helper()
	s, err := gormdb.OpenFile(t.Context(), path, opts...)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	f(s)
}

func mustWrite(t testing.TB, s persistence.Store, ops ...persistence.Op) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), ops...))
}

// Who opens and reads changes not a byte; who writes changes the rows that are
// written and no definition.
func TestPythonStaysAsItIs(t *testing.T) {
	t.Parallel()
	path := pythonFile(t)
	read := func(records int) {
		t.Helper()
		before := fileSum(t, path)
		for range 2 {
			onceOpen(t, path, func(s *gormdb.Store) {
				all, _ := readAll(t, s)
				assert.Len(t, all.volumes, records)
			})
			assert.Equal(t, before, fileSum(t, path))
		}
	}
	read(5)
	was := readContent(t, path)
	v, n, c := ourVolume(), ourSnapshot(), ourConnection()
	onceOpen(t, path, func(s *gormdb.Store) {
		mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(ourKeyValue()))
	})
	fileSum(t, path)
	is := readContent(t, path)
	assert.Equal(t, was.schema, is.schema)
	assert.Equal(t, was, is.without(v.ID, v.VolumeType.QoS.ID, n.ID, c.ID, ourKeyValue().Key))
	// A volume, three metadata, a type, an extra spec two; QoS: a root, a consumer,
	// two specs; a snapshot with one; a connection; a key-value.
	assert.Equal(t, was.count()+1+4+1+2+4+2+1+1, is.count())
	read(6)

	// And all of it can be taken back.
	onceOpen(t, path, func(s *gormdb.Store) {
		mustWrite(t, s, persistence.Delete(c), persistence.Delete(n), persistence.Delete(v), persistence.Delete(ourKeyValue()))
	})
	assert.Equal(t, was, readContent(t, path))
	read(5)
}

// Records that use all columns, with texts that are hard.

func ourVolume() *drivers.Volume {
	return &drivers.Volume{
		ID: volumeID(9), NameIDOverride: volumeID(90), UseQuota: true, EC2ID: "ec2", UserID: "user's", ProjectID: "project",
		SnapshotID: snapshotID(1), ClusterName: "cluster", Host: "host@bäckend#pool", Size: 12, AvailabilityZone: "nova",
		Status: "in-use", AttachStatus: "attached", MigrationStatus: "success",
		ScheduledAt:  time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		LaunchedAt:   time.Date(2026, 2, 3, 6, 5, 6, 7000, time.FixedZone("", 7200)),
		TerminatedAt: time.Date(2026, 12, 31, 23, 59, 59, 999999999, time.UTC),
		Name:         "Grüße 'quoted\" \\ 漢字", Description: "",
		ProviderID: "id", ProviderLocation: "192.0.2.10:3260,1 iqn.2010-10.org:ñ 1", ProviderAuth: "CHAP user secret", ProviderGeometry: "512",
		VolumeTypeID: volumeID(9), SourceVolumeID: volumeID(1), EncryptionKeyID: volumeID(91), ConsistencyGroupID: volumeID(92), GroupID: volumeID(93),
		Bootable: true, MultiAttach: true, ReplicationStatus: "enabled", ReplicationExtendedStatus: "ok", ReplicationDriverData: "{}",
		PreviousStatus: "attaching", ServiceUUID: volumeID(94), SharedTargets: false,
		CreatedAt: time.Date(2026, 2, 3, 4, 5, 6, 123456000, time.UTC), UpdatedAt: time.Date(2026, 2, 3, 4, 5, 7, 100000000, time.UTC),
		Metadata: map[string]string{"ключ": "значение", "": "empty key"}, AdminMetadata: map[string]string{"readonly": "False"},
		GlanceMetadata: map[string]string{"image": "ø"},
		VolumeType: &drivers.VolumeType{
			ID: volumeID(9), Name: volumeID(9), IsPublic: true, QoSSpecsID: volumeID(9), ExtraSpecs: map[string]string{"thin": "<is> True", "größe": "groß"},
			QoS: &drivers.QoSSpecs{ID: volumeID(9), Name: volumeID(9), Consumer: "back-end", Specs: map[string]string{"maxIOPS": "500", "größe": "groß"}},
		},
	}
}

func ourSnapshot() *drivers.Snapshot {
	return &drivers.Snapshot{
		ID: snapshotID(9), UserID: "user", ProjectID: "project", UseQuota: true, VolumeID: volumeID(9), Status: "available", Progress: "bäckend",
		VolumeSize: 12, Name: "schnappschuß", Description: "described", VolumeTypeID: volumeID(9), ProviderLocation: "snap", ProviderID: "id",
		ProviderAuth: "CHAP snapshot secret", Metadata: map[string]string{"k": "v"}, CreatedAt: time.Date(2026, 2, 3, 4, 5, 8, 0, time.UTC),
	}
}

func ourConnection() *persistence.Connection {
	return &persistence.Connection{
		ID: connectionID(9), VolumeID: volumeID(9), AttachedHost: "client-ñ", Mountpoint: "/dev/vdb", AttachStatus: persistence.AttachAttached,
		AttachMode: connector.ReadOnly, AttachTime: time.Date(2026, 2, 3, 4, 5, 9, 0, time.UTC), CreatedAt: time.Date(2026, 2, 3, 4, 5, 8, 5000, time.UTC),
		Conn: &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: &connector.ISCSIData{
			TargetPortal: "192.0.2.9:3260", TargetIQN: "iqn.2010-10.org.openstack:volume", TargetLUN: 1, AuthMethod: "CHAP", AuthUsername: "user", AuthPassword: "s3cret ñ",
			Shared: connector.Common{VolumeID: volumeID(9), AccessMode: connector.ReadOnly},
		}},
		Connector: &connector.Properties{Host: "client-ñ", IP: "192.0.2.20", Initiator: "iqn.1994-05.com.example:c", Multipath: true},
		Device:    &connector.Device{Type: "block", Path: "/dev/sdz", WWN: "naa.6"},
	}
}

func ourKeyValue() *persistence.KeyValue {
	return &persistence.KeyValue{Key: "clé", Value: `{"é": [1, "日本語"]}`}
}

// now is a time of a row's making, as Cinder writes it.
const nowForm = `^'20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}'$`

// madeNow takes the time of its making out of a row, and what is not set.
func madeNow(t testing.TB, r cells) cells {
	t.Helper()
	assert.Regexp(t, nowForm, r["created_at"])
	rest := maps.Clone(r)
	delete(rest, "created_at")
	for _, column := range []string{"updated_at", "deleted_at"} {
		assert.Equal(t, "NULL", rest[column], column)
		delete(rest, column)
	}
	assert.Equal(t, "0", rest["deleted"])
	delete(rest, "deleted")
	return rest
}

// What this library writes is under Cinder's names in Cinder's form.
func TestPythonColumns(t *testing.T) {
	t.Parallel()
	path := pythonFile(t)
	v, n, c := ourVolume(), ourSnapshot(), ourConnection()
	plain := &drivers.Volume{ID: volumeID(8), Size: 1, SharedTargets: true}
	plainSnapshot := &drivers.Snapshot{ID: snapshotID(8), VolumeID: volumeID(8)}
	plainConnection := &persistence.Connection{ID: connectionID(8), VolumeID: volumeID(8)}
	onceOpen(t, path, func(s *gormdb.Store) {
		mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(ourKeyValue()),
			persistence.Insert(&persistence.KeyValue{Key: "empty"}),
			persistence.Insert(plain), persistence.Insert(plainSnapshot), persistence.Insert(plainConnection))
	})
	of := func(table, column, id string) cells { t.Helper(); return oneRow(t, path, table, column+" = '"+id+"'") }
	text := func(id string) string { return "'" + id + "'" }

	assert.Equal(t, cells{
		"created_at": "'2026-02-03 04:05:06.123456'", "updated_at": "'2026-02-03 04:05:07.100000'", "deleted_at": "NULL", "deleted": "0",
		"id": text(volumeID(9)), "ec2_id": "'ec2'", "user_id": "'user''s'", "project_id": "'project'", "host": "'host@bäckend#pool'", "size": "12",
		"availability_zone": "'nova'", "status": "'in-use'", "attach_status": "'attached'",
		"scheduled_at": "'2026-02-03 04:05:06.000000'", "launched_at": "'2026-02-03 04:05:06.000007'", "terminated_at": "'2026-12-31 23:59:59.999999'",
		"display_name": `'Grüße ''quoted" \ 漢字'`, "display_description": "''",
		"provider_location": "'192.0.2.10:3260,1 iqn.2010-10.org:ñ 1'", "provider_auth": "'CHAP user secret'", "snapshot_id": text(snapshotID(1)),
		"volume_type_id": text(volumeID(9)), "source_volid": text(volumeID(1)), "bootable": "1", "provider_geometry": "'512'",
		"_name_id": text(volumeID(90)), "encryption_key_id": text(volumeID(91)), "migration_status": "'success'", "replication_status": "'enabled'",
		"replication_extended_status": "'ok'", "replication_driver_data": "'{}'", "consistencygroup_id": text(volumeID(92)), "provider_id": "'id'",
		"multiattach": "1", "previous_status": "'attaching'", "cluster_name": "'cluster'", "group_id": text(volumeID(93)),
		"service_uuid": text(volumeID(94)), "shared_targets": "0", "use_quota": "1",
	}, of("volumes", "id", volumeID(9)))
	bare := of("volumes", "id", volumeID(8))
	for column, value := range bare {
		want, ok := map[string]string{
			"id": text(volumeID(8)), "size": "1", "deleted": "0", "bootable": "0", "multiattach": "0", "shared_targets": "1", "use_quota": "0",
			"display_name": "''", "display_description": "''", "volume_type_id": text(defaultType),
		}[column]
		if !ok {
			want = "NULL"
		}
		assert.Equal(t, want, value, column)
	}

	assert.Equal(t, cells{"volume_id": text(volumeID(9)), "key": "'readonly'", "value": "'False'", "id": "4"},
		madeNow(t, of("volume_admin_metadata", "volume_id", volumeID(9))))
	assert.Equal(t, cells{"volume_id": text(volumeID(9)), "snapshot_id": "NULL", "key": "'image'", "value": "'ø'", "id": "1"},
		madeNow(t, of("volume_glance_metadata", "volume_id", volumeID(9))))
	metadata := map[string]string{}
	for _, r := range readRows(t, path, "volume_metadata", "volume_id = "+text(volumeID(9))) {
		metadata[madeNow(t, r)["key"]] = r["value"]
	}
	assert.Equal(t, map[string]string{"'ключ'": "'значение'", "''": "'empty key'"}, metadata)

	// The type, its specs and, by qos_specs_id and specs_id, the QoS.
	assert.Equal(t, cells{"id": text(volumeID(9)), "name": text(volumeID(9)), "qos_specs_id": text(volumeID(9)), "is_public": "1", "description": "NULL"},
		madeNow(t, of("volume_types", "id", volumeID(9))))
	specs := map[string]string{}
	for _, r := range readRows(t, path, "volume_type_extra_specs", "volume_type_id = "+text(volumeID(9))) {
		specs[madeNow(t, r)["key"]] = r["value"]
	}
	assert.Equal(t, map[string]string{"'thin'": "'<is> True'", "'größe'": "'groß'"}, specs)
	assert.Equal(t, cells{"id": text(volumeID(9)), "specs_id": "NULL", "key": "'QoS_Specs_Name'", "value": text(volumeID(9))},
		madeNow(t, of("quality_of_service_specs", "id", volumeID(9))))
	qos := map[string]string{}
	for _, r := range readRows(t, path, "quality_of_service_specs", "specs_id = "+text(volumeID(9))) {
		qos[madeNow(t, r)["key"]] = r["value"]
		assert.Regexp(t, `^'[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'$`, r["id"])
	}
	assert.Equal(t, map[string]string{"'consumer'": "'back-end'", "'maxIOPS'": "'500'", "'größe'": "'groß'"}, qos)

	assert.Equal(t, cells{
		"created_at": "'2026-02-03 04:05:08.000000'", "updated_at": "NULL", "deleted_at": "NULL", "deleted": "0", "id": text(snapshotID(9)),
		"volume_id": text(volumeID(9)), "user_id": "'user'", "project_id": "'project'", "status": "'available'", "progress": "'bäckend'",
		"volume_size": "12", "scheduled_at": "NULL", "display_name": "'schnappschuß'", "display_description": "'described'",
		"provider_location": "'snap'", "encryption_key_id": "NULL", "volume_type_id": text(volumeID(9)), "cgsnapshot_id": "NULL",
		"provider_id": "'id'", "provider_auth": "'CHAP snapshot secret'", "group_snapshot_id": "NULL", "use_quota": "1",
	}, of("snapshots", "id", snapshotID(9)))
	assert.Equal(t, text(defaultType), of("snapshots", "id", snapshotID(8))["volume_type_id"])
	assert.Equal(t, cells{"snapshot_id": text(snapshotID(9)), "key": "'k'", "value": "'v'", "id": "2"},
		madeNow(t, of("snapshot_metadata", "snapshot_id", snapshotID(9))))

	attachment := of("volume_attachment", "id", connectionID(9))
	info, host := attachment["connection_info"], attachment["connector"]
	delete(attachment, "connection_info")
	delete(attachment, "connector")
	assert.Equal(t, cells{
		"created_at": "'2026-02-03 04:05:08.000005'", "updated_at": "NULL", "deleted_at": "NULL", "deleted": "0", "id": text(connectionID(9)),
		"volume_id": text(volumeID(9)), "attached_host": "'client-ñ'", "instance_uuid": "NULL", "mountpoint": "'/dev/vdb'",
		"attach_time": "'2026-02-03 04:05:09.000000'", "detach_time": "NULL", "attach_mode": "'ro'", "attach_status": "'attached'",
	}, attachment)
	hostText, err := c.Connector.MarshalJSON()
	require.NoError(t, err)
	connText, err := c.Conn.MarshalJSON()
	require.NoError(t, err)
	deviceText, err := c.Device.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, string(hostText), unquote(host))
	assert.JSONEq(t, fmt.Sprintf(`{"conn": %s, "connector": %s, "device": %s}`, connText, hostText, deviceText), unquote(info))
	assert.Equal(t, "NULL", of("volume_attachment", "id", connectionID(8))["connection_info"])
	assert.Equal(t, "NULL", of("volume_attachment", "id", connectionID(8))["connector"])

	assert.Equal(t, cells{"key": "'clé'", "value": `'{"é": [1, "日本語"]}'`}, of("cinderlib_persistence_key_value", "key", "clé"))
	assert.Equal(t, cells{"key": "'empty'", "value": "''"}, of("cinderlib_persistence_key_value", "key", "empty"))
}

// unquote is the text that SQL writes so.
func unquote(quoted string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(quoted, "'"), "'"), "''", "'")
}

func volumeOf(t testing.TB, s persistence.Store, id string) *drivers.Volume {
	t.Helper()
	found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id})
	require.NoError(t, err)
	require.Len(t, found, 1, id)
	return found[0]
}

func connectionOf(t testing.TB, s persistence.Store, id string) *persistence.Connection {
	t.Helper()
	found, err := s.Connections(t.Context(), persistence.ConnectionFilter{ID: id})
	require.NoError(t, err)
	require.Len(t, found, 1, id)
	return found[0]
}

// Python gave the root of the QoS another id after it had made the specs, and
// told the type of neither.
func TestPythonLostQoS(t *testing.T) {
	t.Parallel()
	typed := []string{"volume_types", "volume_type_extra_specs", "quality_of_service_specs"}
	path := pythonFile(t)
	was := readContent(t, path)
	onceOpen(t, path, func(s *gormdb.Store) {
		v := volumeOf(t, s, withSpecs)
		assert.Equal(t, map[string]string{"thin": "true", "volume_backend_name": "sample"}, v.ExtraSpecs())
		assert.Nil(t, v.QoS())
		assert.Empty(t, v.VolumeType.QoSSpecsID)
		n := v.Clone()
		n.Status = "extending"
		mustWrite(t, s, persistence.Update(v, n))
		assert.Empty(t, persistence.Changed(n, volumeOf(t, s, withSpecs)))
	})
	is := readContent(t, path)
	for _, table := range typed {
		assert.Equal(t, was.rows[table], is.rows[table], table)
	}

	// It can be given a QoS: the root that was lost becomes its.
	onceOpen(t, path, func(s *gormdb.Store) {
		v := volumeOf(t, s, withSpecs)
		n := v.Clone()
		n.VolumeType.QoSSpecsID = withSpecs
		n.VolumeType.QoS = &drivers.QoSSpecs{ID: withSpecs, Name: withSpecs, Consumer: "front-end", Specs: map[string]string{"maxIOPS": "900"}}
		mustWrite(t, s, persistence.Update(v, n))
		assert.Empty(t, persistence.Changed(n, volumeOf(t, s, withSpecs)))
		mustWrite(t, s, persistence.Put(v))
		assert.Empty(t, persistence.Changed(v, volumeOf(t, s, withSpecs)))
		mustWrite(t, s, persistence.Put(n))
		assert.Empty(t, persistence.Changed(n, volumeOf(t, s, withSpecs)))
	})

	// The end of the volume is the end of the type, the specs and the root, lost or
	// not. What Python's specs belong to is nowhere said, so they stay.
	lost := was.rows["quality_of_service_specs"][1:]
	for _, path := range []string{path, pythonFile(t)} {
		onceOpen(t, path, func(s *gormdb.Store) { mustWrite(t, s, persistence.Delete(&drivers.Volume{ID: withSpecs})) })
		is = readContent(t, path)
		assert.Equal(t, was.without(withSpecs), is)
		assert.Equal(t, lost, is.rows["quality_of_service_specs"])
		assert.Len(t, is.rows["volume_types"], 1)
		assert.Empty(t, is.rows["volume_type_extra_specs"])
	}
}

// Python leaves the rows of a type behind when it gives the volume the default
// one.
func TestPythonTypeLeftBehind(t *testing.T) {
	t.Parallel()
	reset := "UPDATE volumes SET volume_type_id = '" + defaultType + "' WHERE id = '" + withSpecs + "'"
	path := pythonFile(t, reset)
	was := readContent(t, path)
	onceOpen(t, path, func(s *gormdb.Store) {
		v := volumeOf(t, s, withSpecs)
		assert.Nil(t, v.VolumeType)
		n := v.Clone()
		n.Name = "renamed"
		mustWrite(t, s, persistence.Update(v, n))
		mustWrite(t, s, persistence.Delete(n))
	})
	is := readContent(t, path)
	assert.Equal(t, was.without(withSpecs), is)
	assert.Len(t, is.rows["volume_types"], 1)
	assert.Empty(t, is.rows["volume_type_extra_specs"])

	// Or the volume gets a type of its own again: it is the one left behind.
	path = pythonFile(t, reset)
	onceOpen(t, path, func(s *gormdb.Store) {
		v := volumeOf(t, s, withSpecs)
		n := v.Clone()
		n.VolumeTypeID = withSpecs
		n.VolumeType = &drivers.VolumeType{ID: withSpecs, Name: withSpecs, IsPublic: true, ExtraSpecs: map[string]string{"thin": "false"}}
		mustWrite(t, s, persistence.Update(v, n))
		assert.Empty(t, persistence.Changed(n, volumeOf(t, s, withSpecs)))
		mustWrite(t, s, persistence.Delete(n))
	})
	assert.Equal(t, was.without(withSpecs), readContent(t, path))
}

// In Cinder several types may have one QoS: it ends with the last of them.
func TestPythonSharedQoS(t *testing.T) {
	t.Parallel()
	for _, soft := range []bool{false, true} {
		var opts []gormdb.Option
		if soft {
			opts = append(opts, gormdb.WithSoftDeletes())
		}
		s := openFile(t, pythonFile(t), opts...)
		var volumes []*drivers.Volume
		for n := range 3 {
			v := ourVolume()
			v.ID, v.CreatedAt = volumeID(20+n), v.CreatedAt.Add(time.Duration(n)*time.Second)
			v.VolumeTypeID, v.VolumeType.ID, v.VolumeType.Name = v.ID, v.ID, v.ID
			volumes = append(volumes, v)
			mustWrite(t, s, persistence.Insert(v))
		}
		other := volumes[1].Clone() // this one gets a QoS of its own
		other.VolumeType.QoSSpecsID = other.ID
		other.VolumeType.QoS = &drivers.QoSSpecs{ID: other.ID, Name: other.ID, Consumer: "both"}
		mustWrite(t, s, persistence.Delete(volumes[0]), persistence.Update(volumes[1], other))
		assert.Empty(t, persistence.Changed(other, volumeOf(t, s, other.ID)))
		assert.Empty(t, persistence.Changed(volumes[2], volumeOf(t, s, volumes[2].ID)), "soft: %v", soft)
		mustWrite(t, s, persistence.Delete(volumes[2]), persistence.Delete(other))
		mustWrite(t, s, persistence.Insert(volumes[0]))
		assert.Empty(t, persistence.Changed(volumes[0], volumeOf(t, s, volumes[0].ID)), "soft: %v", soft)
	}
}

// An update writes the columns of the fields that changed.
func TestPythonUpdates(t *testing.T) {
	t.Parallel()
	path := pythonFile(t)
	expected := readContent(t, path)
	find := func(table, id string) cells {
		i := slices.IndexFunc(expected.rows[table], func(r cells) bool { return r["id"] == "'"+id+"'" })
		return expected.rows[table][i]
	}
	check := func(what string) {
		t.Helper()
		assert.Equal(t, expected, readContent(t, path), what)
	}
	s := openFile(t, path)
	v := volumeOf(t, s, volumeID(1))
	n := v.Clone()
	n.Status, n.Size, n.LaunchedAt = "extending", 3, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	mustWrite(t, s, persistence.Update(v, n))
	maps.Copy(find("volumes", v.ID), cells{"status": "'extending'", "size": "3", "launched_at": "'2026-01-02 03:04:05.000006'"})
	check("a volume")

	v, n = n, n.Clone()
	n.Name = "Ñandú"
	mustWrite(t, s, persistence.Update(v, n))
	find("volumes", v.ID)["display_name"] = "'Ñandú'"
	check("a volume's name")
	mustWrite(t, s, persistence.Update(n, n.Clone()))
	check("nothing")

	found, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
	require.NoError(t, err)
	snapshot := found[0].Clone()
	snapshot.Status, snapshot.ProviderID = "deleting", "p"
	mustWrite(t, s, persistence.Update(found[0], snapshot))
	maps.Copy(find("snapshots", snapshot.ID), cells{"status": "'deleting'", "provider_id": "'p'"})
	check("a snapshot")

	// The texts of a connection stay as Python wrote them while they mean the same.
	c := connectionOf(t, s, connectionID(2))
	detached := c.Clone()
	detached.AttachStatus, detached.Mountpoint = persistence.AttachDetached, "/dev/vdc"
	mustWrite(t, s, persistence.Update(c, detached))
	maps.Copy(find("volume_attachment", c.ID), cells{"attach_status": "'detached'", "mountpoint": "'/dev/vdc'"})
	check("a connection")
	moved := detached.Clone()
	moved.Device.Path = "/dev/dm-1"
	mustWrite(t, s, persistence.Update(detached, moved))
	rows := readRows(t, path, "volume_attachment", "id = '"+c.ID+"'")
	old := find("volume_attachment", c.ID)
	assert.JSONEq(t, strings.Replace(unquote(old["connection_info"]), "/dev/sdz", "/dev/dm-1", 1), unquote(rows[0]["connection_info"]))
	old["connection_info"] = rows[0]["connection_info"]
	check("a connection's device")
}

// copiesOf makes copies of an sqlite file, as URLs.
func copiesOf(path string) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name := filepath.Join(t.TempDir(), "copy.sqlite")
		require.NoError(t, os.WriteFile(name, text, 0o600))
		return "sqlite:///" + name
	}
}

// The suite holds in Python's tables.
func TestConformancePython(t *testing.T) {
	t.Parallel()
	template := copiesOf(pythonFile(t, emptying()...))
	t.Run("hard", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(template))
	})
	t.Run("soft", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(template, gormdb.WithSoftDeletes()))
	})
}

// What a newer Cinder may have added is no harm while rows can do without it.
func TestPythonNewer(t *testing.T) {
	t.Parallel()
	path := pythonFile(t,
		"ALTER TABLE volumes ADD COLUMN newer VARCHAR(36)", "ALTER TABLE volumes ADD COLUMN newest INTEGER DEFAULT 7 NOT NULL",
		"ALTER TABLE snapshots ADD COLUMN newer DATETIME", "ALTER TABLE volume_attachment ADD COLUMN newer TEXT",
		"ALTER TABLE volume_metadata ADD COLUMN newer BOOLEAN", "ALTER TABLE volume_types ADD COLUMN newer BOOLEAN",
		"CREATE TABLE newer (id VARCHAR(36) NOT NULL PRIMARY KEY, needed INTEGER NOT NULL)",
		"CREATE INDEX newer_idx ON volumes (deleted, newer)",
		"UPDATE volumes SET newer = 'kept', newest = 8", "UPDATE alembic_version SET version_num = 'unknown'")
	v, n, c := ourVolume(), ourSnapshot(), ourConnection()
	onceOpen(t, path, func(s *gormdb.Store) {
		mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c))
		all, _ := readAll(t, s)
		assert.Len(t, all.volumes, 6)
		old := volumeOf(t, s, volumeID(1))
		renamed := old.Clone()
		renamed.Name = "renamed"
		mustWrite(t, s, persistence.Update(old, renamed), persistence.Put(volumeOf(t, s, volumeID(2))))
	})
	for _, r := range readRows(t, path, "volumes", "") {
		want := cells{"newer": "'kept'", "newest": "8"}
		if r["id"] == "'"+v.ID+"'" {
			want = cells{"newer": "NULL", "newest": "7"}
		}
		assert.Equal(t, want, cells{"newer": r["newer"], "newest": r["newest"]}, r["id"])
	}
	assert.Empty(t, readRows(t, path, "newer", ""))

	// What rows cannot do without ends it before anything is written.
	for table, last := range map[string]string{"volumes": "use_quota BOOLEAN", "snapshots": "use_quota BOOLEAN", "volume_attachment": "connector TEXT"} {
		path := pythonFile(t, "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = replace(sql, '"+last+"', '"+last+", brand_new INTEGER NOT NULL') WHERE name = '"+table+"'")
		before := fileSum(t, path)
		_, err := gormdb.OpenFile(t.Context(), path)
		require.ErrorIs(t, err, persistence.ErrInvalid, table)
		assert.ErrorContains(t, err, path)
		assert.ErrorContains(t, err, "table "+table+" needs the column brand_new")
		assert.Equal(t, before, fileSum(t, path))
	}
}

// What is missing is told when the database is opened.
func TestPythonOlder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ statement, says string }{
		{"ALTER TABLE volumes DROP COLUMN shared_targets", "table volumes has no column shared_targets"},
		{"ALTER TABLE volume_attachment DROP COLUMN connector", "table volume_attachment has no column connector"},
		{"DROP TABLE snapshots", "snapshots"},
		{"DROP TABLE volume_admin_metadata", "volume_admin_metadata"},
		{"DROP TABLE cinderlib_persistence_key_value", "that of a Cinder service, not of cinderlib"},
		{"DROP TABLE volumes", "none is called volumes"},
	} {
		path := pythonFile(t, tt.statement)
		before := fileSum(t, path)
		_, err := gormdb.OpenFile(t.Context(), path)
		require.ErrorIs(t, err, persistence.ErrInvalid, tt.statement)
		assert.ErrorContains(t, err, tt.says)
		assert.Equal(t, before, fileSum(t, path))
	}
}

// needCinder skips a test where Debian's Cinder is not to be had.
func needCinder(t testing.TB) {
	t.Helper()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it needs Debian's python3-cinder: set CINDERLIB_SYSTEM=1")
	}
}

// runCinder runs tools/cinder-db.py.
func runCinder(t testing.TB, args ...string) []byte {
	t.Helper()
	// Not the python3 of PATH: Debian's packages belong to Debian's.
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", append([]string{"../../tools/cinder-db.py"}, args...)...)
	var out, diagnosis bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnosis
	require.NoError(t, cmd.Run(), "%s", diagnosis.String())
	return out.Bytes()
}

// execURL runs statements in the database of a URL.
func execURL(t testing.TB, url string, statements ...string) {
	t.Helper()
	if path, file := strings.CutPrefix(url, "sqlite:///"); file {
		execFile(t, path, statements...)
		return
	}
	mysqltest.Exec(t, url, statements...)
}

func isMySQL(url string) bool { return strings.HasPrefix(url, "mysql") }

// release is a release of Cinder by its last migration.
type release struct {
	name, revision string
	noQuota        bool // there is no column use_quota
	untyped        bool // volume_type_id may be NULL
}

var (
	train  = release{name: "train", revision: "132", noQuota: true, untyped: true}
	ussuri = release{name: "ussuri", revision: "136", noQuota: true}
	xena   = release{name: "xena", revision: "145"} // the first that Debian's Cinder can read
	yoga   = release{name: "yoga", revision: "921e1a36b076"}
	zed    = release{name: "zed", revision: "c92a3e68beed"}
	// caracal is not known to Debian's Cinder: toCaracal makes it of zed.
	caracal = release{name: "2024.1", revision: "9c74c1c6971f"}
)

// toCaracal does what the migrations from zed to caracal do.
func toCaracal(url string) []string {
	statements := []string{
		"CREATE INDEX volumes_deleted_project_id_idx ON volumes (deleted, project_id)",
		"CREATE INDEX volumes_deleted_host_idx ON volumes (deleted, host)",
		"CREATE INDEX snapshots_deleted_project_id_idx ON snapshots (deleted, project_id)",
		"UPDATE alembic_version SET version_num = '" + caracal.revision + "'",
	}
	for _, table := range []string{"volumes", "snapshots"} {
		if isMySQL(url) {
			statements = append(statements, "ALTER TABLE "+table+" MODIFY use_quota BOOLEAN NOT NULL DEFAULT 1")
			continue
		}
		statements = append(statements, "PRAGMA writable_schema = ON",
			"UPDATE sqlite_master SET sql = replace(sql, 'use_quota BOOLEAN', 'use_quota BOOLEAN DEFAULT 1 NOT NULL') WHERE name = '"+table+"'")
	}
	return statements
}

// skips adds what cannot hold in the tables of a release.
func (r release) skips(why map[string]string) map[string]string {
	why = maps.Clone(why)
	if r.noQuota {
		const quota = "use_quota is no column yet: roundTrip has the others"
		maps.Copy(why, map[string]string{"AllFields": quota, "Reopen": quota})
	}
	return why
}

// The suite, in tables of Cinder's making.
func TestCinderSQLite(t *testing.T) {
	t.Parallel()
	needCinder(t)
	suite := func(t *testing.T, path string, r release) {
		t.Helper()
		roundTrip(t, copiesOf(path)(t), r)
		h := harness(copiesOf(path), gormdb.WithSynchronous(false))
		h.Skip = r.skips(map[string]string{})
		persistencetest.Run(t, h)
	}
	for _, r := range []release{xena, zed, train, ussuri, yoga} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cinder.sqlite")
			url := "sqlite:///" + path
			runCinder(t, "make", url, r.revision)
			if r == xena {
				exchange(t, copiesOf(path)(t))
			}
			suite(t, path, r)
			if r == zed {
				execURL(t, url, toCaracal(url)...)
				require.Equal(t, 1, countRows(t, url, `pragma_table_info('volumes') WHERE name = 'use_quota' AND "notnull" AND dflt_value = '1'`))
				t.Run(caracal.name, func(t *testing.T) { suite(t, path, caracal) })
			}
		})
	}
}

// skipMySQL is what cannot hold in tables that Cinder made in MySQL. What they can
// hold of it is in fitting, what they refuse in strict.
var skipMySQL = map[string]string{
	"Awkward":       "utf8mb3 has no emoji",
	"Names":         "utf8mb3 has no emoji",
	"Maps":          "utf8mb3 has no emoji; a volume that has snapshots cannot be deleted",
	"Specs":         "utf8mb3 has no emoji",
	"KeyCase":       "keys are compared without regard to case, accents, trailing spaces",
	"KeyValues":     "TEXT ends at 64 KiB",
	"Order":         "times are whole seconds",
	"WritesSeveral": "a volume that has snapshots cannot be deleted",
	"Backends":      "a volume that has snapshots cannot be deleted",
	"Concurrent":    "a volume that has snapshots cannot be deleted",
	"Pages":         "a volume that has snapshots cannot be deleted",
}

func TestCinderMariaDB(t *testing.T) {
	t.Parallel()
	needCinder(t)
	mysqltest.Need(t)
	suite := func(t *testing.T, url string, r release) {
		t.Helper()
		h := wholeSeconds(url)
		h.Skip = r.skips(skipMySQL)
		persistencetest.Run(t, h)
	}
	for _, r := range []release{zed, xena, train, ussuri, yoga} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			url := mysqltest.Fresh(t)
			_, name, _ := strings.Cut(url, os.Getenv(mysqltest.URLEnv))
			mysqltest.Exec(t, url, "ALTER DATABASE "+name+" CHARACTER SET utf8") // as cinder-db.py, too, would make it
			runCinder(t, "make", url, r.revision)
			if r == zed {
				exchange(t, url)
				t.Run("strict", func(t *testing.T) { strict(t, url) })
				t.Run("fitting", func(t *testing.T) { fitting(t, url) })
				t.Run("names", func(t *testing.T) { exactNames(t, url) })
				t.Run("backends", func(t *testing.T) { exactBackends(t, url) })
			}
			roundTrip(t, url, r)
			switch r {
			case train, xena:
				suite(t, url, r)
			case zed:
				mysqltest.Exec(t, url, toCaracal(url)...)
				t.Run(caracal.name, func(t *testing.T) {
					roundTrip(t, url, caracal)
					suite(t, url, caracal)
				})
				t.Run("newer", func(t *testing.T) { newer(t, url) })
			}
		})
	}
}

// emptyBut leaves a database as it was made, but for rows that volumes and
// snapshots of a test point to.
func emptyBut(consistencyGroup, group, service, cgSnapshot, groupSnapshot string) []string {
	return append(emptying(),
		"DELETE FROM cgsnapshots", "DELETE FROM group_snapshots", "DELETE FROM consistencygroups", "DELETE FROM `groups`", "DELETE FROM services",
		"INSERT INTO consistencygroups (id) VALUES ('"+consistencyGroup+"')",
		"INSERT INTO `groups` (id) VALUES ('"+group+"')",
		"INSERT INTO services (uuid, report_count) VALUES ('"+service+"', 0)",
		"INSERT INTO cgsnapshots (id, consistencygroup_id) VALUES ('"+cgSnapshot+"', '"+consistencyGroup+"')",
		"INSERT INTO group_snapshots (id, group_id) VALUES ('"+groupSnapshot+"', '"+group+"')")
}

// times are the times of a record.
func times(record any) (id string, list []*time.Time) {
	switch r := record.(type) {
	case *drivers.Volume:
		return "volume " + r.ID, []*time.Time{&r.CreatedAt, &r.UpdatedAt, &r.DeletedAt, &r.ScheduledAt, &r.LaunchedAt, &r.TerminatedAt}
	case *drivers.Snapshot:
		return "snapshot " + r.ID, []*time.Time{&r.CreatedAt, &r.UpdatedAt, &r.DeletedAt}
	case *persistence.Connection:
		return "connection " + r.ID, []*time.Time{&r.CreatedAt, &r.UpdatedAt, &r.DeletedAt, &r.AttachTime, &r.DetachTime}
	}
	return "", nil
}

// cut is what becomes of a record's times in tables with whole seconds.
func cut[R persistence.Record](record R) R {
	_, list := times(record)
	for _, at := range list {
		*at = at.Truncate(time.Second)
	}
	return record
}

// wholeSeconds runs the suite in one database in which times have whole seconds.
// The suite compares with what it wrote: the fractions are put back behind the
// store.
func wholeSeconds(url string) persistencetest.Harness {
	written := &sync.Map{}
	open := func(t *testing.T) persistence.Store {
		s, err := gormdb.Open(t.Context(), url)
		require.NoError(t, err)
		return &precise{s, written}
	}
	// The ids that the suite's records point to.
	id := func(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }
	rows := emptyBut(id(15), id(16), id(17), id(21), id(22))
	return persistencetest.Harness{
		New: func(t *testing.T) persistence.Store {
			mysqltest.Exec(t, url, rows...)
			return open(t)
		},
		Reopen: func(t *testing.T, s persistence.Store) persistence.Store {
			require.NoError(t, s.Close())
			return open(t)
		},
	}
}

// precise knows the fractions of the seconds that were written.
type precise struct {
	*gormdb.Store
	written *sync.Map // by record, field and second
}

type second struct {
	record string
	field  int
	unix   int64
}

func (p *precise) Write(ctx context.Context, ops ...persistence.Op) error {
	for _, op := range ops {
		of, list := times(op.Record)
		for i, at := range list {
			p.written.Store(second{of, i, at.Unix()}, *at)
		}
	}
	return p.Store.Write(ctx, ops...)
}

func restore[R persistence.Record](p *precise, records []R, err error) ([]R, error) {
	for _, r := range records {
		of, list := times(r)
		for i, at := range list {
			if was, ok := p.written.Load(second{of, i, at.Unix()}); ok && at.Nanosecond() == 0 {
				*at = was.(time.Time)
			}
		}
	}
	return records, err
}

func (p *precise) Volumes(ctx context.Context, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
	found, err := p.Store.Volumes(ctx, f)
	return restore(p, found, err)
}

func (p *precise) Snapshots(ctx context.Context, f persistence.SnapshotFilter) ([]*drivers.Snapshot, error) {
	found, err := p.Store.Snapshots(ctx, f)
	return restore(p, found, err)
}

func (p *precise) Connections(ctx context.Context, f persistence.ConnectionFilter) ([]*persistence.Connection, error) {
	found, err := p.Store.Connections(ctx, f)
	return restore(p, found, err)
}

// holds checks that a store has these records and no other.
func holds(t testing.TB, s persistence.Store, what string, want samples, keyValues ...persistence.KeyValue) {
	t.Helper()
	all, found := readAll(t, s)
	require.Len(t, all.volumes, len(want.volumes), what)
	for i, v := range want.volumes {
		assert.Empty(t, persistence.Changed(v, all.volumes[i]), "%s: volume %s", what, v.ID)
	}
	require.Len(t, all.snapshots, len(want.snapshots), what)
	for i, n := range want.snapshots {
		assert.Empty(t, persistence.Changed(n, all.snapshots[i]), "%s: snapshot %s", what, n.ID)
	}
	require.Len(t, all.connections, len(want.connections), what)
	for i, c := range want.connections {
		assert.Empty(t, persistence.Changed(c, all.connections[i]), "%s: connection %s", what, c.ID)
	}
	assert.Equal(t, keyValues, found, what)
}

// roundTrip writes, changes, reads and deletes records that use all columns.
func roundTrip(t *testing.T, url string, r release) {
	execURL(t, url, emptyBut(volumeID(92), volumeID(93), volumeID(94), snapshotID(92), snapshotID(93))...)
	v, n, c, kv := ourVolume(), ourSnapshot(), ourConnection(), ourKeyValue()
	v.UseQuota, n.UseQuota = false, false
	n.CGSnapshotID, n.GroupSnapshotID, n.EncryptionKeyID = snapshotID(92), snapshotID(93), snapshotID(91)
	bare, bareSnapshot, bareConnection := &drivers.Volume{ID: v.ID}, &drivers.Snapshot{ID: n.ID, VolumeID: v.ID}, &persistence.Connection{ID: c.ID, VolumeID: v.ID}
	expected := func(v *drivers.Volume, n *drivers.Snapshot, c *persistence.Connection) samples {
		v, n, c = v.Clone(), n.Clone(), c.Clone()
		if isMySQL(url) {
			cut(v)
			cut(n)
			cut(c)
		}
		if r.noQuota {
			v.UseQuota, n.UseQuota = true, true
		}
		return samples{[]*drivers.Volume{v}, []*drivers.Snapshot{n}, []*persistence.Connection{c}}
	}
	full, empty := expected(v, n, c), expected(bare, bareSnapshot, bareConnection)
	var s *gormdb.Store
	reopen := func() {
		var err error
		if s != nil {
			require.NoError(t, s.Close())
		}
		s, err = gormdb.Open(t.Context(), url)
		require.NoError(t, err)
	}
	reopen()
	defer func() { assert.NoError(t, s.Close()) }()
	holds(t, s, "empty", samples{})
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(kv))
	holds(t, s, "inserted", full, *kv)
	mustWrite(t, s, persistence.Update(v, bare), persistence.Update(n, bareSnapshot), persistence.Update(c, bareConnection))
	holds(t, s, "emptied", empty, *kv)
	mustWrite(t, s, persistence.Put(v), persistence.Put(n), persistence.Put(c))
	reopen()
	holds(t, s, "put", full, *kv)
	mustWrite(t, s, persistence.Put(bare), persistence.Put(bareSnapshot), persistence.Put(bareConnection))
	holds(t, s, "put bare", empty, *kv)
	mustWrite(t, s, persistence.Update(bare, v), persistence.Update(bareSnapshot, n), persistence.Update(bareConnection, c))
	holds(t, s, "filled", full, *kv)
	if r.untyped { // as the Cinder of that time left them
		mustWrite(t, s, persistence.Put(bare))
		execURL(t, url, "UPDATE volumes SET volume_type_id = NULL", "UPDATE snapshots SET volume_type_id = NULL")
		untyped := full
		untyped.volumes = empty.volumes
		untyped.snapshots = []*drivers.Snapshot{full.snapshots[0].Clone()}
		untyped.snapshots[0].VolumeTypeID = ""
		holds(t, s, "untyped", untyped, *kv)
		mustWrite(t, s, persistence.Update(bare, v), persistence.Put(n))
		holds(t, s, "typed", full, *kv)
	}
	mustWrite(t, s, persistence.Delete(c), persistence.Delete(n), persistence.Delete(v), persistence.Delete(kv))
	holds(t, s, "deleted", samples{})
	for _, table := range recordTables {
		left := 0
		if table == "volume_types" {
			left = 1
		}
		assert.Equal(t, left, countRows(t, url, table), table)
	}
}

// countRows counts the rows of a table, those that are deleted softly too.
func countRows(t testing.TB, url, table string) (n int) {
	t.Helper()
	var pool *sql.DB
	if path, file := strings.CutPrefix(url, "sqlite:///"); file {
		var err error
		pool, err = sql.Open("sqlite3", "file:"+path+"?_query_only=1")
		require.NoError(t, err)
	} else {
		pool = mysqltest.Pool(t, url)
	}
	defer pool.Close()
	require.NoError(t, pool.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// told is what Cinder's objects hold, as tools/cinder-db.py prints it.
type told struct {
	Volumes     []map[string]any   `json:"volumes"`
	Snapshots   []map[string]any   `json:"snapshots"`
	Attachments []map[string]any   `json:"attachments"`
	KeyValues   map[string]*string `json:"key_values"`
}

func askCinder(t testing.TB, do, url string) (what told) {
	t.Helper()
	require.NoError(t, json.Unmarshal(runCinder(t, do, url), &what))
	return what
}

// data gives the fields of a record as JSON has them.
func data[T any](t testing.TB, schema *ovo.Schema[T], record *T) map[string]any {
	t.Helper()
	var envelope struct {
		Data map[string]any `json:"versioned_object.data"`
	}
	require.NoError(t, json.Unmarshal(schema.Append(nil, record, nil), &envelope))
	return envelope.Data
}

// ofRow are the fields of a type and its QoS that are about its row: no volume
// shows them.
var ofRow = []string{"created_at", "updated_at", "deleted_at", "deleted"}

// withoutDefault takes the default type out of what Cinder tells, as our records
// do not show it, and returns its id.
func (c *told) withoutDefault(t testing.TB) (id string) {
	t.Helper()
	for _, v := range c.Volumes {
		ty, _ := v["volume_type"].(map[string]any)
		require.NotNil(t, ty, "Cinder finds no type of volume %s", v["id"])
		if ty["name"] == "__DEFAULT__" {
			id = ty["id"].(string)
			require.Equal(t, id, v["volume_type_id"])
			v["volume_type"], v["volume_type_id"] = nil, nil
			continue
		}
		qos, _ := ty["qos_specs"].(map[string]any)
		for _, name := range ofRow {
			delete(ty, name)
			delete(qos, name)
		}
	}
	for _, n := range c.Snapshots {
		if n["volume_type_id"] == id {
			n["volume_type_id"] = nil
		}
	}
	return id
}

// typeData gives a type as told has it.
func typeData(ty *drivers.VolumeType) any {
	if ty == nil {
		return nil
	}
	texts := func(m map[string]string) map[string]any {
		all := map[string]any{}
		for key, value := range m {
			all[key] = value
		}
		return all
	}
	orNil := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	all := map[string]any{
		"id": ty.ID, "name": ty.Name, "description": orNil(ty.Description), "is_public": ty.IsPublic,
		"extra_specs": texts(ty.ExtraSpecs), "qos_specs_id": orNil(ty.QoSSpecsID), "qos_specs": nil,
	}
	if q := ty.QoS; q != nil {
		all["qos_specs"] = map[string]any{"id": q.ID, "name": q.Name, "consumer": q.Consumer, "specs": texts(q.Specs)}
	}
	return all
}

// values counts what is in a JSON value.
func values(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			n += values(inner)
		}
		return n
	case []any:
		for _, inner := range v {
			n += values(inner)
		}
		return n
	}
	return 1
}

// agree checks that a store holds what Cinder's objects hold, and nothing else.
// It returns the number of values that were compared.
func agree(t testing.TB, s persistence.Store, cinder told) (n int) {
	t.Helper()
	cinder.withoutDefault(t)
	all, keyValues := readAll(t, s)
	compare := func(kind string, list []map[string]any, ours map[string]map[string]any) {
		t.Helper()
		assert.Len(t, ours, len(list), kind)
		for _, held := range list {
			our := ours[held["id"].(string)]
			require.NotNil(t, our, "%s %s", kind, held["id"])
			for name, value := range held {
				assert.Contains(t, our, name)
				assert.Equal(t, value, our[name], "%s of %s %s", name, kind, held["id"])
				n += values(value)
			}
		}
	}
	volumes, snapshots, connections := map[string]map[string]any{}, map[string]map[string]any{}, map[string]map[string]any{}
	for _, v := range all.volumes {
		volumes[v.ID] = data(t, drivers.VolumeSchema(), v)
		volumes[v.ID]["volume_type"] = typeData(v.VolumeType)
	}
	for _, s := range all.snapshots {
		snapshots[s.ID] = data(t, drivers.SnapshotSchema(), s)
	}
	for _, c := range all.connections {
		connections[c.ID] = data(t, persistence.ConnectionSchema(), c)
	}
	compare("volume", cinder.Volumes, volumes)
	compare("snapshot", cinder.Snapshots, snapshots)
	compare("connection", cinder.Attachments, connections)
	assert.Len(t, keyValues, len(cinder.KeyValues))
	for _, kv := range keyValues {
		held, ok := cinder.KeyValues[kv.Key]
		if assert.True(t, ok, kv.Key); held == nil {
			held = new(string) // NULL reads as empty
		}
		assert.Equal(t, *held, kv.Value, kv.Key)
		n++
	}
	return n
}

// sampleID is the id of a row that tools/cinder-db.py writes.
func sampleID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// exchange has Cinder write and this library read, and the other way round.
func exchange(t *testing.T, url string) {
	s := open(t, url)
	n := agree(t, s, askCinder(t, "write", url))
	t.Logf("%d values that Cinder wrote", n)
	all, keyValues := readAll(t, s)
	require.Len(t, all.volumes, 2)
	first, second := volumeOf(t, s, sampleID(1)), volumeOf(t, s, sampleID(2))
	assert.Equal(t, map[string]string{"purpose": "sample", "ключ": "значение", "empty": ""}, first.Metadata)
	assert.Equal(t, map[string]string{"readonly": "False"}, first.AdminMetadata)
	assert.Equal(t, map[string]string{"image_name": "bild ø"}, first.GlanceMetadata)
	assert.Equal(t, &drivers.VolumeType{
		ID: sampleID(2), Name: sampleID(2), IsPublic: true, ExtraSpecs: map[string]string{"thin": "true", "ключ": "значение"}, QoSSpecsID: sampleID(2),
		QoS: &drivers.QoSSpecs{ID: sampleID(2), Name: sampleID(2), Consumer: "back-end", Specs: map[string]string{"maxIOPS": "500", "größe": "groß"}},
	}, second.VolumeType)
	require.Len(t, all.connections, 1)
	assert.Equal(t, "client-ñ", all.connections[0].Connector.Host)
	assert.Equal(t, []persistence.KeyValue{{Key: "clé", Value: `{"é": [1, "日本語"]}`}, {Key: "null"}}, keyValues)
	deleted, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: sampleID(3)})
	require.NoError(t, err)
	assert.Empty(t, deleted, "what Cinder deleted softly")
	assert.Equal(t, 3, countRows(t, url, "volumes"))

	// Cinder finds what this library writes.
	v, snap, c := ourVolume(), ourSnapshot(), ourConnection()
	v.ConsistencyGroupID, v.GroupID, v.ServiceUUID = "", "", ""
	plain := &drivers.Volume{ID: volumeID(8), Size: 1, Name: "plain", UseQuota: true}
	typed, typedSnapshot, typedConnection := v.Clone(), snap.Clone(), c.Clone()
	typed.ID, typed.VolumeTypeID, typed.VolumeType.ID, typed.VolumeType.Name = volumeID(7), volumeID(7), volumeID(7), volumeID(7)
	typed.VolumeType.QoSSpecsID, typed.VolumeType.QoS.ID, typed.VolumeType.QoS.Name = volumeID(7), volumeID(7), volumeID(7)
	typedSnapshot.ID, typedSnapshot.VolumeID, typedSnapshot.VolumeTypeID = snapshotID(7), typed.ID, typed.ID
	typedConnection.ID, typedConnection.VolumeID = connectionID(7), typed.ID
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(snap), persistence.Insert(c), persistence.Insert(ourKeyValue2()),
		persistence.Insert(plain), persistence.Insert(typed), persistence.Insert(typedSnapshot), persistence.Insert(typedConnection))
	cinder := askCinder(t, "read", url)
	require.Len(t, cinder.Volumes, 5)
	n = agree(t, s, cinder)
	t.Logf("%d values with those that this library wrote", n)

	// And what it makes of its own rows and of Cinder's.
	changed := v.Clone()
	changed.Status, changed.Name, changed.Metadata, changed.LaunchedAt = "extending", "ü", map[string]string{"k": "ñ"}, time.Time{}
	changed.VolumeType.ExtraSpecs = map[string]string{"other": "é"}
	changed.VolumeType.QoS.Consumer, changed.VolumeType.QoS.Specs = "both", map[string]string{"minIOPS": "1"}
	firstChanged, secondChanged := first.Clone(), second.Clone()
	firstChanged.Status, firstChanged.AdminMetadata = "available", nil
	firstChanged.VolumeTypeID, firstChanged.VolumeType = first.ID, &drivers.VolumeType{
		ID: first.ID, Name: first.ID, Description: "ours", IsPublic: true, ExtraSpecs: map[string]string{"ñ": "ñ"},
	}
	secondChanged.VolumeTypeID, secondChanged.VolumeType = "", nil
	moved := all.connections[0].Clone()
	moved.Mountpoint, moved.Device = "/dev/vdc", &connector.Device{Type: "block", Path: "/dev/sda"}
	mustWrite(t, s, persistence.Update(v, changed), persistence.Update(first, firstChanged), persistence.Update(second, secondChanged),
		persistence.Update(all.connections[0], moved), persistence.Update(&keyValues[1], &persistence.KeyValue{Key: "null", Value: "no more"}),
		persistence.Delete(c), persistence.Delete(snap), persistence.Delete(ourKeyValue2()), persistence.Put(plain))
	soft := open(t, url, gormdb.WithSoftDeletes())
	mustWrite(t, soft, persistence.Delete(typedConnection), persistence.Delete(typedSnapshot), persistence.Delete(typed), persistence.Delete(all.snapshots[0]))
	cinder = askCinder(t, "read", url)
	assert.Len(t, cinder.Volumes, 4)
	assert.Empty(t, cinder.Snapshots)
	assert.Len(t, cinder.Attachments, 1)
	n = agree(t, s, cinder)
	t.Logf("%d values after updates and deletions", n)
	assert.Equal(t, 6, countRows(t, url, "volumes"), "one that Cinder deleted softly, one of ours")
	assert.Equal(t, 2, countRows(t, url, "snapshots"))
	assert.Equal(t, 2, countRows(t, url, "volume_attachment"))
}

// ourKeyValue2 has another key than that of tools/cinder-db.py, even where é is e.
func ourKeyValue2() *persistence.KeyValue {
	return &persistence.KeyValue{Key: "ours", Value: ourKeyValue().Value}
}

const emoji = "\U0001F600"

// strict is what tables of Cinder's in MySQL do not take: it is refused whole, and
// the error tells what kind of fault it is.
func strict(t *testing.T, url string) {
	mysqltest.Exec(t, url, emptying()...)
	s := open(t, url)
	v, n, c, kv := cut(ourVolume()), cut(ourSnapshot()), cut(ourConnection()), &persistence.KeyValue{Key: "key", Value: "v"}
	v.ConsistencyGroupID, v.GroupID, v.ServiceUUID = "", "", ""
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c), persistence.Insert(kv))
	stored := samples{[]*drivers.Volume{v}, []*drivers.Snapshot{n}, []*persistence.Connection{c}}
	refused := func(of error, what string, ops ...persistence.Op) {
		t.Helper()
		also := []persistence.Op{persistence.Insert(&drivers.Volume{ID: volumeID(1)}), persistence.Put(&persistence.KeyValue{Key: "lost"})}
		err := s.Write(t.Context(), append(also, ops...)...)
		require.ErrorIs(t, err, of, what)
		assert.NotContains(t, err.Error(), "CHAP", what)
		assert.NotContains(t, err.Error(), "s3cret", what)
		holds(t, s, what, stored, *kv)
	}
	ofVolume := func(of error, what string, change func(*drivers.Volume)) {
		t.Helper()
		changed, fresh := v.Clone(), &drivers.Volume{ID: volumeID(2), VolumeType: v.VolumeType.Clone(), VolumeTypeID: v.VolumeTypeID}
		change(changed)
		change(fresh)
		refused(of, what+" updated", persistence.Update(v, changed))
		refused(of, what+" put", persistence.Put(changed))
		refused(of, what+" inserted", persistence.Insert(fresh))
	}

	// There are no characters beyond the first plane of Unicode.
	for what, change := range map[string]func(*drivers.Volume){
		"a name":                      func(v *drivers.Volume) { v.Name = "x" + emoji },
		"a secret":                    func(v *drivers.Volume) { v.ProviderAuth = "CHAP " + emoji },
		"metadata":                    func(v *drivers.Volume) { v.Metadata = map[string]string{"k": emoji} },
		"a metadata key":              func(v *drivers.Volume) { v.AdminMetadata = map[string]string{emoji: "v"} },
		"glance metadata":             func(v *drivers.Volume) { v.GlanceMetadata = map[string]string{"k": emoji} },
		"an extra spec":               func(v *drivers.Volume) { v.VolumeType.ExtraSpecs = map[string]string{"k": emoji} },
		"a QoS spec":                  func(v *drivers.Volume) { v.VolumeType.QoS.Specs = map[string]string{"k": emoji} },
		"a description of a type":     func(v *drivers.Volume) { v.VolumeType.Description = emoji },
		"glance metadata beyond TEXT": func(v *drivers.Volume) { v.GlanceMetadata = map[string]string{"k": strings.Repeat("x", 1<<16)} },
	} {
		ofVolume(persistence.ErrInvalid, what, change)
	}
	named := n.Clone()
	named.Name = emoji
	refused(persistence.ErrInvalid, "a snapshot's name", persistence.Update(n, named))
	attached := c.Clone()
	attached.AttachedHost = emoji
	refused(persistence.ErrInvalid, "a connection's host", persistence.Update(c, attached))
	refused(persistence.ErrInvalid, "a key", persistence.Insert(&persistence.KeyValue{Key: emoji}))
	refused(persistence.ErrInvalid, "a value", persistence.Put(&persistence.KeyValue{Key: "key", Value: emoji}))
	refused(persistence.ErrInvalid, "a value updated", persistence.Update(kv, &persistence.KeyValue{Key: "key", Value: emoji}))
	refused(persistence.ErrInvalid, "a key put", persistence.Put(&persistence.KeyValue{Key: emoji}))
	refused(persistence.ErrNotFound, "a key updated", persistence.Update(&persistence.KeyValue{Key: emoji}, &persistence.KeyValue{Key: emoji, Value: "v"}))
	mustWrite(t, s, persistence.Delete(&persistence.KeyValue{Key: emoji}), persistence.Delete(&drivers.Volume{ID: emoji}))
	for _, f := range []persistence.VolumeFilter{{ID: emoji}, {Name: emoji}} {
		found, err := s.Volumes(t.Context(), f)
		require.NoError(t, err, "%+v", f)
		assert.Empty(t, found)
	}
	keyValues, err := s.KeyValues(t.Context(), emoji)
	require.NoError(t, err)
	assert.Empty(t, keyValues)

	// TEXT has 64 KiB less one byte, whatever the number of characters.
	wide := strings.Repeat("ñ", 1<<15)
	refused(persistence.ErrInvalid, "a long value", persistence.Put(&persistence.KeyValue{Key: "key", Value: wide}))
	refused(persistence.ErrInvalid, "a long value inserted", persistence.Insert(&persistence.KeyValue{Key: "other", Value: wide}))
	long := c.Clone()
	long.Connector.Extra = map[string]any{"long": strings.Repeat("x", 1<<16)}
	refused(persistence.ErrInvalid, "a long connector", persistence.Update(c, long))
	refused(persistence.ErrInvalid, "a long connector put", persistence.Put(long))
	long.ID = connectionID(2)
	refused(persistence.ErrInvalid, "a long connector inserted", persistence.Insert(long))

	// What a record points to must be there.
	ofVolume(persistence.ErrPrecondition, "a group", func(v *drivers.Volume) { v.GroupID = volumeID(95) })
	ofVolume(persistence.ErrPrecondition, "a consistency group", func(v *drivers.Volume) { v.ConsistencyGroupID = volumeID(95) })
	ofVolume(persistence.ErrPrecondition, "a service", func(v *drivers.Volume) { v.ServiceUUID = volumeID(95) })
	lone := n.Clone()
	lone.VolumeID = volumeID(2)
	refused(persistence.ErrPrecondition, "a snapshot of no volume", persistence.Update(n, lone))
	lone.ID = snapshotID(2)
	refused(persistence.ErrPrecondition, "a snapshot of no volume inserted", persistence.Insert(lone))
	refused(persistence.ErrPrecondition, "a connection of no volume", persistence.Insert(&persistence.Connection{ID: connectionID(2), VolumeID: volumeID(2)}))
	refused(persistence.ErrPrecondition, "a volume with a snapshot and a connection deleted", persistence.Delete(v))
	refused(persistence.ErrPrecondition, "a volume with a snapshot deleted", persistence.Delete(c), persistence.Delete(v))
	refused(persistence.ErrPrecondition, "a volume with a connection deleted", persistence.Delete(n), persistence.Delete(v))

	// Keys and ids that differ in case, accents or trailing spaces are one.
	for _, key := range []string{"KEY", "Key", "k\u00e9y", "key "} {
		other := &persistence.KeyValue{Key: key, Value: "other"}
		refused(persistence.ErrExists, "insert "+key, persistence.Insert(other))
		refused(persistence.ErrExists, "put "+key, persistence.Put(other))
		refused(persistence.ErrNotFound, "update "+key, persistence.Update(&persistence.KeyValue{Key: key, Value: "v"}, other))
		mustWrite(t, s, persistence.Delete(other))
		keyValues, err := s.KeyValues(t.Context(), key)
		require.NoError(t, err)
		assert.Empty(t, keyValues, key)
	}
	holds(t, s, "deletes of other keys", stored, *kv)
	free := &drivers.Volume{ID: "Free id", Name: "n"}
	mustWrite(t, s, persistence.Insert(free))
	stored.volumes = append([]*drivers.Volume{free}, stored.volumes...)
	for _, id := range []string{"free id", "FREE ID", "Free id ", "Fr\u00e9e id"} {
		other := &drivers.Volume{ID: id, Name: "other", Status: "error"}
		refused(persistence.ErrExists, "insert "+id, persistence.Insert(other))
		refused(persistence.ErrExists, "put "+id, persistence.Put(other))
		refused(persistence.ErrNotFound, "update "+id, persistence.Update(&drivers.Volume{ID: id, Name: "n"}, other))
		mustWrite(t, s, persistence.Delete(other))
		found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id})
		require.NoError(t, err)
		assert.Empty(t, found, id)
	}
	holds(t, s, "deletes of other ids", stored, *kv)
}

// fitting is what the suite asks for, as far as tables of Cinder's in MySQL can
// hold it.
func fitting(t *testing.T, url string) {
	mysqltest.Exec(t, url, emptying()...)
	s := open(t, url)
	ctx := t.Context()
	second := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

	// TEXT, to its last byte; JSON has no character that a table lacks.
	long := &persistence.KeyValue{Key: "long", Value: strings.Repeat("x", 1<<16-1)}
	v := &drivers.Volume{ID: volumeID(9), CreatedAt: second}
	c := &persistence.Connection{ID: connectionID(9), VolumeID: v.ID, Connector: &connector.Properties{Host: emoji, Extra: map[string]any{emoji: []any{emoji}}}}
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(c), persistence.Insert(long))
	holds(t, s, "long", samples{[]*drivers.Volume{v}, nil, []*persistence.Connection{c}}, *long)

	// Maps, with keys that a comparison would take for one; specs, without and with
	// QoS.
	mapped := []map[string]string{{"k": "1", "K": "2", "k ": "3", "k\u00e9": "4", "": "5"}, {"K": "2"}, nil, {"k": strings.Repeat("ñ", 255)}}
	typed := func(specs map[string]string, qos *drivers.QoSSpecs) *drivers.VolumeType {
		ty := &drivers.VolumeType{ID: v.ID, Name: v.ID, IsPublic: true, ExtraSpecs: specs, QoS: qos}
		if qos != nil {
			qos.ID, qos.Name, ty.QoSSpecsID = v.ID, v.ID, v.ID
		}
		return ty
	}
	types := []*drivers.VolumeType{
		typed(mapped[0], nil), typed(nil, &drivers.QoSSpecs{Consumer: "both", Specs: mapped[0]}), nil,
		typed(mapped[3], &drivers.QoSSpecs{Specs: mapped[1]}), typed(mapped[1], &drivers.QoSSpecs{Consumer: "front-end"}), typed(mapped[3], nil), nil,
	}
	step := func(what string, change func(v *drivers.Volume)) {
		t.Helper()
		next := v.Clone()
		change(next)
		mustWrite(t, s, persistence.Update(v, next))
		v = next
		holds(t, s, what, samples{[]*drivers.Volume{v}, nil, []*persistence.Connection{c}}, *long)
	}
	for i, m := range mapped {
		step(fmt.Sprint("metadata ", i), func(v *drivers.Volume) { v.Metadata = m })
		step(fmt.Sprint("admin metadata ", i), func(v *drivers.Volume) { v.AdminMetadata = m })
		step(fmt.Sprint("glance metadata ", i), func(v *drivers.Volume) { v.GlanceMetadata = m })
	}
	for i, ty := range types {
		step(fmt.Sprint("type ", i), func(v *drivers.Volume) {
			v.VolumeTypeID, v.VolumeType = "", nil
			if ty != nil {
				v.VolumeTypeID, v.VolumeType = ty.ID, ty.Clone()
			}
		})
	}
	for _, table := range []string{"volume_type_extra_specs", "quality_of_service_specs"} {
		assert.Equal(t, 0, countRows(t, url, table), table)
	}
	mustWrite(t, s, persistence.Delete(c), persistence.Delete(v), persistence.Delete(long))

	// Times are cut to the second. Within one the id counts.
	const count = 12
	place := func(n int) time.Time {
		return second.Add(time.Duration(n/4)*time.Second + 999999*time.Microsecond - time.Duration(n)*time.Millisecond)
	}
	var list []persistence.Op
	var want []string
	for n := range count {
		list = append(list, persistence.Insert(&drivers.Volume{ID: volumeID(n), CreatedAt: place(n), LaunchedAt: place(n)}))
		want = append(want, volumeID(n))
	}
	slices.Reverse(list)
	mustWrite(t, s, list...)
	assert.Equal(t, count, countRows(t, url, "volumes WHERE created_at = launched_at AND created_at BETWEEN '2026-02-03 04:05:06' AND '2026-02-03 04:05:08'"))
	for _, limit := range []int{1, 3, 5, count, count + 1} {
		var got []string
		page := persistence.Page{Limit: limit}
		for range count + 1 {
			found, err := s.Volumes(ctx, persistence.VolumeFilter{Page: page})
			require.NoError(t, err)
			for _, v := range found {
				got = append(got, v.ID)
				page.AfterTime, page.AfterID = v.CreatedAt, v.ID
			}
		}
		assert.Equal(t, want, got, "pages of %d", limit)
	}
	found, err := s.Volumes(ctx, persistence.VolumeFilter{Page: persistence.Page{AfterTime: place(5), AfterID: volumeID(5)}})
	require.NoError(t, err)
	assert.Len(t, found, count-6, "a time as it was before it was cut")
	mysqltest.Exec(t, url, emptying()...)

	// Each operation sees what those before it did, and none is done if one fails.
	n := &drivers.Snapshot{ID: snapshotID(9), VolumeID: v.ID}
	kv := &persistence.KeyValue{Key: "k", Value: "v"}
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Put(kv), persistence.Delete(n), persistence.Delete(v),
		persistence.Insert(v), persistence.Insert(c))
	one := samples{[]*drivers.Volume{v}, nil, []*persistence.Connection{c}}
	holds(t, s, "written", one, *kv)
	require.ErrorIs(t, s.Write(ctx, persistence.Delete(kv), persistence.Delete(c), persistence.Delete(v), persistence.Update(v, v)), persistence.ErrNotFound)
	require.ErrorIs(t, s.Write(ctx, persistence.Delete(kv), persistence.Delete(c), persistence.Insert(v)), persistence.ErrExists)
	holds(t, s, "not written", one, *kv)
	mysqltest.Exec(t, url, emptying()...)

	// Many writers, in the order that the tables want.
	const workers, each = 8, 8
	shared := &drivers.Volume{ID: volumeID(999), Status: "available"}
	mustWrite(t, s, persistence.Insert(shared))
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			errs <- func() error {
				for i := range each {
					v, n, c := ourVolume(), ourSnapshot(), ourConnection()
					v.ConsistencyGroupID, v.GroupID, v.ServiceUUID = "", "", ""
					v.ID = volumeID(w*each + i)
					v.VolumeTypeID, v.VolumeType.ID, v.VolumeType.QoSSpecsID, v.VolumeType.QoS.ID = v.ID, v.ID, v.ID, v.ID
					n.ID, c.ID, n.VolumeID, c.VolumeID = snapshotID(w*each+i), connectionID(w*each+i), v.ID, v.ID
					renamed := shared.Clone()
					renamed.Metadata = map[string]string{v.ID: "m"}
					if err := s.Write(ctx, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c)); err != nil {
						return err
					}
					if err := s.Write(ctx, persistence.Update(shared, renamed)); err != nil {
						return err
					}
					if i%2 == 0 {
						continue
					}
					if err := s.Write(ctx, persistence.Delete(c), persistence.Delete(n), persistence.Delete(v)); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range workers {
		require.NoError(t, <-errs)
	}
	all, _ := readAll(t, s)
	assert.Len(t, all.volumes, workers*each/2+1)
	assert.Len(t, all.snapshots, workers*each/2)
	assert.Len(t, all.connections, workers*each/2)
	assert.Len(t, volumeOf(t, s, shared.ID).Metadata, 1)
	assert.Equal(t, workers*each/2, countRows(t, url, "volume_types WHERE name <> '__DEFAULT__'"))
	assert.Equal(t, workers*each/2, countRows(t, url, "quality_of_service_specs WHERE specs_id IS NULL"))

	// What was deleted softly goes with the volume that is deleted for good: its
	// rows point there. What was not keeps the volume.
	mysqltest.Exec(t, url, emptying()...)
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(n), persistence.Insert(c))
	soft := open(t, url, gormdb.WithSoftDeletes())
	mustWrite(t, soft, persistence.Delete(n))
	require.ErrorIs(t, s.Write(ctx, persistence.Delete(v)), persistence.ErrPrecondition)
	assert.Equal(t, 1, countRows(t, url, "snapshots"), "nothing is done of what fails")
	mustWrite(t, soft, persistence.Delete(c))
	mustWrite(t, s, persistence.Delete(v))
	for _, table := range []string{"volumes", "snapshots", "snapshot_metadata", "volume_attachment"} {
		assert.Equal(t, 0, countRows(t, url, table), table)
	}
}

// alike are texts that the columns of Cinder's tables in MySQL take for one
// another, or for patterns.
var alike = []string{"name", "Name", "NAME", "name ", " name", "náme", "name%", "nam_", "ß", "ss", "i", "ı", "I", "名前"}

// exactNames: a filter finds what is written so.
func exactNames(t *testing.T, url string) {
	mysqltest.Exec(t, url, emptying()...)
	s := open(t, url)
	for i, text := range alike {
		v := &drivers.Volume{ID: volumeID(i), Name: text}
		mustWrite(t, s, persistence.Insert(v), persistence.Insert(&drivers.Snapshot{ID: snapshotID(i), VolumeID: v.ID, Name: text, Progress: text}))
	}
	for i, text := range append(slices.Clone(alike), "nAME", "x", emoji) {
		volumes, err := s.Volumes(t.Context(), persistence.VolumeFilter{Name: text})
		require.NoError(t, err)
		snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{Name: text, Backend: text})
		require.NoError(t, err)
		if i >= len(alike) {
			assert.Empty(t, volumes, "name %q", text)
			assert.Empty(t, snapshots, "name %q", text)
		} else if assert.Len(t, volumes, 1, "name %q", text) && assert.Len(t, snapshots, 1, "name %q", text) {
			assert.Equal(t, []string{volumeID(i), snapshotID(i)}, []string{volumes[0].ID, snapshots[0].ID})
		}
	}
}

// exactBackends: backends that differ in case only are two, in the host and in
// the availability zone.
func exactBackends(t *testing.T, url string) {
	mysqltest.Exec(t, url, emptying()...)
	s := open(t, url)
	for i, text := range append(slices.Clone(alike), "#zone", "#Zone") {
		v := &drivers.Volume{ID: volumeID(i), Host: "host@" + text + "#pool"}
		if i%2 == 1 || strings.HasPrefix(text, "#") {
			v.Host, v.AvailabilityZone = "", text
		}
		require.Equal(t, text, v.Backend())
		mustWrite(t, s, persistence.Insert(v), persistence.Insert(&persistence.Connection{ID: connectionID(i), VolumeID: v.ID}))
	}
	for i, text := range append(slices.Clone(alike), "#zone", "#Zone", "nAME", "#ZONE", "x", emoji, "#"+emoji) {
		volumes, err := s.Volumes(t.Context(), persistence.VolumeFilter{Backend: text})
		require.NoError(t, err)
		connections, err := s.Connections(t.Context(), persistence.ConnectionFilter{Backend: text})
		require.NoError(t, err)
		if i >= len(alike)+2 {
			assert.Empty(t, volumes, "backend %q", text)
			assert.Empty(t, connections, "backend %q", text)
		} else if assert.Len(t, volumes, 1, "backend %q", text) && assert.Len(t, connections, 1, "backend %q", text) {
			assert.Equal(t, []string{volumeID(i), connectionID(i)}, []string{volumes[0].ID, connections[0].ID})
		}
	}
}

// newer: what is added later is no harm while rows can do without it.
func newer(t *testing.T, url string) {
	mysqltest.Exec(t, url, append(emptying(),
		"ALTER TABLE volumes ADD COLUMN newer VARCHAR(36), ADD COLUMN newest INTEGER NOT NULL DEFAULT 7, ADD INDEX newer_idx (deleted, newer)",
		"ALTER TABLE volume_attachment ADD COLUMN newer TEXT", "CREATE TABLE newer (id INTEGER PRIMARY KEY, needed INTEGER NOT NULL)",
		"UPDATE alembic_version SET version_num = 'unknown'")...)
	s := open(t, url)
	v, c := &drivers.Volume{ID: volumeID(9), Name: "n"}, &persistence.Connection{ID: connectionID(9), VolumeID: volumeID(9)}
	mustWrite(t, s, persistence.Insert(v), persistence.Insert(c))
	mysqltest.Exec(t, url, "UPDATE volumes SET newer = 'kept', newest = 8")
	mustWrite(t, s, persistence.Put(v))
	holds(t, s, "newer", samples{[]*drivers.Volume{v}, nil, []*persistence.Connection{c}})
	assert.Equal(t, 1, countRows(t, url, "volumes WHERE newer = 'kept' AND newest = 8"))
	mysqltest.Exec(t, url, "ALTER TABLE volumes ADD COLUMN brand_new INTEGER NOT NULL")
	_, err := gormdb.Open(t.Context(), url)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	assert.ErrorContains(t, err, "table volumes needs the column brand_new")
}
