// SPDX-License-Identifier: Apache-2.0

// Package rbd attaches images of Ceph clusters: with the kernel's own driver
// (krbd) through sysfs and without a program, or with rbd-nbd where the kernel
// cannot map an image.
//
// # What belongs to whom
//
// Nothing is remembered between calls. A volume's devices are those of its pool,
// namespace, image and snapshot, and of its cluster: a device of the kernel tells
// all of them, one of rbd-nbd has them in the command line of its process. A
// device of an image of the same name elsewhere is left alone. An image has one
// device a host and access mode, and Detach removes all that it has, whoever made
// them.
//
// # Time
//
// The kernel goes on with a map after the process that asked for it was told to
// stop, and the device comes when nobody wants it any more. So what was begun is
// waited for to its end and undone behind the call, under the lock of the image,
// when the context ends. The next call for the image waits for that.
package rbd

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/behind"
)

type rbd struct {
	host   *connector.Host
	limits limits
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// limits are the longest waits; a context that ends earlier ends them.
type limits struct {
	add      time.Duration // for the kernel to map an image
	nbd      time.Duration // for rbd-nbd to map or unmap one
	mount    time.Duration // for rbd-nbd to find a monitor; it is told so
	remove   time.Duration // for the kernel to unmap one
	refresh  time.Duration // for the kernel to ask for the size of one
	device   time.Duration // until the device node is there
	size     time.Duration // until the device has the size
	settle   time.Duration // until those who look into a device are done
	busy     time.Duration // for the device to be closed when it is unmapped
	orphan   time.Duration // for what a killed process has left running
	flush    time.Duration
	forced   time.Duration // flush by force
	patience time.Duration // with what has been begun when the context ends
	undo     time.Duration
}

// Add: the kernel looks for a monitor for 60 s (mount_timeout), as mount is for rbd-nbd.
// Flush: that of connector/iscsi.
var usual = limits{
	add: 90 * time.Second, nbd: 90 * time.Second, mount: time.Minute, remove: time.Minute, refresh: 30 * time.Second,
	device: 10 * time.Second, size: 10 * time.Second, settle: 3 * time.Second, busy: 10 * time.Second, orphan: 90 * time.Second,
	flush: 5 * time.Minute, forced: 10 * time.Second, patience: 700 * time.Millisecond, undo: 2 * time.Minute,
}

// New makes the connector of connector.ProtocolRBD for a host. It needs root's
// rights, and the kernel's module rbd or the program rbd-nbd with the module nbd.
func New(h *connector.Host) connector.Connector {
	return &rbd{host: h, limits: usual, lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}}
}

// Attach implements connector.Connector. A key that the cluster refuses is
// ErrUnauthenticated, an image that is not there ErrNotFound, a cluster that does
// not answer ErrUnavailable, and an image that nothing on this host can map
// ErrPrecondition.
func (c *rbd) Attach(ctx context.Context, r connector.Request) (*connector.Device, error) {
	return call(ctx, c, r, func(ctx context.Context, j *job) (*connector.Device, error) { return j.attach(ctx) })
}

// Detach implements connector.Connector. A device that somebody uses stays:
// ErrInUse.
func (c *rbd) Detach(ctx context.Context, r connector.Request) error {
	_, err := call(ctx, c, r, func(ctx context.Context, j *job) (none, error) { return none{}, j.detach(ctx) })
	return err
}

// Extend implements connector.Connector.
func (c *rbd) Extend(ctx context.Context, r connector.Request) (int64, error) {
	return call(ctx, c, r, func(ctx context.Context, j *job) (int64, error) { return j.extend(ctx) })
}

// Paths implements connector.Connector.
func (c *rbd) Paths(ctx context.Context, r connector.Request) ([]string, error) {
	j, err := c.job(ctx, r)
	if err != nil {
		return nil, err
	}
	have, err := j.find(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, d := range have {
		paths = append(paths, d.node())
	}
	return paths, nil
}

type none struct{}

// call does the work of a call under the lock of its image, if need be behind it.
func call[T any](ctx context.Context, c *rbd, r connector.Request, f func(context.Context, *job) (T, error)) (T, error) {
	j, err := c.job(ctx, r)
	if err != nil {
		var zero T
		return zero, err
	}
	work := behind.Work{Of: "rbd: " + j.image.String(), Patience: c.limits.patience, Stragglers: &j.stragglers}
	work.Lock = func(ctx context.Context) (func(), error) { return j.host.Locks.Lock(ctx, j.image.lock()) }
	return behind.Do(ctx, work, func(ctx context.Context) (T, error) { return f(ctx, j) })
}
