// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// presets are the values of sf-qos in a volume's metadata.
var presets = map[string]*qos{
	"off": nil, "slow": {100, 200, 200}, "medium": {200, 400, 400}, "fast": {500, 1000, 1000}, "performant": {2000, 4000, 4000},
}

// The bounds that values are brought into.
var (
	least = qos{100, 100, 100}
	most  = qos{15000, 200000, 200000}
)

// qos is the quality of service of a volume of size GiB: what its type says, or its
// metadata if sf_allow_tenant_qos is set. Nil: the cluster's own.
func (d *Driver) qos(v *drivers.Volume, size int) (*qos, error) {
	specs := maps.Clone(v.ExtraSpecs())
	if q := v.QoS(); q != nil {
		specs = maps.Clone(q.Specs)
	}
	q, err := parseQoS(specs, size)
	if q != nil || err != nil || !d.o.TenantQoS {
		return q, err
	}
	if name, is := v.Metadata["sf-qos"]; is {
		preset, known := presets[name]
		if !known {
			return nil, drivers.Errorf(drivers.ErrInvalid, "sf-qos %q is none of slow, medium, fast, performant, off", name)
		}
		return preset, nil
	}
	return parseQoS(v.Metadata, size)
}

// usual is the quality of service of a volume that has none of its own.
var usual = qos{50, 15000, 15000}

// RetypeVolume changes the quality of service, as Cinder's driver does.
func (d *Driver) RetypeVolume(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	return nil, d.failed("retype volume", d.name(v), d.retype(ctx, v, t))
}

func (d *Driver) retype(ctx context.Context, v *drivers.Volume, t *drivers.VolumeType) error {
	typed := *v
	typed.VolumeType = t
	if !maps.Equal(ownAttributes(v), ownAttributes(&typed)) {
		return fmt.Errorf("attributes (%s…) are given to new volumes only: %w", attributePrefix, errors.ErrUnsupported)
	}
	q, err := d.qos(&typed, v.Size)
	if err != nil {
		return err
	}
	if q == nil {
		q = &usual
	}
	o, err := d.find(ctx, v)
	if err != nil {
		return err
	}
	return d.call(ctx, modifyVolume, params{
		"volumeID": o.ID, "qos": q, "attributes": o.changed(map[string]any{"retyped_at": now()}),
	}, nil)
}

// parseQoS reads the keys of Cinder's driver, which may have the scope qos.
func parseQoS(specs map[string]string, size int) (*qos, error) {
	numbers := map[string]int64{}
	var scaled bool
	for key, text := range specs {
		key = strings.TrimPrefix(key, "qos:")
		switch key {
		case "scaledIOPS":
			scaled = true
		case "minIOPS", "maxIOPS", "burstIOPS", "scaleMin", "scaleMax", "scaleBurst":
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil || n < 0 {
				return nil, drivers.Errorf(drivers.ErrInvalid, "quality of service: %s %q is not a number of IOPS", key, text)
			}
			numbers[key] = n
		}
	}
	_, hasMin := numbers["minIOPS"]
	_, hasMax := numbers["maxIOPS"]
	_, hasBurst := numbers["burstIOPS"]
	if !hasMin && !hasMax && !hasBurst {
		return nil, nil //nolint:nilnil // there is none
	}
	q := qos{numbers["minIOPS"], numbers["maxIOPS"], numbers["burstIOPS"]}
	if scaled {
		more := int64(size) - 1
		q.Min += numbers["scaleMin"] * more
		q.Max += numbers["scaleMax"] * more
		q.Burst += numbers["scaleBurst"] * more
	}
	within := func(n, low, high int64) int64 { return min(max(n, low), high) }
	q = qos{within(q.Min, least.Min, most.Min), within(q.Max, least.Max, most.Max), within(q.Burst, least.Burst, most.Burst)}
	if q.Min > q.Max || q.Max > q.Burst {
		return nil, drivers.Errorf(drivers.ErrInvalid, "quality of service: minIOPS %d, maxIOPS %d and burstIOPS %d must grow in this order", q.Min, q.Max, q.Burst)
	}
	return &q, nil
}
