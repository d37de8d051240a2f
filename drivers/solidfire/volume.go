// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
	"github.com/gocinder/cinderlib/internal/rest"
)

// name is that of a volume on the cluster.
func (d *Driver) name(v *drivers.Volume) string { return d.o.VolumePrefix + v.NameID() }

// CreateVolume implements drivers.Provisioner.
func (d *Driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	u, err := d.create(ctx, v)
	return u, d.failed("create volume", d.name(v), err)
}

func (d *Driver) create(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	q, err := d.qos(v, v.Size)
	if err != nil {
		return nil, err
	}
	a, err := d.account(ctx, v)
	if err != nil {
		return nil, err
	}
	p := params{
		"name": d.name(v), "accountID": a.ID, "sliceCount": 1, "totalSize": int64(v.Size) * drivers.GiB,
		"enable512e": d.o.Emulate512, "attributes": d.attributes(v, false),
	}
	if q != nil {
		p["qos"] = q
	}
	return d.make(ctx, v, a, createVolume, p, d.o.CreateTimeout)
}

// attributes are those of a new volume. The cluster takes 1000 bytes of them.
func (d *Driver) attributes(v *drivers.Volume, clone bool) map[string]any {
	all := map[string]any{
		uuidAttribute: v.NameID(), "is_clone": clone,
		"created_at": v.CreatedAt.UTC().Format("2006-01-02T15:04:05-07:00"),
	}
	for name, value := range ownAttributes(v) { // not maps.Copy: other types
		all[name] = value
	}
	if v.Name != "" {
		all["cinder-name"] = v.Name
	}
	if text, err := json.Marshal(all); err == nil && len(text) > 1000 {
		delete(all, "cinder-name")
	}
	return all
}

// attributePrefix is of extra specs that are attributes on the cluster.
const attributePrefix = "SFAttribute:"

func ownAttributes(v *drivers.Volume) map[string]string {
	all := map[string]string{}
	for name, value := range v.ExtraSpecs() {
		if name, is := strings.CutPrefix(name, attributePrefix); is {
			all[name] = value
		}
	}
	return all
}

// make has the cluster make a volume, and waits for it. There may then be more of its
// name: of a call that was cut off, or of a request that was carried out twice. The
// oldest stays.
func (d *Driver) make(ctx context.Context, v *drivers.Volume, a *account, m method, p params, limit time.Duration) (*drivers.VolumeUpdate, error) {
	have, id, err := d.ask(ctx, v, m, p, limit)
	for i, o := range have {
		if i > 0 {
			err = fault.Join(err, d.remove(ctx, o.ID))
		}
	}
	if err == nil && have[0].TotalSize/drivers.GiB != int64(v.Size) {
		return nil, drivers.Errorf(drivers.ErrExists, "it is there with %d bytes", have[0].TotalSize)
	}
	if err == nil && have[0].AccountID != a.ID {
		a, err = d.accountByID(ctx, have[0].AccountID)
	}
	if err != nil {
		return nil, fault.Join(err, d.takeBack(ctx, v, id, err))
	}
	return d.update(&have[0], a), nil
}

// ask asks for a volume until it is there. If nobody knows whether that was heard, it
// looks, and asks once more. id is that of the cluster's answer.
func (d *Driver) ask(ctx context.Context, v *drivers.Volume, m method, p params, limit time.Duration) (have []volume, id int64, err error) {
	for try := 1; ; try++ {
		var made struct {
			ID int64 `json:"volumeID"`
		}
		err := d.call(ctx, m, p, &made)
		lost := rest.Lost(err) && ctx.Err() == nil
		if err != nil && !lost {
			return nil, 0, err
		}
		if lost {
			limit = d.patience
		}
		have, there, looked := d.await(ctx, v, made.ID, limit)
		switch {
		case looked != nil:
			return nil, made.ID, fault.Join(err, looked)
		case there:
			return have, made.ID, nil
		case !lost:
			return nil, made.ID, drivers.Errorf(drivers.ErrUnavailable, "volume %d is not there within %s", made.ID, limit)
		case try == 2:
			return nil, 0, err
		}
	}
}

// await waits for a volume to be active: for that of an id, or for any of its name.
func (d *Driver) await(ctx context.Context, v *drivers.Volume, id int64, limit time.Duration) (have []volume, there bool, err error) {
	there, err = poll.Until(ctx, limit, func() (bool, error) {
		var err error
		have, err = d.named(ctx, v)
		found := slices.ContainsFunc(have, func(o volume) bool { return o.ID == id || id == 0 })
		return found && !slices.ContainsFunc(have, func(o volume) bool { return o.Status == creating }), err
	})
	return have, there, err
}

// takeBack removes what there may be of a volume that was not made. One that was
// refused is not there; one that the cluster has promised, by its id, comes.
func (d *Driver) takeBack(ctx context.Context, v *drivers.Volume, id int64, err error) error {
	if id == 0 && !rest.Lost(err) {
		return nil
	}
	const limit = 2 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	wait := time.Duration(0)
	if id != 0 {
		wait = d.patience
	}
	have, _, err := d.await(ctx, v, id, wait)
	faults := []error{err}
	for _, o := range have {
		faults = append(faults, d.remove(ctx, o.ID))
	}
	if err := fault.Join(faults...); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// update is what a record is to keep of its volume, in Cinder's form.
func (d *Driver) update(o *volume, a *account) *drivers.VolumeUpdate {
	id := ids{o.ID, o.AccountID, d.cluster.UUID}.String()
	location := d.o.portal(d.cluster.SVIP) + " " + o.IQN + " 0"
	auth := a.auth()
	u := &drivers.VolumeUpdate{ProviderID: &id, ProviderLocation: &location, ProviderAuth: &auth}
	if !o.Enable512e {
		geometry := "4096 4096"
		u.ProviderGeometry = &geometry
	}
	return u
}

// list lists volumes that a filter finds, by their ids.
func (d *Driver) list(ctx context.Context, filter params) ([]volume, error) {
	var found struct {
		Volumes []volume `json:"volumes"`
	}
	if err := d.call(ctx, listVolumes, filter, &found); err != nil {
		return nil, err
	}
	slices.SortFunc(found.Volumes, func(a, b volume) int { return cmp.Compare(a.ID, b.ID) })
	return found.Volumes, nil
}

// named lists what there is of a volume by its name, the oldest first. Deleted ones,
// and those of that name which are somebody else's, do not count.
func (d *Driver) named(ctx context.Context, v *drivers.Volume) ([]volume, error) {
	all, err := d.list(ctx, params{"volumeName": d.name(v)})
	return slices.DeleteFunc(all, func(o volume) bool {
		return o.Name != d.name(v) || o.attribute(uuidAttribute) != v.NameID() || !o.there()
	}), err
}

// find finds a volume by the id in its record, or by its name. A volume that was
// adopted keeps the name that it had, so it is looked for in its account.
func (d *Driver) find(ctx context.Context, v *drivers.Volume) (*volume, error) {
	if id, known := parseIDs(v.ProviderID, d.cluster.UUID); known {
		// If it is not there, it may have been made anew since the record was stored.
		if o, err := d.byID(ctx, id.first); !gone(err) {
			return o, err
		}
	}
	have, err := d.named(ctx, v)
	if err == nil && len(have) == 0 {
		have, err = d.adopted(ctx, v)
	}
	switch {
	case err != nil:
		return nil, err
	case len(have) == 0:
		return nil, drivers.Errorf(drivers.ErrNotFound, "it is not on the cluster")
	case len(have) > 1:
		return nil, drivers.Errorf(drivers.ErrInternal, "the cluster has %d volumes of this id, %d and %d among them", len(have), have[0].ID, have[1].ID)
	}
	return &have[0], nil
}

// byID finds what has an id of the cluster's.
func (d *Driver) byID(ctx context.Context, id int64) (*volume, error) {
	have, err := d.list(ctx, params{"volumeIDs": []int64{id}})
	if err != nil {
		return nil, err
	}
	for _, o := range have {
		if o.ID == id && o.there() {
			return &o, nil
		}
	}
	return nil, drivers.Errorf(drivers.ErrNotFound, "there is no volume %d on the cluster", id)
}

// adopted looks through the accounts of the volume's project.
func (d *Driver) adopted(ctx context.Context, v *drivers.Volume) ([]volume, error) {
	name, err := d.o.account(v.ProjectID)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{name, name + "_"} {
		a, err := d.accountNamed(ctx, name)
		if a == nil || err != nil {
			return nil, err
		}
		var found struct {
			Volumes []volume `json:"volumes"`
		}
		if err := d.call(ctx, listVolumesForAccount, params{"accountID": a.ID}, &found); err != nil {
			return nil, err
		}
		have := slices.DeleteFunc(found.Volumes, func(o volume) bool { return o.attribute(uuidAttribute) != v.NameID() || o.Status != active })
		if len(have) > 0 || len(a.Volumes) < fullAccount {
			return have, nil
		}
	}
	return nil, nil
}

// idOf is the id that the cluster gave the volume.
func (d *Driver) idOf(ctx context.Context, v *drivers.Volume) (int64, error) {
	if id, known := parseIDs(v.ProviderID, d.cluster.UUID); known {
		return id.first, nil
	}
	o, err := d.find(ctx, v)
	if err != nil {
		return 0, err
	}
	return o.ID, nil
}

// DeleteVolume implements drivers.Provisioner.
func (d *Driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	return d.failed("delete volume", d.name(v), d.delete(ctx, v))
}

func (d *Driver) delete(ctx context.Context, v *drivers.Volume) error {
	if id, known := parseIDs(v.ProviderID, d.cluster.UUID); known {
		if there, err := d.removeUnneeded(ctx, id.first); there || err != nil {
			return err
		}
	}
	have, err := d.named(ctx, v)
	if err == nil && len(have) == 0 && v.ProviderID == "" {
		have, err = d.adopted(ctx, v)
	}
	faults := []error{err}
	for _, o := range have {
		_, err := d.removeUnneeded(ctx, o.ID)
		faults = append(faults, err)
	}
	return fault.Join(faults...)
}

// removeUnneeded removes a volume, and refuses one with snapshots, which would go with
// it. It tells whether it was there.
func (d *Driver) removeUnneeded(ctx context.Context, id int64) (there bool, err error) {
	have, err := d.snapshotsOf(ctx, id)
	if gone(err) {
		return false, nil
	}
	if len(have) > 0 {
		return true, drivers.Errorf(drivers.ErrHasDependents, "it has %d snapshots, %s among them", len(have), have[0].Name)
	}
	if err == nil {
		err = d.call(ctx, deleteVolume, params{"volumeID": id}, nil)
		there = err == nil
	}
	if err != nil && !gone(err) {
		return there, err
	}
	if err := d.call(ctx, purgeDeletedVolume, params{"volumeID": id}, nil); err != nil && !gone(err) {
		return there, err
	}
	return there, nil
}

// remove deletes a volume and its data, now and not in eight hours.
func (d *Driver) remove(ctx context.Context, id int64) error {
	for _, m := range []method{deleteVolume, purgeDeletedVolume} {
		if err := d.call(ctx, m, params{"volumeID": id}, nil); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// ExtendVolume implements drivers.Provisioner.
func (d *Driver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	return d.failed("extend volume", d.name(v), d.extend(ctx, v, size))
}

func (d *Driver) extend(ctx context.Context, v *drivers.Volume, size int) error {
	o, err := d.find(ctx, v)
	if err != nil {
		return err
	}
	switch have := o.TotalSize / drivers.GiB; {
	case have > int64(size):
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d GiB", o.TotalSize, size)
	case have == int64(size):
		return nil
	}
	p := params{"volumeID": o.ID, "totalSize": int64(size) * drivers.GiB}
	q, err := d.qos(v, size)
	if err != nil {
		return err
	}
	if q != nil {
		p["qos"] = q
	}
	return d.call(ctx, modifyVolume, p, nil)
}

// InspectVolume implements drivers.Provisioner.
func (d *Driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	o, err := d.find(ctx, v)
	if err != nil {
		return nil, d.failed("inspect volume", d.name(v), err)
	}
	return &drivers.VolumeState{SizeBytes: o.TotalSize}, nil
}

// changed gives a volume other attributes: the cluster takes them as a whole.
func (o *volume) changed(change map[string]any) map[string]any {
	all := maps.Clone(o.Attributes)
	if all == nil {
		all = map[string]any{}
	}
	for name, value := range change {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}
