// SPDX-License-Identifier: Apache-2.0

package multipath

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
)

// Map is a multipath map.
type Map struct {
	DM    string // dm-N, now
	Name  string // alias, or the WWID
	WWID  string // as udev has it
	Disks []string
}

// Node is the path of the map's device node.
func (m *Map) Node() string { return "/dev/" + m.DM }

const uuidPrefix = "mpath-"

// read gives the map dm-N; nil if that is none of multipath.
func read(h *connector.Host, dm string) *Map {
	wwid, ok := strings.CutPrefix(scsi.Attr(h, "/sys/block/"+dm+"/dm/uuid"), uuidPrefix)
	if !ok {
		return nil
	}
	m := &Map{DM: dm, Name: scsi.Attr(h, "/sys/block/"+dm+"/dm/name"), WWID: wwid}
	slaves, _ := os.ReadDir(h.Path("/sys/block/" + dm + "/slaves"))
	for _, s := range slaves {
		m.Disks = append(m.Disks, s.Name())
	}
	return m
}

// There tells whether the map is still there.
func (m *Map) There(h *connector.Host) bool {
	now := read(h, m.DM)
	return now != nil && now.WWID == m.WWID
}

// Holding lists the maps that have one of the disks as a path.
func Holding(h *connector.Host, disks ...string) []*Map {
	var maps []*Map
	for _, disk := range disks {
		if disk == "" {
			continue
		}
		holders, _ := filepath.Glob(h.Path("/sys/block/" + disk + "/holders/dm-*"))
		for _, holder := range holders {
			maps = add(maps, read(h, filepath.Base(holder)))
		}
	}
	return maps
}

// Of lists the maps of the WWIDs, those without paths too.
func Of(h *connector.Host, wwids []string) []*Map {
	var maps []*Map
	if len(wwids) == 0 {
		return nil
	}
	uuids, _ := filepath.Glob(h.Path("/sys/block/dm-*/dm/uuid"))
	for _, uuid := range uuids {
		m := read(h, filepath.Base(filepath.Dir(filepath.Dir(uuid))))
		if m != nil && scsi.OneOf(m.WWID, wwids) {
			maps = add(maps, m)
		}
	}
	return maps
}

func add(maps []*Map, m *Map) []*Map {
	if m == nil || slices.ContainsFunc(maps, func(has *Map) bool { return has.DM == m.DM }) {
		return maps
	}
	return append(maps, m)
}
