// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"slices"
	"sync"
)

// Call is one call of a connection.
type Call struct {
	// Op is what the errors of the call have for one: connect, pool, command,
	// list, create, clone, copy, remove, rename, trash move, trash list, trash
	// remove, open, info, resize, flatten, parent, children, watchers, features,
	// snapshots, snapshot create, snapshot remove, snapshot rename, protect,
	// unprotect, roll back, metadata, metadata set, metadata remove, read, write.
	Op   string
	What string // the object: POOL/IMAGE@SNAPSHOT
	N    int    // how many calls of this Op there were, this one included
	All  int    // how many calls there were
}

// Hooks see every call that a test makes. They may block, and they may use the
// cluster. A syscall.Errno that they give becomes a *ceph.Error.
type Hooks struct {
	// Before runs first. What it gives is what the call fails with; nothing was
	// done then.
	Before func(ctx context.Context, c Call) error
	// After runs when the call has succeeded. If it gives an error, the answer is
	// lost: the call was done, and fails.
	After func(ctx context.Context, c Call) error
}

// SetHooks replaces the hooks.
func (c *Cluster) SetHooks(h Hooks) {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	c.calls.hooks = h
}

// Calls gives the calls made since the beginning or the last ResetCalls. Those
// whose context had ended before do not count.
func (c *Cluster) Calls() []Call {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	return slices.Clone(c.calls.made)
}

// Count says how many of Calls were of an Op.
func (c *Cluster) Count(op string) int {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	return c.calls.counts[op]
}

// ResetCalls forgets the calls made so far.
func (c *Cluster) ResetCalls() {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	c.calls.made, c.calls.counts = nil, nil
}

// Nth is a hook that gives err for the n-th call of op, counted from 1; an empty
// op counts all calls.
func Nth(op string, n int, err error) func(context.Context, Call) error {
	return func(_ context.Context, c Call) error {
		if (op == c.Op && n == c.N) || (op == "" && n == c.All) {
			return err
		}
		return nil
	}
}

// Hang is a hook by which the calls of op end with their context only.
func Hang(op string) func(context.Context, Call) error {
	return func(ctx context.Context, c Call) error {
		if op != "" && op != c.Op {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// calls is what was called, and by what it is seen.
type calls struct {
	mu     sync.Mutex
	hooks  Hooks
	made   []Call
	counts map[string]int
}

func (c *calls) add(op, what string) (Call, Hooks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[op]++
	call := Call{Op: op, What: what, N: c.counts[op], All: len(c.made) + 1}
	c.made = append(c.made, call)
	return call, c.hooks
}
