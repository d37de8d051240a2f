// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"syscall"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

const (
	smallestOrder, largestOrder = 12, 25

	allFeatures = ceph.FeatureLayering | ceph.FeatureStriping | ceph.FeatureExclusiveLock |
		ceph.FeatureObjectMap | ceph.FeatureFastDiff | ceph.FeatureDeepFlatten |
		ceph.FeatureJournaling | ceph.FeatureDataPool | ceph.FeatureOperations | ceph.FeatureMigrating
	// unasked are features that librbd sets itself, whatever it is asked for.
	unasked = ceph.FeatureStriping | ceph.FeatureDataPool | ceph.FeatureOperations | ceph.FeatureMigrating
	paired  = ceph.FeatureObjectMap | ceph.FeatureFastDiff
)

// Create implements ceph.Pool. EINVAL: a size below 0, features that do not go
// together; EDOM: the order is none of 12 to 25; ENOSYS:
// features unknown.
func (h *poolHandle) Create(ctx context.Context, name string, bytes int64, o ceph.ImageOptions) error {
	return h.change(ctx, "create", name, func() error {
		options := h.conn.cluster.options
		o.Features, o.Order = cmp.Or(o.Features, options.Features), cmp.Or(o.Order, options.Order)
		i, err := h.pool.make(name, o, int64(1)<<min(max(o.Order, 0), largestOrder))
		if err != nil {
			return err
		}
		if !i.holds(bytes) {
			return syscall.EINVAL
		}
		i.head.bytes = bytes
		h.pool.add(i)
		return nil
	})
}

// Clone implements ceph.Pool. Options that are 0 are those of the parent
// (measured). ENOSYS: one of the two images has no layering.
func (h *poolHandle) Clone(ctx context.Context, parent, snapshot, name string, o ceph.ImageOptions) error {
	return h.change(ctx, "clone", name, func() error {
		from, err := h.pool.find(parent)
		if err != nil {
			return err
		}
		snap, err := from.snapshot(snapshot)
		if err != nil {
			return err
		}
		v2 := h.conn.cluster.cloneV2
		switch {
		case name == "":
			return syscall.EINVAL
		case from.features&ceph.FeatureLayering == 0:
			return syscall.ENOSYS
		case !snap.protected && !v2:
			return &refusal{syscall.EINVAL, "parent snapshot must be protected"}
		}
		o.Features, o.Order = cmp.Or(o.Features, from.features), cmp.Or(o.Order, from.order)
		if o.Features&ceph.FeatureLayering == 0 {
			return syscall.ENOSYS
		}
		i, err := h.pool.make(name, o, from.stripeUnit)
		if err != nil {
			return err
		}
		i.head.bytes, i.head.overlap = snap.bytes, snap.bytes
		i.head.link = &link{parent: from, snap: snap, v2: v2}
		maps.Copy(i.metadata, from.metadata)
		h.pool.add(i)
		return nil
	})
}

// Copy implements ceph.Pool. Options that are 0 are those of the source
// (measured). It copies the metadata too. EINVAL: the
// order is smaller than the source's stripe unit, which the copy has too.
func (h *poolHandle) Copy(ctx context.Context, from, name string, o ceph.ImageOptions) error {
	return h.change(ctx, "copy", name, func() error {
		source, err := h.pool.find(from)
		if err != nil {
			return err
		}
		o.Features, o.Order = cmp.Or(o.Features, source.features), cmp.Or(o.Order, source.order)
		i, err := h.pool.make(name, o, source.stripeUnit)
		if err != nil {
			return err
		}
		i.head = source.head.copy()
		i.head.cut()
		maps.Copy(i.metadata, source.metadata)
		h.pool.add(i)
		return nil
	})
}

// make makes an image that is in no list yet.
func (p *pool) make(name string, o ceph.ImageOptions, stripeUnit int64) (*image, error) {
	features, err := created(o.Features)
	if err != nil {
		return nil, err
	}
	if o.Order < smallestOrder || o.Order > largestOrder {
		return nil, syscall.EDOM
	}
	if stripeUnit > int64(1)<<o.Order {
		return nil, syscall.EINVAL
	}
	if stripeUnit != int64(1)<<o.Order {
		features |= ceph.FeatureStriping
	}
	if err := p.free(name); err != nil {
		return nil, err
	}
	return &image{
		pool: p, name: name, features: features, order: o.Order, stripeUnit: stripeUnit,
		head: state{blocks: map[int64][]byte{}}, metadata: map[string]string{}, watchers: map[*handle]struct{}{},
	}, nil
}

// add puts an image into the list of the pool.
func (p *pool) add(i *image) {
	p.cluster.images++
	i.id = fmt.Sprintf("10%010x", p.cluster.images*0x9e3779b1&0xffffffffff)
	p.names[i.name] = i
}

// created gives the features of a new image that is to have some: those that
// come in pairs come both or not at all.
func created(features uint64) (uint64, error) {
	if features&^allFeatures != 0 {
		return 0, syscall.ENOSYS
	}
	features &^= unasked
	needy := features & (ceph.FeatureObjectMap | ceph.FeatureJournaling)
	if features&ceph.FeatureExclusiveLock == 0 && needy != 0 {
		return 0, syscall.EINVAL
	}
	if features&ceph.FeatureObjectMap != 0 {
		return features | paired, nil
	}
	return features &^ paired, nil
}
