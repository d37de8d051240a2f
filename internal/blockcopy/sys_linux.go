// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"bytes"
	"errors"
	"os"
	"syscall"
)

// Constants that package syscall does not have.
const (
	seekData  = 3    // SEEK_DATA, linux/fs.h
	seekHole  = 4    // SEEK_HOLE, linux/fs.h
	keepSize  = 0x01 // FALLOC_FL_KEEP_SIZE, linux/falloc.h
	punchHole = 0x02 // FALLOC_FL_PUNCH_HOLE, linux/falloc.h
)

// punch makes a range read as zeros without writing them: a hole in a file, a
// discard that promises zeros on a block device (block/fops.c has it fail where
// the device does not promise).
func punch(f *os.File, off, n int64) error {
	return syscall.Fallocate(int(f.Fd()), punchHole|keepSize, off, n)
}

// allZero compares b with itself, one byte on: memory speed, and no second
// buffer.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// window is how much is written before it is sent to the device, and half of
// what may be dirty. The flush at the end, and the close after a cancel, have
// that little left to do; otherwise they would have gigabytes.
const window = 16 << 20

// writeback keeps what is dirty in the page cache of one file small: it starts
// to write the last window back and waits for the one before it.
type writeback struct {
	f       *os.File
	before  int64 // start of the window that is being written back
	started int64 // its end, and the start of the one that fills
	off     bool  // the file system has no such call
}

// upTo is told how far the file is written.
func (w *writeback) upTo(end int64) error {
	if w.off || end-w.started < window {
		return nil
	}
	fd := int(w.f.Fd())
	err := startWriteback(fd, w.started, end-w.started)
	if err == nil && w.started > w.before {
		err = waitWriteback(fd, w.before, w.started-w.before)
	}
	w.before, w.started = w.started, end
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return full(os.NewSyscallError("write back", err)) // told once: the flush will not say it again
	}
	w.off = err != nil
	return nil
}
