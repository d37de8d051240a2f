// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
)

// The keys are those of the Python library, no more and no fewer.
func driverKeys() []string {
	return []string{"version", "class_name", "class_fqn", "desc", "ci_wiki_name", "supported", "driver_options"}
}

func optionKeys() []string {
	return []string{
		"name", "dest", "type", "default", "help", "required", "secret", "advanced", "mutable", "positional", "metavar",
		"short", "sample_default", "deprecated_for_removal", "deprecated_opts", "deprecated_reason", "deprecated_since",
	}
}

func testListSupportedDrivers(t *testing.T) {
	assert.NotEmpty(t, cinderlib.ListSupportedDrivers())
	for version := 1; version <= 2; version++ {
		all, err := cinderlib.SupportedDrivers(version)
		require.NoError(t, err)
		assert.Len(t, all, len(cinderlib.ListSupportedDrivers()))
		for class, driver := range all {
			assert.ElementsMatch(t, driverKeys(), slices.Collect(maps.Keys(driver)), class)
			assert.Equal(t, class, driver["class_name"])
			options, ok := driver["driver_options"].([]map[string]any)
			require.True(t, ok, "%s: %T", class, driver["driver_options"])
			assert.NotEmpty(t, options, class)
			for _, option := range options {
				assertOption(t, version, class, option)
			}
		}
		if rbd, ok := all["RBDDriver"]; ok {
			assertKeyringOption(t, version, rbd["driver_options"].([]map[string]any))
		}
	}
	_, err := cinderlib.SupportedDrivers(3)
	require.ErrorIs(t, err, cinderlib.ErrInvalid)
}

// assertOption: version 1 has text only, version 2 native values.
func assertOption(t *testing.T, version int, class string, option map[string]any) {
	t.Helper()
	what := class + ": " + option["name"].(string)
	assert.ElementsMatch(t, optionKeys(), slices.Collect(maps.Keys(option)), what)
	if version == 1 {
		for key, value := range option {
			assert.IsType(t, "", value, "%s: %s", what, key)
		}
		return
	}
	for _, key := range []string{"required", "secret", "advanced", "mutable", "positional", "deprecated_for_removal"} {
		assert.IsType(t, false, option[key], "%s: %s", what, key)
	}
	kind, ok := option["type"].(map[string]any)
	require.True(t, ok, "%s: type is %T", what, option["type"])
	assert.NotEmpty(t, kind["type_class"], what)
}

func assertKeyringOption(t *testing.T, version int, options []map[string]any) {
	t.Helper()
	var found []map[string]any
	for _, option := range options {
		if option["name"] == "rbd_keyring_conf" {
			found = append(found, option)
		}
	}
	require.Len(t, found, 1)
	var never any = false
	if version == 1 {
		never = "False"
	}
	assert.Equal(t, never, found[0]["deprecated_for_removal"])
}
