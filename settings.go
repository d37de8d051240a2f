// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/optdecode"
	"github.com/gocinder/cinderlib/persistence"
)

// Option is an option of New and Setup.
type Option interface{ apply(*settings) error }

type settings struct {
	logger          *slog.Logger
	locksPath       string
	rootHelper      string
	nonUUIDs        bool
	outputAll       bool
	missingBackends bool
	lenient         bool
	quietTLS        bool
	projectID       string
	userID          string
	host            string
	persistence     map[string]any
	global          map[string]any // further options, for references
	connectors      map[string]connector.Factory
	connectorHost   *connector.Host
	drivers         []drivers.Registration
}

func defaults() settings {
	return settings{
		logger:     slog.New(slog.DiscardHandler),
		rootHelper: "sudo",
		quietTLS:   true,
		projectID:  DefaultProjectID,
		userID:     DefaultUserID,
	}
}

type option func(*settings) error

func (o option) apply(s *settings) error { return o(s) }

func setting(f func(*settings)) Option {
	return option(func(s *settings) error { f(s); return nil })
}

// WithLogger sets the logger. The library is silent without one; with one it
// logs steps at Debug and what it had to leave behind at Warn.
func WithLogger(log *slog.Logger) Option {
	return setting(func(s *settings) {
		if log != nil {
			s.logger = log
		}
	})
}

// WithFileLocksPath sets the folder of the locks that keep several processes
// apart. All processes on a host that share backends or devices must use the
// same. It is made if it is absent. The default is /run/lock/cinderlib for root,
// otherwise a folder of the user's.
func WithFileLocksPath(path string) Option {
	return setting(func(s *settings) { s.locksPath = path })
}

// WithRootHelper sets the command that gives root's rights to a process that is
// not root; the default is sudo, empty is none.
func WithRootHelper(command string) Option {
	return setting(func(s *settings) { s.rootHelper = command })
}

// WithSuppressRequestsSSLWarnings says whether drivers keep quiet about servers
// whose certificates they do not verify; the default is true.
func WithSuppressRequestsSSLWarnings(quiet bool) Option {
	return setting(func(s *settings) { s.quietTLS = quiet })
}

// WithNonUUIDs allows ids that are not UUIDs: up to 128 letters, digits and _,
// after the first character also any of -.:@+=.
func WithNonUUIDs() Option { return setting(func(s *settings) { s.nonUUIDs = true }) }

// WithOutputAllBackendInfo puts the whole configuration of backends into their
// JSON, secrets in clear, so that another process can make them from it.
func WithOutputAllBackendInfo() Option { return setting(func(s *settings) { s.outputAll = true }) }

// WithMissingBackends lets objects be loaded whose backend is not set up in this
// process: such a Connection attaches and detaches, other verbs are
// ErrNoBackend. In the Python library it is fail_on_missing_backend=False.
func WithMissingBackends() Option { return setting(func(s *settings) { s.missingBackends = true }) }

// WithLenientOptions makes unknown options of backends a warning in the log
// instead of an error.
func WithLenientOptions() Option { return setting(func(s *settings) { s.lenient = true }) }

// WithProjectID sets the project id of new volumes.
func WithProjectID(id string) Option { return setting(func(s *settings) { s.projectID = id }) }

// WithUserID sets the user id of new volumes.
func WithUserID(id string) Option { return setting(func(s *settings) { s.userID = id }) }

// WithHostName sets the name of this host, the first part of a new volume's host
// field and of HostProperties; the default is the machine's.
func WithHostName(name string) Option { return setting(func(s *settings) { s.host = name }) }

// WithPersistence chooses the store: "storage" is a registered name, or a
// persistence.Store; the other keys are its options.
func WithPersistence(config map[string]any) Option {
	config = maps.Clone(config)
	return setting(func(s *settings) { s.persistence = config })
}

// WithStore uses a store of the program's own, which the library does not close.
func WithStore(store persistence.Store) Option {
	return WithPersistence(map[string]any{"storage": store})
}

// WithConnector adds the connector of a transport, or replaces it.
func WithConnector(protocol string, factory connector.Factory) Option {
	return setting(func(s *settings) {
		s.connectors = maps.Clone(s.connectors)
		if s.connectors == nil {
			s.connectors = map[string]connector.Factory{}
		}
		s.connectors[protocol] = factory
	})
}

// WithConnectorHost uses a host of the program's own making, as tests do.
func WithConnectorHost(h *connector.Host) Option {
	return setting(func(s *settings) { s.connectorHost = h })
}

// WithDriver makes a driver known to this Library alone.
func WithDriver(r drivers.Registration) Option {
	return setting(func(s *settings) { s.drivers = append(slices.Clip(s.drivers), r) })
}

// setupConfig are the arguments of the Python library's setup.
type setupConfig struct {
	FileLocksPath        string `option:"file_locks_path" help:"folder of the locks between processes"`
	RootHelper           string `option:"root_helper" default:"sudo" help:"command that gives root's rights; empty is none"`
	SuppressSSLWarnings  bool   `option:"suppress_requests_ssl_warnings" default:"true" help:"no warning of unverified certificates"`
	DisableLogs          bool   `option:"disable_logs" default:"true" help:"no logs; otherwise they go to the program's default logger"`
	NonUUIDs             bool   `option:"non_uuid_ids" default:"false" help:"allow ids that are not UUIDs"`
	OutputAllBackendInfo bool   `option:"output_all_backend_info" default:"false" help:"whole backend configuration in JSON, secrets included"`
	ProjectID            string `option:"project_id" default:"cinderlib" help:"project id of new volumes"`
	UserID               string `option:"user_id" default:"cinderlib" help:"user id of new volumes"`
	FailOnMissingBackend bool   `option:"fail_on_missing_backend" default:"true" help:"refuse objects whose backend is not set up"`
	Host                 string `option:"host" help:"name of this host"`
}

// WithConfig takes the arguments of the Python library's setup by their names:
// file_locks_path, root_helper, suppress_requests_ssl_warnings, disable_logs,
// non_uuid_ids, output_all_backend_info, project_id, user_id,
// persistence_config, fail_on_missing_backend and host; what the map lacks stays
// as it is. Any other key is an
// option of Cinder's [DEFAULT] section: backends can refer to it as $name, and
// my_ip is the address of this host.
func WithConfig(config map[string]any) Option {
	config = maps.Clone(config)
	return option(func(s *settings) error {
		known := map[string]any{}
		global := maps.Clone(s.global)
		if global == nil {
			global = map[string]any{}
		}
		names := map[string]bool{}
		for _, o := range optdecode.Describe[setupConfig]() {
			names[o.Name] = true
		}
		for key, value := range config {
			switch {
			case key == "persistence_config":
				switch v := value.(type) {
				case nil:
				case map[string]any:
					s.persistence = maps.Clone(v)
				default:
					return invalid("setup: persistence_config is %T, not a map", value)
				}
			case names[key]:
				if value != nil {
					known[key] = value
				}
			default:
				global[key] = value
			}
		}
		c, _, err := optdecode.Decode[setupConfig](known, false)
		if err != nil {
			return fmt.Errorf("setup: %w", err)
		}
		for key := range known {
			c.assign(s, key)
		}
		s.global = global
		return nil
	})
}

// assign takes over the argument called key.
func (c *setupConfig) assign(s *settings, key string) {
	switch key {
	case "file_locks_path":
		s.locksPath = c.FileLocksPath
	case "root_helper":
		s.rootHelper = c.RootHelper
	case "suppress_requests_ssl_warnings":
		s.quietTLS = c.SuppressSSLWarnings
	case "disable_logs":
		s.logger = slog.New(slog.DiscardHandler)
		if !c.DisableLogs {
			s.logger = slog.Default()
		}
	case "non_uuid_ids":
		s.nonUUIDs = c.NonUUIDs
	case "output_all_backend_info":
		s.outputAll = c.OutputAllBackendInfo
	case "project_id":
		s.projectID = c.ProjectID
	case "user_id":
		s.userID = c.UserID
	case "fail_on_missing_backend":
		s.missingBackends = !c.FailOnMissingBackend
	case "host":
		s.host = c.Host
	}
}

// myIP is the my_ip option, otherwise the first address of this machine that is
// not a loopback, as Cinder finds it.
func (s settings) myIP() string {
	if ip, ok := s.global["my_ip"].(string); ok {
		return ip
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}
