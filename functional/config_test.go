// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/cinderconf"
)

// standard is the configuration of a run that names none. It is in the binary,
// so that one made by go test -c runs anywhere.
//
//go:embed file.yaml
var standard []byte

// config is what a run is told.
type config struct {
	backends   []map[string]any
	defaults   map[string]any // section DEFAULT of a cinder.conf
	logs       bool
	debug      bool
	precision  int // decimals of GiB
	rootHelper string
	storage    string
	pool       string
}

// document is the YAML. It has exactly these keys.
type document struct {
	Backends      []map[string]any `yaml:"backends"`
	Logs          *bool            `yaml:"logs"`
	SizePrecision *int             `yaml:"size_precision"`
	VenvSudo      bool             `yaml:"venv_sudo"` // there is no virtual environment
	Debug         *bool            `yaml:"debug"`
}

// environment looks a variable up, as os.LookupEnv does.
type environment func(name string) (string, bool)

// readConfig reads the environment, and the file that it names. The file wins.
func readConfig(env environment) (config, error) {
	c, err := env.config()
	if err != nil {
		return config{}, err
	}
	name, text, err := env.file()
	if err != nil {
		return config{}, err
	}
	if filepath.Ext(name) == ".conf" {
		err = c.readConf(string(text))
	} else {
		err = c.readYAML(text)
	}
	if err == nil && len(c.backends) == 0 {
		err = errors.New("backends: there is none")
	}
	if err != nil {
		return config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// get gives a variable that is set and not empty.
func (env environment) get(name string) string {
	value, _ := env(name)
	return value
}

func (env environment) flag(name string, otherwise bool) (bool, error) {
	switch text := env.get(name); strings.ToLower(text) {
	case "":
		return otherwise, nil
	case "true", "t", "yes", "y", "on", "1": // distutils.util.strtobool
		return true, nil
	case "false", "f", "no", "n", "off", "0":
		return false, nil
	default:
		return false, fmt.Errorf("%s=%s is neither true nor false", name, text)
	}
}

// config reads all but the file.
func (env environment) config() (config, error) {
	c := config{rootHelper: "sudo", storage: "memory_db", pool: env.get("CL_FTEST_POOL_NAME")}
	if helper, set := env("CL_FTEST_ROOT_HELPER"); set { // empty is none
		c.rootHelper = helper
	}
	memory, errMemory := env.flag("CL_FTEST_MEMORY_PERSISTENCE", true)
	if memory {
		c.storage = "memory"
	}
	var errLogs, errDebug, errPrecision error
	c.logs, errLogs = env.flag("CL_FTEST_LOGGING", false)
	c.debug, errDebug = env.flag("CL_FTEST_DEBUG", false)
	if text := env.get("CL_FTEST_PRECISION"); text != "" {
		if c.precision, errPrecision = strconv.Atoi(text); errPrecision == nil {
			errPrecision = checkPrecision(c.precision)
		}
		if errPrecision != nil {
			errPrecision = fmt.Errorf("CL_FTEST_PRECISION: %w", errPrecision)
		}
	}
	return c, errors.Join(errMemory, errLogs, errDebug, errPrecision)
}

func checkPrecision(decimals int) error {
	if decimals < 0 {
		return fmt.Errorf("a precision of %d decimals is not possible", decimals)
	}
	return nil
}

// file finds the file and reads it.
func (env environment) file() (name string, text []byte, err error) {
	for _, variable := range []string{"CL_FTEST_CFG", "CL_FTESTS_CFG"} {
		if name := env.get(variable); name != "" {
			return readNear(name)
		}
	}
	return "file.yaml", standard, nil
}

// readNear reads a file. Tests run in the folder of their package, but a relative
// name is mostly meant from the folder that go test was called in, the module's.
func readNear(name string) (absolute string, text []byte, err error) {
	if absolute, err = filepath.Abs(name); err != nil {
		return "", nil, err
	}
	text, err = os.ReadFile(absolute)
	if filepath.IsAbs(name) || !errors.Is(err, fs.ErrNotExist) {
		return absolute, text, err
	}
	above, errAbove := filepath.Abs(filepath.Join("..", name))
	if errAbove != nil {
		return absolute, nil, err
	}
	if text, errAbove := os.ReadFile(above); errAbove == nil {
		return above, text, nil
	}
	return absolute, nil, err
}

func (c *config) readYAML(text []byte) error {
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := decoder.Decode(&document{}); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one YAML document")
	}
	c.backends = d.Backends
	if d.Logs != nil {
		c.logs = *d.Logs
	}
	if d.Debug != nil {
		c.debug = *d.Debug
	}
	if d.SizePrecision != nil {
		c.precision = *d.SizePrecision
	}
	return checkPrecision(c.precision)
}

func (c *config) readConf(text string) error {
	conf, err := cinderconf.Convert(text, func(driver string) ([]drivers.Option, error) {
		r, err := drivers.Lookup(driver)
		return r.Options, err
	})
	if err != nil {
		return err
	}
	c.backends, c.defaults = conf.Backends, conf.Defaults
	return nil
}
