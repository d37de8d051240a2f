// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
)

func (j *job) attach(ctx context.Context) (*connector.Device, error) {
	if err := j.settle(ctx); err != nil {
		return nil, err
	}
	before, err := j.find(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range slices.Clone(before) {
		if d.readOnly != j.readOnly {
			continue
		}
		stale, err := j.use(ctx, d)
		if err != nil {
			return nil, err
		}
		if !stale {
			return d.result(), nil
		}
		before = slices.DeleteFunc(before, func(o device) bool { return o == d })
	}
	d, err := j.make(ctx, before)
	if err == nil {
		err = j.ready(ctx, d)
	}
	if err == nil {
		err = j.look(d)
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		err = fault.Join(ended, err)
	}
	if err != nil {
		return nil, fault.Join(err, undone(j.takeBack(ctx, before)))
	}
	return d.result(), nil
}

func (d device) result() *connector.Device {
	return &connector.Device{Type: "block", Path: d.node()}
}

func undone(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("undo: %w", err)
}

// settle waits until nothing of the image is under way any more, and removes the file
// that a killed process has left.
func (j *job) settle(ctx context.Context) error {
	if err := j.awaitOrphans(ctx); err != nil {
		return err
	}
	return j.dropConf(ctx)
}

// use takes a device that is there. It is stale if its image has been deleted, and
// is removed; the image of that name is another one by now.
func (j *job) use(ctx context.Context, d device) (stale bool, err error) {
	err = j.grown(ctx, d)
	if d.kernel() && scsi.Gone(err) {
		if err := j.unused(ctx, []device{d}); err != nil {
			return false, j.deleted(d, err)
		}
		return true, j.unmap(ctx, d, false)
	}
	if err == nil {
		err = j.ready(ctx, d)
	}
	return false, err
}

func (j *job) deleted(d device, err error) error {
	return connector.Errorf(connector.ErrWrongDevice, "rbd: %s is of an image %s that was deleted: %w", d.node(), j.image, err)
}

// make maps the image: by the kernel, or by rbd-nbd where the kernel cannot.
func (j *job) make(ctx context.Context, before []device) (device, error) {
	key, err := j.key(ctx)
	if err != nil {
		return device{}, err
	}
	d, kernelErr := j.mapKernel(ctx, key, before)
	if kernelErr == nil || !errors.Is(kernelErr, errRefused) || ctx.Err() != nil {
		return d, kernelErr
	}
	d, nbdErr := j.mapNBD(ctx, key, before)
	if nbdErr == nil {
		j.host.Log.InfoContext(ctx, "rbd: the kernel cannot map the image, rbd-nbd does",
			slog.String("image", j.image.String()), slog.Any("kernel", kernelErr))
		return d, nil
	}
	if ctx.Err() == nil {
		kernelErr = j.explainFeatures(ctx, kernelErr)
	}
	return device{}, fmt.Errorf("rbd: map %s with rbd-nbd: %w; with the kernel's driver: %w", j.image, nbdErr, kernelErr)
}
