// SPDX-License-Identifier: Apache-2.0

package librbd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/cephtest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/librbd"
)

// connect connects to the cluster of tools/test-ceph.sh.
func connect(t testing.TB) ceph.Cluster {
	t.Helper()
	conf := os.Getenv("CINDERLIB_CEPH_CONF")
	if conf == "" {
		t.Skip("needs Ceph: tools/test-ceph.sh")
	}
	c, err := librbd.Connect(context.WithoutCancel(t.Context()), librbd.Config{File: conf, User: "cinder", Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

const pool = "volumes"

// TestCephContract: CINDERLIB_CEPH_CLONE=2 says that the cluster has clones of
// the second version.
func TestCephContract(t *testing.T) {
	connect(t)
	cephtest.Run(t, cephtest.Harness{
		Real: true, CloneV2: os.Getenv("CINDERLIB_CEPH_CLONE") == "2",
		New: func(t *testing.T) (ceph.Cluster, string) { return connect(t), pool },
	})
}

// TestCephMillionCalls: nothing grows with the number of calls. One million are
// of the client alone, and come back at once; some thousands go to the cluster.
func TestCephMillionCalls(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	p, err := c.Pool(ctx, pool)
	require.NoError(t, err)
	require.NoError(t, p.Create(ctx, "many-calls", 4<<20, ceph.ImageOptions{}))
	t.Cleanup(func() { assert.NoError(t, p.Remove(context.WithoutCancel(ctx), "many-calls")) })
	img, err := p.Open(ctx, "many-calls", ceph.OpenOptions{ReadOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	local := func(n int) {
		for range n {
			_, err := img.Info(ctx)
			require.NoError(t, err)
		}
	}
	remote := func(n int) {
		for range n {
			img, err := p.Open(ctx, "many-calls", ceph.OpenOptions{ReadOnly: true})
			require.NoError(t, err)
			_, err = img.Snapshots(ctx)
			require.NoError(t, err)
			require.NoError(t, img.Close())
			_, err = c.Command(ctx, `{"prefix":"mon dump","format":"json"}`)
			require.NoError(t, err)
		}
	}
	local(10_000)
	remote(500)
	before := used(t)
	local(250_000) // of four functions of librbd each
	remote(1_500)
	after := used(t)
	t.Logf("before %+v, after %+v", before, after)
	assert.LessOrEqual(t, after.threads, before.threads+4)
	assert.LessOrEqual(t, after.files, before.files)
	assert.LessOrEqual(t, after.goroutines, before.goroutines)
	assert.LessOrEqual(t, after.resident, before.resident+32<<10)
}

// TestCephOpenAndClose: an image that is closed as soon as it is open leaves nobody
// in librbd who still has to do with it. The process that tries has its freed memory
// filled, so who touches that ends.
func TestCephOpenAndClose(t *testing.T) {
	const filled = "MALLOC_PERTURB_" // mallopt(3)
	ctx := t.Context()
	if os.Getenv(filled) == "" {
		connect(t)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "5m")
		cmd.Env = append(os.Environ(), filled+"=165")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	p, err := connect(t).Pool(ctx, pool)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("open-and-close-", i)
		require.NoError(t, p.Create(ctx, name, 4<<20, ceph.ImageOptions{}))
		change := func(f func(ceph.Image) error) {
			img, err := p.Open(context.WithoutCancel(ctx), name, ceph.OpenOptions{})
			require.NoError(t, err)
			assert.NoError(t, f(img))
			require.NoError(t, img.Close())
		}
		change(func(img ceph.Image) error { return img.CreateSnapshot(ctx, "s") })
		t.Cleanup(func() {
			ctx := context.WithoutCancel(ctx)
			change(func(img ceph.Image) error { return img.RemoveSnapshot(ctx, "s") })
			assert.NoError(t, p.Remove(ctx, name))
		})
		wg.Go(func() {
			for range 250 {
				img, err := p.Open(ctx, name, ceph.OpenOptions{ReadOnly: true, Snapshot: "s"})
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, img.Close())
			}
		})
	}
	wg.Wait()
}

type usage struct {
	threads, files, goroutines int
	resident                   int // KiB
}

func used(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	u := usage{goroutines: runtime.NumGoroutine()}
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.threads)
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &u.resident)
	}
	files, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	u.files = len(files)
	return u
}

// TestCephGivenUp: a call that its caller gives up is not forgotten: a later one
// on the same image comes after it.
func TestCephGivenUp(t *testing.T) {
	c := connect(t)
	p, err := c.Pool(t.Context(), pool)
	require.NoError(t, err)
	for n := range 50 {
		name := fmt.Sprintf("given-up-%d", n)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*200*time.Microsecond)
		err := p.Create(ctx, name, 1<<30, ceph.ImageOptions{})
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		if err := p.Remove(t.Context(), name); err != nil {
			var e *ceph.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "no such file or directory", e.Errno.Error())
		}
	}
	names, err := p.Images(t.Context())
	require.NoError(t, err)
	for _, n := range names {
		require.NotContains(t, n, "given-up")
	}
}
