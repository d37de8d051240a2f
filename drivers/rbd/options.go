// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"math/bits"
	"os"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/drivers"
)

// Version of the driver, as Cinder's statistics give it.
const Version = "1.3.0"

// Options of the driver.
type Options struct {
	drivers.CommonOptions
	ClusterName string `option:"rbd_cluster_name" default:"ceph" help:"name of the cluster"`
	Pool        string `option:"rbd_pool" default:"rbd" help:"pool the volumes live in; it must be there"`
	User        string `option:"rbd_user" help:"name of the client, without client.; without it client.admin connects, and hosts are told that there is no authentication"`
	ConfFile    string `option:"rbd_ceph_conf" help:"ceph.conf; without it librados looks at its usual places"`
	Keyring     string `option:"rbd_keyring_conf" help:"file with the client's key, which goes with the connection data to hosts that have no key of their own"`
	SecretUUID  string `option:"rbd_secret_uuid" help:"libvirt's secret, for connection data; the cluster's fsid if it is not given"`

	ChunkSize     int  `option:"rbd_store_chunk_size" default:"4" min:"1" max:"32" help:"MiB of the objects of new volumes, a power of two"`
	FlattenFrom   bool `option:"rbd_flatten_volume_from_snapshot" default:"false" help:"copy the data of the snapshot into each volume that is made from one"`
	MaxCloneDepth int  `option:"rbd_max_clone_depth" default:"5" help:"longest chain of clones of volumes; the data is copied into the next one. 0 copies always"`
	Flattens      int  `option:"rbd_concurrent_flatten_operations" default:"3" min:"0" help:"how many copies of data into clones go on at one time; 0 does not limit them"`

	ConnectTimeout  time.Duration `option:"rados_connect_timeout" default:"-1" help:"seconds that connecting, and each operation of the cluster, may take; below 0 it is 300, which is what librados gives connecting"`
	ConnectRetries  int           `option:"rados_connection_retries" default:"3" min:"1" help:"attempts to connect, the first included"`
	ConnectInterval time.Duration `option:"rados_connection_interval" default:"5" min:"0" help:"seconds until the second attempt; before each further one twice as long"`

	DynamicTotal  bool `option:"report_dynamic_total_capacity" default:"true" help:"the total is what is free and what this pool uses, and not the size of cluster or quota"`
	ExclusivePool bool `option:"rbd_exclusive_cinder_pool" default:"true" help:"nobody else has images in the pool: their sizes are not asked for"`

	DeferredDeletion bool          `option:"enable_deferred_deletion" default:"false" help:"deleted volumes go to the trash, and are removed in the background"`
	DeferredDelay    time.Duration `option:"deferred_deletion_delay" default:"0" min:"0" help:"seconds that a volume stays in the trash"`
	PurgeInterval    time.Duration `option:"deferred_deletion_purge_interval" default:"60" min:"1" help:"seconds between looks into the trash"`

	ReplicationTimeout time.Duration `option:"replication_connect_timeout" ignored:"replication is not supported" help:"seconds until a target of replication answers"`
}

// noTimeout is what no rados_connect_timeout means: client_mount_timeout of
// librados.
const noTimeout = 300 * time.Second

// check refuses what cannot be.
func (o *Options) check() error {
	switch {
	case o.ClusterName == "":
		return drivers.Errorf(drivers.ErrInvalid, "rbd_cluster_name is empty")
	case o.Pool == "":
		return drivers.Errorf(drivers.ErrInvalid, "rbd_pool is empty")
	case strings.HasPrefix(o.User, "client."):
		return drivers.Errorf(drivers.ErrInvalid, "rbd_user %s: it is given without client.", o.User)
	case bits.OnesCount(uint(o.ChunkSize)) != 1:
		return drivers.Errorf(drivers.ErrInvalid, "rbd_store_chunk_size %d is not a power of two", o.ChunkSize)
	}
	return nil
}

func (o *Options) timeout() time.Duration {
	if o.ConnectTimeout < 0 {
		return noTimeout
	}
	return o.ConnectTimeout
}

// order is that of the objects of new images.
func (o *Options) order() int { return orderOf(int64(o.ChunkSize) << 20) }

// orderOf is the logarithm of a size, rounded down.
func orderOf(bytes int64) int { return max(bits.Len64(uint64(bytes))-1, 0) }

// keyring reads the key that hosts are given.
func (o *Options) keyring(path func(string) string) (drivers.Secret, error) {
	if o.Keyring == "" {
		return "", nil
	}
	text, err := os.ReadFile(path(o.Keyring))
	if err != nil {
		return "", drivers.Errorf(drivers.ErrInvalid, "rbd_keyring_conf: %w", err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return "", drivers.Errorf(drivers.ErrInvalid, "rbd_keyring_conf: %s is empty", o.Keyring)
	}
	return drivers.Secret(text), nil
}
