// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/fakehost"
	"github.com/gocinder/cinderlib/internal/poll"
)

const secretText = "somebody's data"

// spy lets the test look at the content of an LV the moment before it goes.
func (r *rig) spy(look func()) {
	real := r.program("lvremove", r.lvremove)
	r.host.Handle("lvremove", fakehost.Program(func(ctx context.Context, args []string, stdin []byte) connector.Result {
		look()
		return real(ctx, args, stdin)
	}))
}

// A thick volume is cleared to its last byte, or as far as the options say; a
// thin one is not.
func TestClear(t *testing.T) {
	t.Parallel()
	const end = 2*drivers.GiB - 4096
	for _, c := range []struct {
		options    map[string]any
		first, mid bool // is left
		last       bool
	}{
		{thick(), false, false, false},
		{thick(map[string]any{"volume_clear_size": 1}), false, true, true},
		{thick(map[string]any{"volume_clear_size": 1024}), false, false, true},
		{thick(map[string]any{"volume_clear": "none"}), true, true, true},
		{thick(map[string]any{"volume_clear": "none", "volume_clear_size": 1}), true, true, true},
		{thinly(), true, true, true},
	} {
		r := newRig(t)
		d := r.open(c.options)
		v := r.created(d, 2)
		name := v.NameOnArray()
		for _, at := range []int64{0, 1 << 20, end} {
			r.write(name, secretText, at)
		}
		var left [3]bool
		r.spy(func() {
			for i, at := range []int64{0, 1 << 20, end} {
				left[i] = r.read(name, len(secretText), at) == secretText
			}
		})
		require.NoError(t, d.DeleteVolume(t.Context(), v))
		assert.Equal(t, [3]bool{c.first, c.mid, c.last}, left, "%v", c.options)
		assert.Empty(t, r.names())
	}
}

// volume_clear_size may be more than there is.
func TestClearClamped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(thick(map[string]any{"volume_clear_size": 1024}))
	r.foreign("volume-small", 64<<20, linear)
	r.write("volume-small", secretText, 64<<20-4096)
	require.NoError(t, d.DeleteVolume(t.Context(), &drivers.Volume{ID: "small", Size: 1}))
	assert.Empty(t, r.names())
	assert.Empty(t, r.leaked)
}

// Of a thick snapshot the room of its own is cleared, to its last byte, and not
// the snapshot, of which the volume's old blocks would be written first.
func TestClearSnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options map[string]any
		leaks   bool
	}{
		{thick(), false},
		{thick(map[string]any{"volume_clear_size": 1}), true},
		{thick(map[string]any{"volume_clear": "none"}), true},
	} {
		r := newRig(t)
		d := r.open(c.options)
		v := r.created(d, 1)
		r.write(v.NameOnArray(), secretText, 0)
		s := r.snapped(d, v)
		cow := r.path(snapName(s)) + "-cow"
		info, err := os.Stat(cow)
		require.NoError(t, err)
		writeFile(t, cow, secretText, 0)
		writeFile(t, cow, secretText, drivers.GiB)
		writeFile(t, cow, secretText, info.Size()-4096)
		r.spy(func() { assert.Equal(t, secretText, r.read(snapName(s), len(secretText), 0)) })
		require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
		assert.Equal(t, c.leaks, len(r.leaked) > 0, "%v: %v", c.options, r.leaked)
		assert.Equal(t, secretText, r.read(v.NameOnArray(), len(secretText), 0))
	}
}

// Whatever is made and deleted, nothing of it stays in the group; and what was
// in the group before is in no clone.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.garbage = true
	d := r.open(thick())
	v := r.created(d, 1)
	s := r.snapped(d, v)
	want := "0123456789"
	r.write(v.NameOnArray(), want, 100)
	clone, from := volume(3), volume(2)
	_, err := d.CloneVolume(t.Context(), clone, v)
	require.NoError(t, err)
	_, err = d.VolumeFromSnapshot(t.Context(), from, s, v)
	require.NoError(t, err)
	assert.Equal(t, want, r.read(clone.NameOnArray(), len(want), 100))
	for _, made := range []*drivers.Volume{clone, from} {
		assert.False(t, dirty(r.path(made.NameOnArray()), drivers.GiB), "zeros behind what was copied")
	}
	for _, doomed := range []*drivers.Volume{clone, from} {
		require.NoError(t, d.DeleteVolume(t.Context(), doomed))
	}
	require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
	require.NoError(t, d.DeleteVolume(t.Context(), v))
	assert.Empty(t, r.leaked)
	assert.Empty(t, r.names())
}

// A context that ends stops clearing; the volume is there still, and a repeated
// call finishes. The speed is the one that the options allow.
func TestClearCancelled(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]map[string]any{"volume": nil, "small": {"volume_clear_size": 512}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const rate = 16 << 20
				r := newRig(t)
				d := r.open(thick(o, map[string]any{"volume_copy_bps_limit": rate}))
				d.zero = slowly
				v := r.created(d, 1)
				for at := int64(0); at < drivers.GiB; at += 64 << 20 {
					r.write(v.NameOnArray(), secretText, at)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				err := d.DeleteVolume(ctx, v)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "clear "+v.NameOnArray())
				assert.InDelta(t, 10, time.Since(start).Seconds(), 0.2)
				assert.Equal(t, []string{v.NameOnArray()}, r.names())
				zero := strings.Repeat("\x00", len(secretText))
				assert.Equal(t, zero, r.read(v.NameOnArray(), len(zero), 128<<20), "160 MiB are done")
				assert.Equal(t, secretText, r.read(v.NameOnArray(), len(zero), 192<<20))

				start = time.Now()
				require.NoError(t, d.DeleteVolume(t.Context(), v))
				seconds := 64.0
				if o != nil {
					seconds = 32
				}
				assert.InDelta(t, seconds, time.Since(start).Seconds(), 1)
				assert.Empty(t, r.names())
			})
		})
	}
}

// slowly clears as on a device that cannot discard, at the speed that it is told:
// files of a test can, and are clear at once.
func slowly(ctx context.Context, f *os.File, from int64, o blockcopy.Options) error {
	piece := o.BytesPerSecond / 10
	for at := from; at < o.Bytes; at += piece {
		if err := poll.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		if err := blockcopy.Zero(ctx, f, at, blockcopy.Options{Bytes: min(at+piece, o.Bytes)}); err != nil {
			return err
		}
	}
	return nil
}

// Somebody has it open: who that is stands in the error, and nothing was cleared.
func TestClearBusy(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, _ bool) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			d := r.open(o)
			v := r.created(d, 1)
			name := v.NameOnArray()
			r.write(name, secretText, 0)
			untouched := func() {
				t.Helper()
				assert.Equal(t, secretText, r.read(name, len(secretText), 0))
			}
			v = r.exported(d, v)
			start := time.Now()
			err := d.DeleteVolume(t.Context(), v)
			assert.Zero(t, time.Since(start), "waiting does not help")
			require.ErrorIs(t, err, drivers.ErrInUse)
			require.ErrorContains(t, err, "it is exported as iqn.2010-10.org.openstack:"+name+", nobody is logged in")
			untouched()
			r.target.login("iqn.2010-10.org.openstack:"+name, "iqn.1993-08.org.debian:01:x")
			err = d.DeleteVolume(t.Context(), v)
			require.ErrorIs(t, err, drivers.ErrInUse)
			require.ErrorContains(t, err, "iqn.1993-08.org.debian:01:x logged in")
			untouched()
			require.NoError(t, d.Unexport(t.Context(), v))

			// A group of a guest that this host has taken up.
			r.set(func() { r.lvs[name].open = 1 })
			r.host.Write("/sys/block/sda/size", "1")
			r.host.Write("/sys/block/dm-4/dm/name", deviceName(groupName, name)+"\n")
			r.host.Write("/sys/block/dm-5/dm/name", "guest-root\n")
			r.host.Write("/sys/block/dm-4/holders/dm-5/x", "")
			r.host.Write("/sys/block/dm-4/holders/md0/x", "")
			err = d.DeleteVolume(t.Context(), v)
			require.ErrorIs(t, err, drivers.ErrInUse)
			require.ErrorContains(t, err, "held by guest-root, md0")
			untouched()
			assert.Equal(t, []string{name}, r.names())

			// udev has it for a moment only.
			r.set(func() { r.lvs[name].open, r.lvs[name].held = 0, 3 })
			require.NoError(t, d.DeleteVolume(t.Context(), v))
			assert.Empty(t, r.names())
		})
	})
}

// Somebody else removed it while this call waited for it.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, _ bool) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			d := r.open(o)
			v := r.created(d, 1)
			r.set(func() { r.lvs[v.NameOnArray()].open = 1 })
			time.AfterFunc(settlePause/2, func() { r.set(func() { r.remove(r.lvs[v.NameOnArray()]) }) })
			require.NoError(t, d.DeleteVolume(t.Context(), v))
		})
	})
}

// What has the device for itself is not seen in LVM's report, if it came later.
func TestClearExclusive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(thick())
		v := r.created(d, 1)
		tries := 0
		d.openFile = func(path string, flags int, mode os.FileMode) (*os.File, error) {
			assert.NotZero(t, flags&syscall.O_EXCL)
			if tries--; tries >= 0 {
				return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EBUSY}
			}
			return os.OpenFile(path, flags, mode)
		}
		tries = settleTries
		require.ErrorIs(t, d.DeleteVolume(t.Context(), v), drivers.ErrInUse)
		assert.Equal(t, []string{v.NameOnArray()}, r.names())
		tries = settleTries - 1
		require.NoError(t, d.DeleteVolume(t.Context(), v))
	})
}
