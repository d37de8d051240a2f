// SPDX-License-Identifier: Apache-2.0

// Package solidfire is the driver of NetApp SolidFire and Element clusters: JSON-RPC
// to the management address, iSCSI with one target a volume.
//
// # What is whose
//
// Volumes belong to the account of their project, whose secrets are the CHAP secrets
// of all its volumes. With sf_enable_vag hosts get in by volume access groups, too,
// one for each initiator. A volume is found by the id that the cluster gave it,
// which its record has, and before that is stored by its name and the uuid in its
// attributes. Names are not unique on the cluster.
//
// # What is asked twice
//
// An answer that is lost may be that of something that was done. So whatever makes
// something looks for it by its name before it is asked for again, in the same call
// and in the next.
package solidfire
