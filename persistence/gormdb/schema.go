// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/persistence"
)

// table is a table of records of type T, as this database has it.
type table[T any] struct {
	name    string
	kind    string // of its records, in messages
	columns []column[T]
	absent  []column[T] // that an older Cinder's table lacks
	maps    []mapTable[T]
	indexes [][]string // of a table made here

	selectSQL, insertSQL, putSQL string
}

// index finds a column by name; -1 if the table has none.
func (t *table[T]) index(name string) int {
	return slices.IndexFunc(t.columns, func(c column[T]) bool { return c.name == name })
}

// byAge is the order of all results.
var byAge = []string{"created_at", "id"}

// prepare makes the tables of an empty database, or finds out what the database
// has. It changes nothing in one that has tables.
func (s *Store) prepare(ctx context.Context) error {
	s.volumes = table[volume]{
		name: volumesTable, kind: "volume", columns: volumeColumns, maps: volumeMaps,
		indexes: [][]string{byAge, {"display_name"}, {typeColumn}},
	}
	s.snapshots = table[snapshot]{
		name: snapshotsTable, kind: "snapshot", columns: snapshotColumns, maps: snapshotMaps,
		indexes: [][]string{{"volume_id"}, byAge, {"display_name"}},
	}
	s.connections = table[row]{
		name: connectionsTable, kind: "connection", columns: connectionColumns,
		indexes: [][]string{{"volume_id"}, byAge},
	}
	known, err := s.inspect(ctx)
	if err != nil {
		return err
	}
	if !known {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	finish(s, &s.volumes)
	finish(s, &s.snapshots)
	finish(s, &s.connections)
	return s.retry(ctx, func(ctx context.Context) error {
		ids, err := texts(s.reader.WithContext(ctx),
			"SELECT id FROM volume_types WHERE name = ? AND deleted IS NOT TRUE ORDER BY created_at LIMIT 1", defaultTypeName)
		if err == nil && len(ids) > 0 {
			s.defaultType = ids[0]
		}
		return err
	})
}

// inspect tells whether the database has the tables. One that has others, or
// others' versions of them, is an error.
func (s *Store) inspect(ctx context.Context) (known bool, err error) {
	var tables []string
	err = s.retry(ctx, func(ctx context.Context) error {
		tables, err = s.tables(s.reader.WithContext(ctx))
		return err
	})
	switch {
	case err != nil:
		return false, err
	case len(tables) == 0:
		return false, nil
	case slices.Contains(tables, versionTable):
		return s.checkVersion(ctx)
	case !slices.Contains(tables, volumesTable):
		slices.Sort(tables)
		return false, s.errorf(persistence.ErrInvalid, "it is another application's: it has tables (%s) and none is called %s",
			strings.Join(tables[:min(3, len(tables))], ", "), volumesTable)
	case !slices.Contains(tables, keyValuesTable):
		return false, s.errorf(persistence.ErrInvalid, "it is that of a Cinder service, not of cinderlib: it has no table %s", keyValuesTable)
	}
	return true, s.checkColumns(ctx)
}

// tables are those of the database. That of a connection: gorm's Migrator asks for
// its name before, and takes another if that fails.
func (s *Store) tables(tx *gorm.DB) ([]string, error) {
	if s.dialect == mysqlName {
		return texts(tx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
	}
	return tx.Migrator().GetTables()
}

func (s *Store) checkVersion(ctx context.Context) (complete bool, err error) {
	var versions []int
	err = s.retry(ctx, func(ctx context.Context) error {
		return s.reader.WithContext(ctx).Raw("SELECT version FROM " + versionTable).Scan(&versions).Error
	})
	if err != nil || len(versions) == 0 { // the tables are being made
		return false, err
	}
	if v := slices.Max(versions); v > schemaVersion {
		return false, s.errorf(persistence.ErrInvalid, "a newer release made it: its schema has version %d, this release knows %d", v, schemaVersion)
	}
	return true, nil
}

// later are the columns that databases of older releases of Cinder lack.
var later = []string{"use_quota"} // Xena

// checkColumns compares the tables that Cinder made with those known here. A
// column too many is no harm if rows can do without it.
func (s *Store) checkColumns(ctx context.Context) error {
	columns := map[string]map[string]existing{}
	names := []string{typesTable, specsTable, qosTable, volumesTable, snapshotsTable, connectionsTable}
	for _, m := range volumeMaps {
		names = append(names, m.table)
	}
	for _, m := range snapshotMaps {
		names = append(names, m.table)
	}
	for _, name := range names {
		err := s.retry(ctx, func(ctx context.Context) (err error) {
			columns[name], err = s.existing(s.reader.WithContext(ctx), name)
			return err
		})
		if err != nil {
			return err
		}
		if len(columns[name]) == 0 {
			return s.errorf(persistence.ErrInvalid, "it has no table %s", name)
		}
	}
	if err := fit(s, &s.volumes, columns[volumesTable]); err != nil {
		return err
	}
	if err := fit(s, &s.snapshots, columns[snapshotsTable]); err != nil {
		return err
	}
	return fit(s, &s.connections, columns[connectionsTable])
}

// existing is a column that a database has.
type existing struct {
	needed bool  // rows cannot do without it
	digits int64 // of a second, after the point
}

// existing gives the columns of a table, by name; none if there is no such table.
func (s *Store) existing(tx *gorm.DB, table string) (map[string]existing, error) {
	columns := map[string]existing{}
	if s.dialect == sqliteName { // gorm reads the definitions itself, and takes Python's tabs for quotes
		query := `SELECT name, "notnull" AND pk = 0 AND ifnull(upper(dflt_value), 'NULL') = 'NULL' FROM pragma_table_info(?)`
		err := each(tx.Raw(query, table), 2, func(v []any) error {
			name, _ := asText(v[0])
			needed, err := asBool(v[1], false)
			columns[name] = existing{needed: needed}
			return err
		})
		return columns, err
	}
	list, err := tx.Migrator().ColumnTypes(table)
	for _, c := range list {
		nullable, known := c.Nullable()
		_, hasDefault := c.DefaultValue()
		auto, _ := c.AutoIncrement()
		digits, _, _ := c.DecimalSize()
		columns[c.Name()] = existing{needed: known && !nullable && !hasDefault && !auto, digits: digits}
	}
	return columns, err
}

// fit reduces a table's columns to those that the database has.
func fit[T any](s *Store, t *table[T], has map[string]existing) error {
	all := t.columns
	t.columns = nil
	for _, c := range all {
		found, ok := has[c.name]
		switch {
		case ok:
			t.columns = append(t.columns, c)
			if c.name == "created_at" && s.dialect == mysqlName {
				s.wholeSeconds = found.digits == 0 // Cinder's tables have none there
			}
		case slices.Contains(later, c.name):
			t.absent = append(t.absent, c)
		default:
			return s.errorf(persistence.ErrInvalid, "table %s has no column %s", t.name, c.name)
		}
		delete(has, c.name)
	}
	for name, c := range has {
		if c.needed {
			return s.errorf(persistence.ErrInvalid, "a newer release of Cinder made it: table %s needs the column %s, which is not known here",
				t.name, name)
		}
	}
	return nil
}

// finish writes the statements of a table.
func finish[T any](s *Store, t *table[T]) {
	names, marks, sets, prefixed := make([]string, len(t.columns)), make([]string, len(t.columns)), make([]string, 0, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i], marks[i], prefixed[i] = s.quote(c.name), "?", "t."+s.quote(c.name)
		if i > 0 {
			sets = append(sets, names[i]+" = ?")
		}
	}
	t.selectSQL = "SELECT " + strings.Join(prefixed, ", ") + " FROM " + t.name + " t WHERE t.deleted IS NOT TRUE"
	t.insertSQL = "INSERT INTO " + t.name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	t.putSQL = "UPDATE " + t.name + " SET " + strings.Join(sets, ", ") + " WHERE " + s.exact("id") + " AND deleted IS NOT TRUE"
}

// create makes the tables. Another process may be doing the same.
func (s *Store) create(ctx context.Context) error {
	if s.dialect != mysqlName {
		return s.retry(ctx, func(ctx context.Context) error {
			return s.writer.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return s.createIn(tx) })
		})
	}
	// A definition is a transaction of its own there: whoever has the lock makes
	// what is missing.
	unlock, err := s.locks.Lock(ctx, "schema")
	if err != nil {
		return err
	}
	defer unlock()
	return s.retry(ctx, func(ctx context.Context) error {
		tx := s.writer.WithContext(ctx)
		if err := s.findCollation(tx); err != nil {
			return err
		}
		return s.createIn(tx)
	})
}

func (s *Store) createIn(tx *gorm.DB) error {
	statements := []string{"CREATE TABLE IF NOT EXISTS " + versionTable + " (version INTEGER NOT NULL PRIMARY KEY)" + s.tableOptions()}
	statements = append(statements, define(s, &s.volumes)...)
	statements = append(statements, define(s, &s.snapshots)...)
	statements = append(statements, define(s, &s.connections)...)
	for _, m := range volumeMaps {
		statements = append(statements, s.defineMap(m.table, m.owner, m.long)...)
	}
	for _, m := range snapshotMaps {
		statements = append(statements, s.defineMap(m.table, m.owner, m.long)...)
	}
	statements = append(statements, s.defineMap(specsTable, typeColumn, false)...)
	statements = append(statements, s.defineTable(typesTable,
		[]string{"id VARCHAR(36) NOT NULL PRIMARY KEY", "name VARCHAR(255)", "qos_specs_id VARCHAR(36)", "is_public BOOLEAN", "description VARCHAR(255)"},
		[]string{"qos_specs_id"})...)
	statements = append(statements, s.defineTable(qosTable,
		[]string{"id VARCHAR(36) NOT NULL PRIMARY KEY", "specs_id VARCHAR(36)", s.quote("key") + " VARCHAR(255)", "value VARCHAR(255)"},
		[]string{"specs_id"})...)
	statements = append(statements, "CREATE TABLE IF NOT EXISTS "+keyValuesTable+
		" ("+s.quote("key")+" VARCHAR(255) NOT NULL PRIMARY KEY, value "+s.sqlType(long, 0)+")"+s.tableOptions())
	for _, statement := range statements {
		if err := tx.Exec(statement).Error; err != nil {
			return err
		}
	}
	var versions []int
	if err := tx.Raw("SELECT version FROM " + versionTable).Scan(&versions).Error; err != nil || len(versions) > 0 {
		return err
	}
	now := time.Now().UTC().Format(timeLayout)
	return tx.Transaction(func(tx *gorm.DB) error {
		err := tx.Exec("INSERT INTO "+versionTable+" (version) VALUES (?)", schemaVersion).Error
		if isDuplicate(err) { // who made the tables lost the lock, and finished
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Exec("INSERT INTO volume_types (created_at, updated_at, deleted, id, name, description, is_public) VALUES (?, ?, ?, ?, ?, ?, ?)",
			now, now, false, uuid.NewString(), defaultTypeName, "Default Volume Type", true).Error
	})
}

// define writes the definition of a table of records.
func define[T any](s *Store, t *table[T]) []string {
	columns := make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		text := s.quote(c.name) + " " + s.sqlType(c.form, c.size)
		switch {
		case c.name == "id":
			text += " NOT NULL PRIMARY KEY"
		case c.required:
			text += " NOT NULL"
		}
		columns = append(columns, text)
	}
	return s.defineRaw(t.name, columns, t.indexes)
}

func (s *Store) defineMap(name, owner string, longValue bool) []string {
	value := s.sqlType(text, 255)
	if longValue {
		value = s.sqlType(long, 0)
	}
	return s.defineTable(name, []string{s.serial(), owner + " VARCHAR(36) NOT NULL", s.quote("key") + " VARCHAR(255)", "value " + value}, []string{owner})
}

// defineTable adds the columns that all of Cinder's tables have.
func (s *Store) defineTable(name string, columns, index []string) []string {
	at := s.sqlType(instant, 0)
	columns = append([]string{"created_at " + at, "updated_at " + at, "deleted_at " + at, "deleted " + s.sqlType(boolean, 0)}, columns...)
	return s.defineRaw(name, columns, [][]string{index})
}

func (s *Store) defineRaw(name string, columns []string, indexes [][]string) []string {
	var after []string
	for _, index := range indexes {
		list := "ix_" + name + "_" + strings.Join(index, "_")
		if s.dialect == mysqlName {
			columns = append(columns, fmt.Sprintf("INDEX %s (%s)", list, strings.Join(index, ", ")))
		} else {
			after = append(after, fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", list, name, strings.Join(index, ", ")))
		}
	}
	return append([]string{"CREATE TABLE IF NOT EXISTS " + name + " (" + strings.Join(columns, ", ") + ")" + s.tableOptions()}, after...)
}

// sqlType is the type of a column, with Cinder's names where the database knows
// them.
func (s *Store) sqlType(f form, size int) string {
	switch f {
	case text:
		return fmt.Sprintf("VARCHAR(%d)", size)
	case number:
		return "INTEGER"
	case boolean:
		return "BOOLEAN"
	case instant:
		switch s.dialect {
		case mysqlName:
			return "DATETIME(6)"
		case sqliteName:
			return "DATETIME"
		}
		return "TIMESTAMP(6)"
	}
	if s.dialect == mysqlName {
		return "MEDIUMTEXT" // TEXT ends at 64 KiB
	}
	return "TEXT"
}

// serial is the definition of an id that the database counts.
func (s *Store) serial() string {
	switch s.dialect {
	case mysqlName:
		return "id INTEGER NOT NULL PRIMARY KEY AUTO_INCREMENT"
	case sqliteName:
		return "id INTEGER NOT NULL PRIMARY KEY"
	}
	return "id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
}

// tableOptions make text exact: what differs in case only is two.
func (s *Store) tableOptions() string {
	if s.dialect == mysqlName {
		return " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE " + s.collation
	}
	return ""
}

// findCollation prefers one in which trailing spaces count: MariaDB's or MySQL's.
func (s *Store) findCollation(tx *gorm.DB) error {
	found, err := texts(tx, "SELECT collation_name FROM information_schema.collations WHERE collation_name IN (?, ?)", "utf8mb4_nopad_bin", "utf8mb4_0900_bin")
	s.collation = "utf8mb4_bin"
	if len(found) > 0 {
		s.collation = found[0]
	}
	return err
}

// quote quotes a name: key is a word of SQL.
func (s *Store) quote(name string) string { return s.reader.Statement.Quote(name) }

// exact is the condition that a text column equals the next argument, as it is
// written: databases that Python made in MySQL compare without regard to case,
// and all of MySQL's without regard to trailing spaces.
func (s *Store) exact(name string) string {
	c := s.quote(name)
	if s.dialect == mysqlName {
		return c + " = ? AND CAST(" + c + " AS BINARY) = CAST(? AS BINARY)"
	}
	return c + " = ?"
}

// exactly are exact's arguments.
func (s *Store) exactly(value string) []any {
	switch {
	case s.dialect != mysqlName:
		return []any{value}
	case strings.ContainsFunc(value, func(r rune) bool { return r > 0xffff }):
		// A column of Cinder's, of three bytes a character, is not compared with such
		// a text, but with bytes; the index is of no use then.
		return []any{gorm.Expr("CAST(? AS BINARY)", value), value}
	}
	return []any{value, value}
}
