// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
)

const (
	// chunk is how much is read at once, and so what a cancel may have to wait
	// for. Measured: 1 MiB is a fifth slower, the data leaves the CPU's cache
	// between read and write; less than this is no faster.
	chunk = 512 << 10
	// grain is the least run of zeros that is left out of a chunk: the default
	// cluster of thin pools, and large enough not to shred the writes.
	grain = 64 << 10
	// zeroStep is how much is discarded at once. An array that writes the zeros
	// after all does this much well within a second.
	zeroStep = 64 << 20
	// reportEvery is the least time between two reports of progress.
	reportEvery = 200 * time.Millisecond
)

// Options say what to copy and how.
type Options struct {
	// Bytes to copy, from the start of the source to the start of the target.
	Bytes int64
	// Sparse says that the target reads as zeros wherever nothing is written.
	// Without it zeros are put into the target too, for it may hold old data.
	Sparse bool
	// BytesPerSecond limits what is read, and written as zeros; 0 does not.
	BytesPerSecond int64
	// Progress is told how many bytes are dealt with, at most five times a second
	// and once at the end with done equal to total. It is called by the goroutine
	// that called Copy, and holds up the copy while it runs.
	Progress func(done, total int64)
}

// File copies between two paths, of files or block devices, as Copy does. The
// target must exist; it is neither truncated nor replaced, so that
// /proc/self/fd/N names an open file.
func File(ctx context.Context, dstPath, srcPath string, o Options) error {
	src, err := open(srcPath, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("copy %s to %s: source: %w", srcPath, dstPath, err)
	}
	defer src.Close() //nolint:errcheck // nothing was written through it
	dst, err := open(dstPath, os.O_WRONLY)
	if err != nil {
		return fmt.Errorf("copy %s to %s: target: %w", srcPath, dstPath, err)
	}
	err = Copy(ctx, dst, src, o)
	if closeErr := dst.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("copy %s to %s: %w", srcPath, dstPath, bare(closeErr))
	}
	return err
}

// open opens a file or block device. Anything else is refused before it is
// opened, because opening a pipe or a tape waits or acts.
func open(path string, flag int) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !copyable(info.Mode()) {
		return nil, fault.Errorf(fault.ErrInvalid, "neither a file nor a block device (%s)", info.Mode().Type())
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, bare(err)
	}
	return f, nil
}

func copyable(m fs.FileMode) bool {
	return m.IsRegular() || m.Type() == fs.ModeDevice // a character device has one bit more
}

// Copy copies o.Bytes from src to dst and flushes dst. A target file that is
// shorter is grown to o.Bytes, a longer one keeps what is behind. The position
// in src is moved; nothing is closed.
//
// When ctx ends it returns within a chunk's time. When it fails, what is in the
// target's first o.Bytes is undefined; a repeated copy puts it right, if Sparse
// is not set. ErrInvalid: the source or the target, a device, is smaller than
// o.Bytes, or they are the same; nothing was written. ErrConflict: the source
// shrank meanwhile. ErrExhausted: there is no room in the target.
func Copy(ctx context.Context, dst, src *os.File, o Options) error {
	c := &copier{ctx: ctx, dst: dst, src: src, o: o, discard: true, holes: true}
	if err := c.run(); err != nil {
		return fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	return nil
}

// Zero makes f, a file or block device that is long enough, read as zeros from
// the byte from up to o.Bytes, and flushes it: old content is gone then, not only
// let go. When ctx ends it returns within a chunk's time. It may be repeated.
func Zero(ctx context.Context, f *os.File, from int64, o Options) error {
	c := &copier{ctx: ctx, dst: f, o: o, discard: true, done: from}
	c.o.Sparse = false
	c.begin()
	err := ctx.Err()
	if err == nil && from < o.Bytes {
		err = c.zeros(o.Bytes)
	}
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return fmt.Errorf("zeros into %s: %w", f.Name(), err)
	}
	return nil
}

// copier is one copy. done counts what is dealt with, from the start.
type copier struct {
	ctx      context.Context //nolint:containedctx // a copier is one call
	dst, src *os.File
	o        Options
	buf      []byte // for one piece; made when there is data
	piece    int64  // how much to do at once
	pace     pacer
	dirty    writeback
	done     int64
	reported time.Time
	discard  bool // the target may be able to discard
	holes    bool // the source may be able to tell its holes
}

func (c *copier) run() error {
	if err := c.prepare(); err != nil {
		return err
	}
	for c.done < c.o.Bytes {
		data, hole, err := c.extent(c.done)
		if err == nil {
			err = c.zeros(data)
		}
		if err == nil {
			err = c.data(hole)
		}
		if err != nil {
			return c.at(err)
		}
	}
	return c.finish()
}

func (c *copier) finish() error {
	if err := c.ctx.Err(); err != nil {
		return c.at(err)
	}
	if err := c.dst.Sync(); err != nil {
		return fmt.Errorf("flush: %w", full(bare(err)))
	}
	if c.o.Progress != nil {
		c.o.Progress(c.o.Bytes, c.o.Bytes)
	}
	return nil
}

// prepare looks at both ends before anything is written.
func (c *copier) prepare() error {
	if c.o.Bytes < 0 || c.o.BytesPerSecond < 0 {
		return fault.Errorf(fault.ErrInvalid, "negative size or speed")
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	from, err := c.src.Stat()
	if err != nil {
		return fmt.Errorf("source: %w", bare(err))
	}
	to, err := c.dst.Stat()
	if err != nil {
		return fmt.Errorf("target: %w", bare(err))
	}
	if !copyable(from.Mode()) || !copyable(to.Mode()) {
		return fault.Errorf(fault.ErrInvalid, "neither files nor block devices (%s, %s)", from.Mode().Type(), to.Mode().Type())
	}
	if os.SameFile(from, to) {
		return fault.Errorf(fault.ErrInvalid, "source and target are the same")
	}
	if err := c.long(fault.ErrInvalid); err != nil {
		return err
	}
	size, err := c.dst.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("target: %w", bare(err))
	}
	if size < c.o.Bytes {
		if !to.Mode().IsRegular() {
			return fault.Errorf(fault.ErrInvalid, "the target holds %d bytes, %d are to be copied", size, c.o.Bytes)
		}
		if err := c.dst.Truncate(c.o.Bytes); err != nil {
			return fmt.Errorf("target: %w", full(bare(err)))
		}
	}
	c.begin()
	return nil
}

func (c *copier) begin() {
	c.pace = newPacer(c.o.BytesPerSecond)
	c.piece = c.pace.piece(chunk)
	c.dirty = writeback{f: c.dst}
	c.reported = time.Now()
}

// long checks that the source has all the bytes to be copied.
func (c *copier) long(kind error) error {
	size, err := c.src.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("source: %w", bare(err))
	}
	if size < c.o.Bytes {
		return fault.Errorf(kind, "the source holds %d bytes, %d are to be copied", size, c.o.Bytes)
	}
	return nil
}

// extent finds the next data at or behind off: it lies from data to hole.
func (c *copier) extent(off int64) (data, hole int64, err error) {
	if !c.holes {
		return off, c.o.Bytes, nil
	}
	data, err = c.src.Seek(off, seekData)
	if errors.Is(err, syscall.ENXIO) {
		// Zeros up to the end, unless it is the end that came nearer.
		return c.o.Bytes, c.o.Bytes, c.long(fault.ErrConflict)
	}
	if err == nil {
		hole, err = c.src.Seek(data, seekHole)
	}
	if err != nil { // a block device, or a file system that does not tell
		c.holes = false
		return off, c.o.Bytes, nil
	}
	return min(data, c.o.Bytes), min(hole, c.o.Bytes), nil
}

// data copies up to end.
func (c *copier) data(end int64) error {
	if c.buf == nil && c.done < end {
		c.buf = make([]byte, min(c.piece, c.o.Bytes))
	}
	for c.done < end {
		n := min(int64(len(c.buf)), end-c.done)
		if err := c.pace.wait(c.ctx, n); err != nil {
			return err
		}
		buf := c.buf[:n]
		if _, err := c.src.ReadAt(buf, c.done); err != nil {
			if errors.Is(err, io.EOF) {
				return fault.Join(c.long(fault.ErrConflict), io.ErrUnexpectedEOF)
			}
			return bare(err)
		}
		if err := c.put(buf); err != nil {
			return err
		}
	}
	return nil
}

// put writes buf, less its zeros, at the place where the copy stands.
func (c *copier) put(buf []byte) error {
	if !c.o.Sparse {
		if allZero(buf) {
			return c.zeros(c.done + int64(len(buf)))
		}
		return c.write(buf)
	}
	for len(buf) > 0 {
		run := nonZero(buf)
		if err := c.write(buf[:run]); err != nil {
			return err
		}
		buf = buf[run:]
		for len(buf) > 0 {
			n := min(grain, len(buf))
			if !allZero(buf[:n]) {
				break
			}
			c.advance(int64(n))
			buf = buf[n:]
		}
	}
	return nil
}

// nonZero is the length of what stands in buf before its first grain of zeros.
func nonZero(buf []byte) int {
	for at := 0; at < len(buf); at += grain {
		if allZero(buf[at:min(at+grain, len(buf))]) {
			return at
		}
	}
	return len(buf)
}

func (c *copier) write(buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	if _, err := c.dst.WriteAt(buf, c.done); err != nil {
		return full(bare(err))
	}
	c.advance(int64(len(buf)))
	return c.dirty.upTo(c.done)
}

// zeros makes the target read as zeros up to end.
func (c *copier) zeros(end int64) error {
	if c.o.Sparse {
		c.advance(end - c.done)
		return nil
	}
	for c.discard && c.done < end {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n := min(zeroStep, end-c.done)
		err := punch(c.dst, c.done, n)
		switch {
		case err == nil:
			c.advance(n)
		case errors.Is(err, syscall.EINTR): // again
		case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			return full(bare(err))
		default:
			c.discard = false
		}
	}
	if c.done == end {
		return nil
	}
	blank := make([]byte, min(c.piece, end-c.done))
	for c.done < end {
		n := min(int64(len(blank)), end-c.done)
		if err := c.pace.wait(c.ctx, n); err != nil {
			return err
		}
		if err := c.write(blank[:n]); err != nil {
			return err
		}
	}
	return nil
}

// advance counts n bytes as dealt with and reports them, if it is time. The
// last report is run's.
func (c *copier) advance(n int64) {
	c.done += n
	if c.o.Progress == nil || c.done >= c.o.Bytes {
		return
	}
	if now := time.Now(); now.Sub(c.reported) >= reportEvery {
		c.reported = now
		c.o.Progress(c.done, c.o.Bytes)
	}
}

func (c *copier) at(err error) error {
	return fmt.Errorf("at %d of %d bytes: %w", c.done, c.o.Bytes, err)
}

// full marks an error that says there is no room.
func full(err error) error {
	if fault.CodeOf(err) == fault.ResourceExhausted {
		return fault.Errorf(fault.ErrExhausted, "%w", err)
	}
	return err
}

// bare takes the path out of an error of package os: Copy names both already.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
