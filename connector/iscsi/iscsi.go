// SPDX-License-Identifier: Apache-2.0

// Package iscsi attaches volumes of iSCSI targets, over TCP or iSER, with
// open-iscsi: iscsiadm makes node records and sessions, everything else is sysfs
// and the socket of multipathd.
//
// # What belongs to whom
//
// Nothing is remembered between calls. A volume's disks are those at its LUN in
// the sessions of its portals, and they must have its WWID; a disk with another
// WWID there is another volume's and is left alone by Detach. A session is logged
// out, and its node record deleted, when the last disk in it goes, whoever made
// it. A session with disks of others stays.
//
// # Time
//
// A portal is tried with a plain TCP connection before iscsid is asked to log in:
// iscsid goes on with a login for long after its client has given up, and a
// session might come when nobody wants it any more. iscsiadm is never killed at
// the end of a context, because it could leave the node database locked: the call
// returns, and what it began is finished and undone behind it, under the lock of
// the target. The next call for the target waits for that.
package iscsi

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/behind"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
)

type iscsi struct {
	host   *connector.Host
	daemon multipath.Daemon
	limits limits
	// dial tries a portal; nil on a simulated host.
	dial   func(ctx context.Context, portal netip.AddrPort) error
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// limits are the longest waits; a context that ends earlier ends them.
type limits struct {
	portal   time.Duration // until a portal takes a connection
	refused  time.Duration // until a portal that refuses is given up: it may be starting
	login    time.Duration // for iscsiadm --login
	iscsiadm time.Duration // for its other calls
	session  time.Duration // until a session that is there works again
	device   time.Duration // until the disk is there
	size     time.Duration // until the disk has the size
	refresh  time.Duration // for a disk that is asked again who it is
	others   time.Duration // for further paths when the first is there
	dm       time.Duration // until the map is there and can be used
	settle   time.Duration // until those who look into a disk are done
	drop     time.Duration // until a map goes that nobody uses but udev
	flush    time.Duration
	forced   time.Duration // flush by force
	patience time.Duration // with what has been begun when the context ends
	undo     time.Duration
}

// TCP: a lost SYN is sent again after 1, 3 and 7 s (tcp(7), tcp_syn_retries).
// Login: node.conn[0].timeo.login_timeout is 15 s, once (loginRetries), and iscsid
// may be busy with another. Device: os-brick looks for the last time after 54 s.
// Others, dm: os-brick waits 10 s each. Flush: os-brick's 300 s.
var usual = limits{
	portal: 10 * time.Second, refused: 2 * time.Second, login: 40 * time.Second, iscsiadm: 30 * time.Second,
	session: 5 * time.Second, device: time.Minute, size: 10 * time.Second, refresh: 10 * time.Second,
	others: 10 * time.Second, dm: 15 * time.Second, settle: 3 * time.Second, drop: 30 * time.Second, flush: 5 * time.Minute,
	forced: 10 * time.Second, patience: 700 * time.Millisecond, undo: 2 * time.Minute,
}

// New makes the connector of connector.ProtocolISCSI and ProtocolISER for a host,
// which needs open-iscsi and root's rights, for several paths also multipathd.
func New(h *connector.Host) connector.Connector {
	c := &iscsi{host: h, daemon: multipath.Daemon{Host: h}, limits: usual}
	c.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}
	if h.Root == "" {
		c.dial = dial
	}
	return c
}

// Attach implements connector.Connector. With r.Multipath one path that works is
// enough; what is missing is logged. Without, the targets are tried in turn.
func (c *iscsi) Attach(ctx context.Context, r connector.Request) (*connector.Device, error) {
	return call(ctx, c, r, func(ctx context.Context, j *job) (*connector.Device, error) { return j.attach(ctx) })
}

// Detach implements connector.Connector.
func (c *iscsi) Detach(ctx context.Context, r connector.Request) error {
	_, err := call(ctx, c, r, func(ctx context.Context, j *job) (none, error) { return none{}, j.detach(ctx) })
	return err
}

// Extend implements connector.Connector. All paths must work: a map whose paths
// differ in size loses writes.
func (c *iscsi) Extend(ctx context.Context, r connector.Request) (int64, error) {
	return call(ctx, c, r, func(ctx context.Context, j *job) (int64, error) { return j.extend(ctx) })
}

// Paths implements connector.Connector. The map of a volume that has one is the
// first.
func (c *iscsi) Paths(ctx context.Context, r connector.Request) ([]string, error) {
	j, err := c.job(ctx, r)
	if err != nil {
		return nil, err
	}
	v := j.find()
	var paths []string
	for _, m := range v.maps {
		paths = append(paths, m.Node())
	}
	for _, d := range v.disks {
		if d.Name != "" {
			paths = append(paths, d.Node())
		}
	}
	return paths, nil
}

type none struct{}

// call does the work of a call under the locks of its targets, if need be behind it.
func call[T any](ctx context.Context, c *iscsi, r connector.Request, f func(context.Context, *job) (T, error)) (T, error) {
	j, err := c.job(ctx, r)
	if err != nil {
		var zero T
		return zero, err
	}
	work := behind.Work{Of: "iscsi", Patience: c.limits.patience, Lock: j.lock, Stragglers: &j.stragglers}
	return behind.Do(ctx, work, func(ctx context.Context) (T, error) { return f(ctx, j) })
}

// lock locks the targets, in an order that all keep.
func (j *job) lock(ctx context.Context) (unlock func(), err error) {
	var names []string
	for _, t := range j.targets {
		names = append(names, "iscsi-"+strings.ToLower(t.iqn))
	}
	slices.Sort(names)
	var unlocks []func()
	unlock = func() {
		for _, u := range slices.Backward(unlocks) {
			u()
		}
	}
	for _, name := range slices.Compact(names) {
		u, err := j.host.Locks.Lock(ctx, name)
		if err != nil {
			unlock()
			return nil, err
		}
		unlocks = append(unlocks, u)
	}
	return unlock, nil
}
