// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

// flush brings what was written through a path onto the disk below it. It
// returns when ctx ends, though the kernel may go on flushing.
func (c *local) flush(ctx context.Context, path string) error {
	f, err := os.Open(c.host.Path(path))
	if err != nil {
		return err
	}
	return flushFile(ctx, f, path)
}

// flushFile flushes f and closes it.
func flushFile(ctx context.Context, f *os.File, path string) error {
	done := make(chan error, 1)
	go func() {
		// fsync of a file that is open for reading flushes what others wrote.
		err := f.Sync()
		if err == nil {
			err = dropBuffers(f)
		}
		done <- fault.Join(err, f.Close())
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("flush %s: %w", path, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush %s: no answer: %w", path, ctx.Err())
	}
}

// dropBuffers empties the buffers of a block device; fsync has saved the data in
// any case.
func dropBuffers(f *os.File) error {
	err := hostfile.DropBuffers(f)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTTY) {
		return nil
	}
	return err
}
