// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

func TestVMCephAttach(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		a := l.attach(r)
		write(t, a.Device.Path, "what was written")
		require.Equal(t, a.Device, l.attach(r).Device)
		require.Equal(t, []string{a.Device.Path}, l.paths(r))
		_, err := l.tryCeph("delete(%q)", dataIn(r).Name)
		require.ErrorContains(t, err, "ImageBusy")
		conf, err := filepath.Glob("/run/cinderlib*")
		require.NoError(t, err)
		require.Empty(t, conf)
		l.detach(a)
		l.detach(a)
		a = l.attach(r)
		require.Equal(t, "what was written", read(t, a.Device.Path, 16))
		l.detach(a)
	})
}

// TestVMCephRefused: what is wrong is told as what it is, leaves nothing, and once it
// is mended the same request attaches.
func TestVMCephRefused(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		name := dataIn(r).Name
		other := keyOf(l.keyring("nobody").Reveal(), "client.nobody")
		for what, c := range map[string]struct {
			change func(*connector.RBDData)
			is     error
			texts  []string
		}{
			"another key": {
				func(d *connector.RBDData) { d.Keyring = connector.Secret("[client.cinder]\nkey = " + other + "\n") },
				connector.ErrUnauthenticated, []string{name, "client.cinder"},
			},
			"no such user": {
				func(d *connector.RBDData) {
					d.AuthUsername, d.Keyring = "ghost", connector.Secret("[client.ghost]\nkey = "+other+"\n")
				},
				connector.ErrUnauthenticated, []string{name, "client.ghost"},
			},
			"no rights": {
				func(d *connector.RBDData) { d.AuthUsername, d.Keyring = "nobody", l.keyring("nobody") },
				connector.ErrUnauthenticated, []string{name, "client.nobody"},
			},
			"no image": {
				func(d *connector.RBDData) { d.Name += "-not" }, connector.ErrNotFound, []string{name + "-not", "no such"},
			},
			"no snapshot": {
				func(d *connector.RBDData) { d.Name += "@none" }, connector.ErrNotFound, []string{name + "@none", "no such"},
			},
			"no pool": {
				func(d *connector.RBDData) { d.Name = "nowhere/volume" }, connector.ErrNotFound, []string{"nowhere/volume", "no such"},
			},
		} {
			ctx, took := l.limited(40 * time.Second)
			_, err := l.conn.Attach(ctx, with(r, c.change))
			t.Logf("%s: %v", what, err)
			if assert.ErrorIs(t, err, c.is, what) {
				for _, text := range c.texts {
					assert.ErrorContains(t, err, text, what)
				}
				assert.NotContains(t, err.Error(), other, what)
			}
			took()
			require.Empty(t, l.left(), what)
		}
		l.detach(l.attach(r))
		r = l.request("volumes/volume-" + uuid.NewString())
		_, err := l.conn.Attach(t.Context(), r)
		require.ErrorIs(t, err, connector.ErrNotFound)
		r = l.image(dataIn(r).Name, plainImage)
		l.detach(l.attach(r))
	})
}

// TestVMCephJournaling: the kernel refuses the image, and rbd-nbd takes it if it is
// there.
func TestVMCephJournaling(t *testing.T) {
	l := newLab(t, "krbd")
	r := l.image("volumes/volume-"+uuid.NewString(), journaledImage)
	programs := t.TempDir()
	for _, name := range []string{"modprobe", "install", "dmesg", "unlink"} {
		program, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(program, filepath.Join(programs, name)))
	}
	everywhere := os.Getenv("PATH")
	t.Setenv("PATH", programs)
	_, err := l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrPrecondition)
	for _, text := range []string{dataIn(r).Name, "journaling", "rbd-nbd is not installed"} {
		require.ErrorContains(t, err, text)
	}
	t.Log(err)
	require.Empty(t, l.left())
	t.Setenv("PATH", everywhere)
	l.way = "nbd"
	a := l.attach(r)
	write(t, a.Device.Path, "journaled")
	require.Equal(t, a.Device, l.attach(r).Device)
	l.detach(a)
}

// TestVMCephLookAlikes: a detach removes all that the volume has, whoever made it, and
// nothing of another.
func TestVMCephLookAlikes(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		name := dataIn(r).Name
		_, bare, _ := strings.Cut(name, "/")
		l.ceph("on(%q, 'create_snap', 'one')", name)
		alike := []connector.Request{
			l.attach(l.image("journaled/"+bare, plainImage)),
			l.attach(with(r, func(d *connector.RBDData) { d.Name += "@one" })),
		}
		byHand := "rbd --id cinder map " + name
		if l.way == "nbd" {
			host, port := l.monitor("v1")
			byHand = "rbd-nbd --id cinder -m " + host + ":" + port + " map " + name
		}
		before := l.left()
		require.Len(t, before, 4)
		first := l.sh("%s", byHand)
		require.Equal(t, []string{first}, l.paths(r))
		require.Equal(t, first, l.attach(r).Device.Path, "it is used")
		second := l.sh("%s", byHand)
		require.Len(t, l.paths(r), 2)
		require.NotEqual(t, first, second)
		l.remove(r)
		require.ElementsMatch(t, before, l.left())
		a := l.attach(r)
		for _, other := range alike {
			require.NotEqual(t, other.Device.Path, a.Device.Path)
			require.Equal(t, []string{other.Device.Path}, l.paths(other))
		}
		l.remove(a)
		require.ElementsMatch(t, before, l.left())
		for _, other := range alike {
			l.remove(other)
		}
		if l.way == "nbd" { // its command line tells no cluster: nobody knows whose it is
			unknown := l.sh("rbd-nbd --id cinder map %s", name)
			require.Empty(t, l.paths(r))
			require.NoError(t, l.conn.Detach(t.Context(), r))
			require.Len(t, l.left(), 2)
			l.sh("rbd-nbd unmap %s", unknown)
			require.Eventually(t, func() bool { return len(l.left()) == 0 }, time.Minute, 20*time.Millisecond)
		}
	})
}

func TestVMCephReadOnly(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		readOnly := with(r, func(d *connector.RBDData) { d.Shared.AccessMode = connector.ReadOnly })
		ro := l.attach(readOnly)
		flag := func(r connector.Request) string { return l.sh("cat /sys/block/%s/ro", filepath.Base(r.Device.Path)) }
		require.Equal(t, "1", flag(ro))
		f, err := os.OpenFile(ro.Device.Path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("x")
			require.NoError(t, f.Close())
		}
		require.Error(t, err)
		t.Log(err)
		rw := l.attach(r)
		require.Equal(t, "0", flag(rw))
		require.NotEqual(t, ro.Device.Path, rw.Device.Path)
		require.Equal(t, ro.Device.Path, l.attach(readOnly).Device.Path)
		write(t, rw.Device.Path, "written")
		l.detach(rw) // both of them
		ro = l.attach(readOnly)
		require.Equal(t, "written", read(t, ro.Device.Path, 7))
		l.detach(ro)
	})
}

// TestVMCephMonitors: the port tells the kernel which protocol to speak.
func TestVMCephMonitors(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		host, v1 := l.monitor("v1")
		_, v2 := l.monitor("v2")
		require.Equal(t, []string{"6789", "3300"}, []string{v1, v2}, "the ports are those of Ceph")
		for _, ports := range [][]string{{v2}, {v2, v1}} {
			a := l.attach(with(r, func(d *connector.RBDData) {
				d.Ports, d.Hosts = ports, []string{host, host}[:len(ports)]
			}))
			write(t, a.Device.Path, strings.Join(ports, "+"))
			if l.way == "krbd" {
				line := l.sh("cat /sys/bus/rbd/devices/*/config_info")
				if len(ports) == 1 {
					require.Contains(t, line, host+":3300 ")
					require.Contains(t, line, ",ms_mode=prefer-crc")
				} else {
					require.Contains(t, line, host+":6789 ")
					require.NotContains(t, line, "ms_mode")
				}
			}
			require.Equal(t, []string{a.Device.Path}, l.paths(r), "it is the same monitor")
			l.detach(r)
		}
	})
}

// TestVMCephKeyringGone: what the map took is not needed any more after it.
func TestVMCephKeyringGone(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		bare := with(r, func(d *connector.RBDData) { d.ClusterName, d.Keyring = "vm", "" })
		const file = "/etc/ceph/vm.client.cinder.keyring"
		_, err := l.conn.Attach(t.Context(), bare)
		require.ErrorIs(t, err, connector.ErrPrecondition)
		require.ErrorContains(t, err, file)
		require.NoError(t, os.MkdirAll("/etc/ceph", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(l.keyring("cinder").Reveal()), 0o600))
		t.Cleanup(func() { _ = os.Remove(file) })
		a := l.attach(bare)
		require.NoError(t, os.Remove(file))
		require.Equal(t, a.Device, l.attach(bare).Device)
		l.ceph("on(%q, 'resize', %d)", dataIn(r).Name, 16*mib)
		a.SizeBytes = 16 * mib
		size, err := l.conn.Extend(t.Context(), a)
		require.NoError(t, err)
		require.EqualValues(t, 16*mib, size)
		l.detach(a)
	})
}

func TestVMCephExtend(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		name := dataIn(r).Name
		a := l.attach(r)
		f, err := os.Open(a.Device.Path)
		require.NoError(t, err)
		for _, a.SizeBytes = range []int64{16 * mib, 20*mib + 512} {
			l.ceph("on(%q, 'resize', %d)", name, a.SizeBytes)
			size, err := l.conn.Extend(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, a.SizeBytes, size)
			end, err := f.Seek(0, 2)
			require.NoError(t, err)
			require.Equal(t, a.SizeBytes, end, "for who has it open")
			require.NoError(t, l.host.Check(t.Context(), a))
		}
		require.NoError(t, f.Close())
		// Somebody else makes it smaller.
		l.ceph("on(%q, 'resize', %d, allow_shrink=True)", name, 4*mib)
		l.conn.limits.size = time.Second
		_, err = l.conn.Extend(t.Context(), a)
		require.ErrorIs(t, err, connector.ErrWrongDevice)
		require.ErrorContains(t, err, strconv.Itoa(4*mib)+" bytes")
		t.Log(err)
		_, err = l.conn.Attach(t.Context(), a)
		require.ErrorIs(t, err, connector.ErrWrongDevice)
		require.Equal(t, []string{a.Device.Path}, l.paths(r), "what was there stays")
		l.detach(a)
		_, err = l.conn.Attach(t.Context(), a)
		require.ErrorIs(t, err, connector.ErrWrongDevice)
		t.Log(err)
		require.Empty(t, l.left())
		_, err = l.conn.Extend(t.Context(), a)
		require.ErrorIs(t, err, connector.ErrNotFound)
		require.ErrorContains(t, err, name)
	})
}

// TestVMCephDeletedImage: nobody keeps an image that is mapped read-only from being
// deleted; the one that is made in its place is another.
func TestVMCephDeletedImage(t *testing.T) {
	l := newLab(t, "krbd")
	r := with(l.volume(), func(d *connector.RBDData) { d.Shared.AccessMode = connector.ReadOnly })
	name := dataIn(r).Name
	l.attach(r)
	old := l.sh("cat /sys/bus/rbd/devices/*/image_id")
	l.ceph("delete(%q)", name)
	_, err := l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrNotFound)
	require.Empty(t, l.left())
	l.ceph("make(%q, %d, %d)", name, 8*mib, plainImage)
	a := l.attach(r)
	require.NotEqual(t, old, l.sh("cat /sys/bus/rbd/devices/*/image_id"))
	l.ceph("delete(%q)", name)
	_, err = l.conn.Extend(t.Context(), a)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	require.ErrorContains(t, err, "deleted")
	t.Log(err)
	l.ceph("make(%q, %d, %d)", name, 8*mib, plainImage)
	f, err := os.Open(a.Device.Path)
	require.NoError(t, err)
	_, err = l.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	t.Log(err)
	require.NoError(t, f.Close())
	l.detach(l.attach(r))
}

// TestVMCephInUse: what somebody uses stays, unless by force.
func TestVMCephInUse(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		l.conn.limits.settle = time.Second
		a := l.attach(r)
		refused := func(text string) {
			t.Helper()
			ctx, took := l.limited(20 * time.Second)
			err := l.conn.Detach(ctx, a)
			took()
			require.ErrorIs(t, err, connector.ErrInUse)
			require.ErrorContains(t, err, text)
			t.Log(err)
			require.Equal(t, []string{a.Device.Path}, l.paths(r))
		}
		force := func() {
			t.Helper()
			ctx, took := l.limited(20 * time.Second)
			forced := a
			forced.Force = true
			require.NoError(t, l.conn.Detach(ctx, forced))
			took()
			require.Empty(t, l.paths(r))
		}
		f, err := os.Open(a.Device.Path)
		require.NoError(t, err)
		refused("process " + strconv.Itoa(os.Getpid()))
		force()
		if l.way == "nbd" { // who has it open keeps it, and rbd-nbd takes another
			a = l.attach(r)
			require.Equal(t, "/dev/nbd1", a.Device.Path)
			l.remove(a)
		}
		require.NoError(t, f.Close())
		require.Empty(t, l.left())
		a = l.attach(r)
		mnt := t.TempDir()
		l.sh("mkfs.ext4 -q %s && mount %s %s", a.Device.Path, a.Device.Path, mnt)
		mounted := true
		t.Cleanup(func() {
			if mounted {
				l.sh("umount -l %s", mnt)
			}
		})
		refused("mounted on " + mnt)
		shared := a
		shared.Shared = true
		require.NoError(t, l.conn.Detach(t.Context(), shared))
		require.Equal(t, []string{a.Device.Path}, l.paths(r))
		force()
		l.sh("umount %s", mnt)
		mounted = false
		require.Empty(t, l.left())
		a = l.attach(r)
		l.sh("e2fsck -fp %s || [ $? = 1 ]", a.Device.Path)
		l.detach(a)
	})
}

// TestVMCephDeadNBD: the process behind a device is killed.
func TestVMCephDeadNBD(t *testing.T) {
	l := newLab(t, "nbd")
	r := l.volume()
	kill := func() {
		t.Helper()
		servers := l.programs("rbd-nbd")
		require.Len(t, servers, 1)
		pid, err := strconv.Atoi(servers[0])
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		require.Eventually(t, func() bool { return len(l.programs("rbd-nbd")) == 0 }, time.Minute, 20*time.Millisecond)
	}
	a := l.attach(r)
	write(t, a.Device.Path, "written")
	kill()
	require.Empty(t, l.paths(r))
	_, err := l.conn.Extend(t.Context(), a)
	require.ErrorIs(t, err, connector.ErrNotFound)
	l.detach(a)
	a = l.attach(r)
	require.Equal(t, "written", read(t, a.Device.Path, 7))
	kill()
	a = l.attach(r) // without a detach
	require.Equal(t, []string{a.Device.Path}, l.paths(r))
	require.Equal(t, "written", read(t, a.Device.Path, 7))
	f, err := os.Open(a.Device.Path)
	require.NoError(t, err)
	kill() // under somebody's hands
	l.remove(a)
	a = l.attach(r)
	require.Equal(t, "/dev/nbd1", a.Device.Path)
	require.Equal(t, "written", read(t, a.Device.Path, 7))
	require.NoError(t, f.Close())
	l.detach(a)
}

// asTester has a program run by an ordinary user who may use sudo.
var asTester = []string{"setpriv", "--reuid=tester", "--regid=tester", "--init-groups", "env", "HOME=/tmp", "TMPDIR=/tmp"}

// TestVMCephOrdinaryUser: all that takes root goes through sudo.
func TestVMCephOrdinaryUser(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		l.needTester()
		out, err := l.child(r, "attach,extend,leave,leave", asTester...).CombinedOutput()
		t.Logf("%s", out)
		require.NoError(t, err)
		require.Empty(t, l.left())
	})
}

func (l *lab) needTester() {
	l.Helper()
	l.sh("id tester || useradd -m tester; echo 'tester ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/tester")
}
