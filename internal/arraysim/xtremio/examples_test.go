// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

// Requests as clients send them, and what has to be in the answers.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{Version: "4.2.0", Clusters: []xtremio.ClusterOptions{{Version: "4.0.10"}}})
	require.NoError(t, s.xms.UnmarshalJSON([]byte(`{"last": {"volumes": 4, "initiator-groups": 1, "lun-maps": 11, "snapshot-sets": 1}}`)))
	portal := func(index, address, port string) string {
		return `{"index": ` + index + `, "name": "` + address + `", "ip-addr": "` + address + `", "ip-port": 3260, "vlan": 0,
			"port-address": "iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c` + port + `"}`
	}
	for _, e := range []struct{ method, path, body, want string }{
		{"GET", "types/clusters", `{}`, `{"clusters": [{"href": "https://xms/api/json/types/clusters/1", "name": "brick1"}],
			"links": [{"href": "https://xms/api/json/types/clusters", "rel": "self"}]}`},
		{"GET", "v2/types/clusters?name=brick1&cluster-name=brick1", `{"cluster-name": "brick1"}`, `{"content": {"index": 1, "guid": "GUID",
			"name": "brick1", "sys-id": ["GUID", "brick1", 1], "sys-sw-version": "4.0.10-33", "ud-ssd-space": "8146708710",
			"ud-ssd-space-in-use": "708710", "vol-size": "0", "chap-authentication-mode": "disabled", "chap-discovery-mode": "disabled",
			"num-of-vols": 0, "sys-health-state": "healthy", "sys-psnt-serial-number": "XIO00151000001"},
			"links": [{"href": "https://xms/api/json/v2/types/clusters/1", "rel": "self"}]}`},
		{"GET", "types/xms/1", ``, `{"content": {"index": 1, "name": "xms", "sw-version": "4.2.0-30", "version": "4.2.0"}}`},
		{"GET", "types/xms", ``, `{"xmss": [{"href": "https://xms/api/json/types/xms/1", "name": "xms"}]}`},
		{"POST", "v2/types/volumes", `{"vol-name": "3f0c", "vol-size": "10g", "cluster-id": "brick1"}`,
			`{"links": [{"href": "https://xms/api/json/v2/types/volumes/5", "rel": "self"}]}`},
		{"GET", "v2/types/volumes?name=3f0c&prop=index&cluster-name=brick1", ``, `{"content": {"index": 5, "name": "3f0c"}}`},
		{"GET", "v2/types/volumes?name=missing", ``, `400 {"message": "vol_obj_not_found", "error_code": 400}`},
		{"POST", "v2/types/snapshots", `{"snapshot-set-name": "snap-id", "snap-suffix": "snap-id", "volume-list": ["3f0c"], "snapshot-type": "readonly", "cluster-id": "brick1"}`,
			`{"links": [{"href": "https://xms/api/json/v2/types/snapshots/6", "rel": "self"}]}`},
		{"GET", "v2/types/snapshots/6", ``, `{"content": {"name": "3f0c.snap-id", "vol-type": "readonly", "vol-access": "read_access"}}`},
		{"PUT", "v2/types/snapshots/6", `{"name": "snap-id", "cluster-id": "brick1"}`, `{}`},
		{"POST", "v2/types/initiator-groups", `{"ig-name": "` + host + `"}`, `{"links": [{"href": "https://xms/api/json/v2/types/initiator-groups/2"}]}`},
		{"GET", "v2/types/initiator-groups/2?prop=num-of-vols", ``, `{"content": {"index": 2, "name": "` + host + `", "num-of-vols": 0}}`},
		{"POST", "v2/types/initiators", `{"initiator-name": "` + host + `", "ig-id": "` + host + `", "port-address": "` + host + `",
			"initiator-authentication-user-name": "chap_user", "initiator-authentication-password": "ABCDEFGH0123"}`,
			`{"links": [{"href": "https://xms/api/json/v2/types/initiators/1"}]}`},
		{"GET", "v2/types/initiators?filter=port-address%3Aeq%3A" + host + "&full=1", ``, `{"initiators": [{"index": 1, "name": "` + host + `",
			"port-address": "` + host + `", "port-type": "iscsi", "ig-id": ["GUID", "` + host + `", 2], "chap-authentication-initiator-user-name": "chap_user",
			"chap-authentication-initiator-password": "ABCDEFGH0123", "chap-discovery-initiator-user-name": "", "chap-discovery-initiator-password": "",
			"chap-authentication-cluster-user-name": "", "chap-discovery-cluster-password": "", "operating-system": "other", "initiator-conn-state": "disconnected"}]}`},
		{"POST", "v2/types/lun-maps", `{"ig-id": "` + host + `", "vol-id": "3f0c"}`, `{"links": [{"href": "https://xms/api/json/v2/types/lun-maps/12"}]}`},
		{"POST", "v2/types/lun-maps", `{"ig-id": "` + host + `", "vol-id": "3f0c"}`, `400 {"message": "already_mapped", "error_code": 400}`},
		{"GET", "v2/types/lun-maps/12", ``, `{"content": {"index": 12, "name": "5_2_1", "mapping-id": ["GUID", "5_2_1", 12], "mapping-index": 12, "lun": 1,
			"vol-name": "3f0c", "vol-index": 5, "ig-name": "` + host + `", "ig-index": 2, "tg-name": "Default", "tg-index": 1}}`},
		{"GET", "v2/types/volumes?name=3f0c", ``, `{"content": {"index": 5, "guid": "GUID", "name": "3f0c", "vol-id": ["GUID", "3f0c", 5],
			"vol-size": "10485760", "ancestor-vol-id": [], "num-of-dest-snaps": 1, "dest-snap-list": [["GUID", "snap-id", 6]], "num-of-lun-mappings": 1,
			"lun-mapping-list": [[["GUID", "` + host + `", 2], ["GUID", "Default", 1], 1]], "lb-size": 512, "alignment-offset": 0,
			"naa-name": "514f0c5a1b2c0005", "sys-id": ["GUID", "brick1", 1], "xms-id": ["GUID", "xms", 1], "obj-severity": "information", "certainty": "ok",
			"snapset-list": [], "related-consistency-groups": [], "vol-type": "regular", "vol-access": "write_access", "creation-time": "2016-06-01 12:00:00",
			"logical-space-in-use": "0", "small-io-alerts": "disabled"}}`},
		{"GET", "v2/types/clusters/1", ``, `{"content": {"num-of-vols": 2, "vol-size": "20971520"}}`},
		{"DELETE", "v2/types/lun-maps?name=5_2_1&cluster-name=brick1", `{"cluster-id": "brick1"}`, `{}`},
		{"DELETE", "v2/types/lun-maps?name=5_2_1&cluster-name=brick1", `{"cluster-id": "brick1"}`, `400 {"message": "obj_not_found", "error_code": 400}`},
		{"GET", "v2/types/iscsi-portals?full=1", ``, `{"iscsi-portals": [` + portal("1", "10.205.68.5/16", "300") + `, ` + portal("2", "10.205.68.6/16", "304") + `]}`},
		{"GET", "v2/types/targets?full=1&filter=port-type%3Aeq%3Afc&filter=port-state%3Aeq%3Aup&prop=port-address", ``,
			`{"targets": [{"index": 1, "name": "X1-SC1-fc1", "port-address": "51:4f:0c:50:a1:b2:c3:00"}, {"index": 2, "port-address": "51:4f:0c:50:a1:b2:c3:04"}]}`},
		{"GET", "v2/types/targets?name=X1-SC1-iscsi1", ``, `{"content": {"port-type": "iscsi", "port-state": "up", "tg-id": ["GUID", "Default", 1],
			"port-address": "iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c300"}}`},
		{"GET", "v2/types/target-groups/1", ``, `{"content": {"index": 1, "name": "Default"}}`},
		{"GET", "v2/types/volume-folders", ``, `{"folders": [{"name": "/"}]}`},
		{"PUT", "v2/types/volumes?name=3f0c", `{"vol-size": "20g", "cluster-id": "brick1"}`, `{}`},
		{"POST", "v2/types/volumes", `{"vol-name": "V2", "vol-size": "1g"}`, `{"links": [{"href": "https://xms/api/json/v2/types/volumes/7"}]}`},
		{"POST", "v2/types/consistency-groups", `{"consistency-group-name": "G", "vol-list": ["3f0c", "V2"]}`,
			`{"links": [{"href": "https://xms/api/json/v2/types/consistency-groups/1"}]}`},
		{"GET", "v2/types/consistency-groups?name=G", ``, `{"content": {"cg-id": ["GUID", "G", 1], "vol-list": [["GUID", "3f0c", 5], ["GUID", "V2", 7]], "num-of-vols": 2}}`},
		{"POST", "v2/types/snapshots", `{"consistency-group-id": "G", "snapshot-set-name": "G1S1", "cluster-id": "brick1"}`,
			`{"links": [{"href": "https://xms/api/json/v2/types/snapshots/8"}, {"href": "https://xms/api/json/v2/types/snapshots/9"}]}`},
		{"GET", "v2/types/snapshot-sets?name=G1S1", ``, `{"content": {"index": 3, "name": "G1S1", "snapset-id": ["GUID", "G1S1", 3], "num-of-vols": 2,
			"vol-list": [["GUID", "3f0c.snapshot.1", 8], ["GUID", "V2.snapshot.1", 9]], "cg-id": ["GUID", "G", 1], "creation-time": "2016-06-01 12:00:00"}}`},
		{"GET", "v2/types/volumes/8", ``, `{"content": {"vol-size": "20971520", "vol-type": "regular", "ancestor-vol-id": ["GUID", "3f0c", 5], "snapset-list": [["GUID", "G1S1", 3]]}}`},
		{"DELETE", "v2/types/consistency-group-volumes?name=G&vol-id=V2&cg-id=G&cluster-name=brick1", `{"vol-id": "V2", "cg-id": "G", "cluster-id": "brick1"}`, `{}`},
		{"POST", "v2/types/consistency-group-volumes", `{"vol-id": "V2", "cg-id": "G"}`, `{"links": [{"href": "https://xms/api/json/v2/types/consistency-group-volumes/1"}]}`},
		{"GET", "v2/types/volumes/7", ``, `{"content": {"related-consistency-groups": [["GUID", "G", 1]]}}`},
		{"DELETE", "v2/types/snapshot-sets?name=G1S1", ``, `{}`},
		{"GET", "v2/types/volumes/9", ``, `400 {"message": "vol_obj_not_found", "error_code": 400}`},
		{"DELETE", "v2/types/consistency-groups?name=G", ``, `{}`},
		{"DELETE", "v2/types/initiators/1", ``, `{}`},
		{"DELETE", "v2/types/initiator-groups/2", ``, `{}`},
		{"DELETE", "v2/types/volumes?name=3f0c&cluster-name=brick1", `{"cluster-id": "brick1"}`, `{}`},
		{"POST", "v2/types/volumes", `{"vol-nam": "x"}`, `400 {"message": "Command Syntax Error: Invalid property vol-nam", "error_code": 400}`},
	} {
		want, status := e.want, 200
		if e.method == http.MethodPost {
			status = 201
		}
		if text, ok := strings.CutPrefix(want, "400 "); ok {
			want, status = text, 400
		}
		got, text := s.raw(e.method, "/api/json/"+e.path, e.body)
		require.Equal(t, status, got, "%s %s: %s", e.method, e.path, text)
		var answer any
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		same(t, want, answer, e.method+" "+e.path+"\n"+text)
	}
}
