// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// Harness is what the suite must know to run. Only New is required.
type Harness struct {
	// New makes an empty array. What must be cleaned up is t's.
	New func(t *testing.T) *Array
	// Host gives the properties of the n-th host, counted from 0, complete for
	// the driver's protocol and the same for the same n. Nil: made-up ones, with
	// an initiator name and two Fibre Channel ports.
	Host func(n int) *connector.Properties
	// Granule is what the array rounds sizes up to, in bytes; 0: it keeps them as
	// they are.
	Granule int64
	// OneNamespace: volumes and snapshots cannot have the same name on the array, and
	// have UUIDs as their names there. Nothing else has a UUID in use.
	OneNamespace bool
	// Settle is how long the array may need until it says that what was deleted
	// is gone.
	Settle time.Duration
	// Serial runs one test after another, for arrays that cannot do with more.
	Serial bool
	// Skip leaves tests out: their name, and why. One without a reason, or of a
	// test that does not exist, is an error.
	Skip map[string]string
}

// Array is an array to test with. Only Open is required.
type Array struct {
	// Open opens a driver on the array, as another process would. The suite
	// closes it.
	Open func(t *testing.T) drivers.Driver
	// Data reaches the content of a volume by what Connect has answered, as a
	// host would. Nil: the content is not tested.
	Data func(t *testing.T, c *connector.ConnInfo) Data
	// Access asks the array whether a host may use a volume. Nil: that is only
	// tested as far as Data shows it.
	Access func(t *testing.T, v *drivers.Volume, h *connector.Properties) bool
	// Foreign makes a volume that the library knows nothing of, of that many
	// bytes, and gives its reference. A driver that is a Manager must have it.
	Foreign func(t *testing.T, bytes int64) string
}

// Data is the content of a volume. *os.File is one.
type Data interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

// check is one test of the suite.
type check struct {
	name string
	run  func(*suite)
}

func checks() []check {
	return []check{
		{"Stats", testStats},
		{"Create", testCreate},
		{"Content", testContent},
		{"CreateOtherSize", testCreateOtherSize},
		{"CreateHuge", testCreateHuge},
		{"Delete", testDelete},
		{"DeleteWithoutUpdate", testDeleteWithoutUpdate},
		{"Extend", testExtend},
		{"ExtendNeverShrinks", testExtendNeverShrinks},
		{"ExtendConnected", testExtendConnected},
		{"Clone", testClone},
		{"CloneLarger", testCloneLarger},
		{"Snapshot", testSnapshot},
		{"SnapshotLarger", testSnapshotLarger},
		{"SnapshotConnected", testSnapshotConnected},
		{"SnapshotDelete", testSnapshotDelete},
		{"Dependents", testDependents},
		{"Unknown", testUnknown},
		{"Export", testExport},
		{"Connect", testConnect},
		{"ConnectTwoHosts", testConnectTwoHosts},
		{"ConnectOneHostTwice", testConnectOneHostTwice},
		{"Disconnect", testDisconnect},
		{"Texts", testTexts},
		{"IDs", testIDs},
		{"NameID", testNameID},
		{"Cancelled", testCancelled},
		{"CancelledMidway", testCancelledMidway},
		{"Concurrent", testConcurrent},
		{"Reopen", testReopen},
		{"Close", testClose},
		{"Revert", testRevert},
		{"RevertGrown", testRevertGrown},
		{"Retype", testRetype},
		{"Manage", testManage},
		{"ManageForeign", testManageForeign},
	}
}

// Run runs the suite. Each test is a subtest on an array of its own.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("driverstest: the harness has no New")
	}
	all := checks()
	for _, fault := range wrongSkips(h.Skip, all) {
		t.Error("driverstest: " + fault)
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if reason := h.Skip[c.name]; reason != "" {
				t.Skip(reason)
			}
			if !h.Serial {
				t.Parallel()
			}
			s := &suite{T: t, h: h, array: h.New(t)}
			s.calls = s.open()
			s.pool = s.firstPool()
			c.run(s)
		})
	}
}

// wrongSkips lists what is wrong with a harness's exceptions.
func wrongSkips(skip map[string]string, all []check) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(skip)) {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			names := make([]string, len(all))
			for i, c := range all {
				names[i] = c.name
			}
			faults = append(faults, fmt.Sprintf("Skip names %q, which is none of %s", name, strings.Join(names, ", ")))
		}
		if strings.TrimSpace(skip[name]) == "" {
			faults = append(faults, fmt.Sprintf("Skip gives no reason for %q", name))
		}
	}
	return faults
}
