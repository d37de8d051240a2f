// SPDX-License-Identifier: Apache-2.0

// Package rest speaks JSON over HTTP with the management of storage arrays.
//
// # What was carried out
//
// A request whose answer does not come may have been carried out. Do sends one
// again only if that is known not to be so, or if the request says that it may be
// carried out twice. Otherwise its error is a Lost one: the caller looks before it
// asks again.
//
// # What is told
//
// Passwords and bodies are in no log line. An error has what the array says, which
// the caller of Do takes from the answer, or the beginning of what is no JSON.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
	"github.com/gocinder/cinderlib/internal/secret"
)

// Options are those of a Client. Those that are zero have the value that is told.
type Options struct {
	URL      string // what the paths of requests come after
	User     string
	Password secret.Text
	Header   http.Header   // of all requests
	Timeout  time.Duration // of one request (30 s); the context may end it earlier
	Answer   int64         // bytes that an answer may have (64 MiB)
	TLS      TLS
	Retry    Retry
	// Observe is told of each request that was sent, and its answer. It must not
	// change them.
	Observe func(Exchange)
	Log     *slog.Logger // none
}

// Retry is how often, and when, a request is sent in all.
type Retry struct {
	Tries   int           // (5)
	First   time.Duration // the first pause (1 s); each is twice the one before
	Longest time.Duration // (16 s)
}

// Exchange is one request and what came of it.
type Exchange struct {
	Operation string
	Sent      int // bytes of the body
	Answer    *Answer
	Err       error // of the transport
	Took      time.Duration
}

// Client asks one array. It keeps its connections, and is safe for use by any
// goroutine.
type Client struct {
	http *http.Client
	base *url.URL
	o    Options
}

// New makes a client. It asks nothing yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" {
		return nil, fault.Errorf(fault.ErrInvalid, "%q is not the address of an array", o.URL)
	}
	config, err := o.TLS.config()
	if err != nil {
		return nil, err
	}
	o.Timeout = or(o.Timeout, 30*time.Second)
	o.Answer = or(o.Answer, 64<<20)
	o.Retry = Retry{or(o.Retry.Tries, 5), or(o.Retry.First, time.Second), or(o.Retry.Longest, 16*time.Second)}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		base: base, o: o,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: config,
				MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
			},
			// Credentials are for this array.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func or[T comparable](value, usual T) T {
	var none T
	if value == none {
		return usual
	}
	return value
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is what Do asks.
type Request struct {
	Operation string // what errors and logs call it
	Method    string
	Path      string // below the client's URL
	Query     url.Values
	Body      any // is sent as JSON, unless it is nil
	// Again: it may be carried out twice, as what only reads.
	Again bool
	// Grace is how long its answer is waited for after the context has ended: of what
	// is being made it is better to know.
	Grace time.Duration
	// Check tells what an answer means: nil, an error, a Busy or Uncertain one. Without
	// it the status decides.
	Check func(*Answer) error
}

// Answer is the array's.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode decodes the body. What is no JSON, or another JSON, is ErrInternal.
func (a *Answer) Decode(into any) error {
	if err := json.Unmarshal(a.Body, into); err != nil {
		return fault.Errorf(fault.ErrInternal, "the answer (status %d) is not what was expected: %w: %s", a.Status, err, a.Excerpt())
	}
	return nil
}

// Excerpt is the beginning of the body, for errors.
func (a *Answer) Excerpt() string {
	const enough = 200
	text := string(bytes.ToValidUTF8(bytes.TrimSpace(a.Body), []byte("?")))
	if len(text) > enough {
		return fmt.Sprintf("%.*q...", enough, text)
	}
	return fmt.Sprintf("%q", text)
}

// Do sends a request, as often as the client's Retry says while the array is busy
// or cannot be reached. Credentials that the array refuses are
// ErrUnauthenticated, and are not tried again.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, fault.Errorf(fault.ErrInternal, "%s: %w", r.Operation, err)
		}
	}
	for try, pause := 1, c.o.Retry.First; ; try, pause = try+1, min(2*pause, c.o.Retry.Longest) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Operation, err)
		}
		a, again, err := c.once(ctx, &r, body)
		if err == nil {
			return a, nil
		}
		if !again || ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", r.Operation, err)
		}
		if try == c.o.Retry.Tries {
			return nil, fmt.Errorf("%s: tried %d times: %w", r.Operation, try, err)
		}
		c.o.Log.WarnContext(ctx, "rest: another try", slog.String("operation", r.Operation), slog.Int("try", try), slog.Any("error", err))
		if poll.Pause(ctx, pause) != nil {
			return nil, fmt.Errorf("%s: %w: %w", r.Operation, ctx.Err(), err)
		}
	}
}

// once sends a request, and tells whether it may be sent again.
func (c *Client) once(ctx context.Context, r *Request, body []byte) (a *Answer, again bool, err error) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = poll.Pause(bounded, r.Grace)
		cancel()
	})()
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	start := time.Now()
	a, err = c.send(httptrace.WithClientTrace(bounded, trace), r, body)
	took := time.Since(start)
	if c.o.Observe != nil {
		c.o.Observe(Exchange{r.Operation, len(body), a, err, took})
	}
	if err != nil {
		c.o.Log.DebugContext(ctx, "rest", slog.String("operation", r.Operation), slog.Duration("took", took), slog.Any("error", err))
		err, again = c.unanswered(ctx, err)
		if sent.Load() && !errors.Is(err, errTooLong) {
			return nil, again && r.Again, lost{err}
		}
		return nil, again, err
	}
	c.o.Log.DebugContext(ctx, "rest", slog.String("operation", r.Operation), slog.Duration("took", took), slog.Int("status", a.Status), slog.Int("bytes", len(a.Body)))
	check := r.Check
	if check == nil {
		check = Status
	}
	if a.Status == http.StatusUnauthorized {
		err = fault.Errorf(fault.ErrUnauthenticated, "%s refuses the user %q or the password", c.base.Host, c.o.User)
	} else {
		err = check(a)
	}
	return a, IsBusy(err) || Lost(err) && r.Again, err
}

func (c *Client) send(ctx context.Context, r *Request, body []byte) (*Answer, error) {
	u := c.base.JoinPath(r.Path)
	u.RawQuery = r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.Body == nil {
		req.Body, req.ContentLength = nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	maps.Copy(req.Header, c.o.Header)
	req.SetBasicAuth(c.o.User, c.o.Password.Reveal())
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written to it
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, c.o.Answer+1)); err != nil {
		return nil, err
	}
	if int64(len(a.Body)) > c.o.Answer {
		return nil, errTooLong
	}
	return a, nil
}
