// SPDX-License-Identifier: Apache-2.0

// Package lvm is the driver of LVM volumes of this host, which its kernel
// exports over iSCSI: Cinder's LVMVolumeDriver with the target helper lioadm.
//
// Volumes are thin or thick (option lvm_type), as Cinder names them, so that both
// libraries may work on one volume group, and find each other's targets.
package lvm
