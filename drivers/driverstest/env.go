// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/lock"
)

// Env makes what a driver is opened with, for a backend of that name: locks in
// memory, no log, no commands, copies between paths. Drivers that are to act as
// processes of one host share an Env. A test replaces what it needs otherwise.
func Env(t testing.TB, name string) drivers.Env {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	return drivers.Env{
		Backend: name,
		Log:     log,
		Host:    &connector.Host{Run: noCommands{}, Locks: &lock.Keyed{}, Log: log, Name: "host-0", IP: "192.0.2.1"},
		Locks:   &lock.Keyed{},
		Copy:    copyPaths,
	}
}

// copyPaths copies as the library does, between paths.
func copyPaths(ctx context.Context, c drivers.CopyRequest) error {
	if c.Source.Path == "" || c.Target.Path == "" {
		return fmt.Errorf("driverstest: this Env copies between paths only, it attaches nothing: %w", errors.ErrUnsupported)
	}
	return blockcopy.File(ctx, c.Target.Path, c.Source.Path, blockcopy.Options{
		Bytes: c.Bytes, Sparse: c.Sparse, BytesPerSecond: c.BytesPerSecond,
	})
}

// noCommands refuses to run any.
type noCommands struct{}

func (noCommands) Run(_ context.Context, c connector.Command) (connector.Result, error) {
	return connector.Result{}, fmt.Errorf("driverstest: this Env does not run %s: %w", c.Args[0], errors.ErrUnsupported)
}

// host is the default of Harness.Host.
func host(n int) *connector.Properties {
	return &connector.Properties{
		Platform:   "x86_64",
		OSType:     "linux2",
		IP:         fmt.Sprintf("192.0.2.%d", n+1),
		Host:       fmt.Sprintf("host-%d", n),
		Initiator:  fmt.Sprintf("iqn.1993-08.org.debian:01:%012x", n+1),
		WWPNs:      []string{fmt.Sprintf("50014380%08x", 2*n), fmt.Sprintf("50014380%08x", 2*n+1)},
		WWNNs:      []string{fmt.Sprintf("50014381%08x", 2*n), fmt.Sprintf("50014381%08x", 2*n+1)},
		SystemUUID: fmt.Sprintf("00000000-0000-4000-8000-%012x", n+1),
	}
}
