// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// EnsureExports has the array let hosts reach again what the store says they are
// connected to: after the host that exports volumes was started anew, or its
// targets were lost. What is there already stays as it is. A host that was
// attached meanwhile goes on where it stopped, if that was not too long ago for
// it. Volumes that a verb is working on are waited for.
//
// What was in the middle of a verb is left to Recover, which should be called
// first. One volume's fault does not keep the others from their exports; the
// error joins them.
func (b *Backend) EnsureExports(ctx context.Context) error {
	if err := b.lib.enter(); err != nil {
		return err
	}
	defer b.lib.leave()
	connections, err := b.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{Backend: b.name})
	if err != nil && !isUnreadable(err) {
		return &OpError{Op: "ensure exports", Kind: "backend", ID: b.name, Err: err, resource: b}
	}
	errs := []error{err}
	done := map[string]bool{}
	for _, c := range connections {
		if exported(c) && !done[c.VolumeID] {
			done[c.VolumeID] = true
			errs = append(errs, b.ensureExport(ctx, c.VolumeID))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return join(errs...)
}

// exported tells whether a connection's host is to reach its volume.
func exported(c *persistence.Connection) bool {
	return c.Conn != nil && c.AttachStatus != persistence.AttachReserved && c.AttachStatus != persistence.AttachDetached
}

func (b *Backend) ensureExport(ctx context.Context, volumeID string) (err error) {
	vb, err := b.lib.begin(ctx, "ensure export", "volume", volumeID, b.name, volumeID)
	if err != nil {
		return err
	}
	defer vb.end(ctx, nil, &err)
	store := b.lib.Persistence()
	vol, err := b.lib.readVolume(ctx, volumeID)
	if errors.Is(err, ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	connections, err := store.Connections(ctx, persistence.ConnectionFilter{VolumeID: volumeID})
	if err != nil {
		return err
	}
	var ops []persistence.Op
	now := vol
	for _, c := range connections {
		if !exported(c) {
			continue
		}
		if now == vol {
			update, err := b.driver.Export(ctx, vol)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if now = applied(vol, update); !reflect.DeepEqual(now, vol) {
				ops = append(ops, persistence.Update(vol, now))
			}
		}
		op, err := b.ensureConnected(ctx, now, c, connections)
		if err != nil {
			return fmt.Errorf("connect host %q: %w", c.HostName(), err)
		}
		if op != nil {
			ops = append(ops, *op)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return store.Write(ctx, ops...)
}

// ensureConnected connects a host again. What the array says now that it did not
// say before is to be stored.
func (b *Backend) ensureConnected(ctx context.Context, vol *drivers.Volume, c *persistence.Connection, all []*persistence.Connection) (*persistence.Op, error) {
	if c.Connector == nil {
		return nil, errorf(ErrPrecondition, "connection %s does not tell its host", c.ID)
	}
	info, err := b.driver.Connect(ctx, vol, &drivers.Attachment{
		ID: c.ID, Host: c.Connector.Clone(), Mode: mode(c), Others: hosts(all, c.ID),
	})
	if err != nil {
		return nil, err
	}
	if info == nil || info.Data == nil {
		return nil, errorf(ErrInternal, "the driver returned no connection data")
	}
	merged, err := mergeInfo(c.Conn, info)
	if err != nil || merged == nil {
		return nil, err
	}
	changed := *c
	changed.Conn = merged
	op := persistence.Update(c, &changed)
	return &op, nil
}

// mergeInfo gives the connection data of old with what now says otherwise; nil if
// that is nothing.
func mergeInfo(old, now *connector.ConnInfo) (*connector.ConnInfo, error) {
	type values struct {
		Type string         `json:"driver_volume_type"`
		Data map[string]any `json:"data"`
	}
	var a, b values
	for info, v := range map[*connector.ConnInfo]*values{old: &a, now: &b} {
		text, err := json.Marshal(info)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, v); err != nil {
			return nil, err
		}
	}
	merged := values{Type: b.Type, Data: maps.Clone(a.Data)}
	for key, value := range b.Data {
		if key != "access_mode" { // it is the connection's, fixed when it was made
			merged.Data[key] = value
		}
	}
	if reflect.DeepEqual(merged, a) {
		return nil, nil //nolint:nilnil // no change is no fault
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, err
	}
	info := &connector.ConnInfo{}
	return info, json.Unmarshal(text, info)
}
