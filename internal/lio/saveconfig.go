// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// save writes g, what there is of the target, into the file that targetctl restores
// from, and leaves the rest of it alone. Nothing depends on the file, so that it
// could not be written is no error. The caller holds the host's lock.
func (k *Kernel) save(ctx context.Context, t *tree, iqn string, g *target) {
	if k.SaveConfig == NoSaveConfig {
		return
	}
	ctx = context.WithoutCancel(ctx) // the target is changed already
	file := k.SaveConfig
	if file == "" {
		file = t.rtslibFolder(ctx) + "/saveconfig.json"
	}
	store, target, err := t.dump(ctx, g)
	if err == nil {
		err = t.step(ctx, "save "+file, func(ctx context.Context) error { return saveInto(ctx, t.fs, file, iqn, store, target) })
	}
	if err != nil {
		k.log().Warn("lio: targets not saved for targetctl", slog.String("target", iqn), slog.Any("error", err))
	}
}

func saveInto(ctx context.Context, on files, file, iqn string, store, target object) error {
	text, err := on.load(ctx, file)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && store == nil && target == nil:
		return nil
	case missing:
		text = []byte(`{"fabric_modules": [], "storage_objects": [], "targets": []}`)
	case err != nil:
		return err
	}
	merged, err := merge(text, iqn, store, target)
	if err != nil || bytes.Equal(merged, text) {
		return err
	}
	return on.replace(ctx, file, merged)
}

// object is a JSON object of the file.
type object = map[string]any

// dump gives the entries of a target and its backstore; nil is for what is not
// there.
func (t *tree) dump(ctx context.Context, g *target) (store, entry object, err error) {
	if g == nil || !g.there {
		return nil, nil, nil
	}
	set := object{}
	for i, a := range attributes {
		set[a.name] = json.Number(g.has[i])
	}
	tpg := object{"tag": 1, "enable": g.enabled, "attributes": set, "luns": []any{}}
	switch s := g.backing; {
	case s == nil:
	case !strings.HasPrefix(s.dir, adapters):
		delete(tpg, "luns") // somebody's file or memory: stays as it was saved
	default:
		name := path.Base(s.dir)
		if name == g.iqn {
			if store, err = t.dumpStore(ctx, s, name); err != nil {
				return nil, nil, err
			}
		}
		tpg["luns"] = []any{object{
			"index": 0, "alias": path.Base(g.link), "alua_tg_pt_gp_name": "default_tg_pt_gp",
			"storage_object": "/backstores/block/" + name,
		}}
	}
	portals := []any{}
	for _, p := range g.portals {
		if !p.at.IsValid() {
			continue
		}
		ip := p.at.Addr().String()
		if p.at.Addr().Is6() {
			ip = "[" + ip + "]"
		}
		portals = append(portals, object{"ip_address": ip, "port": int(p.at.Port()), "iser": p.iser, "offload": false})
	}
	tpg["portals"] = portals
	acls := []any{}
	for _, name := range g.acls {
		acl, err := t.dumpACL(ctx, g.dir+"/acls/"+name)
		if err != nil {
			return nil, nil, err
		}
		acl["node_wwn"] = name
		acls = append(acls, acl)
	}
	tpg["node_acls"] = acls
	return store, object{"fabric": "iscsi", "wwn": g.iqn, "tpgs": []any{tpg}}, nil
}

func (t *tree) dumpStore(ctx context.Context, s *backstore, name string) (object, error) {
	cache, err := t.read(ctx, s.dir+"/attrib/emulate_write_cache")
	return object{
		"plugin": "block", "name": name, "dev": s.path, "wwn": s.serial, "readonly": s.readOnly,
		"write_back": cache == "1", "attributes": object{"emulate_tpu": json.Number(s.unmap)},
	}, err
}

func (t *tree) dumpACL(ctx context.Context, dir string) (object, error) {
	acl := object{"mapped_luns": []any{}}
	for key, file := range map[string]string{"chap_userid": "userid", "chap_password": "password"} {
		value, err := t.read(ctx, dir+"/auth/"+file)
		if err != nil {
			return nil, err
		}
		if value != "" && value != "NULL" {
			acl[key] = value
		}
	}
	link, _, err := t.linked(ctx, dir+lun0)
	if gone(err) || err == nil && link == "" {
		return acl, nil
	}
	if err != nil {
		return nil, err
	}
	protect, err := t.read(ctx, dir+lun0+"/write_protect")
	acl["mapped_luns"] = []any{object{"index": 0, "tpg_lun": 0, "write_protect": protect == "1", "alias": path.Base(link)}}
	return acl, err
}

var errCorrupt = errors.New("the file is not what targetctl writes, and left alone")

// merge puts the entries of one target in the place of those that the file has,
// adds or removes them. What rtslib wrote into them beside, tuned attributes and
// parameters, is kept, as is the text of all other entries.
func merge(text []byte, iqn string, store, target object) ([]byte, error) {
	if !json.Valid(text) || !utf8.Valid(text) || bytes.TrimSpace(text)[0] != '{' {
		return nil, errCorrupt
	}
	lists := []mergedList{
		{"storage_objects", store, mergeStore, func(e *identity) bool { return e.Plugin == "block" && e.Name == iqn }},
		{"targets", target, mergeTarget, func(e *identity) bool { return e.Fabric == "iscsi" && e.WWN == iqn }},
	}
	for _, l := range lists {
		at, there := member(text, l.key)
		if !there {
			var err error
			if text, err = addList(text, l.key); err != nil {
				return nil, err
			}
			at, _ = member(text, l.key)
		}
		merged, err := l.merge(text[at.from:at.to], iqn)
		if err != nil {
			return nil, err
		}
		if merged != nil {
			text = slices.Concat(text[:at.from], merged, text[at.to:])
		}
	}
	return append(bytes.TrimRight(text, "\n"), '\n'), nil
}

// identity is what tells entries apart.
type identity struct {
	Plugin string `json:"plugin"`
	Name   string `json:"name"`
	Fabric string `json:"fabric"`
	WWN    string `json:"wwn"`
}

// mergedList is one list of the file; a nil entry removes what is in it.
type mergedList struct {
	key   string
	entry object
	into  func(old, entry object) // adds what is kept of the old one
	ours  func(*identity) bool
}

// merge gives the new text of the list, or nil if it stays as it is.
func (l *mergedList) merge(text []byte, iqn string) ([]byte, error) {
	if text[0] != '[' {
		return nil, fmt.Errorf("%w: %s is no list", errCorrupt, l.key)
	}
	var kept [][]byte
	changed, done := false, false
	for _, e := range elements(text) {
		element := text[e.from:e.to]
		var id identity
		if !bytes.Contains(element, []byte(iqn)) || json.Unmarshal(element, &id) != nil || !l.ours(&id) {
			kept = append(kept, element)
			continue
		}
		if l.entry == nil || done { // a second one of the name would be refused by restore
			changed = true
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(element))
		decoder.UseNumber()
		var old object
		if err := decoder.Decode(&old); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errCorrupt, l.key, err)
		}
		l.into(old, l.entry)
		entry, err := pretty(l.entry, "    ")
		if err != nil {
			return nil, err
		}
		changed, done = changed || !bytes.Equal(entry, element), true
		kept = append(kept, entry)
	}
	if l.entry != nil && !done {
		entry, err := pretty(l.entry, "    ")
		if err != nil {
			return nil, err
		}
		changed = true
		kept = append(kept, entry)
	}
	switch {
	case !changed:
		return nil, nil
	case len(kept) == 0:
		return []byte("[]"), nil
	}
	return slices.Concat([]byte("[\n    "), bytes.Join(kept, []byte(",\n    ")), []byte("\n  ]")), nil
}

// addList adds an empty list to the file.
func addList(text []byte, key string) ([]byte, error) {
	var file map[string]json.RawMessage
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	file[key] = []byte("[]")
	return pretty(file, "")
}

// pretty writes as rtslib does, the first line without its indent.
func pretty(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(indent, "  ")
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// mergeStore adds to entry what the old one has beside, if it is of the same
// disk. Older versions of rtslib fail on "exclusive".
func mergeStore(old, entry object) {
	if old["wwn"] == entry["wwn"] && old["dev"] == entry["dev"] {
		delete(old, "exclusive")
		overlay(old, entry, "attributes")
	}
}

func mergeTarget(old, entry object) {
	oldGroups := list(old["tpgs"])
	for _, g := range list(entry["tpgs"]) {
		o := find(oldGroups, "tag", g["tag"])
		if o == nil {
			continue
		}
		oldACLs := list(o["node_acls"])
		for _, acl := range list(g["node_acls"]) {
			if oldACL := find(oldACLs, "node_wwn", acl["node_wwn"]); oldACL != nil {
				keepOthers(oldACL, acl, "mapped_luns", "index")
				overlay(oldACL, acl)
			}
		}
		keepOthers(o, g, "luns", "index")
		orderAs(o, g, "portals", "ip_address", "port")
		orderAs(o, g, "node_acls", "node_wwn")
		overlay(o, g, "attributes")
	}
	keepOthers(old, entry, "tpgs", "tag")
	overlay(old, entry)
}

// keepOthers adds to a list of entry what the old one has under other numbers
// than ours.
func keepOthers(old, entry object, key, id string) {
	if _, ok := entry[key]; !ok {
		return
	}
	has, ours := list(entry[key]), "0"
	if key == "tpgs" {
		ours = "1"
	}
	values, _ := entry[key].([]any)
	for _, o := range list(old[key]) {
		if n := fmt.Sprint(o[id]); n != ours && find(has, id, o[id]) == nil {
			values = append(values, o)
		}
	}
	entry[key] = values
}

// orderAs puts a list of entry into the order of the old one, so that what is
// the same stays the same text.
func orderAs(old, entry object, key string, by ...string) {
	olds := list(old[key])
	values, _ := entry[key].([]any)
	place := func(v any) int {
		o, _ := v.(object)
		i := slices.IndexFunc(olds, func(old object) bool {
			return !slices.ContainsFunc(by, func(k string) bool { return fmt.Sprint(old[k]) != fmt.Sprint(o[k]) })
		})
		if i < 0 {
			return len(olds)
		}
		return i
	}
	slices.SortStableFunc(values, func(a, b any) int { return cmp.Compare(place(a), place(b)) })
}

// overlay adds the keys of old that entry has not, also within the objects named.
func overlay(old, entry object, within ...string) {
	for key, value := range old {
		has, ok := entry[key]
		if !ok {
			entry[key] = value
			continue
		}
		if inner, isObject := has.(object); isObject && slices.Contains(within, key) {
			if outer, isObject := value.(object); isObject {
				overlay(outer, inner)
			}
		}
	}
}

// list gives the objects of a list.
func list(v any) []object {
	values, ok := v.([]any)
	if !ok {
		return nil
	}
	var objects []object
	for _, v := range values {
		if o, ok := v.(object); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// find gives the object whose key has that value; numbers count as they print.
func find(objects []object, key string, value any) object {
	i := slices.IndexFunc(objects, func(o object) bool { return fmt.Sprint(o[key]) == fmt.Sprint(value) })
	if i < 0 {
		return nil
	}
	return objects[i]
}
