// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/command"
	"github.com/gocinder/cinderlib/internal/fault"
)

// sh is a command of the shell, which the package itself never uses.
func sh(script string, args ...string) command.Command {
	return command.Command{Args: append([]string{"sh", "-c", script, "sh"}, args...)}
}

// script makes a program of a shell script.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	// Written by another process: a file that this one has open for writing while
	// it forks elsewhere cannot be run for an instant.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `cat > "$1" && chmod 755 "$1"`, "sh", path)
	cmd.Stdin = strings.NewReader("#!/bin/sh\n" + text)
	require.NoError(t, cmd.Run())
	return path
}

func TestRun(t *testing.T) {
	t.Parallel()
	c := sh(`cat; echo "$LC_ALL" "$1" >&2`, "a b  $HOME;")
	c.Stdin = []byte("input")
	r, err := command.Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, "input", string(r.Stdout))
	assert.Equal(t, "C a b  $HOME;\n", string(r.Stderr), "no shell of ours")
	assert.Zero(t, r.Code)
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	c := sh(`echo out; echo "  the reason" >&2; echo of it >&2; exit 5`)
	r, err := command.Run(t.Context(), c)
	require.ErrorContains(t, err, `exit 5: the reason; of it`)
	failed, ok := errors.AsType[*command.Error](err)
	require.True(t, ok)
	assert.Equal(t, 5, failed.Result.Code)
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok)
	assert.Equal(t, 5, exit.ExitCode())
	assert.Equal(t, 5, r.Code)
	assert.Equal(t, "out\n", string(r.Stdout))

	c.OK = []int{3, 5}
	r, err = command.Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, 5, r.Code)

	r, err = command.Run(t.Context(), sh(`kill -SEGV $$`))
	require.ErrorContains(t, err, "signal: segmentation fault")
	assert.Equal(t, -1, r.Code)
}

func TestNothingToRun(t *testing.T) {
	t.Parallel()
	_, err := command.Run(t.Context(), command.Command{})
	require.ErrorIs(t, err, fault.ErrInvalid)

	for _, name := range []string{"no-such-program", "/no/such/program"} {
		_, err = command.Run(t.Context(), command.Command{Args: []string{name, "x"}})
		require.EqualError(t, err, "program "+name+" is not installed")
		require.ErrorIs(t, err, exec.ErrNotFound)
		require.ErrorIs(t, err, fault.ErrPrecondition)
		require.NotErrorIs(t, err, fault.ErrNotFound)
		require.NotErrorIs(t, err, os.ErrNotExist)
	}

	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	_, err = command.Run(t.Context(), command.Command{Args: []string{plain}})
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, plain)
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	r, err := command.Run(t.Context(), sh(`head -c 17000000 /dev/zero`))
	require.ErrorIs(t, err, fault.ErrExhausted)
	require.ErrorContains(t, err, "wrote more than 16 MiB")
	assert.Len(t, r.Stdout, 16<<20)

	r, err = command.Run(t.Context(), sh(`head -c 300000 /dev/zero | tr '\0' x >&2; echo the end >&2; exit 1`))
	require.ErrorContains(t, err, "xxxthe end", "the end of it matters")
	assert.Len(t, r.Stderr, 64<<10)
	assert.Less(t, len(err.Error()), 2000)
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	c := sh(`echo "bad login $2" >&2; exit 1`, "-v", "hunter2")
	c.Secret = []int{5}
	assert.NotContains(t, c.String(), "hunter2")
	assert.Contains(t, c.String(), "sh -v ***")
	r, err := command.Run(t.Context(), c)
	require.ErrorContains(t, err, "bad login ***")
	assert.NotContains(t, err.Error(), "hunter2")
	assert.Contains(t, string(r.Stderr), "hunter2", "the caller may need it")
	failed, _ := errors.AsType[*command.Error](err)
	assert.NotContains(t, fmt.Sprintf("%s %s", failed.Result.Stderr, failed.Command), "hunter2")
}

func TestEndedContextRunsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	made := filepath.Join(t.TempDir(), "made")
	_, err := command.Run(ctx, command.Command{Args: []string{"touch", made}})
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, made)
}

// TestNoneSurvives stops programs of several kinds that have a grandchild which
// holds the output open.
func TestNoneSurvives(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"obedient":             `sleep 1000 & echo $$ $! > "$1"; wait`,
		"deaf":                 `trap "" TERM; sleep 1000 & echo $$ $! > "$1"; while :; do wait; done`,
		"deaf grandchild":      `(trap "" TERM; exec sleep 1000) & echo $$ $! > "$1"; wait`,
		"child of the gone":    `(trap "" TERM; exec sleep 1000) & trap "exit 0" TERM; echo $$ $! > "$1"; wait`,
		"silent grandchild":    `(trap "" TERM; exec sleep 1000 >/dev/null 2>&1) & echo $$ $! > "$1"; wait`,
		"ends well when asked": `sleep 1000 & trap "exit 0" TERM; echo $$ $! > "$1"; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stopped time.Time
			go func() {
				for pids(file) == nil && ctx.Err() == nil {
					<-time.After(time.Millisecond)
				}
				stopped = time.Now()
				cancel()
			}()
			_, err := command.Run(ctx, sh(text, file))
			require.ErrorIs(t, err, context.Canceled)
			assert.Less(t, time.Since(stopped), 900*time.Millisecond)
			assert.Equal(t, fault.Canceled, fault.CodeOf(err))
			if name == "deaf" {
				exit, ok := errors.AsType[*exec.ExitError](err)
				require.True(t, ok)
				assert.Equal(t, -1, exit.ExitCode())
			}
			for _, pid := range pids(file) {
				assert.Eventually(t, func() bool { return gone(pid) }, 5*time.Second, time.Millisecond, "process %s", pid)
			}
		})
	}
}

// pids reads the numbers that a script wrote; nil if it has not yet.
func pids(file string) []string {
	text, _ := os.ReadFile(file)
	if !strings.HasSuffix(string(text), "\n") {
		return nil
	}
	return strings.Fields(string(text))
}

// gone tells whether a process has ended; who takes notice of that, here as in
// any container, may be an init that is slow to.
func gone(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// TestDaemonIsLeft: what a program starts on purpose goes on, and does not keep
// us waiting though it holds the output.
func TestDaemonIsLeft(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pids")
	r, err := command.Run(t.Context(), sh(`sleep 1000 & echo $! > "$1"; echo done`, file))
	require.NoError(t, err)
	assert.Equal(t, "done\n", string(r.Stdout))
	for _, pid := range pids(file) {
		assert.False(t, gone(pid))
		require.NoError(t, exec.CommandContext(t.Context(), "kill", pid).Run())
	}
}

func TestHelper(t *testing.T) {
	t.Parallel()
	helper := script(t, "sudo", `[ "$1" = -n ] && shift && HELPED=yes exec "$@"`)
	c := sh(`echo $HELPED`)
	c.Helper = []string{helper, "-n"}
	r, err := command.Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, "yes\n", string(r.Stdout))

	// The exit codes are those of the command.
	c = sh(`echo "sh: you are not allowed to" >&2; exit 5`)
	c.Helper = []string{helper, "-n"}
	_, err = command.Run(t.Context(), c)
	require.ErrorContains(t, err, "exit 5")
	require.NotErrorIs(t, err, fault.ErrPermission)
}

func TestHelperRefuses(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]int{
		"sudo: a password is required":       1,
		"nobody is not in the sudoers file.": 1,
		"Sorry, user nobody is not allowed to execute '/sbin/lvs -v hunter2' as root on vm.":       1,
		"sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set":                   1,
		"/usr/bin/sudo: Unauthorized command: lvs (no filter matched)":                             99,
		"sudo: a terminal is required to read the password; either use the -S option to read from": 1,
	} {
		if strings.HasPrefix(text, "nobody") {
			text = "sudo: " + text
		}
		helper := script(t, "sudo", fmt.Sprintf("echo \"%s\" >&2\nexit %d\n", text, code))
		c := command.Command{Args: []string{"lvs", "-v"}, Helper: []string{helper}, OK: []int{1}}
		r, err := command.Run(t.Context(), c)
		require.ErrorIs(t, err, fault.ErrPermission, text)
		require.ErrorContains(t, err, "lvs -v: needs root, and the root helper "+helper+" refused: ")
		require.ErrorContains(t, err, text)
		_, ok := errors.AsType[*exec.ExitError](err)
		assert.True(t, ok)
		assert.Equal(t, code, r.Code)

		c.Args, c.Secret = append(c.Args, "hunter2"), []int{2}
		_, err = command.Run(t.Context(), c)
		require.ErrorIs(t, err, fault.ErrPermission, text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestHelperFindsNothing(t *testing.T) {
	t.Parallel()
	_, err := command.Run(t.Context(), command.Command{Args: []string{"lvs"}, Helper: []string{"no-such-helper"}})
	require.EqualError(t, err, "lvs: needs root: root helper: program no-such-helper is not installed")
	require.ErrorIs(t, err, fault.ErrPermission)
	require.ErrorIs(t, err, exec.ErrNotFound)

	helper := script(t, "sudo", `echo "sudo: lvs: command not found" >&2; exit 1`)
	_, err = command.Run(t.Context(), command.Command{Args: []string{"lvs"}, Helper: []string{helper}})
	require.EqualError(t, err, "program lvs is not installed")
	require.ErrorIs(t, err, exec.ErrNotFound)
}
