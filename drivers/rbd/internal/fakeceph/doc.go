// SPDX-License-Identifier: Apache-2.0

// Package fakeceph is a Ceph cluster in memory, for tests. It refuses what librbd
// 16.2.15 refuses, with the same number and in the same order of precedence; it
// was written from measurements, not from a driver, and cephtest shows that both
// answer alike.
//
// What it does not have: a writer's exclusive lock, mirroring, namespaces, the
// invalid flags of object maps, and calls that act after they were given up.
package fakeceph
