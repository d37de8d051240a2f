// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/persistence"
)

type cloner[R any] interface {
	comparable
	Clone() R
}

// entry is one record's place in the indexes it stands in.
type entry[R any] struct {
	id      string
	created time.Time
	group   string
	rec     R // never changed, only replaced
	dead    bool
}

// table keeps the records of one kind: by id, in order of age, and in order of
// age within a group (a backend's volumes, a volume's snapshots).
type table[R cloner[R]] struct {
	key    func(R) (id string, created time.Time)
	group  func(R) string
	byID   map[string]*entry[R]
	all    index[R]
	groups map[string]*index[R]
}

func newTable[R cloner[R]](key func(R) (string, time.Time), group func(R) string) table[R] {
	return table[R]{key: key, group: group, byID: map[string]*entry[R]{}, groups: map[string]*index[R]{}}
}

// put adds rec, which the table owns from now on, or replaces the one with its
// id. The result takes it back.
func (t *table[R]) put(rec R) (undo func()) {
	id, created := t.key(rec)
	group := t.group(rec)
	undo = func() { t.remove(id) }
	old, ok := t.byID[id]
	if ok {
		was := old.rec
		undo = func() { t.put(was) }
		if old.created.Equal(created) && old.group == group {
			old.rec = rec
			return undo
		}
		t.unlink(old)
	}
	t.link(&entry[R]{id: id, created: created, group: group, rec: rec})
	return undo
}

func (t *table[R]) remove(id string) (undo func()) {
	e, ok := t.byID[id]
	if !ok {
		return func() {}
	}
	t.unlink(e)
	was := e.rec // what the entry has now, not when it is undone
	return func() { t.put(was) }
}

func (t *table[R]) link(e *entry[R]) {
	t.byID[e.id] = e
	t.all.add(e)
	g := t.groups[e.group]
	if g == nil {
		g = &index[R]{}
		t.groups[e.group] = g
	}
	g.add(e)
}

func (t *table[R]) unlink(e *entry[R]) {
	e.dead = true
	delete(t.byID, e.id)
	t.all.bury()
	if g := t.groups[e.group]; g.bury() == 0 {
		delete(t.groups, e.group)
	}
}

// index lists entries oldest first. Removed ones stay as dead entries until they
// are the majority, so that removing costs the same however long the list is.
type index[R any] struct {
	entries []*entry[R]
	dead    int
}

func (x *index[R]) add(e *entry[R]) {
	n := len(x.entries)
	if n == 0 || order(x.entries[n-1], e.created, e.id) < 0 {
		x.entries = append(x.entries, e)
		return
	}
	at, _ := slices.BinarySearchFunc(x.entries, e, func(a, b *entry[R]) int { return order(a, b.created, b.id) })
	x.entries = slices.Insert(x.entries, at, e)
}

// bury counts an entry that was marked dead and returns how many live on.
func (x *index[R]) bury() int {
	x.dead++
	if x.dead > len(x.entries)/2 {
		x.entries = slices.DeleteFunc(x.entries, func(e *entry[R]) bool { return e.dead })
		x.dead = 0
	}
	return len(x.entries) - x.dead
}

func order[R any](e *entry[R], created time.Time, id string) int {
	if c := e.created.Compare(created); c != 0 {
		return c
	}
	return strings.Compare(e.id, id)
}

// find returns copies of the records that match, of one group or of all.
func find[R cloner[R]](ctx context.Context, t *table[R], id, group string, page persistence.Page, match func(R) bool) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if id != "" {
		e, ok := t.byID[id]
		if !ok || !match(e.rec) || page.Skip(e.created, id) {
			return nil, nil
		}
		return []R{e.rec.Clone()}, nil
	}
	x := &t.all
	if group != "" {
		x = t.groups[group]
		if x == nil {
			return nil, nil
		}
	}
	entries := x.entries
	if page.AfterID != "" {
		at, _ := slices.BinarySearchFunc(entries, page, func(e *entry[R], p persistence.Page) int {
			if p.Skip(e.created, e.id) {
				return -1
			}
			return 1
		})
		entries = entries[at:]
	}
	room := len(entries)
	if page.Limit > 0 {
		room = min(room, page.Limit)
	}
	found := make([]R, 0, room)
	for _, e := range entries {
		if e.dead || !match(e.rec) {
			continue
		}
		found = append(found, e.rec.Clone())
		if len(found) == page.Limit {
			break
		}
	}
	return found, nil
}
