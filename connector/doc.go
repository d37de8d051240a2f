// SPDX-License-Identifier: Apache-2.0

// Package connector is the port to this host: it describes the host to an array
// (Properties), says how an array lets a host reach a volume (ConnInfo), and
// turns that into a device and back (Connector, Device). It knows neither arrays
// nor volumes nor the store, so a node that only loads a connection from JSON
// attaches it with nothing else.
//
// Each transport lives in a folder of its own: connector/local. All of them work
// through one Host value. Package connector/connectortest proves a Connector.
package connector
