// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
)

// variables is an environment.
func variables(values map[string]string) environment {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// writeConfig makes a file of a configuration.
func writeConfig(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const oneBackend = "backends:\n- volume_backend_name: b\n  volume_driver: file\n  file_directory: /nowhere\n"

func TestConfigStandard(t *testing.T) {
	t.Parallel()
	c, err := readConfig(variables(nil))
	require.NoError(t, err)
	require.Len(t, c.backends, 2)
	assert.Equal(t, "sudo", c.rootHelper)
	assert.Equal(t, "memory", c.storage)
	assert.False(t, c.logs)
	assert.False(t, c.debug)
	assert.Zero(t, c.precision)
	assert.Empty(t, c.pool)
}

func TestConfigEnvironment(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"CL_FTESTS_CFG": writeConfig(t, "other.yaml", "logs: true\n"+oneBackend+"venv_sudo: true\n"),
		"CL_FTEST_CFG":  "", "CL_FTEST_ROOT_HELPER": "", "CL_FTEST_MEMORY_PERSISTENCE": "no", "CL_FTEST_POOL_NAME": "gold",
		"CL_FTEST_LOGGING": "false", "CL_FTEST_DEBUG": "1", "CL_FTEST_PRECISION": "2",
	}
	c, err := readConfig(variables(values))
	require.NoError(t, err)
	assert.Equal(t, config{
		backends: []map[string]any{{"volume_backend_name": "b", "volume_driver": "file", "file_directory": "/nowhere"}},
		logs:     true, debug: true, precision: 2, storage: "memory_db", pool: "gold",
	}, c, "the YAML wins, where it says something")

	values["CL_FTEST_CFG"] = writeConfig(t, "first.yml", oneBackend+"logs: false\ndebug: false\nsize_precision: 0\n")
	values["CL_FTEST_LOGGING"] = "yes"
	c, err = readConfig(variables(values))
	require.NoError(t, err)
	assert.False(t, c.logs)
	assert.False(t, c.debug)
	assert.Zero(t, c.precision)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "backends: there is none",
		"backends: []":                      "backends: there is none",
		oneBackend + "persistence: x":       "field persistence not found",
		oneBackend + "size_precision: -1":   "a precision of -1 decimals is not possible",
		oneBackend + "logs: perhaps":        "cannot unmarshal",
		oneBackend + "---\n" + oneBackend:   "there is more than one YAML document",
		"backends:\n- volume_driver = file": "cannot unmarshal",
	} {
		_, err := readConfig(variables(map[string]string{"CL_FTEST_CFG": writeConfig(t, "a.yaml", text)}))
		require.ErrorContains(t, err, want, text)
	}
	for name, value := range map[string]string{
		"CL_FTEST_MEMORY_PERSISTENCE": "x", "CL_FTEST_LOGGING": "2", "CL_FTEST_DEBUG": "-", "CL_FTEST_PRECISION": "1.5",
	} {
		_, err := readConfig(variables(map[string]string{name: value}))
		require.ErrorContains(t, err, name)
	}
	_, err := readConfig(variables(map[string]string{"CL_FTEST_PRECISION": "-2"}))
	require.ErrorContains(t, err, "CL_FTEST_PRECISION: a precision of -2")
	_, err = readConfig(variables(map[string]string{"CL_FTESTS_CFG": "none.yaml"}))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestConfigOfCinder(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, "cinder.conf", strings.Join([]string{
		"[DEFAULT]", "enabled_backends = one, two", "state_path = /var/lib/cinder", "debug = true", "",
		"[one]", "volume_driver = file", "file_directory = $state_path/one", "max_over_subscription_ratio = 2.0", "nobody_knows = this", "",
		"[two]", "volume_driver = file", "volume_backend_name = Two", "file_directory = $state_path/two", "reserved_percentage = 10", "",
		"[three]", "volume_driver = not.enabled",
	}, "\n"))
	c, err := readConfig(variables(map[string]string{"CL_FTEST_CFG": path}))
	require.NoError(t, err)
	assert.Equal(t, []map[string]any{
		{"volume_backend_name": "one", "volume_driver": "file", "file_directory": "$state_path/one", "max_over_subscription_ratio": "2.0"},
		{"volume_backend_name": "Two", "volume_driver": "file", "file_directory": "$state_path/two", "reserved_percentage": int64(10)},
	}, c.backends)
	assert.Equal(t, "/var/lib/cinder", c.defaults["state_path"])
	assert.False(t, c.debug, "that is Cinder's, not the suite's")

	path = writeConfig(t, "cinder.conf", "[DEFAULT]\nenabled_backends = one\n[one]\nvolume_driver = no.such.Driver\n")
	_, err = readConfig(variables(map[string]string{"CL_FTEST_CFG": path}))
	require.ErrorIs(t, err, cinderlib.ErrInvalid)
	require.ErrorContains(t, err, path+": backend one: volume_driver \"no.such.Driver\" is not registered")
}

// A relative name is looked for in the folder of the package, then above it.
func TestConfigNear(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"file.yaml", "functional/file.yaml"} {
		found, text, err := readNear(name)
		require.NoError(t, err)
		assert.Equal(t, "functional", filepath.Base(filepath.Dir(found)))
		assert.NotEmpty(t, text)
	}
	_, _, err := readNear("functional/none.yaml")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
