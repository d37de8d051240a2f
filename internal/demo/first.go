// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gocinder/cinderlib"
	_ "github.com/gocinder/cinderlib/drivers/file"
)

// The names of the volumes that the second process looks for.
const (
	cloneName    = "clone"
	restoredName = "restored"
)

// job is the first process.
type job struct {
	out     io.Writer
	dir     string
	lib     *cinderlib.Library
	backend *cinderlib.Backend

	volume   *cinderlib.Volume
	snapshot *cinderlib.Snapshot
	clone    *cinderlib.Volume
	restored *cinderlib.Volume
	old, new []byte // what is written first, and what over it
}

// first does the whole job in a folder of its own.
func first(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "cinderlib-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j := &job{out: out, dir: dir}
	if j.lib, j.backend, err = setUp(ctx, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.lib.Close(context.WithoutCancel(ctx))) }()
	j.say("set up", "backend %s on the driver file in %s", j.backend.ID(), dir)
	for _, step := range []func(context.Context) error{
		j.create, j.write, j.freeze, j.overwrite, j.copies, j.grow, j.revert, j.secondProcess, j.cleanUp, j.nothingLeft,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// setUp makes the library, with a backend that keeps its volumes in dir. The
// backend's JSON is whole, so that another process can set it up from that.
func setUp(ctx context.Context, dir string) (*cinderlib.Library, *cinderlib.Backend, error) {
	lib, err := cinderlib.New(cinderlib.WithOutputAllBackendInfo(), cinderlib.WithFileLocksPath(filepath.Join(dir, "locks"))) //nolint:contextcheck // New takes none
	if err != nil {
		return nil, nil, err
	}
	backend, err := lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "disk",
		"volume_driver":       "file",
		"file_directory":      filepath.Join(dir, "volumes"),
	})
	if err != nil {
		return nil, nil, errors.Join(err, lib.Close(ctx))
	}
	return lib, backend, nil
}

func (j *job) say(step, format string, args ...any) {
	fmt.Fprintf(j.out, "%-9s "+format+"\n", append([]any{step}, args...)...)
}

func (j *job) create(ctx context.Context) (err error) {
	j.volume, err = j.backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err == nil {
		j.say("create", "volume %s, %d GiB, %s", j.volume.ID(), j.volume.Size(), j.volume.Status())
	}
	return err
}

func (j *job) write(ctx context.Context) error {
	connection, err := j.volume.Attach(ctx)
	if err != nil {
		return err
	}
	j.say("attach", "as %s", connection.Path())
	if j.old, err = fill(connection.Path()); err != nil {
		return err
	}
	j.say("write", "%s", about(j.old))
	if err := j.volume.Detach(ctx); err != nil {
		return err
	}
	j.say("detach", "volume is %s", j.volume.Status())
	return nil
}

func (j *job) freeze(ctx context.Context) (err error) {
	j.snapshot, err = j.volume.CreateSnapshot(ctx, cinderlib.WithName("before the change"))
	if err == nil {
		j.say("snapshot", "%s, %s", j.snapshot.ID(), j.snapshot.Status())
	}
	return err
}

func (j *job) overwrite(ctx context.Context) error {
	err := attached(ctx, j.volume, func(path string) (err error) {
		j.new, err = fill(path)
		return err
	})
	if err == nil {
		j.say("overwrite", "%s", about(j.new))
	}
	return err
}

// copies makes two volumes, which carry along what their data must be.
func (j *job) copies(ctx context.Context) (err error) {
	if j.clone, err = j.volume.Clone(ctx, cinderlib.WithName(cloneName), expect(j.new)); err != nil {
		return err
	}
	j.say("clone", "volume %s, with what was written last", j.clone.ID())
	j.restored, err = j.snapshot.CreateVolume(ctx, cinderlib.WithName(restoredName), expect(j.old))
	if err != nil {
		return err
	}
	j.say("copy", "volume %s, with what the snapshot holds", j.restored.ID())
	return nil
}

func (j *job) grow(ctx context.Context) error {
	bytes, err := j.volume.Extend(ctx, 2)
	if err == nil {
		j.say("grow", "to %d GiB, %d bytes", j.volume.Size(), bytes)
	}
	return err
}

func (j *job) revert(ctx context.Context) error {
	if err := j.volume.Revert(ctx, j.snapshot); err != nil {
		return err
	}
	if err := attached(ctx, j.volume, func(path string) error { return compare(path, digest(j.old)) }); err != nil {
		return err
	}
	j.say("revert", "to the snapshot: the data is what was written first, still %d GiB", j.volume.Size())
	return nil
}

// secondProcess hands all metadata over as JSON.
func (j *job) secondProcess(ctx context.Context) error {
	text, err := j.lib.Dump(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(j.dir, "dump.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	j.say("dump", "%d bytes of JSON to %s", len(text), file)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-load", file)
	cmd.Stdout, cmd.Stderr = j.out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("second process: %w", err)
	}
	return nil
}
