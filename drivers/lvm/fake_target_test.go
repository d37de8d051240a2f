// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
)

// fakeTarget is the target side of a kernel. It refuses what internal/lio does,
// and holds the LVs that it exports open.
type fakeTarget struct {
	lvm *fakeLVM

	mu      sync.Mutex
	ready   error
	exports map[string]*fakeExport
	calls   int // that change something
}

type fakeExport struct {
	lio.Export
	lv       *fakeLV
	acls     map[string]lio.Initiator
	sessions []lio.Session
}

func newTarget(f *fakeLVM) *fakeTarget { return &fakeTarget{lvm: f, exports: map[string]*fakeExport{}} }

func (t *fakeTarget) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("lio: get ready: %w", err)
	}
	return t.ready
}

// begin is what every call begins with.
func (t *fakeTarget) begin(ctx context.Context, iqn string) (*fakeExport, error) {
	t.mu.Lock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lio: %s: %w", iqn, err)
	}
	if err := lio.CheckIQN(iqn); err != nil {
		return nil, fmt.Errorf("lio: %s: %w", iqn, err)
	}
	return t.exports[iqn], nil
}

// device gives the LV behind a path.
func (t *fakeTarget) device(path string) *fakeLV {
	to, err := os.Readlink(t.lvm.host.Path(path))
	if err != nil {
		return nil
	}
	t.lvm.mu.Lock()
	defer t.lvm.mu.Unlock()
	for _, l := range t.lvm.lvs {
		if strings.HasSuffix(l.content, strings.TrimPrefix(to, "..")) {
			return l
		}
	}
	return nil
}

func (t *fakeTarget) hold(l *fakeLV, n int) {
	t.lvm.mu.Lock()
	defer t.lvm.mu.Unlock()
	l.open += n
}

func (t *fakeTarget) Export(ctx context.Context, e lio.Export) error {
	x, err := t.begin(ctx, e.IQN)
	defer t.mu.Unlock()
	if err != nil {
		return err
	}
	l := t.device(e.Device)
	switch {
	case l == nil:
		return drivers.Errorf(drivers.ErrNotFound, "lio: export: %s: no such device", e.Device)
	case e.Serial == "" || len(e.Portals) == 0 || strings.ContainsAny(e.Device, ",\n"):
		return drivers.Errorf(drivers.ErrInvalid, "lio: export: %+v", e)
	case x == nil:
		t.lvm.mu.Lock()
		defer t.lvm.mu.Unlock()
		if l.open > 0 {
			return drivers.Errorf(drivers.ErrInUse, "lio: export: %s: somebody else holds it", e.Device)
		}
		l.open++
		t.calls++
		t.exports[e.IQN] = &fakeExport{Export: e, lv: l, acls: map[string]lio.Initiator{}}
		return nil
	case x.lv == l && x.Serial == e.Serial && x.ReadOnly == e.ReadOnly:
	case len(x.sessions) > 0:
		return drivers.Errorf(drivers.ErrInUse, "lio: export: another device is exported, and in use by %s", x.sessions[0].Initiator)
	default:
		t.hold(x.lv, -1)
		t.hold(l, 1)
		x.lv = l
	}
	x.Export = e
	return nil
}

func (t *fakeTarget) Unexport(ctx context.Context, iqn string) error {
	x, err := t.begin(ctx, iqn)
	defer t.mu.Unlock()
	if err != nil || x == nil {
		return err
	}
	t.calls++
	delete(t.exports, iqn)
	t.hold(x.lv, -1)
	return nil
}

func (t *fakeTarget) Allow(ctx context.Context, iqn string, i lio.Initiator) error {
	x, err := t.begin(ctx, iqn)
	defer t.mu.Unlock()
	switch {
	case err != nil:
		return err
	case i.IQN == "" || i.User == "" || i.Password.Reveal() == "":
		return drivers.Errorf(drivers.ErrInvalid, "lio: allow: incomplete")
	case x == nil:
		return drivers.Errorf(drivers.ErrNotFound, "lio: allow: no such target")
	}
	i.IQN = strings.ToLower(i.IQN)
	if have, ok := x.acls[i.IQN]; ok && i.KeepWrite && !have.ReadOnly {
		i.ReadOnly = false
	}
	i.KeepWrite = false
	x.acls[i.IQN] = i
	t.calls++
	return nil
}

func (t *fakeTarget) Disallow(ctx context.Context, iqn, initiator string) error {
	x, err := t.begin(ctx, iqn)
	defer t.mu.Unlock()
	if err != nil || x == nil {
		return err
	}
	initiator = strings.ToLower(initiator)
	delete(x.acls, initiator)
	x.sessions = slices.DeleteFunc(x.sessions, func(s lio.Session) bool { return s.Initiator == initiator })
	t.calls++
	return nil
}

func (t *fakeTarget) Sessions(ctx context.Context, iqn string) ([]lio.Session, error) {
	x, err := t.begin(ctx, iqn)
	defer t.mu.Unlock()
	if err == nil && x == nil {
		err = drivers.Errorf(drivers.ErrNotFound, "lio: sessions of %s: no such target", iqn)
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(x.sessions), nil
}

func (t *fakeTarget) Target(ctx context.Context, iqn string) (*lio.TargetState, error) {
	x, err := t.begin(ctx, iqn)
	defer t.mu.Unlock()
	if errors.Is(err, drivers.ErrInvalid) || err == nil && x == nil {
		return nil, nil // there is nothing of that name
	}
	if err != nil {
		return nil, err
	}
	return &lio.TargetState{
		IQN: iqn, Device: x.Device, Serial: x.Serial, Portals: slices.Clone(x.Portals), Enabled: true,
		Initiators: slices.Sorted(maps.Keys(x.acls)), Complete: true,
	}, nil
}

// login is what an initiator does that is allowed to.
func (t *fakeTarget) login(iqn, initiator string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.exports[iqn]
	x.sessions = append(x.sessions, lio.Session{Initiator: initiator, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}})
}

func (t *fakeTarget) logout(iqn string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exports[iqn].sessions = nil
}

// export gives what is exported under a name, nil if nothing is.
func (t *fakeTarget) export(iqn string) *fakeExport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exports[iqn]
}
