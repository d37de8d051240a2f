// SPDX-License-Identifier: Apache-2.0

package ovo

import "encoding/json"

// Namespace is that of every object of Cinder.
const Namespace = "cinder"

// The keys of an envelope. Readers of the original know two more:
// versioned_object.changes, which cinderlib never writes, and cinderlib.data,
// which it reads and does not use. Decode ignores them.
const (
	keyName      = "versioned_object.name"
	keyNamespace = "versioned_object.namespace"
	keyVersion   = "versioned_object.version"
	keyData      = "versioned_object.data"
)

// Schema is how records of the type T are written and read. Make it with New and
// do not change it.
type Schema[T any] struct {
	Name    string // of the object
	Version string // major.minor, that new records are written with
	Fields  []Field[T]
	// Wire gives the record's place for what the fields cannot say.
	Wire func(*T) **Wire

	index map[string]int // in Fields, by name
	late  []int          // in Fields
}

// maxFields bounds the set of the fields that were read.
const maxFields = 64

// New makes a Schema.
func New[T any](name, version string, wire func(*T) **Wire, fields ...Field[T]) *Schema[T] {
	s := &Schema[T]{Name: name, Version: version, Fields: fields, Wire: wire, index: make(map[string]int, len(fields))}
	if len(fields) > maxFields {
		panic("ovo: a schema has too many fields")
	}
	for i := range fields {
		s.index[fields[i].name] = i
		if fields[i].late {
			s.late = append(s.late, i)
		}
	}
	return s
}

// Append writes a record's envelope. Relation writes the value of a relation,
// or returns false if its key is to be left out; nil leaves out all.
func (s *Schema[T]) Append(dst []byte, rec *T, relation func(dst []byte, name string) ([]byte, bool)) []byte {
	w := *s.Wire(rec)
	version := s.Version
	if w != nil && w.Version != "" {
		version = w.Version
	}
	dst = appendHead(dst, s.Name, version)
	first := true
	for i := range s.Fields {
		f := &s.Fields[i]
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, f.key...)
		var ok bool
		if dst, ok = f.value(dst, rec, w, relation); !ok {
			dst = dst[:before]
			continue
		}
		first = false
	}
	if w != nil {
		for _, x := range w.Extra {
			if !first {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, x.Name), ':')
			dst = append(dst, x.Value...)
			first = false
		}
	}
	return append(dst, "}}"...)
}

// value writes a field's value, or returns false if there is none to write.
func (f *Field[T]) value(dst []byte, rec *T, w *Wire, relation func([]byte, string) ([]byte, bool)) ([]byte, bool) {
	var odd json.RawMessage
	isOdd := false
	if w != nil && len(w.Odd) > 0 {
		odd, isOdd = w.Odd[f.name]
	}
	switch {
	case f.relation:
		if relation != nil {
			if dst, ok := relation(dst, f.name); ok {
				return dst, true
			}
		}
		return append(dst, odd...), len(odd) > 0
	case isOdd && f.ops.matches(rec, odd):
		return append(dst, odd...), len(odd) > 0
	case f.omitZero && f.ops.matches(rec, nil):
		return dst, false
	case isOdd:
		return f.ops.revise(dst, rec, odd), true
	}
	return f.ops.append(dst, rec), true
}

// Changed returns the names of the fields in which two records differ, in the
// schema's order.
func (s *Schema[T]) Changed(old, new *T) []string {
	var names []string
	for i := range s.Fields {
		if f := &s.Fields[i]; !f.ops.equal(old, new) {
			names = append(names, f.name)
		}
	}
	return names
}

// Merge gives into the value that new has in each field in which it differs from
// old. Maps, lists and objects are copied: into shares nothing with new but its
// Wire, which it takes over if new's is another than old's.
func (s *Schema[T]) Merge(into, old, new *T) {
	for i := range s.Fields {
		if f := &s.Fields[i]; !f.ops.equal(old, new) {
			f.ops.copy(into, new)
		}
	}
	if w := *s.Wire(new); w != *s.Wire(old) {
		*s.Wire(into) = w
	}
}

func (s *Schema[T]) equal(a, b *T) bool {
	for i := range s.Fields {
		if !s.Fields[i].ops.equal(a, b) {
			return false
		}
	}
	return true
}

func (s *Schema[T]) clone(rec *T) *T {
	c := *rec
	for i := range s.Fields {
		s.Fields[i].ops.copy(&c, rec)
	}
	return &c
}
