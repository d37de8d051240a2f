// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// noop is a driver that does nothing but remember sizes: what is measured and
// tested with it is the library alone.
type noop struct {
	name string
	mu   sync.Mutex
	size map[string]int
}

func newNoop(name string) *noop { return &noop{name: name, size: map[string]int{}} }

func (d *noop) Stats(context.Context) (*drivers.Stats, error) {
	return &drivers.Stats{
		BackendName: d.name, VendorName: "none", DriverVersion: "1", StorageProtocol: "local",
		Pools: []drivers.PoolStats{{Name: d.name, Total: drivers.Infinite, Free: drivers.Unknown}},
	}, nil
}

func (d *noop) set(v *drivers.Volume, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size[v.ID] = size
}

func (d *noop) CreateVolume(_ context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	d.set(v, v.Size)
	return nil, nil
}

func (d *noop) DeleteVolume(_ context.Context, v *drivers.Volume) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.size, v.ID)
	return nil
}

func (d *noop) ExtendVolume(_ context.Context, v *drivers.Volume, size int) error {
	d.set(v, size)
	return nil
}

func (d *noop) CloneVolume(ctx context.Context, v, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return d.CreateVolume(ctx, v)
}

func (d *noop) InspectVolume(_ context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size, ok := d.size[v.ID]
	if !ok {
		return nil, drivers.Errorf(drivers.ErrNotFound, "noop: no volume %s", v.ID)
	}
	return &drivers.VolumeState{SizeBytes: int64(size) * drivers.GiB}, nil
}

func (d *noop) CreateSnapshot(context.Context, *drivers.Snapshot, *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	return nil, nil
}

func (d *noop) DeleteSnapshot(context.Context, *drivers.Snapshot, *drivers.Volume) error { return nil }

func (d *noop) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, _ *drivers.Snapshot, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return d.CreateVolume(ctx, v)
}

func (d *noop) Export(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return nil, nil
}
func (d *noop) Unexport(context.Context, *drivers.Volume) error { return nil }

func (d *noop) Connect(_ context.Context, v *drivers.Volume, _ *drivers.Attachment) (*connector.ConnInfo, error) {
	return &connector.ConnInfo{Protocol: "local", Data: &connector.LocalData{
		DevicePath: "/dev/null", Shared: connector.Common{VolumeID: v.ID},
	}}, nil
}

func (d *noop) Disconnect(context.Context, *drivers.Volume, *drivers.Attachment) error { return nil }
func (d *noop) Close() error                                                           { return nil }
