// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/fault"
)

// With two clusters all requests but those about clusters say which.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{Version: "4.2.0", Clusters: []xtremio.ClusterOptions{{}, {Name: "prod"}}})
	assert.Equal(t, []string{"brick1", "prod"}, s.names("clusters", ""))
	assert.Equal(t, "XIO00151000002", s.content("clusters?name=prod&cluster-name=prod")["sys-psnt-serial-number"])
	assert.Equal(t, "prod", s.content("clusters/2")["name"])
	assert.Equal(t, "4.2.0", s.content("xms/1")["version"])

	untold := syntax + "Missing some of mandatory properties list: ['cluster-id']"
	for _, r := range []refusal{
		{read, "volumes", nil, untold},
		{read, "volumes?name=v", nil, untold},
		{read, "iscsi-portals?full=1", nil, untold},
		{post, "volumes", object{"vol-name": "v", "vol-size": "1g"}, untold},
		{put, "volumes?name=v", object{"vol-size": "1g"}, untold},
		{del, "volumes?name=v", nil, untold},
		{read, "volumes?cluster-name=missing", nil, "sys_not_found"},
		{read, "volumes?cluster-id=3", nil, "sys_not_found"},
		{del, "volumes?name=v&cluster-name=missing", nil, "sys_not_found"},
		{post, "volumes", object{"vol-name": "v", "vol-size": "1g", "cluster-id": "missing"}, "sys_not_found"},
	} {
		var body any
		if r.body != nil {
			body = r.body
		}
		assert.Equal(t, r.message, s.refused(r.verb, r.path, body), "%s %s", r.verb, r.path)
	}
	assert.Equal(t, untold, s.v1().refused(read, "volumes", nil), "v1 cannot say it")

	id := s.content("clusters/2")["sys-id"]
	for n, cluster := range []any{"brick1", "prod", 1, 2, id} {
		name := []string{"v", "v", "w", "w", "x"}[n] // names are of a cluster
		assert.Equal(t, n+1, s.made("volumes", object{"vol-name": name, "vol-size": "1g", "cluster-id": cluster}))
	}
	assert.Equal(t, []string{"v", "w"}, s.names("volumes", "?cluster-name=brick1"))
	assert.Equal(t, []string{"v", "w", "x"}, s.names("volumes", "?cluster-id=2"))
	same(t, `{"index": 2, "sys-id": ["GUID", "prod", 2]}`, s.content("volumes?name=v&cluster-name=prod"), "its own")
	assert.Equal(t, "prod", s.rows("volumes", "?cluster-name=prod&full=1&prop=index")[0]["sys-name"])
	assert.Equal(t, "vol_obj_not_found", s.refused(read, "volumes/2?cluster-name=brick1", nil))
	assert.Equal(t, "3145728", s.content("clusters/2")["vol-size"])

	// The other cluster's objects are none.
	s.made("initiator-groups", object{"ig-name": host, "cluster-id": "prod"})
	assert.Equal(t, "ig_obj_not_found", s.refused(post, "lun-maps", object{"ig-id": host, "vol-id": "v", "cluster-id": "brick1"}))
	s.made("initiators", object{"initiator-name": host, "port-address": host, "ig-id": host, "cluster-id": "prod"})
	s.made("lun-maps", object{"ig-id": 1, "vol-id": "x", "cluster-id": "prod"})
	s.made("initiator-groups", object{"ig-name": host, "cluster-id": "brick1"})
	s.made("initiators", object{"initiator-name": host, "port-address": host, "ig-id": host, "cluster-id": "brick1"})
	s.ok(put, "volumes?name=v&cluster-name=prod", object{"name": "renamed"})
	s.ok(put, "volumes?name=renamed", object{"name": "twice", "cluster-id": 2})
	s.ok(del, "volumes?name=twice&cluster-name=prod", object{"cluster-id": "prod"})
	s.ok(del, "volumes?name=w", object{"cluster-id": "prod"})
	assert.Equal(t, []string{"x"}, s.names("volumes", "?cluster-name=prod"))
	assert.Equal(t, []string{"v", "w"}, s.names("volumes", "?cluster-name=brick1"))

	targets := s.xms.Targets()
	require.Len(t, targets, 4)
	for n, want := range []struct {
		iqn, portal string
		luns        int
	}{
		{"iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c300", "10.205.68.5:3260", 0},
		{"iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c304", "10.205.68.6:3260", 0},
		{"iqn.2008-05.com.xtremio:xio00151000002-514f0c50a1b2d300", "10.205.69.5:3260", 1},
		{"iqn.2008-05.com.xtremio:xio00151000002-514f0c50a1b2d304", "10.205.69.6:3260", 1},
	} {
		assert.Equal(t, want.iqn, targets[n].IQN)
		assert.Equal(t, []string{want.portal}, targets[n].Portals)
		require.Len(t, targets[n].Access, 1)
		assert.Len(t, targets[n].Access[0].LUNs, want.luns)
	}
	v1 := s.v1()
	assert.Equal(t, 6, v1.made("volumes", object{"vol-name": "old", "vol-size": "1g", "sys-id": "prod"}))
}

// Modes, portals and targets change while the array runs.
func TestRunTime(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{Clusters: []xtremio.ClusterOptions{{
		CHAP: "initiator",
		Portals: []xtremio.Portal{
			{Address: "10.0.0.1/24", Target: 1}, {Address: "fd00::1/64", Port: 3261, VLAN: 7, Target: 1}, {Address: "10.0.0.2/24", Target: 2},
		},
		FC: []xtremio.FCTarget{{WWN: "51:4f:0c:50:00:00:00:01"}},
	}}})
	same(t, `{"chap-authentication-mode": "initiator", "chap-discovery-mode": "disabled"}`, s.content("clusters/1"), "as given")
	same(t, `{"name": "fd00::1/64", "ip-addr": "fd00::1/64", "ip-port": 3261, "vlan": 7, "tar-id": ["GUID", "X1-SC1-iscsi1", 2]}`, s.content("iscsi-portals/2"), "IPv6")
	require.NoError(t, s.xms.SetCHAP(t.Context(), "brick1", "mutual", "initiator"))
	same(t, `{"chap-authentication-mode": "mutual", "chap-discovery-mode": "initiator"}`, s.content("clusters/1"), "as set")

	portals := func() map[string][]string {
		all := map[string][]string{}
		for _, target := range s.xms.Targets() {
			all[target.IQN[len(target.IQN)-3:]] = target.Portals
		}
		return all
	}
	assert.Equal(t, map[string][]string{"300": {"10.0.0.1:3260", "[fd00::1]:3261"}, "304": {"10.0.0.2:3260"}}, portals())
	require.NoError(t, s.xms.SetPortal(t.Context(), "brick1", "10.0.0.1/24", false))
	assert.Equal(t, []string{"fd00::1/64", "10.0.0.2/24"}, s.names("iscsi-portals", ""))
	assert.Equal(t, "iscsi_portal_obj_not_found", s.refused(read, "iscsi-portals/1", nil))
	require.NoError(t, s.xms.SetPortal(t.Context(), "brick1", "10.0.0.2/24", false))
	assert.Equal(t, map[string][]string{"300": {"[fd00::1]:3261"}}, portals())
	require.NoError(t, s.xms.SetTarget(t.Context(), "brick1", "X1-SC1-iscsi1", false))
	assert.Empty(t, portals())
	assert.Equal(t, []string{"fd00::1/64"}, s.names("iscsi-portals", ""), "a portal of a target that is down stays")
	assert.Equal(t, "down", s.content("targets?name=X1-SC1-iscsi1")["port-state"])
	require.NoError(t, s.xms.SetTarget(t.Context(), "brick1", "X1-SC1-iscsi1", true))
	require.NoError(t, s.xms.SetPortal(t.Context(), "brick1", "10.0.0.1/24", true))
	assert.Equal(t, map[string][]string{"300": {"10.0.0.1:3260", "[fd00::1]:3261"}}, portals())
	require.NoError(t, s.xms.SetTarget(t.Context(), "brick1", "X1-SC1-fc1", false))
	assert.Empty(t, s.names("targets", "?filter=port-type:eq:fc&filter=port-state:eq:up"))
	assert.Equal(t, []string{"X1-SC1-fc1"}, s.names("targets", "?filter=port-address:eq:51:4f:0c:50:00:00:00:01"))

	local := newSim(t, xtremio.Options{Clusters: []xtremio.ClusterOptions{{Portals: []xtremio.Portal{{Address: "127.0.0.1/8"}, {Address: "127.0.0.1/8", Port: 3261}}}}})
	assert.Equal(t, []string{"127.0.0.1/8", "127.0.0.1/8:3261"}, local.names("iscsi-portals", ""))
	assert.Equal(t, "127.0.0.1/8", local.content("iscsi-portals/2")["ip-addr"])

	require.ErrorIs(t, s.xms.SetCHAP(t.Context(), "brick2", "disabled", "disabled"), fault.ErrNotFound)
	require.ErrorIs(t, s.xms.SetCHAP(t.Context(), "brick1", "disabled", "on"), fault.ErrInvalid)
	require.ErrorIs(t, s.xms.SetTarget(t.Context(), "brick1", "X9", true), fault.ErrNotFound)
	require.ErrorIs(t, s.xms.SetPortal(t.Context(), "brick1", "10.0.0.9/24", true), fault.ErrNotFound)
}
