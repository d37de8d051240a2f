// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/undo"
)

type progressKey struct{}

// withProgress has copies under this context report to the caller.
func withProgress(ctx context.Context, report func(done, total int64)) context.Context {
	if report == nil {
		return ctx
	}
	return context.WithValue(ctx, progressKey{}, report)
}

// copyPaths copies between paths, as root if this process may not open them.
func (l *Library) copyPaths(ctx context.Context, target, source string, r drivers.CopyRequest) error {
	report, _ := ctx.Value(progressKey{}).(func(done, total int64))
	o := blockcopy.Options{Bytes: r.Bytes, Sparse: r.Sparse, BytesPerSecond: r.BytesPerSecond, Progress: report}
	err := blockcopy.File(ctx, target, source, o)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return blockcopy.FileBy(ctx, l.host.AsRoot, target, source, o)
	}
	return err
}

// copyBlocks copies through this host, for drivers whose arrays cannot clone.
func (b *Backend) copyBlocks(ctx context.Context, r drivers.CopyRequest) (err error) {
	// A device that the host cannot let go of must not be unmapped under it.
	fromSource, fromTarget := undo.Stack{StopAtFault: true}, undo.Stack{StopAtFault: true}
	defer func() {
		fromTarget.Release(ctx, unwindGrace, &err)
		fromSource.Release(ctx, unwindGrace, &err)
	}()
	source, err := b.openEnd(ctx, &fromSource, r.Source, connector.ReadOnly)
	if err != nil {
		return fmt.Errorf("copy: source: %w", err)
	}
	target, err := b.openEnd(ctx, &fromTarget, r.Target, connector.ReadWrite)
	if err != nil {
		return fmt.Errorf("copy: target: %w", err)
	}
	return b.lib.copyPaths(ctx, target, source, r)
}

// openEnd gives the path of one end of a copy, attached if it must be.
func (b *Backend) openEnd(ctx context.Context, u *undo.Stack, e drivers.Endpoint, mode connector.AccessMode) (string, error) {
	if e.Path != "" {
		return e.Path, nil
	}
	host, err := b.lib.HostProperties(ctx, connector.PropertiesOptions{Multipath: b.common.UseMultipath, EnforceMultipath: b.common.EnforceMultipath})
	if err != nil {
		return "", err
	}
	a := &drivers.Attachment{ID: newID(), Host: host, Mode: mode}
	u.Push("disconnect", func(ctx context.Context) error { return e.Disconnect(ctx, a) })
	info, err := e.Connect(ctx, a)
	if err != nil {
		return "", err
	}
	transport, ok := b.lib.connectors[info.Protocol]
	if !ok {
		return "", fmt.Errorf("no connector for the transport %q: %w", info.Protocol, errors.ErrUnsupported)
	}
	r := connector.Request{Info: info, ConnectionID: a.ID, Multipath: host.Multipath, EnforceMultipath: host.EnforceMultipath}
	u.Push("detach", func(ctx context.Context) error { return transport.Detach(ctx, r) })
	device, err := transport.Attach(ctx, r)
	if err != nil {
		return "", err
	}
	r.Device = device
	return device.Path, b.lib.host.Check(ctx, r)
}
