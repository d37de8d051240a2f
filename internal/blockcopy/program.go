// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Program runs a program with root's rights.
type Program func(ctx context.Context, args ...string) error

// step is how much dd does at once: enough not to notice the start of a process.
const step = 64 << 20

// FileBy copies as File does, between files or devices that this process may not
// open, by dd. Both must be long enough.
func FileBy(ctx context.Context, run Program, dstPath, srcPath string, o Options) error {
	conv := "notrunc,nocreat,fsync"
	if o.Sparse {
		conv += ",sparse"
	}
	err := pieces(ctx, 0, o, func(at, n int64) error {
		skip := strconv.FormatInt(at, 10)
		return run(ctx, "dd", "status=none", "bs=1M", "if="+srcPath, "of="+dstPath, "skip="+skip, "seek="+skip,
			"count="+strconv.FormatInt(n, 10), "iflag=skip_bytes,count_bytes,fullblock", "oflag=seek_bytes", "conv="+conv)
	})
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", srcPath, dstPath, err)
	}
	return nil
}

// ZeroBy makes a device that this process may not open zeros as Zero does, by dd.
func ZeroBy(ctx context.Context, run Program, path string, from int64, o Options) error {
	err := pieces(ctx, from, o, func(at, n int64) error {
		return run(ctx, "dd", "status=none", "bs=1M", "if=/dev/zero", "of="+path, "seek="+strconv.FormatInt(at, 10),
			"count="+strconv.FormatInt(n, 10), "iflag=count_bytes,fullblock", "oflag=seek_bytes", "conv=notrunc,nocreat,fsync")
	})
	if err != nil {
		return fmt.Errorf("zeros into %s: %w", path, err)
	}
	return nil
}

// pieces goes from a byte up to o.Bytes, in pieces.
func pieces(ctx context.Context, at int64, o Options, do func(at, n int64) error) error {
	pace := newPacer(o.BytesPerSecond)
	piece, reported := pace.piece(step), time.Now()
	for at < o.Bytes {
		n := min(piece, o.Bytes-at)
		if err := pace.wait(ctx, n); err != nil {
			return err
		}
		if err := do(at, n); err != nil {
			return fmt.Errorf("at %d of %d bytes: %w", at, o.Bytes, err)
		}
		at += n
		if o.Progress != nil && (at == o.Bytes || time.Since(reported) >= reportEvery) {
			reported = time.Now()
			o.Progress(at, o.Bytes)
		}
	}
	return ctx.Err()
}
