// SPDX-License-Identifier: Apache-2.0

// Package rbd is the driver of images in a pool of Ceph: Cinder's RBDDriver.
//
// Images, snapshots and the snapshots that clones stand on are named as Cinder
// names them, so that both libraries may work on one pool. One connection serves
// all calls; internal/ceph is what is asked of it.
package rbd
