// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
)

func (j *job) detach(ctx context.Context) error {
	if j.r.Shared {
		return nil
	}
	faults := []error{j.settle(ctx)}
	if faults[0] != nil && (!j.r.Force || ctx.Err() != nil) {
		return faults[0]
	}
	have, err := j.find(ctx)
	if err == nil && !j.r.Force {
		err = j.unused(ctx, have)
	}
	if err != nil {
		return fault.Join(append(faults, err)...)
	}
	for _, d := range have {
		err := j.flush(ctx, d)
		if err == nil || j.r.Force && ctx.Err() == nil {
			err = fault.Join(err, j.unmap(ctx, d, j.r.Force))
		}
		faults = append(faults, err)
		if err != nil && !j.r.Force || ctx.Err() != nil {
			return fault.Join(append(faults, ctx.Err())...)
		}
	}
	return fault.Join(append(faults, j.dropForeignConf(ctx))...)
}

func (j *job) flush(ctx context.Context, d device) error {
	if d.readOnly {
		return nil
	}
	limit := j.limits.flush
	if j.r.Force {
		limit = j.limits.forced
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return scsi.Flush(bounded, j.host, d.node())
}

// extend has all devices of the image see its size, and gives that of the one that
// was handed out.
func (j *job) extend(ctx context.Context) (int64, error) {
	have, err := j.find(ctx)
	if err != nil {
		return 0, err
	}
	if len(have) == 0 {
		return 0, connector.Errorf(connector.ErrNotFound, "rbd: %s is not mapped on this host", j.image)
	}
	for _, d := range have {
		err := j.grown(ctx, d)
		if d.kernel() && scsi.Gone(err) {
			err = j.deleted(d, err)
		}
		if err != nil {
			return 0, err
		}
	}
	return j.sizeOf(have[0]), nil
}
