// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
)

// Version of the driver, as Cinder's statistics give it.
const Version = "3.0.0"

// Options of the driver.
type Options struct {
	drivers.CommonOptions
	VolumeGroup string `option:"volume_group" default:"cinder-volumes" help:"volume group the volumes live in; it must be there"`
	Type        string `option:"lvm_type" default:"auto" choices:"default,thin,auto" help:"default is thick; auto is thin where the group is empty or has its pool already, otherwise thick"`
	Mirrors     int    `option:"lvm_mirrors" default:"0" min:"0" max:"7" help:"copies of each thick volume beside the first; the group needs two devices more"`
	ConfFile    string `option:"lvm_conf_file" default:"/etc/cinder/lvm.conf" help:"configuration of LVM for this driver, used if the file is there; None for none"`
	QuietFDs    bool   `option:"lvm_suppress_fd_warnings" default:"false" help:"LVM says nothing of file descriptors that it inherits"`
	ShareTarget bool   `option:"lvm_share_target" default:"false" help:"one target for all volumes; only nvmet could, so true is refused"`

	TargetHelper   string   `option:"target_helper" aliases:"iscsi_helper" default:"lioadm" help:"lioadm, the target of the kernel; no other is supported"`
	TargetProtocol string   `option:"target_protocol" aliases:"iscsi_protocol" default:"iscsi" help:"iscsi, or iser for RDMA"`
	TargetAddress  string   `option:"target_ip_address" aliases:"iscsi_ip_address" help:"address of the first portal; my_ip if it is not given"`
	MoreAddresses  []string `option:"target_secondary_ip_addresses" aliases:"iscsi_secondary_ip_addresses" help:"addresses of further portals, for multipath"`
	TargetPort     int      `option:"target_port" aliases:"iscsi_port" default:"3260" min:"1" max:"65535" help:"port of all portals"`
	TargetPrefix   string   `option:"target_prefix" aliases:"iscsi_target_prefix" default:"iqn.2010-10.org.openstack:" help:"what the names of targets begin with, before the volume's name"`

	Clear         string `option:"volume_clear" default:"zero" choices:"zero,none" help:"what happens to the content of a thick volume when it is deleted"`
	ClearSize     int64  `option:"volume_clear_size" default:"0" min:"0" max:"1024" help:"MiB that are cleared, from the start; 0 is all"`
	ReportDiscard bool   `option:"report_discard_supported" default:"false" help:"connections tell hosts that they may discard"`

	ClearIONice   string         `option:"volume_clear_ionice" ignored:"clearing runs no program; volume_copy_bps_limit bounds it" help:"ionice's options while clearing"`
	UseCHAP       bool           `option:"use_chap_auth" ignored:"CHAP is always on" help:"ask initiators for a password"`
	CHAPUser      string         `option:"chap_username" ignored:"each volume has credentials of its own" help:"user name of CHAP"`
	CHAPPassword  drivers.Secret `option:"chap_password" ignored:"each volume has credentials of its own" help:"password of CHAP"`
	WriteCache    string         `option:"iscsi_write_cache" ignored:"it is tgtadm's" help:"write cache of the target"`
	TargetFlags   string         `option:"iscsi_target_flags" ignored:"it is tgtadm's" help:"flags of the target"`
	VolumesDir    string         `option:"volumes_dir" ignored:"it is tgtadm's" help:"folder of the target's configuration"`
	DiskGeometry  string         `option:"disk_geometry" ignored:"the kernel tells it" help:"geometry of disks"`
	NVMePort      int            `option:"nvmet_port_id" ignored:"it is nvmet's" help:"port of the NVMe target"`
	NVMeNamespace int            `option:"nvmet_ns_id" ignored:"it is nvmet's" help:"namespace of the NVMe target"`
	NVMeConnInfo  int            `option:"nvmeof_conn_info_version" ignored:"it is nvmet's" help:"version of NVMe connection data"`
}

// check refuses what the driver cannot do, with what would do.
func (o *Options) check() error {
	switch {
	case o.TargetHelper != "lioadm":
		return drivers.Errorf(drivers.ErrInvalid, "target_helper %s is not supported: only lioadm is, the target of the kernel", o.TargetHelper)
	case o.TargetProtocol != "iscsi" && o.TargetProtocol != "iser":
		return drivers.Errorf(drivers.ErrInvalid, "target_protocol %s is not supported: only iscsi and iser are", o.TargetProtocol)
	case o.ShareTarget:
		return drivers.Errorf(drivers.ErrInvalid, "lvm_share_target: only the target helper nvmet could share a target, and it is not supported")
	}
	if err := checkGroup(o.VolumeGroup); err != nil {
		return err
	}
	if err := lio.CheckIQN(o.TargetPrefix + "volume-0"); err != nil {
		return fmt.Errorf("target_prefix: %w", err)
	}
	return nil
}

// portals are the addresses to listen on. myIP stands in for the first.
func (o *Options) portals(myIP string) ([]netip.AddrPort, error) {
	first := o.TargetAddress
	if first == "" {
		first = myIP
	}
	portals := make([]netip.AddrPort, 0, 1+len(o.MoreAddresses))
	for i, text := range append([]string{first}, o.MoreAddresses...) {
		option := "target_ip_address"
		if i > 0 {
			option = "target_secondary_ip_addresses"
		}
		ip, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(text), "[]"))
		if err != nil {
			return nil, drivers.Errorf(drivers.ErrInvalid, "%s: %q is no IP address", option, text)
		}
		if ip = ip.Unmap(); ip.IsUnspecified() {
			return nil, drivers.Errorf(drivers.ErrInvalid, "%s: %s is every address of this host, and none that another could connect to", option, ip)
		}
		p := netip.AddrPortFrom(ip, uint16(o.TargetPort)) //nolint:gosec // the option's bounds are those of a port
		if slices.Contains(portals, p) {
			return nil, drivers.Errorf(drivers.ErrInvalid, "%s: %s is there twice", option, ip)
		}
		portals = append(portals, p)
	}
	return portals, nil
}
