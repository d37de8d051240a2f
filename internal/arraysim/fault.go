// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Kind is what goes wrong.
type Kind string

// The kinds of faults. Where it is not said that a request takes effect, it does
// not.
const (
	// Refuse answers with the error Name of the array.
	Refuse Kind = "refuse"
	// Status answers with the status Status: with the body that the array has for
	// it, with that of the error Name, or with HTML as a proxy makes it.
	Status Kind = "status"
	// Malformed takes effect, and answers with half of the answer.
	Malformed Kind = "malformed"
	// SlowAnswer takes effect at once, and answers after Delay if somebody still
	// waits.
	SlowAnswer Kind = "slow answer"
	// SlowEffect takes effect after Delay, even if nobody waits for the answer.
	SlowEffect Kind = "slow effect"
	// DropBefore drops the connection. Clients may repeat a GET by themselves
	// when the connection was used before, as Go's does.
	DropBefore Kind = "drop before"
	// DropAfter takes effect, then drops the connection.
	DropAfter Kind = "drop after"
	// Twice takes effect twice, and gives the second answer.
	Twice Kind = "twice"
	// Special is what the array knows by Name, see Array.Specials.
	Special Kind = "special"
	// Custom does what Hook does.
	Custom Kind = "custom"
)

// Fault is trouble that a Server makes for requests.
type Fault struct {
	Operation string // which requests; empty: any
	After     int    // so many of them pass first
	Times     int    // so many are hit then; 0: all
	Kind      Kind

	Name   string        // for Refuse, Status, Special
	Status int           // for Status
	HTML   bool          // for Status: the body is HTML and not what the array says
	Delay  time.Duration // for SlowAnswer, SlowEffect and those Specials that take time

	// Hook is for Custom. do carries the request out; it may be called any number
	// of times. An Answer without Status drops the connection.
	Hook func(ctx context.Context, r *Request, do func() Answer) Answer
}

// armed is a fault with what has passed and was hit.
type armed struct {
	Fault
	passed, hit int
}

// check tells what is wrong with a fault.
func (f *Fault) check(a Array) error {
	switch f.Kind {
	case Refuse:
		if f.Name == "" {
			return fault.Errorf(fault.ErrInvalid, "fault %s: no name of an error", f.Kind)
		}
	case Status:
		if f.Status < 400 || f.Status > 599 {
			return fault.Errorf(fault.ErrInvalid, "fault %s: %d is no status of a failure", f.Kind, f.Status)
		}
	case Special:
		if !slices.Contains(a.Specials(), f.Name) {
			return fault.Errorf(fault.ErrInvalid, "fault %s: the array knows %q, not %q", f.Kind, a.Specials(), f.Name)
		}
	case Custom:
		if f.Hook == nil {
			return fault.Errorf(fault.ErrInvalid, "fault %s: no hook", f.Kind)
		}
	case Malformed, SlowAnswer, SlowEffect, DropBefore, DropAfter, Twice:
	default:
		return fault.Errorf(fault.ErrInvalid, "unknown kind of fault %q", f.Kind)
	}
	if f.After < 0 || f.Times < 0 || f.Delay < 0 {
		return fault.Errorf(fault.ErrInvalid, "fault %s: After, Times and Delay are not negative", f.Kind)
	}
	return nil
}

// AddFault adds a fault behind those there are. A request is hit by the first that
// is due; to be passed counts with all that are for it. It fails with ErrInvalid
// for a fault that cannot be.
func (s *Server) AddFault(f Fault) error {
	if err := f.check(s.array); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armed{Fault: f})
	return nil
}

// ClearFaults removes all faults. Requests that were hit stay so.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// due gives the fault that hits a request; nil: none.
func (s *Server) due(operation string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit *Fault
	for _, f := range s.faults {
		switch {
		case f.Operation != "" && f.Operation != operation:
		case f.passed < f.After:
			f.passed++
		case hit != nil || f.Times > 0 && f.hit == f.Times:
		default:
			f.hit++
			hit = &f.Fault
		}
	}
	return hit
}

// troubled answers a request that a fault has hit.
func (s *Server) troubled(ctx context.Context, r *Request, f *Fault) Answer {
	do := func() Answer { return s.array.Do(ctx, r) }
	switch f.Kind {
	case Refuse:
		return s.array.Error(r, f.Name)
	case Status:
		return s.turnedAway(r, f)
	case Malformed:
		answer := do()
		answer.Body = answer.Body[:len(answer.Body)/2]
		return answer
	case SlowAnswer:
		answer := do()
		if s.wait(ctx, f.Delay); ctx.Err() == nil {
			return answer
		}
	case SlowEffect:
		s.wait(context.WithoutCancel(ctx), f.Delay)
		return do()
	case DropAfter:
		do()
	case Twice:
		do()
		return do()
	case Special:
		r.Special = f
		return do()
	case Custom:
		return f.Hook(ctx, r, do)
	case DropBefore:
	}
	return Answer{}
}

func (s *Server) turnedAway(r *Request, f *Fault) Answer {
	switch {
	case f.HTML:
		text := fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
		page := fmt.Sprintf("<html><head><title>%[1]s</title></head><body><h1>%[1]s</h1></body></html>\n", text)
		return Answer{Status: f.Status, Type: "text/html", Body: []byte(page)}
	case f.Name != "":
		answer := s.array.Error(r, f.Name)
		answer.Status = f.Status
		return answer
	}
	return s.array.Status(r, f.Status)
}

// wait ends with ctx and with the server, too.
func (s *Server) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.closed:
	}
}
