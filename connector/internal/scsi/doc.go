// SPDX-License-Identifier: Apache-2.0

// Package scsi handles SCSI disks of a Linux host through sysfs: it finds what
// there is, scans for one LUN, refreshes, flushes and removes disks, and tells
// who uses one. It runs no program where the process is root.
package scsi
