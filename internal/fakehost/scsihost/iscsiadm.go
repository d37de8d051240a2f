// SPDX-License-Identifier: Apache-2.0

package scsihost

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
)

// defaults are settings of a new record (iscsid.conf).
var defaults = map[string]string{
	"node.startup": "manual", "node.session.scan": "auto", "node.session.initial_login_retry_max": "8",
	"node.session.auth.authmethod": "None", "node.session.auth.username": "", "node.session.auth.password": "",
}

// request is a command line of iscsiadm.
type request struct {
	iqn, iface, op string
	portal         netip.AddrPort
	names, values  []string
}

func parse(args []string) (r request, ok bool) {
	r.iface = "default"
	next := func(i *int) string {
		if *i++; *i < len(args) {
			return args[*i]
		}
		return ""
	}
	var err error
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-m":
			ok = next(&i) == "node"
		case "-T":
			r.iqn = next(&i)
		case "-p":
			r.portal, err = netip.ParseAddrPort(next(&i))
		case "-I":
			r.iface = next(&i)
		case "--op":
			r.op = next(&i)
		case "--login", "--logout":
			r.op = args[i]
		case "-n":
			r.names = append(r.names, next(&i))
		case "-v":
			r.values = append(r.values, next(&i))
		default:
			return r, false
		}
	}
	return r, ok && err == nil && len(r.names) == len(r.values)
}

func (r *request) record() string {
	return fmt.Sprintf("/etc/iscsi/nodes/%s/%s,%d", r.iqn, r.portal.Addr(), r.portal.Port())
}

func fails(code int, format string, args ...any) connector.Result {
	return connector.Result{Code: code, Stderr: fmt.Appendf(nil, "iscsiadm: "+format+"\n", args...)}
}

func (s *Sim) iscsiadm(ctx context.Context, args []string, _ []byte) connector.Result {
	r, ok := parse(args)
	if !ok {
		return fails(7, "invalid arguments")
	}
	if r.op == "--login" {
		return s.login(ctx, &r)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch r.op {
	case "new":
		if slices.ContainsFunc(s.sessions, r.is) {
			s.Violated("record of a session made anew")
		}
		s.write(&r, defaults)
		return connector.Result{Stdout: []byte("New iSCSI node added\n")}
	case "update":
		return s.update(&r)
	case "delete":
		if slices.ContainsFunc(s.sessions, r.is) {
			s.Violated("record of a session deleted")
			return fails(15, "This command will remove the record, but a session is using it. Logout session then rerun command to remove record.")
		}
		if !exists(s.Path(r.record())) {
			return fails(21, "No records found")
		}
		s.Drop(r.record())
		return connector.Result{}
	case "--logout":
		return s.logout(&r)
	}
	return fails(7, "invalid arguments")
}

func (r *request) is(n *session) bool {
	return strings.EqualFold(n.target.IQN, r.iqn) && n.portal == r.portal && n.iface == r.iface
}

func (s *Sim) write(r *request, settings map[string]string) {
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = %s\n", k, settings[k])
	}
	s.Put(r.record(), "# BEGIN RECORD 2.1.8\n"+text.String()+"# END RECORD\n")
}

func (s *Sim) read(r *request) map[string]string {
	data, err := os.ReadFile(s.Path(r.record()))
	if err != nil {
		return nil
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " ="); ok {
			settings[k] = strings.TrimSpace(v)
		}
	}
	return settings
}

func (s *Sim) update(r *request) connector.Result {
	settings := s.read(r)
	switch {
	case settings == nil:
		return fails(21, "No records found")
	case len(settings) == 0:
		return fails(6, "could not read record")
	}
	for i, name := range r.names {
		if _, known := defaults[name]; !known {
			return fails(7, "Cannot modify %s. Invalid param name.", name)
		}
		settings[name] = r.values[i]
	}
	s.write(r, settings)
	return connector.Result{}
}

func (s *Sim) login(ctx context.Context, r *request) connector.Result {
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		case <-s.Ended():
		}
	}
	s.Mu.Lock()
	settings, present, dead, down := s.read(r), slices.ContainsFunc(s.sessions, r.is), s.Dead[r.portal], s.NoIscsid
	t, listens := s.at(r)
	delay, timeout := s.Delay, s.LoginTimeout
	s.Mu.Unlock()
	switch {
	case settings == nil:
		return fails(21, "No records found")
	case present:
		return fails(15, "default: 1 session requested, but 1 already present.")
	case down:
		return fails(20, "can not connect to iSCSI daemon (111)!")
	case dead || !listens:
		pause(timeout)
		return fails(8, "initiator reported error (8 - connection timed out)")
	}
	pause(delay)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	chap := settings["node.session.auth.authmethod"] == "CHAP" && settings["node.session.auth.username"] == t.User && settings["node.session.auth.password"] == t.Password
	if t.User != "" && !chap {
		return fails(24, "initiator reported error (24 - iSCSI login failed due to authorization failure)")
	}
	if slices.ContainsFunc(s.sessions, r.is) {
		return fails(15, "default: 1 session requested, but 1 already present.")
	}
	n := s.addSession(t, r.portal, r.iface)
	if settings["node.session.scan"] != "manual" {
		s.Violated("login with a scan for all LUNs")
		s.scan(n, -1)
	}
	if s.HangAfterLogin {
		s.Mu.Unlock()
		<-ctx.Done()
		s.Mu.Lock()
	}
	return connector.Result{Stdout: []byte("Login successful.\n")}
}

// at finds the target of a request at its portal.
func (s *Sim) at(r *request) (*Target, bool) {
	for _, t := range s.targets {
		if strings.EqualFold(t.IQN, r.iqn) && slices.Contains(t.Portals, r.portal) {
			return t, true
		}
	}
	return nil, false
}

func (s *Sim) logout(r *request) connector.Result {
	if s.NoIscsid {
		return fails(20, "can not connect to iSCSI daemon (111)!")
	}
	found := false
	for _, n := range slices.Clone(s.sessions) {
		if r.is(n) {
			found = true
			s.dropSession(n)
		}
	}
	if !found {
		return fails(21, "No matching sessions found")
	}
	return connector.Result{}
}
