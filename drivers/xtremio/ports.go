// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
)

// endpoint is a port of the array that hosts may use: address:port of an iSCSI portal
// and the name of its target, or a WWN without colons.
type endpoint struct{ address, iqn string }

// ports are those that the array has and xtremio_ports allows, in the array's order.
func (d *Driver) ports(ctx context.Context) ([]endpoint, error) {
	return d.endpoints.get(func() ([]endpoint, error) {
		read := d.portals
		if d.protocol == connector.ProtocolFC {
			read = d.targets
		}
		all, err := read(ctx)
		if err == nil && len(all) == 0 {
			return nil, drivers.Errorf(drivers.ErrPrecondition, "the array has no port that hosts may use (xtremio_ports: %s)", strings.Join(d.o.Ports, ", "))
		}
		return all, err
	})
}

func (d *Driver) portals(ctx context.Context) ([]endpoint, error) {
	found, err := list[portal](ctx, d, "iscsi-portals", nil, "ip-addr", "ip-port", "port-address")
	var all []endpoint
	for _, p := range found {
		address, _, _ := strings.Cut(p.Address, "/")
		if d.allows(address) {
			all = append(all, endpoint{san.HostPort(address, int(p.Port)), p.IQN})
		}
	}
	return all, err
}

func (d *Driver) targets(ctx context.Context) ([]endpoint, error) {
	found, err := list[target](ctx, d, "targets", []string{"port-type:eq:fc", "port-state:eq:up"}, "port-address", "port-type", "port-state")
	var all []endpoint
	for _, t := range found {
		if t.Type == "fc" && t.State == "up" && d.allows(t.Address) {
			all = append(all, endpoint{address: bare(t.Address)})
		}
	}
	return all, err
}

// allows compares addresses as such: ::1 is 0:0:0:0:0:0:0:1.
func (d *Driver) allows(address string) bool {
	return len(d.o.Ports) == 0 || slices.ContainsFunc(d.o.Ports, func(p string) bool {
		p = strings.TrimSpace(p)
		a, err1 := netip.ParseAddr(address)
		b, err2 := netip.ParseAddr(p)
		return strings.EqualFold(p, address) || err1 == nil && err2 == nil && a == b
	})
}

func bare(wwn string) string { return strings.ReplaceAll(wwn, ":", "") }

func iscsiData(ports []endpoint, lun int, host *initiator, want chap, shared connector.Common) *connector.ISCSIData {
	data := &connector.ISCSIData{TargetPortal: ports[0].address, TargetIQN: ports[0].iqn, TargetLUN: lun, Shared: shared}
	for _, p := range ports {
		data.TargetPortals, data.TargetIQNs, data.TargetLUNs = append(data.TargetPortals, p.address), append(data.TargetIQNs, p.iqn), append(data.TargetLUNs, lun)
	}
	if want.login {
		data.AuthMethod, data.AuthUsername, data.AuthPassword = "CHAP", host.User, host.Secret
	}
	if want.discovery {
		data.DiscoveryAuthMethod, data.DiscoveryAuthUsername, data.DiscoveryAuthPassword = "CHAP", host.FindUser, host.FindWith
	}
	return data
}

func fcData(ports []endpoint, lun int, addresses []string, shared connector.Common) *connector.FCData {
	data := &connector.FCData{TargetLUN: lun, InitiatorTargetMap: map[string][]string{}, Shared: shared}
	for _, p := range ports {
		data.TargetWWNs = append(data.TargetWWNs, p.address)
	}
	for _, a := range addresses {
		data.InitiatorTargetMap[bare(a)] = slices.Clone(data.TargetWWNs)
	}
	return data
}
