// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
)

// Version of the driver, as Cinder's statistics give it.
const Version = "1.0.13"

// Options of both drivers.
type Options struct {
	drivers.CommonOptions
	san.Options
	Cluster     string        `option:"xtremio_cluster_name" help:"cluster to use; needed where the XMS manages several"`
	BusyTries   int           `option:"xtremio_array_busy_retry_count" default:"5" min:"1" help:"how often a request is sent in all while the array is busy"`
	BusyPause   time.Duration `option:"xtremio_array_busy_retry_interval" default:"5" min:"1" help:"seconds between these"`
	CleanGroups bool          `option:"xtremio_clean_unused_ig" default:"false" help:"delete an initiator group when its last volume is disconnected"`
	Ports       []string      `option:"xtremio_ports" help:"ports of the array that hosts may use: addresses of iSCSI portals, or WWNs; all without it"`

	ImageVolumes int            `option:"xtremio_volumes_per_glance_cache" ignored:"there are no images" help:"snapshots of one cached image"`
	UseCHAP      bool           `option:"use_chap_auth" ignored:"the array says whether there is CHAP" help:"use CHAP"`
	CHAPUser     string         `option:"chap_username" ignored:"CHAP is that of the array's initiators" help:"CHAP user"`
	CHAPPassword drivers.Secret `option:"chap_password" ignored:"CHAP is that of the array's initiators" help:"CHAP secret"`
	APIPort      int            `option:"san_api_port" ignored:"san_ip may have a port" help:"port of the management"`
	ClusterName  string         `option:"san_clustername" ignored:"xtremio_cluster_name is the cluster" help:"name of a cluster"`
}

// port is where the XMS listens, unless san_ip says another.
const port = 443
