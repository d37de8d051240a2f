// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// Stats asks the monitors: two commands, and a list of the images.
func (d *Driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	var s *drivers.Stats
	err := d.do(ctx, "statistics of pool", d.o.Pool, func(p ceph.Pool) (err error) {
		s, err = d.stats(ctx, p)
		return err
	})
	return s, err
}

func (d *Driver) stats(ctx context.Context, p ceph.Pool) (*drivers.Stats, error) {
	c, err := d.connection(ctx)
	if err != nil {
		return nil, err
	}
	total, free, err := d.capacity(ctx, c)
	var refused *ceph.Error
	if errors.As(err, &refused) && !unreachable(err) { // of a new pool they know nothing yet
		d.env.Log.LogAttrs(ctx, slog.LevelWarn, "the monitors tell no capacity", slog.Any("error", err))
		err = nil
	}
	if err != nil {
		return nil, err
	}
	images, err := p.Images(ctx)
	if err != nil {
		return nil, err
	}
	provisioned := drivers.Unknown
	if !d.o.ExclusivePool {
		if provisioned, err = sizes(ctx, p, images); err != nil {
			return nil, err
		}
	}
	location := strings.Join([]string{d.o.ClusterName, d.o.ConfFile, c.FSID(), d.o.User, d.o.Pool}, ":")
	return &drivers.Stats{
		BackendName: d.env.Backend, VendorName: "Open Source", DriverVersion: Version, StorageProtocol: "ceph", SparseCopy: true,
		Extra: map[string]any{"replication_enabled": false},
		Pools: []drivers.PoolStats{{
			Name: d.env.Backend, Total: total, Free: free, Provisioned: provisioned, Allocated: drivers.Unknown,
			ReservedPercentage: d.o.ReservedPercentage, MaxOverSubscription: d.ratio,
			ThinProvisioning: true, MultiAttach: true, QoS: true, TotalVolumes: len(images),
			Extra: map[string]any{"location_info": location, "backend_state": "up"},
		}},
	}, nil
}

// capacity is what pool and cluster have, in GiB of two digits.
func (d *Driver) capacity(ctx context.Context, c ceph.Cluster) (total, free drivers.Capacity, err error) {
	var df struct {
		Stats struct {
			Total float64 `json:"total_bytes"`
		} `json:"stats"`
		Pools []struct {
			Name  string `json:"name"`
			Stats struct {
				Stored float64 `json:"stored"`
				Free   float64 `json:"max_avail"`
			} `json:"stats"`
		} `json:"pools"`
	}
	total, free = drivers.Unknown, drivers.Unknown
	if err := ask(ctx, c, map[string]string{"prefix": "df"}, &df); err != nil {
		return total, free, err
	}
	var quota struct {
		Bytes float64 `json:"quota_max_bytes"`
	}
	if err := ask(ctx, c, map[string]string{"prefix": "osd pool get-quota", "pool": d.o.Pool}, &quota); err != nil {
		return total, free, err
	}
	for _, p := range df.Pools {
		if p.Name != d.o.Pool {
			continue
		}
		all, left := df.Stats.Total, p.Stats.Free
		if quota.Bytes > 0 {
			all, left = quota.Bytes, max(0, min(quota.Bytes-p.Stats.Stored, left))
		}
		if d.o.DynamicTotal {
			all = left + p.Stats.Stored
		}
		return gib(all), gib(left), nil
	}
	return total, free, nil // no manager has told the monitors
}

func gib(bytes float64) drivers.Capacity {
	return drivers.Capacity(math.Round(bytes/drivers.GiB*100) / 100)
}

// ask has the monitors answer in JSON.
func ask(ctx context.Context, c ceph.Cluster, command map[string]string, answer any) error {
	command["format"] = "json"
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	out, err := c.Command(ctx, string(text))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return drivers.Errorf(drivers.ErrInternal, "the monitors' answer to %s: %w", text, err)
	}
	return nil
}

// sizes is what the images may grow to together, in GiB, rounded up.
func sizes(ctx context.Context, p ceph.Pool, images []string) (drivers.Capacity, error) {
	var all int64
	for _, name := range images {
		err := with(ctx, p, name, toRead, func(img ceph.Image) error {
			info, err := img.Info(ctx)
			if err == nil {
				all += info.Bytes
			}
			return err
		})
		if err := but(err, syscall.ENOENT); err != nil {
			return 0, err
		}
	}
	return drivers.Capacity(math.Ceil(float64(all) / drivers.GiB)), nil
}
