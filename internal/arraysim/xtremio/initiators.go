// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"
)

// login is one of the four pairs of name and password that an initiator has: what
// the host says, or the cluster, at login or discovery.
type login struct{ who, when string }

var logins = []login{
	{"initiator", "authentication"}, {"initiator", "discovery"}, {"cluster", "authentication"}, {"cluster", "discovery"},
}

// field and attribute begin the names of the pair when it is written, and when it is
// read.
func (l login) field() string     { return l.who + "-" + l.when }
func (l login) attribute() string { return "chap-" + l.when + "-" + l.who }
func (l login) remove() string    { return "remove-" + l.field() + "-credentials" }

const (
	userName = "-user-name"
	password = "-password"
)

func loginFields() []string {
	var all []string
	for _, l := range logins {
		all = append(all, l.field()+userName, l.field()+password)
	}
	return all
}

func removeFields() []string {
	var all []string
	for _, l := range logins {
		all = append(all, l.remove())
	}
	return all
}

var postInitiator = &verb{
	must: []string{"initiator-name", "port-address", "ig-id"},
	may:  append([]string{"operating-system", "cluster-id"}, loginFields()...),
	run:  createInitiator,
}

var putInitiator = &verb{
	may: append(append([]string{"initiator-name", "port-address", "operating-system", "initiator-id", "cluster-id"}, loginFields()...), removeFields()...),
	run: changeInitiator,
}

func initiatorRecords(c *call) map[int]*initiator { return c.state.Initiators }

// showInitiator: nobody tells the simulator who is connected.
func showInitiator(c *call, i *initiator) object {
	o := object{
		"port-address": i.Address, "port-type": i.Type, "ig-id": pointer(c, kindGroups, c.state.Groups, i.Group),
		"operating-system": i.OS, "initiator-conn-state": "disconnected",
	}
	for _, l := range logins {
		for _, part := range []string{userName, password} {
			o[l.attribute()+part] = i.CHAP[l.attribute()+part]
		}
	}
	return o
}

func createInitiator(c *call) *Error {
	i := &initiator{OS: systems[0], CHAP: map[string]string{}}
	c.describe(i)
	r, _ := c.ref("ig-id")
	if c.err != nil {
		return c.err
	}
	g, refused := c.group(r)
	if refused != nil {
		return refused
	}
	if refused := c.unlike(i); refused != nil {
		return refused
	}
	i.header = header{c.state.next(kindInitiators), i.Name, c.cluster}
	i.Group = g.Index
	c.state.Initiators[i.Index] = i
	c.touched = true
	c.answer(kindInitiators, &i.header)
	return nil
}

func changeInitiator(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	i := *c.state.Initiators[h.Index]
	i.CHAP = maps.Clone(i.CHAP)
	made(&i.CHAP)
	c.describe(&i)
	if c.err != nil {
		return c.err
	}
	if refused := c.unlike(&i); refused != nil {
		return refused
	}
	c.state.Initiators[i.Index] = &i
	c.touched = true
	return nil
}

// describe puts into an initiator what the body says of it.
func (c *call) describe(i *initiator) {
	if name, ok := c.newName("initiator-name", "initiator"); ok {
		i.Name = name
	}
	if address, ok := c.text("port-address"); ok {
		i.Address, i.Type = address, portType(address)
		if i.Type == "" {
			c.fail(refuse(addressInvalid))
		}
	}
	if system, ok := c.choice("operating-system", systems...); ok {
		i.OS = system
	}
	for _, l := range logins {
		c.credentials(i, l)
	}
}

var iscsiNames = regexp.MustCompile(`^(?i:iqn|eui|naa)\.[!-.0-~]{1,219}$`)

// portType tells it by the address; empty: it is none.
func portType(address string) string {
	switch {
	case iscsiNames.MatchString(address):
		return typeISCSI
	case wwns.MatchString(address):
		return typeFC
	}
	return ""
}

// credentials come as pairs, or are completed to them.
func (c *call) credentials(i *initiator, l login) {
	name, secret := l.attribute()+userName, l.attribute()+password
	if c.flag(l.remove()) {
		delete(i.CHAP, name)
		delete(i.CHAP, secret)
	}
	if text, ok := c.newName(l.field()+userName, "chap_user"); ok {
		i.CHAP[name] = text
	}
	if text, ok := c.text(l.field() + password); ok {
		i.CHAP[secret] = text
		if n := utf8.RuneCountInString(text); n < c.x.options.Limits.SecretMin || n > c.x.options.Limits.SecretMax {
			c.fail(refuse(secretLength))
		}
	}
	switch {
	case i.CHAP[name] == "" && i.CHAP[secret] != "":
		c.fail(missing(l.field() + userName))
	case i.CHAP[name] != "" && i.CHAP[secret] == "":
		c.fail(missing(l.field() + password))
	}
}

// unlike refuses an initiator that has the name or address of another one.
func (c *call) unlike(i *initiator) *Error {
	for _, other := range ordered(c.state.Initiators, c.cluster) {
		switch {
		case other.Index == i.Index:
		case other.Name == i.Name:
			return about("initiator", nameNotUnique)
		case strings.EqualFold(other.Address, i.Address):
			return refuse(addressNotUnique)
		}
	}
	return nil
}

func deleteInitiator(c *call) *Error {
	h, refused := c.target()
	if refused != nil {
		return refused
	}
	delete(c.state.Initiators, h.Index)
	c.touched = true
	return nil
}
