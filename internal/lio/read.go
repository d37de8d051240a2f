// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

const (
	group = "/tpgt_1"
	lun0  = "/lun_0"
	alias = "/cinderlib" // of links; rtslib's are random

	adapters = coreDir + "/iblock_" // and a number
)

// target is what there is of one target, in its portal group 1.
type target struct {
	iqn     string
	dir     string // of the group
	there   bool   // the group is
	enabled bool
	lun     bool   // LUN 0 is there
	link    string // in LUN 0; empty if there is none
	store   string // the folder it leads to
	portals []portal
	acls    []string
	has     [2]string  // what attributes are about
	backing *backstore // at store; nil until it was read
}

type portal struct {
	dir  string
	at   netip.AddrPort // invalid if the kernel has a form that we do not know
	iser bool
}

// backstore is a block device in the kernel's hands.
type backstore struct {
	dir      string
	enabled  bool
	path     string
	device   device
	readOnly bool
	serial   string
	unmap    string // attribute emulate_tpu
}

// target reads a target. It is nil if there is none.
func (t *tree) target(ctx context.Context, iqn string) (*target, error) {
	top := iscsiDir + "/" + iqn
	groups, err := t.folders(ctx, top, "tpgt_")
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g := &target{iqn: iqn, dir: top + group}
	if !slices.Contains(groups, group[1:]) {
		return g, nil
	}
	g.there = true
	enabled, err := t.read(ctx, g.dir+"/enable")
	if err != nil {
		return nil, err
	}
	g.enabled = enabled == "1"
	for i, a := range attributes {
		if g.has[i], err = t.read(ctx, g.dir+"/attrib/"+a.name); err != nil {
			return nil, err
		}
	}
	luns, err := t.folders(ctx, g.dir+"/lun", lun0[1:])
	if err != nil {
		return nil, err
	}
	if g.lun = slices.Contains(luns, lun0[1:]); g.lun {
		if g.link, g.store, err = t.linked(ctx, g.dir+"/lun"+lun0); err != nil {
			return nil, err
		}
	}
	if g.portals, err = t.portals(ctx, g.dir+"/np"); err != nil {
		return nil, err
	}
	g.acls, err = t.folders(ctx, g.dir+"/acls", "")
	return g, err
}

// whole reads a target and its backstore.
func (t *tree) whole(ctx context.Context, iqn string) (*target, error) {
	g, err := t.target(ctx, iqn)
	if err == nil && g != nil && g.store != "" {
		g.backing, err = t.backstore(ctx, g.store)
	}
	return g, err
}

// linked gives the first link in dir and where it leads, or nothing.
func (t *tree) linked(ctx context.Context, dir string) (link, to string, err error) {
	links, err := t.links(ctx, dir)
	if err != nil || len(links) == 0 {
		return "", "", err
	}
	to, err = t.follow(ctx, links[0])
	return links[0], to, err
}

func (t *tree) portals(ctx context.Context, dir string) ([]portal, error) {
	found, err := t.folders(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	portals := make([]portal, 0, len(found))
	for _, name := range found {
		p := portal{dir: dir + "/" + name}
		if at, err := netip.ParseAddrPort(name); err == nil {
			p.at = plain(at)
		}
		iser, err := t.read(ctx, p.dir+"/iser")
		if err != nil {
			return nil, err
		}
		p.iser = iser == "1"
		portals = append(portals, p)
	}
	return portals, nil
}

var number = regexp.MustCompile(`Major: ([0-9]+) Minor: ([0-9]+)[^\n]*\n*$`)

// backstore reads a backstore.
func (t *tree) backstore(ctx context.Context, dir string) (*backstore, error) {
	s := &backstore{dir: dir}
	enabled, err := t.read(ctx, dir+"/enable")
	if err != nil {
		return nil, err
	}
	s.enabled = enabled == "1"
	info, err := t.read(ctx, dir+"/info")
	if err != nil {
		return nil, err
	}
	if _, after, ok := cutLast(info, "readonly: "); ok {
		s.readOnly = strings.HasPrefix(after, "1")
	}
	if m := number.FindStringSubmatch(info); m != nil {
		major, _ := strconv.ParseUint(m[1], 10, 32) // digits, and 0 is no device
		minor, _ := strconv.ParseUint(m[2], 10, 32)
		s.device = device{uint32(major), uint32(minor)}
	}
	serial, err := t.read(ctx, dir+"/wwn/vpd_unit_serial")
	if err != nil {
		return nil, err
	}
	_, s.serial, _ = strings.Cut(serial, ": ")
	if s.path, err = t.read(ctx, dir+"/udev_path"); err != nil {
		return nil, err
	}
	s.unmap, err = t.read(ctx, dir+"/attrib/emulate_tpu")
	if gone(err) { // somebody's SCSI disk that is passed through
		err = nil
	}
	return s, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// stores finds the backstores of that name, and the adapters that have none at
// all: what a call that was killed left. taken has the numbers in use.
func (t *tree) stores(ctx context.Context, name string) (found, empty []string, taken map[int]bool, err error) {
	adapters, err := t.folders(ctx, coreDir, "")
	if err != nil {
		if gone(err) {
			err = nil
		}
		return nil, nil, nil, err
	}
	taken = map[int]bool{}
	for _, a := range adapters {
		kind, n, ok := cutLast(a, "_")
		index, err := strconv.Atoi(n)
		if !ok || err != nil {
			continue
		}
		taken[index] = true
		if kind != "iblock" {
			continue
		}
		dir := coreDir + "/" + a
		have, err := t.folders(ctx, dir, "")
		switch {
		case gone(err):
		case err != nil:
			return nil, nil, nil, err
		case len(have) == 0:
			empty = append(empty, dir)
		case slices.Contains(have, name):
			found = append(found, dir+"/"+name)
		}
	}
	return found, empty, taken, nil
}

// sessions gives those of the target's initiators.
func (t *tree) sessions(ctx context.Context, g *target) ([]Session, error) {
	var found []Session
	for _, acl := range g.acls {
		info, err := t.read(ctx, g.dir+"/acls/"+acl+"/info")
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, ok := parseSession(info); ok {
			found = append(found, s)
		}
	}
	return found, nil
}

// parseSession reads acls/X/info, lio_target_nacl_info_show in the kernel.
func parseSession(info string) (s Session, ok bool) {
	for line := range strings.Lines(info) {
		line = strings.TrimSpace(line)
		if name, found := strings.CutPrefix(line, "InitiatorName: "); found {
			s.Initiator, ok = name, true
		}
		if rest, found := strings.CutPrefix(line, "Address "); found {
			text, _, _ := strings.Cut(rest, " ")
			if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
				s.Addresses = append(s.Addresses, a.Unmap())
			}
		}
	}
	return s, ok
}

// Sessions gives the initiators that are logged in to the target. No such target
// is fault.ErrNotFound.
func (k *Kernel) Sessions(ctx context.Context, iqn string) ([]Session, error) {
	if err := CheckIQN(iqn); err != nil {
		return nil, failed("sessions", err)
	}
	var found []Session
	err := k.read(ctx, "sessions of "+iqn, func(ctx context.Context, t *tree) error {
		acls, err := t.folders(ctx, iscsiDir+"/"+iqn+group+"/acls", "")
		if gone(err) {
			return fault.Errorf(fault.ErrNotFound, "no such target: %w", err)
		}
		if err == nil {
			found, err = t.sessions(ctx, &target{dir: iscsiDir + "/" + iqn + group, acls: acls})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Targets gives all targets of the host by name, those of others among them,
// and, as targets that are not complete, what is left of ours. A host on which
// nothing was ever exported has none.
func (k *Kernel) Targets(ctx context.Context) ([]TargetState, error) {
	var found []TargetState
	err := k.read(ctx, "list targets", func(ctx context.Context, t *tree) error {
		iqns, err := t.iqns(ctx)
		if err != nil {
			return err
		}
		for _, iqn := range iqns {
			g, err := t.whole(ctx, iqn)
			if gone(err) || errors.Is(err, syscall.ENODEV) { // removed as we looked
				continue
			}
			if err != nil {
				return err
			}
			found = append(found, stateOf(iqn, g))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Target gives one target, nil if there is nothing of it.
func (k *Kernel) Target(ctx context.Context, iqn string) (state *TargetState, err error) {
	if err := CheckIQN(iqn); err != nil {
		return nil, failed("look at", err)
	}
	err = k.read(ctx, "look at "+iqn, func(ctx context.Context, t *tree) error {
		g, err := t.whole(ctx, iqn)
		if gone(err) || errors.Is(err, syscall.ENODEV) || err == nil && g == nil { // or removed as we looked
			return nil
		}
		if err == nil {
			s := stateOf(iqn, g)
			state = &s
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// iqns gives the names of the targets, and of the backstores that are called as
// targets are.
func (t *tree) iqns(ctx context.Context) ([]string, error) {
	found, err := t.folders(ctx, iscsiDir, "")
	if err != nil && !gone(err) {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(n string) bool { return n == "discovery_auth" })
	adapters, err := t.folders(ctx, coreDir, "iblock_")
	if err != nil && !gone(err) {
		return nil, err
	}
	for _, a := range adapters {
		stores, err := t.folders(ctx, coreDir+"/"+a, "")
		if err != nil && !gone(err) {
			return nil, err
		}
		found = append(found, slices.DeleteFunc(stores, func(n string) bool { return CheckIQN(n) != nil })...)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func stateOf(iqn string, g *target) TargetState {
	s := TargetState{IQN: iqn}
	if g == nil {
		return s
	}
	s.Enabled, s.Initiators = g.enabled, g.acls
	for _, p := range g.portals {
		if p.at.IsValid() {
			s.Portals = append(s.Portals, p.at)
		}
	}
	if b := g.backing; b != nil {
		s.Device, s.Serial = b.path, b.serial
		s.Complete = g.enabled && b.enabled && b.serial != "" && len(g.portals) > 0
	}
	return s
}
