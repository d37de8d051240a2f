// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// breakages are ways to break the contract, and the tests that must notice.
func breakages() map[string][]string {
	return map[string][]string{
		"no pools":                     {"Stats"},
		"no vendor":                    {"Stats"},
		"no total":                     {"Stats"},
		"create once":                  {"Create", "Clone", "Snapshot"},
		"update once":                  {"Create", "Clone", "Snapshot"},
		"size wrong":                   {"Create", "Clone", "Snapshot"},
		"record changed":               {"Create", "Clone", "Snapshot"},
		"writes lost":                  {"Content", "Clone", "Snapshot"},
		"other size taken":             {"CreateOtherSize"},
		"errors unmarked":              {"CreateHuge", "Unknown", "Delete"},
		"delete once":                  {"Delete"},
		"delete forgotten":             {"Delete", "Reopen", "NameID", "Concurrent"},
		"delete by provider id":        {"DeleteWithoutUpdate"},
		"extend once":                  {"Extend"},
		"extend empties":               {"Extend", "ExtendConnected"},
		"extend shrinks":               {"ExtendNeverShrinks"},
		"connected refused wrongly":    {"ExtendConnected", "SnapshotConnected"},
		"clone shared":                 {"Clone", "Snapshot"},
		"clone not grown":              {"CloneLarger", "SnapshotLarger"},
		"tail dirty":                   {"CloneLarger", "SnapshotLarger"},
		"snapshot once":                {"Snapshot"},
		"snapshot not frozen":          {"Snapshot", "SnapshotLarger", "SnapshotConnected", "Revert"},
		"snapshots cascade":            {"Dependents"},
		"dependents unmarked":          {"Dependents"},
		"delete snapshot needs volume": {"SnapshotDelete", "Unknown"},
		"unknown inspected":            {"Unknown", "Create", "Delete"},
		"secret renewed":               {"Export"},
		"unexport needs volume":        {"Export", "Unknown"},
		"lun moves":                    {"Connect", "ConnectTwoHosts", "ConnectOneHostTwice"},
		"attachment changed":           {"Connect"},
		"second host refused":          {"ConnectTwoHosts"},
		"disconnect takes all":         {"ConnectTwoHosts"},
		"disconnect once":              {"Disconnect", "ConnectTwoHosts"},
		"disconnect forgotten":         {"Connect", "Disconnect"},
		"others ignored":               {"ConnectOneHostTwice"},
		"texts quoted badly":           {"Texts"},
		"ids cut":                      {"IDs"},
		"name id ignored":              {"NameID"},
		"half made":                    {"Cancelled", "CancelledMidway"},
		"context ignored":              {"Cancelled", "CancelledMidway"},
		"one at a time":                {"Concurrent"},
		"forgets":                      {"Reopen", "Create"},
		"close once":                   {"Close"},
		"goroutine left":               {"Close"},
		"claims only":                  {"Revert", "RevertGrown", "Retype", "Manage", "ManageForeign"},
		"revert eats snapshot":         {"Revert"},
		"revert small":                 {"RevertGrown", "Revert"},
		"retype once":                  {"Retype"},
		"retype empties":               {"Retype"},
		"list empty":                   {"Manage", "ManageForeign"},
		"list disordered":              {"Manage"},
		"list with snapshots":          {"Manage"},
		"manage once":                  {"ManageForeign"},
		"manage not rounded":           {"ManageForeign"},
		"unmanage deletes":             {"Manage"},
	}
}

const breakEnv = "DRIVERSTEST_BREAK"

// TestBroken runs the suite on a broken array, in the process that
// TestSuiteNotices starts for it.
func TestBroken(t *testing.T) {
	broken := os.Getenv(breakEnv)
	if broken == "" {
		t.Skip("it is run by TestSuiteNotices")
	}
	Run(t, Harness{New: func(t *testing.T) *Array { return newMemory(broken).array(t) }})
}

func TestSuiteNotices(t *testing.T) {
	t.Parallel()
	noticing := map[string]bool{}
	for broken, names := range breakages() {
		for _, name := range names {
			noticing[name] = true
		}
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v",
				"-test.run=^TestBroken$/^("+strings.Join(names, "|")+")$")
			cmd.Env = append(slices.Clone(os.Environ()), breakEnv+"="+broken)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite noticed nothing:\n%s", out)
			for _, name := range names {
				assert.Contains(t, string(out), "--- FAIL: TestBroken/"+name+" ", "%s", out)
			}
			assert.NotContains(t, string(out), "panic:")
		})
	}
	for _, c := range checks() {
		assert.True(t, noticing[c.name], "no breakage shows that %s can fail", c.name)
	}
}
