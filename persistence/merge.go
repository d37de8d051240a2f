// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// Changed returns the names of the fields, as JSON calls them, in which two
// records of one type differ; that of a KeyValue is "value". It is empty if none
// does, and nil records differ in nothing.
func Changed(old, new any) []string {
	switch n := new.(type) {
	case *drivers.Volume:
		return changed(drivers.VolumeSchema(), old, n)
	case *drivers.Snapshot:
		return changed(drivers.SnapshotSchema(), old, n)
	case *Connection:
		return changed(ConnectionSchema(), old, n)
	case *KeyValue:
		if o, ok := old.(*KeyValue); ok && o != nil && n != nil && o.Value != n.Value {
			return []string{"value"}
		}
	}
	return nil
}

func changed[T any](s *ovo.Schema[T], old any, new *T) []string {
	if o, ok := old.(*T); ok && o != nil && new != nil {
		return s.Changed(o, new)
	}
	return nil
}

// Merge is what OpUpdate makes of a stored record: a new record, equal to stored
// but for the fields in which new differs from old. Nothing in it is shared with
// the arguments, which are not changed. R is *drivers.Volume, *drivers.Snapshot,
// *Connection or *KeyValue.
//
// It is ErrConflict if Status, of a connection AttachStatus, is among the fields
// and stored has another than old, and ErrInvalid if the three are not of one
// record.
func Merge[R any](stored, old, new R) (R, error) {
	var merged any
	var err error
	switch n := any(new).(type) {
	case *drivers.Volume:
		merged, err = merge(drivers.VolumeSchema(), any(stored), any(old), n, func(v *drivers.Volume) (string, string) {
			return v.ID, v.Status
		})
	case *drivers.Snapshot:
		merged, err = merge(drivers.SnapshotSchema(), any(stored), any(old), n, func(s *drivers.Snapshot) (string, string) {
			return s.ID, s.Status
		})
	case *Connection:
		merged, err = merge(ConnectionSchema(), any(stored), any(old), n, func(c *Connection) (string, string) {
			return c.ID, c.AttachStatus
		})
	case *KeyValue:
		if n == nil {
			err = Errorf(ErrInvalid, "there is no record to write")
			break
		}
		kv := *n
		merged = &kv
	default:
		err = Errorf(ErrInvalid, "%T is no record", new)
	}
	if err != nil {
		var none R
		return none, err
	}
	return merged.(R), nil
}

func merge[T any, P interface {
	*T
	Clone() *T
}](s *ovo.Schema[T], stored, old any, new P, key func(*T) (id, status string)) (*T, error) {
	was, _ := stored.(P)
	seen, _ := old.(P)
	if was == nil || seen == nil || new == nil {
		return nil, Errorf(ErrInvalid, "an update needs the stored record, the one last seen and the new one")
	}
	id, status := key(was)
	oldID, oldStatus := key(seen)
	newID, newStatus := key(new)
	if oldID != newID || id != newID {
		return nil, Errorf(ErrInvalid, "an update needs records of one id")
	}
	if newStatus != oldStatus && status != oldStatus {
		return nil, Errorf(ErrConflict, "the status is %q, not %q", status, oldStatus)
	}
	merged := was.Clone()
	s.Merge(merged, seen, new)
	return merged, nil
}
