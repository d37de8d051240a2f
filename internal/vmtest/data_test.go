// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
)

const mib = 1 << 20

type sum = [sha256.Size]byte

// noise is pseudo-random data, the same for the same seed.
type noise struct{ r *rand.Rand }

func newNoise(seed uint64) noise { return noise{rand.New(rand.NewPCG(seed, 1))} }

func (n noise) Read(p []byte) (int, error) {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], n.r.Uint64())
	}
	return len(p) / 8 * 8, nil
}

// write writes noise to a device, flushed every 16 MiB, and tells its checksum.
// half is called in the middle.
func write(path string, seed uint64, bytes int64, half func()) (sum, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return sum{}, err
	}
	all, source, buffer := sha256.New(), newNoise(seed), make([]byte, min(16*mib, bytes))
	for at := int64(0); at < bytes; at += int64(len(buffer)) {
		if half != nil && at >= bytes/2 {
			half()
			half = nil
		}
		_, _ = source.Read(buffer)
		all.Write(buffer)
		if _, err := f.WriteAt(buffer, at); err != nil {
			return sum{}, errors.Join(err, f.Close())
		}
		if err := f.Sync(); err != nil {
			return sum{}, errors.Join(err, f.Close())
		}
	}
	return sum(all.Sum(nil)), f.Close()
}

// content is the checksum of what a device begins with.
func content(path string, bytes int64) (sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return sum{}, err
	}
	defer f.Close()
	all := sha256.New()
	_, err = io.Copy(all, io.LimitReader(f, bytes))
	return sum(all.Sum(nil)), err
}

func checksum(t *testing.T, path string, bytes int64) sum {
	t.Helper()
	got, err := content(path, bytes)
	require.NoError(t, err)
	return got
}

// contentOf attaches a volume, reads it and detaches it.
func (w *world) contentOf(t *testing.T, v *cinderlib.Volume, bytes int64) sum {
	t.Helper()
	c := w.attach(t, v)
	got := checksum(t, c.Path(), bytes)
	require.NoError(t, v.Detach(t.Context()))
	return got
}

// TestData writes through two paths, one of which goes away in the middle, and
// follows the data through every operation.
func TestData(t *testing.T) {
	w := newWorld(t, true)
	ctx := t.Context()
	const bytes = 256 * mib
	v := w.create(t)
	c := w.attach(t, v)
	require.True(t, strings.HasPrefix(c.Path(), "/dev/dm-"), c.Path())
	restore := func() { sh(t, "ip addr replace "+secondPortal+"/32 dev lo") }
	t.Cleanup(restore)
	start := time.Now()
	want, err := write(c.Path(), 1, bytes, func() {
		sh(t, "ip addr del "+secondPortal+"/32 dev lo")
		t.Log("one path is cut")
	})
	require.NoError(t, err, "the other path carries on")
	t.Logf("written after %s", time.Since(start).Round(time.Second))
	assert.Equal(t, want, checksum(t, c.Path(), bytes), "with one path")
	restore()
	waitForPaths(t, 2)
	t.Logf("the path is back after %s", time.Since(start).Round(time.Second))

	size, err := v.Extend(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, int64(2*drivers.GiB), size, "extended online")
	assert.Equal(t, want, checksum(t, c.Path(), bytes), "after extending")

	snap, err := v.CreateSnapshot(ctx)
	require.NoError(t, err)
	other, err := write(c.Path(), 2, bytes, nil)
	require.NoError(t, err)
	clone, err := v.Clone(ctx)
	require.NoError(t, err)
	require.NoError(t, v.Detach(ctx))

	old, err := snap.CreateVolume(ctx)
	require.NoError(t, err)
	assert.Equal(t, want, w.contentOf(t, old, bytes), "the volume from the snapshot")
	assert.Equal(t, other, w.contentOf(t, clone, bytes), "the clone")
	assert.Equal(t, other, w.contentOf(t, v, bytes), "the volume")
	require.NoError(t, v.Revert(ctx, snap))
	assert.Equal(t, want, w.contentOf(t, v, bytes), "the volume, reverted")
	assert.Equal(t, other, w.contentOf(t, clone, bytes), "the clone, still")

	for _, each := range []*cinderlib.Volume{old, clone} {
		require.NoError(t, each.Delete(ctx))
	}
	require.NoError(t, snap.Delete(ctx))
	require.NoError(t, v.Delete(ctx))
}

// waitForPaths waits until so many paths of the only map work.
func waitForPaths(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Equal(c, strconv.Itoa(n), sh(t, `multipathd show paths raw format "%T" | grep -c ready || true`))
	}, 2*time.Minute, 500*time.Millisecond)
}

// kernel is the target side, as an administrator has it beside the library.
func kernel() *lio.Kernel { return &lio.Kernel{SaveConfig: lio.NoSaveConfig} }

// TestWrongDevice has the array give another volume's disk.
func TestWrongDevice(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	v, victim := w.create(t), w.create(t)
	c := w.attach(t, victim)
	want, err := write(c.Path(), 1, 16*mib, nil)
	require.NoError(t, err)
	require.NoError(t, victim.Detach(ctx))

	host, err := w.lib.HostProperties(ctx, connector.PropertiesOptions{})
	require.NoError(t, err)
	c, err = v.Connect(ctx, host)
	require.NoError(t, err)
	data := c.ConnInfo().Data.(*connector.ISCSIData)
	k := kernel()
	state, err := k.Target(ctx, data.TargetIQN)
	require.NoError(t, err)
	require.NoError(t, k.Unexport(ctx, data.TargetIQN))
	device := "/dev/mapper/cinder--volumes-volume--" + strings.ReplaceAll(victim.ID(), "-", "--")
	require.NoError(t, k.Export(ctx, lio.Export{IQN: data.TargetIQN, Device: device, Serial: victim.ID(), Portals: state.Portals}))
	require.NoError(t, k.Allow(ctx, data.TargetIQN, lio.Initiator{IQN: host.Initiator, User: data.AuthUsername, Password: data.AuthPassword}))

	err = c.Attach(ctx)
	require.ErrorIs(t, err, cinderlib.ErrWrongDevice)
	require.ErrorContains(t, err, lio.WWN(v.ID())[4:], "what it should be")
	require.ErrorContains(t, err, lio.WWN(victim.ID())[4:], "what it is")
	t.Log(err)
	require.NoError(t, c.Disconnect(ctx))
	assert.Equal(t, want, w.contentOf(t, victim, 16*mib), "nothing was written to the other volume")
	w.empty(t)
}

// TestLostExports takes all targets away under a volume that is being written to,
// as a restart of the exporting host does.
func TestLostExports(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	v := w.create(t)
	c := w.attach(t, v)
	const bytes = 128 * mib
	type outcome struct {
		sum sum
		err error
	}
	lost, written := make(chan struct{}), make(chan outcome, 1)
	go func() {
		got, err := write(c.Path(), 7, bytes, func() {
			<-lost // from here on there is no target
		})
		written <- outcome{got, err}
	}()
	iqn := c.ConnInfo().Data.(*connector.ISCSIData).TargetIQN
	require.NoError(t, kernel().Unexport(ctx, iqn))
	close(lost)
	none, err := kernel().Target(ctx, iqn)
	require.NoError(t, err)
	require.Nil(t, none)

	require.NoError(t, w.b.EnsureExports(ctx))
	select {
	case o := <-written:
		require.NoError(t, o.err, "the write goes on")
		assert.Equal(t, o.sum, checksum(t, c.Path(), bytes))
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "the session did not recover", sh(t, "iscsiadm -m session -P 1 || true; dmesg | tail"))
	}
	require.NoError(t, v.Detach(ctx))
	require.NoError(t, w.b.EnsureExports(ctx), "nothing to do")
	require.NoError(t, v.Delete(ctx))
}

// TestReadOnly: the target refuses to write.
func TestReadOnly(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	v := w.create(t)
	c, err := v.Attach(ctx, cinderlib.WithAttachMode(connector.ReadOnly))
	require.NoError(t, err)
	_, err = write(c.Path(), 1, 16*mib, nil)
	require.Error(t, err)
	require.NoError(t, v.Detach(context.WithoutCancel(ctx)))
	require.NoError(t, v.Delete(ctx))
}
