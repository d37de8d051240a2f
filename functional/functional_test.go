// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
)

// TestMain is also the start of the second process of
// test_remote_connect_through_json.
func TestMain(m *testing.M) {
	if os.Getenv(nodeVariable) != "" {
		os.Exit(node())
	}
	os.Exit(m.Run())
}

// tests are run on every backend, in this order, one at a time: the statistics
// would not add up otherwise.
var tests = []struct {
	name     string
	attaches bool
	run      func(*testing.T, *backend)
}{
	{"test_stats", false, testStats},
	{"test_stats_with_creation", false, testStatsWithCreation},
	{"test_create_volume", true, testCreateVolume},
	{"test_create_delete_volume", false, testCreateDeleteVolume},
	{"test_create_snapshot", false, testCreateSnapshot},
	{"test_create_delete_snapshot", false, testCreateDeleteSnapshot},
	{"test_attach_volume", true, testAttachVolume},
	{"test_attach_detach_volume", true, testAttachDetachVolume},
	{"test_attach_detach_volume_via_attachment", true, testAttachDetachVolumeViaAttachment},
	{"test_disk_io", true, testDiskIO},
	{"test_connect_disconnect_volume", false, testConnectDisconnectVolume},
	{"test_connect_disconnect_multiple_volumes", false, testConnectDisconnectMultipleVolumes},
	{"test_connect_disconnect_multiple_times", false, testConnectDisconnectMultipleTimes},
	{"test_extend", true, testExtend},
	{"test_extend_attached", true, testExtendAttached},
	{"test_clone", true, testClone},
	{"test_create_volume_from_snapshot", true, testCreateVolumeFromSnapshot},
	// Those above are the original's; it has none of these.
	{"test_read_only_attach", true, testReadOnlyAttach},
	{"test_attach_without_backend", true, testAttachWithoutBackend},
	{"test_remote_connect_through_json", true, testRemoteConnectThroughJSON},
	{"test_revert_to_snapshot", true, testRevertToSnapshot},
	{"test_manage_unmanage", true, testManageUnmanage},
	{"test_retype", false, testRetype},
}

// optional are the tests of what not every driver can do.
var optional = map[string]func(drivers.Capabilities) bool{
	"test_revert_to_snapshot": func(c drivers.Capabilities) bool { return c.Revert },
	"test_manage_unmanage":    func(c drivers.Capabilities) bool { return c.Manage },
	"test_retype":             func(c drivers.Capabilities) bool { return c.Retype },
}

func TestFunctional(t *testing.T) {
	c, err := readConfig(os.LookupEnv)
	require.NoError(t, err)
	s := newSuite(t, c)
	t.Run("test_list_supported_drivers", testListSupportedDrivers)
	s.run(t, true)
}

// run runs the tests on all backends, those that attach too or not.
func (s *suite) run(t *testing.T, attach bool) {
	t.Helper()
	for _, test := range tests {
		if test.attaches && !attach {
			continue
		}
		for _, b := range s.backends {
			if can := optional[test.name]; can != nil && !can(b.Capabilities()) {
				t.Logf("%s is not for %s: its driver cannot do that", test.name, b.ID())
				continue
			}
			t.Run(test.name+"_on_"+b.ID(), func(t *testing.T) {
				if test.attaches {
					b.needAttach(t)
				}
				t.Cleanup(func() { assert.NoError(t, b.cleanUp(context.WithoutCancel(t.Context()))) })
				test.run(t, b)
			})
		}
	}
	s.assertNothingLeft(t)
}
