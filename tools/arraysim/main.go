// SPDX-License-Identifier: Apache-2.0

// Command arraysim serves a simulated storage array until it gets SIGINT or
// SIGTERM, for programs that speak to one. It begins with telling, in YAML, what
// to put into a configuration of the functional suite.
//
//	go run ./tools/arraysim solidfire [FLAGS]
//	go run ./tools/arraysim xtremio [FLAGS]
//
// It speaks TLS with a certificate of its own; with -cert-dir clients can verify
// it. With -state the array is after a start what it was before the last end.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/targets"
)

// closeTimeout is how long the end waits for requests.
const closeTimeout = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "arraysim:", err)
		os.Exit(1)
	}
}

// kind is an array that the program can be.
type kind struct {
	// flags adds those that only this kind has, and gives what makes the array
	// after they were read, with its data plane.
	flags func(f *flag.FlagSet) func(arraysim.Data) (arraysim.Array, error)
	// stanza gives the backend in a configuration, lines of YAML without indent.
	stanza func(s served) []string
}

// served is what a stanza is made of.
type served struct {
	host, user, password string
	port                 int
	ca                   string // a file; empty: none
}

// trust says by what the array's certificate is verified.
func (s served) trust() string {
	if s.ca == "" {
		return "driver_ssl_cert_verify: false"
	}
	return "driver_ssl_cert_path: " + strconv.Quote(s.ca)
}

var kinds = map[string]kind{"solidfire": {solidfireFlags, solidfireStanza}, "xtremio": {xtremioFlags, xtremioStanza}}

func names() string { return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ") }

// common are the flags of all kinds.
type common struct {
	listen, user, password, state, certificates, plane, data string
}

func run(ctx context.Context, args []string, out, trouble io.Writer) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintf(trouble, "usage: arraysim ARRAY [FLAGS]; arraysim ARRAY -help; arrays: %s\n", names())
		return cmp.Or(helped(args), errors.New("no array named"))
	}
	k, ok := kinds[args[0]]
	if !ok {
		return fmt.Errorf("unknown array %q: there are %s", args[0], names())
	}
	var o common
	f := flag.NewFlagSet("arraysim "+args[0], flag.ContinueOnError)
	f.SetOutput(trouble)
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` to serve on; port 0 is any that is free")
	f.StringVar(&o.user, "user", "admin", "`name` of who may log in")
	f.StringVar(&o.password, "password", "", "`password` of who may log in; made up if there is none")
	f.StringVar(&o.state, "state", "", "`file` to take the array's state from, and to save it to at the end")
	f.StringVar(&o.certificates, "cert-dir", "", "`folder` with the certificates, which are made if missing; ca.pem is the one to trust")
	f.StringVar(&o.plane, "data-plane", "none", "`where` the data is: none, or lio: what the array maps is an iSCSI target of this machine's kernel, as root; a machine that has nothing to lose")
	f.StringVar(&o.data, "data", "/var/tmp/arraysim", "`folder` of the data, for lio")
	open := k.flags(f)
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("too many arguments: %q", f.Args())
	}
	switch o.plane {
	case "none":
		return serve(ctx, o, arraysim.NoData{}, open, k, out)
	case "lio":
		plane, err := targets.New(o.data, targets.Options{Keep: o.state != "", Modprobe: modprobe})
		if err != nil {
			return err
		}
		err = serve(ctx, o, plane, open, k, out)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return errors.Join(err, plane.Close(closing))
	}
	return fmt.Errorf("unknown data plane %q: there are none and lio", o.plane)
}

func modprobe(ctx context.Context, module string) error {
	out, err := exec.CommandContext(ctx, "modprobe", module).CombinedOutput()
	if err != nil {
		return fmt.Errorf("modprobe %s: %w: %s", module, err, bytes.TrimSpace(out))
	}
	return nil
}

func helped(args []string) error {
	if slices.ContainsFunc(args, func(a string) bool { return strings.TrimLeft(a, "-") == "help" || a == "-h" }) {
		return flag.ErrHelp
	}
	return nil
}

func serve(ctx context.Context, o common, data arraysim.Data, open func(arraysim.Data) (arraysim.Array, error), k kind, out io.Writer) (err error) {
	array, err := open(data)
	if err != nil {
		return err
	}
	if o.state != "" {
		if _, err := arraysim.Load(o.state, array); err != nil {
			return err
		}
		if err := arraysim.Save(o.state, array); err != nil { // what cannot be saved is known at the start
			return err
		}
	}
	if err := array.Publish(ctx); err != nil {
		return err
	}
	certificate, ca, err := certify(o)
	if err != nil {
		return err
	}
	password := cmp.Or(o.password, rand.Text())
	server := arraysim.NewServer(array, arraysim.Options{User: o.user, Password: password})
	endpoint, err := server.Listen(ctx, o.listen, certificate)
	if err != nil {
		return err
	}
	stanza := k.stanza(served{reachable(endpoint.Addr.IP), o.user, password, endpoint.Addr.Port, ca})
	_, err = fmt.Fprintf(out, "backends:\n  - %s\n", strings.Join(stanza, "\n    "))
	if err == nil {
		<-ctx.Done()
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err = errors.Join(err, endpoint.Close(closing))
	if o.state != "" {
		err = errors.Join(err, arraysim.Save(o.state, array))
	}
	return err
}

// reachable gives an address for one that means all of them.
func reachable(ip net.IP) string {
	switch {
	case !ip.IsUnspecified():
		return ip.String()
	case ip.To4() != nil:
		return "127.0.0.1"
	}
	return "::1"
}

// certify gives the server's certificate, and the file of that of its authority.
func certify(o common) (tls.Certificate, string, error) {
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(hosts, host) {
		hosts = append(hosts, host)
	}
	if o.certificates != "" {
		folder, err := filepath.Abs(o.certificates)
		if err != nil {
			return tls.Certificate{}, "", err
		}
		return arraysim.Certificate(folder, hosts...)
	}
	authority, err := arraysim.NewAuthority()
	if err != nil {
		return tls.Certificate{}, "", err
	}
	certificate, err := authority.Issue(hosts...)
	return certificate, "", err
}
