// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/drivers"
)

// page is how many volumes are asked for at a time.
const page = 500

// ListVolumes implements drivers.Manager. References are the cluster's ids: names are
// not unique.
func (d *Driver) ListVolumes(ctx context.Context) ([]drivers.ExistingVolume, error) {
	var all []drivers.ExistingVolume
	for next := int64(1); ; {
		some, err := d.list(ctx, params{"startVolumeID": next, "limit": page})
		if err != nil {
			return nil, d.failed("list volumes of", d.o.Address, err)
		}
		for _, o := range some {
			if o.there() {
				all = append(all, d.existing(&o))
			}
		}
		if len(some) < page {
			break
		}
		next = some[len(some)-1].ID + 1
	}
	slices.SortFunc(all, func(a, b drivers.ExistingVolume) int { return strings.Compare(a.Reference, b.Reference) })
	return all, nil
}

func (d *Driver) existing(o *volume) drivers.ExistingVolume {
	e := drivers.ExistingVolume{Reference: strconv.FormatInt(o.ID, 10), SizeBytes: o.TotalSize, VolumeID: o.attribute(uuidAttribute)}
	if id, is := strings.CutPrefix(o.Name, d.o.VolumePrefix); is && e.VolumeID == "" && uuid.Validate(id) == nil {
		e.VolumeID = id // the library has let it go
	}
	if len(o.Pairs) > 0 {
		e.NotSafe = "it is paired for replication"
	}
	return e
}

// ManageVolume implements drivers.Manager. ref is the id of the volume on the cluster,
// which keeps its name there: the uuid in its attributes is that of v.
func (d *Driver) ManageVolume(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	u, err := d.manage(ctx, v, ref)
	return u, d.failed("manage volume", ref, err)
}

func (d *Driver) manage(ctx context.Context, v *drivers.Volume, ref string) (*drivers.VolumeUpdate, error) {
	id, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		return nil, drivers.Errorf(drivers.ErrNotFound, "it is no volume's id on the cluster")
	}
	o, err := d.byID(ctx, id)
	if err != nil {
		return nil, err
	}
	if size := (o.TotalSize + drivers.GiB - 1) / drivers.GiB; size != int64(v.Size) {
		return nil, drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, and not %d GiB", o.TotalSize, v.Size)
	}
	if owner := o.attribute(uuidAttribute); owner != "" && owner != v.NameID() && !o.letGo() {
		return nil, drivers.Errorf(drivers.ErrExists, "it is volume %s", owner)
	}
	a, err := d.account(ctx, v)
	if err != nil {
		return nil, err
	}
	p := params{"volumeID": o.ID, "accountID": a.ID, "attributes": o.changed(map[string]any{
		uuidAttribute: v.NameID(), "is_clone": "False", imported: now(), "old_name": o.Name, exported: nil,
	})}
	q, err := d.qos(v, v.Size)
	if err != nil {
		return nil, err
	}
	if q != nil {
		p["qos"] = q
	}
	// It has to have whole GiB, as all others.
	if o.TotalSize%drivers.GiB != 0 {
		p["totalSize"] = int64(v.Size) * drivers.GiB
	}
	if err := d.call(ctx, modifyVolume, p, nil); err != nil {
		return nil, err
	}
	o.AccountID = a.ID
	return d.update(o, a), nil
}

// UnmanageVolume implements drivers.Manager.
func (d *Driver) UnmanageVolume(ctx context.Context, v *drivers.Volume) error {
	o, err := d.find(ctx, v)
	if gone(err) {
		return nil
	}
	if err == nil {
		err = d.call(ctx, modifyVolume, params{"volumeID": o.ID, "attributes": o.changed(map[string]any{
			uuidAttribute: nil, exported: now(),
		})}, nil)
	}
	return d.failed("unmanage volume", d.name(v), err)
}

// Attributes that say when a volume was adopted and let go. Cinder keeps the uuid of a
// volume that it lets go.
const imported, exported = "os_imported_at", "os_exported_at"

func (v *volume) letGo() bool {
	at := v.attribute(exported)
	return at != "" && at >= v.attribute(imported)
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05-07:00") }
