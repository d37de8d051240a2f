// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/fault"
)

// What differs between releases, and that a switch goes before the release.
func TestQuirks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version                                                   string
		strictPut, putCluster, deleteSetByIndex, groupRows, comma bool
	}{
		{"4.0.2", true, false, false, true, false},
		{"4.0.10", true, true, true, true, false},
		{"4.1.0", false, true, true, false, false},
		{"4.2.0", false, true, true, false, true},
		{"6.2.1", false, true, true, false, true},
	} {
		look := func(o xtremio.Options) []bool {
			o.Version = c.version
			s := newSim(t, o)
			s.volume("v")
			s.snapshot("v", "a")
			s.attached(host, "v")
			s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []string{"v"}})
			works := func(verb, path string, body any, otherwise string) bool {
				status, answer := s.send(verb, path, body)
				if status != 200 {
					assert.Equal(t, otherwise, answer["message"])
				}
				return status == 200
			}
			size := object{"vol-size": "2g", "cluster-id": "brick1"}
			strict := !works(put, "volumes?name=v&cluster-name=brick1", size, "vol_not_found")
			assert.Equal(t, strict, !works(put, "initiators/1?cluster-name=brick1", object{"operating-system": "esx"}, "initiator_not_found"))
			s.ok(put, "volumes?name=v", size)
			s.ok(put, "initiator-groups/1?cluster-name=brick1", object{"new-name": "g"})
			renamed := true
			for _, kind := range []string{"consistency-groups", "initiator-groups", "snapshot-sets"} {
				renamed = works(put, kind+"/1", object{"new-name": "x", "cluster-id": "brick1"}, "Command Syntax Error: Invalid property cluster-id") && renamed
			}
			key := "consistency-group-volumes"
			rows := s.ok(read, key, nil)["consistency-groups"] != nil
			assert.Equal(t, !rows, s.ok(read, key, nil)[key] != nil)
			deleted := works(del, "snapshot-sets/1?cluster-name=brick1", nil, "snapset_obj_not_found")
			or := len(s.names("volumes", "?filter=name:eq:v,name:eq:w")) == 1
			return []bool{strict, renamed, deleted, rows, or}
		}
		assert.Equal(t, []bool{c.strictPut, c.putCluster, c.deleteSetByIndex, c.groupRows, c.comma}, look(xtremio.Options{}), c.version)
		opposite := func(is bool) xtremio.Switch {
			if is {
				return xtremio.Off
			}
			return xtremio.On
		}
		assert.Equal(t, []bool{!c.strictPut, !c.putCluster, !c.deleteSetByIndex, !c.groupRows, !c.comma}, look(xtremio.Options{
			StrictPut: opposite(c.strictPut), PutCluster: opposite(c.putCluster), DeleteSetByIndex: opposite(c.deleteSetByIndex),
			GroupRows: opposite(c.groupRows), CommaOr: opposite(c.comma),
		}), c.version)
	}
}

func TestDeleteMapped(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{DeleteMapped: true})
	s.volume("v1")
	s.volume("v2")
	s.attached(host, "v1", "v2")
	s.ok(del, "volumes?name=v1", nil)
	assert.Equal(t, []string{"2_1_1"}, s.names("lun-maps", ""))
	assert.Len(t, s.xms.Targets()[0].Access[0].LUNs, 1)
}

func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]xtremio.Options{"{}": {}, "": {EmptyAnswers: true}} {
		s := newSim(t, o)
		s.volume("v")
		for _, r := range [][2]string{{put, `{"vol-size": "2g"}`}, {del, ""}} {
			status, text := s.raw(r[0], s.base+"volumes?name=v", r[1])
			assert.Equal(t, 200, status)
			assert.Equal(t, want, text)
		}
		_, text := s.raw(read, s.base+"volumes?name=v", "")
		assert.Contains(t, text, "vol_obj_not_found", "refusals have a body")
	}
}

func TestVolumeLinks(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{VolumeLinks: true})
	s.volume("v")
	answer := s.ok(post, "snapshots", object{"volume-list": []string{"v"}})
	assert.Equal(t, []any{object{"href": "https://xms/api/json/v2/types/volumes/2", "rel": "self"}}, answer["links"])
}

func TestRestoreKeepsSize(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{RestoreKeepsSize: true})
	s.volume("v")
	s.snapshot("v", "a")
	s.ok(put, "volumes?name=v", object{"vol-size": "2g"})
	s.made("snapshots", object{"from-volume-id": "v.a", "to-volume-id": "v", "no-backup": "true"})
	assert.Equal(t, "2097152", s.content("volumes?name=v")["vol-size"])
}

func TestNAA(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o             xtremio.Options
		first, mapped string
	}{
		{xtremio.Options{}, "", "514f0c5a1b2c0001"},
		{xtremio.Options{EarlyNAA: true}, "514f0c5a1b2c0001", "514f0c5a1b2c0001"},
		{xtremio.Options{LongNAA: true}, "", "6514f0c5000000000000000a1b2c0001"},
		{xtremio.Options{Clusters: []xtremio.ClusterOptions{{WWN: "0fffe"}}}, "", "514f0c50fffe0001"},
	} {
		s := newSim(t, c.o)
		s.volume("v")
		assert.Equal(t, c.first, s.content("volumes/1")["naa-name"])
		s.attached(host, "v")
		assert.Equal(t, c.mapped, s.content("volumes/1")["naa-name"])
		s.ok(del, "lun-maps/1", nil)
		s.made("lun-maps", object{"vol-id": "v", "ig-id": host})
		assert.Equal(t, c.mapped, s.content("volumes/1")["naa-name"], "it stays")
		assert.Equal(t, c.mapped, s.xms.Targets()[0].Access[0].LUNs[0].NAA)
	}
}

func TestGUIDLinks(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{GUIDLinks: xtremio.On, Address: "192.0.2.10:443"})
	s.ok(post, "volumes", object{"vol-name": "v", "vol-size": "1g"})
	guid := get[string](t, s.content("volumes/1"), "guid")
	assert.Equal(t, "https://192.0.2.10:443/api/json/v2/types/volumes/"+guid, s.rows("volumes", "")[0]["href"])
	assert.Equal(t, "v", s.content("volumes/" + guid)["name"])
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	clusters := func(o ...xtremio.ClusterOptions) xtremio.Options { return xtremio.Options{Clusters: o} }
	for _, o := range []xtremio.Options{
		{Version: "four"}, {Version: "4.0"}, {Version: "2.4.0"}, {CommaOr: "yes"}, {GUIDLinks: "true"},
		clusters(xtremio.ClusterOptions{Name: "a"}, xtremio.ClusterOptions{Name: "a"}),
		clusters(xtremio.ClusterOptions{Serial: "a"}, xtremio.ClusterOptions{Serial: "a"}),
		clusters(xtremio.ClusterOptions{WWN: "aaaaa"}, xtremio.ClusterOptions{WWN: "aaaaa"}),
		clusters(xtremio.ClusterOptions{WWN: "a1b2"}), clusters(xtremio.ClusterOptions{WWN: "A1B2C"}),
		clusters(xtremio.ClusterOptions{CHAP: "both"}), clusters(xtremio.ClusterOptions{DiscoveryCHAP: "on"}),
		clusters(xtremio.ClusterOptions{Version: "2.0.0"}),
		clusters(xtremio.ClusterOptions{Portals: []xtremio.Portal{{Address: "10.0.0.1"}}}),
		clusters(xtremio.ClusterOptions{Portals: []xtremio.Portal{{Address: "10.0.0.1/8", Port: 70000}}}),
		clusters(xtremio.ClusterOptions{Portals: []xtremio.Portal{{Address: "10.0.0.1/8", Target: -1}}}),
		clusters(xtremio.ClusterOptions{Portals: []xtremio.Portal{{Address: "10.0.0.1/8"}, {Address: "10.0.0.1/8"}, {Address: "10.0.0.1/8"}}}),
		clusters(xtremio.ClusterOptions{Portals: []xtremio.Portal{{Address: "10.0.0.1/8", Target: 1}, {Address: "10.0.0.2/8", Target: 65}}}),
		clusters(xtremio.ClusterOptions{FC: []xtremio.FCTarget{{WWN: "514f0c50a1b2c300"}}}),
	} {
		_, err := xtremio.New(o)
		require.ErrorIs(t, err, fault.ErrInvalid, "%+v", o)
	}
}
