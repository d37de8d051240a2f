// SPDX-License-Identifier: Apache-2.0

package optdecode

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Note is something about an option that is worth a line in the log.
type Note struct {
	Level  slog.Level
	Text   string
	Option string // its name, as it was given
}

// Decode makes an O of the values. A nil value is one that was not given: it
// has the default. The error, of fault.ErrInvalid, has one line for each thing
// that is wrong, never with the value of a secret. An option that is not known
// is such a thing, or, where lenient, a warning; an ignored option is a note.
// Decode panics where Describe does. The values are read and not kept.
func Decode[O any](values map[string]any, lenient bool) (O, []Note, error) {
	var (
		options O
		notes   []Note
		faults  []error
		known   []string
		into    = reflect.ValueOf(&options).Elem()
	)
	fields := fieldsOf(into.Type())
	for i := range fields {
		f := &fields[i]
		known = append(known, f.names()...)
		given := f.given(values)
		if f.Ignored != "" {
			for _, n := range given {
				notes = append(notes, Note{slog.LevelDebug, "known and ignored: " + f.Ignored, n})
			}
			continue
		}
		v, err := f.choose(values, given)
		if err != nil {
			faults = append(faults, fmt.Errorf("option %s: %w", f.Name, err))
			continue
		}
		if v.IsValid() {
			into.FieldByIndex(f.index).Set(v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := ""
		if near := nearest(name, known); near != "" {
			hint = fmt.Sprintf(", did you mean %q?", near)
		}
		if lenient {
			notes = append(notes, Note{slog.LevelWarn, "unknown option, ignored" + hint, name})
			continue
		}
		faults = append(faults, fmt.Errorf("unknown option %q%s", name, hint))
	}
	if faults != nil {
		var none O
		return none, notes, fault.Errorf(fault.ErrInvalid, "%w", fault.Join(faults...))
	}
	return options, notes, nil
}

// given lists the names under which values has the option.
func (f *field) given(values map[string]any) []string {
	return slices.DeleteFunc(f.names(), func(n string) bool { return values[n] == nil })
}

// choose decodes the value of the option, or its default. The result is invalid
// if there is neither.
func (f *field) choose(values map[string]any, given []string) (reflect.Value, error) {
	var chosen reflect.Value
	for _, name := range given {
		v, set, err := f.decode(values[name])
		switch {
		case err != nil && name != f.Name:
			return v, fmt.Errorf("(as %s) %w", name, err)
		case err != nil:
			return v, err
		case !set:
			continue
		case chosen.IsValid() && !reflect.DeepEqual(chosen.Interface(), v.Interface()):
			return v, fmt.Errorf("given as %s, with different values", strings.Join(given, " and as "))
		}
		chosen = v
	}
	if !chosen.IsValid() && f.Default != "" {
		v, _, err := f.decode(f.Default)
		return v, err
	}
	if f.Required {
		switch {
		case len(given) == 0:
			return chosen, errors.New("is required and not given")
		case !chosen.IsValid() || f.empty(chosen):
			return chosen, errors.New("is required and empty")
		}
	}
	return chosen, nil
}

// empty tells whether v is text, a list or a dictionary with nothing in it.
func (f *field) empty(v reflect.Value) bool {
	switch f.Type {
	case TypeString, TypeList, TypeDict, TypeDicts:
		return v.Len() == 0
	}
	return false
}

// nearest gives the known name that name is probably meant to be, or none.
func nearest(name string, known []string) string {
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(fold(name), fold(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
