// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

type driver struct {
	*memory
	quit   chan struct{}
	closed *bool
}

// full claims the optional interfaces too.
type full struct{ driver }

var (
	_ drivers.Reverter = full{}
	_ drivers.Retyper  = full{}
	_ drivers.Manager  = full{}
)

func newDriver(m *memory) drivers.Driver {
	d := driver{memory: m, quit: make(chan struct{}), closed: new(bool)}
	go func() { <-d.quit }()
	if m.broken == "plain" {
		return d
	}
	return full{d}
}

// is tells whether the array is broken in that way.
func (m *memory) is(broken string) bool { return m.broken == broken }

// enter begins a call.
func (d driver) enter(ctx context.Context) (func(), error) {
	if d.is("context ignored") {
		if _, midway := ctx.Deadline(); (midway || ctx.Err() != nil) && d.slow.CompareAndSwap(false, true) {
			<-time.After(late + late/2)
		}
	} else if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n := d.busy.Add(1); d.is("one at a time") && n > 1 {
		d.busy.Add(-1)
		return nil, drivers.Errorf(drivers.ErrUnavailable, "two calls at once")
	}
	if d.is("one at a time") {
		<-time.After(time.Millisecond)
	}
	d.mu.Lock()
	return func() { d.mu.Unlock(); d.busy.Add(-1) }, nil
}

func (d driver) name(v *drivers.Volume) string {
	if d.is("name id ignored") {
		return "volume-" + v.ID
	}
	return v.NameOnArray()
}

func (d driver) missing(what string) error {
	if d.is("errors unmarked") {
		return errors.New("no " + what)
	}
	return drivers.Errorf(drivers.ErrNotFound, "no %s", what)
}

func (d driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s := &drivers.Stats{BackendName: "memory", VendorName: "driverstest", DriverVersion: "1", StorageProtocol: "iSCSI"}
	p := drivers.PoolStats{Name: "pool", Total: 100, Free: 50, MaxOverSubscription: 20, ThinProvisioning: true, MultiAttach: true}
	switch d.broken {
	case "no pools":
		return s, nil
	case "no vendor":
		s.VendorName = ""
	case "no total":
		p.Total = 0
	case "single attach":
		p.MultiAttach = false
	}
	s.Pools = []drivers.PoolStats{p}
	return s, nil
}

// put makes a volume with the content of from, which may be nil.
func (d driver) put(ctx context.Context, v *drivers.Volume, from func() (*object, error)) (*drivers.VolumeUpdate, error) {
	if _, midway := ctx.Deadline(); d.is("half made") && (midway || ctx.Err() != nil) {
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.volumes[d.name(v)] = &object{size: 1}
		return nil, ctx.Err()
	}
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	size := int64(v.Size) * drivers.GiB
	if size > 1<<50 {
		if d.is("errors unmarked") {
			return nil, errors.New("too large")
		}
		return nil, drivers.Errorf(drivers.ErrExhausted, "too large")
	}
	if d.is("texts quoted badly") && strings.ContainsAny(v.Name, `'"`) {
		return nil, drivers.Errorf(drivers.ErrInternal, "syntax error")
	}
	o := d.volumes[d.name(v)]
	if o != nil && o.size != size && !d.is("other size taken") {
		return nil, drivers.Errorf(drivers.ErrExists, "other size")
	}
	if o != nil && d.is("create once") {
		return nil, drivers.Errorf(drivers.ErrExists, "exists")
	}
	if o == nil {
		o = &object{size: size, pages: map[int64][]byte{}, access: map[string]bool{}, made: uuid.NewString()}
		if from != nil {
			src, err := from()
			if err != nil {
				return nil, err
			}
			o.pages = maps.Clone(src.pages)
			if d.is("clone shared") {
				o.pages = src.pages
			}
			if size > src.size && d.is("tail dirty") {
				o.pages[src.size] = pattern(1, 1)
			}
			if d.is("clone not grown") {
				o.size = src.size
			}
		}
		if d.is("size wrong") {
			o.size += 512
		}
		d.volumes[d.name(v)] = o
	}
	if d.is("record changed") {
		v.ProviderID = o.made
	}
	if d.is("update once") {
		defer func() { o.made = "" }()
	}
	return &drivers.VolumeUpdate{ProviderID: new(o.made)}, nil
}

func (d driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return d.put(ctx, v, nil)
}

func (d driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	if src.Status == drivers.StatusInUse && d.is("connected refused wrongly") {
		return nil, drivers.Errorf(drivers.ErrUnavailable, "connected")
	}
	return d.put(ctx, v, func() (*object, error) {
		if o := d.volumes[d.name(src)]; o != nil {
			return o, nil
		}
		return nil, d.missing("volume")
	})
}

func (d driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return d.put(ctx, v, func() (*object, error) {
		o := d.snapshots[s.ID]
		if o == nil {
			return nil, d.missing("snapshot")
		}
		if now := d.volumes[o.of]; now != nil && d.is("snapshot not frozen") {
			return now, nil
		}
		return o, nil
	})
}

func (d driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	name := d.name(v)
	o := d.volumes[name]
	if o == nil {
		if d.is("delete once") {
			return d.missing("volume")
		}
		return nil
	}
	switch d.broken {
	case "delete forgotten":
		return nil
	case "delete by provider id":
		if v.ProviderID == "" {
			return nil
		}
	case "ids cut":
		maps.DeleteFunc(d.volumes, func(n string, _ *object) bool { return strings.HasPrefix(n, name) })
	case "snapshots cascade":
		maps.DeleteFunc(d.snapshots, func(_ string, s *object) bool { return s.of == name })
	case "dependents unmarked", "dependents":
		for _, s := range d.snapshots {
			if s.of == name && d.is("dependents") {
				return drivers.Errorf(drivers.ErrHasDependents, "has snapshots")
			}
			if s.of == name {
				return drivers.Errorf(drivers.ErrInternal, "has snapshots")
			}
		}
	}
	delete(d.volumes, name)
	return nil
}

func (d driver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	o, bytes := d.volumes[d.name(v)], int64(size)*drivers.GiB
	switch {
	case o == nil:
		return d.missing("volume")
	case bytes > 1<<50:
		return drivers.Errorf(drivers.ErrExhausted, "too large")
	case o.size == bytes && d.is("extend once"):
		return drivers.Errorf(drivers.ErrInvalid, "same size")
	case o.size > bytes && !d.is("extend shrinks"):
		return drivers.Errorf(drivers.ErrInvalid, "larger")
	case v.PreviousStatus == drivers.StatusInUse && d.is("connected refused wrongly"):
		return drivers.Errorf(drivers.ErrUnavailable, "connected")
	case v.PreviousStatus == drivers.StatusInUse && d.is("connected refused"):
		return drivers.Errorf(drivers.ErrInUse, "connected")
	}
	if d.is("extend empties") {
		clear(o.pages)
	}
	o.size = bytes
	return nil
}

func (d driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o := d.volumes[d.name(v)]
	if o == nil && d.is("unknown inspected") {
		return &drivers.VolumeState{SizeBytes: int64(v.Size) * drivers.GiB}, nil
	}
	if o == nil {
		return nil, d.missing("volume")
	}
	return &drivers.VolumeState{SizeBytes: o.size}, nil
}

func (d driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if v.Status == drivers.StatusInUse && d.is("connected refused") {
		return nil, drivers.Errorf(drivers.ErrInUse, "connected")
	}
	o := d.volumes[d.name(v)]
	if o == nil {
		return nil, d.missing("volume")
	}
	if d.snapshots[s.ID] == nil {
		d.snapshots[s.ID] = &object{size: o.size, pages: maps.Clone(o.pages), of: d.name(v)}
	} else if d.is("snapshot once") {
		return nil, drivers.Errorf(drivers.ErrExists, "exists")
	}
	return nil, nil
}

func (d driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if d.volumes[d.name(v)] == nil && d.is("delete snapshot needs volume") {
		return d.missing("volume")
	}
	delete(d.snapshots, s.ID)
	return nil
}

func (d driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o := d.volumes[d.name(v)]
	if o == nil {
		return nil, d.missing("volume")
	}
	if o.secret == "" || d.is("secret renewed") {
		d.secrets++
		o.secret = fmt.Sprint("secret ", d.secrets)
	}
	return &drivers.VolumeUpdate{ProviderAuth: new(drivers.Secret(o.secret))}, nil
}

func (d driver) Unexport(ctx context.Context, v *drivers.Volume) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if o := d.volumes[d.name(v)]; o != nil {
		o.secret = ""
	} else if d.is("unexport needs volume") {
		return d.missing("volume")
	}
	return nil
}

func (d driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o := d.volumes[d.name(v)]
	if o == nil {
		return nil, d.missing("volume")
	}
	if !o.access[a.Host.Initiator] && len(o.access) > 0 && (d.is("single attach") || d.is("second host refused")) {
		return nil, drivers.Errorf(drivers.ErrInUse, "connected")
	}
	o.access[a.Host.Initiator] = true
	if d.is("lun moves") {
		o.lun++
	}
	if d.is("attachment changed") {
		a.Host.Host = "changed"
	}
	return &connector.ConnInfo{Protocol: connector.ProtocolISCSI, Data: &connector.ISCSIData{
		TargetIQN: d.name(v), TargetLUN: o.lun, AuthUsername: a.Host.Initiator, AuthPassword: v.ProviderAuth,
	}}, nil
}

func (d driver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	leave, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	o := d.volumes[d.name(v)]
	switch {
	case o == nil:
		return nil
	case d.is("disconnect once") && !o.access[a.Host.Initiator]:
		return d.missing("host")
	case d.is("disconnect takes all"):
		clear(o.access)
	case d.is("disconnect forgotten"):
		return nil
	}
	for _, other := range a.Others {
		if other.Initiator == a.Host.Initiator && !d.is("others ignored") {
			return nil
		}
	}
	delete(o.access, a.Host.Initiator)
	return nil
}

func (d driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if *d.closed {
		if d.is("close once") {
			return drivers.Errorf(drivers.ErrPrecondition, "closed")
		}
		return nil
	}
	*d.closed = true
	if !d.is("goroutine left") {
		close(d.quit)
	}
	return nil
}

func (f full) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if f.is("claims only") {
		return fmt.Errorf("revert: %w", errors.ErrUnsupported)
	}
	o, from := f.volumes[f.name(v)], f.snapshots[s.ID]
	if o == nil || from == nil {
		return f.missing("snapshot")
	}
	o.size, o.pages = from.size, maps.Clone(from.pages)
	if f.is("revert eats snapshot") {
		f.snapshots[s.ID] = &object{size: from.size, of: from.of}
	}
	if f.is("revert small") {
		o.size -= 512
	}
	return nil
}

func (f full) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if f.is("claims only") {
		return nil, fmt.Errorf("retype: %w", errors.ErrUnsupported)
	}
	o := f.volumes[f.name(v)]
	if o == nil {
		return nil, f.missing("volume")
	}
	asked := "nothing"
	if t != nil {
		asked = fmt.Sprint(t.ExtraSpecs)
	}
	if o.asked == asked && f.is("retype once") {
		return nil, drivers.Errorf(drivers.ErrExists, "it has that")
	}
	o.asked = asked
	if f.is("retype empties") {
		clear(o.pages)
	}
	return nil, nil
}

func (f full) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if f.is("claims only") {
		return nil, fmt.Errorf("list: %w", errors.ErrUnsupported)
	}
	var list []drivers.ExistingVolume
	for name, o := range f.volumes {
		e := drivers.ExistingVolume{Reference: name, SizeBytes: o.size}
		if !o.foreign {
			e.VolumeID = strings.TrimPrefix(name, "volume-")
		}
		list = append(list, e)
	}
	if f.is("list with snapshots") {
		for id := range f.snapshots {
			list = append(list, drivers.ExistingVolume{Reference: "snapshot-" + id})
		}
	}
	slices.SortFunc(list, func(a, b drivers.ExistingVolume) int {
		if f.is("list disordered") {
			a, b = b, a
		}
		return cmp.Compare(a.Reference, b.Reference)
	})
	if f.is("list empty") {
		return nil, nil
	}
	return list, nil
}

func (f full) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o := f.volumes[ref]
	if o == nil && !f.is("manage once") {
		o = f.volumes[f.name(v)] // cut off before
	}
	if o == nil {
		return nil, f.missing("volume")
	}
	delete(f.volumes, ref)
	f.volumes[f.name(v)] = o
	o.foreign = false
	if !f.is("manage not rounded") {
		o.size = int64(v.Size) * drivers.GiB
	}
	return nil, nil
}

func (f full) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if f.is("unmanage deletes") {
		delete(f.volumes, f.name(v))
	}
	return nil
}
