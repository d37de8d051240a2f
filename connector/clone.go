// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"maps"
	"slices"
)

// Clone returns a deep copy; nil gives nil.
func (i *ConnInfo) Clone() *ConnInfo {
	if i == nil {
		return nil
	}
	return &ConnInfo{Protocol: i.Protocol, Data: cloneData(i.Data), extra: cloneMap(i.extra)}
}

// Clone returns a deep copy; nil gives nil.
func (p *Properties) Clone() *Properties {
	if p == nil {
		return nil
	}
	c := *p
	c.WWPNs = slices.Clone(p.WWPNs)
	c.WWNNs = slices.Clone(p.WWNNs)
	c.Extra = cloneMap(p.Extra)
	return &c
}

// Clone returns a deep copy; nil gives nil.
func (d *Device) Clone() *Device {
	if d == nil {
		return nil
	}
	c := *d
	c.Extra = cloneMap(d.Extra)
	return &c
}

func cloneData(d Data) Data {
	switch d := d.(type) {
	case *ISCSIData:
		if d == nil {
			return nil
		}
		c := *d
		c.TargetPortals = slices.Clone(d.TargetPortals)
		c.TargetIQNs = slices.Clone(d.TargetIQNs)
		c.TargetLUNs = slices.Clone(d.TargetLUNs)
		c.Shared = d.Shared.clone()
		return &c
	case *FCData:
		if d == nil {
			return nil
		}
		c := *d
		c.TargetWWNs = slices.Clone(d.TargetWWNs)
		c.TargetLUNs = slices.Clone(d.TargetLUNs)
		c.InitiatorTargetMap = maps.Clone(d.InitiatorTargetMap)
		for k, v := range c.InitiatorTargetMap {
			c.InitiatorTargetMap[k] = slices.Clone(v)
		}
		c.EnableWildcardScan = clonePointer(d.EnableWildcardScan)
		c.Shared = d.Shared.clone()
		return &c
	case *RBDData:
		if d == nil {
			return nil
		}
		c := *d
		c.Hosts = slices.Clone(d.Hosts)
		c.Ports = slices.Clone(d.Ports)
		c.Shared = d.Shared.clone()
		return &c
	case *LocalData:
		if d == nil {
			return nil
		}
		c := *d
		c.Shared = d.Shared.clone()
		return &c
	case *RawData:
		if d == nil {
			return nil
		}
		return &RawData{Values: cloneMap(d.Values), Shared: d.Shared.clone()}
	}
	return nil
}

func (c *Common) clone() Common {
	n := *c
	n.Discard = clonePointer(c.Discard)
	n.Encrypted = clonePointer(c.Encrypted)
	n.DeviceWWIDs = slices.Clone(c.DeviceWWIDs)
	n.Extra = cloneMap(c.Extra)
	return n
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func cloneMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	c := make(map[string]any, len(m))
	for k, v := range m {
		c[k] = cloneValue(v)
	}
	return c
}

// cloneValue copies what JSON values are made of, and the slices and maps a
// driver is likely to put among them.
func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		if v == nil {
			return v
		}
		c := make([]any, len(v))
		for i := range v {
			c[i] = cloneValue(v[i])
		}
		return c
	case []string:
		return slices.Clone(v)
	case []int:
		return slices.Clone(v)
	case map[string]string:
		return maps.Clone(v)
	case map[string][]string:
		c := maps.Clone(v)
		for k := range c {
			c[k] = slices.Clone(c[k])
		}
		return c
	}
	return v
}
