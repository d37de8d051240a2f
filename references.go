// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// references resolves $name, ${name}, $group.name and ${group.name} in option
// values, as oslo.config does for Cinder: a name is an option of the same
// backend (also as backend_defaults.name), otherwise one of the library's; $$ is
// a dollar sign.
type references struct {
	own      map[string]any
	defaults map[string]string // of the driver's options
	global   map[string]any
}

// maxReferences bounds references to references, so that a circle is an error.
const maxReferences = 16

// resolve returns the options with all references replaced.
func resolve(options map[string]any, r drivers.Registration, global map[string]any) (map[string]any, error) {
	refs := references{own: options, global: global, defaults: map[string]string{}}
	shown := map[string]bool{} // may be quoted: known, and no secret
	for _, o := range r.Options {
		refs.defaults[o.Name] = o.Default
		shown[o.Name] = !o.Secret
	}
	resolved := make(map[string]any, len(options))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name == "rbd_keyring_conf" { // the original exempts it
			resolved[name] = options[name]
			continue
		}
		value, err := refs.value(options[name], maxReferences)
		if err != nil && !shown[name] { // the error has a part of the value
			err = invalid("it has a $ that starts no valid reference; write $$ for a dollar sign")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("option %s: %w", name, err))
			continue
		}
		resolved[name] = value
	}
	return resolved, join(errs...)
}

func (r references) value(v any, depth int) (any, error) {
	switch v := v.(type) {
	case string:
		return r.text(v, depth)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			item, err := r.value(v[i], depth)
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	case []string:
		list := make([]string, len(v))
		for i := range v {
			item, err := r.text(v[i], depth)
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			item, err := r.value(v[k], depth)
			if err != nil {
				return nil, err
			}
			m[k] = item
		}
		return m, nil
	}
	return v, nil
}

func (r references) text(text string, depth int) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	if depth == 0 {
		return "", invalid("references go round in a circle")
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, dollar := reference(rest)
		text = after
		if dollar {
			out.WriteByte('$')
			continue
		}
		if name == "" {
			return "", invalid("a single $ is no reference; write $$ for a dollar sign")
		}
		value, ok := r.lookup(name)
		if !ok {
			return "", invalid("$%s refers to no option; write $$ for a dollar sign", clip(name))
		}
		resolved, err := r.text(fmt.Sprint(value), depth-1)
		if err != nil {
			return "", fmt.Errorf("$%s: %w", name, err)
		}
		out.WriteString(resolved)
	}
}

// reference splits what follows a dollar sign.
func reference(text string) (name, rest string, dollar bool) {
	switch {
	case strings.HasPrefix(text, "$"):
		return "", text[1:], true
	case strings.HasPrefix(text, "{"):
		name, rest, ok := strings.Cut(text[1:], "}")
		if !ok {
			return "", text, false
		}
		return name, rest, false
	}
	end := 0
	for end < len(text) && nameByte(text[end]) {
		end++
	}
	// A dot belongs to the name only where a name goes on behind it.
	if end+1 < len(text) && text[end] == '.' && end > 0 && nameByte(text[end+1]) {
		end++
		for end < len(text) && nameByte(text[end]) {
			end++
		}
	}
	return text[:end], text[end:], false
}

func nameByte(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func (r references) lookup(name string) (any, bool) {
	if group, option, ok := strings.Cut(name, "."); ok {
		switch group {
		case "DEFAULT":
			v, ok := r.global[option]
			return v, ok
		case "backend_defaults":
			name = option
		default:
			return nil, false
		}
	}
	if v, ok := r.own[name]; ok {
		return v, true
	}
	if v, ok := r.global[name]; ok {
		return v, true
	}
	if v, ok := r.defaults[name]; ok {
		return v, true
	}
	return nil, false
}
