// SPDX-License-Identifier: Apache-2.0

package connector

import "context"

// Connector attaches and detaches volumes of one transport. It keeps no state
// between calls: everything is found again from the request and the host, so
// that another process, or the same after a kill, can go on. Every call may be
// repeated. When ctx ends, a call returns within a second with what it did
// undone, as far as the kernel allows.
type Connector interface {
	// Attach makes the volume a device of this host and returns it. A volume that
	// is attached already gives the same device. A device whose identity or size
	// is not that of the request is never handed out: ErrWrongDevice.
	Attach(ctx context.Context, r Request) (*Device, error)
	// Detach flushes the device, removes it and verifies that it is gone. What is
	// not attached is success, and so is a device left half made by an Attach
	// that was cut off. With r.Force faults do not stop it; they are returned
	// together at the end.
	Detach(ctx context.Context, r Request) error
	// Extend makes the host see the size the array gave the volume, and returns
	// it in bytes.
	Extend(ctx context.Context, r Request) (int64, error)
	// Paths lists the devices that the volume has on this host now. It neither
	// logs in nor scans.
	Paths(ctx context.Context, r Request) ([]string, error)
}

// Factory makes the Connector of one transport for a host.
type Factory func(h *Host) Connector

// Request is what a Connector is told of a connection.
type Request struct {
	Info *ConnInfo
	// ConnectionID tells this connection from others of the same volume on this
	// host. A transport that makes a device for each connection knows its own by
	// it; empty is that of an only connection.
	ConnectionID string
	// Shared says that another connection of the volume has a device on this host:
	// a transport that has one device a volume leaves it to that one.
	Shared bool
	// Device is what Attach returned, nil if that is not known.
	Device *Device
	// SizeBytes is the least size the device must have; 0 if not known.
	SizeBytes int64
	// Multipath asks for all paths, EnforceMultipath fails without multipathd.
	Multipath        bool
	EnforceMultipath bool
	// Force is Detach's.
	Force bool
}

// Device is an attached volume, as os-brick describes it.
type Device struct {
	Type        string `json:"type,omitempty"` // block or local
	Path        string `json:"path,omitempty"`
	WWN         string `json:"scsi_wwn,omitempty"`
	MultipathID string `json:"multipath_id,omitempty"`
	Conf        string `json:"conf,omitempty"` // a file that Detach removes

	Extra map[string]any `json:"-"` // what else its JSON has
}
