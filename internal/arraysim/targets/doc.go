// SPDX-License-Identifier: Apache-2.0

// Package targets is a data plane of simulated arrays that hosts log in to: the
// iSCSI target of the Linux kernel, LIO, written to through configfs. It needs
// root and belongs into a machine that has nothing to lose, as those of tools/vm.
//
// A volume is a sparse file, and in the kernel a backstore of the kind fileio on
// it, one for all targets that show the volume: so a host that sees it on two
// targets sees one disk. The disk's name for hosts is the NAA identifier.
//
// An entry of arraysim.Target.Access with an initiator is an ACL, and the one
// without is the portal group's demo mode.
//
// # What LIO cannot
//
// Expose refuses, with errors.ErrUnsupported: a NAA identifier that is not 32
// digits and the first a 6; an entry without initiator whose LUNs are in part
// read-only, or that does not show all that other entries do, for who comes in by
// it sees the whole portal group.
//
// It passes over LUN.EUI: there is no such identifier in LIO's page 0x83. And
// where LUN.Serial and LUN.NAA do not agree in the digits that LIO takes from the
// one for the other, the serial is what makes the NAA identifier.
//
// Who needs no CHAP is told so when it offers it, and gets in whatever its password
// is: this is what becomes of Access.Optional. So a session of an initiator with
// an entry may have come without CHAP, and ends when the entry goes. If the entry
// without initiator lets it in, it logs in anew by itself.
//
// Copies are of one moment as far as hosts do not write while they are made.
package targets
