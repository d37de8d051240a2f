// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

const syntax = "Command Syntax Error: "

// refusal is a request and the message that it is refused with.
type refusal struct {
	verb, path string
	body       object
	message    string
}

// crowded has some of everything, and little room for more.
func crowded(t *testing.T) *sim {
	t.Helper()
	s := newSim(t, xtremio.Options{Version: "4.2.0", Limits: xtremio.Limits{
		Objects: 8, SnapshotsPerTree: 2, Name: 40, Suffix: 30, VolumesPerGroup: 2, VolumeSize: 1 << 21, LUN: 3,
	}})
	for _, name := range []string{"v1", "v2", "v3"} {
		s.volume(name)
	}
	s.snapshot("v1", "a") // 4, in set 1
	s.snapshot("v1", "b") // 5, in set 2
	s.snapshot("v2", "c") // 6, in set 3
	s.attached(host, "v1", "v2")
	s.made("initiator-groups", object{"ig-name": "other"})
	s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []string{"v1", "v2"}})
	s.made("consistency-groups", object{"consistency-group-name": "empty"})
	return s
}

// check sends each request, and sees that none changes anything.
func check(t *testing.T, s *sim, refusals []refusal) {
	t.Helper()
	before := stateOf(t, s.xms)
	for _, r := range refusals {
		var body any
		if r.body != nil {
			body = r.body
		}
		assert.Equal(t, r.message, s.refused(r.verb, r.path, body), "%s %s %v", r.verb, r.path, r.body)
		require.Equal(t, before, stateOf(t, s.xms), "%s %s %v", r.verb, r.path, r.body)
	}
}

func merged(base, more object) object {
	o := maps.Clone(base)
	maps.Copy(o, more)
	return o
}

const (
	post, put, del = http.MethodPost, http.MethodPut, http.MethodDelete

	long = "a-name-that-has-more-than-forty-characters"
)

func TestVolumeRefusals(t *testing.T) {
	t.Parallel()
	s := crowded(t)
	volume := func(with object) object { return merged(object{"vol-name": "new", "vol-size": "1g"}, with) }
	check(t, s, []refusal{
		{post, "volumes", object{"vol-nam": "x"}, syntax + "Invalid property vol-nam"},
		{post, "volumes", volume(object{"parent-folder-id": "/"}), syntax + "Invalid property parent-folder-id"}, // v1's
		{post, "volumes", object{}, syntax + "Missing some of mandatory properties list: ['vol-name', 'vol-size']"},
		{post, "volumes", nil, syntax + "Missing some of mandatory properties list: ['vol-name', 'vol-size']"},
		{post, "volumes", object{"vol-name": "x"}, syntax + "Missing some of mandatory properties list: ['vol-size']"},
		{post, "volumes", object{"vol-name": "", "vol-size": "1g"}, syntax + "Missing some of mandatory properties list: ['vol-name']"},
		{post, "volumes", object{"vol-name": "x", "vol-size": nil}, syntax + "Missing some of mandatory properties list: ['vol-size']"},
		{post, "volumes", volume(object{"vol-name": 7}), syntax + "Invalid value of property vol-name"},
		{post, "volumes", volume(object{"vol-name": long}), "vol_obj_name_too_long"},
		{post, "volumes", volume(object{"vol-name": "v1"}), "vol_obj_name_not_unique"},
		{post, "volumes", volume(object{"vol-name": "v1.a"}), "vol_obj_name_not_unique"}, // a snapshot
		{post, "volumes", volume(object{"vol-size": "1z"}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": "g"}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": "0g"}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": "-1g"}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": "1.5g"}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": 1.5}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": []string{"1g"}}), "vol_size_invalid"},
		{post, "volumes", volume(object{"vol-size": "3g"}), "vol_size_too_large"},
		{post, "volumes", volume(object{"vol-size": "999999999999999p"}), "vol_size_too_large"},
		{post, "volumes", volume(object{"vol-size": "1k", "lb-size": 4096}), "vol_size_invalid"},
		{post, "volumes", volume(object{"lb-size": 1024}), syntax + "lb-size property must have one of the following values: ['512', '4096']"},
		{post, "volumes", volume(object{"lb-size": "big"}), syntax + "Invalid value of property lb-size"},
		{post, "volumes", volume(object{"alignment-offset": 8}), syntax + "Invalid value of property alignment-offset"},
		{post, "volumes", volume(object{"alignment-offset": true}), syntax + "Invalid value of property alignment-offset"},
		{post, "volumes", volume(object{"vol-access": "all"}), syntax + "vol-access property must have one of the following values: ['write_access', 'read_access', 'no_access']"},
		{post, "volumes", volume(object{"small-io-alerts": "x"}), syntax + "small-io-alerts property must have one of the following values: ['enabled', 'disabled']"},
		{post, "volumes", volume(object{"tag-list": []string{"/Volume/gold"}}), "tag_obj_not_found"},
		{post, "volumes", volume(object{"tag-list": "gold"}), syntax + "Invalid value of property tag-list"},
		{post, "volumes", volume(object{"cluster-id": "brick2"}), "sys_not_found"},
		{post, "volumes", volume(object{"cluster-id": 2}), "sys_not_found"},
		{post, "volumes", volume(object{"cluster-id": true}), syntax + "Invalid value of property cluster-id"},

		{put, "volumes?name=v1", object{}, syntax + "At least one property from the following list is mandatory: " +
			"['vol-name', 'name', 'vol-size', 'vol-access', 'management-locked', 'small-io-alerts', 'unaligned-io-alerts', 'vaai-tp-alerts']"},
		{put, "volumes?name=v1", object{"cluster-id": "brick1", "vol-id": 1}, syntax + "At least one property from the following list is mandatory: " +
			"['vol-name', 'name', 'vol-size', 'vol-access', 'management-locked', 'small-io-alerts', 'unaligned-io-alerts', 'vaai-tp-alerts']"},
		{put, "volumes?name=v1", object{"size": "2g"}, syntax + "Invalid property size"},
		{put, "volumes?name=v1", object{"vol-size": "512m"}, "vol_size_cannot_be_decreased"},
		{put, "volumes?name=v1", object{"vol-size": "3g"}, "vol_size_too_large"},
		{put, "volumes?name=v1", object{"vol-name": "v2"}, "vol_obj_name_not_unique"},
		{put, "volumes?name=v1", object{"name": "v2"}, "vol_obj_name_not_unique"},
		{put, "volumes?name=v1", object{"name": long}, "vol_obj_name_too_long"},
		{put, "volumes?name=v1", object{"vol-access": "x"}, syntax + "vol-access property must have one of the following values: ['write_access', 'read_access', 'no_access']"},
		{put, "volumes?name=v1", object{"management-locked": "x"}, syntax + "Invalid value of property management-locked"},
		{put, "volumes?name=missing", object{"vol-size": "2g"}, "vol_obj_not_found"},
		{put, "volumes?name=", object{"vol-size": "2g"}, "vol_obj_not_found"},
		{put, "volumes/99", object{"vol-size": "2g"}, "vol_obj_not_found"},
		{put, "volumes/v1", object{"vol-size": "2g"}, "vol_obj_not_found"}, // no name in a path
		{put, "volumes", object{"vol-size": "2g"}, syntax + "Missing some of mandatory properties list: ['vol-id']"},
		{put, "volumes", object{"vol-size": "2g", "vol-id": "missing"}, "vol_obj_not_found"},
		{put, "volumes", object{"vol-size": "2g", "vol-id": object{}}, syntax + "Invalid value of property vol-id"},
		{put, "snapshots?name=v1", object{"name": "x"}, "vol_obj_not_found"}, // no snapshot

		{del, "volumes?name=missing", nil, "vol_obj_not_found"},
		{del, "volumes/99", nil, "vol_obj_not_found"},
		{del, "volumes/1", nil, "vol_mapped"},
		{del, "volumes", nil, syntax + "Missing some of mandatory properties list: ['vol-id']"},
		{del, "volumes?name=v3", object{"vol-name": "x"}, syntax + "Invalid property vol-name"},
		{del, "volumes?name=v3&cluster-name=brick2", nil, "sys_not_found"},
		{del, "snapshots/3", nil, "vol_obj_not_found"},
	})
	for _, body := range []string{`{`, `[]`, `"x"`, `{} {}`, `7`} {
		status, text := s.raw(post, s.base+"volumes", body)
		assert.Equal(t, 400, status, body)
		assert.JSONEq(t, `{"message": "Command Syntax Error: The body is no JSON object", "error_code": 400}`, text)
	}
	s.volume("v4")
	s.volume("v5") // as many as there may be
	assert.Equal(t, "too_many_objs", s.refused(post, "volumes", volume(nil)))
	assert.Equal(t, "too_many_objs", s.refused(post, "snapshots", object{"volume-list": []string{"v3"}}))
}

func TestSnapshotRefusals(t *testing.T) {
	t.Parallel()
	s := crowded(t)
	snapshot := func(with object) object { return merged(object{"volume-list": []string{"v3"}}, with) }
	restore := func(with object) object { return merged(object{"from-volume-id": "v1.a", "to-volume-id": "v1"}, with) }
	sources := "['volume-list', 'consistency-group-id', 'snapshot-set-id', 'tag-list']"
	check(t, s, []refusal{
		{post, "snapshots", object{}, syntax + "At least one property from the following list is mandatory: " + sources},
		{post, "snapshots", snapshot(object{"consistency-group-id": "cg"}), syntax + "Only one property from the following list is allowed: ['volume-list', 'consistency-group-id']"},
		{post, "snapshots", object{"snap-vol-name": "x", "ancestor-vol-id": "v1"}, syntax + "Invalid property ancestor-vol-id"}, // v1's
		{post, "snapshots", object{"volume-list": []string{}}, syntax + "Invalid value of property volume-list"},
		{post, "snapshots", object{"volume-list": "v3"}, syntax + "Invalid value of property volume-list"},
		{post, "snapshots", object{"volume-list": []any{true}}, syntax + "Invalid value of property volume-list"},
		{post, "snapshots", object{"volume-list": []any{0}}, syntax + "Invalid value of property volume-list"},
		{post, "snapshots", object{"volume-list": []string{"missing"}}, "vol_obj_not_found"},
		{post, "snapshots", object{"volume-list": []any{3, 99}}, "vol_obj_not_found"},
		{post, "snapshots", object{"volume-list": []any{"3"}}, "vol_obj_not_found"}, // text is a name
		{post, "snapshots", object{"volume-list": []any{[]any{"guid", "v3", 99}}}, "vol_obj_not_found"},
		{post, "snapshots", object{"consistency-group-id": "missing"}, "cg_obj_not_found"},
		{post, "snapshots", object{"consistency-group-id": []any{}}, syntax + "Invalid value of property consistency-group-id"},
		{post, "snapshots", object{"consistency-group-id": "empty"}, "cg_has_no_vols"},
		{post, "snapshots", object{"snapshot-set-id": "missing"}, "snapset_obj_not_found"},
		{post, "snapshots", object{"tag-list": []string{"/Volume/gold"}}, "tag_obj_not_found"},
		{post, "snapshots", snapshot(object{"snapshot-type": "x"}), syntax + "snapshot-type property must have one of the following values: ['regular', 'readonly']"},
		{post, "snapshots", snapshot(object{"snap-suffix": strings.Repeat("s", 31)}), "snap_suffix_too_long"},
		{post, "snapshots", snapshot(object{"snapshot-set-name": "set-a"}), "snapset_obj_name_not_unique"},
		{post, "snapshots", snapshot(object{"snapshot-set-name": long}), "snapset_obj_name_too_long"},
		{post, "snapshots", object{"volume-list": []string{"v2"}, "snap-suffix": "c"}, "vol_obj_name_not_unique"},
		{post, "snapshots", object{"volume-list": []string{"v2.c"}, "snap-suffix": "x", "snapshot-set-name": "set-c"}, "snapset_obj_name_not_unique"},
		{post, "snapshots", object{"volume-list": []string{"v1"}}, "too_many_snapshots_per_vol"},
		{post, "snapshots", object{"volume-list": []string{"v1.a"}}, "too_many_snapshots_per_vol"}, // it is of the tree
		{post, "snapshots", object{"volume-list": []string{"v3", "v1"}}, "too_many_snapshots_per_vol"},
		{post, "snapshots", object{"consistency-group-id": "cg"}, "too_many_snapshots_per_vol"},

		{post, "snapshots", object{"from-volume-id": "v1"}, syntax + "At least one property from the following list is mandatory: " +
			"['to-volume-id', 'to-consistency-group-id', 'to-snapshot-set-id']"},
		{post, "snapshots", object{"to-volume-id": "v1"}, syntax + "At least one property from the following list is mandatory: " +
			"['from-volume-id', 'from-consistency-group-id', 'from-snapshot-set-id']"},
		{post, "snapshots", restore(object{"to-snapshot-set-id": "set-a"}), syntax + "Only one property from the following list is allowed: ['to-volume-id', 'to-snapshot-set-id']"},
		{post, "snapshots", restore(object{"volume-list": []string{"v1"}}), syntax + "Invalid property volume-list"},
		{post, "snapshots", restore(object{"snapshot-type": "regular"}), syntax + "Invalid property snapshot-type"},
		{post, "snapshots", restore(object{"from-volume-id": "missing"}), "vol_obj_not_found"},
		{post, "snapshots", restore(object{"to-volume-id": "missing"}), "vol_obj_not_found"},
		{post, "snapshots", restore(object{"to-volume-id": "v2"}), "vols_not_in_same_snapshot_tree"},
		{post, "snapshots", restore(object{"to-volume-id": "v1.a"}), "vols_not_in_same_snapshot_tree"}, // itself
		{post, "snapshots", object{"from-snapshot-set-id": "missing", "to-volume-id": "v1"}, "snapset_obj_not_found"},
		{post, "snapshots", object{"from-snapshot-set-id": "set-a", "to-consistency-group-id": "cg"}, "vols_not_in_same_snapshot_tree"},
		{post, "snapshots", object{"from-snapshot-set-id": "set-a", "to-consistency-group-id": "empty"}, "cg_has_no_vols"},
		{post, "snapshots", restore(object{"no-backup": "perhaps"}), syntax + "Invalid value of property no-backup"},
		{post, "snapshots", restore(object{"backup-snap-suffix": strings.Repeat("s", 31)}), "snap_suffix_too_long"},
		{post, "snapshots", restore(nil), "too_many_snapshots_per_vol"}, // what was there is kept

		{put, "snapshot-sets?name=set-a", object{"new-name": "set-b"}, "snapset_obj_name_not_unique"},
		{put, "snapshot-sets?name=set-a", object{"new-name": long}, "snapset_obj_name_too_long"},
		{put, "snapshot-sets?name=missing", object{"new-name": "x"}, "snapset_obj_not_found"},
		{put, "snapshot-sets?name=set-a", object{"name": "x"}, syntax + "Invalid property name"},
		{del, "snapshot-sets?name=missing", nil, "snapset_obj_not_found"},
		{del, "snapshot-sets/99", nil, "snapset_obj_not_found"},
		{del, "snapshot-sets", nil, syntax + "Missing some of mandatory properties list: ['snapset-id']"},
	})
}

func TestRefusalsOfV1(t *testing.T) {
	t.Parallel()
	s := crowded(t).v1()
	check(t, s, []refusal{
		{post, "volumes", object{"vol-name": "x", "vol-size": "1g", "parent-folder-id": "/else"}, "folder_obj_not_found"},
		{post, "volumes", object{"vol-name": "x", "vol-size": "1g", "sys-id": "brick2"}, "sys_not_found"},
		{post, "snapshots", object{"ancestor-vol-id": "v3"}, syntax + "Missing some of mandatory properties list: ['snap-vol-name']"},
		{post, "snapshots", object{}, syntax + "Missing some of mandatory properties list: ['ancestor-vol-id', 'snap-vol-name']"},
		{post, "snapshots", object{"ancestor-vol-id": "missing", "snap-vol-name": "s"}, "vol_obj_not_found"},
		{post, "snapshots", object{"ancestor-vol-id": true, "snap-vol-name": "s"}, syntax + "Invalid value of property ancestor-vol-id"},
		{post, "snapshots", object{"ancestor-vol-id": "v3", "snap-vol-name": 7}, syntax + "Invalid value of property snap-vol-name"},
		{post, "snapshots", object{"ancestor-vol-id": "v3", "snap-vol-name": "v1"}, "vol_obj_name_not_unique"},
		{post, "snapshots", object{"ancestor-vol-id": "v3", "snap-vol-name": long}, "vol_obj_name_too_long"},
		{post, "snapshots", object{"ancestor-vol-id": "v1", "snap-vol-name": "s"}, "too_many_snapshots_per_vol"},
		{post, "snapshots", object{"ancestor-vol-id": "v3", "snap-vol-name": "s", "snapshot-type": "readonly"}, syntax + "Invalid property snapshot-type"},
		{post, "snapshots", object{"volume-list": []string{"v3"}}, syntax + "Invalid property volume-list"},
		{post, "snapshots", object{"snap-list": []any{}}, syntax + "Invalid value of property snap-list"},
		{post, "snapshots", object{"snap-list": []any{"v3"}}, syntax + "Invalid value of property snap-list"},
		{post, "snapshots", object{"snap-list": []any{object{"ancestor-vol-id": "v3", "snap-vol-name": "s"}}, "snap-vol-name": "s"}, syntax +
			"Only one property from the following list is allowed: ['ancestor-vol-id', 'snap-list']"},
		{post, "snapshots", object{"snap-list": []any{
			object{"ancestor-vol-id": "v3", "snap-vol-name": "s"}, object{"ancestor-vol-id": "v3", "snap-vol-name": "s"},
		}}, "vol_obj_name_not_unique"},
		{post, "initiator-groups", object{"ig-name": "x", "parent-folder-id": "/else"}, "folder_obj_not_found"},
		{http.MethodGet, "clusters?name=brick2", nil, "sys_not_found"},
		{http.MethodGet, "initiators?name=missing", nil, "initiator_obj_not_found"},
	})
}
