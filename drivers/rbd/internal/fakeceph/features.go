// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// switchable are the features that can be switched on later; deep flattening can
// only be switched off.
const switchable = ceph.FeatureExclusiveLock | paired | ceph.FeatureJournaling

// SetFeatures implements ceph.Image. EINVAL: none is named, one cannot be
// switched or is as asked for already, or the result lacks what it needs.
func (h *handle) SetFeatures(ctx context.Context, mask uint64, on bool) error {
	return h.change(ctx, "features", nil, func() error {
		features, ok := switched(h.image.features, mask, on)
		if !ok {
			return syscall.EINVAL
		}
		h.image.features = features
		return nil
	})
}

// switched gives the features after a change. Object map and fast diff come and
// go together.
func switched(now, mask uint64, on bool) (uint64, bool) {
	allowed := uint64(switchable)
	if !on {
		allowed |= ceph.FeatureDeepFlatten
	}
	if mask == 0 || mask&^allowed != 0 {
		return 0, false
	}
	if (on && now&mask != 0) || (!on && now&mask != mask) {
		return 0, false
	}
	if mask&paired != 0 {
		mask |= paired
	}
	then := now &^ mask
	if on {
		then = now | mask
	}
	needy := then & (paired | ceph.FeatureJournaling)
	return then, needy == 0 || then&ceph.FeatureExclusiveLock != 0
}

// validSetting looks at metadata that are settings of librbd. It knows the limits
// of the quality of service; of others it knows only that their names begin with
// rbd_.
func validSetting(key, value string) error {
	setting, is := strings.CutPrefix(key, "conf_")
	if !is {
		return nil
	}
	if !strings.HasPrefix(setting, "rbd_") {
		return syscall.EINVAL
	}
	if strings.HasPrefix(setting, "rbd_qos_") {
		if _, err := strconv.ParseUint(strings.TrimRight(value, "KMGTBi"), 10, 64); err != nil {
			return syscall.EINVAL
		}
	}
	return nil
}
