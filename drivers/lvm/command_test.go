// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// What LVM says, in the words of 2.02 and 2.03, and what it means.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		`Failed to find logical volume "cinder-volumes/x"`:                                                                              drivers.ErrNotFound,
		`One or more specified logical volume(s) not found.`:                                                                            drivers.ErrNotFound,
		`Logical volume x not found in volume group cinder-volumes.`:                                                                    drivers.ErrNotFound,
		`Snapshot origin LV x not found in Volume group cinder-volumes.`:                                                                drivers.ErrNotFound,
		`Existing logical volume "x" not found in volume group "cinder-volumes"`:                                                        drivers.ErrNotFound,
		"Volume group \"cinder-volumes\" not found\n  Cannot process volume group cinder-volumes":                                       drivers.ErrUnavailable,
		"Volume group \"cinder-volumes\" not found\n  Failed to find logical volume \"cinder-volumes/x\"":                               drivers.ErrUnavailable,
		`Couldn't find device with uuid KQWo6z-b5rt-mWjX-rdFv-o2rh-HLEQ-ALJem5.`:                                                        drivers.ErrUnavailable,
		`Volume group "cinder-volumes" is exported`:                                                                                     drivers.ErrUnavailable,
		`Can't get lock for cinder-volumes.`:                                                                                            drivers.ErrUnavailable,
		`Logical Volume "x" already exists in volume group "cinder-volumes"`:                                                            drivers.ErrExists,
		`Logical volume cinder-volumes-pool already exists in Volume group cinder-volumes.`:                                             drivers.ErrExists,
		`Volume group "cinder-volumes" has insufficient free space (767 extents): 25600 required.`:                                      drivers.ErrExhausted,
		`Insufficient free space: 25536 extents needed, but only 831 available`:                                                         drivers.ErrExhausted,
		`Insufficient suitable allocatable extents for logical volume x: 25 more required`:                                              drivers.ErrExhausted,
		"WARNING: Thin pool v/p is out of data space.\n  Cannot create new thin volume, free space in thin pool v/p reached threshold.": drivers.ErrExhausted,
		`Logical volume cinder-volumes/x in use.`:                                                                                       drivers.ErrInUse,
		`Logical volume cinder-volumes/x contains a filesystem in use.`:                                                                 drivers.ErrInUse,
		`Logical volume cinder-volumes/x is used by another device.`:                                                                    drivers.ErrInUse,
		"Failed to find logical volume \"cinder-volumes/a\"\n  Logical volume cinder-volumes/x in use.":                                 drivers.ErrInUse,
		"device-mapper: remove ioctl on  failed: Device or resource busy":                                                               drivers.ErrInUse,
		`Volume too large (<2.00 EiB) for extent size 4.00 MiB. Upper limit is less than <16.00 PiB.`:                                   drivers.ErrInvalid,
		`Names starting "snapshot" are reserved. Please choose a different LV name.`:                                                    drivers.ErrInvalid,
		`Names including "_tmeta" are reserved. Please choose a different LV name.`:                                                     drivers.ErrInvalid,
		`Logical volume name "a@b" is invalid.`:                                                                                         drivers.ErrInvalid,
		"/run/lock/lvm/P_global:aux: open failed: Permission denied":                                                                    drivers.ErrPermission,
		"WARNING: Running as a non-root user. Functionality may be unavailable.":                                                        drivers.ErrPermission,
		`Snapshots of an origin that has a merging snapshot are not supported.`:                                                         drivers.ErrPrecondition,
		`Can't remove merging snapshot logical volume cinder-volumes/xs.`:                                                               drivers.ErrPrecondition,
		`Snapshots of snapshots are not supported.`:                                                                                     drivers.ErrPrecondition,
		`Command on LV cinder-volumes/xs is invalid on LV with properties: lv_is_merging_cow .`:                                         drivers.ErrPrecondition,
		`device-mapper: reload ioctl on  (253:4) failed: Input/output error`:                                                            drivers.ErrInternal,
		`lvcreate: unrecognized option '--x'`:                                                                                           drivers.ErrInternal,
	} {
		r := newRig(t)
		d := r.open(nil)
		r.host.Handle("lvchange", func(context.Context, []string, []byte) connector.Result {
			return fails(5, "WARNING: Sum of all thin volume sizes (3.00 GiB) exceeds the size of thin pool v/p and the size of whole volume group.", text)
		})
		err := d.change(t.Context(), "lvchange", "-a", "y", "x")
		require.ErrorIs(t, err, want, text)
		for _, other := range []error{
			drivers.ErrNotFound, drivers.ErrUnavailable, drivers.ErrExists, drivers.ErrExhausted, drivers.ErrInUse, drivers.ErrInvalid,
			drivers.ErrPermission, drivers.ErrInternal,
		} {
			assert.Equal(t, errors.Is(want, other), errors.Is(err, other), "%s: %v", text, other)
		}
		assert.Equal(t, fault.CodeOf(want), fault.CodeOf(err))
	}
}

// A program that died of a segmentation fault is tried again, and no other.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(nil)
		crashes, code := 0, 139
		for _, name := range []string{"lvs", "lvcreate"} {
			real := r.program(name, map[string]func(*words) connector.Result{"lvs": r.lvsReport, "lvcreate": r.lvcreate}[name])
			r.host.Handle(name, func(ctx context.Context, args []string, stdin []byte) connector.Result {
				if crashes > 0 {
					crashes--
					return connector.Result{Code: code, Stderr: []byte("Segmentation fault")}
				}
				return real(ctx, args, stdin)
			})
		}
		for _, call := range []func() error{
			func() error { _, err := d.CreateVolume(t.Context(), volume(1)); return err },
			func() error { _, err := d.ListVolumes(t.Context()); return err },
		} {
			crashes = 2
			r.host.Forget()
			start := time.Now()
			require.NoError(t, call())
			assert.Equal(t, 3, r.host.Count(""))
			assert.Equal(t, 2*crashPause, time.Since(start))
			crashes = 3
			r.host.Forget()
			require.ErrorIs(t, call(), drivers.ErrInternal)
			assert.Equal(t, 3, r.host.Count(""))
			crashes, code = 1, 134
			r.host.Forget()
			require.ErrorIs(t, call(), drivers.ErrInternal)
			assert.Equal(t, 1, r.host.Count(""), "no other end is one that may be repeated")
			code = 139
		}
	})
}

// The end of a real program, with and without a shell in between.
func TestCrashed(t *testing.T) {
	t.Parallel()
	run := connector.NewRunner("", nil)
	for line, want := range map[string]bool{
		"kill -SEGV $$": true, "exit 139": true, "sh -c 'kill -SEGV $$'; exit $?": true,
		"exit 5": false, "kill -TERM $$": false, "kill -ABRT $$": false,
	} {
		r, err := run.Run(t.Context(), connector.Command{Args: []string{"sh", "-c", line}})
		require.Error(t, err)
		assert.Equal(t, want, crashed(r.Code, err), "%s: %d, %v", line, r.Code, err)
	}
}

// A program that changes something is never stopped in the middle: the call
// returns, the next change waits, and so does a look at what is there.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d, second := r.open(nil), r.open(nil)
		real := r.program("lvcreate", r.lvcreate)
		var ended error
		r.host.Handle("lvcreate", func(ctx context.Context, args []string, stdin []byte) connector.Result {
			timer := time.NewTimer(5 * time.Second)
			select {
			case <-timer.C:
			case <-ctx.Done():
				ended = ctx.Err()
			}
			return real(ctx, args, stdin)
		})
		for _, look := range []func(*Driver, *drivers.Volume) error{
			func(d *Driver, v *drivers.Volume) error { _, err := d.InspectVolume(t.Context(), v); return err },
			func(d *Driver, v *drivers.Volume) error { return d.DeleteVolume(t.Context(), v) },
			func(d *Driver, v *drivers.Volume) error { _, err := d.CreateVolume(t.Context(), v); return err },
		} {
			for _, other := range []*Driver{d, second} {
				v := volume(1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				start := time.Now()
				_, err := d.CreateVolume(ctx, v)
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "goes on")
				assert.Equal(t, time.Second, time.Since(start))
				require.NoError(t, look(other, v))
				require.NoError(t, ended)
				require.NoError(t, d.DeleteVolume(t.Context(), v))
			}
		}
		assert.Empty(t, r.names())
	})
}

// Close waits for what goes on, for a while.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	for takes, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: closing} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			d, err := r.openIn(r.env(), nil)
			require.NoError(t, err)
			r.host.Handle("lvcreate", func(ctx context.Context, _ []string, _ []byte) connector.Result {
				timer := time.NewTimer(takes)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
				return connector.Result{}
			})
			ctx, cancel := context.WithCancel(t.Context())
			cancelled := make(chan error)
			go func() {
				_, err := d.CreateVolume(ctx, volume(1))
				cancelled <- err
			}()
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-cancelled, context.Canceled)
			start := time.Now()
			require.NoError(t, d.Close())
			assert.Equal(t, want, time.Since(start))
			require.NoError(t, d.Close())
			_, err = d.CreateVolume(t.Context(), volume(1))
			require.ErrorIs(t, err, drivers.ErrPrecondition)
		})
	}
}

// A program that hangs is given up in the end, and with it the lock.
func TestHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(nil)
		real := r.program("lvcreate", r.lvcreate)
		r.host.Handle("lvcreate", func(ctx context.Context, _ []string, _ []byte) connector.Result {
			<-ctx.Done()
			return connector.Result{Code: -1}
		})
		_, err := d.CreateVolume(t.Context(), volume(1))
		require.Error(t, err)
		assert.NotEqual(t, fault.Unknown, fault.CodeOf(err), "%v", err)
		r.host.Handle("lvcreate", func(ctx context.Context, args []string, stdin []byte) connector.Result { return real(ctx, args, stdin) })
		_, err = d.CreateVolume(t.Context(), volume(1))
		require.NoError(t, err)
	})
}

// How many programs each call runs: they are what takes the time.
func TestCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	both(t, func(t *testing.T, o map[string]any, isThin bool) {
		r := newRig(t)
		r.open(o)
		v, clone, larger, from := volume(1), volume(1), volume(2), volume(1)
		var d *Driver
		var s, lost *drivers.Snapshot
		update := func(_ any, err error) error { return err }
		a := &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite}
		for _, c := range []struct {
			what        string
			thin, thick int
			call        func() error
		}{
			{"open", 2, 2, func() error { d = r.open(o); return nil }},
			{"create", 1, 1, func() error { return update(d.CreateVolume(ctx, v)) }},
			{"inspect", 1, 1, func() error { return update(d.InspectVolume(ctx, v)) }},
			{"snapshot", 1, 1, func() error { s = snapshotOf(v); return update(d.CreateSnapshot(ctx, s, v)) }},
			{"snapshot to lose", 1, 1, func() error { lost = snapshotOf(v); return update(d.CreateSnapshot(ctx, lost, v)) }},
			{"snapshot again", 2, 2, func() error { return update(d.CreateSnapshot(ctx, lost, v)) }},
			{"delete snapshot", 2, 2, func() error { return d.DeleteSnapshot(ctx, lost, v) }},
			{"clone", 1, 5, func() error { return update(d.CloneVolume(ctx, clone, v)) }},
			{"clone larger", 2, 5, func() error { return update(d.CloneVolume(ctx, larger, v)) }},
			{"from snapshot", 1, 2, func() error { return update(d.VolumeFromSnapshot(ctx, from, s, v)) }},
			{"extend", 1, 1, func() error { return d.ExtendVolume(ctx, clone, 2) }},
			{"export", 0, 0, func() error {
				u, err := d.Export(ctx, v)
				u.Apply(v)
				return err
			}},
			{"export again", 0, 0, func() error { return update(d.Export(ctx, v)) }},
			{"connect", 0, 0, func() error { return update(d.Connect(ctx, v, a)) }},
			{"disconnect", 0, 0, func() error { return d.Disconnect(ctx, v, a) }},
			{"unexport", 0, 0, func() error { return d.Unexport(ctx, v) }},
			{"revert", 4, 6, func() error { return d.RevertToSnapshot(ctx, v, s) }},
			{"stats", 2, 2, func() error { return update(d.Stats(ctx)) }},
			{"list", 1, 1, func() error { return update(d.ListVolumes(ctx)) }},
			{"manage", 2, 2, func() error {
				r.foreign("foreign", 1<<30, linear)
				return update(d.ManageVolume(ctx, volume(1), "foreign"))
			}},
			{"unmanage", 0, 0, func() error { return d.UnmanageVolume(ctx, v) }},
			{"delete", 2, 2, func() error { return d.DeleteVolume(ctx, clone) }},
			{"delete nothing", 1, 1, func() error { return d.DeleteVolume(ctx, clone) }},
		} {
			want := c.thick
			if isThin {
				want = c.thin
			}
			got := r.count(c.call)
			assert.Equal(t, want, got, "%s: %s", c.what, fmt.Sprint(r.host.Calls()))
		}
	})
}
