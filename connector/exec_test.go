// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRunner(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := NewRunner("", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	result, err := r.Run(t.Context(), Command{
		Args: []string{"sh", "-c", `cat; echo $1 >&2; exit 3`, "sh", "hunter2"}, Secret: []int{4},
		Stdin: []byte("input"), Root: true, OK: []int{3},
	})
	require.NoError(t, err)
	assert.Equal(t, Result{Stdout: []byte("input"), Stderr: []byte("hunter2\n"), Code: 3}, result)
	assert.Contains(t, log.String(), "***")
	assert.NotContains(t, log.String(), "hunter2")

	_, err = NewRunner("", nil).Run(t.Context(), Command{Args: []string{"no-such-program"}})
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.NotErrorIs(t, err, ErrNotFound)
}

func TestRunnerStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := filepath.Join(t.TempDir(), "runs")
	ended := make(chan error, 1)
	go func() {
		_, err := NewRunner("", nil).Run(ctx, Command{Args: []string{"sh", "-c", `>"$0"; exec sleep 1000`, runs}})
		ended <- err
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(runs); return err == nil }, time.Minute, time.Millisecond)
	start := time.Now()
	cancel()
	err := <-ended
	require.ErrorIs(t, err, context.Canceled)
	_, ok := errors.AsType[*exec.ExitError](err)
	assert.True(t, ok)
	assert.Less(t, time.Since(start), time.Second)
}

func TestHelperWords(t *testing.T) {
	t.Parallel()
	for helper, want := range map[string][]string{
		"":                                nil,
		"sudo":                            {"sudo", "-n"},
		" /usr/bin/sudo  -E ":             {"/usr/bin/sudo", "-n", "-E"},
		"sudo -n":                         {"sudo", "-n"},
		"sudo cinder-rootwrap /etc/r.cnf": {"sudo", "-n", "cinder-rootwrap", "/etc/r.cnf"},
		"doas":                            {"doas"},
	} {
		assert.Equal(t, want, append([]string(nil), helperWords(helper)...), helper)
	}
}
