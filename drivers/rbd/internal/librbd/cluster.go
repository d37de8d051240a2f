// SPDX-License-Identifier: Apache-2.0

package librbd

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Config says which cluster to connect to, and as whom.
type Config struct {
	ClusterName string // ceph
	File        string // ceph.conf; empty: where librados looks for it
	User        string // without "client."; empty: admin, as librados has it
	// Timeout bounds the connecting and each operation of the cluster. A call of
	// this package may be many of those.
	Timeout time.Duration
	// Options are set beside those of the file.
	Options map[string]string
}

var errClosed = fault.Errorf(fault.ErrPrecondition, "the connection is closed")

// closeWait is how long Close waits for calls that are under way.
const closeWait = 5 * time.Second

// Connect connects to a cluster.
func Connect(ctx context.Context, c Config) (ceph.Cluster, error) {
	lib, err := loadOnce()
	if err != nil {
		return nil, err
	}
	if c.ClusterName == "" {
		c.ClusterName = "ceph"
	}
	what := "cluster " + c.ClusterName
	if c.User != "" {
		what += " as client." + c.User
	}
	if c.File != "" {
		what += " by " + c.File
	}
	all := newCalls()
	// Who gives up has a connection of his own closed when it is there at last.
	type result struct {
		made *cluster
		err  error
	}
	made := make(chan result, 1)
	if err := ctx.Err(); err != nil {
		return nil, given("connect to", what, err)
	}
	go func() {
		cl, err := connect(lib, all, what, &c)
		made <- result{cl, err}
	}()
	select {
	case r := <-made:
		if r.err != nil {
			return nil, r.err
		}
		return r.made, nil
	case <-ctx.Done():
		go func() {
			if r := <-made; r.err == nil {
				_ = r.made.Close() // nothing is under way
			}
		}()
		return nil, given("connect to", what, ctx.Err())
	}
}

func connect(lib *library, all *calls, what string, c *Config) (*cluster, error) {
	user := c.User
	if user == "" {
		user = "admin"
	}
	failed := func(r int32, op, what string) error { return &ceph.Error{Op: op, What: what, Errno: number(r)} }
	var h handle
	if r := lib.create2(&h, c.ClusterName, "client."+user, 0); r < 0 {
		return nil, failed(r, "connect to", what)
	}
	cl, err := func() (*cluster, error) {
		if r := lib.confReadFile(h, optional(c.File)); r < 0 {
			file := c.File
			if file == "" {
				file = "ceph.conf at its usual places"
			}
			return nil, failed(r, "read", file)
		}
		settings := map[string]string{}
		if c.Timeout > 0 {
			for _, name := range []string{"rados_osd_op_timeout", "rados_mon_op_timeout", "client_mount_timeout"} {
				settings[name] = seconds(c.Timeout)
			}
			// The client asks for a new map when an operation is as old as the first
			// (10 s), and looks as often as the second says (5 s). One that ends
			// sooner never gets there: after the death of an OSD nothing would work
			// again.
			settings["objecter_timeout"] = seconds(min(10*time.Second, c.Timeout/3))
			settings["objecter_tick_interval"] = seconds(min(5*time.Second, c.Timeout/6))
		}
		maps.Copy(settings, c.Options)
		for key, value := range settings {
			if r := lib.confSet(h, key, value); r < 0 {
				return nil, failed(r, "set", key+" = "+value)
			}
		}
		if r := lib.connect(h); r < 0 {
			return nil, &ceph.Error{Op: "connect to", What: what, Errno: number(r), Says: asked(lib, h)}
		}
		fsid, e := buffered(func(buf *byte, size uintptr) int32 { return lib.clusterFSID(h, buf, size) }, syscall.ERANGE)
		if e != 0 {
			return nil, &ceph.Error{Op: "ask for the fsid of", What: what, Errno: e}
		}
		return &cluster{lib: lib, calls: all, h: h, id: lib.instanceID(h), fsid: fsid, what: what, pools: map[string]*pool{}}, nil
	}()
	if err != nil {
		lib.shutdown(h)
	}
	return cl, err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// asked says which settings decide about a connection.
func asked(lib *library, h handle) string {
	var says []string
	for _, name := range []string{"mon_host", "keyring"} {
		value, _ := buffered(func(buf *byte, size uintptr) int32 { return lib.confGet(h, name, buf, size) }, syscall.ENAMETOOLONG)
		says = append(says, name+" = "+value)
	}
	return strings.Join(says, "; ")
}

// cluster implements ceph.Cluster.
type cluster struct {
	lib   *library
	calls *calls
	h     handle
	id    uint64 // of this connection
	fsid  string
	what  string

	mu     sync.Mutex
	closed bool
	pools  map[string]*pool
}

func (c *cluster) FSID() string { return c.fsid }

func (c *cluster) Option(name string) (string, error) {
	return do(context.Background(), c.calls, "read the setting", name, "", func() (string, syscall.Errno) {
		return buffered(func(buf *byte, size uintptr) int32 { return c.lib.confGet(c.h, name, buf, size) }, syscall.ENAMETOOLONG)
	})
}

func (c *cluster) Command(ctx context.Context, command string) ([]byte, error) {
	type answer struct {
		out    []byte
		errno  syscall.Errno
		status string
	}
	a, err := do(ctx, c.calls, "command", command, "", func() (answer, syscall.Errno) {
		var pin runtime.Pinner
		defer pin.Unpin()
		text := optional(command)
		pin.Pin(text)
		var out, status *byte
		var outLen, statusLen uintptr
		r := c.lib.monCommand(c.h, &text, 1, nil, 0, &out, &outLen, &status, &statusLen)
		a := answer{out: taken(c.lib, out, outLen), errno: number(r)}
		a.status = string(taken(c.lib, status, statusLen))
		return a, 0
	})
	if err == nil && a.errno != 0 {
		err = &ceph.Error{Op: "command", What: command, Errno: a.errno, Says: a.status}
	}
	return a.out, err
}

// Close implements ceph.Cluster.
func (c *cluster) Close() error {
	c.mu.Lock()
	had := c.closed
	c.closed = true
	c.mu.Unlock()
	if had {
		return nil
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	ended := c.calls.close()
	end := func() {
		for _, p := range c.pools {
			c.lib.ioctxDestroy(p.io)
		}
		c.lib.shutdown(c.h)
	}
	select {
	case <-ended:
		end()
		return nil
	case <-timer.C:
		go func() {
			<-ended
			end()
		}()
		return fault.Errorf(fault.ErrUnavailable, "close %s: calls wait for the cluster; the connection is closed when they have ended", c.what)
	}
}

// Pool implements ceph.Cluster. It is kept: it costs nothing.
func (c *cluster) Pool(ctx context.Context, name string) (ceph.Pool, error) {
	c.mu.Lock()
	p, closed := c.pools[name], c.closed
	c.mu.Unlock()
	if p != nil && ctx.Err() == nil && !closed {
		return p, nil
	}
	return do(ctx, c.calls, "open", "pool "+name, "", func() (ceph.Pool, syscall.Errno) {
		var io handle
		if r := c.lib.ioctxCreate(c.h, name, &io); r < 0 {
			return nil, number(r)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pools[name] == nil {
			c.pools[name] = &pool{cluster: c, name: name, io: io}
		} else { // another call was quicker
			c.lib.ioctxDestroy(io)
		}
		return c.pools[name], 0
	})
}

// taken copies what the library has allocated, and gives it back.
func taken(lib *library, p *byte, n uintptr) []byte {
	if p == nil {
		return nil
	}
	defer lib.bufferFree(p)
	return slices.Clone(unsafe.Slice(p, n))
}
