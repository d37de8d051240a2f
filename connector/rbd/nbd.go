// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// findNBD lists the devices of the image that rbd-nbd has. It looks where rbd-nbd
// list-mapped does: the kernel has the process behind a device, and the process
// its command line.
func (j *job) findNBD() []device {
	var have []device
	for name, pid := range j.served() {
		if j.isOurs(j.words(pid)) {
			have = append(have, device{name: name, pid: pid, readOnly: j.isReadOnly(name)})
		}
	}
	slices.SortFunc(have, func(a, b device) int { return strings.Compare(a.name, b.name) })
	return have
}

// served has the process behind each nbd device in use.
func (j *job) served() map[string]string {
	served := map[string]string{}
	files, _ := filepath.Glob(j.host.Path("/sys/block/nbd*/pid"))
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f))
		if pid := scsi.Attr(j.host, "/sys/block/"+name+"/pid"); pid != "" {
			served[name] = pid
		}
	}
	return served
}

// words is the command line of a process, empty if it is gone.
func (j *job) words(pid string) []string {
	return strings.Split(strings.TrimRight(scsi.Attr(j.host, "/proc/"+pid+"/cmdline"), "\x00"), "\x00")
}

// isOurs tells whether a command line is that of an rbd-nbd that maps the image. One
// that does not tell the monitors is of nobody knows which cluster.
func (j *job) isOurs(words []string) bool {
	program := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == "rbd-nbd" })
	if program < 0 {
		return false
	}
	words = words[program+1:]
	if !slices.Contains(words, "map") && !slices.Contains(words, "attach") {
		return false
	}
	specs := []string{j.image.String()}
	if short, is := strings.CutPrefix(specs[0], "rbd/"); is && j.image.namespace == "" { // the pool that Ceph takes for none
		specs = append(specs, short)
	}
	if !slices.ContainsFunc(words, func(w string) bool { return slices.Contains(specs, w) }) {
		return false
	}
	for i, w := range words {
		name, value, joined := strings.Cut(strings.ReplaceAll(w, "-", "_"), "=")
		if name != "__mon_host" && w != "-m" {
			continue
		}
		if joined {
			_, value, _ = strings.Cut(w, "=")
		} else if i+1 < len(words) {
			value = words[i+1]
		}
		return j.sameCluster(value)
	}
	return false
}

// serves tells whether one of the threads of a process is behind a device.
func (j *job) serves(pid string, served map[string]string) bool {
	for _, thread := range served {
		if _, err := os.Lstat(j.host.Path("/proc/" + pid + "/task/" + thread)); err == nil || thread == pid {
			return true
		}
	}
	return false
}

// loadNBD sees to it that the kernel has nbd devices. Those of rbd-nbd's own call
// would be 16.
func (j *job) loadNBD(ctx context.Context) error {
	unlock, err := j.lockModules(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(j.host.Path("/sys/block/nbd0")); err == nil {
		return nil
	}
	if err := j.host.AsRoot(ctx, "modprobe", "nbd", "nbds_max=64"); err != nil {
		return connector.Errorf(connector.ErrPrecondition, "the module nbd cannot be loaded: %w", err)
	}
	return nil
}

// mapNBD has rbd-nbd map the image. What it needs to know of the cluster is in a
// file, for as long as it starts.
func (j *job) mapNBD(ctx context.Context, key connector.Secret, before []device) (d device, err error) {
	if err := j.loadNBD(ctx); err != nil {
		return device{}, err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.undo)
		defer cancel()
		err = fault.Join(err, undone(j.dropConf(bounded)))
	}()
	if err := j.writeConf(ctx, key); err != nil {
		return device{}, err
	}
	if err := j.runNBD(ctx); err != nil {
		return device{}, fault.Join(err, undone(j.takeBack(ctx, before)))
	}
	found, err := j.added(ctx, before)
	if err == nil && found == nil {
		err = connector.Errorf(connector.ErrPrecondition, "rbd-nbd has mapped the image, and no device shows it; are /sys and /proc those of the host?")
	}
	if err != nil {
		return device{}, err
	}
	return *found, nil
}

// runNBD starts rbd-nbd. The end of ctx does not end it: the caller undoes what it
// has done.
func (j *job) runNBD(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The monitors are told apart from the file, so that the device can be found.
	args := []string{"rbd-nbd", "map", "--mon_host", monHost(j.mons), "--conf", j.host.Path(j.conf())}
	if j.user != "" {
		args = append(args, "--id", j.user)
	}
	if j.readOnly {
		args = append(args, "--read-only")
	}
	args = append(args, j.spare()...)
	start := time.Now()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.nbd)
	defer cancel()
	r, err := j.host.Run.Run(bounded, connector.Command{Args: append(args, j.image.String()), Root: true})
	switch {
	case err == nil:
		return nil
	case bounded.Err() != nil:
		return connector.Errorf(connector.ErrUnavailable, "rbd-nbd: no answer within %s: %w", j.limits.nbd, err)
	}
	return j.explainNBD(r, time.Since(start), err)
}

// spare has rbd-nbd take a device that is free, where it would take one that it cannot
// have: its process has ended, and somebody still has it open.
func (j *job) spare() []string {
	served, held := j.served(), false
	for _, pid := range served {
		held = held || j.ended(pid)
	}
	for n := 0; held; n++ {
		name := "nbd" + strconv.Itoa(n)
		if _, err := os.Lstat(j.host.Path("/sys/block/" + name)); err != nil {
			break
		}
		if served[name] == "" {
			return []string{"--device", "/dev/" + name}
		}
	}
	return nil
}

// ended tells whether a process is gone.
func (j *job) ended(pid string) bool {
	_, err := os.Lstat(j.host.Path("/proc/" + pid))
	return errors.Is(err, fs.ErrNotExist)
}

// unmapNBD ends a device of rbd-nbd, and waits for its process to end: it writes
// what it holds to the cluster. Who has the device open keeps it, without a process.
func (j *job) unmapNBD(ctx context.Context, d device) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.nbd)
	defer cancel()
	free := func() (bool, error) { return scsi.Attr(j.host, "/sys/block/"+d.name+"/pid") != d.pid, nil }
	gone := func() (bool, error) { return j.ended(d.pid) || !j.isOurs(j.words(d.pid)), nil }
	var runErr error
	wait := j.limits.nbd
	if is, _ := free(); !is { // otherwise it may be another image's by now
		_, runErr = j.host.Run.Run(bounded, connector.Command{Args: []string{"rbd-nbd", "unmap", d.node()}, Root: true})
	}
	if runErr != nil {
		wait = j.limits.settle
	}
	is, err := poll.Until(ctx, wait, gone)
	switch {
	case is:
		_, err = poll.Until(ctx, j.limits.settle, free)
		return err
	case err == nil && runErr == nil:
		err = connector.Errorf(connector.ErrUnavailable, "process %s is still there", d.pid)
	}
	return fmt.Errorf("rbd: unmap %s: %w", d.node(), fault.Join(runErr, err))
}
