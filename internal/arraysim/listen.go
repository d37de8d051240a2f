// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// headerTimeout is how long a client may take to say what it wants.
const headerTimeout = 30 * time.Second

// Endpoint is a Server on the network.
type Endpoint struct {
	URL  string       // https://host:port, without a path
	Addr *net.TCPAddr // of URL

	server *Server
	http   *http.Server
	done   chan error

	mu     sync.Mutex
	unused map[net.Conn]bool // connections that have brought no request yet
}

// Listen serves on an address with TLS, host:port or with port 0 any that is
// free, until Close. Only HTTP/1.1 is spoken, as a dropped connection of HTTP/2
// would be a reset stream.
func (s *Server) Listen(ctx context.Context, address string, certificate tls.Certificate) (*Endpoint, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(errors.New("not an address of TCP: "+address), listener.Close())
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	e := &Endpoint{
		URL: "https://" + addr.String(), Addr: addr, server: s, done: make(chan error, 1), unused: map[net.Conn]bool{},
		http: &http.Server{
			Handler:           s,
			ReadHeaderTimeout: headerTimeout,
			Protocols:         protocols,
			TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
			ErrorLog:          log.New(io.Discard, "", 0), // clients that refuse the certificate
		},
	}
	e.http.ConnState = e.note
	go func() { e.done <- e.http.ServeTLS(listener, "", "") }()
	return e, nil
}

func (e *Endpoint) note(c net.Conn, state http.ConnState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if state == http.StateNew {
		e.unused[c] = true
	} else {
		delete(e.unused, c)
	}
}

// closeUnused closes what a client has opened in reserve, for which Shutdown waits
// five seconds.
func (e *Endpoint) closeUnused() {
	e.mu.Lock()
	open := slices.Collect(maps.Keys(e.unused))
	e.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the client's loss
	}
}

// Close stops serving. Requests that a fault holds end at once; it waits for the
// others until ctx ends, then drops them. It must not be repeated.
func (e *Endpoint) Close(ctx context.Context) error {
	e.server.release()
	e.closeUnused()
	err := e.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, e.http.Close())
	}
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
