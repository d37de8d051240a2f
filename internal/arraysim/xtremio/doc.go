// SPDX-License-Identifier: Apache-2.0

// Package xtremio simulates a Dell EMC XtremIO management server, the XMS, with one
// cluster or several behind its REST interface: volumes and snapshots, snapshot
// sets, consistency groups, initiator groups with initiators and CHAP, LUN maps,
// targets and portals. It was written from the interface, and from what several
// independent clients send and expect, not from a client of ours.
//
// # What is certain
//
// Paths, verbs and names of fields; which attributes are text and which numbers;
// that what is not there is refused with 400; the messages in the first block of
// errors.go; how v1 and v2 of the interface differ; what names the cluster.
//
// # What is assumed
//
// The messages in the second block of errors.go; all Limits but that of a
// snap-suffix; what the switches in Options are for; links and identifiers of v3;
// that a comma in a filter is "or" from 4.2 on; how filters compare references.
// Comments say so where else a rule is the simulator's own choice.
//
// # What it does not have
//
// Tags: there are none, and to name one is refused. Folders but "/". Groups made
// with a list of initiators. Replication, QoS, schedulers, events, performance.
// What is used of the capacity never changes, and no cluster is ever full. Volumes
// cannot be locked. Fibre Channel is in the interface only: hosts see volumes by
// iSCSI. CHAP of discovery is in the interface only, too.
package xtremio
