// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// The columns of the reports, whose values LVM writes as texts.
const (
	groupColumns  = "vg_name,vg_size,vg_free,vg_extent_size,pv_name,pv_free"
	volumeColumns = "lv_name,lv_size,lv_attr,origin,pool_lv,data_percent,metadata_percent,lv_tags"
)

// group is a volume group. Sizes are in bytes.
type group struct {
	size, free, extent int64
	devices            []int64 // what each physical volume has free
}

// lv is a logical volume. Sizes are in bytes.
type lv struct {
	name         string
	size         int64
	attr         string // lv_attr of lvs(8)
	origin, pool string
	data, meta   float64 // percentages
	tags         []string
}

// at is one character of lv_attr.
func (l *lv) at(i int) byte {
	if i >= len(l.attr) {
		return '-'
	}
	return l.attr[i]
}

func (l *lv) thin() bool     { return l.at(0) == 'V' }
func (l *lv) isPool() bool   { return l.at(0) == 't' }
func (l *lv) isOrigin() bool { return l.at(0) == 'o' || l.at(0) == 'O' }
func (l *lv) isCOW() bool    { return l.at(0) == 's' || l.at(0) == 'S' }
func (l *lv) merging() bool  { return l.at(0) == 'O' || l.at(0) == 'S' }
func (l *lv) active() bool   { return l.at(4) == 'a' }
func (l *lv) open() bool     { return l.at(5) == 'o' }
func (l *lv) has(tag string) bool {
	return slices.Contains(l.tags, tag)
}

// broken says what is wrong with a thin pool; empty if nothing is.
func (l *lv) broken() string {
	switch l.at(8) {
	case 'F':
		return "it has failed"
	case 'D':
		return "its data is full"
	case 'M':
		return "its metadata is read only"
	}
	return ""
}

// report is what --reportformat json writes.
type report struct {
	Report []struct {
		VG []map[string]string `json:"vg"`
		LV []map[string]string `json:"lv"`
	} `json:"report"`
}

func (d *Driver) report(ctx context.Context, program, columns string, more ...string) (*report, error) {
	args := append([]string{program, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", columns}, more...)
	out, err := d.query(ctx, append(args, d.group)...)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(out, r); err != nil {
		return nil, drivers.Errorf(drivers.ErrInternal, "%s: what it reports is no JSON: %w", program, err)
	}
	return r, nil
}

// readGroup asks for the volume group.
func (d *Driver) readGroup(ctx context.Context) (*group, error) {
	r, err := d.report(ctx, "vgs", groupColumns)
	if err != nil {
		return nil, err
	}
	var g *group
	for _, part := range r.Report {
		for _, row := range part.VG { // one a physical volume
			n := numbers{row: row}
			if g == nil {
				g = &group{size: n.bytes("vg_size"), free: n.bytes("vg_free"), extent: n.bytes("vg_extent_size")}
			}
			g.devices = append(g.devices, n.bytes("pv_free"))
			if n.err != nil {
				return nil, n.err
			}
		}
	}
	if g == nil || g.extent <= 0 {
		return nil, drivers.Errorf(drivers.ErrUnavailable, "vgs reports nothing of the volume group %s", d.group)
	}
	return g, nil
}

// volumes asks for the LVs of the group that match a selection of
// lvmreport(7), or for all. Who asks for some is going to act upon it, so he sees
// the end of what a call that was cut off has started.
func (d *Driver) volumes(ctx context.Context, selection string) ([]lv, error) {
	var more []string
	if selection != "" {
		unlock, err := d.lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
		more = []string{"-S", selection}
	}
	r, err := d.report(ctx, "lvs", volumeColumns, more...)
	if err != nil {
		return nil, err
	}
	var list []lv
	for _, part := range r.Report {
		for _, row := range part.LV {
			n := numbers{row: row}
			l := lv{
				name: row["lv_name"], size: n.bytes("lv_size"), attr: row["lv_attr"], origin: row["origin"], pool: row["pool_lv"],
				data: n.percent("data_percent"), meta: n.percent("metadata_percent"),
			}
			if row["lv_tags"] != "" {
				l.tags = strings.Split(row["lv_tags"], ",")
			}
			if n.err != nil {
				return nil, n.err
			}
			list = append(list, l)
		}
	}
	return list, nil
}

// named asks for LVs by name. One that is not there is not in the list.
func (d *Driver) named(ctx context.Context, names ...string) ([]lv, error) {
	return d.volumes(ctx, anyOf("lv_name", names...))
}

// anyOf selects the rows that have one of the values in a column.
func anyOf(column string, values ...string) string {
	each := make([]string, len(values))
	for i, v := range values {
		each[i] = fmt.Sprintf("%s=%q", column, v)
	}
	return strings.Join(each, " || ")
}

// find asks for one LV. ErrNotFound: there is none of the name.
func (d *Driver) find(ctx context.Context, name string) (*lv, error) {
	list, err := d.named(ctx, name)
	if err != nil {
		return nil, err
	}
	l := pick(list, name)
	if l == nil {
		return nil, drivers.Errorf(drivers.ErrNotFound, "the volume group %s has no %s", d.group, name)
	}
	return l, nil
}

func pick(list []lv, name string) *lv {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

// numbers reads the numbers of a row, and keeps the first error.
type numbers struct {
	row map[string]string
	err error
}

func (n *numbers) bytes(column string) int64 {
	v, err := strconv.ParseInt(n.row[column], 10, 64)
	n.keep(column, err)
	return v
}

func (n *numbers) percent(column string) float64 {
	if n.row[column] == "" {
		return 0
	}
	v, err := strconv.ParseFloat(n.row[column], 64)
	n.keep(column, err)
	return v
}

func (n *numbers) keep(column string, err error) {
	if err != nil && n.err == nil {
		n.err = drivers.Errorf(drivers.ErrInternal, "LVM reports %s as %q: %w", column, n.row[column], err)
	}
}
