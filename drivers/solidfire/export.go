// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// Export makes sure that the record knows the target, which the cluster has from the
// beginning.
func (d *Driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if _, known := parseIDs(v.ProviderID, d.cluster.UUID); known && v.ProviderLocation != "" && v.ProviderAuth != "" {
		return nil, nil //nolint:nilnil // nothing is to change
	}
	u, err := d.reach(ctx, v)
	return u, d.failed("export volume", d.name(v), err)
}

// reach is by what hosts reach the volume now. If it is where its record says, that is
// the secret of its account, which its owner may have changed.
func (d *Driver) reach(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if id, known := parseIDs(v.ProviderID, d.cluster.UUID); known && len(strings.Fields(v.ProviderLocation)) == 3 {
		a, err := d.accountByID(ctx, id.second)
		if err != nil && !gone(err) {
			return nil, err
		}
		if err == nil && slices.Contains(a.Volumes, id.first) {
			auth := a.auth()
			return &drivers.VolumeUpdate{ProviderAuth: &auth}, nil
		}
	}
	o, err := d.find(ctx, v)
	if err != nil {
		return nil, err
	}
	a, err := d.accountByID(ctx, o.AccountID)
	if err != nil {
		return nil, err
	}
	return d.update(o, a), nil
}

// Unexport has nothing to do.
func (d *Driver) Unexport(ctx context.Context, v *drivers.Volume) error {
	return d.failed("unexport volume", d.name(v), ctx.Err())
}

// Connect tells where the volume is, and with access groups lets the host in.
func (d *Driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	info, err := d.connect(ctx, v, a)
	return info, d.failed("connect volume", d.name(v), err)
}

func (d *Driver) connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	u, err := d.reach(ctx, v)
	if err != nil {
		return nil, err
	}
	v = v.Clone()
	u.Apply(v)
	id, _ := parseIDs(v.ProviderID, d.cluster.UUID)
	if d.o.AccessGroups {
		if err := d.letIn(ctx, id.first, a.Host.Initiator); err != nil {
			return nil, err
		}
	}
	iqn, auth := strings.Fields(v.ProviderLocation)[1], strings.Fields(v.ProviderAuth.Reveal())
	portal, discard, encrypted := d.o.portal(d.cluster.SVIP), true, false
	data := &connector.ISCSIData{
		TargetPortal: portal, TargetIQN: iqn, AuthMethod: auth[0], AuthUsername: auth[1], AuthPassword: connector.Secret(auth[2]),
		Shared: connector.Common{VolumeID: v.ID, AccessMode: a.Mode, Discard: &discard, Encrypted: &encrypted, DeviceWWIDs: d.cluster.wwid(id.first)},
	}
	if a.Host.Multipath {
		data.TargetPortals, data.TargetIQNs, data.TargetLUNs = []string{portal}, []string{iqn}, []int{0}
	}
	if sizes := strings.Fields(v.ProviderGeometry); len(sizes) == 2 {
		data.PhysicalBlockSize, data.LogicalBlockSize = sizes[0], sizes[1]
	}
	return &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: data}, nil
}

// Disconnect takes the volume out of the host's access group.
func (d *Driver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	if !d.o.AccessGroups || a.Host == nil || ctx.Err() != nil {
		return d.failed("disconnect volume", d.name(v), ctx.Err())
	}
	for _, other := range a.Others {
		if strings.EqualFold(other.Initiator, a.Host.Initiator) {
			return nil
		}
	}
	id, err := d.idOf(ctx, v)
	if gone(err) {
		return nil
	}
	if err == nil {
		err = d.shutOut(ctx, id, a.Host.Initiator)
	}
	return d.failed("disconnect volume", d.name(v), err)
}
