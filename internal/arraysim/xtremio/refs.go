// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// ref names an object: by name, or by index if that is not 0. Text in a query may be
// either.
type ref struct {
	name   string
	index  int
	either bool
}

// reference reads one in a body: a name, an index, or an identifier of three
// parts, of which the index counts.
func reference(value any) (ref, bool) {
	switch v := value.(type) {
	case string:
		return ref{name: v}, v != ""
	case json.Number:
		n, err := strconv.Atoi(v.String())
		return ref{index: n}, err == nil && n > 0
	case []any:
		if len(v) == 3 {
			if n, ok := v[2].(json.Number); ok {
				return reference(n)
			}
		}
	}
	return ref{}, false
}

// ref reads one of the body or, of a DELETE, of the query.
func (c *call) ref(field string) (ref, bool) {
	if c.given(field) {
		r, ok := reference(c.values[field])
		if !ok {
			c.wrong(field)
		}
		return r, ok
	}
	if text := c.query.Get(field); text != "" && c.method == http.MethodDelete {
		return ref{name: text, either: true}, true
	}
	return ref{}, false
}

// refs are a list of them.
func (c *call) refs(field string) ([]ref, bool) {
	list, ok := c.list(field)
	var all []ref
	for _, value := range list {
		r, good := reference(value)
		if !good {
			c.wrong(field)
			return nil, false
		}
		all = append(all, r)
	}
	return all, ok
}

// find gives what a reference means among the records of the request's cluster.
func find[R record](c *call, m map[int]R, r ref) (R, bool) {
	var none R
	if r.index != 0 {
		found, ok := m[r.index]
		if !ok || found.head().Cluster != c.cluster {
			return none, false
		}
		return found, true
	}
	if found, ok := named(m, c.cluster, r.name); ok {
		return found, true
	}
	if n, err := strconv.Atoi(r.name); r.either && err == nil && n > 0 {
		return find(c, m, ref{index: n})
	}
	return none, false
}

func (c *call) volume(r ref) (*volume, *Error) {
	if v, ok := find(c, c.state.Volumes, r); ok {
		return v, nil
	}
	return nil, about("vol", noObject)
}

func (c *call) volumes(refs []ref) ([]*volume, *Error) {
	var all []*volume
	for _, r := range refs {
		v, refused := c.volume(r)
		if refused != nil {
			return nil, refused
		}
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all, nil
}

func (c *call) group(r ref) (*initiatorGroup, *Error) {
	if g, ok := find(c, c.state.Groups, r); ok {
		return g, nil
	}
	return nil, about("ig", noObject)
}

func (c *call) consistent(r ref) (*consistencyGroup, *Error) {
	if g, ok := find(c, c.state.Consistent, r); ok {
		return g, nil
	}
	return nil, about("cg", noObject)
}

func (c *call) set(r ref) (*snapshotSet, *Error) {
	if s, ok := find(c, c.state.Sets, r); ok {
		return s, nil
	}
	return nil, about("snapset", noObject)
}

var (
	indexes = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)
	guids   = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// one finds the object that the request is about: by what is behind the type in
// the path, by the name in the query or, but for a GET, by a field of the body.
// false: it names none.
func (c *call) one() (entry, bool, *Error) {
	var r ref
	switch {
	case c.id != "":
		return c.byID()
	case c.query.Has("name"):
		r.name = c.query.Get("name")
	case c.method != http.MethodGet:
		var ok bool
		if r, ok = c.ref(c.kind.id); c.err != nil || !ok {
			return entry{}, false, c.err
		}
	default:
		return entry{}, false, nil
	}
	e, ok := c.kind.find(c, r)
	if !ok {
		return entry{}, true, c.kind.missing()
	}
	return e, true, nil
}

func (c *call) byID() (entry, bool, *Error) {
	if indexes.MatchString(c.id) {
		n, _ := strconv.Atoi(c.id) // digits, few of them
		if e, ok := c.kind.find(c, ref{index: n}); ok {
			return e, true, nil
		}
	}
	if guids.MatchString(c.id) && c.guidLinks() {
		for _, e := range c.kind.list(c) {
			if c.guid(c.kind.object, e.header) == c.id {
				return e, true, nil
			}
		}
	}
	return entry{}, true, c.kind.missing()
}

// target finds what a PUT or DELETE is about.
func (c *call) target() (*header, *Error) {
	e, named, refused := c.one()
	switch {
	case refused != nil:
		return nil, refused
	case !named:
		return nil, missing(c.kind.id)
	}
	return e.header, nil
}

// choose finds the cluster that the request is about. An XMS with one needs no
// telling.
func (c *call) choose() *Error {
	if refused := c.stumble(); refused != nil {
		return refused
	}
	r, ok := c.selector()
	if c.err != nil {
		return c.err
	}
	if ok {
		found, there := find(c, c.state.clusters, r)
		if !there {
			return refuse(noCluster)
		}
		if !c.kind.global {
			c.cluster = found.Index
		}
		return nil
	}
	switch {
	case c.kind.global:
	case len(c.state.clusters) > 1:
		return missing("cluster-id")
	default:
		c.cluster = 1
	}
	return nil
}

// selector gives what names the cluster. In v1 only a body can, by sys-id.
func (c *call) selector() (ref, bool) {
	if c.base == 1 {
		return c.ref("sys-id")
	}
	if c.given("cluster-id") {
		return c.ref("cluster-id")
	}
	if name := c.query.Get("cluster-name"); name != "" {
		return ref{name: name}, true
	}
	id := c.query.Get("cluster-id")
	return ref{name: id, either: true}, id != ""
}

// stumble is what some versions get wrong about the cluster.
func (c *call) stumble() *Error {
	q, byQuery := c.x.quirks, c.base > 1 && c.query.Has("cluster-name")
	_, inBody := c.values["cluster-id"]
	switch {
	case c.method == http.MethodPut && c.kind.strictPut && byQuery && q.strictPut:
		return about(c.kind.short, "_not_found")
	case c.method == http.MethodPut && c.kind.group && inBody && !q.putCluster:
		return refuse(invalidProperty, "cluster-id")
	case c.method == http.MethodDelete && c.kind.name == kindSets && c.id != "" && byQuery && !q.deleteSetByIndex:
		return c.kind.missing()
	}
	return nil
}
