// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// dial tells whether a portal takes connections.
func dial(ctx context.Context, portal netip.AddrPort) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", portal.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// ended is the error of ctx, also when its deadline is over and nobody has told
// it yet: a dialer looks at the clock.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// reach waits until a portal takes connections.
func (j *job) reach(ctx context.Context, portal netip.AddrPort) error {
	if j.dial == nil || j.iser { // RDMA has other addresses and ports
		return nil
	}
	limit := j.limits.portal
	if len(j.targets) > 1 {
		limit /= 2 // others may do
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	for {
		err := j.dial(bounded, portal)
		switch {
		case err == nil:
			return nil
		case ended(ctx) != nil:
			return fmt.Errorf("portal %s: %w", portal, ended(ctx))
		case errors.Is(err, syscall.ECONNREFUSED) && time.Since(start) < j.limits.refused:
			if err := poll.Pause(ctx, j.limits.refused/8); err != nil {
				return err
			}
			continue
		}
		return connector.Errorf(connector.ErrUnavailable, "portal %s: %w", portal, err)
	}
}

// connect gives p a session that works, one that is there if it can be.
func (j *job) connect(ctx context.Context, p *path) error {
	have := j.to(&p.target)
	if len(have) > 0 {
		if s, err := j.revive(ctx, &p.target); s != nil || err != nil {
			p.session, p.sessionBefore = s, s != nil
			return err
		}
	}
	if err := j.reach(ctx, p.portal); err != nil {
		return err
	}
	if len(have) > 0 {
		if err := j.discard(ctx, p); err != nil {
			return err
		}
	}
	n := j.node(&p.target)
	p.touched = true
	if err := j.prepare(ctx, n); err != nil {
		return err
	}
	_, err := j.iscsiadm(ctx, j.limits.login, connector.Command{Args: n.args("--login"), OK: []int{codeExists}})
	if errors.Is(err, connector.ErrUnauthenticated) {
		return err
	}
	// The session counts, whatever was said: iscsiadm 2.1.10 hangs after a login
	// without a scan (open-iscsi issue 484), and kernel and iscsid take their time.
	wait := j.limits.session
	if err != nil {
		wait = 0
	}
	_, ended := poll.Until(ctx, wait, func() (bool, error) {
		p.session = j.working(&p.target)
		return p.session != nil, nil
	})
	switch {
	case p.session != nil:
		return nil
	case err != nil || ended != nil:
		return fault.Join(err, ended)
	}
	return connector.Errorf(connector.ErrUnavailable, "logged in, and no session is there")
}

// working finds a session to t that is logged in.
func (j *job) working(t *target) *session {
	for _, s := range j.to(t) {
		if s.state(j.host) == loggedIn {
			return s
		}
	}
	return nil
}

// revive waits a while for a session that is there to work. It gives nil for one
// that does not and may be put away: no disk of another LUN is in it.
func (j *job) revive(ctx context.Context, t *target) (*session, error) {
	var s *session
	_, err := poll.Until(ctx, j.limits.session, func() (bool, error) {
		s = j.working(t)
		return s != nil || len(j.to(t)) == 0, nil
	})
	if s != nil || err != nil {
		return s, err
	}
	for _, s := range j.to(t) {
		for _, d := range s.disks(j.host) {
			if d.Address.LUN != t.lun {
				return nil, connector.Errorf(connector.ErrUnavailable, "session %d is %s, and has %s of others", s.id, s.state(j.host), d.Node())
			}
		}
	}
	return nil, nil
}

// discard ends sessions that do not work, with the disks that nobody uses: their
// target or its credentials may be others by now, which they would never learn.
func (j *job) discard(ctx context.Context, p *path) error {
	have := j.to(&p.target)
	for _, s := range have {
		if d, ok := s.disk(j.host, p.lun); ok {
			j.stale.Lock()
			err := j.removeUnused(ctx, d)
			j.stale.Unlock()
			if err != nil {
				return connector.Errorf(connector.ErrUnavailable, "session %d is %s: %w", s.id, s.state(j.host), err)
			}
		}
	}
	for _, s := range have {
		if err := j.logout(ctx, s.of(), func() bool { return len(j.on(s.of())) > 0 }); err != nil {
			return err
		}
	}
	return nil
}
