// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Field is one field of a Schema, made by one of the functions below: its key in
// the JSON and, as a function, its place in the record.
type Field[T any] struct {
	name     string
	key      string // as it is written: quotes, colon
	ops      operations[T]
	omitZero bool
	late     bool
	relation bool
}

// Name returns the field's key.
func (f Field[T]) Name() string { return f.name }

// OmitZero returns the field as one whose key is left out, instead of holding
// null, while the record has no value for it.
func (f Field[T]) OmitZero() Field[T] {
	f.omitZero = true
	return f
}

// Late returns the field as one that is read after all others, wherever it
// stands.
func (f Field[T]) Late() Field[T] {
	f.late = true
	return f
}

// operations is what a Schema does with a field, whatever its type.
type operations[T any] interface {
	append(dst []byte, rec *T) []byte
	// revise is append for a record that was read with the text odd.
	revise(dst []byte, rec *T, odd []byte) []byte
	read(d *Decoder, rec *T) (exact bool, err error)
	// absent gives the record the value of a key that is not there.
	absent(rec *T)
	// matches tells whether the record still has the value that reading odd gives,
	// nil being a key that is not there.
	matches(rec *T, odd []byte) bool
	equal(a, b *T) bool
	copy(dst, src *T)
}

// Codec is how values of one type are written and read.
type Codec[S any] struct {
	// Append writes a value.
	Append func(dst []byte, v *S) []byte
	// Read reads a value, null included. Exact tells that Append writes the value
	// as it was read; if not, the text is kept and written again as long as the
	// record has the value.
	Read  func(d *Decoder, v *S) (exact bool, err error)
	Equal func(a, b *S) bool
	// Copy makes dst a deep copy of src.
	Copy func(dst, src *S)

	// Absent, if not nil, gives v the value of a key that is not there; otherwise
	// that is the zero value.
	Absent func(v *S)
	// Match, if not nil, decides whether v is still what odd says, odd being nil
	// for a key that was not there; otherwise odd is read again and compared.
	Match func(v *S, odd []byte) bool
	// Revise, if not nil, writes a value that was read as odd and changed since,
	// keeping what it can of odd.
	Revise func(dst []byte, v *S, odd []byte) []byte
}

// bound is a codec for one place in a record.
type bound[T, S any] struct {
	at   func(*T) *S
	none S // the value of an absent key
	Codec[S]
}

func (b *bound[T, S]) append(dst []byte, rec *T) []byte { return b.Append(dst, b.at(rec)) }

func (b *bound[T, S]) revise(dst []byte, rec *T, odd []byte) []byte {
	if b.Revise == nil || len(odd) == 0 {
		return b.Append(dst, b.at(rec))
	}
	return b.Revise(dst, b.at(rec), odd)
}

func (b *bound[T, S]) read(d *Decoder, rec *T) (bool, error) { return b.Read(d, b.at(rec)) }

func (b *bound[T, S]) absent(rec *T) {
	if b.Absent != nil {
		b.Absent(b.at(rec))
		return
	}
	*b.at(rec) = b.none
}

func (b *bound[T, S]) matches(rec *T, odd []byte) bool {
	switch {
	case b.Match != nil:
		return b.Match(b.at(rec), odd)
	case len(odd) == 0:
		return b.Equal(b.at(rec), &b.none)
	}
	var was S
	_, err := b.Read(NewDecoder(odd), &was)
	return err == nil && b.Equal(b.at(rec), &was)
}

func (b *bound[T, S]) equal(x, y *T) bool { return b.Equal(b.at(x), b.at(y)) }

func (b *bound[T, S]) copy(dst, src *T) { b.Copy(b.at(dst), b.at(src)) }

// Custom is a field of the caller's own type. With at giving the record itself
// it can stand for several of the record's fields.
func Custom[T, S any](name string, at func(*T) *S, c Codec[S]) Field[T] {
	b := &bound[T, S]{at: at, Codec: c}
	if c.Absent != nil {
		c.Absent(&b.none)
	}
	return Field[T]{name: name, key: string(append(AppendString(nil, name), ':')), ops: b}
}

// String is a field that holds text, or null for none.
func String[T any, S ~string](name string, at func(*T) *S) Field[T] {
	return Custom(name, at, Codec[S]{
		Append: func(dst []byte, v *S) []byte {
			if *v == "" {
				return append(dst, "null"...)
			}
			return AppendString(dst, *v)
		},
		Read: func(d *Decoder, v *S) (bool, error) {
			if d.Null() {
				*v = ""
				return true, nil
			}
			s, err := d.String()
			*v = S(s)
			return s != "", err
		},
		Equal: equal[S],
		Copy:  assign[S],
	})
}

// EmptyString is a field that holds text, empty for none.
func EmptyString[T any, S ~string](name string, at func(*T) *S) Field[T] {
	return Custom(name, at, Codec[S]{
		Append: func(dst []byte, v *S) []byte { return AppendString(dst, *v) },
		Read: func(d *Decoder, v *S) (bool, error) {
			if d.Null() {
				*v = ""
				return false, nil
			}
			s, err := d.String()
			*v = S(s)
			return true, err
		},
		Equal: equal[S],
		Copy:  assign[S],
	})
}

// Bool is a field that is true or false; absent is what null, or no key, means.
func Bool[T any](name string, at func(*T) *bool, absent bool) Field[T] {
	return Custom(name, at, Codec[bool]{
		Append: func(dst []byte, v *bool) []byte { return strconv.AppendBool(dst, *v) },
		Read: func(d *Decoder, v *bool) (exact bool, err error) {
			if d.Null() {
				*v = absent
				return false, nil
			}
			*v, err = d.Bool()
			return true, err
		},
		Equal:  equal[bool],
		Copy:   assign[bool],
		Absent: func(v *bool) { *v = absent },
	})
}

// Int is a field that holds an integer; null is read as 0.
func Int[T any](name string, at func(*T) *int) Field[T] {
	return Custom(name, at, Codec[int]{
		Append: func(dst []byte, v *int) []byte { return strconv.AppendInt(dst, int64(*v), 10) },
		Read: func(d *Decoder, v *int) (exact bool, err error) {
			if d.Null() {
				*v = 0
				return false, nil
			}
			*v, exact, err = d.integer()
			return exact, err
		},
		Equal: equal[int],
		Copy:  assign[int],
	})
}

// Time is a field that holds a time, or null for none. However a time was
// written, it is written again as AppendTime does.
func Time[T any](name string, at func(*T) *time.Time) Field[T] {
	return Custom(name, at, Codec[time.Time]{
		Append: func(dst []byte, v *time.Time) []byte { return AppendTime(dst, *v) },
		Read: func(d *Decoder, v *time.Time) (exact bool, err error) {
			if d.Null() {
				*v = time.Time{}
				return true, nil
			}
			*v, err = d.Time()
			return !v.IsZero(), err // Go's zero time is a time in Python
		},
		// Finer than the format says, times do not differ.
		Equal: func(a, b *time.Time) bool {
			return a.Equal(*b) || a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
		},
		Copy: assign[time.Time],
	})
}

// StringMap is a field that holds a map of strings, empty for none. Null for the
// map, or for one of its values, is read as empty.
func StringMap[T any](name string, at func(*T) *map[string]string) Field[T] {
	return Custom(name, at, Codec[map[string]string]{
		Append: func(dst []byte, v *map[string]string) []byte { return AppendStringMap(dst, *v) },
		Read: func(d *Decoder, v *map[string]string) (exact bool, err error) {
			*v = nil
			if d.Null() {
				return false, nil
			}
			exact = true
			err = d.Object(func(key []byte) error {
				if *v == nil {
					*v = make(map[string]string)
				}
				if d.Null() {
					(*v)[string(key)] = ""
					exact = false
					return nil
				}
				s, err := d.String()
				(*v)[string(key)] = s
				return err
			})
			return exact, err
		},
		Equal: func(a, b *map[string]string) bool { return maps.Equal(*a, *b) },
		Copy:  func(dst, src *map[string]string) { *dst = maps.Clone(*src) },
	})
}

// StringList is a field that holds a list of strings, or null for none.
func StringList[T any](name string, at func(*T) *[]string) Field[T] {
	return Custom(name, at, Codec[[]string]{
		Append: func(dst []byte, v *[]string) []byte {
			if len(*v) == 0 {
				return append(dst, "null"...)
			}
			return AppendStrings(dst, *v)
		},
		Read: func(d *Decoder, v *[]string) (exact bool, err error) {
			*v = nil
			if d.Null() {
				return true, nil
			}
			err = d.Array(func(int) error {
				s, err := d.String()
				*v = append(*v, s)
				return err
			})
			return len(*v) > 0, err
		},
		Equal: func(a, b *[]string) bool { return slices.Equal(*a, *b) },
		Copy:  func(dst, src *[]string) { *dst = slices.Clone(*src) },
	})
}

// Null is a field that the record does not hold: it is null, or what was read.
func Null[T any](name string) Field[T] {
	return Custom(name, func(*T) *struct{} { return new(struct{}) }, Codec[struct{}]{
		Append: func(dst []byte, _ *struct{}) []byte { return append(dst, "null"...) },
		Read: func(d *Decoder, _ *struct{}) (bool, error) {
			return d.Kind() == KindNull, d.Skip()
		},
		Equal: func(_, _ *struct{}) bool { return true },
		Copy:  func(_, _ *struct{}) {},
		Match: func(*struct{}, []byte) bool { return true },
	})
}

// Object is a field that holds another record in an envelope, or null for none.
// Relations of that record are neither read nor written.
func Object[T, S any](name string, at func(*T) **S, schema *Schema[S]) Field[T] {
	return Custom(name, at, Codec[*S]{
		Append: func(dst []byte, v **S) []byte {
			if *v == nil {
				return append(dst, "null"...)
			}
			return schema.Append(dst, *v, nil)
		},
		Read: func(d *Decoder, v **S) (_ bool, err error) {
			if d.Null() {
				*v = nil
				return true, nil
			}
			*v, err = schema.Decode(d, nil)
			return true, err
		},
		Equal: func(a, b **S) bool {
			if *a == nil || *b == nil {
				return *a == *b
			}
			return *a == *b || schema.equal(*a, *b)
		},
		Copy: func(dst, src **S) {
			if *src == nil {
				*dst = nil
				return
			}
			*dst = schema.clone(*src)
		},
	})
}

// Relation is a field that only the caller of Append and Decode can write and
// read. It is no part of the record: Changed and Merge do not look at it.
func Relation[T any](name string) Field[T] {
	f := Null[T](name)
	f.relation = true
	return f
}

func equal[S comparable](a, b *S) bool { return *a == *b }

func assign[S any](dst, src *S) { *dst = *src }

// Keep returns the text of a value as a Wire holds it.
func Keep(text []byte) json.RawMessage { return appendCompact(make([]byte, 0, len(text)), text) }
