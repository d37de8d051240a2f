// SPDX-License-Identifier: Apache-2.0

// Package libtest has a driver do its work in a library, for tests: a World is a
// library with one backend, as one process has it, and does what words say. A volume
// has a name of one letter.
//
//	a+    makes the volume a, of 1 GiB
//	a-    deletes it
//	a=    extends it to 2 GiB
//	a*    makes a snapshot of it
//	a/    deletes its oldest snapshot
//	a<    reverts it to that
//	a>b   makes the volume b of a
//	a*>b  makes it of a's oldest snapshot
//	a%    gives it another quality of service, of QoS
//	a!    connects a to the world's host
//	a.    disconnects the oldest connection
//	?     asks for statistics
//
// So a test that has each request of an operation go wrong says "a+ a*" for what is
// there before, and "a*>b" for the operation:
//
//	w, err := libtest.Open(ctx, t.TempDir(), options)
//	err = w.Do(ctx, "a+ a*")
//	// from here on something goes wrong
//	err = w.Do(ctx, "a*>b")
//	// and here no more
//	err = w.Settle(ctx)
//	err = w.Clear(ctx) // and nothing is left on the array
//
// Main and RunChild are for tests that kill the process meanwhile.
package libtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	_ "github.com/gocinder/cinderlib/persistence/gormdb" // the store of Open
)

// World is a library with a backend.
type World struct {
	Lib     *cinderlib.Library
	Backend *cinderlib.Backend
	Host    *connector.Properties // whom volumes are connected to: Host(0), until a test sets another
}

// Open makes a World with a backend of these options. Those with the same folder share
// store and locks, as the processes of a machine do. A test gives the driver itself
// in more, with cinderlib.WithDriver, if it is not the one that is registered.
func Open(ctx context.Context, folder string, options cinderlib.Options, more ...cinderlib.Option) (*World, error) {
	lib, err := cinderlib.New(append([]cinderlib.Option{ //nolint:contextcheck // it takes none
		cinderlib.WithFileLocksPath(filepath.Join(folder, "locks")),
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + filepath.Join(folder, "db.sqlite")}),
	}, more...)...)
	if err != nil {
		return nil, err
	}
	b, err := lib.NewBackend(ctx, options)
	if err != nil {
		return nil, fault.Join(err, lib.Close(ctx))
	}
	return &World{Lib: lib, Backend: b, Host: Host(0)}, nil
}

// Host gives the n-th of ten hosts, which has the names of all transports.
func Host(n int) *connector.Properties {
	return &connector.Properties{
		Platform: "x86_64", OSType: "linux", IP: fmt.Sprintf("192.0.2.%d", n+1), Host: fmt.Sprintf("host-%d", n),
		Initiator: fmt.Sprintf("iqn.1994-05.com.example:host-%d", n),
		WWPNs:     []string{fmt.Sprintf("210000e08b00000%d", n), fmt.Sprintf("210100e08b00000%d", n)},
		WWNNs:     []string{fmt.Sprintf("200000e08b00000%d", n), fmt.Sprintf("200100e08b00000%d", n)},
	}
}

// Volume finds a volume by the name it was given, as the store has it.
func (w *World) Volume(ctx context.Context, name string) (*cinderlib.Volume, error) {
	if err := w.Backend.Refresh(ctx); err != nil {
		return nil, err
	}
	all, err := w.Backend.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Name() == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no volume %s", name)
}

// Clear deletes all there is, the oldest volume first. What is refused because something
// depends on it has its turn again when other things are gone.
func (w *World) Clear(ctx context.Context) error {
	var refused error
	for before := math.MaxInt; ; {
		deletions, err := w.deletions(ctx)
		if err != nil || len(deletions) == 0 {
			return err
		}
		if len(deletions) >= before {
			return fault.Join(refused, fmt.Errorf("%d things cannot be deleted", len(deletions)))
		}
		before, refused = len(deletions), nil
		var faults error
		for _, deletion := range deletions {
			err := deletion(ctx)
			if errors.Is(err, drivers.ErrHasDependents) || errors.Is(err, cinderlib.ErrHasSnapshots) {
				refused = fault.Join(refused, err)
			} else {
				faults = fault.Join(faults, err)
			}
		}
		if faults != nil {
			return fault.Join(faults, refused)
		}
	}
}

// deletions gives one for each thing there is: a volume after what it has.
func (w *World) deletions(ctx context.Context) ([]func(context.Context) error, error) {
	if err := w.Backend.Refresh(ctx); err != nil {
		return nil, err
	}
	volumes, err := w.Backend.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	var all []func(context.Context) error
	for _, v := range volumes {
		connections, err := v.Connections(ctx)
		if err != nil {
			return nil, err
		}
		for _, c := range connections {
			all = append(all, func(ctx context.Context) error { return c.Disconnect(ctx) })
		}
		snapshots, err := v.Snapshots(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range snapshots {
			all = append(all, s.Delete)
		}
		all = append(all, v.Delete)
	}
	return all, nil
}

// Settle does what a program does when it starts again, and finds nothing to do the
// second time.
func (w *World) Settle(ctx context.Context) error {
	for round := range 2 {
		settled, err := w.Backend.Recover(ctx)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if round == 1 && len(settled) > 0 {
			return fmt.Errorf("the second Recover still found %+v", settled)
		}
	}
	return nil
}
