// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

const (
	typeRegular  = "regular"
	typeReadOnly = "readonly"

	accessWrite = "write_access"
	accessRead  = "read_access"
	accessNone  = "no_access"
)

// settings are accepted, shown and do nothing.
var settings = []string{"small-io-alerts", "unaligned-io-alerts", "vaai-tp-alerts"}

// changeable is what a PUT changes.
var changeable = append([]string{"vol-name", "name", "vol-size", "vol-access", "management-locked"}, settings...)

var postVolume = &verb{
	must: []string{"vol-name", "vol-size"},
	may:  append([]string{"cluster-id", "lb-size", "alignment-offset", "vol-access", "tag-list"}, settings...),
	run:  createVolume,
}

var putVolume = &verb{may: append([]string{"vol-id", "cluster-id"}, changeable...), run: changeVolume}

func volumeRecords(c *call) map[int]*volume { return c.state.Volumes }

func snapshotRecords(c *call) map[int]*volume {
	snapshots := map[int]*volume{}
	for index, v := range c.state.Volumes {
		if v.Snapshot {
			snapshots[index] = v
		}
	}
	return snapshots
}

func showVolume(c *call, v *volume) object {
	r := c.related()
	snapshots := r.snapshots[v.Index]
	mappings := []any{}
	for _, m := range r.ofVolume[v.Index] {
		targets := c.oid("target-groups", &header{Index: 1, Name: "Default", Cluster: v.Cluster})
		mappings = append(mappings, []any{pointer(c, kindGroups, c.state.Groups, m.Group), targets, m.LUN})
	}
	o := object{
		"vol-size": text(v.Size), "logical-space-in-use": text(0), "naa-name": v.NAA, "lb-size": v.BlockSize, "alignment-offset": v.Offset,
		"ancestor-vol-id": pointer(c, kindVolumes, c.state.Volumes, v.Ancestor),
		"dest-snap-list":  pointers(c, kindVolumes, c.state.Volumes, snapshots...), "num-of-dest-snaps": len(snapshots),
		"snapset-list":               pointers(c, kindSets, c.state.Sets, r.sets[v.Index]...),
		"related-consistency-groups": pointers(c, kindConsistent, c.state.Consistent, r.groups[v.Index]...),
		"lun-mapping-list":           mappings, "num-of-lun-mappings": len(mappings),
		"vol-type": v.Type, "vol-access": v.Access, "creation-time": v.Created,
	}
	for _, name := range settings {
		o[name] = "disabled"
		if value, ok := v.Settings[name]; ok {
			o[name] = value
		}
	}
	return o
}

func createVolume(c *call) *Error {
	name, _ := c.newName("vol-name", "vol")
	block, sized := c.integer("lb-size")
	offset, _ := c.integer("alignment-offset")
	access, given := c.choice("vol-access", accessWrite, accessRead, accessNone)
	values := c.settings(nil)
	c.nothing("tag-list", refuse(noTag))
	if !sized {
		block = 512
	}
	if block != 512 && block != 4096 {
		c.fail(refuse(wrongValue, "lb-size", quoted([]string{"512", "4096"})))
	}
	if offset < 0 || offset > 7 {
		c.wrong("alignment-offset")
	}
	c.folder("parent-folder-id")
	size, _ := c.size("vol-size", block)
	if c.err != nil {
		return c.err
	}
	if !given {
		access = accessWrite
	}
	v := &volume{Size: size, BlockSize: block, Offset: offset, Type: typeRegular, Access: access, Settings: values}
	if refused := c.admit(v, name); refused != nil {
		return refused
	}
	v.Tree = v.Index
	if refused := c.data(c.x.options.Data.Create(c.ctx, v.data()), v.data().ID); refused != nil {
		return refused
	}
	c.answer(kindVolumes, &v.header)
	return nil
}

// settings gives those there were with those of the body.
func (c *call) settings(before map[string]string) map[string]string {
	values := map[string]string{}
	for _, name := range settings {
		if value, ok := before[name]; ok {
			values[name] = value
		}
		if value, ok := c.choice(name, "enabled", "disabled"); ok {
			values[name] = value
		}
	}
	return values
}

var sizes = regexp.MustCompile(`^([0-9]{1,15})([kmgtpKMGTP]?)$`)

// size reads one in KiB: a number with a unit, or a bare number of KiB.
func (c *call) size(field string, block int) (int64, bool) {
	if !c.given(field) {
		return 0, false
	}
	parts := sizes.FindStringSubmatch(fmt.Sprint(c.values[field]))
	if parts == nil {
		c.fail(refuse(sizeInvalid))
		return 0, false
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64) // digits, not too many
	unit := int64(1)
	if parts[2] != "" {
		unit = 1 << (10 * strings.Index("kmgtp", strings.ToLower(parts[2])))
	}
	switch most := c.x.options.Limits.VolumeSize; {
	case n == 0:
		c.fail(refuse(sizeInvalid))
	case n > most/unit:
		c.fail(refuse(sizeTooLarge))
	case n*unit*1024%int64(block) != 0:
		c.fail(refuse(sizeInvalid))
	default:
		return n * unit, true
	}
	return 0, false
}

// admit puts a new volume or snapshot into the state, if there is room for it.
func (c *call) admit(v *volume, name string) *Error {
	if refused := c.freeName(name); refused != nil {
		return refused
	}
	if count(c.state.Volumes, c.cluster) >= c.x.options.Limits.Objects {
		return refuse(tooManyObjects)
	}
	v.header = header{c.state.next(kindVolumes), name, c.cluster}
	v.Created = timestamp(c.now)
	if c.x.options.EarlyNAA {
		v.NAA = c.own().naa(v.Index, c.x.options.LongNAA)
	}
	c.state.Volumes[v.Index] = v
	return nil
}

func (c *call) freeName(name string) *Error {
	if _, taken := named(c.state.Volumes, c.cluster, name); taken {
		return about("vol", nameNotUnique)
	}
	return nil
}

// data turns an error of the data plane into one of the interface. If there is
// none, the volumes made are taken away should a later step fail.
func (c *call) data(err error, made ...string) *Error {
	if err != nil {
		return &Error{http.StatusInternalServerError, "data plane: " + err.Error()}
	}
	if len(made) > 0 {
		c.undo = append(c.undo, func() error { return c.x.options.Data.Delete(c.ctx, made...) })
	}
	return nil
}

// data describes a volume to the data plane.
func (v *volume) data() arraysim.Volume {
	return arraysim.Volume{ID: fmt.Sprintf("volume-%d", v.Index), Bytes: v.Size << 10, BlockSize: v.BlockSize}
}

// changeVolume takes vol-name before name.
func changeVolume(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	v := *c.state.Volumes[h.Index]
	name, renamed := c.newName("name", "vol")
	if other, ok := c.newName("vol-name", "vol"); ok {
		name, renamed = other, true
	}
	size, sized := c.size("vol-size", v.BlockSize)
	access, changed := c.choice("vol-access", accessWrite, accessRead, accessNone)
	c.flag("management-locked")
	v.Settings = c.settings(v.Settings)
	if !slices.ContainsFunc(changeable, c.given) {
		c.fail(refuse(atLeastOneProperty, quoted(changeable)))
	}
	if c.err != nil {
		return c.err
	}
	if renamed && name != v.Name {
		if refused := c.freeName(name); refused != nil {
			return refused
		}
		v.Name = name
	}
	if changed {
		if access == accessWrite && v.Type == typeReadOnly {
			return refuse(wrongValue, "vol-access", quoted([]string{accessRead, accessNone}))
		}
		v.Access = access
	}
	if sized {
		if refused := c.grow(&v, size); refused != nil {
			return refused
		}
	}
	c.state.Volumes[v.Index] = &v
	c.touched = true
	return nil
}

func (c *call) grow(v *volume, size int64) *Error {
	old := v.data()
	switch {
	case size < v.Size:
		return refuse(cannotShrink)
	case size == v.Size:
		return nil
	}
	v.Size = size
	if refused := c.data(c.x.options.Data.Resize(c.ctx, old.ID, v.data().Bytes)); refused != nil {
		return refused
	}
	c.undo = append(c.undo, func() error { return c.x.options.Data.Resize(c.ctx, old.ID, old.Bytes) })
	return nil
}
