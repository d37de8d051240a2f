// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/internal/undo"
)

// undoGrace is how long what has failed is taken back.
const undoGrace = 10 * time.Second

// CreateVolume makes an image. ErrExists: there is one of another size.
func (d *Driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	var update *drivers.VolumeUpdate
	err := d.new(ctx, "create", v, func(p ceph.Pool, w *wanted) (err error) {
		update, err = d.create(ctx, p, w)
		return err
	})
	return update, err
}

// new is do for an image that is to be made.
func (d *Driver) new(ctx context.Context, what string, v *drivers.Volume, f func(ceph.Pool, *wanted) error) error {
	w, err := d.want(v)
	if err != nil {
		return failed(what, v.NameOnArray(), err)
	}
	return d.do(ctx, what, w.name, func(p ceph.Pool) error { return f(p, w) })
}

func (d *Driver) create(ctx context.Context, p ceph.Pool, w *wanted) (update *drivers.VolumeUpdate, err error) {
	features, err := d.features(ctx, w)
	if err != nil {
		return nil, err
	}
	var taken undo.Stack
	defer taken.Unwind(ctx, undoGrace, &err)
	err = p.Create(ctx, w.name, w.bytes, ceph.ImageOptions{Features: features, Order: d.o.order()})
	switch {
	case is(err, syscall.EEXIST):
		if err := d.sameSize(ctx, p, w); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case !w.multiAttach && len(w.limits) == 0:
		return nil, nil //nolint:nilnil // to open it would take longer than to make it
	default:
		taken.Push("remove "+w.name, func(ctx context.Context) error { return remove(ctx, p, w.name) })
	}
	return d.setUp(ctx, p, w)
}

// remove removes an image that may be gone.
func remove(ctx context.Context, p ceph.Pool, name string) error {
	return but(p.Remove(ctx, name), syscall.ENOENT)
}

func (d *Driver) sameSize(ctx context.Context, p ceph.Pool, w *wanted) error {
	return with(ctx, p, w.name, toRead, func(img ceph.Image) error {
		info, err := img.Info(ctx)
		if err == nil && info.Bytes != w.bytes {
			err = drivers.Errorf(drivers.ErrExists, "there is one of %d bytes", info.Bytes)
		}
		return err
	})
}

// ExtendVolume grows the image.
func (d *Driver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	name := v.NameOnArray()
	return d.do(ctx, "extend", name, func(p ceph.Pool) error {
		want, err := bytes(size)
		if err != nil {
			return err
		}
		return with(ctx, p, name, toWrite, func(img ceph.Image) error { return grow(ctx, img, want) })
	})
}

// grow gives an image a size. It never shrinks one.
func grow(ctx context.Context, img ceph.Image, want int64) error {
	info, err := img.Info(ctx)
	switch {
	case err != nil || info.Bytes == want:
		return err
	case info.Bytes > want:
		return drivers.Errorf(drivers.ErrInvalid, "it has %d bytes, more than %d", info.Bytes, want)
	}
	return img.Resize(ctx, want)
}

// InspectVolume opens the image.
func (d *Driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	var state *drivers.VolumeState
	name := v.NameOnArray()
	err := d.do(ctx, "inspect", name, func(p ceph.Pool) error {
		return with(ctx, p, name, toRead, func(img ceph.Image) error {
			info, err := img.Info(ctx)
			if err == nil {
				state = &drivers.VolumeState{SizeBytes: info.Bytes}
			}
			return err
		})
	})
	return state, err
}

// RevertToSnapshot rolls the image back, in place. Its size is that of the
// snapshot.
func (d *Driver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	name, snapshot := v.NameOnArray(), s.NameOnArray()
	return d.do(ctx, fmt.Sprintf("revert to snapshot %q", snapshot), name, func(p ceph.Pool) error {
		return with(ctx, p, name, toWrite, func(img ceph.Image) error { return img.RollBack(ctx, snapshot) })
	})
}

// wanted is what is wanted of a volume's image.
type wanted struct {
	name        string
	bytes       int64
	multiAttach bool
	limits      map[string]string // of the quality of service, by the key of the image's metadata
}

// want reads a record. What cannot be is refused before anything is made.
func (d *Driver) want(v *drivers.Volume) (*wanted, error) {
	w := &wanted{name: v.NameOnArray()}
	if err := checkName(w.name); err != nil {
		return nil, err
	}
	var err error
	if w.bytes, err = bytes(v.Size); err != nil {
		return nil, err
	}
	specs := v.ExtraSpecs()
	if isTrue(specs["replication_enabled"]) {
		return nil, fmt.Errorf("extra spec replication_enabled: replication is not supported: %w", errors.ErrUnsupported)
	}
	w.multiAttach = isTrue(specs["multiattach"])
	w.limits, err = limits(v.QoS())
	return w, err
}

// isTrue is how Cinder writes a truth in an extra spec.
func isTrue(spec string) bool { return spec == "<is> True" }

// qosKeys are the keys of a QoS spec that consumers named back-end or both have
// honoured, and librbd's. Cinder's driver takes total_iops_sec_max for
// rbd_qos_bps_burst, by mistake.
var qosKeys = map[string]string{
	"total_iops_sec": "rbd_qos_iops_limit", "read_iops_sec": "rbd_qos_read_iops_limit", "write_iops_sec": "rbd_qos_write_iops_limit",
	"total_bytes_sec": "rbd_qos_bps_limit", "read_bytes_sec": "rbd_qos_read_bps_limit", "write_bytes_sec": "rbd_qos_write_bps_limit",
	"total_iops_sec_max": "rbd_qos_iops_burst", "read_iops_sec_max": "rbd_qos_read_iops_burst", "write_iops_sec_max": "rbd_qos_write_iops_burst",
	"total_bytes_sec_max": "rbd_qos_bps_burst", "read_bytes_sec_max": "rbd_qos_read_bps_burst", "write_bytes_sec_max": "rbd_qos_write_bps_burst",
}

// configPrefix makes a setting of the client one of an image, in its metadata.
const configPrefix = "conf_"

func limits(q *drivers.QoSSpecs) (map[string]string, error) {
	if q == nil || q.Consumer != "back-end" && q.Consumer != "both" {
		return nil, nil
	}
	limits := map[string]string{}
	for key, value := range q.Specs {
		setting, known := qosKeys[key]
		if !known {
			continue // it is the hypervisor's
		}
		if _, err := strconv.ParseUint(value, 10, 63); err != nil {
			return nil, drivers.Errorf(drivers.ErrInvalid, "QoS spec %s: %q is not a number", key, value)
		}
		limits[configPrefix+setting] = value
	}
	return limits, nil
}

// RetypeVolume changes the limits of the quality of service, which clients that have
// the image open keep from then on.
func (d *Driver) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	typed := *v
	typed.VolumeType = t
	return nil, d.do(ctx, "retype", v.NameOnArray(), func(p ceph.Pool) error {
		w, err := d.want(&typed)
		if err != nil {
			return err
		}
		if w.multiAttach != isTrue(v.ExtraSpecs()["multiattach"]) {
			return fmt.Errorf("extra spec multiattach: the features of an image stay as they are: %w", errors.ErrUnsupported)
		}
		return with(ctx, p, w.name, toWrite, func(img ceph.Image) error { return limit(ctx, img, w.limits) })
	})
}

// limit gives an image these limits and no others.
func limit(ctx context.Context, img ceph.Image, limits map[string]string) error {
	have, err := img.Metadata(ctx)
	if err != nil {
		return err
	}
	for _, setting := range qosKeys {
		key := configPrefix + setting
		was, is := have[key]
		value, wanted := limits[key]
		switch {
		case wanted && was != value:
			err = img.SetMetadata(ctx, key, value)
		case !wanted && is:
			err = img.RemoveMetadata(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sharedMask are the features that an image which several hosts write to must
// not have: they make one of them its owner.
const sharedMask = ceph.FeatureExclusiveLock | ceph.FeatureObjectMap | ceph.FeatureFastDiff | ceph.FeatureJournaling

// features are those of a new image.
func (d *Driver) features(ctx context.Context, w *wanted) (uint64, error) {
	features, err := d.defaultFeatures(ctx)
	if w.multiAttach {
		features &^= sharedMask
	}
	return features, err
}

// defaultFeatures are those that the client is configured for.
func (d *Driver) defaultFeatures(ctx context.Context) (uint64, error) {
	c, err := d.connection(ctx)
	if err != nil {
		return 0, err
	}
	text, err := c.Option("rbd_default_features")
	if err != nil {
		return 0, err
	}
	features, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, drivers.Errorf(drivers.ErrInvalid, "rbd_default_features of ceph.conf: %q is not a number", text)
	}
	return max(features, ceph.FeatureLayering), nil
}

// setUp gives an image its size, which it may have, the features of one that is
// attached several times, and its limits.
func (d *Driver) setUp(ctx context.Context, p ceph.Pool, w *wanted) (update *drivers.VolumeUpdate, err error) {
	err = with(ctx, p, w.name, toWrite, func(img ceph.Image) error {
		if err := grow(ctx, img, w.bytes); err != nil {
			return err
		}
		if update, err = d.share(ctx, img, w); err != nil {
			return err
		}
		return limit(ctx, img, w.limits) // a clone has those of its source
	})
	return update, err
}

// share switches features off where they are on. Those that Cinder's driver would
// switch on again are told as it does.
func (d *Driver) share(ctx context.Context, img ceph.Image, w *wanted) (*drivers.VolumeUpdate, error) {
	if !w.multiAttach {
		return nil, nil
	}
	info, err := img.Info(ctx)
	if err != nil {
		return nil, err
	}
	if on := info.Features & sharedMask; on != 0 {
		if err := img.SetFeatures(ctx, on, false); err != nil {
			return nil, err
		}
	}
	saved, err := d.defaultFeatures(ctx)
	if err != nil {
		return nil, err
	}
	location := fmt.Sprintf(`{"saved_features":%d}`, saved|info.Features)
	return &drivers.VolumeUpdate{ProviderLocation: &location}, nil
}
