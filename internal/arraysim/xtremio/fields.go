// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// verb is what a type can do but for GET, with the fields of its body: those that
// must be there, and those that may.
type verb struct {
	must, may []string
	run       func(c *call) *Error
}

// fields are those of a body. A getter tells whether a field was given, null being
// as good as absent. What is wrong is in err, the first of it.
type fields struct {
	values map[string]any // numbers are json.Number
	err    *Error
}

// read takes the body for a verb, and finds out which cluster is meant.
func (c *call) read(v *verb) *Error {
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	decoder.UseNumber()
	if err := decoder.Decode(&c.values); err != nil && !errors.Is(err, io.EOF) || decoder.More() {
		return refuse(invalidJSON)
	}
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		if !slices.Contains(v.must, name) && !slices.Contains(v.may, name) {
			return refuse(invalidProperty, shortened(name))
		}
	}
	if refused := c.choose(); refused != nil {
		return refused
	}
	var absent []string
	for _, name := range v.must {
		if !c.given(name) {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		return missing(absent...)
	}
	return nil
}

// shortened is for messages, which are no echo.
func shortened(text string) string {
	if utf8.RuneCountInString(text) > 100 {
		return string([]rune(text)[:100])
	}
	return text
}

func (f *fields) fail(e *Error) {
	if f.err == nil {
		f.err = e
	}
}

func (f *fields) wrong(name string) { f.fail(refuse(invalidValue, name)) }

// given: empty text is as good as absent, too.
func (f *fields) given(name string) bool { return f.values[name] != nil && f.values[name] != "" }

func (f *fields) text(name string) (string, bool) {
	if !f.given(name) {
		return "", false
	}
	s, ok := f.values[name].(string)
	if !ok {
		f.wrong(name)
	}
	return s, ok
}

// integer takes numbers in strings, too: clients send "1".
func (f *fields) integer(name string) (int, bool) {
	if !f.given(name) {
		return 0, false
	}
	n, err := 0, strconv.ErrSyntax
	switch v := f.values[name].(type) {
	case json.Number:
		n, err = strconv.Atoi(v.String())
	case string:
		n, err = strconv.Atoi(v)
	}
	if err != nil {
		f.wrong(name)
	}
	return n, err == nil
}

// flag takes "true" and "false", too: clients send them.
func (f *fields) flag(name string) bool {
	if !f.given(name) {
		return false
	}
	switch v := f.values[name].(type) {
	case bool:
		return v
	case string:
		if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
			return strings.EqualFold(v, "true")
		}
	}
	f.wrong(name)
	return false
}

func (f *fields) choice(name string, of ...string) (string, bool) {
	s, ok := f.text(name)
	if ok && !slices.Contains(of, s) {
		f.fail(refuse(wrongValue, name, quoted(of)))
		return "", false
	}
	return s, ok
}

func (f *fields) list(name string) ([]any, bool) {
	if !f.given(name) {
		return nil, false
	}
	list, ok := f.values[name].([]any)
	if !ok {
		f.wrong(name)
	}
	return list, ok
}

// nothing refuses a list that is not empty, of what the simulator does not have.
func (f *fields) nothing(name string, e *Error) {
	if list, ok := f.list(name); ok && len(list) > 0 {
		f.fail(e)
	}
}

// oneOf tells which field of several is given; it has to be one.
func (f *fields) oneOf(names []string) (string, *Error) {
	var given []string
	for _, name := range names {
		if f.given(name) {
			given = append(given, name)
		}
	}
	switch len(given) {
	case 0:
		return "", refuse(atLeastOneProperty, quoted(names))
	case 1:
		return given[0], nil
	}
	return "", refuse(exclusive, quoted(given))
}

// newName is one that an object of a type gets.
func (c *call) newName(field, short string) (string, bool) {
	s, ok := c.text(field)
	if ok && utf8.RuneCountInString(s) > c.x.options.Limits.Name {
		c.fail(about(short, nameTooLong))
	}
	return s, ok
}

// folder refuses all folders but the one that there is.
func (c *call) folder(field string) {
	if r, ok := c.ref(field); ok && r.name != "/" && r.index != 1 {
		c.fail(about("folder", noObject))
	}
}
