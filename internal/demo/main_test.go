// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain: the demo starts itself, which here is this binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-load" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	var steps []string
	for line := range bytes.Lines(out.Bytes()) {
		steps = append(steps, string(bytes.TrimSpace(line[:9])))
	}
	assert.Equal(t, []string{
		"set up", "create", "attach", "write", "detach", "snapshot", "overwrite", "clone", "copy", "grow", "revert",
		"dump", "load", "read", "read", "clean up", "check",
	}, steps)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestDemoFaults(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), nil, &out), os.ErrNotExist)
	require.ErrorIs(t, run(t.Context(), []string{"-load", "none"}, &out), os.ErrNotExist)
	require.Error(t, run(t.Context(), []string{"-unknown"}, &out))
}

// TestComparison: other data is found.
func TestComparison(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(path, make([]byte, amount), 0o600))
	data, err := fill(path)
	require.NoError(t, err)
	require.NoError(t, compare(path, digest(data)))
	data[amount-1]++
	require.ErrorContains(t, compare(path, digest(data)), "not "+digest(data))
}

func TestCold(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-cold"}, &out))
	assert.Regexp(t, `^disk ready, VmHWM \d+ kB\n$`, out.String())
}

// BenchmarkColdStart is a whole process, from its start to a Backend that is
// ready, and to its end. It reports the peak of memory of the largest; the bar is
// 20 ms and 20 MB.
func BenchmarkColdStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "demo")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", binary, ".")
	text, err := build.CombinedOutput()
	require.NoError(b, err, string(text))
	b.Setenv("TMPDIR", b.TempDir())
	var peaks []int64
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), binary, "-cold")
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		var peak int64
		if _, err := fmt.Sscanf(string(out), "disk ready, VmHWM %d kB", &peak); err != nil {
			b.Fatal(err)
		}
		peaks = append(peaks, peak)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
	b.ReportMetric(float64(slices.Max(peaks))/1024, "MB")
}
