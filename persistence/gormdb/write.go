// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/persistence"
)

// Write implements persistence.Store: the operations are one transaction.
func (s *Store) Write(ctx context.Context, ops ...persistence.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return s.errorf(persistence.ErrClosed, "the store is closed")
	}
	if len(ops) == 0 {
		return nil
	}
	if s.batch != nil {
		return s.batch.write(ctx, ops)
	}
	unsure := false // a commit may have been done
	return s.retry(ctx, func(ctx context.Context) error {
		if unsure {
			if done, err := s.applied(ctx, ops); err != nil || done {
				return err
			}
		}
		committing := false
		err := s.writer.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			err := s.apply(ctx, tx, ops)
			committing = err == nil
			return err
		})
		unsure = unsure || (committing && err != nil)
		return err
	})
}

// applied tells, after a commit whose answer was lost, whether it was done. An
// operation that can be done twice does not tell.
func (s *Store) applied(ctx context.Context, ops []persistence.Op) (bool, error) {
	for _, op := range ops {
		var stored any
		var err error
		switch r := op.Record.(type) {
		case *volume:
			stored, err = only(s.Volumes(ctx, persistence.VolumeFilter{ID: r.ID}))
		case *snapshot:
			stored, err = only(s.Snapshots(ctx, persistence.SnapshotFilter{ID: r.ID}))
		case *connection:
			stored, err = only(s.Connections(ctx, persistence.ConnectionFilter{ID: r.ID}))
		case *persistence.KeyValue:
			var list []persistence.KeyValue
			if list, err = s.KeyValues(ctx, r.Key); len(list) > 0 {
				stored = &list[0]
			}
		}
		if err != nil {
			return false, err
		}
		switch op.Kind {
		case persistence.OpInsert:
			if kv, ok := stored.(*persistence.KeyValue); ok && *kv != *op.Record.(*persistence.KeyValue) {
				return false, nil // another's
			}
			if stored != nil {
				return true, nil
			}
		case persistence.OpUpdate:
			changed := persistence.Changed(op.Old, op.Record)
			if len(changed) == 0 || stored == nil {
				continue
			}
			differs := persistence.Changed(stored, op.Record)
			return !slices.ContainsFunc(changed, func(field string) bool { return slices.Contains(differs, field) }), nil
		}
	}
	return false, nil
}

func only[R any](list []*R, err error) (any, error) {
	if len(list) == 0 {
		return nil, err
	}
	return list[0], err
}

// apply does the operations; between two of them it looks at the context.
func (s *Store) apply(ctx context.Context, tx *gorm.DB, ops []persistence.Op) error {
	for _, op := range ops {
		err := ctx.Err()
		if err != nil {
			return err
		}
		switch r := op.Record.(type) {
		case *volume:
			err = named("volume", r.ID, s.applyVolume(tx, op, r))
		case *snapshot:
			err = named("snapshot", r.ID, s.applySnapshot(tx, op, r))
		case *connection:
			err = named("connection", r.ID, s.applyConnection(tx, op, r))
		case *persistence.KeyValue:
			err = named("key", r.Key, s.applyKeyValue(tx, op.Kind, r))
		default:
			err = persistence.Errorf(persistence.ErrInvalid, "%T is no record", op.Record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recordError says which record an operation failed for.
type recordError struct {
	kind, id string
	err      error
}

func (e *recordError) Error() string { return e.kind + " " + e.id + ": " + e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

func named(kind, id string, err error) error {
	if err == nil {
		return nil
	}
	return &recordError{kind, id, err}
}

func (s *Store) applyVolume(tx *gorm.DB, op persistence.Op, v *volume) error {
	v = withoutDefault(v)
	if v.VolumeType != nil && v.VolumeType.ID != v.VolumeTypeID {
		return persistence.Errorf(persistence.ErrInvalid, "its volume_type_id is %q and its type has the id %q", v.VolumeTypeID, v.VolumeType.ID)
	}
	switch op.Kind {
	case persistence.OpInsert:
		if err := insert(s, tx, &s.volumes, v, v.ID); err != nil {
			return err
		}
		return s.writeType(tx, v.VolumeType)
	case persistence.OpPut:
		was, err := s.typeOf(tx, v.ID)
		if err != nil {
			return err
		}
		if err := putRecord(s, tx, &s.volumes, v, v.ID); err != nil {
			return err
		}
		return s.changeType(tx, was, v)
	case persistence.OpUpdate:
		old, _ := op.Old.(*volume)
		changed, err := fields(old, v)
		if err != nil {
			return err
		}
		var was string
		typed := slices.Contains(changed, "volume_type") || slices.Contains(changed, typeColumn)
		if typed {
			if was, err = s.typeOf(tx, v.ID); err != nil {
				return err
			}
		}
		if err := update(s, tx, &s.volumes, v, v.ID, changed, "status", old.Status); err != nil || !typed {
			return err
		}
		return s.changeType(tx, was, v)
	case persistence.OpDelete:
		was, err := s.typeOf(tx, v.ID)
		if err != nil {
			return err
		}
		if err := remove(s, tx, &s.volumes, v.ID, "status = 'deleted'"); err != nil {
			return err
		}
		if err := s.dropType(tx, was); err != nil || was == v.ID {
			return err
		}
		return s.dropType(tx, v.ID) // Python leaves it behind when it changes the volume's type
	}
	return badKind(op)
}

func (s *Store) applySnapshot(tx *gorm.DB, op persistence.Op, n *snapshot) error {
	switch op.Kind {
	case persistence.OpInsert:
		return insert(s, tx, &s.snapshots, n, n.ID)
	case persistence.OpPut:
		return putRecord(s, tx, &s.snapshots, n, n.ID)
	case persistence.OpUpdate:
		old, _ := op.Old.(*snapshot)
		changed, err := fields(old, n)
		if err != nil {
			return err
		}
		return update(s, tx, &s.snapshots, n, n.ID, changed, "status", old.Status)
	case persistence.OpDelete:
		return remove(s, tx, &s.snapshots, n.ID, "status = 'deleted'")
	}
	return badKind(op)
}

func (s *Store) applyConnection(tx *gorm.DB, op persistence.Op, c *connection) error {
	if op.Kind == persistence.OpDelete {
		return remove(s, tx, &s.connections, c.ID, "attach_status = 'deleted'")
	}
	info, host := c.InfoJSON()
	r := &row{*c, string(info), string(host)}
	switch op.Kind {
	case persistence.OpInsert:
		return insert(s, tx, &s.connections, r, c.ID)
	case persistence.OpPut:
		return putRecord(s, tx, &s.connections, r, c.ID)
	case persistence.OpUpdate:
		old, _ := op.Old.(*connection)
		changed, err := fields(old, c)
		if err != nil {
			return err
		}
		return update(s, tx, &s.connections, r, c.ID, changed, "attach_status", old.AttachStatus)
	}
	return badKind(op)
}

func badKind(op persistence.Op) error {
	return persistence.Errorf(persistence.ErrInvalid, "no such kind of operation: %d", op.Kind)
}

// fields are the names of those that an update changes.
func fields[R interface {
	*volume | *snapshot | *connection
}](old, changed R) ([]string, error) {
	if old == nil {
		return nil, persistence.Errorf(persistence.ErrInvalid, "an update needs the record as it was last seen")
	}
	return persistence.Changed(old, changed), nil
}

// bind makes an argument of a value.
func (s *Store) bind(v any) any {
	if t, ok := v.(time.Time); ok {
		if s.wholeSeconds {
			return t.UTC().Format(time.DateTime) // the database would round
		}
		return t.UTC().Format(timeLayout)
	}
	return v
}

// value is a column's argument, checked.
func value[T any](s *Store, c *column[T], rec *T) (any, error) {
	v := c.get(rec)
	if err := c.check(v); err != nil {
		return nil, err
	}
	if c.name == typeColumn {
		v = s.typeID(v)
	}
	return s.bind(v), nil
}

// values are the arguments of a whole row.
func values[T any](s *Store, t *table[T], rec *T) ([]any, error) {
	args := make([]any, len(t.columns), len(t.columns)+2)
	for i := range t.columns {
		var err error
		if args[i], err = value(s, &t.columns[i], rec); err != nil {
			return nil, err
		}
	}
	if args[0] == nil {
		return nil, persistence.Errorf(persistence.ErrInvalid, "a record needs an id")
	}
	return args, nil
}

func insert[T any](s *Store, tx *gorm.DB, t *table[T], rec *T, id string) error {
	args, err := values(s, t, rec)
	if err != nil {
		return err
	}
	err = tx.Exec(t.insertSQL, args...).Error
	if isDuplicate(err) {
		// Of a record that was deleted softly nothing but its id is in the way.
		deleted, err := texts(tx, "SELECT id FROM "+t.name+" WHERE "+s.exact("id")+" AND deleted IS TRUE", s.exactly(id)...)
		if err != nil {
			return err
		}
		if len(deleted) == 0 {
			return persistence.Errorf(persistence.ErrExists, "it is stored already")
		}
		if err := purge(s, tx, t, id); err != nil {
			return err
		}
		if err := tx.Exec(t.insertSQL, args...).Error; err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, m := range t.maps {
		if err := s.writeMap(tx, m.table, m.owner, id, *m.at(rec), m.long); err != nil {
			return err
		}
	}
	return nil
}

func putRecord[T any](s *Store, tx *gorm.DB, t *table[T], rec *T, id string) error {
	args, err := values(s, t, rec)
	if err != nil {
		return err
	}
	done := tx.Exec(t.putSQL, append(args[1:len(args):len(args)], s.exactly(id)...)...)
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return insert(s, tx, t, rec, id)
	}
	for _, m := range t.maps {
		if err := replaceMap(s, tx, m, rec, id); err != nil {
			return err
		}
	}
	return nil
}

// update writes the changed fields. The status is compared in the same
// statement, so nothing needs to be read.
func update[T any](s *Store, tx *gorm.DB, t *table[T], rec *T, id string, changed []string, status, was string) error {
	sets := make([]string, 0, len(changed)+1)
	args := make([]any, 0, len(changed)+4)
	for _, name := range changed {
		i := t.index(name)
		if i < 0 {
			continue // a map, or what this database lacks
		}
		v, err := value(s, &t.columns[i], rec)
		if err != nil {
			return err
		}
		sets = append(sets, s.quote(name)+" = ?")
		args = append(args, v)
	}
	if len(sets) == 0 {
		sets = append(sets, "id = id") // holds the row for the maps
	}
	query := "UPDATE " + t.name + " SET " + strings.Join(sets, ", ") + " WHERE " + s.exact("id") + " AND deleted IS NOT TRUE"
	args = append(args, s.exactly(id)...)
	guarded := slices.Contains(changed, status)
	switch {
	case guarded && was == "":
		query += " AND " + status + " IS NULL"
	case guarded:
		query += " AND " + status + " = ?"
		args = append(args, was)
	}
	done := tx.Exec(query, args...)
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		is, err := texts(tx, "SELECT "+status+" FROM "+t.name+" WHERE "+s.exact("id")+" AND deleted IS NOT TRUE", s.exactly(id)...)
		switch {
		case err != nil:
			return err
		case len(is) == 0:
			return persistence.Errorf(persistence.ErrNotFound, "it is not stored")
		}
		return persistence.Errorf(persistence.ErrConflict, "the status is %q, not %q", is[0], was)
	}
	for _, m := range t.maps {
		if slices.Contains(changed, m.field) {
			if err := replaceMap(s, tx, m, rec, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes a record, or marks it. status is what a mark sets beside.
func remove[T any](s *Store, tx *gorm.DB, t *table[T], id, status string) error {
	if !s.softDeletes {
		return purge(s, tx, t, id)
	}
	now := s.bind(time.Now())
	for _, m := range t.maps {
		err := tx.Exec("UPDATE "+m.table+" SET deleted = ?, deleted_at = ? WHERE "+s.exact(m.owner)+" AND deleted IS NOT TRUE",
			append([]any{true, now}, s.exactly(id)...)...).Error
		if err != nil {
			return err
		}
	}
	return tx.Exec("UPDATE "+t.name+" SET deleted = ?, deleted_at = ?, "+status+" WHERE "+s.exact("id")+" AND deleted IS NOT TRUE",
		append([]any{true, now}, s.exactly(id)...)...).Error
}

func purge[T any](s *Store, tx *gorm.DB, t *table[T], id string) error {
	for _, m := range t.maps {
		if err := s.deleteFrom(tx, m.table, m.owner, id); err != nil {
			return err
		}
	}
	err := s.deleteFrom(tx, t.name, "id", id)
	if t.name != volumesTable || !isReferred(err) {
		return err
	}
	if err := s.purgeMarked(tx, id); err != nil {
		return err
	}
	return s.deleteFrom(tx, t.name, "id", id)
}

// purgeMarked removes what was deleted softly of a volume: where foreign keys are
// kept, its rows hold the volume's.
func (s *Store) purgeMarked(tx *gorm.DB, volume string) error {
	marked := " WHERE " + s.exact("volume_id") + " AND deleted IS TRUE"
	ids, err := texts(tx, "SELECT id FROM "+snapshotsTable+marked, s.exactly(volume)...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := purge(s, tx, &s.snapshots, id); err != nil {
			return err
		}
	}
	return tx.Exec("DELETE FROM "+connectionsTable+marked, s.exactly(volume)...).Error
}

func (s *Store) deleteFrom(tx *gorm.DB, table, column, value string) error {
	return tx.Exec("DELETE FROM "+table+" WHERE "+s.exact(column), s.exactly(value)...).Error
}

func replaceMap[T any](s *Store, tx *gorm.DB, m mapTable[T], rec *T, id string) error {
	if err := s.deleteFrom(tx, m.table, m.owner, id); err != nil {
		return err
	}
	return s.writeMap(tx, m.table, m.owner, id, *m.at(rec), m.long)
}

// rowsAtOnce bounds the arguments of one statement.
const rowsAtOnce = 100

// writeMap adds the rows of a map.
func (s *Store) writeMap(tx *gorm.DB, table, owner, id string, m map[string]string, longValue bool) error {
	now := s.bind(time.Now())
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(m)), rowsAtOnce) {
		args := make([]any, 0, 5*len(keys))
		for _, key := range keys {
			if err := checkPair(table, key, m[key], longValue); err != nil {
				return err
			}
			args = append(args, now, false, id, key, m[key])
		}
		query := "INSERT INTO " + table + " (created_at, deleted, " + owner + ", " + s.quote("key") + ", value) VALUES " + marks(len(keys), 5)
		if err := tx.Exec(query, args...).Error; err != nil {
			return err
		}
	}
	return nil
}

func marks(rows, columns int) string {
	one := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(one+", ", rows-1) + one
}

func checkPair(table, key, value string, longValue bool) error {
	k := column[struct{}]{name: "a key of " + table, size: 255}
	v := column[struct{}]{name: "the value of " + key + " in " + table, size: 255}
	if longValue {
		v.form = long
	}
	if err := k.check(key); err != nil {
		return err
	}
	return v.check(value)
}

func (s *Store) applyKeyValue(tx *gorm.DB, kind persistence.OpKind, kv *persistence.KeyValue) error {
	if kv.Key == "" {
		return persistence.Errorf(persistence.ErrInvalid, "a key-value needs a key")
	}
	if err := checkPair(keyValuesTable, kv.Key, kv.Value, true); err != nil {
		return err
	}
	if kind == persistence.OpDelete {
		return s.deleteFrom(tx, keyValuesTable, "key", kv.Key)
	}
	if kind == persistence.OpPut || kind == persistence.OpUpdate {
		done := tx.Exec("UPDATE "+keyValuesTable+" SET value = ? WHERE "+s.exact("key"), append([]any{kv.Value}, s.exactly(kv.Key)...)...)
		switch {
		case done.Error != nil || done.RowsAffected > 0:
			return done.Error
		case kind == persistence.OpUpdate:
			return persistence.Errorf(persistence.ErrNotFound, "it is not stored")
		}
	}
	err := tx.Exec("INSERT INTO "+keyValuesTable+" ("+s.quote("key")+", value) VALUES (?, ?)", kv.Key, kv.Value).Error
	if isDuplicate(err) {
		// Also a key that the database takes for the same: docs tell of case.
		return persistence.Errorf(persistence.ErrExists, "it, or one that the database does not tell from it, is stored already")
	}
	return err
}
