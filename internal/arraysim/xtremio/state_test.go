// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

// An array goes on where its state was saved, and gives no index again.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	for _, v := range []string{"v1", "v2", "gone"} {
		s.volume(v)
	}
	s.attached(host, "v1", "v2")
	s.ok(put, "initiators/1", object{"initiator-authentication-user-name": "u", "initiator-authentication-password": "canary-login"})
	s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []string{"v1", "v2"}})
	s.made("snapshots", object{"consistency-group-id": "cg", "snapshot-set-name": "set", "snapshot-type": "readonly"})
	s.ok(del, "volumes?name=v2.snapshot.1", nil)
	s.ok(del, "volumes?name=gone", nil)

	path := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, arraysim.Save(path, s.xms))
	p := newPlane()
	loaded, err := xtremio.New(xtremio.Options{Data: p, Now: noon})
	require.NoError(t, err)
	there, err := arraysim.Load(path, loaded)
	require.NoError(t, err)
	require.True(t, there)
	assert.JSONEq(t, stateOf(t, s.xms), stateOf(t, loaded))
	for _, kind := range []string{"volumes", "snapshots", "initiator-groups", "initiators", "lun-maps", "consistency-groups", "snapshot-sets", "clusters"} {
		assert.Equal(t, s.ok(read, kind+"?full=1", nil), call(t, loaded, read, kind+"?full=1", nil), kind)
	}
	require.NoError(t, loaded.Publish(t.Context()))
	assert.Equal(t, []string{"expose 300", "expose 304"}, p.log())
	assert.Equal(t, s.xms.Targets(), loaded.Targets())
	assert.Equal(t, []int{6}, linked(t, call(t, loaded, post, "volumes", object{"vol-name": "v", "vol-size": "1g"})))

	before := stateOf(t, loaded)
	for _, text := range []string{
		`{"volumes": {"1": null}}`, `{"volumes": 1}`, `{"volumes": {"1": {"index": 2, "cluster": 1}}}`, `{"lun-maps": {"1": {"index": 1, "cluster": 2}}}`,
	} {
		require.Error(t, loaded.UnmarshalJSON([]byte(text)), text)
	}
	assert.Equal(t, before, stateOf(t, loaded))
	require.NoError(t, loaded.UnmarshalJSON([]byte(`{"initiator-groups": {"7": {"index": 7, "name": "g", "cluster": 1}}}`)))
	assert.Equal(t, []int{8}, linked(t, call(t, loaded, post, "initiator-groups", object{"ig-name": "x"})), "a file that was edited")

	_, err = loaded.Call(t.Context(), del, "volumes/99", nil)
	refused, ok := errors.AsType[*xtremio.Error](err)
	require.True(t, ok)
	assert.Equal(t, xtremio.Error{Status: 400, Message: "vol_obj_not_found"}, *refused)
	_, err = loaded.Call(t.Context(), read, "nothing", nil)
	require.EqualError(t, err, "Not found")
}

// Many at the same time: every volume is there once, and has a LUN of its own.
func TestParallel(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{Data: newPlane()})
	s.attached(host)
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			name := fmt.Sprintf("v%d", n/2) // two want each name
			_, err := s.xms.Call(t.Context(), post, "volumes", object{"vol-name": name, "vol-size": "1g"})
			if err != nil {
				return
			}
			_, err = s.xms.Call(t.Context(), post, "lun-maps", object{"vol-id": name, "ig-id": host})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.Len(t, s.names("volumes", ""), 16)
	luns := map[float64]bool{}
	for _, m := range s.rows("lun-maps", "?full=1") {
		luns[get[float64](t, m, "lun")] = true
	}
	assert.Len(t, luns, 16)
	assert.Len(t, s.xms.Targets()[1].Access[0].LUNs, 16)
}
