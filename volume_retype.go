// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/gocinder/cinderlib/drivers"
)

func (p *typeParams) check() error {
	err := checkMap("extra specs", p.extraSpecs)
	if p.qos != nil {
		err = join(err, checkMap("QoS specs", p.qos.Specs))
	}
	return err
}

// Retype gives the volume other extra specs, another quality of service, or both, on
// the array and in the store. What no option tells stays as it is; an empty map is
// none. Hosts may use the volume meanwhile. It may be repeated.
//
// A driver that cannot do it, or not to these specs, is errors.ErrUnsupported, and
// specs that the array does not take are ErrInvalid; nothing was changed. When the
// array fails, the volume gets back what it had. If that fails, too, the status is
// retyping, and Backend.Recover does it later.
func (v *Volume) Retype(ctx context.Context, opts ...RetypeOption) (err error) {
	b, vb, err := v.beginVerb(ctx, "retype")
	if err != nil {
		return err
	}
	defer vb.end(ctx, v, &err)
	var p typeParams
	for _, o := range opts {
		if o != nil {
			o.applyRetype(&p)
		}
	}
	if err := p.check(); err != nil {
		return err
	}
	retyper, err := b.retyper()
	if err != nil {
		return err
	}
	rec, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	if err := usable(rec); err != nil {
		return err
	}
	if rec.Status == drivers.StatusError {
		return errorf(ErrPrecondition, "the volume has status %s", rec.Status)
	}
	intent := *rec
	intent.Status, intent.PreviousStatus = drivers.StatusRetyping, rec.Status
	if err := v.write(ctx, rec, &intent); err != nil {
		return err
	}
	t := p.of(rec)
	update, err := retyper.RetypeVolume(ctx, &intent, t)
	if refused(err) {
		return join(err, settle(ctx, func(ctx context.Context) error { return v.write(ctx, &intent, retyped(&intent, nil)) }))
	}
	if err != nil {
		return join(err, settle(ctx, func(ctx context.Context) error { return v.retypedBack(ctx, b, &intent) }))
	}
	done := retyped(&intent, update)
	done.VolumeType, done.VolumeTypeID = t, ""
	if t != nil {
		done.VolumeTypeID = t.ID
	}
	if err := settle(ctx, func(ctx context.Context) error { return v.write(ctx, &intent, done) }); err != nil {
		return fmt.Errorf("the array has retyped it, but the store does not know: %w", err)
	}
	return nil
}

func (b *Backend) retyper() (drivers.Retyper, error) {
	retyper, ok := b.driver.(drivers.Retyper)
	if !ok {
		return nil, fmt.Errorf("driver %s cannot retype: %w", b.registration.Name, errors.ErrUnsupported)
	}
	return retyper, nil
}

// retyped is the record after the driver is done with it, with the status before.
func retyped(intent *drivers.Volume, u *drivers.VolumeUpdate) *drivers.Volume {
	done := applied(intent, u)
	done.Status, done.PreviousStatus = intent.PreviousStatus, ""
	return done
}

// retypedBack gives the volume on the array what its record says.
func (v *Volume) retypedBack(ctx context.Context, b *Backend, intent *drivers.Volume) error {
	retyper, err := b.retyper()
	if err != nil {
		return err
	}
	update, err := retyper.RetypeVolume(ctx, intent, intent.VolumeType)
	if err != nil {
		return fmt.Errorf("give it back what it had: %w", err)
	}
	return v.write(ctx, intent, retyped(intent, update))
}

// of is the type that the volume is to have, of its own: one that Cinder's volumes
// share stays as it is.
func (p *typeParams) of(rec *drivers.Volume) *drivers.VolumeType {
	extra, qos := p.extraSpecs, p.qos
	if extra == nil {
		extra = rec.ExtraSpecs()
	}
	if qos == nil {
		qos = rec.QoS()
	}
	t := specs(rec.ID, extra, qos)
	if t == nil || rec.VolumeType == nil || rec.VolumeType.ID != t.ID {
		return t
	}
	same := rec.VolumeType.Clone()
	same.ExtraSpecs = maps.Clone(t.ExtraSpecs)
	switch {
	case t.QoS == nil:
		same.QoSSpecsID, same.QoS = "", nil
	case same.QoS == nil:
		same.QoSSpecsID, same.QoS = t.QoSSpecsID, t.QoS
	default:
		same.QoS.Consumer, same.QoS.Specs = t.QoS.Consumer, t.QoS.Specs
	}
	return same
}
