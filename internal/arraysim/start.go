// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// closeTimeout is how long the end of a test waits for requests.
const closeTimeout = 5 * time.Second

// Running is a Server on the loopback interface, until the end of a test.
type Running struct {
	*Server
	URL    string // https://127.0.0.1:port, without a path
	Host   string // 127.0.0.1
	Port   int
	CA     []byte // the certificate, in PEM, by which to trust it
	CAFile string // the same in a file
}

// Start serves an array until the end of a test. The certificate is made on the
// spot, and CA signed it.
func Start(tb testing.TB, a Array, o Options) *Running {
	tb.Helper()
	ca := newAuthority(tb)
	return start(tb, a, o, ca, ca)
}

// StartUntrusted is Start where CA did not sign the certificate: a client that
// verifies gives up.
func StartUntrusted(tb testing.TB, a Array, o Options) *Running {
	tb.Helper()
	return start(tb, a, o, newAuthority(tb), newAuthority(tb))
}

func newAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a, err := NewAuthority()
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func start(tb testing.TB, a Array, o Options, signs, shown *Authority) *Running {
	tb.Helper()
	certificate, err := signs.Issue("127.0.0.1", "localhost")
	if err != nil {
		tb.Fatal(err)
	}
	s := NewServer(a, o)
	endpoint, err := s.Listen(tb.Context(), "127.0.0.1:0", certificate)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), closeTimeout)
		defer cancel()
		if err := endpoint.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	r := &Running{Server: s, URL: endpoint.URL, Host: endpoint.Addr.IP.String(), Port: endpoint.Addr.Port, CA: shown.PEM()}
	r.CAFile = filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(r.CAFile, r.CA, 0o600); err != nil {
		tb.Fatal(err)
	}
	return r
}

// Client gives a further client that trusts CA and nothing else.
func (r *Running) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.CA)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
}
