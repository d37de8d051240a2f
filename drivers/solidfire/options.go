// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"os"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
)

// Version of the driver, as Cinder's statistics give it.
const Version = "2.2.5"

// Options of the driver.
type Options struct {
	drivers.CommonOptions
	san.Options
	Port           int    `option:"sf_api_port" default:"443" min:"1" max:"65535" help:"port of the management"`
	Emulate512     bool   `option:"sf_emulate_512" default:"true" help:"new volumes have blocks of 512 bytes, and not of 4096"`
	TenantQoS      bool   `option:"sf_allow_tenant_qos" default:"false" help:"take the quality of service of a volume from its metadata, if its type has none"`
	AccountPrefix  string `option:"sf_account_prefix" help:"accounts are called PREFIX-PROJECT; hostname stands for the name of this host. Without it they have the project's name"`
	VolumePrefix   string `option:"sf_volume_prefix" default:"UUID-" help:"what names of volumes and snapshots begin with"`
	StorageAddress string `option:"sf_svip" help:"address, or address:port, that hosts use, in place of the cluster's own"`
	AccessGroups   bool   `option:"sf_enable_vag" default:"false" help:"let hosts in by volume access groups"`
	Calculation    string `option:"sf_provisioning_calc" default:"maxProvisionedSpace" choices:"maxProvisionedSpace,usedSpace" help:"what the capacity is counted by"`

	RequestTimeout time.Duration `option:"sf_api_request_timeout" default:"30" min:"30" help:"seconds until a request is given up"`
	CreateTimeout  time.Duration `option:"sf_volume_create_timeout" default:"60" min:"30" help:"seconds that a new volume may take to become active"`
	CloneTimeout   time.Duration `option:"sf_volume_clone_timeout" default:"600" min:"60" help:"seconds that a clone may take to appear"`

	ClusterPairing  time.Duration  `option:"sf_cluster_pairing_timeout" ignored:"replication is not supported" help:"seconds until clusters are paired"`
	VolumePairing   time.Duration  `option:"sf_volume_pairing_timeout" ignored:"replication is not supported" help:"seconds until volumes are paired"`
	TemplateAccount string         `option:"sf_template_account_name" ignored:"there are no images" help:"account of cached images"`
	TemplateCaching bool           `option:"sf_allow_template_caching" ignored:"there are no images" help:"cache images on the array"`
	VolumeMapping   bool           `option:"sf_enable_volume_mapping" ignored:"volumes are found by their ids" help:"keep a table of volumes and accounts"`
	UseCHAP         bool           `option:"use_chap_auth" ignored:"CHAP is always used, with the secrets of the account" help:"use CHAP"`
	CHAPUser        string         `option:"chap_username" ignored:"CHAP is that of the account" help:"CHAP user"`
	CHAPPassword    drivers.Secret `option:"chap_password" ignored:"CHAP is that of the account" help:"CHAP secret"`
	RESTPort        int            `option:"san_rest_port" ignored:"sf_api_port is the port" help:"port of a REST service"`
	APIPort         int            `option:"san_api_port" ignored:"sf_api_port is the port" help:"port of the management"`
}

func (o *Options) account(project string) (string, error) {
	prefix := o.AccountPrefix
	if prefix == "hostname" {
		name, err := os.Hostname()
		if err != nil {
			return "", err
		}
		prefix = name
	}
	if prefix != "" {
		project = prefix + "-" + project
	}
	const longest = 64 - 1 // of an account's name, less the _ of a second account
	if project == "" || len(project) > longest || strings.ContainsAny(project, " \t\r\n") {
		return "", drivers.Errorf(drivers.ErrInvalid, "%q cannot be the name of an account: it has 1 to %d bytes, none of them blank", project, longest)
	}
	return project, nil
}

// storagePort is where the cluster's targets listen.
const storagePort = 3260

// portal is where hosts find the targets.
func (o *Options) portal(svip string) string {
	if o.StorageAddress != "" {
		svip = o.StorageAddress
	}
	return san.HostPort(strings.TrimSpace(svip), storagePort)
}
