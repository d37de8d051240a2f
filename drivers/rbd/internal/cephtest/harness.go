// SPDX-License-Identifier: Apache-2.0

// Package cephtest is the contract of package ceph as tests. It runs on the
// cluster in memory and on a real one, so that what drivers are tested with
// answers as what they run on.
//
// What it asks for was measured on librbd 16.2.15. Where a real cluster may need
// a moment, it polls.
package cephtest

import (
	"testing"
	"time"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// Harness is what the suite must know to run. Only New is required.
type Harness struct {
	// New connects, and gives the pool to use, in which there may be other images.
	// Each call gives a further connection to the same cluster. The suite closes
	// it.
	New func(t *testing.T) (ceph.Cluster, string)
	// CloneV2: clones need no protected snapshots.
	CloneV2 bool
	// Real: what cannot be cleaned up with the calls of the contract is left out.
	Real bool
	// Pass lets time pass on the cluster. Nil: it passes by itself.
	Pass func(d time.Duration)
	// Skip leaves tests out: their name, and why.
	Skip map[string]string
}

type check struct {
	name string
	run  func(*suite)
}

func checks() []check {
	return []check{
		{"Connection", testConnection},
		{"Commands", testCommands},
		{"CloseConnection", testCloseConnection},
		{"Create", testCreate},
		{"CreateRefused", testCreateRefused},
		{"List", testList},
		{"Names", testNames},
		{"Open", testOpen},
		{"CloseImage", testCloseImage},
		{"Remove", testRemove},
		{"Rename", testRename},
		{"Resize", testResize},
		{"ReadWrite", testReadWrite},
		{"ReadOnly", testReadOnly},
		{"Features", testFeatures},
		{"Metadata", testMetadata},
		{"Watchers", testWatchers},
		{"OtherConnection", testOtherConnection},
		{"Snapshots", testSnapshots},
		{"SnapshotsRefused", testSnapshotsRefused},
		{"Protect", testProtect},
		{"SnapshotData", testSnapshotData},
		{"RollBack", testRollBack},
		{"Copy", testCopy},
		{"Clone", testClone},
		{"CloneRefused", testCloneRefused},
		{"CloneUnprotected", testCloneUnprotected},
		{"CloneResized", testCloneResized},
		{"CloneShrunkToNothing", testCloneShrunkToNothing},
		{"CloneFeatures", testCloneFeatures},
		{"ParentSnapshotGoes", testParentSnapshotGoes},
		{"ParentSnapshotStays", testParentSnapshotStays},
		{"Chain", testChain},
		{"Children", testChildren},
		{"Parent", testParent},
		{"Flatten", testFlatten},
		{"FlattenDeep", testFlattenDeep},
		{"FlattenNotDeep", testFlattenNotDeep},
		{"Trash", testTrash},
		{"TrashDelay", testTrashDelay},
		{"TrashLong", testTrashLong},
		{"TrashOpen", testTrashOpen},
		{"TrashParent", testTrashParent},
		{"Cancelled", testCancelled},
		{"Overdue", testOverdue},
		{"ConcurrentImages", testConcurrentImages},
		{"ConcurrentImage", testConcurrentImage},
	}
}

// Run runs the suite. Subtests run side by side. Each uses images of its own, of
// a few MiB, and removes them.
func Run(t *testing.T, h Harness) {
	t.Helper()
	all := checks()
	known := map[string]bool{}
	for _, c := range all {
		known[c.name] = true
	}
	for name, why := range h.Skip {
		if !known[name] || why == "" {
			t.Errorf("cephtest: Skip has %q: %q, which is no test, or gives no reason", name, why)
		}
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if why := h.Skip[c.name]; why != "" {
				t.Skip(why)
			}
			t.Parallel()
			c.run(newSuite(t, h, c.name))
		})
	}
}
