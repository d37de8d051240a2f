// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"math"
	"strconv"

	"github.com/gocinder/cinderlib/internal/optdecode"
)

// Option describes one option of a driver. It is read from the tags of the
// driver's option struct:
//
//	option:"NAME"     the option's name in Cinder's configuration
//	aliases:"A,B"     other names it is known under
//	default:"TEXT"    its default, in the notation of the configuration
//	required:"true"   it must be given and must not be empty
//	choices:"A,B"     the values it may have
//	min:"N" max:"N"   the bounds of a number
//	ignored:"WHY"     it is known, and means nothing here
//	help:"TEXT"       one line
//
// Fields are string, Secret, bool, int, int64, float64, time.Duration (a number
// is seconds), []string (a list, or text with commas), map[string]string and
// []map[string]string. Secret fields are marked secret. Structs are embedded.
type Option = optdecode.Option

// CommonOptions are the options that every driver has; embed it.
type CommonOptions struct {
	BackendName          string              `option:"volume_backend_name" required:"true" help:"name of the backend, unique in the library and in a shared store"`
	Driver               string              `option:"volume_driver" required:"true" help:"name of the driver, or the class path it has in Cinder"`
	ReservedPercentage   int                 `option:"reserved_percentage" default:"0" min:"0" max:"100" help:"percentage of the capacity that is not to be used"`
	MaxOverSubscription  string              `option:"max_over_subscription_ratio" default:"20.0" help:"virtual to real capacity of thin pools: a number, or auto"`
	UseMultipath         bool                `option:"use_multipath_for_image_xfer" default:"false" help:"attach through several paths"`
	EnforceMultipath     bool                `option:"enforce_multipath_for_image_xfer" default:"false" help:"fail where several paths are asked for and multipathd does not run"`
	CopyBytesPerSecond   int64               `option:"volume_copy_bps_limit" default:"0" min:"0" help:"limit of copies through this host in bytes a second; 0 is none"`
	AvailabilityZone     string              `option:"backend_availability_zone" ignored:"there are no zones" help:"availability zone of the backend"`
	BackendHost          string              `option:"backend_host" ignored:"there is no volume service" help:"host name of the volume service"`
	FilterFunction       string              `option:"filter_function" ignored:"there is no scheduler" help:"scheduler's filter"`
	GoodnessFunction     string              `option:"goodness_function" ignored:"there is no scheduler" help:"scheduler's weigher"`
	CopyBlockSize        string              `option:"volume_dd_blocksize" ignored:"copies choose their own block size" help:"block size of copies"`
	CopyCgroup           string              `option:"volume_copy_blkio_cgroup_name" ignored:"copies are limited without cgroups" help:"cgroup of copies"`
	ShellTries           int                 `option:"num_shell_tries" ignored:"commands are repeated only where that is safe" help:"attempts of a command"`
	ScanTries            int                 `option:"num_volume_device_scan_tries" ignored:"the context bounds the wait" help:"attempts of finding a device"`
	ImageCache           bool                `option:"image_volume_cache_enabled" ignored:"there are no images" help:"cache images as volumes"`
	ImageCacheSize       float64             `option:"image_volume_cache_max_size_gb" ignored:"there are no images" help:"size of the image cache"`
	ImageCacheCount      int                 `option:"image_volume_cache_max_count" ignored:"there are no images" help:"entries of the image cache"`
	ImageUpload          bool                `option:"image_upload_use_cinder_backend" ignored:"there are no images" help:"upload images as volumes"`
	ImageUploadInternal  bool                `option:"image_upload_use_internal_tenant" ignored:"there are no images" help:"owner of uploaded images"`
	EnableUnsupported    bool                `option:"enable_unsupported_driver" ignored:"all registered drivers may be used" help:"allow unsupported drivers"`
	SuppressTLSWarnings  bool                `option:"suppress_requests_ssl_warnings" ignored:"it is an option of the library" help:"no warning of unverified certificates"`
	ReplicationDevices   []map[string]string `option:"replication_device" ignored:"replication is not supported" help:"targets of replication"`
	BackendStatsPolling  int                 `option:"backend_stats_polling_interval" ignored:"statistics are read when asked for" help:"seconds between polls"`
	ExtraCapabilities    string              `option:"extra_capabilities" ignored:"there is no scheduler" help:"capabilities to report, as JSON"`
	MigrationCreateLimit int                 `option:"migration_create_volume_timeout_secs" ignored:"volumes are not migrated" help:"limit of a migration"`
}

// DecodeCommon decodes the options that every driver has out of a backend's.
func DecodeCommon(values map[string]any) (CommonOptions, error) {
	o, _, err := optdecode.Decode[CommonOptions](values, true)
	return o, err
}

// autoRatio stands for max_over_subscription_ratio = auto, which Cinder computes
// from what is provisioned and falls back to 20 for where nothing is.
const autoRatio = 20.0

// OverSubscription reads max_over_subscription_ratio: auto, or a number of at
// least 1. Anything else is ErrInvalid.
func (o *CommonOptions) OverSubscription() (float64, error) {
	if o.MaxOverSubscription == "auto" {
		return autoRatio, nil
	}
	r, err := strconv.ParseFloat(o.MaxOverSubscription, 64)
	if err != nil || math.IsNaN(r) || math.IsInf(r, 0) || r < 1 {
		return 0, Errorf(ErrInvalid, "max_over_subscription_ratio %q is neither auto nor a number of at least 1", o.MaxOverSubscription)
	}
	return r, nil
}
