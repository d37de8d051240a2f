// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// family is a volume, its snapshot, a chain of clones of it, and a volume made of
// the snapshot.
type family struct {
	d       drivers.Driver
	volumes map[string]*drivers.Volume
	s       *drivers.Snapshot
}

func newFamily(t *testing.T, d drivers.Driver, p ceph.Pool) *family {
	t.Helper()
	ctx := t.Context()
	f := &family{d: d, volumes: map[string]*drivers.Volume{}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.volumes[name] = &drivers.Volume{ID: uuid.NewString(), Size: 1}
	}
	a := f.volumes["a"]
	_, err := d.CreateVolume(ctx, a)
	require.NoError(t, err)
	require.NoError(t, with(ctx, p, a.NameOnArray(), toWrite, func(img ceph.Image) error { return img.WriteAt(ctx, []byte("family"), 4096) }))
	f.s = &drivers.Snapshot{ID: uuid.NewString(), VolumeID: a.ID, VolumeSize: 1}
	_, err = d.CreateSnapshot(ctx, f.s, a)
	require.NoError(t, err)
	for _, pair := range []string{"ab", "bc", "cd"} {
		source, clone := f.volumes[pair[:1]], f.volumes[pair[1:]]
		clone.SourceVolumeID = source.ID
		_, err = d.CloneVolume(ctx, clone, source)
		require.NoError(t, err)
	}
	_, err = d.VolumeFromSnapshot(ctx, f.volumes["e"], f.s, a)
	require.NoError(t, err)
	return f
}

func (f *family) delete(ctx context.Context, member string) error {
	if member == "s" {
		return f.d.DeleteSnapshot(ctx, f.s, f.volumes["a"])
	}
	return f.d.DeleteVolume(ctx, f.volumes[member])
}

// orders gives all orders of the letters.
func orders(letters string) []string {
	if len(letters) < 2 {
		return []string{letters}
	}
	var all []string
	for i := range letters {
		for _, rest := range orders(letters[:i] + letters[i+1:]) {
			all = append(all, letters[i:i+1]+rest)
		}
	}
	return all
}

// testOrders deletes a family in every n-th order. What has dependants is deleted
// when they are gone; the data of those that are left stays as it was.
func testOrders(t *testing.T, at place, change func(*Options), every int) {
	t.Helper()
	ctx := t.Context()
	d, err := openWith(ctx, driverstest.Env(t, "rbd"), options(t, at.name, change), at.dial)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	tried, refused := 0, 0
	for i, order := range orders("sabcde") {
		if i%every != 0 {
			continue
		}
		f := newFamily(t, d, at.pool)
		todo := order
		for rounds := 0; todo != ""; rounds++ {
			require.Less(t, rounds, 6, "%s: %s are left", order, todo)
			for member := range strings.SplitSeq(todo, "") {
				err := f.delete(ctx, member)
				if err != nil {
					require.ErrorIs(t, err, drivers.ErrHasDependents, "%s: %s", order, member)
					refused++
					continue
				}
				todo = strings.Replace(todo, member, "", 1)
				f.check(t, at.pool, todo, order)
			}
		}
		found, err := left(ctx, at.pool)
		require.NoError(t, err)
		require.Empty(t, found, order)
		tried++
	}
	t.Logf("%d orders, %d deletions refused until later", tried, refused)
}

// check reads the data of all that are there.
func (f *family) check(t *testing.T, p ceph.Pool, members, order string) {
	t.Helper()
	for member := range strings.SplitSeq(strings.Replace(members, "s", "", 1), "") {
		if member == "" {
			continue
		}
		err := with(t.Context(), p, f.volumes[member].NameOnArray(), toRead, func(img ceph.Image) error {
			buf := make([]byte, len("family"))
			err := img.ReadAt(t.Context(), buf, 4096)
			assert.Equal(t, "family", string(buf), "%s: the data of %s", order, member)
			return err
		})
		require.NoError(t, err, "%s: %s", order, member)
	}
}

func TestDeletionOrders(t *testing.T) {
	t.Parallel()
	for _, version := range []bool{false, true} {
		for name, change := range setUps {
			if name == "trash" {
				continue // TestFaultSweep has it
			}
			t.Run(fmt.Sprintf("%s, clones of version 2: %t", name, version), func(t *testing.T) {
				t.Parallel()
				testOrders(t, fakePlace(t, version), change, 1)
			})
		}
	}
}

func TestCephDeletionOrders(t *testing.T) {
	at := realPlace(t)
	every := 1
	if at.stride > 1 {
		every = 48 // of 720
	}
	testOrders(t, at, nil, every)
}
