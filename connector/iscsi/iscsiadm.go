// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/poll"
)

// Exit codes of iscsiadm (open-iscsi, include/iscsi_err.h).
const (
	codeTransport   = 4
	codeLogin       = 5
	codeDatabase    = 6
	codeConnTimeout = 8
	codeInternal    = 9 // also: the session is in no state for this now
	codePDUTimeout  = 11
	codeNoModule    = 12
	codeNoAccess    = 13
	codeExists      = 15
	codeIscsidComm  = 18
	codeFatalLogin  = 19
	codeNoIscsid    = 20
	codeNotFound    = 21
	codeAuth        = 24
	codeBusy        = 28
	codeAgain       = 29
	codeNotConn     = 32
	codeTimedOut    = 33
)

// node is a target at a portal, as iscsiadm names it. There is one record for
// each in its database.
type node struct {
	iqn, portal string
	iser        bool
}

func (j *job) node(t *target) node { return node{iqn: t.iqn, portal: t.portal.String(), iser: j.iser} }

func (n node) args(more ...string) []string {
	args := []string{"iscsiadm", "-m", "node", "-T", n.iqn, "-p", n.portal}
	if n.iser {
		args = append(args, "-I", "iser")
	}
	return append(args, more...)
}

// iscsiadm runs it. The end of ctx does not end it: that could leave its database
// locked. What is busy is tried again.
func (c *iscsi) iscsiadm(ctx context.Context, limit time.Duration, command connector.Command) (connector.Result, error) {
	command.Root = true
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return connector.Result{Code: -1}, err
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		r, err := c.host.Run.Run(bounded, command)
		late := bounded.Err() != nil
		cancel()
		switch {
		case err == nil:
			return r, nil
		case late:
			return r, connector.Errorf(connector.ErrUnavailable, "no answer within %s: %w", limit, err)
		case attempt < 4 && slices.Contains([]int{codeDatabase, codeBusy, codeAgain}, r.Code):
			if err := poll.Pause(ctx, time.Duration(attempt)*200*time.Millisecond); err != nil {
				return r, err
			}
			continue
		}
		return r, explain(r.Code, err)
	}
}

// explain marks an error of iscsiadm as what it is.
func explain(code int, err error) error {
	switch code {
	case codeAuth:
		return connector.Errorf(connector.ErrUnauthenticated, "the target refuses the CHAP credentials, or this initiator: %w", err)
	case codeTransport, codeLogin, codeConnTimeout, codePDUTimeout, codeNotConn, codeTimedOut, codeBusy, codeAgain, codeFatalLogin:
		return connector.Errorf(connector.ErrUnavailable, "%w", err)
	case codeNoModule:
		return connector.Errorf(connector.ErrUnavailable, "the kernel module of the transport is missing (iscsi_tcp, ib_iser): %w", err)
	case codeNoIscsid, codeIscsidComm:
		return connector.Errorf(connector.ErrUnavailable, "iscsid does not answer, is it running? %w", err)
	case codeNoAccess:
		return connector.Errorf(connector.ErrPermission, "%w", err)
	}
	return err
}

// The places of the database of node records: that of Debian, and that of others.
var databases = []string{"/etc/iscsi/nodes", "/var/lib/iscsi/nodes"}

// record looks for the record of a node. known is false if the database cannot be
// read: it is root's.
func (c *iscsi) record(n node) (there, known bool) {
	portal, err := netip.ParseAddrPort(n.portal)
	for _, database := range databases {
		entries, readErr := os.ReadDir(filepath.Join(c.host.Path(database), n.iqn))
		if errors.Is(readErr, os.ErrPermission) {
			return false, false
		}
		for _, e := range entries {
			// ADDRESS,PORT, a file or, of newer ones, a folder with the tag of the group too.
			part := strings.Split(e.Name(), ",")
			if len(part) < 2 {
				continue
			}
			port, _ := strconv.ParseUint(part[1], 10, 16)
			addr, addrErr := netip.ParseAddr(part[0])
			if err == nil && addrErr == nil && plain(netip.AddrPortFrom(addr, uint16(port))) == portal || part[0]+":"+part[1] == n.portal {
				return true, true
			}
		}
	}
	return false, true
}

// loginRetries is how often iscsid tries again: another portal, or the next call,
// is better than a wait of two minutes.
const loginRetries = "1"

// prepare makes the record of a node what it must be. --op new would make it anew
// with the host's defaults, so it is for one that is missing.
func (j *job) prepare(ctx context.Context, n node) error {
	if there, _ := j.record(n); !there {
		if err := j.newRecord(ctx, n); err != nil {
			return err
		}
	}
	r, err := j.iscsiadm(ctx, j.limits.iscsiadm, j.update(n))
	if err != nil && (r.Code == codeDatabase || r.Code == codeNotFound) { // half written, or gone since
		if err := j.newRecord(ctx, n); err != nil {
			return err
		}
		_, err = j.iscsiadm(ctx, j.limits.iscsiadm, j.update(n))
	}
	return err
}

func (j *job) newRecord(ctx context.Context, n node) error {
	_, err := j.iscsiadm(ctx, j.limits.iscsiadm, connector.Command{Args: n.args("--op", "new"), OK: []int{codeExists}})
	return err
}

// update sets all that matters at once: no scan for every LUN at login, no login
// when the host starts.
func (j *job) update(n node) connector.Command {
	c := connector.Command{Args: n.args("--op", "update")}
	set := func(key, value string) { c.Args = append(c.Args, "-n", key, "-v", value) }
	set("node.session.scan", "manual")
	set("node.startup", "manual")
	set("node.session.initial_login_retry_max", loginRetries)
	if d := j.data; d.AuthMethod != "" {
		set("node.session.auth.authmethod", d.AuthMethod)
		set("node.session.auth.username", d.AuthUsername)
		c.Secret = append(c.Secret, len(c.Args)-1)
		set("node.session.auth.password", d.AuthPassword.Reveal())
		c.Secret = append(c.Secret, len(c.Args)-1)
	}
	return c
}

// forget deletes the record of a node.
func (c *iscsi) forget(ctx context.Context, n node) error {
	if there, known := c.record(n); known && !there {
		return nil
	}
	_, err := c.iscsiadm(ctx, c.limits.iscsiadm, connector.Command{Args: n.args("--op", "delete"), OK: []int{codeNotFound}})
	return err
}

// logout ends all sessions of a node, and sees them gone.
func (c *iscsi) logout(ctx context.Context, n node, left func() bool) error {
	command := connector.Command{Args: n.args("--logout"), OK: []int{codeNotFound}}
	start := time.Now()
	for attempt := 1; ; attempt++ {
		r, err := c.iscsiadm(ctx, c.limits.iscsiadm, command)
		gone, pollErr := poll.Until(ctx, c.limits.session, func() (bool, error) { return err != nil || !left(), nil })
		switch {
		case pollErr != nil:
			return pollErr
		case !left():
			return nil
		case time.Since(start) < c.limits.login && (r.Code == codeInternal || err == nil): // it is in the middle of a login
			if err := poll.Pause(ctx, min(time.Duration(attempt), 8)*250*time.Millisecond); err != nil {
				return err
			}
			continue
		case err == nil && !gone:
			err = connector.Errorf(connector.ErrUnavailable, "the session is still there")
		}
		return err
	}
}
