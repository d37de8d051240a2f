// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

// Error is what the XMS refuses a request with.
type Error struct {
	Message string // vol_obj_not_found, or a sentence
	Status  int    // of HTTP: 400 for nearly everything
}

func (e *Error) Error() string { return e.Message }

// sentinels by what messages have in them; the first that fits. Of a type that a name
// begins with (vol_, ig_) there are many.
var sentinels = []struct {
	text string
	of   error
}{
	{"sys_not_found", drivers.ErrPrecondition}, // a cluster
	{"_not_found", drivers.ErrNotFound},
	{"not_unique", drivers.ErrExists},
	{alreadyMapped, drivers.ErrExists},
	{"too_many_", drivers.ErrExhausted},
	{"mapped", drivers.ErrInUse},
	{"Command Syntax Error", drivers.ErrInternal},
}

const alreadyMapped = "already_mapped"

// check makes an error of what the XMS answers.
func check(a *rest.Answer) error {
	if a.Status/100 == 2 {
		return nil
	}
	var e Error
	if json.Unmarshal(a.Body, &e) != nil || e.Message == "" {
		return rest.Status(a)
	}
	e.Status = a.Status
	if strings.Contains(e.Message, "system_is_busy") {
		return rest.Busy(drivers.Errorf(drivers.ErrUnavailable, "%w", &e))
	}
	for _, s := range sentinels {
		if strings.Contains(e.Message, s.text) {
			return drivers.Errorf(s.of, "%w", &e)
		}
	}
	return rest.Status(a)
}

func gone(err error) bool { return fault.CodeOf(err) == fault.NotFound }

// says tells whether err is a refusal with a text in it.
func says(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

type params map[string]any

// grace is how long the answer is waited for when the context has ended, if something
// is being made.
const grace = 700 * time.Millisecond

// call sends a request of the client's version. into is what its answer is decoded
// into; nil: nothing.
func (d *Driver) call(ctx context.Context, verb, path string, query url.Values, body params, into any) error {
	q := maps.Clone(query)
	if d.version > 1 && d.cluster != "" {
		if q == nil {
			q = url.Values{}
		}
		switch verb {
		case http.MethodDelete:
			body = params{"cluster-id": d.cluster}
			fallthrough
		case http.MethodGet:
			q.Set("cluster-name", d.cluster)
		default:
			body = maps.Clone(body)
			body["cluster-id"] = d.cluster
		}
	}
	return d.send(ctx, d.version, verb, path, q, body, into)
}

// send sends a request of a version of the API.
func (d *Driver) send(ctx context.Context, version int, verb, path string, query url.Values, body params, into any) error {
	base := "api/json/types/"
	if version > 1 {
		base = "api/json/v2/types/"
	}
	r := rest.Request{
		Operation: verb + " " + path, Method: verb, Path: base + path, Query: query, Check: check, Again: verb != http.MethodPost,
	}
	if body != nil {
		r.Body = body
	}
	if !r.Again {
		r.Grace = grace
	}
	a, err := d.client.Do(ctx, r)
	if err != nil || into == nil {
		return err
	}
	return decode(r.Operation, a.Body, into)
}

// made is the path of something new: volumes/5, or snapshots/ and its GUID with some
// versions of the XMS. It is empty if the answer does not tell.
type made string

// post makes something. A request whose answer is lost is sent once more: the array
// has no two of one name.
func (d *Driver) post(ctx context.Context, kind string, body params) (made, error) {
	var answer struct {
		Links []struct {
			Href string `json:"href"`
		} `json:"links"`
	}
	err := d.call(ctx, http.MethodPost, kind, nil, body, &answer)
	if rest.Lost(err) && ctx.Err() == nil {
		again := d.call(ctx, http.MethodPost, kind, nil, body, &answer)
		if again != nil {
			return "", fault.Join(again, err)
		}
		err = nil
	}
	if err != nil {
		return "", err
	}
	if len(answer.Links) > 0 {
		if part := strings.Split(answer.Links[0].Href, "/"); len(part) > 1 {
			return made(strings.Join(part[len(part)-2:], "/")), nil
		}
	}
	return "", nil
}

func (d *Driver) put(ctx context.Context, path string, query url.Values, body params) error {
	return d.call(ctx, http.MethodPut, path, query, body, nil)
}

// delete tells whether it was there.
func (d *Driver) delete(ctx context.Context, path string, query url.Values) (there bool, err error) {
	err = d.call(ctx, http.MethodDelete, path, query, nil, nil)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

func named(name string) url.Values { return url.Values{"name": {name}} }

// object reads one object, by its index in the path or by its name.
func object[T any](ctx context.Context, d *Driver, path string, query url.Values, properties ...string) (*T, error) {
	var answer struct {
		Content *T `json:"content"`
	}
	q := url.Values{}
	maps.Copy(q, query)
	if d.version > 1 && len(properties) > 0 {
		q["prop"] = properties
	}
	if err := d.call(ctx, http.MethodGet, path, q, nil, &answer); err != nil {
		return nil, err
	}
	if answer.Content == nil {
		return nil, drivers.Errorf(drivers.ErrInternal, "GET %s: the answer has no content", path)
	}
	return answer.Content, nil
}

// list lists objects of a kind. Filters are "property:eq:value", all of which must
// hold; the first version of the API knows none and gives everything, one by one.
func list[T any](ctx context.Context, d *Driver, kind string, filters []string, properties ...string) ([]T, error) {
	q := url.Values{}
	if d.version > 1 {
		q["full"], q["filter"], q["prop"] = []string{"1"}, filters, properties
	}
	var answer map[string]json.RawMessage
	if err := d.call(ctx, http.MethodGet, kind, q, nil, &answer); err != nil {
		return nil, err
	}
	var rows []T
	if d.version > 1 {
		if err := decode("GET "+kind, answer[kind], &rows); err != nil {
			return nil, err
		}
		return rows, nil
	}
	var refs []struct {
		Name string `json:"name"`
	}
	if err := decode("GET "+kind, answer[kind], &refs); err != nil {
		return nil, err
	}
	for _, r := range refs {
		row, err := object[T](ctx, d, kind, named(r.Name))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, *row)
	}
	return rows, nil
}

// decode does not quote the answer: initiators have secrets.
func decode(operation string, text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return drivers.Errorf(drivers.ErrInternal, "%s: the answer is not what was expected: %w", operation, err)
	}
	return nil
}
