// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/ovo"
)

// What other programs wrote is read into fields as far as a field can say it
// exactly. The rest stays in Extra as it was: keys that have no field, and of
// keys that have one null, zero values that would not be written, and other
// notations ("1" for a number, one string for a list of one). The latter are
// written again as long as the field still says the same.

// member is one key of a JSON object that has a field in T.
type member[T any] struct {
	name   string
	always bool // it is written even when the field has its zero value
	// load sets the field. Exact: the field says all that x says. Not ok: x is
	// nothing for such a field, which is zero then.
	load   func(v *T, x any) (exact, ok bool)
	append func(dst []byte, v *T) []byte
	zero   func(v *T) bool
	same   func(v *T, x any) bool // the field has the value that load would give it
	show   func(v *T) string
}

// kind is how fields of one type are read and written.
type kind[S any] struct {
	from   func(x any) (s S, exact, ok bool)
	append func(dst []byte, s S) []byte
	equal  func(a, b S) bool
	show   func(s S) string
}

func field[T, S any](name string, k kind[S], at func(*T) *S) member[T] {
	var none S
	read := func(x any) (s S, exact, ok bool) {
		if x == nil {
			return none, false, true
		}
		if s, exact, ok = k.from(x); !ok {
			return none, false, false
		}
		return s, exact, true
	}
	return member[T]{
		name: name,
		load: func(v *T, x any) (exact, ok bool) {
			*at(v), exact, ok = read(x)
			return exact, ok
		},
		append: func(dst []byte, v *T) []byte { return k.append(dst, *at(v)) },
		zero:   func(v *T) bool { return k.equal(*at(v), none) },
		same: func(v *T, x any) bool {
			s, _, _ := read(x)
			return k.equal(*at(v), s)
		},
		show: func(v *T) string { return k.show(*at(v)) },
	}
}

func (m member[T]) alwaysWritten() member[T] {
	m.always = true
	return m
}

func text[T any, S ~string](name string, at func(*T) *S) member[T] {
	return field(name, kind[S]{
		from: func(x any) (S, bool, bool) {
			s, exact, ok := toText(x)
			return S(s), exact, ok
		},
		append: func(dst []byte, s S) []byte { return ovo.AppendString(dst, s) },
		equal:  func(a, b S) bool { return a == b },
		show:   func(s S) string { return fmt.Sprintf("%q", s) }, // a Secret shows its mask
	}, at)
}

func flag[T any](name string, at func(*T) *bool) member[T] {
	return field(name, kind[bool]{
		from: func(x any) (bool, bool, bool) {
			b, ok := x.(bool)
			return b, ok, ok
		},
		append: strconv.AppendBool,
		equal:  func(a, b bool) bool { return a == b },
		show:   strconv.FormatBool,
	}, at)
}

// choice is a flag that may be left open.
func choice[T any](name string, at func(*T) **bool) member[T] {
	return field(name, kind[*bool]{
		from: func(x any) (*bool, bool, bool) {
			b, ok := x.(bool)
			if !ok {
				return nil, false, false
			}
			return &b, true, true
		},
		append: func(dst []byte, b *bool) []byte { return strconv.AppendBool(dst, *b) },
		equal:  func(a, b *bool) bool { return a == b || a != nil && b != nil && *a == *b },
		show:   func(b *bool) string { return strconv.FormatBool(*b) },
	}, at)
}

func number[T any](name string, at func(*T) *int) member[T] {
	return field(name, kind[int]{
		from:   toInt,
		append: func(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) },
		equal:  func(a, b int) bool { return a == b },
		show:   strconv.Itoa,
	}, at)
}

func numbers[T any](name string, at func(*T) *[]int) member[T] {
	return field(name, kind[[]int]{
		from: func(x any) ([]int, bool, bool) { return toList(x, toInt) },
		append: func(dst []byte, list []int) []byte {
			dst = append(dst, '[')
			for i, n := range list {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = strconv.AppendInt(dst, int64(n), 10)
			}
			return append(dst, ']')
		},
		equal: slices.Equal[[]int],
		show:  func(list []int) string { return fmt.Sprint(list) },
	}, at)
}

func texts[T any](name string, at func(*T) *[]string) member[T] {
	return field(name, kind[[]string]{
		from:   toTexts,
		append: ovo.AppendStrings,
		equal:  slices.Equal[[]string],
		show:   func(list []string) string { return fmt.Sprintf("%q", list) },
	}, at)
}

func textsByKey[T any](name string, at func(*T) *map[string][]string) member[T] {
	return field(name, kind[map[string][]string]{
		from: func(x any) (map[string][]string, bool, bool) {
			object, ok := x.(map[string]any)
			if !ok {
				return nil, false, false
			}
			m, exact := make(map[string][]string, len(object)), true
			for k, x := range object {
				list, same, ok := toTexts(x)
				if !ok {
					return nil, false, false
				}
				m[k], exact = list, exact && same
			}
			return m, exact, true
		},
		append: func(dst []byte, m map[string][]string) []byte {
			dst = append(dst, '{')
			for i, k := range slices.Sorted(maps.Keys(m)) {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = append(ovo.AppendString(dst, k), ':')
				dst = ovo.AppendStrings(dst, m[k])
			}
			return append(dst, '}')
		},
		equal: func(a, b map[string][]string) bool { return maps.EqualFunc(a, b, slices.Equal) },
		show:  func(m map[string][]string) string { return fmt.Sprintf("%q", m) },
	}, at)
}

func toText(x any) (s string, exact, ok bool) {
	switch x := x.(type) {
	case string:
		return x, true, true
	case Secret:
		return x.Reveal(), true, true
	case int64, int:
		return fmt.Sprint(x), false, true
	}
	return "", false, false
}

func toInt(x any) (n int, exact, ok bool) {
	switch x := x.(type) {
	case int64:
		return int(x), true, int64(int(x)) == x
	case int:
		return x, true, true
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(x))
		return n, false, err == nil
	case float64:
		return int(x), false, x == math.Trunc(x) && math.Abs(x) <= 1<<53
	case json.Number:
		f, err := x.Float64()
		return int(f), false, err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53
	}
	return 0, false, false
}

// toTexts takes one string for a list of one, as Python's readers do.
func toTexts(x any) (list []string, exact, ok bool) {
	if list, ok := x.([]string); ok {
		return slices.Clone(list), true, true
	}
	if s, ok := x.(string); ok {
		return []string{s}, false, true
	}
	return toList(x, toText)
}

func toList[S any](x any, convert func(any) (S, bool, bool)) (list []S, exact, ok bool) {
	elements, ok := x.([]any)
	if !ok {
		return nil, false, false
	}
	exact = true
	for _, x := range elements {
		s, same, ok := convert(x)
		if !ok {
			return nil, false, false
		}
		list, exact = append(list, s), exact && same
	}
	return list, exact, true
}

// table is the members of a type, in the order in which they are written.
type table[T any] []member[T]

// loaded is what load found, as sets of members.
type loaded struct {
	exact   uint32 // the field says all of it
	missing uint32 // it is not there, although it is always written
	bad     string // a key whose value is of a wrong type, if there is one
}

// load sets the fields of v from an object.
func (t table[T]) load(v *T, object map[string]any) (l loaded) {
	for i := range t {
		m := &t[i]
		x, there := object[m.name]
		if !there {
			if m.always {
				l.missing |= 1 << i
			}
			continue
		}
		exact, ok := m.load(v, x)
		switch {
		case !ok:
			l.bad = m.name
		case exact && (m.always || !m.zero(v)):
			l.exact |= 1 << i
		}
	}
	return l
}

// rest takes out of an object what the fields say. It gives nil if that was all.
func (t table[T]) rest(object map[string]any, l loaded) map[string]any {
	for i := range t {
		if l.exact&(1<<i) != 0 {
			delete(object, t[i].name)
		}
	}
	if len(object) == 0 {
		return nil
	}
	return object
}

// append writes the members of v, separated by commas, into an object that is
// open.
func (t table[T]) append(dst []byte, v *T, missing uint32, extra map[string]any) ([]byte, error) {
	var first error
	for i := range t {
		m := &t[i]
		x, odd := extra[m.name]
		switch {
		case odd && m.same(v, x):
			var err error
			if dst, err = ovo.AppendValue(key(dst, m.name), x); err != nil && first == nil {
				first = err
			}
		case !m.zero(v) || m.always && missing&(1<<i) == 0:
			dst = m.append(key(dst, m.name), v)
		}
	}
	return dst, first
}

func (t table[T]) has(name string) bool {
	return slices.ContainsFunc(t, func(m member[T]) bool { return m.name == name })
}

// writes tells whether append writes a key that is not in extra.
func (t table[T]) writes(v *T, name string) bool {
	return slices.ContainsFunc(t, func(m member[T]) bool { return m.name == name && !m.zero(v) })
}

// show adds the fields that say something to a text for people.
func (t table[T]) show(b *strings.Builder, v *T) {
	for i := range t {
		if m := &t[i]; !m.zero(v) || m.always {
			b.WriteByte(' ')
			b.WriteString(m.name)
			b.WriteByte('=')
			b.WriteString(m.show(v))
		}
	}
}

// appendRest writes the keys of an object that have no field.
func appendRest(dst []byte, object map[string]any, known func(string) bool) ([]byte, error) {
	var first error
	for _, k := range slices.Sorted(maps.Keys(object)) {
		if known(k) {
			continue
		}
		var err error
		if dst, err = ovo.AppendValue(key(dst, k), object[k]); err != nil && first == nil {
			first = err
		}
	}
	return dst, first
}

// key writes a key into an object that is open.
func key(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(ovo.AppendString(dst, name), ':')
}
