// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// canary is in every secret that the tests write.
const canary = "c4n4ry"

// secrets are what no error and no log shows: the canary and the password of the
// test server, as it is and as it is in a URL.
var secrets = []string{canary, "p@ss/w:rd%", "p%40ss%2Fw"}

// code checks that an error is a case of the sentinel, says on one line all that
// it should, and shows no secret.
func code(t testing.TB, err, sentinel error, says ...string) {
	t.Helper()
	if !assert.ErrorIs(t, err, sentinel) {
		return
	}
	assert.Equal(t, fault.CodeOf(sentinel), fault.CodeOf(err), err)
	for _, text := range says {
		assert.ErrorContains(t, err, text)
	}
	assert.NotContains(t, err.Error(), "\n")
	for _, secret := range secrets {
		assert.NotContains(t, err.Error(), secret)
	}
}

func id(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func volume(n int) *drivers.Volume {
	return &drivers.Volume{
		ID: id(n), Name: fmt.Sprint("volume ", n), Size: n, Status: "available", Host: "host@backend#pool",
		ProviderAuth: canary, Metadata: map[string]string{"password": canary}, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
		VolumeTypeID: id(n), VolumeType: &drivers.VolumeType{
			ID: id(n), Name: id(n), ExtraSpecs: map[string]string{"x": canary}, QoSSpecsID: id(n),
			QoS: &drivers.QoSSpecs{ID: id(n), Name: id(n), Consumer: "both", Specs: map[string]string{"maxIOPS": canary}},
		},
	}
}

func snapshot(n int) *drivers.Snapshot {
	return &drivers.Snapshot{
		ID: id(n), VolumeID: id(n), Name: fmt.Sprint("snapshot ", n), Status: "available", VolumeSize: n, Progress: "backend",
		ProviderAuth: canary, Metadata: map[string]string{"password": canary}, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}
}

func connection(n int) *persistence.Connection {
	return &persistence.Connection{
		ID: id(n), VolumeID: id(n), AttachStatus: persistence.AttachAttached, AttachMode: connector.ReadWrite,
		Conn:      &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: &connector.ISCSIData{TargetLUN: n, AuthPassword: canary}},
		Connector: &connector.Properties{Host: "node", Initiator: "iqn." + canary},
		Device:    &connector.Device{Type: "block", Path: "/dev/x"}, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}
}

func keyValue(n int) *persistence.KeyValue {
	return &persistence.KeyValue{Key: id(n), Value: canary}
}

// fill writes so many records of each kind.
func fill(t testing.TB, s persistence.Store, records int) {
	t.Helper()
	for n := range records {
		require.NoError(t, s.Write(t.Context(), persistence.Insert(volume(n)), persistence.Insert(snapshot(n)),
			persistence.Insert(connection(n)), persistence.Insert(keyValue(n))))
	}
}

// ids are those of all volumes in the store.
func ids(t testing.TB, s persistence.Store) []string {
	t.Helper()
	found, err := s.Volumes(context.WithoutCancel(t.Context()), persistence.VolumeFilter{})
	require.NoError(t, err)
	list := make([]string, len(found))
	for i, v := range found {
		list[i] = v.ID
	}
	return list
}

// file is the path of an sqlite database that holds so many records of each
// kind, and that nobody has open.
func file(t testing.TB, records int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cl.sqlite")
	s, err := gormdb.OpenFile(t.Context(), path)
	require.NoError(t, err)
	fill(t, s, records)
	require.NoError(t, s.Close())
	return path
}

// raw opens an sqlite file past the store.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", path+"?_busy_timeout=10000")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// change runs statements in an sqlite file past the store.
func change(t testing.TB, path string, statements ...string) {
	t.Helper()
	db := raw(t, path)
	for _, statement := range statements {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, db.Close())
}

// alter runs statements in the database of a URL past the store.
func alter(t testing.TB, url string, statements ...string) {
	t.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite:///"); ok {
		change(t, path, statements...)
		return
	}
	mysqltest.Exec(t, url, statements...)
}

// each runs a test on a file, in memory and on MariaDB, if there is one.
func each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("memory_db", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite://")
	})
	lasting(t, test)
}

// lasting runs a test on the databases of each that several stores can open.
func lasting(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, freshFile(t))
	})
	if os.Getenv(mysqltest.URLEnv) != "" {
		t.Run("mariadb", func(t *testing.T) {
			t.Parallel()
			test(t, freshMySQL(t))
		})
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config map[string]any
		says   []string
	}{
		{map[string]any{"storage": "db"}, []string{"persistence db", "connection", "required"}},
		{map[string]any{"storage": "db", "connection": nil}, []string{"persistence db", "connection"}},
		{map[string]any{"storage": "db", "connection": 5}, []string{"persistence db", "connection", "dialect"}},
		{map[string]any{"storage": "db", "connection": ""}, []string{"persistence db", "connection", "required"}},
		{map[string]any{"storage": "db", "connection": "sqlite://", "connections": canary}, []string{"persistence db", `unknown option "connections"`, `"connection"?`}},
		{map[string]any{"storage": "db", "connection": "sqlite://", "soft_deletes": "perhaps"}, []string{"persistence db", "soft_deletes"}},
		{map[string]any{"storage": "db", "connection": "sqlite://", "sqlite_synchronous": 1.5}, []string{"sqlite_synchronous"}},
		{map[string]any{"storage": "memory_db", "connection": "sqlite:///x/" + canary}, []string{"persistence memory_db", `unknown option "connection"`}},
		{map[string]any{"storage": "db", "connection": "postgresql://u:" + canary + "@h/db"}, []string{"persistence db", `dialect "postgresql"`, "sqlite"}},
		{map[string]any{"storage": "db", "connection": "oracle://u:" + canary + "@h/db"}, []string{`dialect "oracle"`, "mysql"}},
		{map[string]any{"storage": "db", "connection": "mysql+odbc://u:" + canary + "@h/db"}, []string{`driver "odbc"`, "pymysql"}},
		{map[string]any{"storage": "db", "connection": "/var/lib/" + canary}, []string{"dialect", "sqlite:////"}},
		{map[string]any{"storage": "db", "connection": "sqlite://host/x"}, []string{"three slashes"}},
		{map[string]any{"storage": "db", "connection": "mysql://u:" + canary + "@h"}, []string{"name of the database"}},
		{map[string]any{"storage": "db", "connection": "mysql://u:" + canary + "@h:port/db"}, []string{"address"}},
		{map[string]any{"storage": "db", "connection": "mysql://u:" + canary + "@h/db?char=utf8"}, []string{`query key "char"`, "charset"}},
	} {
		s, err := persistence.Open(t.Context(), persistence.Env{Log: slog.New(slog.DiscardHandler)}, c.config)
		code(t, err, persistence.ErrInvalid, c.says...)
		assert.Nil(t, s)
	}
}

// refused checks that a file cannot be opened, and is as it was.
func refused(t *testing.T, path string, sentinel error, says ...string) {
	t.Helper()
	before, _ := os.ReadFile(path)
	s, err := gormdb.OpenFile(t.Context(), path)
	code(t, err, sentinel, append(says, "database "+path)...)
	assert.Nil(t, s)
	after, _ := os.ReadFile(path)
	assert.True(t, bytes.Equal(before, after), "%s was changed", path)
}

func TestFileRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	refused(t, filepath.Join(dir, "none", "cl.sqlite"), persistence.ErrInvalid, "folder "+filepath.Join(dir, "none"), "does not exist")
	_, err := os.Stat(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	refused(t, dir, persistence.ErrInvalid, "is a directory")
	refused(t, filepath.Join(put("a-file", nil), "cl.sqlite"), persistence.ErrInvalid, "not a directory")
	refused(t, filepath.Join(dir, strings.Repeat("long", 100)), persistence.ErrInvalid, "too long")
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	s, err := gormdb.OpenFile(t.Context(), fifo)
	code(t, err, persistence.ErrInvalid, fifo, "regular file")
	assert.Nil(t, s)

	refused(t, put("text", bytes.Repeat([]byte("some text\n"), 10)), persistence.ErrDataLoss, "not a database")
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 200, 200))))
	refused(t, put("x.png", picture.Bytes()), persistence.ErrDataLoss, "not a database")
}

// What is damaged is said at once, by whatever meets it; the rest can be read.
func TestFileDamaged(t *testing.T) {
	t.Parallel()
	path := file(t, 100)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	page := func(b []byte, table string) {
		at := count(t, "sqlite:///"+path, "SELECT rootpage FROM sqlite_master WHERE name = '"+table+"'")
		copy(b[(at-1)*4096:at*4096], bytes.Repeat([]byte{0xa5, 0x5a}, 2048))
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		opens  bool
	}{
		"middle":  {func(b []byte) []byte { clear(b[3*4096 : len(b)-4096]); return b }, false},
		"schema":  {func(b []byte) []byte { copy(b[100:4096], bytes.Repeat([]byte{0xa5}, 4096)); return b }, false},
		"half":    {func(b []byte) []byte { return b[:len(b)/2] }, false},
		"a page":  {func(b []byte) []byte { return b[:4096] }, false},
		"cut off": {func(b []byte) []byte { return b[:99] }, false},
		"tables": {func(b []byte) []byte {
			for _, table := range []string{"volumes", "volume_attachment", "cinderlib_persistence_key_value"} {
				page(b, table)
			}
			return b
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cl.sqlite")
			require.NoError(t, os.WriteFile(path, c.damage(bytes.Clone(whole)), 0o600))
			s, err := gormdb.OpenFile(t.Context(), path)
			if !c.opens {
				code(t, err, persistence.ErrDataLoss, path)
				return
			}
			require.NoError(t, err)
			defer s.Close()
			_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
			code(t, err, persistence.ErrDataLoss, path)
			_, err = s.Connections(t.Context(), persistence.ConnectionFilter{})
			code(t, err, persistence.ErrDataLoss, path)
			_, err = s.KeyValues(t.Context(), "")
			code(t, err, persistence.ErrDataLoss, path)
			code(t, s.Write(t.Context(), persistence.Put(volume(1))), persistence.ErrDataLoss, path)
			snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
			require.NoError(t, err)
			assert.Len(t, snapshots, 100)
			require.NoError(t, s.Write(t.Context(), persistence.Put(snapshot(1))))
		})
	}
}

func TestDatabaseOfOthers(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T, statements ...string) string {
		path := filepath.Join(t.TempDir(), "other.sqlite")
		change(t, path, statements...)
		return path
	}
	refused(t, fresh(t, "CREATE TABLE songs (id INTEGER)", "CREATE TABLE artists (id INTEGER)", "INSERT INTO songs VALUES (1)"),
		persistence.ErrInvalid, "another application", "artists", "songs", "volumes")
	refused(t, fresh(t, "CREATE TABLE volumes (id VARCHAR(36))", "CREATE TABLE services (id INTEGER)"),
		persistence.ErrInvalid, "Cinder service", "cinderlib_persistence_key_value")
	refused(t, fresh(t, "CREATE TABLE volumes (id VARCHAR(36))", "CREATE TABLE cinderlib_persistence_key_value (key VARCHAR(255), value TEXT)"),
		persistence.ErrInvalid, "no table volume_types")

	ours := file(t, 1)
	change(t, ours, "UPDATE cinderlib_schema SET version = 2")
	refused(t, ours, persistence.ErrInvalid, "newer", "version 2", "knows 1")
}

// A database of ours from which somebody removed something.
func TestSomethingMissing(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 1)
		require.NoError(t, s.Close())
		alter(t, url, "ALTER TABLE volumes DROP COLUMN provider_auth")
		s, err := gormdb.Open(t.Context(), url)
		if err == nil {
			defer s.Close()
			_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
		}
		code(t, err, persistence.ErrInvalid, "database", "provider_auth")
		alter(t, url, "DROP TABLE volumes")
		s, err = gormdb.Open(t.Context(), url)
		if err == nil {
			defer s.Close()
			_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
		}
		code(t, err, persistence.ErrInvalid, "database", "volumes")
	})
}

// The creation of the tables was cut off: the next one to open goes on.
func TestCreationCutOff(t *testing.T) {
	t.Parallel()
	for _, drop := range [][]string{
		{"DELETE FROM cinderlib_schema", "DELETE FROM volume_types"},
		{"DELETE FROM cinderlib_schema", "DELETE FROM volume_types", "DROP TABLE volumes", "DROP TABLE cinderlib_persistence_key_value"},
		{"DELETE FROM cinderlib_schema", "DROP TABLE cinderlib_persistence_key_value", "DROP TABLE volume_types"},
		{"DELETE FROM cinderlib_schema", "DROP TABLE volume_types", "DROP TABLE snapshots", "DROP TABLE volume_metadata", "DROP TABLE quality_of_service_specs"},
	} {
		t.Run(fmt.Sprint(len(drop)), func(t *testing.T) {
			t.Parallel()
			lasting(t, func(t *testing.T, url string) {
				require.NoError(t, open(t, url).Close())
				alter(t, url, drop...)
				s := open(t, url)
				fill(t, s, 2)
				require.NoError(t, s.Close())
				assert.Len(t, ids(t, open(t, url)), 2)
				assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM volume_types WHERE name = '__DEFAULT__'"))
				assert.Equal(t, 1, count(t, url, "SELECT count(*) FROM cinderlib_schema"))
			})
		})
	}
}

// count asks the database of a URL for a number, past the store.
func count(t testing.TB, url, query string) (n int) {
	t.Helper()
	var db *sql.DB
	if path, ok := strings.CutPrefix(url, "sqlite:///"); ok {
		db = raw(t, path)
	} else {
		db = mysqltest.Pool(t, url)
		defer db.Close()
	}
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// A record that cannot be read is named, and hides no other.
func TestRecordsDamaged(t *testing.T) {
	t.Parallel()
	lasting(t, func(t *testing.T, url string) {
		s := open(t, url)
		fill(t, s, 5)
		statements := []string{
			"UPDATE volume_attachment SET connection_info = '{\"conn\": {\"data\": \"" + canary + "' WHERE id = '" + id(1) + "'",
			"UPDATE volume_attachment SET connector = '" + canary + "' WHERE id = '" + id(2) + "'",
			"UPDATE volume_attachment SET connection_info = '[\"" + canary + "\"]' WHERE id = '" + id(3) + "'",
		}
		badVolumes, badSnapshots := map[string]string{}, map[string]string{}
		if strings.HasPrefix(url, "sqlite") { // MySQL has no text in a number
			statements = append(statements,
				"UPDATE volumes SET size = '"+canary+"' WHERE id = '"+id(1)+"'",
				"UPDATE volumes SET created_at = '"+canary+"' WHERE id = '"+id(2)+"'",
				"UPDATE volumes SET bootable = '"+canary+"' WHERE id = '"+id(3)+"'",
				"UPDATE snapshots SET volume_size = 1.5 WHERE id = '"+id(0)+"'",
				"UPDATE snapshots SET updated_at = '2026-13-01 00:00:00' WHERE id = '"+id(4)+"'")
			badVolumes = map[string]string{id(1): "size", id(2): "created_at", id(3): "bootable"}
			badSnapshots = map[string]string{id(0): "volume_size", id(4): "updated_at"}
		}
		alter(t, url, statements...)

		connections, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
		assert.Len(t, connections, 2)
		damaged(t, err, "connection", map[string]string{id(1): "connection_info", id(2): "connector", id(3): "connection_info"})
		connections, err = s.Connections(t.Context(), persistence.ConnectionFilter{ID: id(2)})
		assert.Empty(t, connections)
		damaged(t, err, "connection", map[string]string{id(2): "connector"})
		connections, err = s.Connections(t.Context(), persistence.ConnectionFilter{ID: id(4)})
		require.NoError(t, err)
		assert.Equal(t, connection(4).Conn, connections[0].Conn)

		volumes, err := s.Volumes(t.Context(), persistence.VolumeFilter{})
		assert.Len(t, volumes, 5-len(badVolumes))
		damaged(t, err, "volume", badVolumes)
		for _, v := range volumes {
			assert.Equal(t, canary, v.Metadata["password"])
			assert.Equal(t, canary, v.VolumeType.QoS.Specs["maxIOPS"])
		}
		snapshots, err := s.Snapshots(t.Context(), persistence.SnapshotFilter{})
		assert.Len(t, snapshots, 5-len(badSnapshots))
		damaged(t, err, "snapshot", badSnapshots)

		// They can be replaced, and deleted.
		require.NoError(t, s.Write(t.Context(), persistence.Put(volume(1)), persistence.Put(snapshot(0)), persistence.Put(connection(1)),
			persistence.Delete(volume(2)), persistence.Delete(volume(3)), persistence.Delete(snapshot(4)), persistence.Delete(connection(2)), persistence.Delete(connection(3))))
		_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
		require.NoError(t, err)
		_, err = s.Snapshots(t.Context(), persistence.SnapshotFilter{})
		require.NoError(t, err)
		_, err = s.Connections(t.Context(), persistence.ConnectionFilter{})
		require.NoError(t, err)
	})
}

// damaged checks that an error names just these records, each with what is wrong.
func damaged(t *testing.T, err error, kind string, want map[string]string) {
	t.Helper()
	if len(want) == 0 {
		require.NoError(t, err)
		return
	}
	code(t, err, persistence.ErrDataLoss, "database ")
	got := map[string]string{}
	var walk func(error)
	walk = func(err error) {
		var bad *persistence.RecordError
		switch e := err.(type) { //nolint:errorlint // it walks the tree itself
		case *persistence.RecordError:
			bad = e
			assert.Equal(t, kind, bad.Kind)
			assert.ErrorContains(t, bad, want[bad.ID])
			got[bad.ID] = want[bad.ID]
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	assert.Equal(t, want, got)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		s, err := gormdb.Open(t.Context(), url)
		require.NoError(t, err)
		fill(t, s, 1)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { assert.NoError(t, s.Close()) })
		}
		wg.Wait()
		require.NoError(t, s.Close())
		_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
		code(t, err, persistence.ErrClosed, "database")
		_, err = s.Snapshots(t.Context(), persistence.SnapshotFilter{})
		code(t, err, persistence.ErrClosed, "database")
		_, err = s.Connections(t.Context(), persistence.ConnectionFilter{})
		code(t, err, persistence.ErrClosed, "database")
		_, err = s.KeyValues(t.Context(), "")
		code(t, err, persistence.ErrClosed, "database")
		code(t, s.Write(t.Context(), persistence.Put(volume(1))), persistence.ErrClosed, "database")
		code(t, s.Write(t.Context()), persistence.ErrClosed, "database")
		if locks := s.Locks(); locks != nil {
			_, err = locks.Lock(t.Context(), "x")
			code(t, err, persistence.ErrClosed, "lock test_", "/x")
			_, ok, err := locks.TryLock(t.Context(), "x")
			assert.False(t, ok)
			code(t, err, persistence.ErrClosed, "lock test_", "/x")
		}
	})
}

// No statement, value or secret is logged, whatever happens.
func TestNothingLogged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, url string) {
		var log bytes.Buffer
		handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4})
		s := open(t, url, gormdb.WithLogger(slog.New(handler)))
		fill(t, s, 3)
		changed := volume(1)
		changed.ProviderAuth += "2"
		changed.Metadata = map[string]string{canary: canary}
		require.NoError(t, s.Write(t.Context(), persistence.Update(volume(1), changed), persistence.Delete(snapshot(2))))
		_, err := s.Connections(t.Context(), persistence.ConnectionFilter{Backend: canary})
		require.NoError(t, err)
		code(t, s.Write(t.Context(), persistence.Insert(volume(1))), persistence.ErrExists, id(1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Write(ctx, persistence.Put(volume(7))), context.Canceled)
		require.NoError(t, s.Close())
		for _, secret := range append(secrets, "INSERT", "SELECT", "UPDATE", "volumes") {
			assert.NotContains(t, log.String(), secret)
		}
	})
}
