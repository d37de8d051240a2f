// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Array is a simulated array: its state, and the language it answers in. Its
// methods may be called at the same time. As JSON it is its whole state, secrets
// included; it never uses an identifier of a state that it was given a second
// time.
type Array interface {
	json.Marshaler
	json.Unmarshaler

	// Operation names what a request asks for, so that requests can be counted
	// and faults can be for some of them: the method of a JSON-RPC array; verb and
	// type, without identifiers, of a REST array ("POST volumes"). It is called
	// before Do, also for requests that Do never sees, and changes nothing.
	Operation(r *Request) string
	// Do carries out a request whose sender is known to the array, and answers
	// it. What it does happens at once for other requests, or not at all. It does
	// not end with ctx once it has changed something: an array does not notice
	// that its client went away.
	Do(ctx context.Context, r *Request) Answer
	// Error gives the answer to a request by which the array refuses it with the
	// error of that name.
	Error(r *Request, name string) Answer
	// Status gives the answer with which the array turns a request away before it
	// looks at it: 401 without credentials, 413 for a body too large, 503.
	Status(r *Request, status int) Answer
	// Secret tells whether the field of that name, of a body or a query, is one
	// that no record may show.
	Secret(field string) bool
	// Specials lists the names that a Fault of the kind Special may have.
	Specials() []string
	// Publish has the data plane expose all that is visible, after a state was
	// loaded. It may be repeated.
	Publish(ctx context.Context) error
}

// Request is one request to an array, its body read.
type Request struct {
	Method string
	URL    *url.URL // path and query
	Header http.Header
	Body   []byte
	User   string // who sends it

	// Special is the fault of the kind Special that the request falls under; nil:
	// none.
	Special *Fault
}

// Answer is an array's answer. One without Status is none: the connection is
// dropped.
type Answer struct {
	Status int
	Header http.Header // nil: none but Content-Type
	Type   string      // the Content-Type; empty: application/json
	Body   []byte
}
