// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

const (
	crashTries = 3 // of a program of LVM that died of a segmentation fault
	crashPause = 250 * time.Millisecond
	// longest is how long a program that changes something may take before it is
	// ended; and closing is how long Close waits for one.
	longest = 10 * time.Minute
	closing = 10 * time.Second
)

// environment is what LVM's programs get.
func environment(h *connector.Host, o *Options) []string {
	var env []string
	if conf := o.ConfFile; conf != "" && !strings.EqualFold(conf, "None") {
		if _, err := os.Stat(h.Path(conf)); err == nil {
			env = append(env, "LVM_SYSTEM_DIR="+path.Dir(conf))
		}
	}
	if o.QuietFDs {
		env = append(env, "LVM_SUPPRESS_FD_WARNINGS=1")
	}
	// Without udev, in a container, LVM would wait for it for ever.
	if _, err := os.Stat(h.Path("/run/udev/control")); err != nil {
		env = append(env, "DM_DISABLE_UDEV=1")
	}
	return env
}

// query runs a program of LVM that changes nothing. Its end comes with ctx's.
func (d *Driver) query(ctx context.Context, args ...string) ([]byte, error) {
	return d.try(ctx, args)
}

// change runs a program of LVM that changes something, with the group's lock
// held. When ctx ends it returns at once, but the program goes on to its end, and
// the lock with it: killed in the middle it might leave a device suspended, on
// which everything hangs that touches it.
func (d *Driver) change(ctx context.Context, args ...string) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	return d.run(ctx, unlock, args)
}

// lock takes the lock of the volume group: programs that change the same group
// at the same time get into each other's way.
func (d *Driver) lock(ctx context.Context) (unlock func(), err error) {
	return d.env.Host.Locks.Lock(ctx, "lvm-"+d.group)
}

// run does the work of change, and unlocks when the program has ended.
func (d *Driver) run(ctx context.Context, unlock func(), args []string) error {
	if err := ctx.Err(); err != nil {
		unlock()
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if !d.enter() {
		unlock()
		return drivers.Errorf(drivers.ErrPrecondition, "the driver is closed")
	}
	done := make(chan error, 1)
	go func() {
		defer d.running.Done()
		defer unlock()
		program, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
		defer cancel()
		defer context.AfterFunc(d.killed, cancel)() //nolint:contextcheck // it outlives every call
		_, err := d.try(program, args)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s %s: goes on: %w", args[0], args[len(args)-1], ctx.Err())
	}
}

// try runs a program, some times if it crashes: LVM is known to, now and then.
func (d *Driver) try(ctx context.Context, args []string) ([]byte, error) {
	for n := 1; ; n++ {
		r, err := d.env.Host.Run.Run(ctx, connector.Command{Args: args, Env: d.environ, Root: true})
		if err == nil {
			return r.Stdout, nil
		}
		if n == crashTries || !crashed(r.Code, err) || poll.Pause(ctx, crashPause) != nil {
			return r.Stdout, d.judge(ctx, string(r.Stderr), err)
		}
	}
}

// crashed: 139 is what a shell, or sudo, makes of SIGSEGV.
func crashed(code int, err error) bool {
	var exit interface{ Sys() any } // an *exec.ExitError
	if !errors.As(err, &exit) {
		return code == 139
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return code == 139 || ok && status.Signaled() && status.Signal() == syscall.SIGSEGV
}

// verdicts are the messages of LVM (2.02.115 to 2.03) that tell one fault from
// another: its exit code is 5 for nearly all of them.
var verdicts = []struct {
	text *regexp.Regexp
	is   error
}{
	{regexp.MustCompile(`Volume group "[^"]*" not found|Cannot process volume group|Couldn't find device with uuid|is exported|Can't get lock for`), drivers.ErrUnavailable},
	{regexp.MustCompile(`(?i)already exists in volume group|Existing logical volume .* already exists`), drivers.ErrExists},
	{regexp.MustCompile(`in use\b|is used by another device|contains a filesystem|Can't remove open|Device or resource busy`), drivers.ErrInUse},
	{regexp.MustCompile(`Failed to find logical volume|(?i)logical volume "?[^ ]*"? not found in volume group|Snapshot origin LV [^ ]* not found|One or more specified logical volume\(s\) not found`), drivers.ErrNotFound},
	{regexp.MustCompile(`[Ii]nsufficient free space|[Ii]nsufficient suitable|reached threshold|free space in thin pool|[Nn]o free (space|extents)|[Nn]ot enough (free )?(space|PVs)|Maximum number of|No space left`), drivers.ErrExhausted},
	{regexp.MustCompile(`too large|too big|are reserved|reserved string|invalid character|[Nn]ame .* (too long|is invalid)|Invalid argument for --(size|virtualsize)|Size is too big`), drivers.ErrInvalid},
	{regexp.MustCompile(`Permission denied|Operation not permitted|Running as a non-root user`), drivers.ErrPermission},
	{regexp.MustCompile(`[Mm]erging snapshot|lv_is_merging|not supported`), drivers.ErrPrecondition},
}

// judge marks the error of a program by what it wrote.
func (d *Driver) judge(ctx context.Context, stderr string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	for _, v := range verdicts {
		if v.text.MatchString(stderr) && !errors.Is(err, v.is) {
			return drivers.Errorf(v.is, "%w", err)
		}
	}
	if fault.CodeOf(err) == fault.Unknown {
		return drivers.Errorf(drivers.ErrInternal, "%w", err)
	}
	return err
}

// says tells whether a program of LVM has failed with that message.
func says(err error, message string) bool {
	return err != nil && strings.Contains(err.Error(), message)
}
