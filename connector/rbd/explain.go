// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
)

// errRefused: the kernel's driver is not there, or knows not enough for the image.
var errRefused = fault.Special(connector.ErrPrecondition, "the kernel cannot map the image")

// explain marks an error of the kernel, about a map, as what it is.
func (j *job) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENXIO):
		return connector.Errorf(errRefused, "the image has features that the kernel lacks: %w", err)
	case errors.Is(err, syscall.EINVAL):
		return connector.Errorf(errRefused, "the kernel knows not all of the image or of the options that it needs: %w", err)
	case wrote(err, syscall.EPERM), wrote(err, syscall.EACCES):
		return connector.Errorf(connector.ErrUnauthenticated, "rbd: map %s: the cluster refuses client.%s or its key, or root here may not map: %w", j.image, j.user, err)
	}
	return j.mark(err)
}

// mark marks an error that does not depend on who maps.
func (j *job) mark(err error) error {
	for no, as := range map[syscall.Errno]struct {
		of  error
		why string
	}{
		syscall.ENOENT:    {connector.ErrNotFound, "no such pool, image or snapshot"},
		syscall.ETIMEDOUT: {connector.ErrUnavailable, "the cluster does not answer"},
		syscall.EROFS:     {connector.ErrPrecondition, "it can be mapped read-only only"},
	} {
		if errors.Is(err, no) {
			return connector.Errorf(as.of, "rbd: map %s: %s: %w", j.image, as.why, err)
		}
	}
	return fmt.Errorf("rbd: map %s: %w", j.image, err)
}

// wrote tells whether the kernel has answered no to what was written. That a file
// cannot be opened for writing says nothing of the cluster.
func wrote(err error, no syscall.Errno) bool {
	if path, ok := err.(*fs.PathError); ok && path.Op == "open" { //nolint:errorlint // the tree is walked node by node
		return false
	}
	if err == no { //nolint:errorlint // as above
		return true
	}
	switch u := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		return wrote(u.Unwrap(), no)
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if wrote(inner, no) {
				return true
			}
		}
	}
	return false
}

// number is that of an error as Ceph's programs write it: text: (2) No such file or
// directory.
var number = regexp.MustCompile(`: \((\d+)\) \S`)

// lastErrno is the last error that a program has told, 0 if it has told none. That a
// keyring is missing is none here.
func lastErrno(stderr string) (no syscall.Errno) {
	for line := range strings.Lines(stderr) {
		if m := number.FindStringSubmatch(line); m != nil && !strings.Contains(line, "keyring") {
			n, _ := strconv.Atoi(m[1])
			no = syscall.Errno(n)
		}
	}
	return no
}

// explainNBD marks an error of rbd-nbd, after a time, as what it is. What it says it
// has from the log of librbd, which has no line on what is missing. Of a key that the
// monitor refuses it says as much as of none that answers, but not as late.
func (j *job) explainNBD(r connector.Result, after time.Duration, err error) error {
	text := string(r.Stderr)
	no := lastErrno(text)
	noConfig := strings.Contains(text, "failed to fetch mon config")
	switch {
	case r.Code <= 0: // it did not run
		return err
	case strings.TrimSpace(text) == "":
		return connector.Errorf(connector.ErrNotFound, "no such pool, image or snapshot: %w", err)
	case strings.Contains(text, "handle_auth_bad_method"), no == syscall.EPERM, no == syscall.EACCES, noConfig && after < j.limits.mount:
		return connector.Errorf(connector.ErrUnauthenticated, "the cluster refuses client.%s or its key: %w", j.user, err)
	case noConfig:
		return connector.Errorf(connector.ErrUnavailable, "the cluster does not answer: %w", err)
	case no == 0:
		return err
	}
	return j.mark(fmt.Errorf("%w: %w", no, err))
}

// features are the bits of an image's features (include/rbd/features.h of Ceph).
var features = []string{
	"layering", "striping", "exclusive-lock", "object-map", "fast-diff", "deep-flatten", "journaling", "data-pool",
	"operations", "migrating", "non-primary", "dirty-cache",
}

func featureNames(bits uint64) string {
	var names []string
	for i := range 64 {
		switch {
		case bits&(1<<i) == 0:
		case i < len(features):
			names = append(names, features[i])
		default:
			names = append(names, fmt.Sprintf("bit %d", i))
		}
	}
	return strings.Join(names, ", ")
}

// unsupported is the last line of the kernel's log on features (drivers/block/rbd.c).
var unsupported = regexp.MustCompile(`rbd: .*unsupported features: 0x([0-9a-f]+)`)

// explainFeatures adds the names of the features that the kernel lacks, which only
// its log has.
func (j *job) explainFeatures(ctx context.Context, err error) error {
	if !errors.Is(err, syscall.ENXIO) {
		return err
	}
	r, logErr := j.host.Run.Run(ctx, connector.Command{Args: []string{"dmesg"}, Root: true})
	lines := unsupported.FindAllSubmatch(r.Stdout, -1)
	if logErr != nil || len(lines) == 0 {
		return err
	}
	bits, parseErr := strconv.ParseUint(string(lines[len(lines)-1][1]), 16, 64)
	if parseErr != nil {
		return err
	}
	return fmt.Errorf("%s: %w", featureNames(bits), err)
}
