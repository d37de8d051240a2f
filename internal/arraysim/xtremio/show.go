// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// object is one as JSON has it.
type object = map[string]any

// oid is an object's whole identifier: GUID, name, index. Without any it is a
// reference to nothing.
type oid []any

const timeFormat = "2006-01-02 15:04:05"

func timestamp(t time.Time) string { return t.UTC().Format(timeFormat) }

func (c *call) guid(kind string, h *header) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%d", c.x.options.Name, kind, h.Cluster, h.Index))
	return hex.EncodeToString(sum[:16])
}

func (c *call) oid(kind string, h *header) oid {
	return oid{c.guid(kind, h), h.Name, h.Index}
}

// pointer is the identifier of a record; of one that is not there, [].
func pointer[R record](c *call, kind string, m map[int]R, index int) oid {
	if r, ok := m[index]; ok {
		return c.oid(kind, r.head())
	}
	return oid{}
}

func pointers[R record](c *call, kind string, m map[int]R, indexes ...int) []oid {
	list := []oid{}
	for _, n := range indexes {
		list = append(list, pointer(c, kind, m, n))
	}
	return list
}

// whole is an object with all of its attributes.
func (c *call) whole(h *header, attributes object) object {
	o := object{
		"index": h.Index, "name": h.Name, "guid": c.guid(c.kind.object, h), c.kind.id: c.oid(c.kind.object, h),
		"xms-id": c.oid(kindXMS, &header{Index: 1, Name: c.x.options.Name}), "obj-severity": "information", "certainty": "ok",
	}
	if h.Cluster != 0 {
		o["sys-id"] = pointer(c, kindClusters, c.state.clusters, h.Cluster)
	}
	maps.Copy(o, attributes)
	return o
}

// guidLinks: whether links end in identifiers.
func (c *call) guidLinks() bool { return c.base == 3 || c.x.quirks.guidLinks }

// href is where an object is.
func (c *call) href(k *kind, h *header) string {
	id := strconv.Itoa(h.Index)
	if c.guidLinks() {
		id = c.guid(k.object, h)
	}
	return c.hrefOf(k) + "/" + id
}

func (c *call) hrefOf(k *kind) string {
	return "https://" + c.x.options.Address + bases[c.base] + k.name
}

// link is one to what the answer is.
func link(href string) object { return object{"href": href, "rel": "self"} }

// answer adds a link to what was made.
func (c *call) answer(kind string, h *header) {
	c.links = append(c.links, link(c.href(c.x.kinds[kind], h)))
}

func xmsRecords(c *call) map[int]*header {
	return map[int]*header{1: {Index: 1, Name: c.x.options.Name}}
}

func showXMS(c *call, _ *header) object {
	number, _, _ := strings.Cut(c.x.options.Version, "-")
	return object{"version": number, "sw-version": build(c.x.options.Version, "30")}
}

// single is for the types with one object in each cluster.
func single(name string) func(c *call) map[int]*header {
	return func(c *call) map[int]*header {
		return map[int]*header{1: {Index: 1, Name: name, Cluster: c.cluster}}
	}
}

func showNothing(*call, *header) object { return object{} }

func clusterRecords(c *call) map[int]*cluster { return c.state.clusters }

// showCluster: what is used of the capacity never changes.
func showCluster(c *call, r *cluster) object {
	var size int64
	volumes := ordered(c.state.Volumes, r.Index)
	for _, v := range volumes {
		size += v.Size
	}
	return object{
		"sys-sw-version": build(r.options.Version, "33"), "sys-psnt-serial-number": r.options.Serial, "sys-health-state": "healthy",
		"ud-ssd-space": text(r.options.Capacity), "ud-ssd-space-in-use": text(r.options.Used), "vol-size": text(size), "num-of-vols": len(volumes),
		"chap-authentication-mode": r.auth, "chap-discovery-mode": r.discovery,
	}
}

// text is how the interface writes numbers of KiB.
func text(n int64) string { return strconv.FormatInt(n, 10) }

func targetRecords(c *call) map[int]*target { return c.own().targets }

// own is the cluster that the request is about.
func (c *call) own() *cluster { return c.state.clusters[c.cluster] }

func showTarget(c *call, t *target) object {
	state := "down"
	if t.up {
		state = "up"
	}
	return object{
		"port-address": t.address, "port-type": t.kind, "port-state": state,
		"tg-id": c.oid("target-groups", &header{Index: 1, Name: "Default", Cluster: t.Cluster}),
	}
}

func portalRecords(c *call) map[int]*portal {
	up := maps.Clone(c.own().portals)
	maps.DeleteFunc(up, func(_ int, p *portal) bool { return !p.up })
	return up
}

func showPortal(c *call, p *portal) object {
	address := ""
	if t := c.own().targets[p.target]; t != nil {
		address = t.address
	}
	return object{
		"ip-addr": p.prefix.String(), "ip-port": p.port, "vlan": p.vlan, "port-address": address,
		"tar-id": pointer(c, kindTargets, c.own().targets, p.target),
	}
}
