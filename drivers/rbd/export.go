// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"net"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// Export has nothing to do: who has the key reaches all images of the pool.
func (d *Driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return nil, d.known(ctx, "export", v)
}

func (d *Driver) known(ctx context.Context, what string, v *drivers.Volume) error {
	name := v.NameOnArray()
	return d.do(ctx, what, name, func(p ceph.Pool) error {
		return with(ctx, p, name, toRead, func(ceph.Image) error { return nil })
	})
}

// Unexport has nothing to do.
func (d *Driver) Unexport(ctx context.Context, v *drivers.Volume) error {
	return failed("unexport", v.NameOnArray(), ctx.Err())
}

// Connect tells where the monitors are, and what the image is called.
func (d *Driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	if err := d.known(ctx, "connect", v); err != nil {
		return nil, err
	}
	name := v.NameOnArray()
	var info *connector.ConnInfo
	err := d.do(ctx, "connect", name, func(ceph.Pool) error {
		c, err := d.connection(ctx)
		if err != nil {
			return err
		}
		hosts, ports, err := monitors(ctx, c)
		if err != nil {
			return err
		}
		secret, discard := d.o.SecretUUID, true
		if secret == "" {
			secret = c.FSID()
		}
		info = &connector.ConnInfo{Protocol: connector.ProtocolRBD, Data: &connector.RBDData{
			Name: d.o.Pool + "/" + name, Hosts: hosts, Ports: ports, ClusterName: d.o.ClusterName,
			AuthEnabled: d.o.User != "", AuthUsername: d.o.User, SecretType: "ceph", SecretUUID: secret, Keyring: d.keyring,
			Shared: connector.Common{VolumeID: v.ID, AccessMode: a.Mode, Discard: &discard},
		}}
		return nil
	})
	return info, err
}

// monitors asks for their addresses, of the protocol that every client speaks.
func monitors(ctx context.Context, c ceph.Cluster) (hosts, ports []string, err error) {
	var dump struct {
		Mons []struct {
			Addr string `json:"addr"` // HOST:PORT/NONCE
		} `json:"mons"`
	}
	if err := ask(ctx, c, map[string]string{"prefix": "mon dump"}, &dump); err != nil {
		return nil, nil, err
	}
	for _, m := range dump.Mons {
		addr, _, _ := strings.Cut(m.Addr, "/")
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, nil, drivers.Errorf(drivers.ErrInternal, "mon dump: address %q: %w", m.Addr, err)
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	if len(hosts) == 0 {
		return nil, nil, drivers.Errorf(drivers.ErrInternal, "mon dump: it names no monitor")
	}
	return hosts, ports, nil
}

// Disconnect has nothing to do: the host has let go of the image.
func (d *Driver) Disconnect(ctx context.Context, v *drivers.Volume, _ *drivers.Attachment) error {
	return failed("disconnect", v.NameOnArray(), ctx.Err())
}
