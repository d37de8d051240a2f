// SPDX-License-Identifier: Apache-2.0

// Package lio exports block devices as iSCSI targets of the Linux kernel (LIO).
// It writes to configfs itself: no targetcli, no rtslib, and as root no processes.
// For an ordinary user [Kernel.Files] and [Kernel.Run] have small programs do as
// root what the kernel denies: about fifty in the life of an export.
//
// One export is one target with portal group 1 and LUN 0, on a backstore of the
// target's name, as Cinder and targetcli know it. Its unit serial is the
// volume's id, so that the WWN of the disk, which [WWN] tells, is the same for
// ever and on every host.
//
// Every call that changes something reads what is there and makes the
// difference, so each may be repeated, and repairs what a killed one left.
// [Kernel.Export] makes the target, [Kernel.Allow] lets one initiator in,
// [Kernel.Disallow] and [Kernel.Unexport] take that back. The target of a volume
// that Cinder made is worked with as it is; Export gives it our serial, which it
// refuses while somebody is logged in. Targets of other names are never touched.
//
// # What may block
//
// The kernel waits in rmdir until sessions have ended, in a state that no signal
// reaches, and faults of it have made that last for ever. So every call works in
// a goroutine of its own. A context that ends stops the work before its next
// step, and ends no program; if a step does not come back, the call returns all the same, with an
// error that names it. The host-wide lock stays taken until the work is really
// done, but no longer than a minute: in the kernel such an rmdir bars most other
// changes as well, and whoever waits for the lock gives up in good order where
// one in configfs could not. After that minute others have their try, only the
// target in question is refused to this process.
package lio
