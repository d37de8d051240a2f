// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// connection is a ceph.Cluster.
type connection struct {
	cluster *Cluster
	address string

	// Of the cluster's mu.
	closed bool
	open   map[*handle]struct{}
}

// request is what a connection asks of the cluster.
type request struct {
	op, what string
	changes  *pool // it changes this one, and waits while that is full
}

// do has the cluster act, under its lock.
func (c *connection) do(ctx context.Context, r request, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call, hooks := c.cluster.calls.add(r.op, r.what)
	if hooks.Before != nil {
		if err := hooks.Before(ctx, call); err != nil {
			return r.failed(err)
		}
	}
	if err := c.act(ctx, r, act); err != nil {
		return r.failed(err)
	}
	if hooks.After != nil {
		if err := hooks.After(ctx, call); err != nil {
			return r.failed(err)
		}
	}
	return nil
}

// act waits until the cluster can do it, and does it.
func (c *connection) act(ctx context.Context, r request, act func() error) error {
	var over <-chan time.Time
	if limit := c.cluster.options.Timeout; limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	for {
		wake, err := c.try(ctx, r, act)
		if wake == nil {
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return syscall.ETIMEDOUT
		}
	}
}

// try acts, or gives what to wait for.
func (c *connection) try(ctx context.Context, r request, act func() error) (wake <-chan struct{}, err error) {
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.closed:
		return nil, syscall.ESHUTDOWN
	case c.cluster.down, r.changes != nil && r.changes.full():
		return c.cluster.wake, nil
	}
	return nil, act()
}

// failed makes an error of a number.
func (r request) failed(err error) error {
	var known *ceph.Error
	var number syscall.Errno
	switch {
	case errors.As(err, &known), !errors.As(err, &number):
		return err
	}
	e := &ceph.Error{Op: r.op, What: r.what, Errno: number}
	if said, ok := errors.AsType[*refusal](err); ok {
		e.Says = said.text
	}
	return e
}

// refusal is a number with a text.
type refusal struct {
	number syscall.Errno
	text   string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.number }

// FSID implements ceph.Cluster.
func (c *connection) FSID() string { return c.cluster.options.FSID }

// Option implements ceph.Cluster. ENOENT: there is no such setting.
func (c *connection) Option(name string) (string, error) {
	c.cluster.mu.Lock()
	closed := c.closed
	c.cluster.mu.Unlock()
	r := request{op: "option", what: name}
	if closed {
		return "", r.failed(syscall.ESHUTDOWN)
	}
	value, ok := c.cluster.setting(name)
	if !ok {
		return "", r.failed(syscall.ENOENT)
	}
	return value, nil
}

// Pool implements ceph.Cluster.
func (c *connection) Pool(ctx context.Context, name string) (ceph.Pool, error) {
	var found *pool
	err := c.do(ctx, request{op: "pool", what: name}, func() error {
		if found = c.cluster.pools[name]; found == nil {
			return syscall.ENOENT
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &poolHandle{conn: c, pool: found}, nil
}

// Close implements ceph.Cluster. Its images are closed with it; it may be called
// twice.
func (c *connection) Close() error {
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	c.closed = true
	for h := range c.open {
		h.close()
	}
	c.cluster.changed()
	return nil
}
