// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/secret"
)

// Value reads any value: nil, bool, int64, json.Number (what is no int64, so
// that nothing is lost), string, []any or map[string]any.
func (d *Decoder) Value() (any, error) { return d.value(nil) }

// value reads any value; shape, if there is one, may replace each object.
func (d *Decoder) value(shape func(map[string]any) any) (any, error) {
	switch d.Kind() {
	case KindNull:
		d.Null()
		return nil, nil
	case KindBool:
		return d.Bool()
	case KindNumber:
		text, integral, err := d.number()
		if err != nil {
			return nil, err
		}
		if integral && string(text) != "-0" {
			if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
				return n, nil
			}
		}
		return json.Number(text), nil
	case KindString:
		return d.String()
	case KindArray:
		list := []any{}
		err := d.Array(func(int) error {
			v, err := d.value(shape)
			list = append(list, v)
			return err
		})
		return list, err
	case KindObject:
		object := map[string]any{}
		err := d.Object(func(key []byte) error {
			v, err := d.value(shape)
			object[string(key)] = v
			return err
		})
		if err != nil || shape == nil {
			return object, err
		}
		return shape(object), nil
	}
	return nil, d.unexpected(KindInvalid)
}

// AppendValue writes a value as Value reads it, and what Go programs put in its
// place: numbers and strings of any kind, slices, maps (keys in order), secrets
// (revealed), and whatever encoding/json takes. A value that JSON cannot hold is
// written as null and returned as an error.
func AppendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return AppendString(dst, v), nil
	case secret.Text:
		return AppendString(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendFloat(dst, v)
	case json.Number:
		return appendText(dst, []byte(v))
	case []any:
		return appendList(dst, v)
	case []string:
		return AppendStrings(dst, v), nil
	case map[string]any:
		return appendMap(dst, v)
	case map[string]string:
		return AppendStringMap(dst, v), nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return append(dst, "null"...), fault.Errorf(fault.ErrInvalid, "a %T cannot be written as JSON: %w", v, err)
	}
	return appendCompact(dst, text), nil
}

// AppendStrings writes a list of strings.
func AppendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, s)
	}
	return append(dst, ']')
}

// AppendStringMap writes a map of strings, keys in order.
func AppendStringMap(dst []byte, m map[string]string) []byte {
	var few [16]string // most maps need no room on the heap
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, k), ':')
		dst = AppendString(dst, m[k])
	}
	return append(dst, '}')
}

// appendList and appendMap return the first error and go on after it.
func appendList(dst []byte, list []any) ([]byte, error) {
	var first error
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = AppendValue(dst, v); err != nil && first == nil {
			first = err
		}
	}
	return append(dst, ']'), first
}

func appendMap(dst []byte, m map[string]any) ([]byte, error) {
	var first error
	dst = append(dst, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, k), ':')
		var err error
		if dst, err = AppendValue(dst, m[k]); err != nil && first == nil {
			first = err
		}
	}
	return append(dst, '}'), first
}

func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...), fault.Errorf(fault.ErrInvalid, "%v cannot be written as JSON", f)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
}

// appendText writes a number that is held as text, if it is one.
func appendText(dst, text []byte) ([]byte, error) {
	d := NewDecoder(text)
	if _, _, err := d.number(); err != nil || d.pos < len(text) {
		return append(dst, "null"...), fault.Errorf(fault.ErrInvalid, "a json.Number holds no number")
	}
	return append(dst, text...), nil
}
