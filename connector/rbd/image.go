// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/gocinder/cinderlib/connector"
)

// image is what a device is known by within a cluster.
type image struct {
	pool, namespace, name string
	snap                  string // empty for the image itself
}

func (i image) String() string {
	text := i.whole()
	if i.snap != "" {
		text += "@" + i.snap
	}
	return text
}

// whole is the image without a snapshot.
func (i image) whole() string {
	if i.namespace != "" {
		return i.pool + "/" + i.namespace + "/" + i.name
	}
	return i.pool + "/" + i.name
}

func (i image) lock() string { return "rbd-" + i.whole() }

// job is one call.
type job struct {
	*rbd
	r        connector.Request
	data     *connector.RBDData
	image    image
	mons     []netip.AddrPort
	user     string // empty: the cluster asks for none
	readOnly bool
	// stragglers are writes to the kernel that go on behind the call.
	stragglers sync.WaitGroup
}

// job checks the request. It keeps a copy of it: the work may outlive the call.
func (c *rbd) job(ctx context.Context, r connector.Request) (*job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Info == nil {
		return nil, invalid("no connection data")
	}
	if data, ok := r.Info.Data.(*connector.RBDData); !ok || data == nil || r.Info.Protocol != connector.ProtocolRBD {
		return nil, invalid("connection data are those of %q", r.Info.Protocol)
	}
	j := &job{rbd: c, r: r}
	j.r.Info, j.r.Device = r.Info.Clone(), r.Device.Clone()
	j.data, _ = j.r.Info.Data.(*connector.RBDData)
	var err error
	if j.image, err = parseImage(j.data.Name); err != nil {
		return nil, err
	}
	if j.user, err = userOf(j.data); err != nil {
		return nil, err
	}
	if j.mons, err = j.monitors(ctx); err != nil {
		return nil, err
	}
	j.readOnly = j.data.Shared.AccessMode == connector.ReadOnly || j.image.snap != ""
	return j, nil
}

func invalid(format string, args ...any) error {
	return connector.Errorf(connector.ErrInvalid, "rbd: "+format, args...)
}

// parseImage takes POOL/[NAMESPACE/]IMAGE[@SNAPSHOT] apart.
func parseImage(text string) (image, error) {
	name, snap, isSnap := strings.Cut(text, "@")
	parts := strings.Split(name, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return image{}, invalid("name %q is neither POOL/IMAGE nor POOL/NAMESPACE/IMAGE", text)
	}
	i := image{pool: parts[0], name: parts[len(parts)-1], snap: snap}
	if len(parts) == 3 {
		i.namespace = parts[1]
	}
	if isSnap {
		parts = append(parts, snap)
	}
	for _, p := range parts {
		if !isWord(p) || strings.HasPrefix(p, "-") {
			return image{}, invalid("name %q has a part that is none: %q", text, p)
		}
	}
	return i, nil
}

// isWord tells whether a text can be a part of the one line that the kernel takes:
// it separates words by space, and options by commas.
func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c == ',' || unicode.IsSpace(c) || unicode.IsControl(c)
	})
}

// defaultUser is that of Ceph's own programs.
const defaultUser = "admin"

func userOf(d *connector.RBDData) (string, error) {
	switch {
	case d.AuthUsername == "" && d.AuthEnabled:
		return "", invalid("auth_username is missing, and auth_enabled is set")
	case d.AuthUsername == "" && d.Keyring.Reveal() == "":
		return "", nil
	case d.AuthUsername == "":
		return defaultUser, nil
	case !isWord(d.AuthUsername) || strings.ContainsAny(d.AuthUsername, "/]=") || strings.HasPrefix(d.AuthUsername, "-"):
		return "", invalid("auth_username %q is no name of a user", d.AuthUsername)
	}
	return d.AuthUsername, nil
}

// The ports of a monitor (https://docs.ceph.com/en/latest/rados/configuration/msgr2),
// for the protocol of before and for that of today.
const (
	portV1 = 6789
	portV2 = 3300
)

// monitors gives the addresses of the cluster. The kernel takes no names.
func (j *job) monitors(ctx context.Context) ([]netip.AddrPort, error) {
	d := j.data
	if len(d.Hosts) == 0 {
		return nil, invalid("hosts is empty")
	}
	if len(d.Hosts) != len(d.Ports) {
		return nil, invalid("hosts has %d entries, and ports %d", len(d.Hosts), len(d.Ports))
	}
	var mons []netip.AddrPort
	for i, host := range d.Hosts {
		port, err := strconv.ParseUint(d.Ports[i], 10, 16)
		if err != nil || port == 0 {
			return nil, invalid("ports has %q, which is no port", d.Ports[i])
		}
		addrs, err := j.resolve(ctx, host)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			mons = append(mons, netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(port)))
		}
	}
	return mons, nil
}

func (j *job) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return []netip.Addr{a}, nil
	}
	if !isWord(host) || strings.ContainsAny(host, ":[]/") || strings.HasPrefix(host, "-") {
		return nil, invalid("hosts has %q, which is neither an address nor a name", host)
	}
	addrs, err := j.lookup(ctx, host)
	if err != nil {
		return nil, connector.Errorf(connector.ErrUnavailable, "rbd: monitor %s: %w", host, err)
	}
	return addrs, nil
}

// monHost is the list of monitors as the kernel and Ceph's programs take it.
func monHost(mons []netip.AddrPort) string {
	texts := make([]string, 0, len(mons))
	for _, m := range mons {
		texts = append(texts, m.String())
	}
	return strings.Join(texts, ",")
}

// sameCluster tells whether a list of monitors is one of the volume's cluster: one
// monitor is in both. A monitor has one address and two ports.
func (j *job) sameCluster(list string) bool {
	for text := range strings.SplitSeq(list, ",") {
		m, err := netip.ParseAddrPort(text)
		if a, bare := netip.ParseAddr(strings.Trim(text, "[]")); err != nil && bare == nil {
			m, err = netip.AddrPortFrom(a, portV1), nil
		}
		if err == nil && slices.ContainsFunc(j.mons, func(o netip.AddrPort) bool { return plain(o) == plain(m) }) {
			return true
		}
	}
	return false
}

func plain(m netip.AddrPort) netip.AddrPort {
	port := m.Port()
	if port == portV2 {
		port = portV1
	}
	return netip.AddrPortFrom(m.Addr().Unmap().WithZone(""), port)
}
