// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// ClusterOptions describe a cluster. The zero value is one of an example; each
// further one has other addresses.
type ClusterOptions struct {
	Name    string // empty: brick1
	Serial  string // empty: XIO00151000001
	Version string // of its software; empty: that of the XMS
	WWN     string // five hexadecimal digits, in all WWNs; empty: a1b2c

	// CHAP modes: disabled, initiator or mutual. Empty: disabled. SetCHAP changes
	// them.
	CHAP, DiscoveryCHAP string

	FC      []FCTarget // nil: three, the last one down
	Portals []Portal   // nil: two; a target of its own each

	Capacity int64 // physical, in KiB; 0: 8146708710
	Used     int64 // of it, in KiB; 0: 708710
}

// FCTarget is a target port of Fibre Channel.
type FCTarget struct {
	WWN  string // with colons; empty: some
	Down bool   // SetTarget changes it
}

// Portal is where iSCSI is served. Its name is the address; that of a further one of
// the same address ends in the port.
type Portal struct {
	Address string // with the length of the prefix: 10.205.68.5/16, fd00::5/64
	Port    int    // 0: 3260
	VLAN    int
	// Target is the number of the iSCSI target that it leads to, from 1; 0: the
	// place in the list.
	Target int
}

// cluster, target and portal are what there is of a cluster before any object is
// made. They are not saved with the state.
type cluster struct {
	header

	options         ClusterOptions
	auth, discovery string
	targets         map[int]*target
	portals         map[int]*portal
}

type target struct {
	header

	address, kind string
	up            bool
}

type portal struct {
	header

	prefix     netip.Prefix
	port, vlan int
	target     int // index of its target
	up         bool
}

const (
	typeFC    = "fc"
	typeISCSI = "iscsi"

	chapDisabled  = "disabled"
	chapInitiator = "initiator"
	chapMutual    = "mutual"
)

var (
	chapModes = []string{chapDisabled, chapInitiator, chapMutual}
	wwnDigits = regexp.MustCompile(`^[0-9a-f]{5}$`)
	wwns      = regexp.MustCompile(`^([0-9a-fA-F]{2}:){7}[0-9a-fA-F]{2}$`)
)

// clusters makes those of the options.
func (o *Options) clusters() (map[int]*cluster, error) {
	if len(o.Clusters) == 0 {
		o.Clusters = []ClusterOptions{{}}
	}
	all := map[int]*cluster{}
	for n, given := range o.Clusters {
		index := n + 1
		given.defaults(index, o.Version)
		c := &cluster{
			header: header{index, given.Name, 0}, options: given, auth: given.CHAP, discovery: given.DiscoveryCHAP,
			targets: map[int]*target{}, portals: map[int]*portal{},
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.Name == c.Name || other.options.WWN == given.WWN || other.options.Serial == given.Serial {
				return nil, fault.Errorf(fault.ErrInvalid, "xtremio: clusters %s and %s have one name, serial or WWN", other.Name, c.Name)
			}
		}
		all[index] = c
	}
	return all, nil
}

func (o *ClusterOptions) defaults(index int, version string) {
	or(&o.Name, fmt.Sprintf("brick%d", index))
	or(&o.Serial, fmt.Sprintf("XIO001510000%02d", index))
	or(&o.Version, version)
	or(&o.WWN, fmt.Sprintf("%05x", 0xa1b2b+index))
	or(&o.CHAP, chapDisabled)
	or(&o.DiscoveryCHAP, chapDisabled)
	or(&o.Capacity, 8146708710)
	or(&o.Used, 708710)
	if o.FC == nil {
		o.FC = []FCTarget{{}, {}, {Down: true}}
	}
	if o.Portals == nil {
		for host := range 2 {
			o.Portals = append(o.Portals, Portal{Address: fmt.Sprintf("10.205.%d.%d/16", 67+index, 5+host)})
		}
	}
}

// check refuses what cannot be, and makes targets and portals.
func (c *cluster) check() error {
	o := c.options
	for _, mode := range []string{o.CHAP, o.DiscoveryCHAP} {
		if !slices.Contains(chapModes, mode) {
			return fault.Errorf(fault.ErrInvalid, "xtremio: CHAP mode %q of %s is none of %s", mode, c.Name, strings.Join(chapModes, ", "))
		}
	}
	if v, ok := parseVersion(o.Version); !ok || v.less(version{3, 0, 0}) {
		return fault.Errorf(fault.ErrInvalid, "xtremio: Version %q of %s: want three numbers with dots, from 3.0.0 on", o.Version, c.Name)
	}
	if !wwnDigits.MatchString(o.WWN) {
		return fault.Errorf(fault.ErrInvalid, "xtremio: WWN %q of %s is not five hexadecimal digits", o.WWN, c.Name)
	}
	for n, fc := range o.FC {
		address := cmp.Or(fc.WWN, colons(c.port(n)))
		if !wwns.MatchString(address) {
			return fault.Errorf(fault.ErrInvalid, "xtremio: WWN %q of %s: want eight bytes with colons", address, c.Name)
		}
		c.addTarget(place("fc", n), address, typeFC, !fc.Down)
	}
	if err := c.addPortals(); err != nil {
		return err
	}
	return c.checkTwice()
}

// checkTwice refuses two ports of one name or address: there are more of them than
// a cluster has numbers for.
func (c *cluster) checkTwice() error {
	seen := map[string]bool{}
	for _, t := range c.targets {
		if seen[t.address] {
			return fault.Errorf(fault.ErrInvalid, "xtremio: two targets of %s have the address %s", c.Name, t.address)
		}
		seen[t.address] = true
	}
	for _, p := range c.portals {
		if seen[p.Name] {
			return fault.Errorf(fault.ErrInvalid, "xtremio: two portals of %s are %s", c.Name, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

func (c *cluster) addPortals() error {
	iscsi := map[int]int{} // the numbers of portals' targets, and their indexes
	for n, p := range c.options.Portals {
		prefix, err := netip.ParsePrefix(p.Address)
		if err != nil || p.Port < 0 || p.Port > 65535 || p.Target < 0 {
			return fault.Errorf(fault.ErrInvalid, "xtremio: portal %q of %s: want an address with a prefix, a port, and no negative Target", p.Address, c.Name)
		}
		number := cmp.Or(p.Target, n+1)
		if iscsi[number] == 0 {
			iqn := fmt.Sprintf("iqn.2008-05.com.xtremio:%s-%s", strings.ToLower(c.options.Serial), c.port(number-1))
			iscsi[number] = c.addTarget(place("iscsi", number-1), iqn, typeISCSI, true)
		}
		index, port := len(c.portals)+1, cmp.Or(p.Port, 3260)
		name := prefix.String()
		if _, taken := named(c.portals, c.Index, name); taken {
			name += ":" + strconv.Itoa(port)
		}
		c.portals[index] = &portal{header{index, name, c.Index}, prefix, port, p.VLAN, iscsi[number], true}
	}
	return nil
}

func (c *cluster) addTarget(name, address, kind string, up bool) int {
	index := len(c.targets) + 1
	c.targets[index] = &target{header{index, name, c.Index}, address, kind, up}
	return index
}

// port is the WWN of a port, from 0.
func (c *cluster) port(n int) string { return fmt.Sprintf("514f0c50%s3%02x", c.options.WWN, 4*n&0xff) }

// place names a port after its controller: two have two ports each.
func place(kind string, n int) string {
	return fmt.Sprintf("X%d-SC%d-%s%d", n/4+1, n/2%2+1, kind, n%2+1)
}

// colons writes a WWN as the interface does.
func colons(digits string) string {
	var b strings.Builder
	for n := 0; n < len(digits); n += 2 {
		if n > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[n : n+2])
	}
	return b.String()
}

// naa is what hosts know a volume by.
func (c *cluster) naa(index int, long bool) string {
	base, _ := strconv.ParseUint(c.options.WWN, 16, 64) // checked
	digits := fmt.Sprintf("%09x", (base<<16+uint64(index))&(1<<36-1))
	if long {
		return "6514f0c5" + strings.Repeat("0", 15) + digits
	}
	return "514f0c5" + digits
}
