// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// What the cluster tells of its objects, as far as the driver uses it. Names and
// units (bytes, IOPS) are those of the Element API.

type cluster struct {
	UUID     string `json:"uuid"`
	UniqueID string `json:"uniqueID"`
	SVIP     string `json:"svip"`
	MVIP     string `json:"mvip"`
}

// wwid is what hosts know a volume's disk by: NetApp's prefix, the four letters of the
// cluster's unique id and the volume's id, in hexadecimal digits.
func (c *cluster) wwid(volume int64) []string {
	if len(c.UniqueID) != 4 {
		return nil
	}
	return []string{fmt.Sprintf("naa.6f47acc100000000%x%08x", c.UniqueID, volume)}
}

type account struct {
	ID              int64          `json:"accountID"`
	Username        string         `json:"username"`
	InitiatorSecret drivers.Secret `json:"initiatorSecret"`
	Volumes         []int64        `json:"volumes"` // deleted ones that are not purged, too
}

type volume struct {
	ID         int64          `json:"volumeID"`
	Name       string         `json:"name"`
	AccountID  int64          `json:"accountID"`
	Status     string         `json:"status"`
	IQN        string         `json:"iqn"`
	TotalSize  int64          `json:"totalSize"`
	Enable512e bool           `json:"enable512e"`
	QoS        *qos           `json:"qos"`
	Pairs      []any          `json:"volumePairs"`
	Attributes map[string]any `json:"attributes"`
}

const active, creating = "active", "creating" // statuses of volumes

// there is false for a deleted volume.
func (v *volume) there() bool { return v.Status == active || v.Status == creating }

func (v *volume) attribute(name string) string {
	text, _ := v.Attributes[name].(string)
	return text
}

// uuidAttribute has the id of the library's volume.
const uuidAttribute = "uuid"

type snapshot struct {
	ID       int64  `json:"snapshotID"`
	VolumeID int64  `json:"volumeID"`
	Name     string `json:"name"`
}

type accessGroup struct {
	ID             int64          `json:"volumeAccessGroupID"`
	Name           string         `json:"name"`
	Initiators     []string       `json:"initiators"` // in small letters
	Volumes        []int64        `json:"volumes"`
	DeletedVolumes []int64        `json:"deletedVolumes"`
	Attributes     map[string]any `json:"attributes"`
}

type qos struct {
	Min   int64 `json:"minIOPS"`
	Max   int64 `json:"maxIOPS"`
	Burst int64 `json:"burstIOPS"`
}

// ids is what a record's provider_id says, as Cinder writes it: of volumes "VOLUME
// ACCOUNT CLUSTER", of snapshots "SNAPSHOT VOLUME CLUSTER".
type ids struct {
	first, second int64
	cluster       string
}

// parseIDs is false for what is none, and for those of another cluster: its numbers
// mean nothing here.
func parseIDs(text, cluster string) (ids, bool) {
	field := strings.Fields(text)
	if len(field) != 3 || !strings.EqualFold(field[2], cluster) {
		return ids{}, false
	}
	first, err1 := strconv.ParseInt(field[0], 10, 64)
	second, err2 := strconv.ParseInt(field[1], 10, 64)
	return ids{first, second, field[2]}, err1 == nil && err2 == nil
}

func (i ids) String() string {
	return strconv.FormatInt(i.first, 10) + " " + strconv.FormatInt(i.second, 10) + " " + i.cluster
}
