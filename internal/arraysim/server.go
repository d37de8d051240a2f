// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
)

// defaultMaxBody is room for the largest request of the arrays by far, a group
// with some thousand members.
const defaultMaxBody = 1 << 20

// Options describe a Server.
type Options struct {
	User, Password string // who may send requests; both empty: everybody
	MaxBody        int64  // of a request, in bytes; more is answered with 413. 0: 1 MiB
	Bodies         bool   // records have queries and bodies, without what is secret
	Keep           int    // how many records are kept, the newest; 0: 10000
}

// Server answers HTTP requests with what an Array says. It is safe for use by
// many goroutines.
type Server struct {
	array   Array
	options Options
	once    sync.Once
	closed  chan struct{} // has slow requests end

	mu      sync.Mutex // of all that follows
	faults  []*armed
	records []*Record
	counts  map[string]int
	totals  Totals
}

var _ http.Handler = (*Server)(nil)

// NewServer gives a server for an array. Use it as a handler, or Listen.
func NewServer(a Array, o Options) *Server {
	o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	o.Keep = cmp.Or(o.Keep, defaultKeep)
	return &Server{array: a, options: o, closed: make(chan struct{}), counts: map[string]int{}}
}

// Array gives the array that the server is for.
func (s *Server) Array() Array { return s.array }

// ServeHTTP implements http.Handler. It panics with http.ErrAbortHandler, as
// net/http has it, to drop a connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBody))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); !large {
			panic(http.ErrAbortHandler) // the client went away before it had said all
		}
	}
	user, _, _ := r.BasicAuth()
	req := &Request{Method: r.Method, URL: r.URL, Header: r.Header, Body: body, User: user}
	operation := s.array.Operation(req)
	record := s.begin(operation, req)

	var answer Answer
	var hit *Fault
	switch {
	case err != nil:
		answer = s.array.Status(req, http.StatusRequestEntityTooLarge)
	case !s.known(r):
		answer = s.array.Status(req, http.StatusUnauthorized)
	default:
		answer, hit = s.answer(r.Context(), req, operation)
	}
	s.end(record, hit, answer)
	if answer.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	write(w, answer)
}

func (s *Server) answer(ctx context.Context, r *Request, operation string) (Answer, *Fault) {
	f := s.due(operation)
	if f == nil {
		return s.array.Do(ctx, r), nil
	}
	return s.troubled(ctx, r, f), f
}

// known checks the credentials in a time that does not depend on them.
func (s *Server) known(r *http.Request) bool {
	if s.options.User == "" && s.options.Password == "" {
		return true
	}
	user, password, ok := r.BasicAuth()
	same := func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:])
	}
	return ok && same(user, s.options.User)&same(password, s.options.Password) == 1
}

func write(w http.ResponseWriter, a Answer) {
	maps.Copy(w.Header(), a.Header)
	w.Header().Set("Content-Type", cmp.Or(a.Type, "application/json"))
	if a.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a client that went away needs no answer
}

// release has requests end that a fault holds. No further ones are held.
func (s *Server) release() { s.once.Do(func() { close(s.closed) }) }
