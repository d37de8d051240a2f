// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost/rbdhost"
	"github.com/gocinder/cinderlib/internal/poll"
)

var ways = []string{"krbd", "nbd"}

// TestLookAlikes: a device of an image of the same name elsewhere is neither used
// nor removed.
func TestLookAlikes(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, way)
			_, r := w.image("volumes/volume")
			other := newCluster("10.0.0.7:6789")
			other.FSID = "00000000-1f7c-4c35-9a0e-0c2f3d5b9a11"
			other.Images["volumes/volume"] = &rbdhost.Image{Size: 4 * mib}
			w.Add(other)
			w.Change(func() {
				w.cluster.Images["volumes/volume"].Snaps = map[string]int64{"one": 4 * mib}
				for _, name := range []string{"backups/volume", "volumes/space/volume", "volumes/volume2"} {
					w.cluster.Images[name] = &rbdhost.Image{Size: 4 * mib}
				}
			})
			alike := []connector.Request{
				w.attached(t, w.request("backups/volume")),
				w.attached(t, w.request("volumes/space/volume")),
				w.attached(t, w.request("volumes/volume2")),
				w.attached(t, w.request("volumes/volume@one")),
				w.attached(t, with(r, func(d *connector.RBDData) { d.Hosts, d.Ports = []string{"10.0.0.7"}, []string{"6789"} })),
			}
			before := w.Left()
			for _, force := range []bool{false, true} {
				r.Force = force
				require.NoError(t, w.conn.Detach(t.Context(), r))
				require.Equal(t, before, w.Left())
			}
			_, err := w.conn.Extend(t.Context(), r)
			require.ErrorIs(t, err, connector.ErrNotFound)
			r = w.attached(t, r)
			for _, a := range alike {
				require.NotEqual(t, a.Device.Path, r.Device.Path)
			}
			require.NoError(t, w.conn.Detach(t.Context(), r))
			require.Equal(t, before, w.Left())
			for _, a := range alike {
				require.NoError(t, w.conn.Detach(t.Context(), a))
			}
			require.Empty(t, w.Left())
		})
	}
}

// TestClusterByFSID: a device that was mapped through other monitors is of the
// cluster all the same; one of monitors at their other port too.
func TestClusterByFSID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	w.Change(func() { w.cluster.Mons = append(w.cluster.Mons, "10.0.0.1:3300", "10.0.0.3:6789") })
	_, r := w.image("volumes/volume")
	foreign := func(host, port string) {
		w.attached(t, with(r, func(d *connector.RBDData) { d.Hosts, d.Ports = []string{host}, []string{port} }))
	}
	foreign("10.0.0.1", "3300")
	require.NoError(t, w.conn.Detach(t.Context(), r))
	require.Empty(t, w.Left())

	foreign("10.0.0.3", "6789")
	left := w.Left()
	require.NoError(t, w.conn.Detach(t.Context(), r))
	require.Equal(t, left, w.Left(), "nobody knows whose it is")
	require.NoError(t, w.conn.Detach(t.Context(), with(r, func(d *connector.RBDData) { d.SecretUUID = strings.ToUpper(fsid) })))
	require.Empty(t, w.Left())
}

// TestSecrets: the key is in what the kernel and the file are told, and nowhere else.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const canary = "Q0FOQVJZQ0FOQVJZQ0FOQVJZ"
	for _, way := range append(ways, "both") {
		for _, good := range []bool{true, false} {
			w := newWorld(t, way)
			image, r := w.image("volumes/volume")
			if way == "both" {
				image.Features |= rbdhost.Journaling
			}
			if good {
				w.cluster.Keys["cinder"] = canary
			}
			dataIn(r).Keyring = "[client.cinder]\nkey = " + canary + "\n"
			var log bytes.Buffer
			w.host.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			d, err := w.conn.Attach(t.Context(), r)
			if good {
				require.NoError(t, err)
				r.Device = d
				require.NoError(t, w.conn.Detach(t.Context(), r))
			} else {
				require.ErrorIs(t, err, connector.ErrUnauthenticated, way)
				require.NotContains(t, err.Error(), canary)
			}
			assert.NotContains(t, log.String(), canary)
			for _, c := range w.Calls() {
				assert.True(t, c.Root, "%v", c.Args)
				assert.NotContains(t, strings.Join(append(c.Args, c.Env...), " "), canary)
				assert.Equal(t, c.Args[0] == "install", bytes.Contains(c.Stdin, []byte(canary)), "%v", c.Args)
			}
			require.Empty(t, w.Left())
		}
	}
}

// TestKeyring: that of the host is used where the connection data have none.
func TestKeyring(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	r := with(w.volume(), func(d *connector.RBDData) { d.Keyring, d.ClusterName = "", "" })
	_, err := w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrPrecondition)
	require.ErrorContains(t, err, "/etc/ceph/ceph.client.cinder.keyring")
	w.Write("/etc/ceph/ceph.client.cinder.keyring", "[client.cinder]\n  key="+key)
	require.NoError(t, w.conn.Detach(t.Context(), w.attached(t, r)))

	w.host.Files = unreadable{w.host.Files}
	_, err = w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "/etc/ceph/ceph.client.cinder.keyring")
	require.Empty(t, w.Left())

	for text, want := range map[string]string{
		"key = lost": "",
		"[client.a]\nkey = 1\n[client.b]\nkey=2=":                         "2=",
		"[client.bb]\nkey = 1":                                            "",
		"# [client.b]\n[client.b]\n caps = \"key = x\"\n\tkey\t=  3 \r\n": "3",
	} {
		assert.Equal(t, want, keyOf(text, "client.b"), text)
	}
	for name, keyring := range map[string]connector.Secret{
		"option": "[client.cinder]\nkey = AAAA,read_only", "words": "[client.cinder]\nkey = AA AA", "none": "[client.cinder]\n",
	} {
		_, err := w.conn.Attach(t.Context(), with(r, func(d *connector.RBDData) { d.Keyring = keyring }))
		require.ErrorIs(t, err, connector.ErrInvalid, name)
		require.NotContains(t, err.Error(), "AA", name)
	}
}

type unreadable struct{ connector.Files }

func (unreadable) Read(_ context.Context, path string) ([]byte, error) {
	return nil, connector.Errorf(connector.ErrPermission, "%w", &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES})
}

// TestInUse: what somebody uses stays, and is told by whom.
func TestInUse(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		w := newWorld(t, way)
		r := w.attached(t, w.volume())
		unmount := w.Mount(r.Device.Path, "/mnt")
		before := w.Left()
		err := w.conn.Detach(t.Context(), r)
		require.ErrorIs(t, err, connector.ErrInUse)
		require.ErrorContains(t, err, "mounted on /mnt")
		require.Equal(t, before, w.Left())
		unmount()
		if way == "krbd" {
			closed := w.Open(r.Device.Path) // by nobody that can be seen
			require.ErrorIs(t, w.conn.Detach(t.Context(), r), connector.ErrInUse)
			require.Equal(t, before, w.Left())
			closed()
		}
		shared := r
		shared.Shared = true
		require.NoError(t, w.conn.Detach(t.Context(), shared))
		require.Equal(t, before, w.Left(), "another connection has it")
		defer w.Mount(r.Device.Path, "/mnt")()
		r.Force = true
		require.NoError(t, w.conn.Detach(t.Context(), r))
		require.Empty(t, w.Left())
	}
}

// TestModes: a device is used in the mode that it has.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		w := newWorld(t, way)
		image, r := w.image("volumes/volume")
		image.Snaps = map[string]int64{"one": 4 * mib}
		readOnly := with(r, func(d *connector.RBDData) { d.Shared.AccessMode = connector.ReadOnly })
		r, readOnly = w.attached(t, r), w.attached(t, readOnly)
		require.NotEqual(t, r.Device.Path, readOnly.Device.Path)
		snap := w.attached(t, w.request("volumes/volume@one"))
		for d, want := range map[*connector.Device]string{r.Device: "0", readOnly.Device: "1", snap.Device: "1"} {
			ro, err := os.ReadFile(w.Path("/sys/block/" + filepath.Base(d.Path) + "/ro"))
			require.NoError(t, err)
			assert.Equal(t, want, strings.TrimSpace(string(ro)))
		}
		require.Equal(t, readOnly.Device, w.attached(t, readOnly).Device)
		paths, err := w.conn.Paths(t.Context(), readOnly)
		require.NoError(t, err)
		assert.Equal(t, []string{readOnly.Device.Path, r.Device.Path}, paths)
		w.Change(func() { image.Size = 8 * mib })
		r.SizeBytes = 8 * mib
		size, err := w.conn.Extend(t.Context(), r)
		require.NoError(t, err)
		assert.EqualValues(t, 8*mib, size)
		require.NoError(t, w.host.Check(t.Context(), connector.Request{Device: readOnly.Device, SizeBytes: 8 * mib}))
		require.NoError(t, w.conn.Detach(t.Context(), r), "all but the snapshot")
		require.NoError(t, w.conn.Detach(t.Context(), snap))
		require.Empty(t, w.Left())
	}
}

// TestDeletedImage: a device whose image was deleted, and made again, is not handed
// out.
func TestDeletedImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	_, r := w.image("volumes/volume")
	old := w.attached(t, r)
	w.Change(func() { w.cluster.Images["volumes/volume"] = &rbdhost.Image{ID: "new", Size: 4 * mib} })
	unmount := w.Mount(old.Device.Path, "/mnt")
	before := w.Left()
	_, err := w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	require.Equal(t, before, w.Left())
	_, err = w.conn.Extend(t.Context(), old)
	require.ErrorIs(t, err, connector.ErrWrongDevice)
	require.ErrorContains(t, err, "deleted")
	unmount()
	r = w.attached(t, r)
	id, err := os.ReadFile(w.Path("/sys/bus/rbd/devices/0/image_id"))
	require.NoError(t, err)
	assert.Equal(t, "new\n", string(id))
	require.NoError(t, w.conn.Detach(t.Context(), r))
	require.Empty(t, w.Left())
}

// TestLeftovers: a detach removes what kills have left, and what os-brick has made.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		w := newWorld(t, way)
		r := w.volume()
		j, err := w.conn.job(t.Context(), r)
		require.NoError(t, err)
		w.Write(j.conf(), "[global]")
		w.Write("/tmp/brickrbd_x", "[global]")
		w.Write("/tmp/other", "of somebody")
		r.Device = &connector.Device{Path: "/dev/rbd/volumes/volume", Conf: "/tmp/brickrbd_x"}
		require.NoError(t, w.conn.Detach(t.Context(), r))
		require.Equal(t, []string{"/tmp/other"}, w.Left())
		r.Device.Conf = "/tmp/other"
		require.NoError(t, w.conn.Detach(t.Context(), r))
		require.Equal(t, []string{"/tmp/other"}, w.Left())
		w.Remove("/tmp/other")
		if way == "krbd" { // two of one image
			w.Load("rbd")
			line := "10.0.0.1:6789 name=cinder,secret=" + key + " volumes " + j.image.name + " -"
			for range 2 {
				require.NoError(t, w.host.WriteFile(t.Context(), "/sys/bus/rbd/add_single_major", []byte(line)))
			}
			paths, err := w.conn.Paths(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, []string{"/dev/rbd0", "/dev/rbd1"}, paths)
			require.NoError(t, w.conn.Detach(t.Context(), r))
		}
		require.Empty(t, w.Left())
	}
}

// TestOrphan: an rbd-nbd that a killed process has started is waited for.
func TestOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nbd")
	r := w.volume()
	other := w.attached(t, w.volume())
	w.Process(77, "sudo", "-n", "/usr/bin/rbd-nbd", "map", "--mon-host=10.0.0.1:6789", dataIn(r).Name)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.conn.Detach(ctx, r), context.DeadlineExceeded)
	require.NoError(t, w.conn.Detach(t.Context(), other), "not of this image")
	w.Remove("/proc/77")
	require.NoError(t, w.conn.Detach(t.Context(), r))
	require.Empty(t, w.Left())
}

// TestStuckKernel: a map that the kernel does not finish keeps nobody, and is undone
// when it is finished at last.
func TestStuckKernel(t *testing.T) {
	t.Parallel()
	for _, limited := range []bool{false, true} {
		w := newWorld(t, "krbd")
		w.Load("rbd")
		w.Hold = make(chan struct{})
		r := w.volume()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		want := context.Canceled
		begun := make(chan time.Time, 1)
		began := func() { begun <- time.Now(); cancel() }
		if limited {
			w.conn.limits.add, want = 30*time.Millisecond, connector.ErrUnavailable
			began = func() { begun <- time.Now() }
		}
		w.host.Files = watched{w.host.Files, sync.OnceFunc(began)}
		_, err := w.conn.Attach(ctx, r)
		require.ErrorIs(t, err, want)
		require.Less(t, time.Since(<-begun), time.Second)
		waiting, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, w.conn.Detach(waiting, r), context.DeadlineExceeded, "the image is locked")
		close(w.Hold)
		require.NoError(t, w.conn.Detach(t.Context(), r))
		require.Empty(t, w.Left())
	}
}

// TestOrphanOfRootHelper: the tee of an ordinary user's process that was killed is
// waited for, and not that of one that lives.
func TestOrphanOfRootHelper(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	w.Load("rbd")
	r := w.volume()
	attribute := w.Path("/sys/bus/rbd/add_single_major")
	w.Process(88, "sudo", "-n", "tee", attribute)
	w.Write("/proc/88/stat", "88 (sudo) S 50 88 88")
	w.Process(89, "tee", attribute)
	w.Write("/proc/89/stat", "89 (tee) D 88 88 88")
	w.Process(50, "cinder")
	require.NoError(t, w.conn.Detach(t.Context(), r))
	w.Write("/proc/88/stat", "88 (sudo) S 1 88 88")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.conn.Detach(ctx, r), context.DeadlineExceeded)
	w.Remove("/proc/88")
	w.Write("/proc/89/stat", "89 (tee) D 7 88 88")
	w.Process(7, "systemd")
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.conn.Detach(ctx, r), context.DeadlineExceeded)
	w.Remove("/proc/89")
	require.NoError(t, w.conn.Detach(t.Context(), r))
}

// watched tells when something is written.
type watched struct {
	connector.Files

	began func()
}

func (f watched) Write(ctx context.Context, path string, data []byte) error {
	f.began()
	return f.Files.Write(ctx, path, data)
}

// TestFeatures: the error says what was tried, why each failed, and names the
// features.
func TestFeatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	image, r := w.image("volumes/volume")
	image.Features |= rbdhost.Journaling | 1<<9
	_, err := w.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrPrecondition)
	for _, text := range []string{"volumes/volume", "journaling, migrating", "rbd-nbd is not installed"} {
		require.ErrorContains(t, err, text)
	}
	assert.Equal(t, "layering, bit 63", featureNames(1|1<<63))

	both := newWorld(t, "both")
	image, r = both.image("volumes/volume")
	image.Features |= rbdhost.Journaling
	r = both.attached(t, r)
	assert.Equal(t, "/dev/nbd0", r.Device.Path)
	require.NoError(t, both.conn.Detach(t.Context(), r))
	both.NoNBD = true
	both.Remove("/sys/block/nbd0")
	_, err = both.conn.Attach(t.Context(), r)
	require.ErrorIs(t, err, connector.ErrPrecondition)
	require.ErrorContains(t, err, "module nbd")
}

// TestProcesses is the budget: none where the module is loaded.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for way, want := range map[string][]string{
		"krbd": nil,
		"nbd":  {"modprobe", "install", "rbd-nbd", "rbd-nbd"},
	} {
		w := newWorld(t, way)
		w.Load("rbd")
		w.Load("nbd")
		require.NoError(t, w.conn.Detach(t.Context(), w.attached(t, w.volume())))
		var ran []string
		for _, c := range w.Calls() {
			ran = append(ran, c.Args[0])
		}
		assert.Equal(t, want, ran)
	}
}

// TestClusters are kinds of clusters and hosts that the kernel wants other words for.
func TestClusters(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, *connector.RBDData){
		"new protocol only": func(w *world, d *connector.RBDData) {
			w.cluster.Mons = []string{"10.0.0.1:3300"}
			d.Hosts, d.Ports = []string{"10.0.0.1"}, []string{"3300"}
		},
		"both ports": func(w *world, d *connector.RBDData) {
			w.cluster.Mons = append(w.cluster.Mons, "10.0.0.1:3300")
			d.Hosts, d.Ports = []string{"10.0.0.1", "10.0.0.1"}, []string{"3300", "6789"}
		},
		"own port": func(w *world, d *connector.RBDData) {
			w.cluster.Mons = []string{"10.0.0.1:40001"}
			d.Hosts, d.Ports = []string{"10.0.0.1"}, []string{"40001"}
		},
		"name":        func(_ *world, d *connector.RBDData) { d.Hosts[0] = "mon.example" },
		"brackets":    func(_ *world, d *connector.RBDData) { d.Hosts[1] = "[fd00::2]" },
		"one is down": func(_ *world, d *connector.RBDData) { d.Hosts[0] = "10.0.0.99" },
		"many majors": func(w *world, _ *connector.RBDData) { w.Majors = true },
		"default user": func(_ *world, d *connector.RBDData) {
			d.AuthEnabled, d.AuthUsername, d.Keyring = false, "", "[client.admin]\nkey = "+key
		},
		"no keys": func(w *world, d *connector.RBDData) {
			w.cluster.Keys = nil
			d.AuthEnabled, d.AuthUsername, d.Keyring = false, "", ""
		},
		"namespace": func(w *world, d *connector.RBDData) {
			w.cluster.Images["volumes/space/x"] = &rbdhost.Image{Size: 4 * mib}
			d.Name = "volumes/space/x"
		},
		"default pool": func(w *world, d *connector.RBDData) {
			w.cluster.Images["rbd/x"] = &rbdhost.Image{Size: 4 * mib}
			d.Name = "rbd/x"
		},
	} {
		for _, way := range ways {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, way)
				r := w.volume()
				w.Change(func() { change(w, dataIn(r)) })
				r = w.attached(t, r)
				require.Equal(t, r.Device, w.attached(t, r).Device)
				require.NoError(t, w.conn.Detach(t.Context(), r))
				require.Empty(t, w.Left())
			})
		}
	}
}

func TestInvalidData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	for field, changes := range map[string][]func(*connector.RBDData){
		"name": {
			func(d *connector.RBDData) { d.Name = "" },
			func(d *connector.RBDData) { d.Name = "image" },
			func(d *connector.RBDData) { d.Name = "a/b/c/d" },
			func(d *connector.RBDData) { d.Name = "a//c" },
			func(d *connector.RBDData) { d.Name = "a/" },
			func(d *connector.RBDData) { d.Name = "a/b@" },
			func(d *connector.RBDData) { d.Name = "a/b c" },
			func(d *connector.RBDData) { d.Name = "a/b\n" },
			func(d *connector.RBDData) { d.Name = "a/b,c" },
			func(d *connector.RBDData) { d.Name = "--conf/b" },
		},
		"hosts": {
			func(d *connector.RBDData) { d.Hosts, d.Ports = nil, nil },
			func(d *connector.RBDData) { d.Hosts = d.Hosts[:1] },
			func(d *connector.RBDData) { d.Hosts[0] = "" },
			func(d *connector.RBDData) { d.Hosts[0] = "10.0.0.1:6789" },
			func(d *connector.RBDData) { d.Hosts[0] = "a b" },
			func(d *connector.RBDData) { d.Hosts[0] = "[fd00::2" },
		},
		"ports": {
			func(d *connector.RBDData) { d.Ports[0] = "" },
			func(d *connector.RBDData) { d.Ports[0] = "0" },
			func(d *connector.RBDData) { d.Ports[0] = "65536" },
		},
		"auth_username": {
			func(d *connector.RBDData) { d.AuthUsername = "" },
			func(d *connector.RBDData) { d.AuthUsername = "a,read_only" },
			func(d *connector.RBDData) { d.AuthUsername = "../../a" },
			func(d *connector.RBDData) { d.AuthUsername = "-x" },
		},
	} {
		for i, change := range changes {
			r := with(w.volume(), change)
			_, err := w.conn.Attach(t.Context(), r)
			require.ErrorIs(t, err, connector.ErrInvalid, "%s %d", field, i)
			require.ErrorContains(t, err, field)
			require.ErrorIs(t, w.conn.Detach(t.Context(), r), connector.ErrInvalid, "%s %d", field, i)
		}
	}
	_, err := w.conn.Attach(t.Context(), with(w.volume(), func(d *connector.RBDData) { d.Keyring, d.ClusterName = "", "../x" }))
	require.ErrorIs(t, err, connector.ErrInvalid)
	require.ErrorContains(t, err, "cluster_name")
	_, err = w.conn.Attach(t.Context(), with(w.volume(), func(d *connector.RBDData) { d.Hosts[0] = "nobody.example" }))
	require.ErrorIs(t, err, connector.ErrUnavailable)
	long := with(w.volume(), func(d *connector.RBDData) { d.Name = "volumes/" + strings.Repeat("x", 4096) })
	_, err = w.conn.Attach(t.Context(), long)
	require.ErrorIs(t, err, connector.ErrInvalid)
	require.Empty(t, w.Left())
}

// TestExplain: what the kernel says to a write, from this process or by tee as root.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "krbd")
	j, err := w.conn.job(t.Context(), w.volume())
	require.NoError(t, err)
	write := func(no syscall.Errno) error { return &fs.PathError{Op: "write", Path: "add", Err: no} }
	open := &fs.PathError{Op: "open", Path: "add", Err: syscall.EACCES}
	tee := func(no syscall.Errno) error {
		return connector.Errorf(connector.ErrPermission, "%w; by tee as root: %w", open, no)
	}
	for _, c := range []struct{ err, is error }{
		{write(syscall.EPERM), connector.ErrUnauthenticated},
		{write(syscall.EACCES), connector.ErrUnauthenticated},
		{tee(syscall.EPERM), connector.ErrUnauthenticated},
		{write(syscall.ENXIO), errRefused},
		{write(syscall.EINVAL), errRefused},
		{write(syscall.ENOENT), connector.ErrNotFound},
		{write(syscall.ETIMEDOUT), connector.ErrUnavailable},
		{write(syscall.EROFS), connector.ErrPrecondition},
		{open, fs.ErrPermission},
		{connector.Errorf(connector.ErrPermission, "%w; as root: %w", open, errors.New("no sudo")), connector.ErrPermission},
	} {
		require.ErrorIs(t, j.explain(c.err), c.is, "%v", c.err)
		require.ErrorIs(t, j.explain(c.err), c.err, "%v", c.err)
	}
	require.NotErrorIs(t, j.explain(open), connector.ErrUnauthenticated)
}

// TestTogether: two connectors on one host, in turn and at once, leave nothing.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		w := newWorld(t, way)
		r := w.volume()
		var wg sync.WaitGroup
		for n := range 4 {
			c := w.connector(w.Connector())
			wg.Go(func() {
				for range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*10*time.Millisecond+time.Millisecond)
					_, _ = c.Attach(ctx, r) // any of them may be too late
					cancel()
					assert.NoError(t, c.Detach(t.Context(), r))
				}
			})
		}
		wg.Wait()
		clean, err := poll.Until(t.Context(), time.Minute, func() (bool, error) {
			return len(w.Left()) == 0, w.conn.Detach(t.Context(), r)
		})
		require.NoError(t, err)
		require.True(t, clean, fmt.Sprint(w.Left()))
	}
}
