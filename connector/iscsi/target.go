// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
)

// defaultPort is that of RFC 7143.
const defaultPort = 3260

// target is one way to the volume.
type target struct {
	iqn    string
	lun    int
	portal netip.AddrPort
	name   string       // of the portal's host, if it has no address
	also   []netip.Addr // further addresses of that name
}

func (t *target) String() string { return t.iqn + " at " + t.portal.String() }

// is tells whether a portal is that of t.
func (t *target) is(portal netip.AddrPort) bool {
	if portal.Port() != t.portal.Port() {
		return false
	}
	same := func(a netip.Addr) bool { return a.WithZone("") == portal.Addr().WithZone("") }
	return same(t.portal.Addr()) || slices.ContainsFunc(t.also, same)
}

// job is one call.
type job struct {
	*iscsi
	r       connector.Request
	data    *connector.ISCSIData
	iser    bool
	targets []target
	wwids   []string // that the volume may have; empty if not known
	// stragglers are logins that go on behind the call.
	stragglers sync.WaitGroup
	// stale is held while a path removes what another volume has left: the last
	// one of them removes the map.
	stale sync.Mutex
}

// job checks the request. It keeps a copy of it: the work may outlive the call.
func (c *iscsi) job(ctx context.Context, r connector.Request) (*job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Info == nil {
		return nil, connector.Errorf(connector.ErrInvalid, "iscsi: no connection data")
	}
	if data, ok := r.Info.Data.(*connector.ISCSIData); !ok || data == nil || r.Info.Protocol != connector.ProtocolISCSI && r.Info.Protocol != connector.ProtocolISER {
		return nil, connector.Errorf(connector.ErrInvalid, "iscsi: connection data are those of %q", r.Info.Protocol)
	}
	j := &job{iscsi: c, r: r, iser: r.Info.Protocol == connector.ProtocolISER}
	j.r.Info, j.r.Device = r.Info.Clone(), r.Device.Clone()
	j.data, _ = j.r.Info.Data.(*connector.ISCSIData)
	j.wwids = slices.Clone(j.data.Shared.DeviceWWIDs)
	if err := j.findTargets(ctx); err != nil {
		return nil, fmt.Errorf("iscsi: %w", err)
	}
	return j, nil
}

// findTargets has the rules of os-brick: the lists count where there are some.
func (j *job) findTargets(ctx context.Context) error {
	d := j.data
	portals, iqns, luns := d.TargetPortals, d.TargetIQNs, d.TargetLUNs
	if len(portals) == 0 || len(iqns) == 0 && d.TargetIQN == "" {
		portals, iqns, luns = []string{d.TargetPortal}, []string{d.TargetIQN}, nil
	}
	if len(iqns) == 0 {
		iqns = slices.Repeat([]string{d.TargetIQN}, len(portals))
	}
	if len(luns) == 0 {
		luns = slices.Repeat([]int{d.TargetLUN}, len(portals))
	}
	if len(iqns) != len(portals) || len(luns) != len(portals) {
		return connector.Errorf(connector.ErrInvalid, "%d portals, %d target names, %d LUNs", len(portals), len(iqns), len(luns))
	}
	mode, _ := d.Shared.Extra["addressing_mode"].(string)
	for i, portal := range portals {
		lun, err := scsi.LUN(mode, luns[i])
		if err != nil {
			return err
		}
		if err := checkIQN(iqns[i]); err != nil {
			return err
		}
		t := target{iqn: iqns[i], lun: lun}
		if err := j.resolve(ctx, &t, portal); err != nil {
			return err
		}
		if !slices.ContainsFunc(j.targets, func(o target) bool { return strings.EqualFold(o.iqn, t.iqn) && o.portal == t.portal && o.lun == t.lun }) {
			j.targets = append(j.targets, t)
		}
	}
	return nil
}

// checkIQN refuses what would mean something else to iscsiadm or in a path.
func checkIQN(iqn string) error {
	if iqn == "" || strings.HasPrefix(iqn, "-") || strings.HasPrefix(iqn, ".") ||
		strings.ContainsFunc(iqn, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) {
		return connector.Errorf(connector.ErrInvalid, "target name %q", iqn)
	}
	return nil
}

// resolve finds the address of a portal: ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT,
// NAME:PORT, perhaps with a comma and the tag of a portal group.
func (j *job) resolve(ctx context.Context, t *target, portal string) error {
	text, _, _ := strings.Cut(strings.TrimSpace(portal), ",")
	if at, err := netip.ParseAddrPort(text); err == nil {
		t.portal = plain(at)
		return nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil {
		t.portal = plain(netip.AddrPortFrom(a, defaultPort))
		return nil
	}
	name, port := text, uint64(defaultPort)
	if host, number, err := net.SplitHostPort(text); err == nil {
		if port, err = strconv.ParseUint(number, 10, 16); err != nil || port == 0 {
			return connector.Errorf(connector.ErrInvalid, "portal %q: no such port", portal)
		}
		name = host
	}
	if name == "" || strings.ContainsAny(name, ":/ []") || strings.HasPrefix(name, "-") {
		return connector.Errorf(connector.ErrInvalid, "portal %q: want ADDRESS:PORT", portal)
	}
	ctx, cancel := context.WithTimeout(ctx, j.limits.portal)
	defer cancel()
	addrs, err := j.lookup(ctx, name)
	if err != nil || len(addrs) == 0 {
		return connector.Errorf(connector.ErrUnavailable, "portal %q: %w", portal, err)
	}
	t.name, t.portal = name, plain(netip.AddrPortFrom(addrs[0], uint16(port)))
	for _, a := range addrs[1:] {
		t.also = append(t.also, a.Unmap())
	}
	return nil
}

// plain writes an address one way only: no IPv4 inside of IPv6.
func plain(p netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()) }
