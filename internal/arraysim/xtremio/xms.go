// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// XMS is a simulated management server with its clusters. It is safe for use by
// many goroutines.
type XMS struct {
	options Options
	quirks  quirks
	kinds   map[string]*kind

	mu    sync.Mutex // of state; held while a request is carried out
	state *state
}

var _ arraysim.Array = (*XMS)(nil)

// New makes an XMS without volumes and groups. It fails with ErrInvalid for options
// that cannot be. Publish has hosts see its targets.
func New(o Options) (*XMS, error) {
	o.Clusters = slices.Clone(o.Clusters)
	if err := o.defaults(); err != nil {
		return nil, err
	}
	clusters, err := o.clusters()
	if err != nil {
		return nil, err
	}
	s := newState()
	s.clusters = clusters
	return &XMS{options: o, quirks: o.quirks(), kinds: every(o.quirks()), state: s}, nil
}

// call is one request while it is carried out.
type call struct {
	request
	fields
	x       *XMS
	ctx     context.Context // does not end with the request
	now     time.Time
	cluster int    // whose objects it is about; 0: any
	state   *state // the request's own one, if it changes anything

	relations *relations     // made when it is asked for; of a GET
	links     []any          // to what was made
	touched   bool           // hosts may see something else now
	undo      []func() error // of the data plane, for when a later step fails
	after     []func() error // what it does when hosts see it no more; the last step
}

// Call has the XMS carry out a request that no server sees: for tests, as another
// client or an administrator. The path is below that of v2's types, or of v1's on
// an XMS without v2: "volumes?name=v". The body becomes JSON. It fails with an
// *Error where a request is refused.
func (x *XMS) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	at, err := url.Parse(bases[min(x.quirks.newest, 2)] + path)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, ok := x.parse(&arraysim.Request{Method: method, URL: at, Body: text})
	if !ok {
		return nil, &Error{http.StatusNotFound, unknownPath}
	}
	answer, refused := x.run(ctx, req)
	if refused != nil {
		return nil, refused
	}
	return answer, nil
}

// run gives the answer as JSON, as it may refer to the state.
func (x *XMS) run(ctx context.Context, r request) (json.RawMessage, *Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.begin(ctx, r)
	if r.method != http.MethodGet {
		c.state = x.state.clone()
	}
	answer, refused := c.carryOut()
	if refused == nil {
		refused = c.expose(x.state)
	}
	for n := 0; refused == nil && n < len(c.after); n++ {
		refused = c.data(c.after[n]())
	}
	if refused != nil {
		return nil, c.takeBack(refused)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, c.takeBack(&Error{http.StatusInternalServerError, err.Error()})
	}
	x.state = c.state
	return text, nil
}

func (x *XMS) begin(ctx context.Context, r request) *call {
	return &call{request: r, x: x, ctx: context.WithoutCancel(ctx), now: x.options.Now(), state: x.state}
}

// carryOut gives what becomes the answer's body.
func (c *call) carryOut() (any, *Error) {
	if c.method == http.MethodGet {
		if refused := c.choose(); refused != nil {
			return nil, refused
		}
		return c.get()
	}
	v := c.kind.verb(c.base, c.method)
	if v == nil || c.method == http.MethodPost && c.id != "" {
		return nil, &Error{http.StatusMethodNotAllowed, methodNotAllowed}
	}
	if refused := c.read(v); refused != nil {
		return nil, refused
	}
	if refused := v.run(c); refused != nil {
		return nil, refused
	}
	if c.method == http.MethodPost {
		return map[string]any{"links": c.links}, nil
	}
	return struct{}{}, nil
}

// takeBack undoes what the data plane did for a request that is refused.
func (c *call) takeBack(refused *Error) *Error {
	for _, undo := range slices.Backward(c.undo) {
		if err := undo(); err != nil {
			refused = &Error{refused.Status, refused.Message + "; undo: " + err.Error()}
		}
	}
	return refused
}

// MarshalJSON gives the state, secrets included.
func (x *XMS) MarshalJSON() ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return json.Marshal(x.state)
}

// UnmarshalJSON replaces the state. Options, CHAP modes and ports stay. It fails with
// ErrInvalid for a state of more clusters than there are.
func (x *XMS) UnmarshalJSON(text []byte) error {
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	s.whole()
	x.mu.Lock()
	defer x.mu.Unlock()
	s.clusters = x.state.clusters
	if err := s.check(); err != nil {
		return err
	}
	x.state = s
	return nil
}
