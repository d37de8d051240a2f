// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHostRefusals(t *testing.T) {
	t.Parallel()
	s := crowded(t)
	initiator := func(with object) object {
		return merged(object{"initiator-name": "i", "port-address": "iqn.x:i", "ig-id": "other"}, with)
	}
	lunMap := func(with object) object { return merged(object{"vol-id": "v3", "ig-id": host}, with) }
	check(t, s, []refusal{
		{post, "initiator-groups", object{}, syntax + "Missing some of mandatory properties list: ['ig-name']"},
		{post, "initiator-groups", object{"ig-name": "other"}, "ig_obj_name_not_unique"},
		{post, "initiator-groups", object{"ig-name": long}, "ig_obj_name_too_long"},
		{post, "initiator-groups", object{"ig-name": "x", "operating-system": "plan9"}, syntax +
			"operating-system property must have one of the following values: ['other', 'linux', 'windows', 'esx', 'solaris', 'aix', 'hpux']"},
		{post, "initiator-groups", object{"ig-name": "x", "initiator-list": []string{"i"}}, syntax + "Invalid value of property initiator-list"},
		{post, "initiator-groups", object{"ig-name": "x", "tag-list": []string{"i"}}, "tag_obj_not_found"},
		{post, "initiator-groups", object{"name": "x"}, syntax + "Invalid property name"},
		{put, "initiator-groups?name=other", object{"new-name": host}, "ig_obj_name_not_unique"},
		{put, "initiator-groups?name=other", object{"ig-name": "x"}, syntax + "Invalid property ig-name"},
		{put, "initiator-groups?name=missing", object{"new-name": "x"}, "ig_obj_not_found"},
		{del, "initiator-groups?name=missing", nil, "ig_obj_not_found"},
		{del, "initiator-groups?name=" + host, nil, "ig_mapped"},

		{post, "initiators", object{}, syntax + "Missing some of mandatory properties list: ['initiator-name', 'port-address', 'ig-id']"},
		{post, "initiators", initiator(object{"initiator-name": host}), "initiator_obj_name_not_unique"},
		{post, "initiators", initiator(object{"initiator-name": long}), "initiator_obj_name_too_long"},
		{post, "initiators", initiator(object{"port-address": host}), "port_address_not_unique"},
		{post, "initiators", initiator(object{"port-address": strings.ToUpper(host)}), "port_address_not_unique"},
		{post, "initiators", initiator(object{"port-address": "host"}), "port_address_invalid"},
		{post, "initiators", initiator(object{"port-address": "iqn.x y"}), "port_address_invalid"},
		{post, "initiators", initiator(object{"port-address": "10000000c9000001"}), "port_address_invalid"},
		{post, "initiators", initiator(object{"port-address": 7}), syntax + "Invalid value of property port-address"},
		{post, "initiators", initiator(object{"ig-id": "missing"}), "ig_obj_not_found"},
		{post, "initiators", initiator(object{"ig-id": 99}), "ig_obj_not_found"},
		{post, "initiators", initiator(object{"ig-id": -1}), syntax + "Invalid value of property ig-id"},
		{post, "initiators", initiator(object{"chap-authentication-initiator-password": "x"}), syntax + "Invalid property chap-authentication-initiator-password"},
		{post, "initiators", initiator(object{"initiator-authentication-user-name": "u", "initiator-authentication-password": "canary-shor"}), "chap_password_length_invalid"},
		{post, "initiators", initiator(object{"cluster-discovery-user-name": "u", "cluster-discovery-password": "canary-longer-than"}), "chap_password_length_invalid"},
		{post, "initiators", initiator(object{"initiator-discovery-password": "canary-12345"}), syntax + "Missing some of mandatory properties list: ['initiator-discovery-user-name']"},
		{post, "initiators", initiator(object{"cluster-authentication-user-name": "u"}), syntax + "Missing some of mandatory properties list: ['cluster-authentication-password']"},
		{put, "initiators?name=missing", object{"operating-system": "linux"}, "initiator_obj_not_found"},
		{put, "initiators/99", object{"operating-system": "linux"}, "initiator_obj_not_found"},
		{put, "initiators/1", object{"ig-id": "other"}, syntax + "Invalid property ig-id"},
		{put, "initiators/1", object{"initiator-authentication-password": "canary-12345"}, syntax + "Missing some of mandatory properties list: ['initiator-authentication-user-name']"},
		{put, "initiators/1", object{"remove-initiator-authentication-credentials": 7}, syntax + "Invalid value of property remove-initiator-authentication-credentials"},
		{del, "initiators?name=missing", nil, "initiator_obj_not_found"},

		{post, "lun-maps", object{}, syntax + "Missing some of mandatory properties list: ['vol-id', 'ig-id']"},
		{post, "lun-maps", lunMap(object{"vol-id": "missing"}), "vol_obj_not_found"},
		{post, "lun-maps", lunMap(object{"ig-id": "missing"}), "ig_obj_not_found"},
		{post, "lun-maps", lunMap(object{"vol-id": "missing", "ig-id": "missing"}), "vol_obj_not_found"},
		{post, "lun-maps", lunMap(object{"tg-id": "missing"}), "tg_obj_not_found"},
		{post, "lun-maps", lunMap(object{"vol-id": "v1"}), "already_mapped"},
		{post, "lun-maps", lunMap(object{"vol-id": 1, "ig-id": 1, "lun": 3}), "already_mapped"},
		{post, "lun-maps", lunMap(object{"lun": 2}), "lun_already_in_use"},
		{post, "lun-maps", lunMap(object{"lun": "2"}), "lun_already_in_use"},
		{post, "lun-maps", lunMap(object{"lun": 0}), "lun_out_of_range"},
		{post, "lun-maps", lunMap(object{"lun": 4}), "lun_out_of_range"},
		{post, "lun-maps", lunMap(object{"lun": "x"}), syntax + "Invalid value of property lun"},
		{post, "lun-maps", lunMap(object{"host-lun": 1}), syntax + "Invalid property host-lun"},
		{del, "lun-maps?name=9_9_1", nil, "obj_not_found"},
		{del, "lun-maps/99", nil, "obj_not_found"},
		{del, "lun-maps", nil, syntax + "Missing some of mandatory properties list: ['mapping-id']"},
	})
	s.made("lun-maps", lunMap(nil))
	s.volume("v4")
	assert.Equal(t, "lun_out_of_range", s.refused(post, "lun-maps", lunMap(object{"vol-id": "v4"})), "no LUN is left")
}

func TestGroupRefusals(t *testing.T) {
	t.Parallel()
	s := crowded(t)
	check(t, s, []refusal{
		{post, "consistency-groups", object{}, syntax + "Missing some of mandatory properties list: ['consistency-group-name']"},
		{post, "consistency-groups", object{"consistency-group-name": "cg"}, "cg_obj_name_not_unique"},
		{post, "consistency-groups", object{"consistency-group-name": long}, "cg_obj_name_too_long"},
		{post, "consistency-groups", object{"consistency-group-name": "x", "vol-list": []string{"missing"}}, "vol_obj_not_found"},
		{post, "consistency-groups", object{"consistency-group-name": "x", "vol-list": "v1"}, syntax + "Invalid value of property vol-list"},
		{post, "consistency-groups", object{"consistency-group-name": "x", "vol-list": []string{"v1", "v2", "v3"}}, "too_many_vols_in_cg"},
		{post, "consistency-groups", object{"consistency-group-name": "x", "tag-list": []string{"t"}}, "tag_obj_not_found"},
		{post, "consistency-groups", object{"cg-name": "x"}, syntax + "Invalid property cg-name"},
		{put, "consistency-groups?name=cg", object{"new-name": "empty"}, "cg_obj_name_not_unique"},
		{put, "consistency-groups?name=missing", object{"new-name": "x"}, "cg_obj_not_found"},
		{put, "consistency-groups?name=cg", object{"vol-list": []string{}}, syntax + "Invalid property vol-list"},
		{del, "consistency-groups?name=missing", nil, "cg_obj_not_found"},
		{post, "consistency-group-volumes", object{"cg-id": "cg"}, syntax + "Missing some of mandatory properties list: ['vol-id']"},
		{post, "consistency-group-volumes", object{"cg-id": "missing", "vol-id": "v3"}, "cg_obj_not_found"},
		{post, "consistency-group-volumes", object{"cg-id": "empty", "vol-id": "missing"}, "vol_obj_not_found"},
		{post, "consistency-group-volumes", object{"cg-id": "cg", "vol-id": "v1"}, "vol_already_in_cg"},
		{post, "consistency-group-volumes", object{"cg-id": "cg", "vol-id": "v3"}, "too_many_vols_in_cg"},
		{del, "consistency-group-volumes?cg-id=cg&vol-id=v3", nil, "vol_not_in_cg"},
		{del, "consistency-group-volumes?cg-id=cg&vol-id=missing", nil, "vol_obj_not_found"},
		{del, "consistency-group-volumes?name=missing&vol-id=v1", nil, "cg_obj_not_found"},
		{del, "consistency-group-volumes?vol-id=v1", nil, syntax + "Missing some of mandatory properties list: ['cg-id']"},
		{del, "consistency-group-volumes?cg-id=cg", nil, syntax + "Missing some of mandatory properties list: ['vol-id']"},

		{http.MethodGet, "clusters?name=brick2", nil, "sys_not_found"},
		{http.MethodGet, "clusters?name=brick1&cluster-name=brick2", nil, "sys_not_found"},
		{http.MethodGet, "volumes?cluster-id=2", nil, "sys_not_found"},
		{http.MethodGet, "targets?name=missing", nil, "tar_obj_not_found"},
		{http.MethodGet, "iscsi-portals/3", nil, "iscsi_portal_obj_not_found"},
		{http.MethodGet, "snapshots?name=v1", nil, "vol_obj_not_found"},
		{http.MethodGet, "xms/2", nil, "xms_obj_not_found"},
		{http.MethodGet, "volumes?filter=name", nil, syntax + "Invalid filter name"},
		{http.MethodGet, "volumes?filter=name:is:v1", nil, syntax + "Invalid filter name:is:v1"},
		{http.MethodGet, "volumes?filter=colour:eq:red", nil, syntax + "Invalid property colour"},
	})
	for _, c := range []struct{ verb, path string }{
		{put, "lun-maps/1"}, {post, "volumes/1"}, {post, "xms"}, {post, "clusters"}, {del, "clusters/1"}, {put, "targets/1"},
		{del, "iscsi-portals/1"}, {put, "consistency-group-volumes/1"}, {post, "snapshot-sets"}, {http.MethodPatch, "volumes/1"},
	} {
		status, answer := s.send(c.verb, c.path, object{})
		assert.Equal(t, 405, status, "%s %s", c.verb, c.path)
		assert.Equal(t, object{"message": "Method not allowed", "error_code": 405.0}, answer)
	}
}
