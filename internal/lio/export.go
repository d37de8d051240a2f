// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Export sees to it that the device is a target as e says. What is there and
// right stays as it is, initiators and their sessions with it; what is missing
// or half made is made. Another device, serial or mode than the target has is
// put in its place, with the initiators kept, unless one of them is logged in:
// that is fault.ErrInUse. A failed call takes away again what it made.
//
// fault.ErrNotFound: no such device. fault.ErrInUse: somebody else holds it.
// fault.ErrUnavailable and fault.ErrPrecondition: a portal's address is not one
// of this host, or taken.
func (k *Kernel) Export(ctx context.Context, e Export) error {
	if err := e.check(); err != nil {
		return failed("export", err)
	}
	return k.change(ctx, "export", e.IQN, func(ctx context.Context, t *tree) error {
		g, err := k.export(ctx, t, &e)
		if err == nil {
			k.save(ctx, t, e.IQN, g)
		}
		return err
	})
}

// export gives the target as it is in the end.
func (k *Kernel) export(ctx context.Context, t *tree, e *Export) (g *target, err error) {
	defer func() { t.undo.Unwind(ctx, undoGrace, &err) }()
	dev, err := t.device(ctx, e.Device)
	if err != nil {
		return nil, unusable(e.Device, err)
	}
	if err := k.ready(ctx, t); err != nil {
		return nil, err
	}
	if g, err = t.target(ctx, e.IQN); err != nil {
		return nil, err
	}
	if g == nil {
		g = &target{iqn: e.IQN, dir: iscsiDir + "/" + e.IQN + group}
		if err := t.make(ctx, path.Dir(g.dir)); err != nil {
			return nil, err
		}
	}
	if err := k.converge(ctx, t, e, g, dev); err != nil || !t.changed {
		return g, err
	}
	if g, err = t.whole(ctx, e.IQN); err != nil {
		return nil, err
	}
	return g, verify(stateOf(e.IQN, g), e)
}

// converge makes the difference.
func (k *Kernel) converge(ctx context.Context, t *tree, e *Export, g *target, dev device) error {
	store, mapped, err := k.place(ctx, t, e, g, dev)
	if err != nil {
		return err
	}
	if !g.there {
		if err := t.make(ctx, g.dir); err != nil {
			return err
		}
	}
	for i, a := range attributes {
		if g.has[i] != a.value {
			if err := t.write(ctx, g.dir+"/attrib/"+a.name, a.value); err != nil {
				return err
			}
		}
	}
	if err := t.show(ctx, g, store, mapped); err != nil {
		return err
	}
	if err := k.listen(ctx, t, e, g); err != nil {
		return err
	}
	if g.enabled {
		return nil
	}
	return t.write(ctx, g.dir+"/enable", "1")
}

// attributes of a portal group: no login without an ACL and its password.
var attributes = [...]struct{ name, value string }{{"authentication", "1"}, {"generate_node_acls", "0"}}

// make makes a folder that is not there.
func (t *tree) make(ctx context.Context, dir string) error {
	return t.made(t.mkdir(ctx, dir), dir, t.rmdir)
}

// link makes a link that is not there.
func (t *tree) link(ctx context.Context, target, link string) error {
	return t.made(t.symlink(ctx, target, link), link, t.unlink)
}

// made remembers how to take back what was made. A failed call may have made it
// all the same; what somebody else made in the meantime is none of ours.
func (t *tree) made(err error, file string, remove func(context.Context, string) error) error {
	if errors.Is(err, syscall.EEXIST) {
		return nil
	}
	if !errors.Is(err, errBefore) {
		t.undo.Push("of "+file, func(ctx context.Context) error {
			return unless(remove(ctx, file), syscall.ENOENT)
		})
	}
	return err
}

// mapping is LUN 0 as one initiator sees it.
type mapping struct {
	dir      string
	readOnly bool
}

// place finds or makes the backstore. One that is not what e asks for goes,
// from under the LUN too; then mapped has the initiators that LUN 0 was, and
// will be, mapped to.
func (k *Kernel) place(ctx context.Context, t *tree, e *Export, g *target, dev device) (store string, mapped []mapping, err error) {
	if path.Base(g.store) == e.IQN && strings.HasPrefix(g.store, adapters) {
		if g.backing, err = t.keep(ctx, g.store, e, dev); g.backing != nil || err != nil {
			return g.store, nil, err
		}
	}
	if g.link != "" {
		if mapped, err = t.hide(ctx, g); err != nil {
			return "", nil, err
		}
	}
	found, empty, taken, err := t.stores(ctx, e.IQN)
	if err != nil {
		return "", nil, err
	}
	for _, dir := range found {
		if store == "" {
			kept, err := t.keep(ctx, dir, e, dev)
			if err != nil {
				return "", nil, err
			}
			if kept != nil {
				store = dir
				continue
			}
		}
		if err := t.removeStore(ctx, dir); err != nil {
			return "", nil, err
		}
		delete(taken, indexOf(path.Dir(dir)))
	}
	for _, dir := range empty {
		if err := t.dropEmpty(ctx, dir); err != nil {
			return "", nil, err
		}
		delete(taken, indexOf(dir))
	}
	if store == "" {
		store, err = k.open(ctx, t, e, dev, taken)
	}
	return store, mapped, err
}

// keep gives the backstore if it is what e asks for, and puts right what may be
// changed in use. It has the same device under another name if that was renamed.
func (t *tree) keep(ctx context.Context, dir string, e *Export, dev device) (*backstore, error) {
	s, err := t.backstore(ctx, dir)
	if gone(err) {
		return nil, nil
	}
	if err != nil || !s.enabled || s.device != dev || s.readOnly != e.ReadOnly || s.serial != e.Serial {
		return nil, err
	}
	if s.path != e.Device {
		if err := t.write(ctx, dir+"/udev_path", e.Device); err != nil {
			return nil, err
		}
	}
	return s, t.setUnmap(ctx, s, e.Discard)
}

// setUnmap: the kernel refuses it for a device that cannot.
func (t *tree) setUnmap(ctx context.Context, s *backstore, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if s.unmap == value {
		return nil
	}
	err := t.write(ctx, s.dir+"/attrib/emulate_tpu", value)
	return unless(err, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.ENOSYS)
}

// hide takes LUN 0 away from all initiators, none of which is logged in, and
// its backstore from under it. The group is disabled, so that none logs in.
func (t *tree) hide(ctx context.Context, g *target) ([]mapping, error) {
	sessions, err := t.sessions(ctx, g)
	if err != nil {
		return nil, err
	}
	if len(sessions) > 0 {
		return nil, fault.Errorf(fault.ErrInUse, "another device is exported, and in use by %s", initiators(sessions))
	}
	if g.enabled {
		if err := t.write(ctx, g.dir+"/enable", "0"); err != nil {
			return nil, err
		}
		g.enabled = false
	}
	var mapped []mapping
	for _, acl := range g.acls {
		m := mapping{dir: g.dir + "/acls/" + acl + lun0}
		link, _, err := t.linked(ctx, m.dir)
		if gone(err) || err == nil && link == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		protect, err := t.read(ctx, m.dir+"/write_protect")
		if err != nil {
			return nil, err
		}
		if err := t.unlink(ctx, link); err != nil {
			return nil, err
		}
		// Empty: it was taken away before, and nobody knows how it was.
		if m.readOnly = protect != "0"; protect != "" {
			mapped = append(mapped, m)
		}
	}
	if err := t.unlink(ctx, g.link); err != nil {
		return nil, err
	}
	g.link, g.store = "", ""
	return mapped, nil
}

func initiators(sessions []Session) string {
	names := make([]string, 0, len(sessions))
	for _, s := range sessions {
		names = append(names, s.Initiator)
	}
	return strings.Join(names, ", ")
}

// show puts the backstore under LUN 0, and that before the initiators.
func (t *tree) show(ctx context.Context, g *target, store string, mapped []mapping) error {
	lun := g.dir + "/lun" + lun0
	if !g.lun {
		if err := t.make(ctx, lun); err != nil {
			return err
		}
	}
	if g.link == "" {
		if err := t.link(ctx, store, lun+alias); err != nil {
			return err
		}
	}
	for _, m := range mapped {
		if err := t.link(ctx, lun, m.dir+alias); err != nil {
			return err
		}
		if err := t.protect(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) protect(ctx context.Context, m mapping) error {
	value := "0"
	if m.readOnly {
		value = "1"
	}
	return t.set(ctx, m.dir+"/write_protect", value)
}

// listen makes the portals those of e.
func (k *Kernel) listen(ctx context.Context, t *tree, e *Export, g *target) error {
	have := map[netip.AddrPort]portal{}
	for _, p := range g.portals {
		have[p.at] = p
	}
	for _, p := range g.portals {
		if slices.ContainsFunc(e.Portals, p.excludes) {
			t.undo.Push("end of "+p.dir, func(ctx context.Context) error {
				return unless(t.mkdir(ctx, p.dir), syscall.EEXIST)
			})
			if err := t.closePortal(ctx, p); err != nil {
				return err
			}
		}
	}
	for _, at := range e.Portals {
		p, ok := have[at]
		if !ok {
			p = portal{dir: g.dir + "/np/" + at.String(), at: at}
			if err := k.openPortal(ctx, t, p); err != nil {
				return err
			}
		}
		if p.iser != e.ISER {
			if err := k.setISER(ctx, t, p, e.ISER); err != nil {
				return err
			}
		}
	}
	for _, p := range g.portals {
		if !slices.Contains(e.Portals, p.at) {
			if err := t.closePortal(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// excludes: a portal on all addresses and one on some cannot have the same port.
func (p *portal) excludes(at netip.AddrPort) bool {
	return p.at.Port() == at.Port() && p.at.Addr() != at.Addr() && (p.at.Addr().IsUnspecified() || at.Addr().IsUnspecified())
}

func (k *Kernel) openPortal(ctx context.Context, t *tree, p portal) error {
	// The kernel listens on addresses that a host does not have yet.
	if err := t.fs.listen(ctx, netip.AddrPortFrom(p.at.Addr(), 0)); errors.Is(err, syscall.EADDRNOTAVAIL) {
		k.log().Warn("lio: portal on an address that this host does not have", slog.String("address", p.at.Addr().String()))
	}
	err := t.make(ctx, p.dir)
	if err == nil {
		return nil
	}
	// It says EINVAL whatever is wrong; asking for the address tells more.
	cause := err
	if errors.Is(err, syscall.EINVAL) {
		if tried := t.fs.listen(ctx, p.at); tried != nil {
			cause = tried
		}
	}
	switch {
	case errors.Is(cause, syscall.EADDRINUSE):
		return fault.Errorf(fault.ErrPrecondition, "portal %s: the address is taken, by another program or by a target's portal on all addresses: %w", p.at, err)
	case errors.Is(cause, syscall.EADDRNOTAVAIL), errors.Is(cause, syscall.EAFNOSUPPORT):
		return fault.Errorf(fault.ErrUnavailable, "portal %s: no address of this host: %w", p.at, err)
	}
	return err
}

func (k *Kernel) setISER(ctx context.Context, t *tree, p portal, on bool) error {
	if !on {
		return t.write(ctx, p.dir+"/iser", "0")
	}
	err := t.write(ctx, p.dir+"/iser", "1")
	if errors.Is(err, syscall.EINVAL) && k.load(ctx, "ib_isert") == nil {
		err = t.write(ctx, p.dir+"/iser", "1")
	}
	if unless(err, syscall.EINVAL) != nil || err == nil {
		return err
	}
	return fault.Errorf(fault.ErrPrecondition, "portal %s: no iSER there (kernel module ib_isert, an RDMA network card): %w", p.at, err)
}

// verify looks at what was read back.
func verify(s TargetState, e *Export) error {
	if !s.Complete || s.Device != e.Device || s.Serial != e.Serial || len(s.Portals) != len(e.Portals) {
		return fault.Errorf(fault.ErrConflict, "somebody else changed the target at the same time")
	}
	return nil
}
