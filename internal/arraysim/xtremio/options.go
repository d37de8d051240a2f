// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Options describe a management server with its clusters. The zero value is an XMS
// 4.0.10 with one cluster. What is called a switch is not known for certain of
// real arrays, or differs between their releases.
type Options struct {
	// Version of the XMS: 3.0.3 has v1 of the interface only, from 4.0 on there is
	// v2, and from 6.0 on v3. What is behind a "-" is shown only. Empty: 4.0.10.
	Version string
	Name    string // of the XMS; empty: xms
	// Address is what the links in answers begin with, https://ADDRESS; empty: Name.
	Address  string
	Clusters []ClusterOptions // empty: one, brick1

	Limits Limits

	// CommaOr takes a comma in a filter for "or". By version: from 4.2 on.
	CommaOr Switch
	// StrictPut has the PUT of a volume or initiator find nothing if its query
	// names the cluster. By version: 4.0.
	StrictPut Switch
	// PutCluster lets the PUT of a consistency group, initiator group or snapshot
	// set name the cluster in its body. By version: all but 4.0.0 to 4.0.2.
	PutCluster Switch
	// DeleteSetByIndex has the DELETE of a snapshot set by its index find it if the
	// query names the cluster. By version: all but 4.0.0 to 4.0.2.
	DeleteSetByIndex Switch
	// GroupRows lists consistency-group-volumes as consistency-groups. By version:
	// 4.0.
	GroupRows Switch
	// GUIDLinks has the links in answers end in identifiers instead of indexes, and
	// takes both. By version: in v3 only; on: in all versions of the interface.
	GUIDLinks Switch

	// DeleteMapped lets a volume be deleted that is mapped, with its LUN maps. A
	// switch.
	DeleteMapped bool
	// EmptyAnswers has PUT and DELETE answer nothing instead of {}. A switch.
	EmptyAnswers bool
	// VolumeLinks has POST snapshots answer with links to volumes. A switch.
	VolumeLinks bool
	// RestoreKeepsSize leaves a volume its size when another one's data is put into
	// it. Otherwise it gets the other one's. A switch.
	RestoreKeepsSize bool
	// EarlyNAA gives a volume its naa-name when it is made, and not with the first
	// LUN map. A switch.
	EarlyNAA bool
	// LongNAA gives volumes names of 32 digits that begin with a 6 instead of those
	// of 16 digits of real arrays, as the kernel's iSCSI target has no others.
	LongNAA bool

	Data arraysim.Data    // nil: arraysim.NoData
	Now  func() time.Time // nil: time.Now
}

// Switch is one that has a setting for each version of the XMS.
type Switch string

// The settings of a Switch.
const (
	ByVersion Switch = ""
	On        Switch = "on"
	Off       Switch = "off"
)

func (s Switch) on(byVersion bool) bool { return s == On || s == ByVersion && byVersion }

// Limits of an array; 0 is the number behind the name. None of them is known for
// certain but Suffix. Small ones make tests short.
type Limits struct {
	Objects          int   // 8192 volumes and snapshots of a cluster
	SnapshotsPerTree int   // 512 snapshots of a volume and of its snapshots
	Name             int   // 128 characters
	Suffix           int   // 64 characters of a snap-suffix
	SecretMin        int   // 12 characters
	SecretMax        int   // 16 characters
	VolumesPerGroup  int   // 512 volumes of a consistency group
	VolumeSize       int64 // 1 << 42 KiB, which is 4 PiB
	LUN              int   // 16383, the largest number of a LUN
}

func (l *Limits) defaults() {
	or(&l.Objects, 8192)
	or(&l.SnapshotsPerTree, 512)
	or(&l.Name, 128)
	or(&l.Suffix, 64)
	or(&l.SecretMin, 12)
	or(&l.SecretMax, 16)
	or(&l.VolumesPerGroup, 512)
	or(&l.VolumeSize, 1<<42)
	or(&l.LUN, 16383)
}

func or[T comparable](value *T, otherwise T) { *value = cmp.Or(*value, otherwise) }

// defaults fills in what is not given.
func (o *Options) defaults() error {
	or(&o.Version, "4.0.10")
	or(&o.Name, "xms")
	or(&o.Address, o.Name)
	o.Limits.defaults()
	if o.Data == nil {
		o.Data = arraysim.NoData{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if v, ok := parseVersion(o.Version); !ok || v.less(version{3, 0, 0}) {
		return fault.Errorf(fault.ErrInvalid, "xtremio: Version %q: want three numbers with dots, from 3.0.0 on", o.Version)
	}
	for name, s := range map[string]Switch{
		"CommaOr": o.CommaOr, "StrictPut": o.StrictPut, "PutCluster": o.PutCluster,
		"DeleteSetByIndex": o.DeleteSetByIndex, "GroupRows": o.GroupRows, "GUIDLinks": o.GUIDLinks,
	} {
		if s != ByVersion && s != On && s != Off {
			return fault.Errorf(fault.ErrInvalid, "xtremio: %s is %q: want on, off or nothing", name, s)
		}
	}
	return nil
}

// version is that of an XMS: 4.0.10.
type version [3]int

var versions = regexp.MustCompile(`^([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(-.*)?$`)

func parseVersion(text string) (version, bool) {
	parts := versions.FindStringSubmatch(text)
	if parts == nil {
		return version{}, false
	}
	var v version
	for n := range v {
		v[n], _ = strconv.Atoi(parts[n+1]) // digits, few of them
	}
	return v, true
}

func (v version) less(than version) bool {
	for n := range v {
		if v[n] != than[n] {
			return v[n] < than[n]
		}
	}
	return false
}

// build is a version as objects show it: with what was built of it.
func build(text, number string) string {
	if strings.Contains(text, "-") {
		return text
	}
	return text + "-" + number
}

// quirks are what the switches come to.
type quirks struct {
	commaOr, strictPut, putCluster, deleteSetByIndex, groupRows, guidLinks bool
	newest                                                                 int // version of the interface
}

func (o *Options) quirks() quirks {
	v, _ := parseVersion(o.Version)
	is40 := v[0] == 4 && v[1] == 0
	later := !is40 || v[2] > 2
	q := quirks{
		commaOr:          o.CommaOr.on(!v.less(version{4, 2, 0})),
		strictPut:        o.StrictPut.on(is40),
		putCluster:       o.PutCluster.on(later),
		deleteSetByIndex: o.DeleteSetByIndex.on(later),
		groupRows:        o.GroupRows.on(is40),
		guidLinks:        o.GUIDLinks == On,
		newest:           1,
	}
	switch {
	case v[0] >= 6:
		q.newest = 3
	case v[0] >= 4:
		q.newest = 2
	}
	return q
}
