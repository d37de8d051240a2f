// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const conf = `[DEFAULT]
enabled_backends = plain, loop-1
state_path = /var/lib/cinder

[plain]
volume_driver = file
file_directory = $state_path/plain
reserved_percentage = 10
enforce_multipath_for_image_xfer = no
nobody_knows = this

[loop-1]
volume_backend_name = 7 loops-and "more"
volume_driver = file
file_directory = /srv/007
file_attach = loop
max_over_subscription_ratio = 2.0
`

func source(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cinder.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	return path
}

func TestYAML(t *testing.T) {
	t.Parallel()
	dst := filepath.Join(t.TempDir(), "out.yaml")
	require.NoError(t, os.WriteFile(dst, []byte("old, and for all to read"), 0o644))
	var stdout, stderr bytes.Buffer
	require.NoError(t, run([]string{source(t), dst}, &stdout, &stderr))
	assert.Empty(t, stdout.String())
	assert.Equal(t, "backend plain: left out, the driver does not know them: nobody_knows\n", stderr.String())
	info, err := os.Stat(dst)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(dst)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, yaml.Unmarshal(text, &got))
	assert.Equal(t, map[string]any{"backends": []any{
		map[string]any{
			"volume_backend_name": "plain", "volume_driver": "file", "file_directory": "/var/lib/cinder/plain",
			"reserved_percentage": 10, "enforce_multipath_for_image_xfer": false,
		},
		map[string]any{
			"volume_backend_name": `7 loops-and "more"`, "volume_driver": "file", "file_directory": "/srv/007",
			"file_attach": "loop", "max_over_subscription_ratio": "2.0",
		},
	}}, got)
}

func TestProgram(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.NoError(t, run([]string{"-go", source(t)}, &stdout, &stderr))
	text := stdout.String()
	_, err := parser.ParseFile(token.NewFileSet(), "main.go", text, parser.AllErrors)
	require.NoError(t, err)
	assert.Contains(t, text, "plain, err := lib.NewBackend(ctx, cinderlib.Options{")
	assert.Contains(t, text, "backend_7_loops_and__more_, err := lib.NewBackend(ctx, cinderlib.Options{")
	assert.Contains(t, text, `"reserved_percentage":              10,`)
	assert.Contains(t, text, `"volume_backend_name":         "7 loops-and \"more\"",`)
}

func TestVariable(t *testing.T) {
	t.Parallel()
	taken := append([]string{"a", "backend_a"}, reserved()...)
	for name, want := range map[string]string{
		"lvm-1": "lvm_1", "my lvm": "my_lvm", "1": "backend_1", "type": "backend_type", "ctx": "backend_ctx",
		"-": "backend__", "a": "backend_a_2", "größe": "größe", "a.b": "a_b",
	} {
		assert.Equal(t, want, variable(name, taken))
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run([]string{filepath.Join(t.TempDir(), "none")}, &out, &out), fs.ErrNotExist)
	require.ErrorContains(t, run([]string{"a", "b", "c"}, &out, &out), "too many arguments")
	require.Error(t, run([]string{"-x"}, &out, &out))
}
