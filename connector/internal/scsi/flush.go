// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

// Flush brings what was written to a block device onto the disk, and empties its
// buffers. It returns when ctx ends, though the kernel may go on flushing. A
// node that is not there is success.
func Flush(ctx context.Context, h *connector.Host, node string) error {
	path := h.Path(node)
	err := patient(ctx, "flush "+node, func(context.Context) error { return flush(path) })
	if errors.Is(err, fs.ErrPermission) {
		_, asRoot := h.Run.Run(ctx, connector.Command{Args: []string{"blockdev", "--flushbufs", path}, Root: true})
		if asRoot == nil || ctx.Err() != nil {
			return asRoot
		}
		return connector.Errorf(connector.ErrPermission, "flush %s: %w; as root: %w", node, err, asRoot)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("flush %s: %w", node, err)
}

func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// fsync of a file that is open for reading flushes what others wrote.
	err = f.Sync()
	if err == nil {
		err = hostfile.DropBuffers(f)
	}
	return fault.Join(err, f.Close())
}
