// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// openReal opens a backend as its user does.
func openReal(t *testing.T, change func(*Options)) (drivers.Driver, error) {
	t.Helper()
	return open(t.Context(), driverstest.Env(t, "rbd"), options(t, "volumes", func(o *Options) {
		o.User, o.ConfFile = "cinder", confFile()
		if change != nil {
			change(o)
		}
	}))
}

// conf writes a ceph.conf: that of the cluster, with lines of its own.
func conf(t *testing.T, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(confFile())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "ceph.conf")
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		for n := 0; n < len(replace); n += 2 {
			if strings.HasPrefix(line, replace[n]) {
				lines[i] = replace[n+1]
			}
		}
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

// TestCephTrouble: what is wrong with cluster or configuration is said, in time.
func TestCephTrouble(t *testing.T) {
	admin(t)
	nobody := func(o *Options) { o.User = "nobody" }
	wrongKey := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t, os.WriteFile(wrongKey, []byte("[client.cinder]\n\tkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n"), 0o600))
	for _, c := range []struct {
		name string
		o    func(*Options)
		is   error
		says string
	}{
		{"no monitor answers", func(o *Options) {
			o.ConfFile, o.ConnectTimeout, o.ConnectRetries = conf(t, "mon host", "mon host = 127.0.0.1:1"), 2*time.Second, 1
		}, drivers.ErrUnavailable, "127.0.0.1"},
		{"no ceph.conf", func(o *Options) { o.ConfFile = "/nowhere/ceph.conf" }, drivers.ErrInvalid, "rbd_ceph_conf"},
		{"no keyring", func(o *Options) { o.ConfFile = conf(t, "keyring", "keyring = /nowhere/keyring") }, drivers.ErrUnauthenticated, "key"},
		{"a wrong key", func(o *Options) { o.ConfFile = conf(t, "keyring", "keyring = "+wrongKey) }, drivers.ErrUnauthenticated, "refuses the key"},
		{"an unknown user", func(o *Options) { o.User = "stranger" }, drivers.ErrUnauthenticated, "key"},
		{"no pool", func(o *Options) { o.Pool = "nopool" }, drivers.ErrNotFound, "nopool"},
		{"rbd_keyring_conf is missing", func(o *Options) { o.Keyring = "/nowhere/keyring" }, drivers.ErrInvalid, "rbd_keyring_conf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			_, err := openReal(t, c.o)
			t.Logf("%s: %v", time.Since(start).Round(time.Millisecond), err)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
		})
	}
	t.Run("a user without rights", func(t *testing.T) {
		d, err := openReal(t, nobody)
		if err == nil { // the pool exists, that is all he may know
			_, err = d.CreateVolume(t.Context(), &drivers.Volume{ID: uuid.NewString(), Size: 1})
			defer func() { require.NoError(t, d.Close()) }()
		}
		t.Log(err)
		require.ErrorIs(t, err, drivers.ErrPermission)
	})
}

// daemon stops and starts one of the cluster's.
func daemon(t *testing.T, verb, name string) {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "../../tools/ceph/daemon", verb, name, os.Getenv("CINDERLIB_CEPH_DIR")).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestCephDaemons: the cluster goes away in the middle of work, and comes back. The
// same backend works again, and nothing is left.
func TestCephDaemons(t *testing.T) {
	c := admin(t)
	pool := newPool(t, c)
	p, err := c.Pool(t.Context(), pool)
	require.NoError(t, err)
	d, err := openReal(t, func(o *Options) { o.User, o.Pool, o.ConnectTimeout = "", pool, 5*time.Second })
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	for _, name := range []string{"osd.0", "mon.a"} {
		for _, verb := range []string{"stop", "kill", "pause"} {
			t.Run(verb+" "+name, func(t *testing.T) {
				volumes := make([]*drivers.Volume, 8)
				for i := range volumes {
					volumes[i] = &drivers.Volume{ID: uuid.NewString(), Size: 1}
				}
				_, err := d.CreateVolume(t.Context(), volumes[0])
				require.NoError(t, err)
				daemon(t, verb, name)
				stopped := true
				t.Cleanup(func() {
					if stopped {
						daemon(t, "start", name)
					}
				})
				hurried, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				start := time.Now()
				err = d.ExtendVolume(hurried, volumes[0], 2)
				if err != nil { // the monitor is not asked by every call
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Less(t, time.Since(start), 2*time.Second, "the call ends with its context")
				var load sync.WaitGroup
				for _, v := range volumes[1:] {
					load.Go(func() {
						if _, err := d.CreateVolume(t.Context(), v); err != nil {
							assert.ErrorIs(t, err, drivers.ErrUnavailable)
						}
					})
				}
				load.Wait()
				daemon(t, "start", name)
				stopped = false
				require.EventuallyWithT(t, func(t *assert.CollectT) {
					_, err := d.Stats(context.Background())
					require.NoError(t, err)
				}, time.Minute, 200*time.Millisecond)
				for _, v := range volumes {
					_, err := d.CreateVolume(t.Context(), v)
					if err != nil { // it was extended
						require.ErrorIs(t, err, drivers.ErrExists)
					}
					require.NoError(t, d.DeleteVolume(t.Context(), v))
				}
				requireEmpty(t, p)
			})
		}
	}
}

// TestCephFull: a pool is full, and then has room again.
func TestCephFull(t *testing.T) {
	c := admin(t)
	name := newPool(t, c)
	p, err := c.Pool(t.Context(), name)
	require.NoError(t, err)
	quota := func(bytes int64) {
		t.Helper()
		_, err := c.Command(t.Context(), fmt.Sprintf(`{"prefix":"osd pool set-quota","pool":%q,"field":"max_bytes","val":"%d"}`, name, bytes))
		require.NoError(t, err)
	}
	d, err := openReal(t, func(o *Options) { o.User, o.Pool, o.ConnectTimeout = "", name, 5*time.Second })
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	v := &drivers.Volume{ID: uuid.NewString(), Size: 1}
	_, err = d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	require.NoError(t, with(t.Context(), p, v.NameOnArray(), toWrite, func(img ceph.Image) error {
		return img.WriteAt(t.Context(), make([]byte, 8<<20), 0)
	}))
	quota(4 << 20)
	other := &drivers.Volume{ID: uuid.NewString(), Size: 1}
	require.EventuallyWithT(t, func(ct *assert.CollectT) {
		_, err := d.CreateVolume(t.Context(), other)
		require.Error(ct, err)
		t.Log(err)
	}, 2*time.Minute, time.Second)
	s, err := d.Stats(t.Context())
	require.NoError(t, err)
	t.Logf("total %v GiB, free %v GiB", s.Pools[0].Total, s.Pools[0].Free)
	assert.InDelta(t, 0, float64(s.Pools[0].Free), 0.001)
	quota(0)
	require.EventuallyWithT(t, func(ct *assert.CollectT) {
		_, err := d.CreateVolume(t.Context(), other)
		require.NoError(ct, err)
	}, 2*time.Minute, time.Second)
	require.NoError(t, d.DeleteVolume(t.Context(), v))
	require.NoError(t, d.DeleteVolume(t.Context(), other))
	requireEmpty(t, p)
}
