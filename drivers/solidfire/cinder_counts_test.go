// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// count has Cinder's driver do an operation.
func (c *cinder) count(t *testing.T, o operation) {
	l := newLab(t, solidfire.Options{}, o.options)
	w := &words{c.open(t, l), map[string]*drivers.Volume{}, map[string]*drivers.Snapshot{}}
	if o.run != "" {
		w.do(t, o.before, "")
		there := l.array(false).Foreign(t, drivers.GiB)
		l.Reset()
		w.do(t, o.run, there)
	}
	l.requireCount(t, o.name, o.cinder)
}

func (l *lab) requireCount(t *testing.T, name string, want int) {
	t.Helper()
	n := l.Totals().Requests
	t.Logf("%-28s %d requests of Cinder's driver: %v", name, n, l.Counts())
	assert.Equal(t, want, n)
}

// countMore is count for what the library has no words for.
func (c *cinder) countMore(t *testing.T, o cinderOperation) {
	l := newLab(t, solidfire.Options{}, o.options)
	run, check := o.prepare(t, l, c.open(t, l))
	l.Reset()
	run()
	l.requireCount(t, o.name, o.requests)
	if check != nil {
		check()
	}
}

// cinderOperation is one that the library has not, or has in another form. prepare
// gives the operation, and what is then looked at.
type cinderOperation struct {
	name     string
	options  map[string]any
	requests int
	prepare  func(t *testing.T, l *lab, d *cinderDriver) (run, check func())
}

var cinderOperations = []cinderOperation{
	{"delete, record without id", nil, 4, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		v.ProviderID = ""
		return func() { d.remove(t, v) }, func() { l.RequireEmpty(t, "deleted") }
	}},
	{"delete, gone", nil, 3, func(t *testing.T, _ *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		d.remove(t, v)
		return func() { d.remove(t, v) }, nil
	}},
	{"delete, multiattach", nil, 4, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		v.MultiAttach = true
		d.create(t, v)
		return func() { d.remove(t, v) }, func() { l.RequireEmpty(t, "deleted") }
	}},
	// It takes the numbers of the groups for the groups, and fails, here and below.
	{"delete, multiattach in a group", grouped, 2, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		v.MultiAttach = true
		d.create(t, v)
		d.connect(t, v, host)
		return func() { d.requireTypeError(t, "delete_volume", v) }, func() { assert.Len(t, l.volumes(t), 1) }
	}},
	{"disconnect, multiattach", grouped, 1, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		v.MultiAttach = true
		d.create(t, v)
		d.connect(t, v, host)
		return func() { d.disconnect(t, v, host) }, func() { assert.True(t, l.letsIn(v, host)) }
	}},
	{"disconnect from all, none", grouped, 1, func(t *testing.T, _ *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		return func() { d.do(t, "terminate_connection", v, nil, true) }, nil
	}},
	{"disconnect from all, one", grouped, 1, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		d.connect(t, v, host)
		return func() { d.requireTypeError(t, "terminate_connection", v, nil, true) }, func() { assert.True(t, l.letsIn(v, host)) }
	}},
	{"export, by the target driver", nil, 1, func(t *testing.T, _ *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		had := v.Clone()
		return func() { d.update(t, v, "target_driver.create_export", cinderContext, v, nil) }, func() { requireSameRecord(t, had, v) }
	}},
	{"size of what is there", nil, 1, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		ref := l.array(false).Foreign(t, 5*drivers.GiB/2)
		var size int
		return func() {
			d.call(t, &size, "manage_existing_get_size", aRecord("a"), map[string]any{"source-id": json.Number(ref)})
		}, func() { assert.Equal(t, 3, size) }
	}},
	{"transfer to a new account", nil, 8, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		return func() { d.update(t, v, "accept_transfer", cinderContext, v, "another", "another") }, func() {
			v.ProjectID = "another"
			assert.Equal(t, "another", strings.Fields(v.ProviderAuth.Reveal())[1])
			l.disk(t, d.connect(t, v, host), host)
		}
	}},
	{"update of records", nil, 2, func(t *testing.T, _ *lab, d *cinderDriver) (run, check func()) {
		v := aRecord("a")
		d.create(t, v)
		s := aSnapshot(v)
		d.snapshot(t, s, v)
		want := []any{
			[]any{map[string]any{"id": v.ID, "provider_id": v.ProviderID}}, []any{map[string]any{"id": s.ID, "provider_id": s.ProviderID}},
		}
		v.ProviderID, s.ProviderID = "", ""
		var updates []any
		return func() { d.call(t, &updates, "update_provider_info", []any{v}, []any{withVolume{s, v}}) }, func() { assert.Equal(t, want, updates) }
	}},
	{"snapshot of a group of two", nil, 2, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		g := newGroup(t, d)
		return func() { g.freeze(t) }, func() { assert.Len(t, l.snapshots(t), 2) }
	}},
	{"delete a group snapshot", nil, 2, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		g := newGroup(t, d)
		g.freeze(t)
		return func() { d.call(t, &[]any{}, "delete_group_snapshot", cinderContext, g.frozen, g.snapshots()) },
			func() { assert.Empty(t, l.snapshots(t)) }
	}},
	{"two volumes of a snapshot", nil, 1 + 2*8, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		g := newGroup(t, d)
		g.freeze(t)
		return func() {
			d.call(t, &[]any{}, "create_group_from_src", cinderContext, g.copied, g.copies(), g.frozen, g.snapshots(), nil, nil)
		}, func() { assert.Len(t, l.volumes(t), 4) }
	}},
	{"two volumes of a group", nil, 5 + 2*8, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		g := newGroup(t, d)
		return func() {
				d.call(t, &[]any{}, "create_group_from_src", cinderContext, g.copied, g.copies(), nil, nil, g.group, g.all())
			}, func() {
				assert.Len(t, l.volumes(t), 4)
				assert.Empty(t, l.snapshots(t))
			}
	}},
	{"delete a group of two", nil, 2 * 3, func(t *testing.T, l *lab, d *cinderDriver) (run, check func()) {
		g := newGroup(t, d)
		return func() { d.call(t, &[]any{}, "delete_group", cinderContext, g.group, g.all()) }, func() { l.RequireEmpty(t, "deleted") }
	}},
}

func (d *cinderDriver) requireTypeError(t *testing.T, method string, args ...any) {
	t.Helper()
	err := d.try(t, new(any), method, args...)
	require.Error(t, err)
	refused, ok := errors.AsType[*cinderError](err)
	require.True(t, ok)
	require.Equal(t, "TypeError", refused.class, refused)
}

// group is one of Cinder's, of two volumes.
type group struct {
	d                     *cinderDriver
	volumes               [2]*drivers.Volume
	group, frozen, copied map[string]any
}

func newGroup(t *testing.T, d *cinderDriver) *group {
	t.Helper()
	object := func() map[string]any { return map[string]any{"id": uuid.NewString()} }
	g := &group{d, [2]*drivers.Volume{aRecord("a"), aRecord("b")}, object(), object(), object()}
	for _, v := range g.volumes {
		d.create(t, v)
	}
	return g
}

func (g *group) all() []any { return []any{g.volumes[0], g.volumes[1]} }

// snapshots are members of the group's.
func (g *group) snapshots() []any {
	return []any{withVolume{aSnapshot(g.volumes[0]), g.volumes[0]}, withVolume{aSnapshot(g.volumes[1]), g.volumes[1]}}
}

func (g *group) freeze(t *testing.T) {
	t.Helper()
	g.d.call(t, &[]any{}, "create_group_snapshot", cinderContext, g.frozen, g.snapshots())
}

// copies are records of volumes to be made of the group's.
func (g *group) copies() []any {
	all := []any{}
	for _, v := range g.volumes {
		c := aRecord(v.Name)
		c.SourceVolumeID = v.ID
		all = append(all, c)
	}
	return all
}
