// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// cold is the start of a program that uses the library, up to the first Backend
// that is ready. It tells the peak of its memory as the kernel counts it for
// this program alone (VmHWM): what wait4 reports of a child starts at the size
// of its parent (fs/exec.c, exec_mmap).
func cold(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "cinderlib-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lib, backend, err := setUp(ctx, dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Fprintf(out, "%s ready, VmHWM %s\n", backend.ID(), strings.TrimSpace(peak))
		}
	}
	return lib.Close(ctx)
}
