// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// Options are the configuration of a backend, by the names that cinder.conf
// uses: volume_backend_name, volume_driver, and the options of that driver.
type Options map[string]any

// Backend is one configured storage driver. It is safe for use from any
// goroutine.
type Backend struct {
	lib          *Library
	name         string
	options      Options // as given
	registration drivers.Registration
	driver       drivers.Driver
	common       drivers.CommonOptions
	log          *slog.Logger

	mu      sync.Mutex
	stats   *drivers.Stats
	pools   []string
	volumes volumeCache
}

// NewBackend opens the driver that options names, asks it for its first
// statistics, and registers the backend under volume_backend_name. Another call
// with the same name and options returns the same Backend; with other options it
// is ErrBackendExists. Names must be unique among all programs that share a
// store. Options that are unknown, missing or wrong are ErrInvalid, all of them
// in one error.
func (l *Library) NewBackend(ctx context.Context, options Options) (_ *Backend, err error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	name, _ := options["volume_backend_name"].(string)
	defer func() {
		if err != nil {
			err = &OpError{Op: "set up", Kind: "backend", ID: name, Err: err}
		}
	}()
	if err := checkBackendName(name); err != nil {
		return nil, err
	}
	unlock, err := l.keyed.Lock(ctx, "backend-"+name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if b := l.Backend(name); b != nil {
		if !sameOptions(b.options, options) {
			return nil, errorf(ErrBackendExists, "%s has a different configuration", name)
		}
		return b, nil
	}
	b, err := l.openBackend(ctx, name, options)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, join(errorf(ErrClosed, "the library was closed meanwhile"), b.driver.Close())
	}
	l.backends[name] = b
	l.order = append(l.order, name)
	return b, nil
}

func (l *Library) openBackend(ctx context.Context, name string, options Options) (*Backend, error) {
	driverName, ok := options["volume_driver"].(string)
	if !ok || driverName == "" {
		return nil, invalid("volume_driver is missing")
	}
	registration, err := l.lookup(driverName)
	if err != nil {
		return nil, err
	}
	resolved, err := resolve(options, registration, l.globals())
	if err != nil {
		return nil, err
	}
	// What is wrong with these is in the error of Open, with all else.
	common, _ := drivers.DecodeCommon(resolved)
	b := &Backend{
		lib: l, name: name, options: maps.Clone(options), registration: registration, common: common,
		log: l.log.With(slog.String("backend", name)),
	}
	b.driver, err = registration.Open(ctx, drivers.Env{
		Backend:  name,
		Log:      b.log,
		Host:     l.host,
		Locks:    driverLocks{l, name},
		Copy:     b.copyBlocks,
		QuietTLS: l.settings.quietTLS,
	}, resolved, l.settings.lenient)
	if err != nil {
		return nil, err
	}
	if _, err := b.RefreshStats(ctx); err != nil {
		return nil, join(err, b.driver.Close())
	}
	for _, p := range b.stats.Pools {
		b.pools = append(b.pools, p.Name)
	}
	return b, nil
}

// globals are the options that references may name.
func (l *Library) globals() map[string]any {
	g := map[string]any{"my_ip": l.host.IP, "host": l.hostName, "state_path": l.files.path}
	maps.Copy(g, l.settings.global)
	return g
}

// sameOptions compares configurations by their JSON, so that 1, 1.0 and a value
// that came through JSON are alike.
func sameOptions(a, b Options) bool {
	x, errA := json.Marshal(map[string]any(a))
	y, errB := json.Marshal(map[string]any(b))
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// ID is the backend's name, volume_backend_name.
func (b *Backend) ID() string { return b.name }

// Driver is the driver itself, for what the library does not offer.
func (b *Backend) Driver() drivers.Driver { return b.driver }

// Config is the backend's configuration as JSON shows it: its name, or with
// WithOutputAllBackendInfo everything as it was given.
func (b *Backend) Config() Options {
	if b.lib.settings.outputAll {
		return maps.Clone(b.options)
	}
	return Options{"volume_backend_name": b.name}
}

// PoolNames are the names of the pools in the first statistics.
func (b *Backend) PoolNames() []string { return slices.Clone(b.pools) }

// Capabilities tells what the driver can do beyond what every driver does.
func (b *Backend) Capabilities() drivers.Capabilities { return drivers.CapabilitiesOf(b.driver) }

// Stats returns a copy of the statistics that were read last, at the latest when
// the backend was set up. It asks nothing.
func (b *Backend) Stats() *drivers.Stats { return b.cached().Clone() }

func (b *Backend) cached() *drivers.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// RefreshStats asks the array for its statistics.
func (b *Backend) RefreshStats(ctx context.Context) (*drivers.Stats, error) {
	if err := b.lib.enter(); err != nil {
		return nil, err
	}
	defer b.lib.leave()
	stats, err := b.driver.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	if len(stats.Pools) == 0 {
		return nil, errorf(ErrInternal, "stats: the driver reports no pool")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats = stats
	return stats.Clone(), nil
}

// ValidateConnector tells whether a host's properties have what the backend's
// transport needs; Connect asks it first. What is missing is ErrInvalid.
func (b *Backend) ValidateConnector(p *connector.Properties) error {
	if p == nil {
		return invalid("connector properties are missing")
	}
	var missing []string
	protocol := b.cached().StorageProtocol
	switch strings.ToLower(protocol) {
	case "iscsi", "iser":
		if p.Initiator == "" {
			missing = append(missing, "initiator")
		}
	case "fc", "fibre_channel":
		if len(p.WWPNs) == 0 {
			missing = append(missing, "wwpns")
		}
		if len(p.WWNNs) == 0 {
			missing = append(missing, "wwnns")
		}
	}
	if missing != nil {
		return invalid("connector properties lack %s, which %s needs", strings.Join(missing, " and "), protocol)
	}
	return nil
}

// Volumes returns the backend's volumes, oldest first. The first call loads them
// from the store; later ones return the same handles, kept up with what is made
// and deleted through this backend. The array is never asked.
func (b *Backend) Volumes(ctx context.Context) ([]*Volume, error) {
	b.mu.Lock()
	if b.volumes.loaded {
		defer b.mu.Unlock()
		return b.volumes.list(), nil
	}
	b.mu.Unlock()
	return b.loadVolumes(ctx)
}

func (b *Backend) loadVolumes(ctx context.Context) ([]*Volume, error) {
	b.mu.Lock()
	b.volumes.begin()
	b.mu.Unlock()
	records, err := b.lib.Persistence().Volumes(ctx, persistence.VolumeFilter{Backend: b.name})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.volumes.end(b, records, err == nil)
	if err != nil {
		return nil, fmt.Errorf("volumes of backend %s: %w", b.name, err)
	}
	return b.volumes.list(), nil
}

// VolumeFilter selects volumes; what is set must match exactly.
type VolumeFilter struct {
	ID   string
	Name string
}

// VolumesFiltered asks the store for the volumes that match. The handles are new
// ones.
func (b *Backend) VolumesFiltered(ctx context.Context, f VolumeFilter) ([]*Volume, error) {
	return b.lib.findVolumes(ctx, persistence.VolumeFilter{ID: f.ID, Name: f.Name, Backend: b.name})
}

// Refresh loads the volumes again if they were loaded. Handles of volumes that
// are still there stay the same.
func (b *Backend) Refresh(ctx context.Context) error {
	b.mu.Lock()
	loaded := b.volumes.loaded
	b.mu.Unlock()
	if !loaded {
		return nil
	}
	_, err := b.loadVolumes(ctx)
	return err
}
