// SPDX-License-Identifier: Apache-2.0

// Package xtremio makes volumes on a Dell EMC XtremIO cluster, for hosts with iSCSI or
// Fibre Channel. It registers the drivers xtremio-iscsi and xtremio-fc.
//
// The management server (XMS) of versions 4 and later is asked by the second version of
// its REST API, that of version 3 by the first, which has one kind of snapshot, answers
// with all fields of an object and lists names only.
//
// # Names
//
// A volume, snapshot or clone has the id of its record as its name, without a prefix,
// as Cinder's driver makes it: the array has one space of names for all of them. A
// snapshot whose id is no UUID is called snapshot-ID, so that a volume may have the same
// id. Hosts have an initiator group, called as their iSCSI name or, with Fibre Channel,
// as the host; where a port of theirs is in another group already, that one is used.
//
// Snapshots and clones get a name of the array's first, SOURCE.NAME in a snapshot set
// called NAME. What a killed process leaves under it is removed when the record is.
//
// docs/drivers/xtremio.md has the options and the limits.
package xtremio
