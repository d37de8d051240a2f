// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// where is a condition on the table called t.
type where struct {
	sql  strings.Builder
	args []any
}

func (w *where) and(condition string, args ...any) {
	w.sql.WriteString(" AND ")
	w.sql.WriteString(condition)
	w.args = append(w.args, args...)
}

func (s *Store) equals(w *where, column, value string) {
	if value != "" {
		w.and(s.exact("t."+column), s.exactly(value)...)
	}
}

// page adds what comes after the last page; with NULL, which comes first, for
// the zero time.
func (s *Store) page(w *where, p persistence.Page) {
	switch {
	case p.AfterID == "":
	case p.AfterTime.IsZero():
		w.and("(t.created_at IS NOT NULL OR t.id > ?)", p.AfterID)
	default:
		at := s.bind(p.AfterTime)
		w.and("t.created_at >= ? AND (t.created_at > ? OR t.id > ?)", at, at, p.AfterID)
	}
}

func order(p persistence.Page) string {
	if p.Limit > 0 {
		return fmt.Sprintf(" ORDER BY t.created_at, t.id LIMIT %d", p.Limit)
	}
	return " ORDER BY t.created_at, t.id"
}

// ofBackend adds the condition that a volume is of a backend: what stands between
// @ and # of host, or the availability zone if host has no @.
func (s *Store) ofBackend(w *where, name string) {
	exact := "%s IN (?, ?)"
	if s.dialect == mysqlName {
		exact = "CAST(%s AS BINARY) IN (CAST(? AS BINARY), CAST(? AS BINARY))"
	}
	zone := "((t.host IS NULL OR INSTR(t.host, '@') = 0) AND " + fmt.Sprintf(exact, "t.availability_zone") + ")"
	if strings.Contains(name, "#") { // not possible in host
		w.and(zone, name, name)
		return
	}
	host := "(INSTR(t.host, '@') > 0 AND " + fmt.Sprintf(exact, "SUBSTR(t.host, INSTR(t.host, '@') + 1, ?)") + ")"
	w.and("("+host+" OR "+zone+")", utf8.RuneCountInString(name)+1, name, name+"#", name, name)
}

// Volumes implements persistence.Store. It takes two queries, four if volumes
// have types, whatever their number.
func (s *Store) Volumes(ctx context.Context, f persistence.VolumeFilter) ([]*drivers.Volume, error) {
	var w where
	s.equals(&w, "id", f.ID)
	s.equals(&w, "display_name", f.Name)
	if f.Backend != "" {
		s.ofBackend(&w, f.Backend)
	}
	var found []*volume
	err := s.view(ctx, func(tx *gorm.DB) (bad []error, err error) {
		found, bad, err = find(s, tx, &s.volumes, &w, f.Page)
		if err != nil || len(found) == 0 {
			return bad, err
		}
		if f.Limit > 0 {
			s.between(&w, found[0].CreatedAt, found[len(found)-1].CreatedAt)
		}
		byID := make(map[string]*volume, len(found))
		typed := false
		for _, v := range found {
			byID[v.ID] = v
			typed = typed || v.VolumeTypeID != ""
		}
		if err := readMaps(s, tx, &s.volumes, &w, byID); err != nil || !typed {
			return bad, err
		}
		return bad, s.readTypes(tx, &w, found)
	})
	return found, err
}

// Snapshots implements persistence.Store.
func (s *Store) Snapshots(ctx context.Context, f persistence.SnapshotFilter) ([]*drivers.Snapshot, error) {
	var w where
	s.equals(&w, "id", f.ID)
	s.equals(&w, "display_name", f.Name)
	s.equals(&w, "volume_id", f.VolumeID)
	s.equals(&w, "progress", f.Backend)
	var found []*snapshot
	err := s.view(ctx, func(tx *gorm.DB) (bad []error, err error) {
		found, bad, err = find(s, tx, &s.snapshots, &w, f.Page)
		if err != nil || len(found) == 0 {
			return bad, err
		}
		if f.Limit > 0 {
			s.between(&w, found[0].CreatedAt, found[len(found)-1].CreatedAt)
		}
		byID := make(map[string]*snapshot, len(found))
		for _, n := range found {
			byID[n.ID] = n
		}
		return bad, readMaps(s, tx, &s.snapshots, &w, byID)
	})
	return found, err
}

// Connections implements persistence.Store.
func (s *Store) Connections(ctx context.Context, f persistence.ConnectionFilter) ([]*persistence.Connection, error) {
	var w where
	s.equals(&w, "id", f.ID)
	s.equals(&w, "volume_id", f.VolumeID)
	if f.Backend != "" {
		var of where
		s.ofBackend(&of, f.Backend)
		w.and("t.volume_id IN (SELECT t.id FROM "+volumesTable+" t WHERE t.deleted IS NOT TRUE"+of.sql.String()+")", of.args...)
	}
	var list []*persistence.Connection
	err := s.retry(ctx, func(ctx context.Context) error {
		found, bad, err := find(s, s.reader.WithContext(ctx), &s.connections, &w, f.Page)
		if err != nil {
			return err
		}
		list = make([]*persistence.Connection, 0, len(found))
		for _, r := range found {
			if err := r.SetInfoJSON([]byte(r.info), []byte(r.host)); err != nil {
				bad = append(bad, &persistence.RecordError{Kind: s.connections.kind, ID: r.ID, Err: err})
				continue
			}
			list = append(list, &r.connection)
		}
		return fault.Join(bad...)
	})
	return list, err
}

// KeyValues implements persistence.Store.
func (s *Store) KeyValues(ctx context.Context, key string) ([]persistence.KeyValue, error) {
	query := "SELECT " + s.quote("key") + ", value FROM " + keyValuesTable
	var args []any
	if key != "" {
		query += " WHERE " + s.exact("key")
		args = s.exactly(key)
	}
	var list []persistence.KeyValue
	err := s.retry(ctx, func(ctx context.Context) error {
		list = nil
		return each(s.reader.WithContext(ctx).Raw(query+" ORDER BY 1", args...), 2, func(v []any) error {
			key, _ := asText(v[0])
			value, err := asText(v[1])
			list = append(list, persistence.KeyValue{Key: key, Value: value})
			return err
		})
	})
	return list, err
}

// view runs f on one state of the database. Bad records do not end it.
func (s *Store) view(ctx context.Context, f func(tx *gorm.DB) (bad []error, err error)) error {
	return s.retry(ctx, func(ctx context.Context) error {
		var bad []error
		err := s.reader.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
			bad, err = f(tx)
			return err
		}, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		return fault.Join(bad...)
	})
}

// between narrows a condition to the times of a page that was read.
func (s *Store) between(w *where, first, last time.Time) {
	if !last.IsZero() {
		w.and("(t.created_at IS NULL OR t.created_at <= ?)", s.bind(last))
	}
	if !first.IsZero() {
		w.and("t.created_at >= ?", s.bind(first))
	}
}

// each calls f with the values of each row, which it may keep.
func each(query *gorm.DB, columns int, f func([]any) error) error {
	rows, err := query.Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	values, into := make([]any, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts reads a column of text. NULL is empty.
func texts(tx *gorm.DB, query string, args ...any) (list []string, err error) {
	err = each(tx.Raw(query, args...), 1, func(v []any) error {
		text, err := asText(v[0])
		list = append(list, text)
		return err
	})
	return list, err
}

func find[T any](s *Store, tx *gorm.DB, t *table[T], w *where, p persistence.Page) (found []*T, bad []error, err error) {
	var page where
	s.page(&page, p)
	query := t.selectSQL + w.sql.String() + page.sql.String() + order(p)
	typeAt := t.index(typeColumn)
	err = each(tx.Raw(query, append(append([]any{}, w.args...), page.args...)...), len(t.columns), func(values []any) error {
		rec := new(T)
		if typeAt >= 0 {
			if id, _ := asText(values[typeAt]); id == s.defaultType {
				values[typeAt] = nil
			}
		}
		for i := range t.columns {
			if err := t.columns[i].set(rec, values[i]); err != nil {
				id, _ := asText(values[0])
				bad = append(bad, &persistence.RecordError{Kind: t.kind, ID: id, Err: fmt.Errorf("%s: %w", t.columns[i].name, err)})
				return nil
			}
		}
		for i := range t.absent {
			_ = t.absent[i].set(rec, nil)
		}
		found = append(found, rec)
		return nil
	})
	return found, bad, err
}

// readMaps reads the maps of the records that the condition selects; of one
// record by its id, which any database finds at once.
func readMaps[T any](s *Store, tx *gorm.DB, t *table[T], w *where, byID map[string]*T) error {
	var query strings.Builder
	var args []any
	for i, m := range t.maps {
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&query, "SELECT %d, m.%s, m.%s, m.value FROM %s m", i, m.owner, s.quote("key"), m.table)
		if len(byID) == 1 {
			fmt.Fprintf(&query, " WHERE m.deleted IS NOT TRUE AND m.%s = ?", m.owner)
			for id := range byID {
				args = append(args, id)
			}
			continue
		}
		fmt.Fprintf(&query, " JOIN %s t ON t.id = m.%s WHERE m.deleted IS NOT TRUE AND t.deleted IS NOT TRUE%s", t.name, m.owner, w.sql.String())
		args = append(args, w.args...)
	}
	return s.pairs(tx, query.String(), args, func(i int, owner, key, value string) {
		if rec := byID[owner]; rec != nil {
			put(t.maps[i].at(rec), key, value)
		}
	})
}

func put(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// pairs reads rows of a number, an owner, a key and a value.
func (s *Store) pairs(tx *gorm.DB, query string, args []any, f func(n int, owner, key, value string)) error {
	return each(tx.Raw(query, args...), 4, func(v []any) error {
		n, err := asInt(v[0])
		if err != nil {
			return err
		}
		var texts [3]string
		for i := range texts {
			if texts[i], err = asText(v[i+1]); err != nil {
				return err
			}
		}
		f(n, texts[0], texts[1], texts[2])
		return nil
	})
}

// readTypes reads the types of the volumes that the condition selects, their
// extra specs and QoS.
func (s *Store) readTypes(tx *gorm.DB, w *where, volumes []*volume) error {
	ofThem := "IN (SELECT t.volume_type_id FROM volumes t WHERE t.deleted IS NOT TRUE AND t.volume_type_id <> ?" + w.sql.String() + ")"
	args := append([]any{s.defaultType}, w.args...)
	if len(volumes) == 1 {
		ofThem, args = "= ?", []any{volumes[0].VolumeTypeID}
	}
	types := map[string]*drivers.VolumeType{}
	byQoS := map[string]*drivers.QoSSpecs{}
	err := each(tx.Raw("SELECT id, name, description, is_public, qos_specs_id FROM volume_types WHERE deleted IS NOT TRUE AND id "+ofThem, args...),
		5, func(v []any) (err error) {
			ty := &drivers.VolumeType{}
			for i, into := range []*string{&ty.ID, &ty.Name, &ty.Description, nil, &ty.QoSSpecsID} {
				if into == nil {
					ty.IsPublic, err = asBool(v[i], true)
				} else {
					*into, err = asText(v[i])
				}
				if err != nil {
					return err
				}
			}
			if ty.QoSSpecsID != "" {
				ty.QoS = byQoS[ty.QoSSpecsID]
				if ty.QoS == nil {
					ty.QoS = &drivers.QoSSpecs{ID: ty.QoSSpecsID}
					byQoS[ty.QoSSpecsID] = ty.QoS
				}
			}
			types[ty.ID] = ty
			return nil
		})
	if err != nil || len(types) == 0 {
		return err
	}
	key := s.quote("key")
	query := "SELECT 0, volume_type_id, " + key + ", value FROM volume_type_extra_specs WHERE deleted IS NOT TRUE AND volume_type_id " + ofThem
	if len(byQoS) > 0 {
		const ofQoS = " UNION ALL SELECT %d, q.%s, q.%s, q.value FROM quality_of_service_specs q JOIN volume_types y ON y.qos_specs_id = q.%s" +
			" WHERE q.deleted IS NOT TRUE AND y.deleted IS NOT TRUE AND y.id %s"
		query += fmt.Sprintf(ofQoS, 1, "id", key, "id", ofThem) + fmt.Sprintf(ofQoS, 2, "specs_id", key, "specs_id", ofThem)
		args = slices.Concat(args, args, args)
	}
	err = s.pairs(tx, query, args, func(n int, owner, key, value string) {
		if n == 0 {
			if ty := types[owner]; ty != nil {
				put(&ty.ExtraSpecs, key, value)
			}
			return
		}
		q := byQoS[owner]
		switch {
		case q == nil:
		case n == 1:
			q.Name = value
		case key == qosConsumer:
			q.Consumer = value
		default:
			put(&q.Specs, key, value)
		}
	})
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if ty := types[v.VolumeTypeID]; ty != nil {
			v.VolumeType = ty.Clone() // a type of several volumes is one a record
		}
	}
	return nil
}
