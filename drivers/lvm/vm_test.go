// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/lock"
)

// The tests of this file run LVM and the target of a kernel. They take root and
// CINDERLIB_VM=1, in the VM of tools/vm:
//
//	go test -c -o /tmp/lvm.test ./drivers/lvm
//	CINDERLIB_VM=1 tools/vm/run -s -- /tmp/lvm.test -test.v -test.run VM

// machine is a real volume group, on a sparse file.
type machine struct {
	group string
	env   drivers.Env
}

func newMachine(t *testing.T, mib int64) *machine {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("it needs the VM: tools/vm/run")
	}
	m := &machine{group: "vm-" + uuid.NewString()[:8]}
	image := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, mib<<20))
	device := strings.TrimSpace(shell(t, "losetup --find --show "+image))
	t.Cleanup(func() { shell(t, "losetup --detach "+device) })
	shell(t, "vgcreate -q "+m.group+" "+device)
	t.Cleanup(func() { shell(t, "vgremove -q -f -f "+m.group) })
	locks, err := lock.OpenFile(filepath.Join(t.TempDir(), "locks"))
	require.NoError(t, err)
	m.env = driverstest.Env(t, "lvm")
	m.env.Host = &connector.Host{Run: connector.NewRunner("", nil), Locks: locks, Log: m.env.Log, IP: "127.0.0.1"}
	return m
}

// shell runs a line; its time is part of the test's.
func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

func (m *machine) open(t *testing.T, o map[string]any) *Driver {
	t.Helper()
	values := map[string]any{"volume_backend_name": "lvm", "volume_driver": "lvm", "volume_group": m.group}
	maps.Copy(values, o)
	r, err := drivers.Lookup("lvm")
	require.NoError(t, err)
	d, err := r.Open(t.Context(), m.env, values, false)
	require.NoError(t, err)
	return d.(*Driver)
}

// empty removes all volumes of an earlier test. What they held would be in the
// thick ones of the next: LVM clears nothing.
func (m *machine) empty(t *testing.T, isThick bool) {
	t.Helper()
	targets, err := filepath.Glob("/sys/kernel/config/target/iscsi/iqn.*")
	require.NoError(t, err)
	for _, target := range targets { // of a test that failed
		require.NoError(t, kernel(m.env).Unexport(context.WithoutCancel(t.Context()), filepath.Base(target)))
	}
	if isThick {
		shell(t, "for n in /dev/mapper/"+deviceName(m.group, "*")+"; do blkdiscard -f $n 2>/dev/null || true; done")
	}
	shell(t, "lvs --noheadings -o lv_name "+m.group+" | grep -v -- -pool | sed 's,^ *,"+m.group+"/,' | xargs -r lvremove -q -f")
}

// device is the node of an LV. The kernel holds it for itself while it is
// exported; who does not ask for that may open it all the same. What one writes
// is for all to read, once it is flushed.
type device struct{ *os.File }

const flushBuffers = 0x1261 // BLKFLSBUF of linux/fs.h

func openDevice(t *testing.T, path string) device {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	d := device{f}
	require.NoError(t, d.flush())
	return d
}

func (d device) flush() error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, d.Fd(), flushBuffers, 0); e != 0 {
		return e
	}
	return nil
}

func (d device) Close() error { return errors.Join(d.Sync(), d.flush(), d.File.Close()) }

func (m *machine) array(o map[string]any) *driverstest.Array {
	return &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver { t.Helper(); return m.open(t, o) },
		Data: func(t *testing.T, c *connector.ConnInfo) driverstest.Data {
			t.Helper()
			iqn := c.Data.(*connector.ISCSIData).TargetIQN
			paths, err := filepath.Glob("/sys/kernel/config/target/core/iblock_*/" + iqn + "/udev_path")
			require.NoError(t, err)
			require.Len(t, paths, 1)
			path, err := os.ReadFile(paths[0])
			require.NoError(t, err)
			return openDevice(t, strings.TrimSpace(string(path)))
		},
		Access: func(_ *testing.T, v *drivers.Volume, h *connector.Properties) bool {
			_, err := os.Stat("/sys/kernel/config/target/iscsi/iqn.2010-10.org.openstack:" + v.NameOnArray() + "/tpgt_1/acls/" + h.Initiator)
			return err == nil
		},
		Foreign: func(t *testing.T, bytes int64) string {
			t.Helper()
			name := "disk-" + uuid.NewString()
			if o["lvm_type"] == "thin" {
				shell(t, fmt.Sprintf("lvcreate -q --yes -T -V %db -n %s %s/%s-pool", bytes, name, m.group, m.group))
			} else {
				shell(t, fmt.Sprintf("lvcreate -q --yes -L %db -n %s %s", bytes, name, m.group))
			}
			return name
		},
	}
}

func TestVMConformance(t *testing.T) {
	for _, kind := range []string{"thin", "default"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, 100<<10)
			driverstest.Run(t, driverstest.Harness{Serial: true, Granule: extentBytes, New: func(t *testing.T) *driverstest.Array {
				begin := time.Now()
				t.Cleanup(func() {
					t.Logf("%.0f s", time.Since(begin).Seconds())
					m.empty(t, kind == "default")
				})
				return m.array(map[string]any{"lvm_type": kind})
			}})
		})
	}
}

// use opens a driver for one test.
func (m *machine) use(t *testing.T, o map[string]any) *Driver {
	t.Helper()
	d := m.open(t, o)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

func (m *machine) make(t *testing.T, d *Driver, size int) *drivers.Volume {
	t.Helper()
	v := volume(size)
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.DeleteVolume(context.WithoutCancel(t.Context()), v)) })
	return v
}

// A pool that is full refuses what is new and says so, and works again when there
// is room.
func TestVMPoolFull(t *testing.T) {
	m := newMachine(t, 200)
	d := m.use(t, map[string]any{"lvm_type": "thin"})
	v := m.make(t, d, 1)
	f, err := os.OpenFile(d.device(v.NameOnArray()), os.O_WRONLY, 0)
	require.NoError(t, err)
	chunk := make([]byte, 1<<20)
	_, _ = rand.Read(chunk)
	for at := int64(0); at < 176<<20; at += int64(len(chunk)) { // less than 200·0.95 less metadata
		_, err := f.WriteAt(chunk, at)
		require.NoError(t, err)
		if at%(16<<20) == 0 {
			require.NoError(t, f.Sync())
		}
	}
	require.NoError(t, f.Sync())
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "up", s.Pools[0].Extra["backend_state"])
	assert.Less(t, float64(s.Pools[0].Free), 0.02)
	// The rest waits for room, in the kernel.
	var writer sync.WaitGroup
	writer.Go(func() {
		for at := int64(176 << 20); at < 200<<20; at += int64(len(chunk)) {
			if _, err := f.WriteAt(chunk, at); err != nil {
				break
			}
		}
		_ = f.Sync() // it fails when the pool gives up
	})
	require.Eventually(t, func() bool {
		s, err = d.Stats(t.Context())
		return err == nil && s.Pools[0].Extra["backend_state"] == "down"
	}, time.Minute, 100*time.Millisecond)
	assert.Zero(t, s.Pools[0].Free)
	t.Logf("data %v, metadata %v", s.Pools[0].Extra["data_percent"], s.Pools[0].Extra["metadata_percent"])
	for range 2 {
		_, err = d.CreateVolume(t.Context(), volume(1))
		require.ErrorIs(t, err, drivers.ErrExhausted)
		_, err = d.CreateSnapshot(t.Context(), snapshotOf(v), v)
		require.ErrorIs(t, err, drivers.ErrExhausted)
		_, err = d.CloneVolume(t.Context(), volume(1), v)
		require.ErrorIs(t, err, drivers.ErrExhausted)
	}
	shell(t, "dmsetup message "+deviceName(m.group, m.group+"-pool")+"-tpool 0 'x' 2>/dev/null; lvextend -q -l +100%FREE "+m.group+"/"+m.group+"-pool || true")
	// Errors instead of waiting, so that the writer ends.
	shell(t, "lvchange -q --errorwhenfull y "+m.group+"/"+m.group+"-pool || true")
	writer.Wait()
	require.NoError(t, f.Close())
	require.NoError(t, d.DeleteVolume(t.Context(), v))
	w := m.make(t, d, 1)
	s, err = d.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "up", s.Pools[0].Extra["backend_state"])
	assert.Positive(t, s.Pools[0].Free)
	require.NoError(t, d.DeleteVolume(t.Context(), w))
}

func TestVMGroupMissing(t *testing.T) {
	m := newMachine(t, 200)
	d := m.use(t, map[string]any{"lvm_type": "default"})
	gone := *m
	gone.group = "no-such-group"
	r, err := drivers.Lookup("lvm")
	require.NoError(t, err)
	_, err = r.Open(t.Context(), m.env, map[string]any{
		"volume_backend_name": "lvm", "volume_driver": "lvm", "volume_group": gone.group,
	}, false)
	require.ErrorIs(t, err, drivers.ErrUnavailable)

	shell(t, "vgrename -q "+m.group+" "+m.group+"-away")
	defer shell(t, "vgrename -q "+m.group+"-away "+m.group)
	v := volume(1)
	_, err = d.CreateVolume(t.Context(), v)
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	require.ErrorIs(t, d.DeleteVolume(t.Context(), v), drivers.ErrUnavailable, "it is not taken for deleted")
	_, err = d.InspectVolume(t.Context(), v)
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	_, err = d.Stats(t.Context())
	require.ErrorIs(t, err, drivers.ErrUnavailable)
}

func put(t *testing.T, path, text string, at int64) {
	t.Helper()
	f := openDevice(t, path)
	block := make([]byte, 4096)
	copy(block, text)
	_, err := f.WriteAt(block, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func get(t *testing.T, path string, n int, at int64) string {
	t.Helper()
	f := openDevice(t, path)
	b := make([]byte, n)
	_, err := f.ReadAt(b, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(b)
}

// A thick volume with snapshots: it grows only while nobody has it open, its
// snapshots grow with it, and none overflows though every block is written; then
// it is reverted, with what is in both.
func TestVMThickSnapshots(t *testing.T) {
	m := newMachine(t, 12<<10)
	d := m.use(t, map[string]any{"lvm_type": "default"})
	v := m.make(t, d, 1)
	path := d.device(v.NameOnArray())
	put(t, path, "first", 0)
	put(t, path, "first", drivers.GiB-4096)
	s, later := snapshotOf(v), snapshotOf(v)
	_, err := d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
	put(t, path, "second", 0)
	_, err = d.CreateSnapshot(t.Context(), later, v)
	require.NoError(t, err)

	stored := v.Clone()
	u, err := d.Export(t.Context(), v)
	require.NoError(t, err)
	u.Apply(stored)
	err = d.ExtendVolume(t.Context(), stored, 2)
	require.ErrorIs(t, err, drivers.ErrInUse)
	require.ErrorContains(t, err, "cannot grow while it is open")
	require.NoError(t, d.Unexport(t.Context(), stored))
	require.NoError(t, d.ExtendVolume(t.Context(), v, 2))
	require.NoError(t, d.ExtendVolume(t.Context(), v, 2), "it has the size already")
	sizes := strings.Fields(shell(t, "lvs --noheadings --units b --nosuffix -o lv_size -S 'lv_attr=~^s' "+m.group))
	assert.Equal(t, []string{fmt.Sprint(cowMost(512) * extentBytes), fmt.Sprint(cowMost(512) * extentBytes)}, sizes, "what a snapshot of 2 GiB can use at most")

	// Every block of the old GiB anew, and some of the new one.
	f := openDevice(t, path)
	chunk := make([]byte, 4<<20)
	_, _ = rand.Read(chunk)
	for at := int64(0); at < drivers.GiB; at += 32 << 20 {
		_, err := f.WriteAt(chunk, at)
		require.NoError(t, err)
	}
	_, err = f.WriteAt(chunk, 3*drivers.GiB/2)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	attrs := shell(t, "lvs --noheadings -o lv_name,lv_attr "+m.group)
	assert.NotContains(t, attrs, "swi-I", "no snapshot has overflown")
	assert.Equal(t, "first", get(t, d.device(snapName(s)), 5, 0))
	assert.Equal(t, "second", get(t, d.device(snapName(later)), 6, 0))

	begin := time.Now()
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
	t.Logf("revert: %.1f s", time.Since(begin).Seconds())
	assert.Equal(t, "first", get(t, path, 5, 0))
	assert.Equal(t, "first", get(t, path, 5, drivers.GiB-4096))
	assert.Equal(t, make([]byte, 100), []byte(get(t, path, 100, 32<<20)))
	assert.Equal(t, "first", get(t, d.device(snapName(s)), 5, 0))
	assert.Equal(t, "second", get(t, d.device(snapName(later)), 6, 0))
	assert.NotContains(t, shell(t, "lvs --noheadings -o lv_tags "+m.group), "cinderlib")
	n := volume(2)
	_, err = d.VolumeFromSnapshot(t.Context(), n, later, v)
	require.NoError(t, err)
	assert.Equal(t, "second", get(t, d.device(n.NameOnArray()), 6, 0))
	require.NoError(t, d.DeleteVolume(t.Context(), n))
	require.ErrorIs(t, d.DeleteVolume(t.Context(), v), drivers.ErrHasDependents)

	// There is no room for all that the snapshot might need: it is not made, rather
	// than made too small.
	shell(t, "lvcreate -q --yes -n filler -l 100%FREE "+m.group+" && lvreduce -q -f -L -600m "+m.group+"/filler")
	_, err = d.CreateSnapshot(t.Context(), snapshotOf(v), v)
	require.ErrorIs(t, err, drivers.ErrExhausted)
	require.ErrorIs(t, d.ExtendVolume(t.Context(), v, 3), drivers.ErrExhausted)
	shell(t, "lvremove -q -f "+m.group+"/filler")
	for _, of := range []*drivers.Snapshot{s, later} {
		require.NoError(t, d.DeleteSnapshot(t.Context(), of, v))
	}
}

// While a volume is exported it grows, and is not deleted; the error says who
// has it.
func TestVMExported(t *testing.T) {
	for _, kind := range []string{"thin", "default"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, 4<<10)
			d := m.use(t, map[string]any{"lvm_type": kind})
			v := m.make(t, d, 1)
			put(t, d.device(v.NameOnArray()), "content", 0)
			stored := v.Clone()
			u, err := d.Export(t.Context(), v)
			require.NoError(t, err)
			u.Apply(stored)
			require.NoError(t, d.ExtendVolume(t.Context(), stored, 2))
			size, err := d.sizeOf(v.NameOnArray())
			require.NoError(t, err)
			assert.Equal(t, gibs(2), size)
			iqn := "iqn.2010-10.org.openstack:" + v.NameOnArray()
			begin := time.Now()
			err = d.DeleteVolume(t.Context(), stored)
			require.ErrorIs(t, err, drivers.ErrInUse)
			require.ErrorContains(t, err, "exported as "+iqn+", nobody is logged in")
			t.Logf("refused in %.1f s: %v", time.Since(begin).Seconds(), err)
			assert.Equal(t, "content", get(t, d.device(v.NameOnArray()), 7, 0))
			if kind == "thin" {
				s := snapshotOf(v)
				_, err = d.CreateSnapshot(t.Context(), s, v)
				require.NoError(t, err)
				require.ErrorIs(t, d.RevertToSnapshot(t.Context(), stored, s), drivers.ErrInUse)
				require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
			}
			assert.ElementsMatch(t, []string{v.NameOnArray()}, slices.DeleteFunc(
				strings.Fields(shell(t, "lvs --noheadings -o lv_name "+m.group)), func(n string) bool { return strings.HasSuffix(n, "-pool") }))
			require.NoError(t, d.Unexport(t.Context(), stored))
			require.NoError(t, d.DeleteVolume(t.Context(), stored), "at once")
		})
	}
}

// Calls that are cut off at any instant leave no device suspended, on which
// everything would hang, and nothing that Delete does not remove.
func TestVMCancelled(t *testing.T) {
	m := newMachine(t, 8<<10)
	d := m.use(t, map[string]any{"lvm_type": "thin"})
	src := m.make(t, d, 1)
	s := snapshotOf(src)
	_, err := d.CreateSnapshot(t.Context(), s, src)
	require.NoError(t, err)
	cut := 0
	for i := range 20 {
		v := volume(1 + i%2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(mathrand.Int64N(int64(2500*time.Millisecond))))
		begin := time.Now()
		switch i % 3 {
		case 0:
			_, err = d.CreateVolume(ctx, v)
		case 1:
			_, err = d.CloneVolume(ctx, v, src)
		case 2:
			_, err = d.VolumeFromSnapshot(ctx, v, s, src)
		}
		cancel()
		if err != nil {
			cut++
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		t.Logf("%d: %.2f s: %v", i, time.Since(begin).Seconds(), err)
		require.NoError(t, d.DeleteVolume(t.Context(), v))
		_, err = d.InspectVolume(t.Context(), v)
		require.ErrorIs(t, err, drivers.ErrNotFound)
		assert.NotContains(t, shell(t, "dmsetup info -c --noheadings -o name,suspended"), "Suspended")
	}
	assert.Positive(t, cut)
	require.NoError(t, d.DeleteSnapshot(t.Context(), s, src))
	left := strings.Fields(shell(t, "lvs --noheadings -o lv_name "+m.group))
	assert.ElementsMatch(t, []string{m.group + "-pool", src.NameOnArray()}, left)
}
