// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// request is one that leads to a type of objects.
type request struct {
	base   int // version of the interface: 1, 2, 3
	kind   *kind
	id     string // an index or, where links have them, an identifier; empty: none
	method string
	query  url.Values
	body   []byte
}

const root = "/api/json/"

// bases are where types are, by version of the interface.
var bases = map[int]string{1: root + "types/", 2: root + "v2/types/", 3: root + "v3/types/"}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

// parse finds out what a request is about; false: nothing that there is in any
// version of the XMS.
func (x *XMS) parse(r *arraysim.Request) (request, bool) {
	req := request{method: r.Method, query: r.URL.Query(), body: r.Body}
	for base, prefix := range bases {
		rest, ok := strings.CutPrefix(r.URL.Path, prefix)
		if !ok {
			continue
		}
		name, id, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
		req.base, req.kind, req.id = base, x.kinds[name], id
		return req, req.kind != nil && base >= req.kind.since && !strings.Contains(id, "/")
	}
	return req, false
}

// Operation implements arraysim.Array: "GET volumes", in all versions of the
// interface, or "invalid".
func (x *XMS) Operation(r *arraysim.Request) string {
	req, ok := x.parse(r)
	if !ok || !slices.Contains(methods, r.Method) {
		return "invalid"
	}
	return r.Method + " " + req.kind.name
}

// Do implements arraysim.Array.
func (x *XMS) Do(ctx context.Context, r *arraysim.Request) arraysim.Answer {
	req, ok := x.parse(r)
	if !ok || req.base > x.quirks.newest {
		return x.refusal(&Error{http.StatusNotFound, unknownPath})
	}
	text, refused := x.run(ctx, req)
	switch {
	case refused != nil:
		return x.refusal(refused)
	case r.Method == http.MethodPost:
		return arraysim.Answer{Status: http.StatusCreated, Body: text}
	case r.Method != http.MethodGet && x.options.EmptyAnswers:
		return arraysim.Answer{Status: http.StatusOK}
	}
	return arraysim.Answer{Status: http.StatusOK, Body: text}
}

// Error implements arraysim.Array. The name is the message.
func (x *XMS) Error(_ *arraysim.Request, name string) arraysim.Answer {
	return x.refusal(refuse("%s", name))
}

// Status implements arraysim.Array. The body of 401 is the simulator's choice.
func (x *XMS) Status(_ *arraysim.Request, status int) arraysim.Answer {
	if status == http.StatusUnauthorized {
		return arraysim.Answer{
			Status: status, Type: "text/html", Header: http.Header{"Www-Authenticate": {`Basic realm="XMS"`}},
			Body: []byte("<html><body><h1>401 Unauthorized</h1></body></html>\n"),
		}
	}
	return x.refusal(&Error{status, http.StatusText(status)})
}

func (x *XMS) refusal(e *Error) arraysim.Answer {
	text, err := json.Marshal(struct {
		Message string `json:"message"`
		Code    int    `json:"error_code"`
	}{e.Message, e.Status})
	if err != nil {
		return arraysim.Answer{Status: http.StatusInternalServerError, Type: "text/plain", Body: []byte(err.Error())}
	}
	return arraysim.Answer{Status: e.Status, Body: text}
}

// Secret implements arraysim.Array: CHAP passwords, as they are set and as they are
// read.
func (x *XMS) Secret(field string) bool { return strings.Contains(strings.ToLower(field), "password") }

// Specials implements arraysim.Array: there are none.
func (x *XMS) Specials() []string { return nil }
