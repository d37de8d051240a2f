// SPDX-License-Identifier: Apache-2.0

package cinderconf

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// reference finds $$, $name, ${name}, $group.name and ${group.name}.
var reference = regexp.MustCompile(`\$(\$|\{[^}]*\}|\w+(?:\.\w+)?)`)

// maxDepth bounds references to references, so that a circle is an error.
const maxDepth = 16

// Inline replaces references to options of the section DEFAULT by their values,
// for uses where that section is lost. References to the backend's own options,
// and to what the file does not have, stay.
func (c *Config) Inline() error {
	for _, backend := range c.Backends {
		for name, value := range backend {
			inlined, err := c.inlineValue(backend, value)
			if err != nil {
				return fmt.Errorf("backend %s: option %s: %w", backend[backendName], name, err)
			}
			backend[name] = inlined
		}
	}
	return nil
}

func (c *Config) inlineValue(backend map[string]any, value any) (any, error) {
	switch v := value.(type) {
	case string:
		return c.inline(backend, v, maxDepth)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			item, err := c.inlineValue(backend, v[i])
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	}
	return value, nil
}

func (c *Config) inline(backend map[string]any, text string, depth int) (string, error) {
	var first error
	out := reference.ReplaceAllStringFunc(text, func(found string) string {
		value, ok := c.refersTo(backend, found)
		if !ok || first != nil {
			return found
		}
		inner, err := c.nested(backend, value, depth)
		first = err
		return inner
	})
	return out, first
}

func (c *Config) nested(backend map[string]any, value string, depth int) (string, error) {
	if depth == 0 {
		return "", fault.Errorf(fault.ErrInvalid, "references go round in a circle")
	}
	return c.inline(backend, value, depth-1)
}

// refersTo gives the value of DEFAULT that a reference means, if it means one.
func (c *Config) refersTo(backend map[string]any, found string) (string, bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(found[1:], "{"), "}")
	explicit, group := strings.CutPrefix(name, defaultSection+".")
	if _, own := backend[name]; own && !group {
		return "", false
	}
	value, ok := c.Defaults[explicit].(string)
	return value, ok
}
