// SPDX-License-Identifier: Apache-2.0

// Package undo keeps what must be taken back when a later step fails.
package undo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Stack holds the undo steps of one operation. The zero Stack is empty and ready.
type Stack struct {
	// StopAtFault leaves the rest undone after a step failed: where an older
	// step must not be taken back under a newer one.
	StopAtFault bool

	steps []step
}

type step struct {
	what string
	do   func(context.Context) error
}

// Push adds the step that takes back what was just done.
func (s *Stack) Push(what string, do func(context.Context) error) {
	s.steps = append(s.steps, step{what, do})
}

// Unwind runs the steps, newest first, if *err is not nil, and joins their
// faults behind it. The steps run on a context that has ctx's values but not its
// cancel, and at most grace long together. Defer it with the address of the
// named result.
func (s *Stack) Unwind(ctx context.Context, grace time.Duration, err *error) {
	if *err != nil {
		s.Release(ctx, grace, err)
	}
}

// Release is Unwind for what is taken back in any case.
func (s *Stack) Release(ctx context.Context, grace time.Duration, err *error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for _, step := range slices.Backward(s.steps) {
		if failed := step.do(ctx); failed != nil {
			*err = fault.Join(*err, fmt.Errorf("undo: %s: %w", step.what, failed))
			if s.StopAtFault {
				break
			}
		}
	}
	s.steps = nil
}
