// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/rest"
)

func init() {
	drivers.Register("solidfire", open, drivers.Describe(Version, "volumes of a NetApp SolidFire or Element cluster, over iSCSI"),
		drivers.Alias("cinder.volume.drivers.solidfire.SolidFireDriver", "cinder.volume.drivers.solidfire.SolidFire"))
}

var (
	_ drivers.Driver   = (*Driver)(nil)
	_ drivers.Reverter = (*Driver)(nil)
	_ drivers.Retyper  = (*Driver)(nil)
	_ drivers.Manager  = (*Driver)(nil)
)

// Driver makes volumes on one cluster. It keeps no state of them.
type Driver struct {
	env     drivers.Env
	o       Options
	ratio   float64
	client  *rest.Client
	cluster cluster
	// patience is how long something is looked for that may have been made.
	patience time.Duration
}

// patience: a volume is listed at once, a clone when the cluster comes to it.
const patience = 5 * time.Second

func open(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
	d, err := openWith(ctx, env, o, rest.Retry{})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// oldest is the version of the API that has all that the driver calls.
const oldest = 8

func openWith(ctx context.Context, env drivers.Env, o Options, retry rest.Retry) (*Driver, error) {
	d := &Driver{env: env, o: o, patience: patience}
	var err error
	if d.ratio, err = o.OverSubscription(); err != nil {
		return nil, err
	}
	d.client, err = rest.New(rest.Options{
		URL: o.URL(o.Port), User: o.Login, Password: o.Password, Timeout: o.RequestTimeout,
		TLS: o.TLS(ctx, &env), Retry: retry, Log: env.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := d.meet(ctx); err != nil {
		return nil, fault.Join(d.failed("open", o.Address, err), d.Close())
	}
	return d, nil
}

// meet asks the cluster who it is.
func (d *Driver) meet(ctx context.Context) error {
	var info struct {
		Cluster cluster `json:"clusterInfo"`
	}
	if err := d.call(ctx, getClusterInfo, params{}, &info); err != nil {
		return err
	}
	var about struct {
		Version string `json:"clusterAPIVersion"`
	}
	if err := d.call(ctx, getClusterVersionInfo, params{}, &about); err != nil {
		return err
	}
	major, _, _ := strings.Cut(about.Version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldest {
		return drivers.Errorf(drivers.ErrPrecondition, "the cluster has version %q of the API, and %d.0 is needed", about.Version, oldest)
	}
	if info.Cluster.UUID == "" || info.Cluster.SVIP == "" && d.o.StorageAddress == "" {
		return drivers.Errorf(drivers.ErrInternal, "the cluster does not tell its uuid and storage address")
	}
	d.cluster = info.Cluster
	return nil
}

// Close closes connections to the management.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// failed says what was being done with what.
func (d *Driver) failed(what, object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("solidfire: %s %s: %w", what, object, err)
}
