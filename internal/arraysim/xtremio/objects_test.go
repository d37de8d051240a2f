// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	for given, kib := range map[any]string{
		"1g": "1048576", "2G": "2097152", "512m": "524288", "512M": "524288", "4k": "4", "4K": "4", "1t": "1073741824", "1T": "1073741824",
		"4p": "4398046511104", "1048576": "1048576", 2048: "2048",
	} {
		n := s.made("volumes", object{"vol-name": "v", "vol-size": given})
		assert.Equal(t, kib, s.content("volumes?name=v")["vol-size"], "%v", given)
		s.ok(del, "volumes", object{"vol-id": n})
	}
	assert.Equal(t, "vol_size_too_large", s.refused(post, "volumes", object{"vol-name": "v", "vol-size": "5p"}))
}

func TestVolume(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.made("volumes", object{"vol-name": "v1", "vol-size": "1g", "lb-size": "4096", "alignment-offset": 3, "vol-access": "no_access",
		"small-io-alerts": "enabled", "tag-list": []string{}})
	same(t, `{"lb-size": 4096, "alignment-offset": 3, "vol-access": "no_access", "small-io-alerts": "enabled", "vaai-tp-alerts": "disabled", "naa-name": ""}`,
		s.content("volumes/1"), "as it was made")
	s.ok(put, "volumes/1", object{"vol-access": "write_access", "vaai-tp-alerts": "enabled", "vol-size": "1g", "vol-name": "v1", "management-locked": "true"})
	s.ok(put, "volumes?name=v1", object{"vol-size": "2g", "name": "other", "vol-name": "v2"})
	same(t, `{"name": "v2", "vol-size": "2097152", "vol-access": "write_access", "small-io-alerts": "enabled", "vaai-tp-alerts": "enabled"}`,
		s.content("volumes?name=v2"), "as it was changed")
	assert.Equal(t, "vol_obj_not_found", s.refused(read, "volumes?name=v1", nil))
	assert.Equal(t, 2, s.volume("v1"), "the old name is free")

	// By name, index and identifier.
	id := s.content("volumes/1")["vol-id"]
	for n, of := range []any{"v2", 1, id} {
		s.made("snapshots", object{"volume-list": []any{of}})
		assert.Len(t, get[[]any](t, s.content("volumes/1"), "dest-snap-list"), n+1)
		same(t, `{"lb-size": 4096, "alignment-offset": 3, "vol-size": "2097152", "vaai-tp-alerts": "enabled"}`, s.content(fmt.Sprintf("snapshots/%d", n+3)), "as its source")
	}
	s.ok(del, "volumes", object{"vol-id": id})
	assert.Equal(t, "vol_obj_not_found", s.refused(del, "volumes/1", nil))
	assert.Equal(t, 6, s.volume("v3"), "no index comes again")
}

// Snapshots outlive what they were made from.
func TestReparenting(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	ancestor := func(name string) string {
		id := get[[]any](t, s.content("volumes?name="+name), "ancestor-vol-id")
		if len(id) == 0 {
			return ""
		}
		require.Len(t, id, 3)
		return get[string](t, id[1])
	}
	s.volume("v")
	s.snapshot("v", "a")
	s.snapshot("v.a", "b")
	s.snapshot("v.a", "c")
	s.ok(put, "volumes?name=v", object{"name": "w"})
	assert.Equal(t, "w", ancestor("v.a"))
	s.ok(del, "volumes?name=v.a", nil)
	assert.Equal(t, "w", ancestor("v.a.b"))
	assert.InDelta(t, 2, s.content("volumes?name=w")["num-of-dest-snaps"], 0)
	s.ok(del, "volumes?name=w", nil)
	assert.Empty(t, ancestor("v.a.c"))
	assert.Equal(t, []string{"v.a.b", "v.a.c"}, s.names("snapshots", ""))
	assert.Equal(t, []string{"set-b", "set-c"}, s.names("snapshot-sets", ""), "a set goes with its last member")
	s.ok(del, "volumes?name=v.a.b", nil)
	assert.Equal(t, []string{"set-c"}, s.names("snapshot-sets", ""))
}

func TestSnapshotSets(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.volume("v1")
	s.volume("v2")
	s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []any{"v1", 2, "v1"}})
	assert.InDelta(t, 2, s.content("consistency-groups/1")["num-of-vols"], 0)
	s.made("snapshots", object{"consistency-group-id": "cg", "snapshot-set-name": "one"})
	s.made("snapshots", object{"consistency-group-id": 1, "snapshot-set-name": "two", "snapshot-type": "readonly"})
	assert.Equal(t, []string{"v1", "v2", "v1.snapshot.1", "v2.snapshot.1", "v1.snapshot.2", "v2.snapshot.2"}, s.names("volumes", ""))
	assert.Equal(t, "readonly", s.content("volumes?name=v2.snapshot.2")["vol-type"])
	s.made("snapshots", object{"snapshot-set-id": "one", "snap-suffix": "again"})
	same(t, `{"name": "SnapshotSet.1464782400.3", "cg-id": [], "num-of-vols": 2,
		"vol-list": [["GUID", "v1.snapshot.1.again", 7], ["GUID", "v2.snapshot.1.again", 8]]}`, s.content("snapshot-sets/3"), "a name of its own")
	s.ok(put, "snapshot-sets?name=one", object{"new-name": "uno"})
	s.ok(put, "snapshot-sets?name=uno", object{"new-name": "uno"})
	s.ok(put, "consistency-groups?name=cg", object{"new-name": "cg2"})
	assert.Equal(t, "cg2", get[[]any](t, s.content("snapshot-sets?name=uno"), "cg-id")[1])
	s.ok(del, "snapshot-sets?name=uno", nil)
	assert.Equal(t, []string{"v1", "v2", "v1.snapshot.2", "v2.snapshot.2", "v1.snapshot.1.again", "v2.snapshot.1.again"}, s.names("volumes", ""))
	s.ok(del, "consistency-group-volumes?cg-id=1&vol-id=2", nil)
	assert.InDelta(t, 1, s.content("consistency-groups/1")["num-of-vols"], 0)
	s.made("consistency-group-volumes", object{"cg-id": "cg2", "vol-id": 2})
	s.ok(del, "volumes?name=v1", nil)
	assert.InDelta(t, 1, s.content("consistency-groups/1")["num-of-vols"], 0)
	s.ok(del, "consistency-groups", object{"cg-id": "cg2"})
	assert.Equal(t, []any{}, s.content("snapshot-sets?name=two")["cg-id"])
	assert.Equal(t, "v2", s.content("volumes/2")["name"], "volumes stay")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		s.volume(v)
	}
	s.attached(host, "v1")
	s.made("lun-maps", object{"vol-id": "v2", "ig-id": host, "lun": 3, "tg-id": "Default"})
	s.made("lun-maps", object{"vol-id": "v3", "ig-id": host})
	s.made("lun-maps", object{"vol-id": "v4", "ig-id": host, "tg-id": 1})
	luns := []float64{}
	for _, m := range s.rows("lun-maps", "?full=1&prop=lun") {
		luns = append(luns, get[float64](t, m, "lun"))
	}
	assert.Equal(t, []float64{1, 3, 2, 4}, luns)
	same(t, `{"num-of-vols": 4, "num-of-initiators": 1}`, s.content("initiator-groups/1"), "counted")

	s.made("initiator-groups", object{"ig-name": "other", "operating-system": "linux"})
	s.made("lun-maps", object{"vol-id": "v1", "ig-id": "other"})
	same(t, `{"num-of-lun-mappings": 2, "lun-mapping-list": [[["GUID", "`+host+`", 1], ["GUID", "Default", 1], 1], [["GUID", "other", 2], ["GUID", "Default", 1], 1]]}`,
		s.content("volumes/1"), "in both")
	s.ok(put, "initiator-groups?name=other", object{"new-name": "third"})
	s.ok(put, "volumes?name=v1", object{"name": "w1"})
	same(t, `{"name": "1_2_1", "ig-name": "third", "vol-name": "w1"}`, s.content("lun-maps?name=1_2_1"), "names follow")
	s.ok(del, "lun-maps/5", nil)
	s.ok(del, "initiator-groups/2", nil)

	s.ok(put, "initiators?name="+host, object{"initiator-name": "i", "port-address": "10:00:00:00:C9:00:00:01", "operating-system": "esx",
		"initiator-discovery-user-name": "d", "initiator-discovery-password": "canary-disco", "cluster-authentication-user-name": "c", "cluster-authentication-password": "canary-clust"})
	same(t, `{"name": "i", "port-type": "fc", "port-address": "10:00:00:00:C9:00:00:01", "operating-system": "esx", "ig-id": ["GUID", "`+host+`", 1],
		"chap-discovery-initiator-user-name": "d", "chap-discovery-initiator-password": "canary-disco", "chap-authentication-cluster-password": "canary-clust",
		"chap-authentication-initiator-password": "", "chap-discovery-cluster-user-name": ""}`, s.content("initiators/1"), "all of it")
	s.ok(put, "initiators", object{"initiator-id": "i", "remove-initiator-discovery-credentials": "true", "remove-cluster-authentication-credentials": false})
	same(t, `{"chap-discovery-initiator-user-name": "", "chap-discovery-initiator-password": "", "chap-authentication-cluster-user-name": "c"}`,
		s.content("initiators/1"), "one pair is gone")

	for _, m := range []string{"1_1_1", "2_1_1", "3_1_1", "4_1_1"} {
		s.ok(del, "lun-maps?name="+m, nil)
	}
	s.ok(del, "initiator-groups?name="+host, nil)
	assert.Empty(t, s.names("initiators", ""), "they go with the group")
	assert.NotEmpty(t, s.content("volumes/1")["naa-name"], "hosts may meet it again")
}

// A volume's data from another one of its tree; both stay what they are.
func TestRestore(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.volume("v1")
	s.snapshot("v1", "a")
	s.ok(put, "volumes?name=v1", object{"vol-size": "2g"})
	link := []any{object{"href": "https://xms/api/json/v2/types/volumes/1", "rel": "self"}}
	answer := s.ok(post, "snapshots", object{"from-volume-id": "v1.a", "to-volume-id": "v1", "no-backup": "true", "cluster-id": "brick1"})
	assert.Equal(t, link, answer["links"])
	assert.Equal(t, "1048576", s.content("volumes?name=v1")["vol-size"])
	assert.Equal(t, []string{"v1", "v1.a"}, s.names("volumes", ""))

	answer = s.ok(post, "snapshots", object{"from-volume-id": "v1.a", "to-volume-id": "v1", "backup-snap-suffix": "before", "snapshot-set-name": "kept"})
	assert.Equal(t, link, answer["links"])
	assert.Equal(t, "v1.before", get[[]any](t, get[[]any](t, s.content("snapshot-sets?name=kept"), "vol-list")[0])[1])
	s.made("snapshots", object{"from-volume-id": "v1", "to-volume-id": "v1.a", "no-backup": false})
	assert.Equal(t, []string{"v1", "v1.a", "v1.before", "v1.a.snapshot.1"}, s.names("volumes", ""))

	s.volume("v2")
	s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []string{"v1", "v2"}})
	s.made("snapshots", object{"consistency-group-id": "cg", "snapshot-set-name": "set"})
	s.made("snapshots", object{"consistency-group-id": "cg", "snapshot-set-name": "set2"})
	for _, sides := range []object{
		{"from-snapshot-set-id": "set", "to-consistency-group-id": "cg"},
		{"from-consistency-group-id": "cg", "to-snapshot-set-id": "set"},
		{"from-snapshot-set-id": "set", "to-snapshot-set-id": "set2"},
	} {
		sides["no-backup"] = true
		assert.Len(t, linked(t, s.ok(post, "snapshots", sides)), 2)
	}
	assert.Equal(t, "vols_not_in_same_snapshot_tree", s.refused(post, "snapshots", object{"from-snapshot-set-id": "set", "to-volume-id": "v1"}))
	s.made("snapshots", object{"volume-list": []string{"v1", "v1.a"}, "snapshot-set-name": "twice"})
	assert.Equal(t, "vols_not_in_same_snapshot_tree", s.refused(post, "snapshots", object{"from-snapshot-set-id": "set", "to-snapshot-set-id": "twice"}),
		"two of one tree")
}
