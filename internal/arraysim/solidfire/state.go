// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// state is all that a cluster has. What its maps point to is never changed in
// place but by look: a request that changes something gets a clone of the state,
// puts new records there, and its clone becomes the state if all went well.
type state struct {
	Last      ids                      `json:"last"`
	Accounts  map[int64]*account       `json:"accounts"`
	Volumes   map[int64]*volume        `json:"volumes"`
	Snapshots map[int64]*snapshot      `json:"snapshots"`
	Sets      map[int64]*groupSnapshot `json:"groupSnapshots"`
	Groups    map[int64]*accessGroup   `json:"volumeAccessGroups"`
	Jobs      map[int64]*cloneJob      `json:"cloneJobs"` // by asyncHandle
	Initiator map[string]int64         `json:"initiators"`
}

// ids are those that were given last. They are never given again.
type ids struct {
	Account   int64 `json:"accountID"`
	Volume    int64 `json:"volumeID"`
	Snapshot  int64 `json:"snapshotID"`
	Set       int64 `json:"groupSnapshotID"`
	Group     int64 `json:"volumeAccessGroupID"`
	Initiator int64 `json:"initiatorID"`
	Clone     int64 `json:"cloneID"`
	Handle    int64 `json:"asyncHandle"`
}

func next(last *int64) int64 {
	*last++
	return *last
}

// account, volume, snapshot, groupSnapshot and accessGroup are as the interface
// shows them, but for what is computed when they are shown, and for fields that
// begin with Sim.
type account struct {
	AccountID       int64           `json:"accountID"`
	Username        string          `json:"username"`
	Status          string          `json:"status"`
	InitiatorSecret string          `json:"initiatorSecret"`
	TargetSecret    string          `json:"targetSecret"`
	Volumes         []int64         `json:"volumes"` // computed
	Attributes      json.RawMessage `json:"attributes"`
}

type volume struct {
	VolumeID           int64           `json:"volumeID"`
	Name               string          `json:"name"`
	AccountID          int64           `json:"accountID"`
	Status             string          `json:"status"`
	Access             string          `json:"access"`
	Enable512e         bool            `json:"enable512e"`
	IQN                string          `json:"iqn"`
	ScsiEUIDeviceID    string          `json:"scsiEUIDeviceID"`
	ScsiNAADeviceID    string          `json:"scsiNAADeviceID"`
	TotalSize          int64           `json:"totalSize"`
	BlockSize          int             `json:"blockSize"`
	SliceCount         int             `json:"sliceCount"`
	QoS                qos             `json:"qos"`
	VolumeAccessGroups []int64         `json:"volumeAccessGroups"` // computed
	VolumePairs        []any           `json:"volumePairs"`        // always empty
	Attributes         json.RawMessage `json:"attributes"`
	CreateTime         string          `json:"createTime"`
	DeleteTime         string          `json:"deleteTime"`
	PurgeTime          string          `json:"purgeTime"`
	VirtualVolumeID    *string         `json:"virtualVolumeID"` // always null

	// What is left of Options' CloneHidden and CreatingReads, and whether
	// FirstCloneError is still to come. They are 0 and false where a volume is
	// shown.
	SimHidden   int  `json:"simHidden,omitempty"`
	SimCreating int  `json:"simCreating,omitempty"`
	SimUncloned bool `json:"simUncloned,omitempty"`
}

type snapshot struct {
	SnapshotID              int64           `json:"snapshotID"`
	VolumeID                int64           `json:"volumeID"`
	Name                    string          `json:"name"`
	Status                  string          `json:"status"`
	TotalSize               int64           `json:"totalSize"`
	Checksum                string          `json:"checksum"`
	CreateTime              string          `json:"createTime"`
	ExpirationTime          *string         `json:"expirationTime"` // always null
	EnableRemoteReplication bool            `json:"enableRemoteReplication"`
	GroupID                 int64           `json:"groupID"` // 0: of no group snapshot
	GroupSnapshotUUID       string          `json:"groupSnapshotUUID"`
	Attributes              json.RawMessage `json:"attributes"`
}

type groupSnapshot struct {
	GroupSnapshotID   int64           `json:"groupSnapshotID"`
	GroupSnapshotUUID string          `json:"groupSnapshotUUID"`
	Name              string          `json:"name"`
	Status            string          `json:"status"`
	CreateTime        string          `json:"createTime"`
	Members           []member        `json:"members"`
	Attributes        json.RawMessage `json:"attributes"`
}

type member struct {
	VolumeID   int64  `json:"volumeID"`
	SnapshotID int64  `json:"snapshotID"`
	Checksum   string `json:"checksum"`
}

type accessGroup struct {
	VolumeAccessGroupID int64           `json:"volumeAccessGroupID"`
	Name                string          `json:"name"`
	Initiators          []string        `json:"initiators"`
	InitiatorIDs        []int64         `json:"initiatorIDs"` // computed
	Volumes             []int64         `json:"volumes"`
	DeletedVolumes      []int64         `json:"deletedVolumes"`
	Attributes          json.RawMessage `json:"attributes"`
}

type cloneJob struct {
	AsyncHandle int64     `json:"asyncHandle"`
	CloneID     int64     `json:"cloneID"`
	VolumeID    int64     `json:"volumeID"` // the clone
	Source      int64     `json:"source"`
	Began       time.Time `json:"began"`
	Ends        time.Time `json:"ends"`
}

func newState() *state {
	s := &state{}
	s.whole()
	return s
}

// whole makes the maps that a file did not have.
func (s *state) whole() {
	made(&s.Accounts)
	made(&s.Volumes)
	made(&s.Snapshots)
	made(&s.Sets)
	made(&s.Groups)
	made(&s.Jobs)
	made(&s.Initiator)
}

func made[M ~map[K]V, K comparable, V any](m *M) {
	if *m == nil {
		*m = M{}
	}
}

func (s *state) clone() *state {
	return &state{
		s.Last, maps.Clone(s.Accounts), maps.Clone(s.Volumes), maps.Clone(s.Snapshots),
		maps.Clone(s.Sets), maps.Clone(s.Groups), maps.Clone(s.Jobs), maps.Clone(s.Initiator),
	}
}

// account gives a copy of an active account.
func (s *state) account(id int64) (account, *Error) {
	a := s.Accounts[id]
	if a == nil || a.Status != statusActive {
		return account{}, noAccount(id)
	}
	return *a, nil
}

// volume gives a copy of a volume that is not deleted.
func (s *state) volume(id int64) (volume, *Error) {
	v := s.Volumes[id]
	if v == nil || v.Status == statusDeleted {
		return volume{}, noVolume(id)
	}
	return *v, nil
}

// group gives a copy of a volume access group.
func (s *state) group(id int64) (accessGroup, *Error) {
	g := s.Groups[id]
	if g == nil {
		return accessGroup{}, noGroup(id)
	}
	return *g, nil
}

// ordered gives the records of a map by their identifiers.
func ordered[V any](m map[int64]*V) []*V {
	list := make([]*V, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[id])
	}
	return list
}

// with and without give a new list, as those of records are never changed.
func with[T comparable](list []T, value T) []T {
	if slices.Contains(list, value) {
		return list
	}
	return append(slices.Clip(list), value)
}

func without[T comparable](list []T, value T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return v == value })
}

// orEmpty has [] in JSON where there is nothing.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// emptyObject is what attributes are that were not given.
var emptyObject = json.RawMessage("{}")
