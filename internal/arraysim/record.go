// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/internal/secret"
)

const defaultKeep = 10_000

// Record is what is kept of a request and its answer. It has no header and no
// secret.
type Record struct {
	N            int // from 1, since the beginning or the last Reset
	Operation    string
	Method, Path string
	RequestBytes int    // of the body
	Status       int    // 0: not answered yet, or the connection was dropped
	AnswerBytes  int    // of the body
	Fault        Kind   // what it was hit by; empty: nothing
	Query        string // with Options.Bodies only, as are those that follow
	Request      string
	Answer       string
}

// Totals are of all requests since the beginning or the last Reset.
type Totals struct {
	Requests     int
	RequestBytes int64 // of bodies
	AnswerBytes  int64 // of bodies
}

// Records gives the newest records, oldest first; Options.Keep says how many.
// Requests count when they have arrived, also those without credentials.
func (s *Server) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.records[max(0, len(s.records)-s.options.Keep):]
	records := make([]Record, len(kept))
	for n, r := range kept {
		records[n] = *r
	}
	return records
}

// Count says how many requests there were of an operation since the beginning or
// the last Reset; of all for "".
func (s *Server) Count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if operation == "" {
		return s.totals.Requests
	}
	return s.counts[operation]
}

// Counts gives Count of every operation that there was.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Totals sums all requests up.
func (s *Server) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

// Reset forgets records and counts. Faults and the array's state stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.counts, s.totals = nil, map[string]int{}, Totals{}
}

func (s *Server) begin(operation string, r *Request) *Record {
	record := &Record{Operation: operation, Method: r.Method, Path: r.URL.Path, RequestBytes: len(r.Body)}
	if s.options.Bodies {
		record.Query, record.Request = s.redactQuery(r.URL.Query()), s.redact(r.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[operation]++
	s.totals.Requests++
	s.totals.RequestBytes += int64(len(r.Body))
	record.N = s.totals.Requests
	s.records = append(s.records, record)
	if len(s.records) > 2*s.options.Keep {
		s.records = slices.Clone(s.records[len(s.records)-s.options.Keep:])
	}
	return record
}

func (s *Server) end(record *Record, hit *Fault, a Answer) {
	var body string
	if s.options.Bodies && a.Status != 0 {
		body = s.redact(a.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Status, record.Answer = a.Status, body
	if hit != nil {
		record.Fault = hit.Kind
	}
	if a.Status != 0 {
		record.AnswerBytes = len(a.Body)
		s.totals.AnswerBytes += int64(len(a.Body))
	}
}

// redact gives a body without the values of secret fields. One that is not JSON
// may hide them anywhere, so nothing of it is kept.
func (s *Server) redact(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return "(not JSON)"
	}
	text, err := json.Marshal(s.mask(value))
	if err != nil {
		return "(not JSON)"
	}
	return s.maskPassword(string(text))
}

func (s *Server) redactQuery(query url.Values) string {
	for key, values := range query {
		if s.array.Secret(key) {
			query[key] = slices.Repeat([]string{secret.Mask}, len(values))
		}
	}
	return s.maskPassword(query.Encode())
}

func (s *Server) mask(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if s.array.Secret(key) && inner != nil {
				v[key] = secret.Mask
			} else {
				v[key] = s.mask(inner)
			}
		}
	case []any:
		for n := range v {
			v[n] = s.mask(v[n])
		}
	}
	return value
}

// maskPassword takes away the client's own password, wherever it got to: as it is,
// and as it is written in JSON and in a query.
func (s *Server) maskPassword(text string) string {
	password := s.options.Password
	if password == "" {
		return text
	}
	for _, form := range []string{jsonForm(password), url.QueryEscape(password)} {
		text = strings.ReplaceAll(text, form, secret.Mask)
	}
	return strings.ReplaceAll(text, password, secret.Mask)
}

func jsonForm(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return text
	}
	return string(quoted[1 : len(quoted)-1])
}
