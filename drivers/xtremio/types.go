// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gocinder/cinderlib/drivers"
)

// What the array tells of its objects, as far as the drivers use it.

// number is an integer, which the array writes as a text or a number.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(text []byte) error {
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	value, err := strconv.ParseInt(string(text), 10, 64)
	*n = number(value)
	return err
}

// reference is to another object: [guid, name, index], or [] to none.
type reference struct {
	Name  string
	Index number
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *reference) UnmarshalJSON(text []byte) error {
	*r = reference{}
	return tuple(text, new(json.RawMessage), &r.Name, &r.Index)
}

// tuple decodes a list into as many values; one that is empty leaves them.
func tuple(text []byte, into ...any) error {
	var part []json.RawMessage
	if err := json.Unmarshal(text, &part); err != nil || len(part) == 0 {
		return err
	}
	if len(part) < len(into) {
		return fmt.Errorf("a list of %d, and %d are needed", len(part), len(into))
	}
	for i, v := range into {
		if err := json.Unmarshal(part[i], v); err != nil {
			return err
		}
	}
	return nil
}

const kib = 1 << 10 // sizes are in KiB

type volume struct {
	Index    number      `json:"index"`
	Name     string      `json:"name"`
	Size     number      `json:"vol-size"` // KiB
	Ancestor reference   `json:"ancestor-vol-id"`
	Type     string      `json:"vol-type"`
	NAA      string      `json:"naa-name"` // empty before it was mapped
	Mappings []mapping   `json:"lun-mapping-list"`
	Groups   []reference `json:"related-consistency-groups"`
}

func (v *volume) bytes() int64 { return int64(v.Size) * kib }

// readOnly is the type of snapshots; clones and those that others make are regular.
const readOnly = "readonly"

// mapping of a volume: [initiator group, target group, LUN].
type mapping struct {
	Group, Targets reference
	LUN            number
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *mapping) UnmarshalJSON(text []byte) error {
	*m = mapping{}
	return tuple(text, &m.Group, &m.Targets, &m.LUN)
}

type initiator struct {
	Index    number         `json:"index"`
	Address  string         `json:"port-address"` // iSCSI name, or WWPN with colons
	Group    reference      `json:"ig-id"`
	User     string         `json:"chap-authentication-initiator-user-name"`
	Secret   drivers.Secret `json:"chap-authentication-initiator-password"`
	FindUser string         `json:"chap-discovery-initiator-user-name"`
	FindWith drivers.Secret `json:"chap-discovery-initiator-password"`
}

type cluster struct {
	Name        string `json:"name"`
	Version     string `json:"sys-sw-version"`
	Login       string `json:"chap-authentication-mode"`
	Discovery   string `json:"chap-discovery-mode"`
	Space       number `json:"ud-ssd-space"` // KiB, as the following
	Used        number `json:"ud-ssd-space-in-use"`
	Provisioned number `json:"vol-size"`
}

type portal struct {
	Address string `json:"ip-addr"` // with the length of the network's prefix
	Port    number `json:"ip-port"`
	IQN     string `json:"port-address"`
}

type target struct {
	Address string `json:"port-address"` // WWN with colons
	Type    string `json:"port-type"`
	State   string `json:"port-state"`
}
