// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

const read = http.MethodGet

// rows gives those of a list.
func (s *sim) rows(kind, query string) []object {
	s.t.Helper()
	var all []object
	for _, row := range get[[]any](s.t, s.ok(read, kind+query, nil), kind) {
		all = append(all, get[object](s.t, row))
	}
	return all
}

func members(o object) []string {
	var all []string
	for name := range o {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// What a list has, and what is left of an object.
func TestRows(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.volume("v1")
	s.snapshot("v1", "a")
	ref := object{"href": "https://xms/api/json/v2/types/volumes/1", "name": "v1", "sys-name": "brick1"}
	assert.Equal(t, ref, s.rows("volumes", "")[0])
	assert.Equal(t, ref, s.rows("volumes", "?prop=vol-size&full=0")[0], "no full objects were asked for")
	assert.Equal(t, []string{"v1", "v1.a"}, s.names("volumes", ""), "snapshots are volumes, too")
	assert.Equal(t, []string{"v1.a"}, s.names("snapshots", ""))
	assert.Equal(t, "https://xms/api/json/v2/types/snapshots/2", s.rows("snapshots", "")[0]["href"])
	assert.Equal(t, "v1.a", s.content("volumes?name=v1.a")["name"])

	full := s.rows("volumes", "?full=1")
	require.Len(t, full, 2)
	assert.Subset(t, members(full[0]), []string{"href", "sys-name", "vol-id", "sys-id", "dest-snap-list", "certainty"})
	some := s.rows("volumes", "?full=1&prop=vol-size&prop=ancestor-vol-id&prop=nothing")
	assert.Equal(t, []string{"ancestor-vol-id", "guid", "href", "index", "name", "sys-name", "vol-size"}, members(some[1]))
	assert.Equal(t, "v1", get[[]any](t, some[1], "ancestor-vol-id")[1])
	assert.Subset(t, members(s.rows("volumes", "?full=1&props=ancestor-vol-id")[0]), []string{"vol-size", "lb-size"}, "props is nothing")
	assert.Equal(t, []string{"index", "name", "vol-size"}, members(s.content("volumes/1?prop=vol-size")))

	for _, kind := range []string{"volumes", "snapshots", "consistency-groups", "lun-maps", "initiators"} {
		none := newSim(t, xtremio.Options{}).ok(read, kind+"?full=1", nil)
		assert.Equal(t, []any{}, none[kind], kind)
	}
}

// Numbers are text or numbers, as the array has them.
func TestTypes(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.volume("v1")
	s.attached(host, "v1")
	for path, strings := range map[string][]string{
		"volumes/1":        {"vol-size", "logical-space-in-use", "naa-name", "vol-type", "creation-time"},
		"clusters/1":       {"ud-ssd-space", "ud-ssd-space-in-use", "vol-size", "sys-health-state"},
		"lun-maps/1":       {"vol-name", "ig-name", "tg-name"},
		"iscsi-portals/1":  {"ip-addr", "port-address"},
		"xms/1":            {"version", "sw-version", "guid"},
		"target-groups/1":  {"name", "certainty"},
		"ig-folders/1":     {"name", "guid"},
		"volume-folders/1": {"name", "guid"},
	} {
		for _, name := range strings {
			assert.IsType(t, "", s.content(path)[name], "%s %s", path, name)
		}
	}
	for path, numbers := range map[string][]string{
		"volumes/1":          {"index", "lb-size", "alignment-offset", "num-of-dest-snaps", "num-of-lun-mappings"},
		"clusters/1":         {"num-of-vols"},
		"initiator-groups/1": {"num-of-vols", "num-of-initiators"},
		"lun-maps/1":         {"lun", "vol-index", "ig-index", "tg-index", "mapping-index"},
		"iscsi-portals/1":    {"ip-port", "vlan"},
	} {
		for _, name := range numbers {
			assert.IsType(t, 0.0, s.content(path)[name], "%s %s", path, name)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.0.10", "4.2.0", "6.2.1"} {
		s := newSim(t, xtremio.Options{Version: version})
		for n := range 4 {
			s.made("volumes", object{"vol-name": fmt.Sprintf("v%d", n+1), "vol-size": fmt.Sprintf("%dg", 9+n)})
		}
		s.made("volumes", object{"vol-name": "x,y", "vol-size": "99g"})
		s.snapshot("v1", "a") // 6
		s.attached(host, "v1", "v3")
		s.made("initiators", object{"initiator-name": "fc", "port-address": "10:00:00:00:c9:00:00:01", "ig-id": host})
		either := func(or ...string) []string {
			if version == "4.0.10" {
				return []string{}
			}
			return or
		}
		for _, c := range []struct {
			kind, query string
			names       []string
		}{
			{"volumes", "?filter=name:eq:v2", []string{"v2"}},
			{"volumes", "?filter=name:eq:v2&full=1", []string{"v2"}},
			{"volumes", "?filter=name:eq:v2&full=1&prop=vol-size", []string{"v2"}},
			{"volumes", "?filter=name:eq:missing", []string{}},
			{"volumes", "?filter=index:eq:01", []string{}},
			{"volumes", "?filter=dest-snap-list:gt:0", []string{}},
			{"volumes", "?filter=lun-mapping-list:eq:1", []string{}},
			{"volumes", "?filter=name:ne:v2&filter=index:le:4", []string{"v1", "v3", "v4"}},
			{"volumes", "?filter=index:gt:2&filter=index:lt:4", []string{"v3"}},
			{"volumes", "?filter=index:ge:4&filter=name:lt:w", []string{"v4", "v1.a"}},
			{"volumes", "?filter=vol-size:gt:10485760", []string{"v3", "v4", "x,y"}}, // 9 GiB is less, as a number
			{"volumes", "?filter=ancestor-vol-id:eq:v1", []string{"v1.a"}},
			{"volumes", "?filter=ancestor-vol-id:eq:1", []string{"v1.a"}},
			{"volumes", "?filter=ancestor-vol-id:ne:v1&filter=index:gt:4", []string{"x,y"}},
			{"volumes", "?filter=dest-snap-list:eq:v1.a", []string{"v1"}},
			{"volumes", "?filter=snapset-list:ne:set-a&filter=index:gt:4", []string{"x,y"}},
			{"volumes", "?filter=name:eq:x,y", []string{"x,y"}},
			{"volumes", "?filter=name:eq:v1,name:eq:v3", either("v1", "v3")},
			{"volumes", "?filter=name:eq:x,y,index:eq:1", either("v1", "x,y")},
			{"volumes", "?filter=index:eq:1,index:eq:2,name:eq:v2&filter=index:gt:1", either("v2")},
			{"lun-maps", "?filter=vol-name:eq:v3&filter=ig-name:eq:" + host + "&full=1", []string{"3_1_1"}},
			{"lun-maps", "?filter=ig-name:eq:" + host, []string{"1_1_1", "3_1_1"}},
			{"initiators", "?filter=port-address:eq:" + host + "&full=1", []string{host}},
			{"initiators", "?filter=port-address%3Aeq%3A10%3A00%3A00%3A00%3Ac9%3A00%3A00%3A01", []string{"fc"}},
			{"initiators", "?filter=port-type:eq:fc", []string{"fc"}},
			{"initiators", "?filter=ig-id:eq:" + host + "&filter=port-address:eq:x", []string{}},
			{"initiators", "?filter=port-address:eq:" + host + ",port-address:eq:10:00:00:00:c9:00:00:01&full=1&prop=ig-id", either(host, "fc")},
			{"targets", "?filter=port-state:eq:up&filter=port-type:eq:iscsi", []string{"X1-SC1-iscsi1", "X1-SC1-iscsi2"}},
			{"targets", "?filter=port-state:eq:down", []string{"X1-SC2-fc1"}},
		} {
			assert.Equal(t, c.names, s.names(c.kind, c.query), "%s: %s", version, c.query)
		}
	}
}

// v1 looks at the name only, and speaks another language of snapshots.
func TestV1(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.0.3", "4.0.10"} {
		s := newSim(t, xtremio.Options{Version: version}).v1()
		assert.Equal(t, 1, s.made("volumes", object{"vol-name": "v1", "vol-size": "1g", "parent-folder-id": "/", "sys-id": "brick1"}))
		assert.Equal(t, 2, s.made("volumes", object{"vol-name": "v2", "vol-size": "1g"}))
		assert.Equal(t, 3, s.made("snapshots", object{"ancestor-vol-id": "v1", "snap-vol-name": "s1", "folder-id": ""}))
		assert.Equal(t, []int{4, 5}, linked(t, s.ok(post, "snapshots", object{"snap-list": []object{
			{"ancestor-vol-id": "v1", "snap-vol-name": "s2"}, {"ancestor-vol-id": 2, "snap-vol-name": "s3"},
		}})))
		list := s.ok(read, "volumes", nil)
		assert.Equal(t, object{"href": "https://xms/api/json/types/volumes/1", "name": "v1"}, get[[]any](t, list, "volumes")[0])
		for _, query := range []string{"?full=1", "?filter=name:eq:v1", "?prop=name&full=1", "?filter=nonsense", "?cluster-name=missing", "?cluster-id=7"} {
			assert.Equal(t, list, s.ok(read, "volumes"+query, nil), query)
		}
		whole := s.content("volumes/3")
		assert.Equal(t, whole, s.content("volumes/3?prop=index&cluster-name=missing"))
		assert.Equal(t, whole, s.content("volumes?name=s1"))
		assert.Equal(t, whole, s.content("snapshots/?name=s1"))
		assert.Equal(t, "write_access", whole["vol-access"], "there are no read-only ones")
		assert.Equal(t, []any{}, whole["snapset-list"])
		assert.Equal(t, []string{"s1", "s2", "s3"}, s.names("snapshots", ""))

		s.made("initiator-groups", object{"ig-name": host, "parent-folder-id": "/"})
		s.made("initiators", object{"initiator-name": host, "ig-id": host, "port-address": host})
		s.made("lun-maps", object{"ig-id": host, "vol-id": "v1"})
		assert.Equal(t, host, s.content("initiators?name=" + host)["port-address"])
		assert.Equal(t, "v1", s.content("lun-maps/1")["vol-name"])
		s.ok(del, "lun-maps?name=1_1_1", object{})
		s.ok(put, "volumes?name=v1&cluster-name=missing", object{"vol-size": "2g"})
		s.ok(del, "volumes?name=v1&cluster-name=missing", object{})
		for _, kind := range []string{"consistency-groups", "snapshot-sets", "consistency-group-volumes", "nothing", "volumes/1/2"} {
			status, answer := s.send(read, kind, nil)
			assert.Equal(t, 404, status, kind)
			assert.Equal(t, "Not found", answer["message"])
		}
	}
}

// Which versions of the interface an XMS has.
func TestVersions(t *testing.T) {
	t.Parallel()
	for version, newest := range map[string]int{"3.0.3": 1, "4.0.10": 2, "4.2.0": 2, "6.2.1": 3} {
		s := newSim(t, xtremio.Options{Version: version})
		for n, base := range []*sim{s.v1(), s, s.v3()} {
			status, _ := base.send(read, "clusters", nil)
			assert.Equal(t, n < newest, status == 200, "%s v%d", version, n+1)
			assert.Contains(t, []int{200, 404}, status)
		}
		assert.Equal(t, version, s.v1().content("xms/1")["version"])
		assert.Equal(t, version+"-30", s.v1().content("xms/1")["sw-version"])
		assert.Equal(t, version+"-33", s.v1().content("clusters?name=brick1")["sys-sw-version"])
	}
	odd := newSim(t, xtremio.Options{Version: "4.0.10-34.hotfix1", Clusters: []xtremio.ClusterOptions{{Version: "6.2.0-61_X2"}}})
	assert.Equal(t, "4.0.10-34.hotfix1", odd.content("xms/1")["sw-version"])
	assert.Equal(t, "4.0.10", odd.content("xms/1")["version"])
	assert.Equal(t, "6.2.0-61_X2", odd.content("clusters/1")["sys-sw-version"])
}

// Links of v3 end in identifiers, which lead to the object.
func TestV3(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{Version: "6.2.1"})
	s.volume("v1")
	href := get[string](t, s.v3().rows("volumes", "")[0], "href")
	guid := get[string](t, s.content("volumes/1"), "guid")
	assert.Equal(t, "https://xms/api/json/v3/types/volumes/"+guid, href)
	assert.Equal(t, "v1", s.v3().content("volumes/" + guid)["name"])
	assert.Equal(t, "v1", s.v3().content("volumes/1")["name"])
	assert.Equal(t, "vol_obj_not_found", s.refused(read, "volumes/"+guid, nil), "not in v2")
	s.v3().ok(put, "volumes/"+guid, object{"name": "v2"})
	s.v3().ok(del, "volumes/"+guid, nil)
	assert.Equal(t, "vol_obj_not_found", s.v3().refused(read, "volumes/"+guid, nil))
}

// What clients send beside the point does no harm.
func TestTolerance(t *testing.T) {
	t.Parallel()
	s := newSim(t, xtremio.Options{})
	s.volume("v1")
	s.volume("a name/with ä&=+%")
	for _, path := range []string{"volumes?name=v1", "volumes/?name=v1", "volumes/1", "volumes/1/", "volumes?name=v1&nothing=1&props=x"} {
		for _, body := range []string{"", "{}", `{"name": "v2"}`, "junk"} {
			status, text := s.raw(read, s.base+path, body)
			assert.Equal(t, 200, status, "%s %s", path, body)
			assert.Contains(t, text, `"name":"v1"`)
		}
	}
	assert.InDelta(t, 2, s.content("volumes?name=" + url.QueryEscape("a name/with ä&=+%"))["index"], 0)
	for _, header := range []string{"", "text/plain", "application/json; charset=utf-8"} {
		req, err := http.NewRequestWithContext(t.Context(), read, s.URL+s.base+"volumes", nil)
		require.NoError(t, err)
		req.SetBasicAuth(user, password)
		req.Header.Set("Content-Type", header)
		res, err := s.client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	}
	for _, where := range []string{"/", "/api/json", "/api/json/types", "/api/json/v4/types/volumes", "/api/json/v2/types/volumes/1/2", "/api/json/v2/types/"} {
		status, _ := s.raw(read, where, "")
		assert.Equal(t, 404, status, where)
	}
	assert.Equal(t, 6, s.Count("invalid"))
	assert.Equal(t, 2, s.Count("POST volumes"))

	req, err := http.NewRequestWithContext(t.Context(), read, s.URL+s.base+"volumes", nil)
	require.NoError(t, err)
	req.SetBasicAuth(user, "wrong")
	res, err := s.client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 401, res.StatusCode)
	assert.Equal(t, `Basic realm="XMS"`, res.Header.Get("Www-Authenticate"))
}
