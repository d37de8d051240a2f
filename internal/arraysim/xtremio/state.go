// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/gocinder/cinderlib/internal/fault"
)

// state is all that there is behind an XMS. What its maps point to is never
// changed in place: a request that changes something gets a clone of the state,
// puts new records there, and its clone becomes the state if all went well.
//
// Indexes are given once for a type, whatever the cluster, which is the
// simulator's choice; those of the array's own objects begin with 1 in every
// cluster.
type state struct {
	Last       map[string]int            `json:"last"` // index that was given last, by type
	Volumes    map[int]*volume           `json:"volumes"`
	Groups     map[int]*initiatorGroup   `json:"initiator-groups"`
	Initiators map[int]*initiator        `json:"initiators"`
	Maps       map[int]*lunMap           `json:"lun-maps"`
	Consistent map[int]*consistencyGroup `json:"consistency-groups"`
	Sets       map[int]*snapshotSet      `json:"snapshot-sets"`

	clusters map[int]*cluster
}

// header is what all objects have. The index of a cluster is its place in the
// options.
type header struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Cluster int    `json:"cluster"`
}

func (h *header) head() *header { return h }

type record interface{ head() *header }

// volume is a snapshot, too, if it was made as one.
type volume struct {
	header

	Size      int64             `json:"size"` // KiB
	BlockSize int               `json:"block-size"`
	Offset    int               `json:"alignment-offset"`
	Type      string            `json:"type"`
	Access    string            `json:"access"`
	NAA       string            `json:"naa"`
	Created   string            `json:"created"`
	Snapshot  bool              `json:"snapshot"`
	Ancestor  int               `json:"ancestor"` // 0: none
	Tree      int               `json:"tree"`     // the volume that all began with, which may be gone
	Settings  map[string]string `json:"settings"` // that do nothing
}

type initiatorGroup struct {
	header

	OS string `json:"operating-system"`
}

type initiator struct {
	header

	Address string            `json:"port-address"`
	Type    string            `json:"port-type"`
	Group   int               `json:"group"`
	OS      string            `json:"operating-system"`
	CHAP    map[string]string `json:"chap"` // by name of the attribute; without those that are empty
}

type lunMap struct {
	header

	Volume int `json:"volume"`
	Group  int `json:"group"`
	LUN    int `json:"lun"`
}

type consistencyGroup struct {
	header

	Volumes []int `json:"volumes"`
}

type snapshotSet struct {
	header

	Members []int  `json:"members"`
	Of      int    `json:"of"` // a consistency group, which may be gone; 0: none
	Created string `json:"created"`
}

func newState() *state {
	s := &state{}
	s.whole()
	return s
}

// whole makes the maps that a file did not have.
func (s *state) whole() {
	made(&s.Last)
	made(&s.Volumes)
	made(&s.Groups)
	made(&s.Initiators)
	made(&s.Maps)
	made(&s.Consistent)
	made(&s.Sets)
}

func made[M ~map[K]V, K comparable, V any](m *M) {
	if *m == nil {
		*m = M{}
	}
}

func (s *state) clone() *state {
	return &state{
		maps.Clone(s.Last), maps.Clone(s.Volumes), maps.Clone(s.Groups), maps.Clone(s.Initiators), maps.Clone(s.Maps),
		maps.Clone(s.Consistent), maps.Clone(s.Sets), maps.Clone(s.clusters),
	}
}

// next gives an index for an object of a type.
func (s *state) next(kind string) int {
	s.Last[kind]++
	return s.Last[kind]
}

// ordered gives the records of a cluster by their indexes.
func ordered[R record](m map[int]R, cluster int) []R {
	var list []R
	for _, r := range m {
		if r.head().Cluster == cluster {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b R) int { return cmp.Compare(a.head().Index, b.head().Index) })
	return list
}

func count[R record](m map[int]R, cluster int) int {
	n := 0
	for _, r := range m {
		if r.head().Cluster == cluster {
			n++
		}
	}
	return n
}

// named gives the record of that name in a cluster.
func named[R record](m map[int]R, cluster int, name string) (R, bool) {
	for _, r := range m {
		if h := r.head(); h.Cluster == cluster && h.Name == name {
			return r, true
		}
	}
	var none R
	return none, false
}

// with and without give a new list, as those of records are never changed.
func with[T comparable](list []T, value T) []T { return append(slices.Clip(list), value) }

func without[T comparable](list []T, value T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return v == value })
}

// mapsOf gives the LUN maps that are about something.
func (s *state) mapsOf(about func(m *lunMap) bool) []*lunMap {
	var list []*lunMap
	for _, m := range s.Maps {
		if about(m) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *lunMap) int { return cmp.Compare(a.Index, b.Index) })
	return list
}

// check refuses a state that cannot be. A file that somebody has edited does not
// have indexes given again.
func (s *state) check() error {
	return errors.Join(
		checkAll(s, "volumes", s.Volumes), checkAll(s, "initiator-groups", s.Groups), checkAll(s, "initiators", s.Initiators),
		checkAll(s, "lun-maps", s.Maps), checkAll(s, "consistency-groups", s.Consistent), checkAll(s, "snapshot-sets", s.Sets),
	)
}

func checkAll[T any, R interface {
	*T
	record
}](s *state, kind string, m map[int]R) error {
	for index, r := range m {
		if r == nil || r.head().Index != index || s.clusters[r.head().Cluster] == nil {
			return fault.Errorf(fault.ErrInvalid, "xtremio: a state with %s/%d of another index, or of a cluster that there is not", kind, index)
		}
		s.Last[kind] = max(s.Last[kind], index)
	}
	return nil
}
