// SPDX-License-Identifier: Apache-2.0

//go:build !arm && !ppc64 && !ppc64le

package blockcopy

import "syscall"

// Flags of sync_file_range(2), linux/fs.h.
const (
	syncWaitBefore = 1 // SYNC_FILE_RANGE_WAIT_BEFORE
	syncWrite      = 2 // SYNC_FILE_RANGE_WRITE
	syncWaitAfter  = 4 // SYNC_FILE_RANGE_WAIT_AFTER
)

func startWriteback(fd int, off, n int64) error {
	return syscall.SyncFileRange(fd, off, n, syncWrite)
}

func waitWriteback(fd int, off, n int64) error {
	return syscall.SyncFileRange(fd, off, n, syncWaitBefore|syncWrite|syncWaitAfter)
}
