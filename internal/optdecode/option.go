// SPDX-License-Identifier: Apache-2.0

// Package optdecode turns the options of a configuration into a struct whose
// tags describe them, and the tags into descriptions. The tags are those that
// drivers.Option documents.
//
// Values come from Go, YAML, JSON or a cinder.conf, so each may be of its own
// type or text: numbers and booleans as oslo.config reads them, lists as
// "a,b", dictionaries as "k:v,k2:v2".
package optdecode

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/internal/secret"
)

// The values of Option.Type.
const (
	TypeString   = "string"
	TypeBoolean  = "boolean"
	TypeInteger  = "integer"
	TypeFloat    = "float"
	TypeDuration = "duration" // seconds, or Go's notation
	TypeList     = "list"     // of strings
	TypeDict     = "dict"     // of strings
	TypeDicts    = "dicts"    // a list of dicts
)

// Option describes one option.
type Option struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	Type    string   `json:"type"`
	// Default is in the notation of the configuration; empty if there is none.
	Default  string `json:"default,omitempty"`
	Help     string `json:"help,omitempty"`
	Required bool   `json:"required,omitempty"` // and not empty
	Secret   bool   `json:"secret,omitempty"`
	// Choices are the values it may have, beside none.
	Choices []string `json:"choices,omitempty"`
	// Min and Max bound a number (of seconds, for a duration); empty if they do not.
	Min json.Number `json:"min,omitempty"`
	Max json.Number `json:"max,omitempty"`
	// Ignored says why the option means nothing here; empty if it means something.
	Ignored string `json:"ignored,omitempty"`
}

// Describe lists the options of the struct O in the order of its fields, those
// of embedded structs in their place. It panics if a tag is wrong: that is a
// mistake in the program, not in a configuration.
func Describe[O any]() []Option {
	fields := fieldsOf(reflect.TypeFor[O]())
	list := make([]Option, len(fields))
	for i := range fields {
		list[i] = fields[i].Option
	}
	return list
}

// field is an option and where it is decoded to.
type field struct {
	Option
	index    []int
	typ      reflect.Type
	min, max reflect.Value // of typ; invalid if there is no bound
}

var types = map[reflect.Type]string{
	reflect.TypeFor[string]():              TypeString,
	reflect.TypeFor[secret.Text]():         TypeString,
	reflect.TypeFor[bool]():                TypeBoolean,
	reflect.TypeFor[int]():                 TypeInteger,
	reflect.TypeFor[int64]():               TypeInteger,
	reflect.TypeFor[float64]():             TypeFloat,
	reflect.TypeFor[time.Duration]():       TypeDuration,
	reflect.TypeFor[[]string]():            TypeList,
	reflect.TypeFor[map[string]string]():   TypeDict,
	reflect.TypeFor[[]map[string]string](): TypeDicts,
}

// fieldsOf reads the tags of t and of what t embeds.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	var walk func(t reflect.Type, index []int)
	walk = func(t reflect.Type, index []int) {
		for i := range t.NumField() {
			sf := t.Field(i)
			at := append(slices.Clone(index), i)
			switch {
			case sf.Anonymous && sf.Type.Kind() == reflect.Struct:
				walk(sf.Type, at)
			case sf.IsExported():
				fields = append(fields, fieldOf(t, sf, at))
			case sf.Tag != "":
				panic(wrong(t, sf, "has tags and is not exported"))
			}
		}
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("optdecode: %s is no struct", t))
	}
	walk(t, nil)

	taken := map[string]bool{}
	for _, f := range fields {
		for _, n := range f.names() {
			if taken[n] {
				panic(fmt.Sprintf("optdecode: %s has the option name %s twice", t, n))
			}
			taken[n] = true
		}
	}
	return fields
}

// tagsOf reads all tags of a field, so that none that is misspelt is lost in
// silence.
func tagsOf(sf reflect.StructField) (map[string]string, error) {
	tags := map[string]string{}
	for rest := strings.TrimSpace(string(sf.Tag)); rest != ""; rest = strings.TrimSpace(rest) {
		name, value, _ := strings.Cut(rest, ":")
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			return nil, errors.New("has tags that are no tags")
		}
		switch name {
		case "option", "aliases", "default", "required", "choices", "min", "max", "ignored", "help":
		default:
			return nil, errors.New("has the unknown tag " + name)
		}
		tags[name], _ = strconv.Unquote(quoted)
		rest = value[len(quoted):]
	}
	return tags, nil
}

// fieldOf reads the tags of one field and checks that they fit together.
func fieldOf(t reflect.Type, sf reflect.StructField, index []int) field {
	f := field{index: index, typ: sf.Type}
	tag, err := tagsOf(sf)
	if err != nil {
		panic(wrong(t, sf, err.Error()))
	}
	f.Name, f.Help, f.Default, f.Ignored = tag["option"], tag["help"], tag["default"], tag["ignored"]
	f.Aliases, f.Choices = split(tag["aliases"]), split(tag["choices"])
	f.Type = types[sf.Type]
	f.Secret = sf.Type == reflect.TypeFor[secret.Text]()
	f.Required = tag["required"] == "true"
	numeric := f.Type == TypeInteger || f.Type == TypeFloat || f.Type == TypeDuration
	switch req := tag["required"]; {
	case f.Name == "":
		panic(wrong(t, sf, "has no option tag"))
	case f.Type == "":
		panic(wrong(t, sf, "has the type "+sf.Type.String()+", which no option has"))
	case req != "" && req != "true" && req != "false":
		panic(wrong(t, sf, "required is neither true nor false"))
	case f.Required && f.Ignored != "":
		panic(wrong(t, sf, "is both required and ignored"))
	case f.Choices != nil && f.Type != TypeString && f.Type != TypeList:
		panic(wrong(t, sf, "only strings and lists have choices"))
	case !numeric && tag["min"]+tag["max"] != "":
		panic(wrong(t, sf, "only numbers have bounds"))
	}
	bound := func(name string) (json.Number, reflect.Value) {
		text := tag[name]
		if text == "" {
			return "", reflect.Value{}
		}
		v, _, err := f.parse(text)
		if err != nil || !json.Valid([]byte(text)) {
			panic(wrong(t, sf, name+" is no number"))
		}
		return json.Number(text), v
	}
	f.Min, f.min = bound("min")
	f.Max, f.max = bound("max")
	if f.Default != "" {
		if _, _, err := f.decode(f.Default); err != nil {
			panic(wrong(t, sf, "default: "+err.Error()))
		}
	}
	return f
}

func wrong(t reflect.Type, sf reflect.StructField, what string) string {
	return fmt.Sprintf("optdecode: %s.%s: %s", t, sf.Name, what)
}

func (f *field) names() []string { return append([]string{f.Name}, f.Aliases...) }

// split cuts at commas and drops what is empty.
func split(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
