// SPDX-License-Identifier: Apache-2.0

package fakehost_test

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
	"github.com/gocinder/cinderlib/internal/fault"
)

// TestPrograms: a program that remembers, and changes the host.
func TestPrograms(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	f.Handle("login", func(_ context.Context, args []string, stdin []byte) connector.Result {
		if string(stdin) != "secret" {
			return connector.Result{Code: 24, Stderr: []byte("no\n")}
		}
		f.AddDisk(args[0], 1<<20, "naa.6001")
		return connector.Result{Stdout: []byte("hello")}
	})
	run := f.Connector().Run
	r, err := run.Run(t.Context(), connector.Command{Args: []string{"login", "sda"}})
	require.EqualError(t, err, "login: exit 24: no")
	assert.Equal(t, 24, r.Code)
	_, err = run.Run(t.Context(), connector.Command{Args: []string{"login", "sda"}, OK: []int{24}})
	require.NoError(t, err)
	assert.NoFileExists(t, f.Path("/dev/sda"))

	r, err = run.Run(t.Context(), connector.Command{Args: []string{"login", "sda"}, Stdin: []byte("secret")})
	require.NoError(t, err)
	assert.Equal(t, "hello", string(r.Stdout))
	size, err := f.Connector().Size("/dev/sda")
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, size)

	_, err = run.Run(t.Context(), connector.Command{Args: []string{"logout"}})
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.ErrorIs(t, err, fault.ErrPrecondition)
	assert.Equal(t, 3, f.Count("login"))
	assert.Equal(t, 4, f.Count(""))
	f.Forget()
	assert.Empty(t, f.Calls())

	f.Handle("login", nil)
	_, err = run.Run(t.Context(), connector.Command{Args: []string{"login"}})
	require.ErrorIs(t, err, exec.ErrNotFound)
	_, err = run.Run(t.Context(), connector.Command{})
	require.ErrorIs(t, err, fault.ErrInvalid)

	f.Remove("/dev/sda")
	_, err = f.Connector().Size("/dev/sda")
	require.ErrorIs(t, err, connector.ErrNotFound)
}

func TestRunEndsWithTheContext(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.Handle("hang", func(ctx context.Context, _ []string, _ []byte) connector.Result {
		cancel()
		<-ctx.Done()
		return connector.Result{}
	})
	_, err := f.Run(ctx, connector.Command{Args: []string{"hang"}})
	require.ErrorIs(t, err, context.Canceled)
	_, err = f.Run(ctx, connector.Command{Args: []string{"hang"}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 2, f.Count("hang"))
}

func TestLocksAreOfTheHost(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	unlock, err := f.Connector().Locks.Lock(t.Context(), "scan")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Connector().Locks.Lock(ctx, "scan")
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	_, err = os.Stat(f.Path("/sys/block"))
	require.NoError(t, err)
}
