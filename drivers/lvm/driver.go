// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lio"
)

func init() {
	drivers.Register("lvm", open, drivers.Describe(Version, "LVM volumes of this host, exported over iSCSI by its kernel"),
		drivers.Alias(
			"cinder.volume.drivers.lvm.LVMVolumeDriver",
			"cinder.volume.drivers.lvm.LVMISCSIDriver", // until Juno
			"cinder.volume.drivers.lvm.ThinLVMVolumeDriver",
		))
}

var (
	_ drivers.Driver   = (*Driver)(nil)
	_ drivers.Reverter = (*Driver)(nil)
	_ drivers.Retyper  = (*Driver)(nil)
	_ drivers.Manager  = (*Driver)(nil)
)

// Driver keeps volumes as logical volumes of one group. It has no state of its
// own: everything is in LVM's metadata and in the kernel.
type Driver struct {
	env     drivers.Env
	o       Options
	group   string
	pool    string // of thin volumes; empty: volumes are thick
	extent  int64  // of the group, in bytes
	ratio   float64
	portals []netip.AddrPort
	prefix  string // of targets' names
	target  target
	environ []string // of LVM's programs
	// What tests have another of.
	openFile func(path string, flags int, mode os.FileMode) (*os.File, error)
	zero     func(ctx context.Context, f *os.File, from int64, o blockcopy.Options) error

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup  // programs that outlive the call that ran them
	killed  context.Context //nolint:containedctx // ends what Close has waited for long enough
	kill    context.CancelFunc
}

// target is the target side of the kernel; tests have another.
type target interface {
	Ready(ctx context.Context) error
	Export(ctx context.Context, e lio.Export) error
	Unexport(ctx context.Context, iqn string) error
	Allow(ctx context.Context, iqn string, i lio.Initiator) error
	Disallow(ctx context.Context, iqn, initiator string) error
	Sessions(ctx context.Context, iqn string) ([]lio.Session, error)
	Target(ctx context.Context, iqn string) (*lio.TargetState, error)
}

func open(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
	return openWith(ctx, env, o, kernel(env))
}

// kernel is the target side of this host.
func kernel(env drivers.Env) *lio.Kernel {
	host := env.Host
	return &lio.Kernel{
		Root: host.Root, Lock: host.Locks.Lock, Log: env.Log, Files: host.Files,
		Run: func(ctx context.Context, stdin []byte, args ...string) error {
			_, err := host.Run.Run(ctx, connector.Command{Args: args, Stdin: stdin, Root: true})
			return err
		},
		Modprobe: func(ctx context.Context, module string) error { return host.AsRoot(ctx, "modprobe", "-q", module) },
	}
}

func openWith(ctx context.Context, env drivers.Env, o Options, t target) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := &Driver{env: env, o: o, group: o.VolumeGroup, prefix: o.TargetPrefix, target: t, environ: environment(env.Host, &o),
		openFile: os.OpenFile, zero: blockcopy.Zero}
	var err error
	if d.ratio, err = o.OverSubscription(); err != nil {
		return nil, err
	}
	if d.portals, err = o.portals(env.Host.IP); err != nil {
		return nil, err
	}
	d.killed, d.kill = context.WithCancel(context.Background())
	if err := d.setUp(ctx); err != nil {
		d.kill()
		return nil, failed("open volume group", d.group, err)
	}
	if err := t.Ready(ctx); err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

// setUp looks at the group and decides between thin and thick, before it makes
// anything.
func (d *Driver) setUp(ctx context.Context) error {
	g, err := d.readGroup(ctx)
	if err != nil {
		return err
	}
	d.extent = g.extent
	list, err := d.volumes(ctx, "")
	if err != nil {
		return err
	}
	name := d.group + "-pool"
	existing := pick(list, name)
	if existing != nil && !existing.isPool() {
		existing = nil
	}
	switch {
	case d.o.Type == "default", d.o.Type == "auto" && existing == nil && len(list) > 0:
		return nil
	case existing == nil:
		err = d.makePool(ctx, name, g)
	case !existing.active(): // LVM does not tell how full such a one is
		err = d.change(ctx, "lvchange", "-a", "y", "--yes", "-K", d.group+"/"+name)
	}
	if err == nil {
		d.pool = name
	}
	return err
}

// poolShare of what is free becomes the thin pool, as in Cinder: the rest is for
// the pool's metadata and its growth.
const poolShare = 0.95

func (d *Driver) makePool(ctx context.Context, name string, g *group) error {
	extents := int64(poolShare * float64(g.free/g.extent))
	if extents == 0 {
		return drivers.Errorf(drivers.ErrExhausted, "there is no room for the thin pool %s", name)
	}
	err := d.change(ctx, "lvcreate", "--yes", "-T", "-l", fmt.Sprint(extents), d.group+"/"+name)
	if !errors.Is(err, drivers.ErrExists) {
		return err
	}
	l, findErr := d.find(ctx, name)
	switch {
	case findErr != nil:
		return fault.Join(err, findErr)
	case !l.isPool():
		return drivers.Errorf(drivers.ErrExists, "%s is there, and no thin pool", name)
	}
	return nil // another process was quicker
}

// thin tells whether new volumes are thin.
func (d *Driver) thin() bool { return d.pool != "" }

// enter counts a program that may outlive its call.
func (d *Driver) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running.Add(1)
	return true
}

// Close waits for programs of LVM that are still running, and in the end stops
// them.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	timer := time.AfterFunc(closing, d.kill)
	defer timer.Stop()
	d.running.Wait()
	d.kill()
	return nil
}

// failed says what was being done.
func failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lvm: %s %s: %w", what, name, err)
}

// bytes is a size in GiB as LVM will make it, in bytes. LVM numbers the extents
// of a volume with 32 bits.
func (d *Driver) bytes(size int) (int64, error) {
	bytes := int64(size) * drivers.GiB
	bytes = (bytes + d.extent - 1) / d.extent * d.extent
	if bytes/d.extent >= 1<<32 {
		return 0, drivers.Errorf(drivers.ErrInvalid, "%d GiB are more than a volume can have with extents of %d bytes", size, d.extent)
	}
	return bytes, nil
}

// refuseQoS: LVM has none, and a limit that nobody keeps is worse than an error.
func refuseQoS(v *drivers.Volume) error {
	q := v.QoS()
	if q == nil || len(q.Specs) == 0 || strings.EqualFold(q.Consumer, "front-end") {
		return nil
	}
	return fmt.Errorf("quality of service is not kept by LVM (specs of the back end): %w", errors.ErrUnsupported)
}
