// SPDX-License-Identifier: Apache-2.0

// Package connectortest proves that a connector.Connector keeps its contract.
// A transport calls Run in its tests, with a host that is simulated
// (internal/fakehost) or real.
package connectortest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

// Harness is what Run is told of a transport.
type Harness struct {
	// New makes a Connector and the host it works on, for one subtest. It cleans up
	// with t.Cleanup.
	New func(t *testing.T) (connector.Connector, *connector.Host)
	// Request makes a volume of its own that h can attach, of SizeBytes bytes.
	Request func(t *testing.T, h *connector.Host) connector.Request
	// Grow makes the volume of r larger where it is, as an array does.
	Grow func(t *testing.T, h *connector.Host, r connector.Request, bytes int64)
	// Faults are things that are wrong with a host or a volume.
	Faults map[string]Fault
	// Skip has the subtests that do not apply, and why not. Without a reason a
	// skip is a failure, and so is the name of a subtest that does not exist.
	Skip map[string]string
}

// Fault is something that is wrong, and must be told by Attach.
type Fault struct {
	// Request makes a request that Attach must refuse, leaving nothing behind.
	Request func(t *testing.T, h *connector.Host) connector.Request
	Is      error // a sentinel that the error must be a case of
}

// Run runs the suite: a subtest for each promise of the contract, and one for
// each fault, called Fault/NAME.
func Run(t *testing.T, h Harness) {
	t.Helper()
	require.NotNil(t, h.New, "Harness.New")
	require.NotNil(t, h.Request, "Harness.Request")
	tests := map[string]func(*world){
		"AttachDetach":         attachDetach,
		"AttachTwice":          attachTwice,
		"AttachTogether":       attachTogether,
		"AttachAgain":          attachAgain,
		"DetachTwice":          detachTwice,
		"DetachWithoutDevice":  detachWithoutDevice,
		"DetachNeverAttached":  detachNeverAttached,
		"DetachByForce":        detachByForce,
		"PathsComeAndGo":       pathsComeAndGo,
		"Extend":               extend,
		"EndedContext":         endedContext,
		"ContextEndsMidway":    contextEndsMidway,
		"TooSmall":             tooSmall,
		"EightVolumes":         eightVolumes,
		"RequestStays":         requestStays,
		"NoGoroutineStays":     noGoroutineStays,
		"InvalidRequest":       invalidRequest,
		"OtherVolumeUntouched": otherVolumeUntouched,
	}
	for name, f := range h.Faults {
		tests["Fault/"+name] = func(w *world) { w.refused(f) }
	}
	for name, reason := range h.Skip {
		require.Contains(t, tests, name, "Harness.Skip: no such subtest")
		require.NotEmpty(t, strings.TrimSpace(reason), "Harness.Skip: no reason for %s", name)
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if reason := h.Skip[name]; reason != "" {
				t.Skip(reason)
			}
			w := &world{T: t, harness: &h}
			w.conn, w.host = h.New(t)
			tests[name](w)
		})
	}
}

// world is one subtest.
type world struct {
	*testing.T
	harness *Harness
	conn    connector.Connector
	host    *connector.Host
}

// volume makes a volume.
func (w *world) volume() connector.Request {
	w.Helper()
	r := w.harness.Request(w.T, w.host)
	require.NotNil(w, r.Info, "Harness.Request: Info")
	require.Positive(w, r.SizeBytes, "Harness.Request: SizeBytes")
	require.Nil(w, r.Device, "Harness.Request: Device")
	return r
}

// attach attaches a volume as the library does, and returns the request with the
// device.
func (w *world) attach(r connector.Request) connector.Request {
	w.Helper()
	d, err := w.conn.Attach(w.Context(), r)
	require.NoError(w, err)
	require.NotNil(w, d)
	require.NotEmpty(w, d.Path)
	require.Contains(w, []string{"block", "local"}, d.Type)
	r.Device = d
	require.NoError(w, w.host.Check(w.Context(), r), "the device that was handed out")
	return r
}

func (w *world) detach(r connector.Request) {
	w.Helper()
	require.NoError(w, w.conn.Detach(w.Context(), r))
}

func (w *world) paths(r connector.Request) []string {
	w.Helper()
	paths, err := w.conn.Paths(w.Context(), r)
	require.NoError(w, err)
	return slices.Sorted(slices.Values(paths))
}

// refused attaches what has a fault.
func (w *world) refused(f Fault) {
	r := f.Request(w.T, w.host)
	before := w.paths(r)
	d, err := w.conn.Attach(w.Context(), r)
	require.ErrorIs(w, err, f.Is)
	require.Nil(w, d)
	require.Equal(w, before, w.paths(r), "nothing is left")
}
