// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/iscsi"
	"github.com/gocinder/cinderlib/connector/local"
	"github.com/gocinder/cinderlib/connector/rbd"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lock"
	"github.com/gocinder/cinderlib/persistence"

	_ "github.com/gocinder/cinderlib/persistence/memory" // the default store
)

// The ids that new volumes get unless WithProjectID and WithUserID say
// otherwise.
const (
	DefaultProjectID = "cinderlib"
	DefaultUserID    = "cinderlib"
)

// Library is one set of settings with its store and its backends. Several may
// live in one process. It is safe for use from any goroutine.
type Library struct {
	settings settings
	log      *slog.Logger
	host     *connector.Host
	hostName string

	connectors map[string]connector.Connector
	keyed      lock.Keyed
	files      *lazyLocks

	mu       sync.Mutex
	store    persistence.Store
	ownStore bool // opened by name: closed with the library
	backends map[string]*Backend
	order    []string
	closed   bool
	running  int
	idle     chan struct{} // closed when running falls to 0 after Close began
}

// New makes a Library. Without options it keeps metadata in memory, logs nothing
// and uses sudo where it is not root. What an option has wrong is ErrInvalid;
// WithFileLocksPath and WithPersistence may fail as the file system or database
// does.
func New(opts ...Option) (*Library, error) {
	s := defaults()
	for _, o := range opts {
		if err := o.apply(&s); err != nil {
			return nil, err
		}
	}
	return s.open(context.Background())
}

func (s settings) open(ctx context.Context) (*Library, error) {
	l := &Library{
		settings: s,
		log:      s.logger,
		hostName: s.host,
		backends: map[string]*Backend{},
	}
	if l.hostName == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name of this machine: %w", err)
		}
		l.hostName = name
	}
	l.files = &lazyLocks{path: s.locksPath}
	if s.locksPath == "" {
		l.files.path = defaultLocksPath()
	} else if _, err := l.files.open(); err != nil {
		return nil, err
	}
	l.host = s.connectorHost
	if l.host == nil {
		l.host = &connector.Host{Run: connector.NewRunner(s.rootHelper, l.log)}
	}
	if l.host.Locks == nil {
		l.host.Locks = l.files
	}
	if l.host.Log == nil {
		l.host.Log = l.log
	}
	if l.host.Files == nil {
		l.host.Files = connector.NewFiles(l.host.Run)
	}
	if l.host.Name == "" {
		l.host.Name = s.host
	}
	if l.host.IP == "" {
		l.host.IP = s.myIP()
	}
	overISCSI := iscsi.New(l.host)
	l.connectors = map[string]connector.Connector{
		connector.ProtocolLocal: local.New(l.host),
		connector.ProtocolISCSI: overISCSI, connector.ProtocolISER: overISCSI,
		connector.ProtocolRBD: rbd.New(l.host),
	}
	for protocol, factory := range s.connectors {
		l.connectors[protocol] = factory(l.host)
	}
	store, own, err := l.openStore(ctx, s.persistence)
	if err != nil {
		l.files.close()
		return nil, err
	}
	l.store, l.ownStore = store, own
	return l, nil
}

func (l *Library) openStore(ctx context.Context, config map[string]any) (persistence.Store, bool, error) {
	_, instance := config["storage"].(persistence.Store)
	store, err := persistence.Open(ctx, persistence.Env{Log: l.log}, config)
	return store, !instance, err
}

// Close refuses new operations, waits until the running ones are done or ctx
// ends, then closes the backends' drivers and a store that was opened by name.
// It may be called twice.
func (l *Library) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	idle := make(chan struct{})
	l.idle = idle
	if l.running == 0 {
		close(idle)
	}
	store, own := l.store, l.ownStore
	backends := make([]*Backend, 0, len(l.order))
	for _, name := range l.order {
		backends = append(backends, l.backends[name])
	}
	l.mu.Unlock()

	var errs []error
	select {
	case <-idle:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("close: operations are still running: %w", ctx.Err()))
	}
	for _, b := range slices.Backward(backends) {
		if err := b.driver.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close backend %s: %w", b.name, err))
		}
	}
	if own {
		if err := store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close store: %w", err))
		}
	}
	l.files.close()
	return join(errs...)
}

// enter counts an operation in; Close waits for it to leave.
func (l *Library) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errorf(ErrClosed, "the library was closed")
	}
	l.running++
	return nil
}

func (l *Library) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if l.running == 0 && l.idle != nil {
		close(l.idle)
	}
}

// Persistence returns the store in use.
func (l *Library) Persistence() persistence.Store {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.store
}

// SetPersistence opens another store and uses it from now on. Nothing is copied
// and no handle is altered: persistence.Copy moves the records before, or a dump
// and a load with WithSave, which leave key-values behind. The store in use before is closed if it was opened by name, so no
// operation should be running.
func (l *Library) SetPersistence(ctx context.Context, config map[string]any) error {
	store, own, err := l.openStore(ctx, config)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old, owned := l.store, l.ownStore
	l.store, l.ownStore = store, own
	l.mu.Unlock()
	if owned && old != store {
		return old.Close()
	}
	return nil
}

// Backends returns the backends by name.
func (l *Library) Backends() map[string]*Backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]*Backend, len(l.backends))
	maps.Copy(all, l.backends)
	return all
}

// Backend returns the backend of that name, nil if there is none.
func (l *Library) Backend(name string) *Backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backends[name]
}

// HostProperties describes this host to an array: what another program passes to
// Volume.Connect on behalf of this host.
func (l *Library) HostProperties(ctx context.Context, o connector.PropertiesOptions) (*connector.Properties, error) {
	return l.host.Properties(ctx, o)
}

// lookup finds a driver given with WithDriver, or a registered one.
func (l *Library) lookup(name string) (drivers.Registration, error) {
	for _, r := range l.settings.drivers {
		if r.Name == name || slices.Contains(r.Aliases, name) {
			return r, nil
		}
	}
	return drivers.Lookup(name)
}
