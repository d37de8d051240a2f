// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// Record is what a store keeps: *drivers.Volume, *drivers.Snapshot, *Connection
// or *KeyValue.
type Record interface {
	*drivers.Volume | *drivers.Snapshot | *Connection | *KeyValue
}

// Attach statuses of connections. Empty is that of a connection that Python
// cinderlib made; it means attached.
const (
	AttachReserved       = "reserved"        // the array's side is being made
	AttachAttaching      = "attaching"       // the host's side is being made
	AttachAttached       = "attached"        // neither is changing
	AttachErrorDetaching = "error_detaching" // the host's side is being taken back, or that failed
	AttachDetached       = "detached"        // the array's side is being taken back
)

// Connection is the record of one connection of a volume to a host, field for
// field Cinder's VolumeAttachment.
type Connection struct {
	ID           string
	VolumeID     string
	InstanceUUID string
	AttachedHost string
	Mountpoint   string
	AttachTime   time.Time
	DetachTime   time.Time
	AttachStatus string
	AttachMode   connector.AccessMode
	// Conn, Connector and Device are the parts of connection_info: how to reach
	// the volume, the host it is for, the device it has there.
	Conn      *connector.ConnInfo
	Connector *connector.Properties
	Device    *connector.Device
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time
	Deleted   bool

	Wire *ovo.Wire // what JSON held beyond these fields
}

// Clone returns a deep copy.
func (c *Connection) Clone() *Connection {
	n := *c
	n.Conn = c.Conn.Clone()
	n.Connector = c.Connector.Clone()
	n.Device = c.Device.Clone()
	return &n
}

// HostName names the host that the connection is for, as far as is known.
func (c *Connection) HostName() string {
	if c.Connector != nil && c.Connector.Host != "" {
		return c.Connector.Host
	}
	return c.AttachedHost
}

// KeyValue is a fact of the program's own that it keeps in the store. Value is
// text, often JSON.
type KeyValue struct {
	Key   string
	Value string
}
