// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// What a new Pacific cluster has.
const (
	defaultFeatures = ceph.FeatureLayering | ceph.FeatureExclusiveLock | ceph.FeatureObjectMap |
		ceph.FeatureFastDiff | ceph.FeatureDeepFlatten
	defaultOrder = 22
	defaultBytes = int64(1) << 40
	defaultFSID  = "7a1b5c9e-0d3f-4e62-8b7a-c0ffee15dead"
)

// Options describe a cluster. The zero value is one with the pool "volumes".
type Options struct {
	Pools    []Pool            // none: one named volumes
	CloneV2  bool              // clones need no protected snapshots: require-min-compat-client is mimic or later
	FSID     string            // empty: some
	Bytes    int64             // of the whole cluster; 0: 1 TiB
	Features uint64            // rbd_default_features; 0: 61
	Order    int               // rbd_default_order; 0: 22
	Users    []string          // who may connect, without "client."; none: everybody
	Monitors []string          // host:port of each; none: 127.0.0.1:6789
	Settings map[string]string // further answers of ceph.Cluster.Option
	Now      func() time.Time  // nil: time.Now

	// Timeout is how long a call waits for a cluster that is down and for a pool
	// that is full, before it fails with ETIMEDOUT: rados_osd_op_timeout and its
	// like. 0: as long as its context lets it.
	Timeout time.Duration
}

// Pool describes a pool.
type Pool struct {
	Name  string
	Quota int64 // bytes; 0: none
}

// Cluster is a cluster in memory. It is safe for use by many goroutines.
type Cluster struct {
	options Options
	calls   calls

	mu      sync.Mutex // of all that follows, and of all pools and images
	pools   map[string]*pool
	down    bool
	wake    chan struct{} // closed when a call that waits should look again
	ahead   time.Duration // of the clock
	clients int
	images  uint64 // made so far
	snapIDs uint64
	cloneV2 bool
}

// New makes a cluster.
func New(o Options) *Cluster {
	o.FSID = cmp.Or(o.FSID, defaultFSID)
	o.Bytes = cmp.Or(o.Bytes, defaultBytes)
	o.Features = cmp.Or(o.Features, defaultFeatures)
	o.Order = cmp.Or(o.Order, defaultOrder)
	o.Settings = maps.Clone(o.Settings)
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Pools) == 0 {
		o.Pools = []Pool{{Name: "volumes"}}
	}
	if len(o.Monitors) == 0 {
		o.Monitors = []string{"127.0.0.1:6789"}
	}
	c := &Cluster{options: o, cloneV2: o.CloneV2, pools: map[string]*pool{}, wake: make(chan struct{})}
	for n, p := range o.Pools {
		c.pools[p.Name] = &pool{
			cluster: c, id: n + 1, name: p.Name, quota: p.Quota,
			names: map[string]*image{}, trash: map[string]*trashed{},
		}
	}
	return c
}

// Connect gives a further connection, of a user without "client.". EACCES: the
// cluster does not know it; ETIMEDOUT: the cluster is down.
func (c *Cluster) Connect(ctx context.Context, user string) (ceph.Cluster, error) {
	conn := &connection{cluster: c, open: map[*handle]struct{}{}}
	err := conn.do(ctx, request{op: "connect", what: user}, func() error {
		if len(c.options.Users) > 0 && !slices.Contains(c.options.Users, user) {
			return syscall.EACCES
		}
		c.clients++
		conn.address = fmt.Sprintf("127.0.0.1:0/%d", 1000+c.clients)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// SetDown takes the cluster away and brings it back. While it is away calls wait,
// see Options.Timeout.
func (c *Cluster) SetDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	c.changed()
}

// SetQuota changes a pool's quota.
func (c *Cluster) SetQuota(name string, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pools[name]; p != nil {
		p.quota = bytes
	}
	c.changed()
}

// SetCloneV2 says of which version further clones are. Those there are stay.
func (c *Cluster) SetCloneV2(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cloneV2 = on
}

// Advance puts the clock of the cluster forward.
func (c *Cluster) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// changed has those look again who wait.
func (c *Cluster) changed() {
	close(c.wake)
	c.wake = make(chan struct{})
}

func (c *Cluster) now() time.Time { return c.options.Now().Add(c.ahead) }

// all gives every image of every pool, those in the trash included.
func (c *Cluster) all() []*image {
	var all []*image
	for _, p := range c.pools {
		all = slices.AppendSeq(all, maps.Values(p.names))
		for _, t := range p.trash {
			all = append(all, t.image)
		}
	}
	slices.SortFunc(all, func(a, b *image) int { return cmp.Compare(a.id, b.id) })
	return all
}

// setting answers what a client of this cluster is configured with.
func (c *Cluster) setting(name string) (string, bool) {
	if value, ok := c.options.Settings[name]; ok {
		return value, true
	}
	seconds := strconv.Itoa(int(c.options.Timeout / time.Second))
	value, ok := map[string]string{
		"fsid":                  c.options.FSID,
		"rbd_default_features":  strconv.FormatUint(c.options.Features, 10),
		"rbd_default_order":     strconv.Itoa(c.options.Order),
		"rados_osd_op_timeout":  seconds,
		"rados_mon_op_timeout":  seconds,
		"client_mount_timeout":  seconds,
		"mon_host":              "v1:" + c.options.Monitors[0],
		"keyring":               "",
		"rbd_default_data_pool": "",
	}[name]
	return value, ok
}
