// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

func init() {
	const cinder, before = "cinder.volume.drivers.dell_emc.xtremio.", "cinder.volume.drivers.emc.xtremio."
	drivers.Register("xtremio-iscsi", open(connector.ProtocolISCSI), drivers.Describe(Version, "volumes of a Dell EMC XtremIO cluster, over iSCSI"),
		drivers.Alias(cinder+"XtremIOISCSIDriver", before+"XtremIOISCSIDriver"))
	drivers.Register("xtremio-fc", open(connector.ProtocolFC), drivers.Describe(Version, "volumes of a Dell EMC XtremIO cluster, over Fibre Channel"),
		drivers.Alias(cinder+"XtremIOFCDriver", cinder+"XtremIOFibreChannelDriver", before+"XtremIOFibreChannelDriver"))
}

var (
	_ drivers.Driver   = (*Driver)(nil)
	_ drivers.Reverter = (*Driver)(nil)
	_ drivers.Manager  = (*Driver)(nil)
)

// Driver makes volumes on one cluster. It keeps no state of them.
type Driver struct {
	env      drivers.Env
	o        Options
	protocol string
	ratio    float64
	client   *rest.Client
	cluster  string // its name
	version  int    // of the API: 1 or 2
	anyOf    bool   // a filter may say "or": the XMS has version 4.2 or later

	chap      recent[chap]
	endpoints recent[[]endpoint]
}

// ages is how long what changes seldom is taken for known: modes of CHAP and ports.
const ages = time.Minute

// recent is what was read from the array not long ago.
type recent[T any] struct {
	mu    sync.Mutex
	value T
	at    time.Time
}

func (r *recent[T]) get(read func() (T, error)) (T, error) {
	r.mu.Lock()
	value, at := r.value, r.at
	r.mu.Unlock()
	if !at.IsZero() && time.Since(at) < ages {
		return value, nil
	}
	value, err := read()
	if err == nil {
		r.set(value)
	}
	return value, err
}

func (r *recent[T]) set(value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.value, r.at = value, time.Now()
}

func open(protocol string) func(context.Context, drivers.Env, Options) (drivers.Driver, error) {
	return func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
		d, err := openWith(ctx, env, o, protocol, rest.Retry{Tries: o.BusyTries, First: o.BusyPause, Longest: o.BusyPause})
		if err != nil {
			return nil, err
		}
		return d.offered(), nil
	}
}

// offered is the driver without what the array cannot do.
func (d *Driver) offered() drivers.Driver {
	if d.version == 1 {
		return struct {
			drivers.Driver
			drivers.Manager
		}{d, d}
	}
	return d
}

func openWith(ctx context.Context, env drivers.Env, o Options, protocol string, retry rest.Retry) (*Driver, error) {
	d := &Driver{env: env, o: o, protocol: protocol}
	var err error
	if d.ratio, err = o.OverSubscription(); err != nil {
		return nil, err
	}
	d.client, err = rest.New(rest.Options{
		URL: o.URL(port), User: o.Login, Password: o.Password, TLS: o.TLS(ctx, &env), Retry: retry, Log: env.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := d.meet(ctx); err != nil {
		return nil, fault.Join(d.failed("open", o.Address, err), d.Close())
	}
	return d, nil
}

// meet finds out which versions there are, and the cluster.
func (d *Driver) meet(ctx context.Context) error {
	var xms struct {
		Content struct {
			Version string `json:"sw-version"`
		} `json:"content"`
	}
	d.version = 1
	err := d.send(ctx, 1, http.MethodGet, "xms/1", nil, nil, &xms)
	if err != nil && !gone(err) {
		return err
	}
	if newer(xms.Content.Version, 4) {
		d.version, d.anyOf = 2, newer(xms.Content.Version, 4, 2)
	}
	clusters, err := list[cluster](ctx, d, "clusters", nil)
	if err != nil {
		return err
	}
	var names []string
	var mine *cluster
	for i, c := range clusters {
		names = append(names, c.Name)
		if c.Name == d.o.Cluster || d.o.Cluster == "" {
			mine = &clusters[i]
		}
	}
	switch {
	case mine == nil:
		return drivers.Errorf(drivers.ErrInvalid, "the XMS has no cluster %q (xtremio_cluster_name), but %s", d.o.Cluster, strings.Join(names, ", "))
	case d.o.Cluster == "" && len(names) > 1:
		return drivers.Errorf(drivers.ErrInvalid, "the XMS has the clusters %s: xtremio_cluster_name has to say which", strings.Join(names, ", "))
	case !newer(mine.Version, 3):
		return drivers.Errorf(drivers.ErrPrecondition, "the cluster %s has version %q, and 3.0 is needed", mine.Name, mine.Version)
	case !newer(mine.Version, 4):
		d.version, d.anyOf = 1, false
	}
	d.cluster = mine.Name
	d.chap.set(mine.chap())
	return nil
}

// newer tells whether a version, as 4.0.10-33.hotfix1, is at least another.
func newer(version string, least ...int) bool {
	version, _, _ = strings.Cut(version, "-")
	part := strings.Split(version, ".")
	for i, want := range least {
		if i == len(part) {
			return false
		}
		have, err := strconv.Atoi(part[i])
		if err != nil || have < want {
			return false
		}
		if have > want {
			return true
		}
	}
	return true
}

// read reads the cluster.
func (d *Driver) read(ctx context.Context) (*cluster, error) {
	c, err := object[cluster](ctx, d, "clusters", url.Values{"name": {d.cluster}})
	if err == nil {
		d.chap.set(c.chap())
	}
	return c, err
}

// Close closes connections to the XMS.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// failed says what was being done with what.
func (d *Driver) failed(what, object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("xtremio: %s %s: %w", what, object, err)
}
