// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// get gives one object, or a list. What the query has else is ignored, as is the
// body.
func (c *call) get() (any, *Error) {
	e, one, refused := c.one()
	if refused != nil {
		return nil, refused
	}
	if one {
		content := c.part(c.whole(e.header, e.attributes()), "index", "name")
		return object{"content": content, "links": []any{link(c.href(c.kind, e.header))}}, nil
	}
	filters, refused := c.filters()
	if refused != nil {
		return nil, refused
	}
	full := c.base > 1 && truth(c.query.Get("full"))
	rows := []object{}
	for _, e := range c.kind.list(c) {
		if len(filters) == 0 && !full {
			rows = append(rows, c.row(e.header))
			continue
		}
		whole := c.whole(e.header, e.attributes())
		switch {
		case !filters.match(whole):
		case full:
			maps.Copy(whole, c.row(e.header))
			rows = append(rows, c.part(whole, "href", "index", "name", "guid", "sys-name"))
		default:
			rows = append(rows, c.row(e.header))
		}
	}
	return object{c.kind.rows: rows, "links": []any{link(c.hrefOf(c.kind))}}, nil
}

func truth(text string) bool { return text == "1" || strings.EqualFold(text, "true") }

// row is what a list has of an object if it is not asked for more.
func (c *call) row(h *header) object {
	row := object{"href": c.href(c.kind, h), "name": h.Name}
	if own := c.state.clusters[h.Cluster]; own != nil && c.base > 1 {
		row["sys-name"] = own.Name
	}
	return row
}

// part leaves of an object what the query asks for, and what is always there.
func (c *call) part(o object, always ...string) object {
	asked := c.query["prop"]
	if c.base == 1 || len(asked) == 0 {
		return o
	}
	maps.DeleteFunc(o, func(name string, _ any) bool {
		return !slices.Contains(asked, name) && !slices.Contains(always, name)
	})
	return o
}

// filter is one comparison.
type filter struct{ property, operator, value string }

// filters are the parameters of a query, all of which have to hold; of each, one
// comparison has to.
type filters [][]filter

var (
	comparison  = regexp.MustCompile(`^([a-z0-9-]+):(eq|ne|gt|ge|lt|le):(?s:(.*))$`)
	nextInComma = regexp.MustCompile(`,[a-z0-9-]+:(?:eq|ne|gt|ge|lt|le):`)
)

// filters refuses attributes that the type does not have, which is the simulator's
// choice.
func (c *call) filters() (filters, *Error) {
	if c.base == 1 {
		return nil, nil
	}
	var all filters
	var known object
	for _, text := range c.query["filter"] {
		if known == nil {
			known = c.whole(&header{Cluster: c.cluster}, c.kind.blank(c))
		}
		var either []filter
		for _, one := range c.split(text) {
			parts := comparison.FindStringSubmatch(one)
			if parts == nil {
				return nil, refuse(invalidFilter, shortened(one))
			}
			if _, ok := known[parts[1]]; !ok {
				return nil, refuse(invalidProperty, shortened(parts[1]))
			}
			either = append(either, filter{parts[1], parts[2], parts[3]})
		}
		all = append(all, either)
	}
	return all, nil
}

// split takes a parameter apart where a comma is "or".
func (c *call) split(text string) []string {
	if !c.x.quirks.commaOr {
		return []string{text}
	}
	var parts []string
	for from := 0; ; {
		at := nextInComma.FindStringIndex(text[from:])
		if at == nil {
			return append(parts, text[from:])
		}
		parts = append(parts, text[from:from+at[0]])
		from += at[0] + 1
	}
}

func (f filters) match(o object) bool {
	for _, either := range f {
		if !slices.ContainsFunc(either, func(one filter) bool { return one.match(o[one.property]) }) {
			return false
		}
	}
	return true
}

// match: references are compared by any of their parts, and lists of them match if
// one does; LUN maps in a list do not. That is the simulator's choice.
func (f filter) match(value any) bool {
	if f.operator == "eq" || f.operator == "ne" {
		return equal(value, f.value) == (f.operator == "eq")
	}
	switch v := value.(type) {
	case string:
		return f.holds(compare(v, f.value))
	case int:
		return f.holds(compare(strconv.Itoa(v), f.value))
	}
	return false
}

func equal(value any, text string) bool {
	is := func(part any) bool { return equal(part, text) }
	switch v := value.(type) {
	case string:
		return v == text
	case int:
		return strconv.Itoa(v) == text
	case oid:
		return slices.ContainsFunc(v, is)
	case []oid:
		return slices.ContainsFunc(v, func(id oid) bool { return is(id) })
	}
	return false
}

// compare orders numbers as such, also those that are text.
func compare(a, b string) int {
	x, err := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	if err == nil && err2 == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

func (f filter) holds(order int) bool {
	switch f.operator {
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}
