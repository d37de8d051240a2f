// SPDX-License-Identifier: Apache-2.0

package optdecode

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decode makes a value of the field's type of raw and checks it. set is false if
// raw is empty where empty means not given. The error says what was given, where
// that may be shown, and what is wanted.
func (f *field) decode(raw any) (v reflect.Value, set bool, err error) {
	v, set, err = f.parse(raw)
	if err == nil && set {
		err = f.check(v)
	}
	if err != nil {
		return v, set, fmt.Errorf("given %s, want %w", f.show(raw), err)
	}
	return v, set, nil
}

// parse is decode without the checks. Its error says what is wanted.
func (f *field) parse(raw any) (v reflect.Value, set bool, err error) {
	var x any
	text, isText := textOf(raw)
	trimmed := strings.TrimSpace(text)
	switch f.Type {
	case TypeInteger, TypeFloat, TypeDuration:
		if isText && trimmed == "" {
			return v, false, nil // as oslo.config has it
		}
	}
	switch f.Type {
	case TypeString:
		if x = text; !isText {
			err = errors.New("text")
		}
	case TypeBoolean:
		x, err = boolean(trimmed)
	case TypeInteger:
		x, err = integer(raw, trimmed)
	case TypeFloat:
		x, err = float(trimmed)
	case TypeDuration:
		x, err = duration(trimmed)
	case TypeList:
		x, err = list(raw)
	case TypeDict:
		x, err = dict(raw)
	case TypeDicts:
		x, err = dicts(raw)
	}
	if err != nil {
		return v, false, err
	}
	v = reflect.ValueOf(x).Convert(f.typ)
	if f.Type == TypeInteger && v.Int() != x.(int64) { // int has 32 bits on some machines
		return v, false, errors.New("a smaller number")
	}
	return v, true, nil
}

// check compares v with the bounds and choices.
func (f *field) check(v reflect.Value) error {
	less := func(a, b reflect.Value) bool {
		if a.CanInt() {
			return a.Int() < b.Int()
		}
		return a.Float() < b.Float()
	}
	unit := ""
	if f.Type == TypeDuration {
		unit = " seconds"
	}
	switch {
	case f.min.IsValid() && less(v, f.min):
		return fmt.Errorf("at least %s%s", f.Min, unit)
	case f.max.IsValid() && less(f.max, v):
		return fmt.Errorf("at most %s%s", f.Max, unit)
	case f.Choices == nil:
		return nil
	}
	items := []string{v.String()}
	if f.Type == TypeList {
		items = v.Interface().([]string)
	}
	for _, item := range items {
		// Nothing is a choice unless the option is required, which is seen later.
		if item != "" && !slices.Contains(f.Choices, item) {
			return fmt.Errorf("one of %s", strings.Join(f.Choices, ", "))
		}
	}
	return nil
}

// show describes a given value for an error. Secrets are not shown, and nor are
// dictionaries, which may have passwords in them.
func (f *field) show(raw any) string {
	text, isText := textOf(raw)
	switch {
	case f.Secret || f.Type == TypeDict || f.Type == TypeDicts || !isText:
		return "a " + kindOf(raw)
	case reflect.ValueOf(raw).Kind() != reflect.String:
		return text
	case len(text) > 64:
		return fmt.Sprintf("%q…", text[:64])
	}
	return strconv.Quote(text)
}

func kindOf(raw any) string {
	switch v := reflect.ValueOf(raw); {
	case v.Kind() == reflect.String:
		return "text"
	case v.CanInt() || v.CanUint() || v.CanFloat():
		return "number"
	case v.Kind() == reflect.Bool:
		return "boolean"
	case v.Kind() == reflect.Slice:
		return "list"
	case v.Kind() == reflect.Map:
		return "dictionary"
	}
	return fmt.Sprintf("%T", raw)
}

// textOf gives the text of a text, number or boolean. It reads the text behind
// named types too: secret.Text, json.Number.
func textOf(raw any) (string, bool) {
	if d, ok := raw.(time.Duration); ok {
		return d.String(), true
	}
	switch v := reflect.ValueOf(raw); {
	case v.Kind() == reflect.String:
		return v.String(), true
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), true
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), true
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), true
	}
	return "", false
}

// boolean knows the words that oslo.config knows, in any case.
func boolean(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, errors.New("a boolean: true or false, yes or no, on or off, 1 or 0")
}

func integer(raw any, text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	// JSON may write a whole number as 1e3 or 10.0. Text may not.
	if _, isText := raw.(string); !isText {
		if x, err := strconv.ParseFloat(text, 64); err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<63 {
			return int64(x), nil
		}
	}
	return 0, errors.New("a whole number")
}

func float(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, errors.New("a number")
	}
	return x, nil
}

func duration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	x, err := float(text)
	if x *= float64(time.Second); err != nil || math.Abs(x) >= 1<<63 {
		return 0, errors.New("a number of seconds, or a duration such as 1m30s")
	}
	return time.Duration(math.Round(x)), nil
}

func list(raw any) ([]string, error) {
	wanted := errors.New("a list of texts, or text with commas")
	if v := reflect.ValueOf(raw); v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			text, ok := textOf(v.Index(i).Interface())
			if !ok {
				return nil, wanted
			}
			items[i] = text
		}
		return items, nil
	}
	text, ok := textOf(raw)
	if !ok {
		return nil, wanted
	}
	items := split(unwrap(text, "[", "]"))
	if items == nil {
		items = []string{}
	}
	return items, nil
}

func dict(raw any) (map[string]string, error) {
	wanted := errors.New("a dictionary of texts, or text such as key:value,key2:value2")
	m := map[string]string{}
	if v := reflect.ValueOf(raw); v.Kind() == reflect.Map {
		for it := v.MapRange(); it.Next(); {
			key, keyOK := textOf(it.Key().Interface())
			value, valueOK := textOf(it.Value().Interface())
			if !keyOK || !valueOK {
				return nil, wanted
			}
			m[key] = value
		}
		return m, nil
	}
	text, ok := textOf(raw)
	if !ok {
		return nil, wanted
	}
	for _, item := range split(unwrap(text, "{", "}")) {
		key, value, ok := strings.Cut(item, ":")
		key = strings.TrimSpace(key)
		if _, twice := m[key]; !ok || key == "" || twice {
			return nil, wanted
		}
		m[key] = strings.TrimSpace(value)
	}
	return m, nil
}

// dicts takes one dictionary for a list of one.
func dicts(raw any) ([]map[string]string, error) {
	v := reflect.ValueOf(raw)
	if v.Kind() != reflect.Slice {
		m, err := dict(raw)
		if err != nil || len(m) == 0 {
			return []map[string]string{}, err
		}
		return []map[string]string{m}, nil
	}
	list := make([]map[string]string, v.Len())
	for i := range list {
		m, err := dict(v.Index(i).Interface())
		if err != nil {
			return nil, errors.New("a list of dictionaries of texts")
		}
		list[i] = m
	}
	return list, nil
}

// unwrap takes off the brackets that oslo.config allows around text.
func unwrap(text, left, right string) string {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, left); ok {
		if inner, ok := strings.CutSuffix(inner, right); ok {
			return inner
		}
	}
	return text
}
