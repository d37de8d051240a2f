// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gocinder/cinderlib"
)

// second is the second process: it knows the dump, and the options of the
// backend from it, and nothing else.
func second(ctx context.Context, dump string, out io.Writer) (err error) {
	text, err := os.ReadFile(dump)
	if err != nil {
		return err
	}
	lib, err := cinderlib.New(cinderlib.WithFileLocksPath(filepath.Join(filepath.Dir(dump), "locks"))) //nolint:contextcheck // New takes none
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.Close(context.WithoutCancel(ctx))) }()
	objects, err := lib.Load(ctx, text, cinderlib.WithSave())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-9s in process %d: %d backend\n", "load", os.Getpid(), len(objects))
	for _, name := range []string{cloneName, restoredName} {
		found, err := lib.VolumesByName(ctx, name)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%d volumes are called %s", len(found), name)
		}
		v := found[0]
		err = attached(ctx, v, func(path string) error { return compare(path, v.Metadata()[digestKey]) })
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-9s in process %d: the volume called %s has the bytes that the first process wrote\n", "read", os.Getpid(), name)
	}
	return nil
}
