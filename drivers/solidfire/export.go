// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// Export makes sure that the record knows the target and its secrets: the cluster
// has them from the beginning.
func (d *Driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if _, known := parseIDs(v.ProviderID, d.cluster.UUID); known && v.ProviderAuth != "" {
		return nil, nil //nolint:nilnil // nothing is to change
	}
	o, err := d.find(ctx, v)
	if err != nil {
		return nil, d.failed("export volume", d.name(v), err)
	}
	a, err := d.accountByID(ctx, o.AccountID)
	if err != nil {
		return nil, d.failed("export volume", d.name(v), err)
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
	o, err := d.find(ctx, v)
	if err != nil {
		return nil, err
	}
	auth := strings.Fields(v.ProviderAuth.Reveal())
	if len(auth) != 3 {
		return nil, drivers.Errorf(drivers.ErrInternal, "the record has no CHAP secret; export it first")
	}
	if d.o.AccessGroups {
		if err := d.letIn(ctx, o.ID, a.Host.Initiator); err != nil {
			return nil, err
		}
	}
	portal, discard, encrypted := d.o.portal(d.cluster.SVIP), true, false
	data := &connector.ISCSIData{
		TargetPortal: portal, TargetIQN: o.IQN, AuthMethod: auth[0], AuthUsername: auth[1], AuthPassword: connector.Secret(auth[2]),
		Shared: connector.Common{VolumeID: v.ID, AccessMode: a.Mode, Discard: &discard, Encrypted: &encrypted},
	}
	if o.NAA != "" {
		data.Shared.DeviceWWIDs = []string{"naa." + strings.ToLower(o.NAA)}
	}
	if a.Host.Multipath {
		data.TargetPortals, data.TargetIQNs, data.TargetLUNs = []string{portal}, []string{o.IQN}, []int{0}
	}
	if !o.Enable512e {
		data.PhysicalBlockSize, data.LogicalBlockSize = "4096", "4096"
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
