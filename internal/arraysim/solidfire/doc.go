// SPDX-License-Identifier: Apache-2.0

// Package solidfire simulates a cluster of NetApp SolidFire, or Element, behind
// its JSON-RPC interface: accounts, volumes with QoS, clones, snapshots and group
// snapshots, volume access groups, statistics. It was written from the interface
// and from what several independent clients expect of it, not from a client of
// ours. Where those leave a question open, Options has a switch.
//
// Names in the code are the interface's. A comment says so where a rule is the
// simulator's own choice.
//
// What it does not have: pairing of clusters and volumes (there is never a pair:
// ListClusterPairs is empty, RemoveVolumePair refuses, all other methods are
// unknown), QoS policies, virtual volumes, schedules, changing or rolling back
// group snapshots, RestoreDeletedVolume, and the purge of deleted volumes by
// itself. Every version of the interface has every method.
package solidfire
