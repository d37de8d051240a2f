// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"encoding/json"
	"strings"
)

// Decode reads an envelope. Relation is called for each key of a relation that
// does not hold null, with d at the value, which it reads; it is called again if
// the key comes twice. Nil skips relations.
func (s *Schema[T]) Decode(d *Decoder, relation func(d *Decoder, name string) error) (*T, error) {
	var rec *T
	err := decodeEnvelope(d, s.Name, s.Version, func(version string) (err error) {
		rec, err = s.data(d, version, relation)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// reading is the state of Schema.data.
type reading[T any] struct {
	s        *Schema[T]
	d        *Decoder
	relation func(*Decoder, string) error
	rec      *T
	wire     Wire
	seen     uint64 // the fields that were there
	next     int    // the field that probably comes next
	late     []int  // where the late fields stand, as in s.Fields
}

func (s *Schema[T]) data(d *Decoder, version string, relation func(*Decoder, string) error) (*T, error) {
	r := &reading[T]{s: s, d: d, relation: relation, rec: new(T)}
	if len(s.late) > 0 {
		r.late = make([]int, len(s.Fields))
	}
	if err := d.Object(r.member); err != nil {
		return nil, err
	}
	r.missing() // before the late fields, which are to see what all others say
	if err := r.readLate(); err != nil {
		return nil, err
	}
	r.wire.Extra = lastOfEach(r.wire.Extra)
	if version != s.Version || len(r.wire.Odd) > 0 || len(r.wire.Extra) > 0 {
		r.wire.Version = version
		w := r.wire
		*s.Wire(r.rec) = &w
	}
	return r.rec, nil
}

func (r *reading[T]) member(key []byte) error {
	fields := r.s.Fields
	i := r.next
	if i >= len(fields) || fields[i].name != string(key) {
		var ok bool
		if i, ok = r.s.index[string(key)]; !ok {
			value, err := r.d.Raw()
			r.wire.Extra = append(r.wire.Extra, Extra{Name: string(key), Value: Keep(value)})
			return err
		}
	}
	r.next = i + 1
	if fields[i].late {
		r.late[i] = r.d.Offset()
		r.seen |= 1 << i
		return r.d.Skip()
	}
	if r.seen&(1<<i) != 0 {
		fields[i].ops.absent(r.rec)
		delete(r.wire.Odd, fields[i].name)
	}
	r.seen |= 1 << i
	return r.read(&fields[i])
}

func (r *reading[T]) read(f *Field[T]) error {
	start := r.d.Offset()
	exact := true
	var err error
	switch {
	case !f.relation:
		exact, err = f.ops.read(r.d, r.rec)
	case r.d.Kind() == KindNull:
		exact, err = false, r.d.Skip()
	case r.relation == nil:
		err = r.d.Skip()
	default:
		err = r.relation(r.d, f.name)
	}
	if err != nil {
		return err
	}
	if !exact || f.omitZero && f.ops.matches(r.rec, nil) {
		r.odd(f, Keep(r.d.data[start:r.d.pos]))
	}
	return nil
}

func (r *reading[T]) odd(f *Field[T], text json.RawMessage) {
	if r.wire.Odd == nil {
		r.wire.Odd = make(map[string]json.RawMessage)
	}
	r.wire.Odd[f.name] = text
}

// readLate goes back to the late fields.
func (r *reading[T]) readLate() error {
	end := r.d.Offset()
	for _, i := range r.s.late {
		if r.seen&(1<<i) == 0 {
			continue
		}
		f := &r.s.Fields[i]
		r.d.Seek(r.late[i])
		if err := r.read(f); err != nil {
			return within(f.name, r.late[i], err)
		}
	}
	r.d.Seek(end)
	return nil
}

// missing sees to the fields that were not there.
func (r *reading[T]) missing() {
	for i := range r.s.Fields {
		f := &r.s.Fields[i]
		if r.seen&(1<<i) != 0 || f.relation {
			continue
		}
		f.ops.absent(r.rec)
		if !f.omitZero {
			r.odd(f, nil)
		}
	}
}

// lastOfEach keeps the last of the keys that come more than once.
func lastOfEach(list []Extra) []Extra {
	if len(list) < 2 {
		return list
	}
	last := make(map[string]int, len(list))
	for i := range list {
		last[list[i].Name] = i
	}
	if len(last) == len(list) {
		return list
	}
	kept := make([]Extra, 0, len(last))
	for i := range list {
		if last[list[i].Name] == i {
			kept = append(kept, list[i])
		}
	}
	return kept
}

// decodeEnvelope reads an envelope, whose keys may come in any order, and calls
// data with the Decoder at the data once it knows that the object is the one
// wanted.
func decodeEnvelope(d *Decoder, name, version string, data func(version string) error) error {
	e := head{wantName: name, wantVersion: version}
	pending, done := -1, false
	err := d.Object(func(key []byte) error {
		switch string(key) {
		case keyName:
			return e.text(d, &e.name)
		case keyNamespace:
			return e.text(d, &e.namespace)
		case keyVersion:
			return e.text(d, &e.version)
		case keyData:
			if !e.complete() {
				pending = d.Offset()
				return d.Skip()
			}
			if err := e.check(d.Offset()); err != nil {
				return err
			}
			pending, done = -1, true
			return data(e.version)
		}
		return d.Skip()
	})
	if err != nil {
		return err
	}
	end := d.Offset()
	if err := e.check(end); err != nil {
		return err
	}
	switch {
	case pending >= 0:
		d.Seek(pending)
		if err := data(e.version); err != nil {
			return within(keyData, pending, err)
		}
		d.Seek(end)
	case !done:
		return errorf(end, "%s is missing", keyData)
	}
	return nil
}

// head is what an envelope says of its data.
type head struct {
	name, namespace, version string
	wantName, wantVersion    string
}

func (*head) text(d *Decoder, into *string) (err error) {
	*into, err = d.String()
	return err
}

func (e *head) complete() bool { return e.name != "" && e.namespace != "" && e.version != "" }

// check follows the rule of Oslo with one difference: a newer minor version is
// taken as well, because what is unknown of it survives.
func (e *head) check(offset int) error {
	switch {
	case e.name == "":
		return errorf(offset, "%s is missing", keyName)
	case e.name != e.wantName:
		return errorf(offset, "expected the object %s, found %s", e.wantName, quoted(e.name))
	case e.namespace != Namespace:
		return errorf(offset, "expected the namespace %s, found %s", Namespace, quoted(e.namespace))
	case !validVersion(e.version):
		return errorf(offset, "%s is not a version: %s", keyVersion, quoted(e.version))
	case major(e.version) != major(e.wantVersion):
		return errorf(offset, "%s has version %s, this library knows %s", e.name, e.version, e.wantVersion)
	}
	return nil
}

// validVersion tells whether v is two numbers with a dot between them.
func validVersion(v string) bool {
	major, minor, ok := strings.Cut(v, ".")
	return ok && shortNumber(major) && shortNumber(minor)
}

func shortNumber(s string) bool {
	if s == "" || len(s) > 9 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}
