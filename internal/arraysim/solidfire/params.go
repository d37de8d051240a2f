// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are those of one request. A getter tells whether a parameter was given,
// null being as good as absent; one whose name begins with need refuses its
// absence. What is wrong is in err, the first of it.
type params struct {
	values map[string]any // numbers are json.Number
	err    *Error
}

func (p *params) fail(e *Error) {
	if p.err == nil {
		p.err = e
	}
}

func (p *params) get(name string) (any, bool) {
	value := p.values[name]
	return value, value != nil
}

func (p *params) need(name string) {
	if _, ok := p.get(name); !ok {
		p.fail(refuse(missingParameter, "Missing member=[%s]", name))
	}
}

// mistaken says that a value is of another type; it does not quote secrets.
func (p *params) mistaken(name, expected string, value any) {
	found, err := json.Marshal(value)
	if err != nil || secretField(name) {
		found = []byte("another type")
	}
	if len(found) > 100 { // a message, not an echo
		found = append(found[:100:100], "…"...)
	}
	p.fail(refuse(invalidParameterType, "%s: Invalid type: expected %s but found %s", name, expected, found))
}

func (p *params) text(name string) (string, bool) {
	value, ok := p.get(name)
	if !ok {
		return "", false
	}
	s, ok := value.(string)
	if !ok {
		p.mistaken(name, "string", value)
	}
	return s, ok
}

func (p *params) needText(name string) string {
	p.need(name)
	s, _ := p.text(name)
	return s
}

// bounded is text of so many characters; false also for one that is not.
func (p *params) bounded(name string, least, most int) (string, bool) {
	s, ok := p.text(name)
	if n := utf8.RuneCountInString(s); ok && (n < least || n > most) {
		p.fail(refuse(invalidParameter, "%s: must have %d to %d characters, and has %d", name, least, most, n))
		return "", false
	}
	return s, ok
}

// integer takes numbers in strings, too: clients send "102".
func (p *params) integer(name string) (int64, bool) {
	value, ok := p.get(name)
	if !ok {
		return 0, false
	}
	n, ok := integer(value)
	if !ok {
		p.mistaken(name, "integer", value)
	}
	return n, ok
}

func (p *params) needInteger(name string) int64 {
	p.need(name)
	n, _ := p.integer(name)
	return n
}

func integer(value any) (int64, bool) {
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 { // beyond 2^53 floats skip integers
		return 0, false
	}
	return int64(f), true
}

// flag takes "true" and "false", too: clients send them.
func (p *params) flag(name string) (value, ok bool) {
	switch v := p.values[name].(type) {
	case nil:
	case bool:
		return v, true
	case string:
		if value, ok = strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false"); !ok {
			p.mistaken(name, "boolean", v)
		}
		return value, ok
	default:
		p.mistaken(name, "boolean", v)
	}
	return false, false
}

func (p *params) array(name string) ([]any, bool) {
	value, ok := p.get(name)
	if !ok {
		return nil, false
	}
	list, ok := value.([]any)
	if !ok {
		p.mistaken(name, "array", value)
	}
	return list, ok
}

// ids are an array of identifiers, each of them once.
func (p *params) ids(name string) ([]int64, bool) {
	list, ok := p.array(name)
	var ids []int64
	for _, value := range list {
		id, good := integer(value)
		if !good {
			p.mistaken(name, "array of integers", value)
			return nil, false
		}
		ids = with(ids, id)
	}
	return ids, ok
}

func (p *params) texts(name string) ([]string, bool) {
	list, ok := p.array(name)
	var texts []string
	for _, value := range list {
		s, good := value.(string)
		if !good {
			p.mistaken(name, "array of strings", value)
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, ok
}

func (p *params) object(name string) (map[string]any, bool) {
	value, ok := p.get(name)
	if !ok {
		return nil, false
	}
	object, ok := value.(map[string]any)
	if !ok {
		p.mistaken(name, "object", value)
	}
	return object, ok
}

// attributes are an object of so many bytes.
func (p *params) attributes(most int) (json.RawMessage, bool) {
	object, ok := p.object("attributes")
	if !ok {
		return nil, false
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // escapes would count as bytes
	if err := encoder.Encode(object); err != nil {
		p.fail(refuse(invalidParameter, "attributes: %v", err))
		return nil, false
	}
	raw := bytes.TrimSpace(text.Bytes())
	if len(raw) > most {
		p.fail(refuse(invalidParameter, "attributes: %d bytes, and %d are allowed", len(raw), most))
		return nil, false
	}
	return raw, true
}

// choice is text that is one of several.
func (p *params) choice(name string, of ...string) (string, bool) {
	s, ok := p.text(name)
	if !ok {
		return "", false
	}
	if slices.Contains(of, s) {
		return s, true
	}
	p.fail(refuse(unrecognizedEnum, "%s: %q is none of %s", name, s, strings.Join(of, ", ")))
	return "", false
}
