// SPDX-License-Identifier: Apache-2.0

package connector

import "github.com/gocinder/cinderlib/internal/secret"

// AccessMode is how a host may use a volume.
type AccessMode string

// The access modes.
const (
	ReadWrite AccessMode = "rw"
	ReadOnly  AccessMode = "ro"
)

// Secret is text that prints as *** everywhere; Reveal gives it.
type Secret = secret.Text

// Protocols that have a typed Data. The texts are those of Cinder.
const (
	ProtocolISCSI = "iscsi"
	ProtocolISER  = "iser"
	ProtocolFC    = "fibre_channel"
	ProtocolRBD   = "rbd"
	ProtocolLocal = "local"
)

// ConnInfo says how a host reaches a volume: Cinder's connection info. Its JSON
// holds the secrets in Data in clear, because the host needs them; every other
// form of it shows ***.
type ConnInfo struct {
	Protocol string // driver_volume_type
	Data     Data

	extra map[string]any // what else its JSON has
}

// Data is the part of ConnInfo that the transport defines: one of ISCSIData,
// FCData, RBDData, LocalData or, for any other, RawData, by pointer.
type Data interface {
	// Common gives what every transport has; a change in it is a change in the
	// Data.
	Common() *Common
	sealed()
}

// Common is what connection data of every transport may have.
type Common struct {
	VolumeID   string     `json:"volume_id,omitempty"`
	AccessMode AccessMode `json:"access_mode,omitempty"`
	Discard    *bool      `json:"discard,omitempty"`
	Encrypted  *bool      `json:"encrypted,omitempty"`
	// DeviceWWIDs are the identities (naa.…, eui.…, t10.…) that the device must
	// have one of; empty if the array does not tell.
	DeviceWWIDs []string `json:"device_wwids,omitempty"`

	// Extra is what else its JSON has: keys that have no field, and null or
	// another notation of keys that have one, used while the field says the same.
	Extra map[string]any `json:"-"`

	// missing has a bit for each key, of those that are written even with a zero
	// value, that the JSON lacked: it stays away while the value is zero.
	missing uint32
}

// ISCSIData is the data of iscsi and iser.
type ISCSIData struct {
	TargetDiscovered bool     `json:"target_discovered"`
	TargetPortal     string   `json:"target_portal,omitempty"`
	TargetIQN        string   `json:"target_iqn,omitempty"`
	TargetLUN        int      `json:"target_lun"`
	TargetPortals    []string `json:"target_portals,omitempty"`
	TargetIQNs       []string `json:"target_iqns,omitempty"`
	TargetLUNs       []int    `json:"target_luns,omitempty"`

	AuthMethod            string `json:"auth_method,omitempty"`
	AuthUsername          string `json:"auth_username,omitempty"`
	AuthPassword          Secret `json:"auth_password,omitempty"`
	DiscoveryAuthMethod   string `json:"discovery_auth_method,omitempty"`
	DiscoveryAuthUsername string `json:"discovery_auth_username,omitempty"`
	DiscoveryAuthPassword Secret `json:"discovery_auth_password,omitempty"`

	PhysicalBlockSize string `json:"physical_block_size,omitempty"`
	LogicalBlockSize  string `json:"logical_block_size,omitempty"`

	Shared Common `json:"-"` // its fields stand among these
}

// FCData is the data of fibre_channel.
type FCData struct {
	TargetDiscovered   bool                `json:"target_discovered"`
	TargetWWNs         []string            `json:"target_wwn,omitempty"` // JSON may have one text in its place
	TargetLUN          int                 `json:"target_lun"`
	TargetLUNs         []int               `json:"target_luns,omitempty"`
	InitiatorTargetMap map[string][]string `json:"initiator_target_map,omitempty"`
	EnableWildcardScan *bool               `json:"enable_wildcard_scan,omitempty"`
	AddressingMode     string              `json:"addressing_mode,omitempty"`

	Shared Common `json:"-"` // its fields stand among these
}

// RBDData is the data of rbd.
type RBDData struct {
	Name         string   `json:"name"` // POOL/IMAGE
	Hosts        []string `json:"hosts"`
	Ports        []string `json:"ports"`
	ClusterName  string   `json:"cluster_name,omitempty"`
	AuthEnabled  bool     `json:"auth_enabled"`
	AuthUsername string   `json:"auth_username,omitempty"`
	SecretType   string   `json:"secret_type,omitempty"`
	SecretUUID   string   `json:"secret_uuid,omitempty"`
	Keyring      Secret   `json:"keyring,omitempty"`

	Shared Common `json:"-"` // its fields stand among these
}

// LocalData is the data of local: something this host has already.
type LocalData struct {
	DevicePath string `json:"device_path"`
	// Loop asks for a loop device on the file.
	Loop bool `json:"loop,omitempty"`

	Shared Common `json:"-"` // its fields stand among these
}

// RawData is the data of a transport that has no type here, and data from JSON
// that does not fit the type of its transport.
type RawData struct {
	Values map[string]any // without what Shared has

	Shared Common
}

// Common implements Data.
func (d *ISCSIData) Common() *Common { return &d.Shared }

// Common implements Data.
func (d *FCData) Common() *Common { return &d.Shared }

// Common implements Data.
func (d *RBDData) Common() *Common { return &d.Shared }

// Common implements Data.
func (d *LocalData) Common() *Common { return &d.Shared }

// Common implements Data.
func (d *RawData) Common() *Common { return &d.Shared }

func (*ISCSIData) sealed() {}
func (*FCData) sealed()    {}
func (*RBDData) sealed()   {}
func (*LocalData) sealed() {}
func (*RawData) sealed()   {}
