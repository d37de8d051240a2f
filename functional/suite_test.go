// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	_ "github.com/gocinder/cinderlib/drivers/all"
	_ "github.com/gocinder/cinderlib/persistence/gormdb"
)

// suite is one run.
type suite struct {
	config
	lib      *cinderlib.Library
	state    string // $state_path
	backends []*backend
	host     *connector.Properties // whom volumes are connected to; nil: this host
}

// backend is one of the run's backends.
type backend struct {
	*cinderlib.Backend
	suite *suite
	// unattachable says why its volumes cannot be attached here; empty if they
	// can.
	unattachable string
	loops        bool            // attaching makes loop devices
	before       []string        // what the array held, by reference
	devices      map[string]bool // what its volumes were attached by
}

// newSuite makes the library and all backends. What is wrong with one fails the
// run before it touches any.
func newSuite(t *testing.T, c config) *suite {
	t.Helper()
	s := &suite{config: c, state: t.TempDir()}
	options := map[string]any{"state_path": s.state}
	maps.Copy(options, c.defaults)
	var err error
	s.lib, err = cinderlib.New(
		cinderlib.WithConfig(options), // first: it sets all that it knows
		cinderlib.WithRootHelper(c.rootHelper),
		cinderlib.WithLogger(c.logger(os.Stdout)),
		cinderlib.WithPersistence(map[string]any{"storage": c.storage}),
	)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.lib.Close(context.WithoutCancel(t.Context()))) })
	for _, options := range c.backends {
		s.backends = append(s.backends, s.newBackend(t, options))
	}
	return s
}

func (c *config) logger(w io.Writer) *slog.Logger {
	if !c.logs {
		return slog.New(slog.DiscardHandler)
	}
	level := slog.LevelInfo
	if c.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

func (s *suite) newBackend(t *testing.T, options map[string]any) *backend {
	t.Helper()
	made, err := s.lib.NewBackend(t.Context(), options)
	require.NoError(t, err)
	b := &backend{Backend: made, suite: s, devices: map[string]bool{}, loops: options["file_attach"] == "loop"}
	if b.loops {
		b.unattachable = noLoops()
	}
	b.before, err = b.references(t.Context())
	require.NoError(t, err)
	_, err = b.Volumes(t.Context()) // from now on they are tracked
	require.NoError(t, err)
	return b
}

// noLoops says why loop devices cannot be made here; empty if they can.
func noLoops() string {
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close()
		return ""
	case os.Geteuid() != 0:
		return "loop devices need root: " + err.Error()
	}
	return "no loop devices here: " + err.Error()
}

// references lists what the array holds; nothing if it cannot tell.
func (b *backend) references(ctx context.Context) ([]string, error) {
	if !b.Capabilities().Manage {
		return nil, nil
	}
	list, err := b.ManageableVolumes(ctx)
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Reference
	}
	return names, err
}

// cannot ends a test that this user or machine has no means for. In CI, where
// root has all means, that is a fault.
func cannot(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
		t.Fatal("with CI=true root must be able to: " + reason)
	}
	t.Skip(reason)
}

// needAttach skips a test that attaches where that cannot be.
func (b *backend) needAttach(t *testing.T) {
	t.Helper()
	if b.unattachable != "" {
		cannot(t, b.unattachable)
	}
}

// cleanUp removes what a test has left, newest volume first, because one may be
// made of an older one. It goes on after faults.
func (b *backend) cleanUp(ctx context.Context) error {
	// What could not be made is in the store only.
	errs := []error{b.Refresh(ctx)}
	volumes, err := b.Volumes(ctx)
	errs = append(errs, err)
	for _, v := range slices.Backward(volumes) {
		errs = append(errs, cleanUpVolume(ctx, v)...)
	}
	return errors.Join(errs...)
}

func cleanUpVolume(ctx context.Context, v *cinderlib.Volume) []error {
	snapshots, err := v.Snapshots(ctx)
	errs := []error{err}
	for _, s := range slices.Backward(snapshots) {
		errs = append(errs, s.Delete(ctx))
	}
	if v.LocalAttach() != nil {
		errs = append(errs, v.Detach(ctx))
	}
	connections, err := v.Connections(ctx)
	errs = append(errs, err)
	for _, c := range slices.Backward(connections) {
		errs = append(errs, c.Detach(ctx), c.Disconnect(ctx))
	}
	return append(errs, v.Delete(ctx))
}
