// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

func init() {
	drivers.Register("rbd", open, drivers.Describe(Version, "images in a pool of Ceph"),
		drivers.Alias("cinder.volume.drivers.rbd.RBDDriver"))
}

var (
	_ drivers.Driver   = (*Driver)(nil)
	_ drivers.Reverter = (*Driver)(nil)
	_ drivers.Retyper  = (*Driver)(nil)
	_ drivers.Manager  = (*Driver)(nil)
)

// Driver keeps volumes as images. It has no state of its own but the connection.
type Driver struct {
	env      drivers.Env
	o        Options
	ratio    float64
	keyring  drivers.Secret
	dial     dialer
	tries    int           // looks at what is busy
	flattens chan struct{} // nil: any number
	stop     context.CancelFunc
	purging  sync.WaitGroup

	connecting chan struct{} // holds one while somebody connects
	mu         sync.Mutex
	cluster    ceph.Cluster // nil: to be connected
	lost       []ceph.Cluster
	closed     bool
}

type dialer func(ctx context.Context) (ceph.Cluster, error)

func open(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
	config := librbd.Config{ClusterName: o.ClusterName, File: o.ConfFile, User: o.User, Timeout: o.timeout()}
	if config.File != "" {
		config.File = env.Host.Path(config.File)
	}
	d, err := openWith(ctx, env, o, func(ctx context.Context) (ceph.Cluster, error) { return librbd.Connect(ctx, config) })
	if err != nil {
		return nil, err
	}
	return d, nil
}

// openWith is open with another way to a cluster.
func openWith(ctx context.Context, env drivers.Env, o Options, dial dialer) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ratio, err := o.OverSubscription()
	if err != nil {
		return nil, err
	}
	d := &Driver{env: env, o: o, ratio: ratio, dial: dial, tries: busyTries, connecting: make(chan struct{}, 1)}
	if d.keyring, err = o.keyring(env.Host.Path); err != nil {
		return nil, err
	}
	if o.Flattens > 0 {
		d.flattens = make(chan struct{}, o.Flattens)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	if _, err := d.pool(ctx); err != nil {
		return nil, fault.Join(failed("open", "pool "+o.Pool, err), d.Close())
	}
	if o.DeferredDeletion {
		d.purging.Go(func() { d.purgeOften(background) })
	}
	return d, nil
}

// Close ends the connection.
func (d *Driver) Close() error {
	d.stop()
	d.purging.Wait()
	d.mu.Lock()
	open := d.lost
	if d.cluster != nil {
		open = append(open, d.cluster)
	}
	d.cluster, d.lost, d.closed = nil, nil, true
	d.mu.Unlock()
	var faults []error
	for _, c := range open {
		faults = append(faults, c.Close())
	}
	return failed("close", "pool "+d.o.Pool, fault.Join(faults...))
}

// pool gives the pool, by the connection that all calls share.
func (d *Driver) pool(ctx context.Context) (ceph.Pool, error) {
	c, err := d.connection(ctx)
	if err != nil {
		return nil, err
	}
	return c.Pool(ctx, d.o.Pool)
}

func (d *Driver) connection(ctx context.Context) (ceph.Cluster, error) {
	if c, err := d.current(); c != nil || err != nil {
		return c, err
	}
	select {
	case d.connecting <- struct{}{}:
		defer func() { <-d.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c, err := d.current(); c != nil || err != nil {
		return c, err // another call has made it
	}
	c, err := d.reach(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fault.Join(errClosed, c.Close())
	}
	d.cluster = c
	return c, nil
}

var errClosed = drivers.Errorf(drivers.ErrPrecondition, "the backend is closed")

// current is the connection, if there is one.
func (d *Driver) current() (ceph.Cluster, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	return d.cluster, nil
}

// reach tries as often as it is told to. What will not get better is not tried
// again.
func (d *Driver) reach(ctx context.Context) (ceph.Cluster, error) {
	wait := d.o.ConnectInterval
	for n := 1; ; n++ {
		c, err := d.dial(ctx)
		if err == nil || n >= d.o.ConnectRetries || !unreachable(err) || ctx.Err() != nil {
			return c, err
		}
		d.env.Log.LogAttrs(ctx, slog.LevelWarn, "no connection to Ceph, trying again", slog.Any("error", err), slog.Duration("in", wait))
		if poll.Pause(ctx, wait) != nil {
			return nil, err
		}
		wait *= 2
	}
}

// leave lets a connection go that the cluster has excluded: one that was taken
// for dead, and whose locks were broken. The next call makes another.
func (d *Driver) leave(err error) {
	if !is(err, syscall.ESHUTDOWN) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cluster != nil {
		d.lost = append(d.lost, d.cluster) // calls may be under way
		d.cluster = nil
	}
}

// with does something with an open image.
func with(ctx context.Context, p ceph.Pool, name string, o ceph.OpenOptions, f func(ceph.Image) error) error {
	img, err := p.Open(ctx, name, o)
	if err != nil {
		return err
	}
	return fault.Join(f(img), img.Close())
}

var (
	toRead  = ceph.OpenOptions{ReadOnly: true}
	toWrite = ceph.OpenOptions{}
)

// do is what all operations have around them.
func (d *Driver) do(ctx context.Context, what, name string, f func(p ceph.Pool) error) error {
	p, err := d.pool(ctx)
	if err == nil {
		err = f(p)
	}
	d.leave(err)
	return failed(what, name, err)
}

// bytes is a size of so many GiB.
func bytes(size int) (int64, error) {
	if size <= 0 || int64(size) > (1<<63-1)/drivers.GiB {
		return 0, drivers.Errorf(drivers.ErrInvalid, "%d GiB is no size", size)
	}
	return int64(size) * drivers.GiB, nil
}

func failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rbd: %s %s: %w", what, strconv.Quote(name), classified(err))
}
