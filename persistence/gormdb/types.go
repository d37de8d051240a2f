// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/persistence"
)

// Volume types. A volume without specs has the default type of its database,
// which records do not show: it has another id in every database.

// withoutDefault is the volume without the default type of whatever database it
// comes from.
func withoutDefault(v *volume) *volume {
	if v.VolumeType == nil || v.VolumeType.Name != defaultTypeName {
		return v
	}
	plain := *v
	plain.VolumeTypeID, plain.VolumeType = "", nil
	return &plain
}

// typeID is the argument for a volume_type_id.
func (s *Store) typeID(id any) any {
	if id == nil && s.defaultType != "" {
		return s.defaultType
	}
	return id
}

// typeOf reads which type a volume has in the store, and holds the volume's row.
func (s *Store) typeOf(tx *gorm.DB, id string) (string, error) {
	query := "SELECT " + typeColumn + " FROM volumes WHERE " + s.exact("id")
	if s.dialect == mysqlName {
		query += " FOR UPDATE"
	}
	ids, err := texts(tx, query, s.exactly(id)...)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// changeType stores a volume's type after the volume, which had the type was.
func (s *Store) changeType(tx *gorm.DB, was string, v *volume) error {
	if was != v.VolumeTypeID {
		if err := s.dropType(tx, was); err != nil {
			return err
		}
	}
	return s.writeType(tx, v.VolumeType)
}

// writeType adds or replaces a type with its specs.
func (s *Store) writeType(tx *gorm.DB, ty *drivers.VolumeType) error {
	if ty == nil {
		return nil
	}
	if err := fault.Join(checkLength("the id of the volume type", ty.ID, 36), checkLength("the name of the volume type", ty.Name, 255),
		checkLength("the description of the volume type", ty.Description, 255)); err != nil {
		return err
	}
	was, err := texts(tx, "SELECT qos_specs_id FROM volume_types WHERE "+s.exact("id"), s.exactly(ty.ID)...)
	if err != nil {
		return err
	}
	qosID := ty.QoSSpecsID
	if ty.QoS != nil {
		if qosID == "" {
			qosID = ty.QoS.ID
		}
		if err := s.writeQoS(tx, qosID, ty.QoS); err != nil {
			return err
		}
	}
	now := s.bind(time.Now())
	row := []any{orNull(ty.Name), orNull(ty.Description), ty.IsPublic, orNull(qosID)}
	if len(was) > 0 {
		err = tx.Exec("UPDATE volume_types SET updated_at = ?, deleted = ?, deleted_at = NULL, name = ?, description = ?, is_public = ?, qos_specs_id = ? WHERE "+s.exact("id"),
			append(append([]any{now, false}, row...), s.exactly(ty.ID)...)...).Error
	} else {
		err = tx.Exec("INSERT INTO volume_types (created_at, deleted, name, description, is_public, qos_specs_id, id) VALUES (?, ?, ?, ?, ?, ?, ?)",
			append(append([]any{now, false}, row...), ty.ID)...).Error
	}
	if err != nil {
		return err
	}
	if len(was) > 0 && was[0] != "" && was[0] != qosID {
		if err := s.purgeQoS(tx, was[0]); err != nil {
			return err
		}
	}
	if err := s.deleteFrom(tx, specsTable, typeColumn, ty.ID); err != nil {
		return err
	}
	return s.writeMap(tx, specsTable, typeColumn, ty.ID, ty.ExtraSpecs, false)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Store) writeQoS(tx *gorm.DB, id string, q *drivers.QoSSpecs) error {
	if id == "" || id != q.ID && q.ID != "" {
		return persistence.Errorf(persistence.ErrInvalid, "its type's qos_specs_id is %q and its QoS has the id %q", id, q.ID)
	}
	if _, ok := q.Specs[qosConsumer]; ok {
		return persistence.Errorf(persistence.ErrInvalid, "a QoS spec cannot be called %s", qosConsumer)
	}
	if err := fault.Join(checkLength("the id of the QoS", id, 36), checkLength("the name of the QoS", q.Name, 255),
		checkLength("the consumer of the QoS", q.Consumer, 255)); err != nil {
		return err
	}
	if err := s.deleteFrom(tx, qosTable, "specs_id", id); err != nil {
		return err
	}
	now := s.bind(time.Now())
	done := tx.Exec("UPDATE quality_of_service_specs SET updated_at = ?, deleted = ?, deleted_at = NULL, value = ? WHERE "+s.exact("id"),
		append([]any{now, false, q.Name}, s.exactly(id)...)...)
	if done.Error != nil {
		return done.Error
	}
	insert := "INSERT INTO quality_of_service_specs (created_at, deleted, id, specs_id, " + s.quote("key") + ", value) VALUES "
	if done.RowsAffected == 0 {
		if err := tx.Exec(insert+marks(1, 6), now, false, id, nil, qosRoot, q.Name).Error; err != nil {
			return err
		}
	}
	specs := maps.Clone(q.Specs)
	if q.Consumer != "" {
		if specs == nil {
			specs = map[string]string{}
		}
		specs[qosConsumer] = q.Consumer
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(specs)), rowsAtOnce) {
		args := make([]any, 0, 6*len(keys))
		for _, key := range keys {
			if err := checkPair(qosTable, key, specs[key], false); err != nil {
				return err
			}
			args = append(args, now, false, uuid.NewString(), id, key, specs[key])
		}
		if err := tx.Exec(insert+marks(len(keys), 6), args...).Error; err != nil {
			return err
		}
	}
	return nil
}

// dropType removes a type with its specs, unless a volume has it.
func (s *Store) dropType(tx *gorm.DB, id string) error {
	if id == "" || id == s.defaultType {
		return nil
	}
	users, err := texts(tx, "SELECT id FROM volumes WHERE "+s.exact(typeColumn)+" AND deleted IS NOT TRUE LIMIT 1", s.exactly(id)...)
	if err != nil || len(users) > 0 {
		return err
	}
	qos, err := texts(tx, "SELECT qos_specs_id FROM volume_types WHERE "+s.exact("id"), s.exactly(id)...)
	if err != nil || len(qos) == 0 {
		return err
	}
	// Python makes a QoS with the id of the type and does not connect the two.
	ids := []string{id}
	if qos[0] != "" && qos[0] != id {
		ids = append(ids, qos[0])
	}
	if s.softDeletes {
		now := s.bind(time.Now())
		mark := func(table, column, id string) error {
			return tx.Exec("UPDATE "+table+" SET deleted = ?, deleted_at = ? WHERE "+s.exact(column)+" AND deleted IS NOT TRUE",
				append([]any{true, now}, s.exactly(id)...)...).Error
		}
		if err := fault.Join(mark(specsTable, typeColumn, id), mark(typesTable, "id", id)); err != nil {
			return err
		}
		for _, id := range ids {
			used, err := s.isUsedQoS(tx, id)
			if err != nil {
				return err
			}
			if used {
				continue
			}
			if err := fault.Join(mark(qosTable, "specs_id", id), mark(qosTable, "id", id)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.deleteFrom(tx, specsTable, typeColumn, id); err != nil {
		return err
	}
	if err := s.deleteFrom(tx, typesTable, "id", id); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.purgeQoS(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// purgeQoS removes a QoS, unless a type has it.
func (s *Store) purgeQoS(tx *gorm.DB, id string) error {
	if used, err := s.isUsedQoS(tx, id); err != nil || used {
		return err
	}
	if err := s.deleteFrom(tx, qosTable, "specs_id", id); err != nil {
		return err
	}
	return s.deleteFrom(tx, qosTable, "id", id)
}

// isUsedQoS tells whether a type has the QoS: Cinder lets several share one. A
// type that was deleted softly does, where the QoS is to go for good.
func (s *Store) isUsedQoS(tx *gorm.DB, id string) (bool, error) {
	query := "SELECT id FROM volume_types WHERE " + s.exact("qos_specs_id")
	if s.softDeletes {
		query += " AND deleted IS NOT TRUE"
	}
	types, err := texts(tx, query+" LIMIT 1", s.exactly(id)...)
	return len(types) > 0, err
}
