// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
)

// kind is a type of objects, as it is in paths.
type kind struct {
	name   string
	object string // whose index and identifier its objects have; empty: its own
	rows   string // the member of a list; empty: name
	short  string // what errors call it
	id     string // attribute that is the whole identifier, and field that names the object
	since  int    // version of the interface

	global    bool // belongs to no cluster
	strictPut bool // see Options.StrictPut
	group     bool // see Options.PutCluster

	list  func(c *call) []entry
	find  func(c *call, r ref) (entry, bool)
	blank func(c *call) object // the attributes of an object that is not there

	verbs map[string]*verb // but GET, which all have
	first map[string]*verb // those of v1 that differ
}

// entry is an object.
type entry struct {
	*header

	attributes func() object // without those that all types have
}

// Names of types that are given in several places.
const (
	kindXMS        = "xms"
	kindClusters   = "clusters"
	kindVolumes    = "volumes"
	kindSnapshots  = "snapshots"
	kindGroups     = "initiator-groups"
	kindInitiators = "initiators"
	kindMaps       = "lun-maps"
	kindConsistent = "consistency-groups"
	kindMembers    = "consistency-group-volumes"
	kindSets       = "snapshot-sets"
	kindTargets    = "targets"
	kindPortals    = "iscsi-portals"
)

func (k *kind) verb(base int, method string) *verb {
	if v := k.first[method]; v != nil && base == 1 {
		return v
	}
	return k.verbs[method]
}

// missing is the error for an object that is not there.
func (k *kind) missing() *Error {
	switch k.short {
	case "sys":
		return refuse(noCluster)
	case "":
		return about("", noObject[1:])
	}
	return about(k.short, noObject)
}

// of says where the objects of a type are, and how they are shown.
func of[T any, R interface {
	*T
	record
}](k *kind, in func(c *call) map[int]R, show func(c *call, r R) object) *kind {
	k.object = cmp.Or(k.object, k.name)
	k.rows = cmp.Or(k.rows, k.name)
	k.since = max(k.since, 1)
	made := func(c *call, r R) entry {
		return entry{r.head(), func() object { return show(c, r) }}
	}
	k.list = func(c *call) []entry {
		var all []entry
		for _, r := range ordered(in(c), c.cluster) {
			all = append(all, made(c, r))
		}
		return all
	}
	k.find = func(c *call, r ref) (entry, bool) {
		found, ok := find(c, in(c), r)
		if !ok {
			return entry{}, false
		}
		return made(c, found), true
	}
	k.blank = func(c *call) object { return show(c, new(T)) }
	return k
}

// every are the types that there are.
func every(q quirks) map[string]*kind {
	members := kindMembers
	if q.groupRows {
		members = kindConsistent
	}
	deleted := func(run func(c *call) *Error, may ...string) *verb {
		return &verb{may: append(may, "cluster-id"), run: run}
	}
	put, remove, post := http.MethodPut, http.MethodDelete, http.MethodPost
	volume := map[string]*verb{put: putVolume, remove: deleted(deleteVolume, "vol-id")}
	all := map[string]*kind{}
	for _, k := range []*kind{
		of(&kind{name: kindXMS, rows: "xmss", short: "xms", id: "xms-id", global: true}, xmsRecords, showXMS),
		of(&kind{name: kindClusters, short: "sys", id: "sys-id", global: true}, clusterRecords, showCluster),
		of(&kind{name: "target-groups", short: "tg", id: "tg-id"}, single("Default"), showNothing),
		of(&kind{name: "volume-folders", rows: "folders", short: "folder", id: "folder-id"}, single("/"), showNothing),
		of(&kind{name: "ig-folders", rows: "folders", short: "folder", id: "folder-id"}, single("/"), showNothing),
		of(&kind{name: kindTargets, short: "tar", id: "tar-id"}, targetRecords, showTarget),
		of(&kind{name: kindPortals, short: "iscsi_portal", id: "iscsi-portal-id"}, portalRecords, showPortal),
		of(&kind{name: kindVolumes, short: "vol", id: "vol-id", strictPut: true,
			verbs: and(volume, post, postVolume), first: map[string]*verb{post: postVolume.and("sys-id", "parent-folder-id")}}, volumeRecords, showVolume),
		of(&kind{name: kindSnapshots, object: kindVolumes, short: "vol", id: "vol-id",
			verbs: and(volume, post, postSnapshots), first: map[string]*verb{post: postSnapshotsV1}}, snapshotRecords, showVolume),
		of(&kind{name: kindGroups, short: "ig", id: "ig-id", group: true, first: map[string]*verb{post: postGroup.and("parent-folder-id")}, verbs: map[string]*verb{
			post: postGroup, put: putGroup, remove: deleted(deleteGroup, "ig-id"),
		}}, groupRecords, showGroup),
		of(&kind{name: kindInitiators, short: "initiator", id: "initiator-id", strictPut: true, verbs: map[string]*verb{
			post: postInitiator, put: putInitiator, remove: deleted(deleteInitiator, "initiator-id"),
		}}, initiatorRecords, showInitiator),
		of(&kind{name: kindMaps, id: "mapping-id", verbs: map[string]*verb{
			post: postMap, remove: deleted(deleteMap, "mapping-id"),
		}}, mapRecords, showMap),
		of(&kind{name: kindConsistent, short: "cg", id: "cg-id", since: 2, group: true, verbs: map[string]*verb{
			post: postConsistent, put: putConsistent, remove: deleted(deleteConsistent, "cg-id"),
		}}, consistentRecords, showConsistent),
		of(&kind{name: kindMembers, object: kindConsistent, rows: members, short: "cg", id: "cg-id", since: 2, verbs: map[string]*verb{
			post: postMember, remove: deleted(deleteMember, "cg-id", "vol-id", "name"),
		}}, consistentRecords, showConsistent),
		of(&kind{name: kindSets, short: "snapset", id: "snapset-id", since: 2, group: true, verbs: map[string]*verb{
			put: putSet, remove: deleted(deleteSet, "snapset-id"),
		}}, setRecords, showSet),
	} {
		all[k.name] = k
	}
	return all
}

func and(verbs map[string]*verb, method string, v *verb) map[string]*verb {
	all := maps.Clone(verbs)
	all[method] = v
	return all
}

// and is the verb with more fields.
func (v *verb) and(may ...string) *verb {
	return &verb{v.must, append(slices.Clip(v.may), may...), v.run}
}
