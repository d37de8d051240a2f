// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// The kernel's driver: Documentation/ABI/testing/sysfs-bus-rbd, drivers/block/rbd.c.
const (
	bus       = "/sys/bus/rbd"
	devices   = bus + "/devices"
	maxMap    = 4096 - 1 // bytes of one write to sysfs, with the 0 behind it
	snapOfAll = "-"      // the image itself
)

// findKernel lists the devices of the image that the kernel's driver has.
func (j *job) findKernel(ctx context.Context) ([]device, error) {
	entries, err := os.ReadDir(j.host.Path(devices))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rbd: list devices: %w", err)
	}
	var have []device
	for _, e := range entries {
		is, err := j.isKernels(ctx, e.Name())
		if err != nil {
			return nil, err
		}
		if is {
			name := "rbd" + e.Name()
			have = append(have, device{name: name, id: e.Name(), readOnly: j.isReadOnly(name)})
		}
	}
	return have, nil
}

func (j *job) isReadOnly(name string) bool {
	return scsi.Attr(j.host, "/sys/block/"+name+"/ro") == "1"
}

// isKernels tells whether a device of the kernel's driver is the image's.
func (j *job) isKernels(ctx context.Context, id string) (bool, error) {
	folder := devices + "/" + id
	attr := func(name string) string { return scsi.Attr(j.host, folder+"/"+name) }
	snap := j.image.snap
	if snap == "" {
		snap = snapOfAll
	}
	if attr("name") != j.image.name || attr("pool") != j.image.pool || attr("pool_ns") != j.image.namespace || attr("current_snap") != snap {
		return false, nil
	}
	// Cinder's secret_uuid is the cluster's, unless it was set to another.
	if fsid := attr("cluster_fsid"); fsid != "" && strings.EqualFold(fsid, j.data.SecretUUID) {
		return true, nil
	}
	// What was written to map it. It has the key too, and is root's.
	config, err := j.host.ReadFile(ctx, folder+"/config_info")
	if scsi.Gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("rbd: the cluster of rbd%s: %w", id, err)
	}
	mons, _, _ := strings.Cut(string(config), " ")
	return j.sameCluster(mons), nil
}

// mapKernel has the kernel map the image. errRefused: it cannot.
func (j *job) mapKernel(ctx context.Context, key connector.Secret, before []device) (device, error) {
	attribute, err := j.loadKernel(ctx)
	if err != nil {
		return device{}, err
	}
	line := j.line(key)
	if len(line) > maxMap {
		return device{}, invalid("the %d bytes of monitors and names are too many for the kernel", len(line))
	}
	err = j.write(ctx, j.limits.add, attribute, line, func() error { return j.takeBack(ctx, before) })
	if err != nil {
		// It may have been done all the same.
		return device{}, fault.Join(j.explain(err), undone(j.takeBack(ctx, before)))
	}
	d, err := j.added(ctx, before)
	if err == nil && d == nil {
		err = connector.Errorf(connector.ErrUnavailable, "rbd: the kernel has mapped %s, and lists no device of it", j.image)
	}
	if err != nil {
		return device{}, err
	}
	return *d, nil
}

// loadKernel sees to it that the driver is there, and gives the attribute that
// maps.
func (j *job) loadKernel(ctx context.Context) (string, error) {
	unlock, err := j.lockModules(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if name := j.attribute("add"); name != "" {
		return name, nil
	}
	// Otherwise a device takes one of the kernel's 512 major numbers.
	if err := j.host.AsRoot(ctx, "modprobe", "rbd", "single_major=Y"); err != nil {
		return "", connector.Errorf(errRefused, "the module rbd cannot be loaded: %w", err)
	}
	if name := j.attribute("add"); name != "" {
		return name, nil
	}
	return "", connector.Errorf(errRefused, "the module rbd is loaded, and %s is not there", bus)
}

// lockModules keeps others from seeing a module that is half loaded.
func (j *job) lockModules(ctx context.Context) (unlock func(), err error) {
	return j.host.Locks.Lock(ctx, "rbd-modules")
}

// attribute is add or remove in the form that the driver has; it refuses the other.
func (j *job) attribute(verb string) string {
	for _, name := range []string{verb + "_single_major", verb} {
		if _, err := os.Lstat(j.host.Path(bus + "/" + name)); err == nil {
			return bus + "/" + name
		}
	}
	return ""
}

// line is what the kernel is told to map the image.
func (j *job) line(key connector.Secret) string {
	user := j.user
	if user == "" {
		user = defaultUser // it wants an option
	}
	options := []string{"name=" + user}
	if key != "" {
		options = append(options, "secret="+key.Reveal())
	}
	// It speaks one of the two protocols to all monitors.
	mons := slices.DeleteFunc(slices.Clone(j.mons), func(m netip.AddrPort) bool { return m.Port() == portV2 })
	if len(mons) == 0 {
		mons = j.mons
		options = append(options, "ms_mode=prefer-crc")
	}
	if j.image.namespace != "" {
		options = append(options, "_pool_ns="+j.image.namespace)
	}
	if j.readOnly {
		options = append(options, "read_only")
	}
	snap := j.image.snap
	if snap == "" {
		snap = snapOfAll
	}
	return strings.Join([]string{monHost(mons), strings.Join(options, ","), j.image.pool, j.image.name, snap}, " ")
}

// write writes to an attribute, and waits for the kernel until limit, whatever ctx
// says: it goes on in any case. After limit it goes on behind the call, which keeps
// its lock, and late is called at the end.
func (j *job) write(ctx context.Context, limit time.Duration, attribute, text string, late func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	j.stragglers.Go(func() { done <- j.host.WriteFile(context.WithoutCancel(ctx), attribute, []byte(text)) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	j.stragglers.Go(func() {
		written := <-done
		if err := late(); err != nil {
			err = fault.Join(written, err)
			j.host.Log.WarnContext(ctx, "rbd: what the kernel has done at last is not undone", slog.Any("error", err))
		}
	})
	return connector.Errorf(connector.ErrUnavailable, "write %s: no answer within %s", attribute, limit)
}

func nothing() error { return nil }

// refresh has the kernel ask the cluster for the size of the image; scsi.Gone: the
// image was deleted.
func (j *job) refresh(ctx context.Context, d device) error {
	err := j.write(ctx, j.limits.refresh, devices+"/"+d.id+"/refresh", "1", nothing)
	if err != nil {
		return fmt.Errorf("rbd: refresh %s: %w", d.node(), err)
	}
	return nil
}

// imageSize is the size of the image that the kernel's driver has seen, in bytes of
// whole sectors.
func (j *job) imageSize(d device) int64 {
	size, err := strconv.ParseInt(scsi.Attr(j.host, devices+"/"+d.id+"/size"), 10, 64)
	if err != nil {
		return 0
	}
	return size / 512 * 512
}

// unmapKernel unmaps a device. Who has just looked into it may have it open for a
// moment.
func (j *job) unmapKernel(ctx context.Context, d device, force bool) error {
	text := d.id
	if force {
		text += " force"
	}
	var busy error
	gone, err := poll.Until(ctx, j.limits.busy, func() (bool, error) {
		// Its number may be another device's by now.
		if there, err := j.there(ctx, d); err != nil || !there {
			return !there, err
		}
		err := j.write(ctx, j.limits.remove, j.attribute("remove"), text, nothing)
		busy = nil
		switch {
		case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EINPROGRESS):
			busy = err
			return false, nil
		case err != nil && !scsi.Gone(err):
			return false, err
		}
		there, err := j.there(ctx, d)
		return !there, err
	})
	switch {
	case err != nil:
		return fmt.Errorf("rbd: unmap %s: %w", d.node(), err)
	case gone:
		return j.awaitNode(ctx, d)
	case busy != nil:
		return j.inUse(ctx, d, busy)
	}
	return connector.Errorf(connector.ErrUnavailable, "rbd: unmap %s: it is still there", d.node())
}

// awaitNode waits until the node of a device that was unmapped is gone too.
func (j *job) awaitNode(ctx context.Context, d device) error {
	gone, err := poll.Until(ctx, j.limits.device, func() (bool, error) {
		_, none := os.Lstat(j.host.Path(d.node()))
		_, next := os.Lstat(j.host.Path("/sys/block/" + d.name)) // another device's by now
		return errors.Is(none, fs.ErrNotExist) || next == nil, nil
	})
	if err == nil && !gone {
		err = connector.Errorf(connector.ErrUnavailable, "rbd: %s is unmapped, and still there", d.node())
	}
	return err
}
