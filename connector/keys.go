// SPDX-License-Identifier: Apache-2.0

package connector

// The keys that have a field. They are never changed; the tags of the structs
// say the same to people.

var commonKeys = table[Common]{
	text("volume_id", func(c *Common) *string { return &c.VolumeID }),
	text("access_mode", func(c *Common) *AccessMode { return &c.AccessMode }),
	choice("discard", func(c *Common) **bool { return &c.Discard }),
	choice("encrypted", func(c *Common) **bool { return &c.Encrypted }),
	texts("device_wwids", func(c *Common) *[]string { return &c.DeviceWWIDs }),
}

var iscsiKeys = table[ISCSIData]{
	flag("target_discovered", func(d *ISCSIData) *bool { return &d.TargetDiscovered }).alwaysWritten(),
	text("target_portal", func(d *ISCSIData) *string { return &d.TargetPortal }),
	text("target_iqn", func(d *ISCSIData) *string { return &d.TargetIQN }),
	number("target_lun", func(d *ISCSIData) *int { return &d.TargetLUN }).alwaysWritten(),
	texts("target_portals", func(d *ISCSIData) *[]string { return &d.TargetPortals }),
	texts("target_iqns", func(d *ISCSIData) *[]string { return &d.TargetIQNs }),
	numbers("target_luns", func(d *ISCSIData) *[]int { return &d.TargetLUNs }),
	text("auth_method", func(d *ISCSIData) *string { return &d.AuthMethod }),
	text("auth_username", func(d *ISCSIData) *string { return &d.AuthUsername }),
	text("auth_password", func(d *ISCSIData) *Secret { return &d.AuthPassword }),
	text("discovery_auth_method", func(d *ISCSIData) *string { return &d.DiscoveryAuthMethod }),
	text("discovery_auth_username", func(d *ISCSIData) *string { return &d.DiscoveryAuthUsername }),
	text("discovery_auth_password", func(d *ISCSIData) *Secret { return &d.DiscoveryAuthPassword }),
	text("physical_block_size", func(d *ISCSIData) *string { return &d.PhysicalBlockSize }),
	text("logical_block_size", func(d *ISCSIData) *string { return &d.LogicalBlockSize }),
}

var fcKeys = table[FCData]{
	flag("target_discovered", func(d *FCData) *bool { return &d.TargetDiscovered }).alwaysWritten(),
	texts("target_wwn", func(d *FCData) *[]string { return &d.TargetWWNs }),
	number("target_lun", func(d *FCData) *int { return &d.TargetLUN }).alwaysWritten(),
	numbers("target_luns", func(d *FCData) *[]int { return &d.TargetLUNs }),
	textsByKey("initiator_target_map", func(d *FCData) *map[string][]string { return &d.InitiatorTargetMap }),
	choice("enable_wildcard_scan", func(d *FCData) **bool { return &d.EnableWildcardScan }),
	text("addressing_mode", func(d *FCData) *string { return &d.AddressingMode }),
}

var rbdKeys = table[RBDData]{
	text("name", func(d *RBDData) *string { return &d.Name }).alwaysWritten(),
	texts("hosts", func(d *RBDData) *[]string { return &d.Hosts }).alwaysWritten(),
	texts("ports", func(d *RBDData) *[]string { return &d.Ports }).alwaysWritten(),
	text("cluster_name", func(d *RBDData) *string { return &d.ClusterName }),
	flag("auth_enabled", func(d *RBDData) *bool { return &d.AuthEnabled }).alwaysWritten(),
	text("auth_username", func(d *RBDData) *string { return &d.AuthUsername }),
	text("secret_type", func(d *RBDData) *string { return &d.SecretType }),
	text("secret_uuid", func(d *RBDData) *string { return &d.SecretUUID }),
	text("keyring", func(d *RBDData) *Secret { return &d.Keyring }),
}

var localKeys = table[LocalData]{
	text("device_path", func(d *LocalData) *string { return &d.DevicePath }).alwaysWritten(),
	flag("loop", func(d *LocalData) *bool { return &d.Loop }),
}

var propertiesKeys = table[Properties]{
	text("platform", func(p *Properties) *string { return &p.Platform }),
	text("os_type", func(p *Properties) *string { return &p.OSType }),
	text("ip", func(p *Properties) *string { return &p.IP }),
	text("host", func(p *Properties) *string { return &p.Host }),
	flag("multipath", func(p *Properties) *bool { return &p.Multipath }),
	flag("enforce_multipath", func(p *Properties) *bool { return &p.EnforceMultipath }),
	text("initiator", func(p *Properties) *string { return &p.Initiator }),
	texts("wwpns", func(p *Properties) *[]string { return &p.WWPNs }),
	texts("wwnns", func(p *Properties) *[]string { return &p.WWNNs }),
	text("nqn", func(p *Properties) *string { return &p.NQN }),
	text("uuid", func(p *Properties) *string { return &p.UUID }),
	text("system uuid", func(p *Properties) *string { return &p.SystemUUID }),
	flag("do_local_attach", func(p *Properties) *bool { return &p.DoLocalAttach }),
}

var deviceKeys = table[Device]{
	text("type", func(d *Device) *string { return &d.Type }),
	text("path", func(d *Device) *string { return &d.Path }),
	text("scsi_wwn", func(d *Device) *string { return &d.WWN }),
	text("multipath_id", func(d *Device) *string { return &d.MultipathID }),
	text("conf", func(d *Device) *string { return &d.Conf }),
}
