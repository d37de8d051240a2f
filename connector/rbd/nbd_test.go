// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

// TestExplainNBD: what rbd-nbd 16 and librbd say.
func TestExplainNBD(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nbd")
	j, err := w.conn.job(t.Context(), w.volume())
	require.NoError(t, err)
	failed := errors.New("rbd-nbd: exit 1")
	j.limits.mount = time.Minute
	for text, is := range map[string]error{
		"monclient(hunting): handle_auth_bad_method server allowed_methods [2] but i only support [2,1]\n\nfailed to fetch mon config (--no-mon-config to skip)": connector.ErrUnauthenticated,
		"failed to fetch mon config (--no-mon-config to skip)":                                   connector.ErrUnavailable,
		"librbd::image::OpenRequest: failed to retrieve image id: (2) No such file or directory": connector.ErrNotFound,
		"x: (5) Input/output error\nrbd-nbd: failed to set snap name: (2) No such file":          connector.ErrNotFound,
		"librbd: failed: (1) Operation not permitted":                                            connector.ErrUnauthenticated,
		"rbd-nbd: failed to map, status: (16) Device or resource busy":                           syscall.EBUSY,
		"auth: unable to find a keyring on /etc/ceph/keyring: (2) No such file or directory":     failed,
		"":                                      connector.ErrNotFound,
		"rbd-nbd: failed to find unused device": failed,
	} {
		err := j.explainNBD(connector.Result{Code: 1, Stderr: []byte(text)}, time.Minute, failed)
		require.ErrorIs(t, err, is, text)
		require.ErrorIs(t, err, failed, text)
		if is == failed { //nolint:errorlint // which entry it is
			require.Equal(t, failed, err)
		}
	}
	noConfig := connector.Result{Code: 1, Stderr: []byte("failed to fetch mon config (--no-mon-config to skip)")}
	require.ErrorIs(t, j.explainNBD(noConfig, time.Second, failed), connector.ErrUnauthenticated, "a monitor has answered")
}

// TestHeldNBD: somebody keeps a device of rbd-nbd open. It is without a process after a
// detach by force, which is enough, and the next map takes another.
func TestHeldNBD(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "nbd")
	r := w.attached(t, w.volume())
	j, err := w.conn.job(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, j.spare())
	pid, err := os.ReadFile(w.Path("/sys/block/nbd0/pid"))
	require.NoError(t, err)
	w.host.Run = holding{w.host.Run, func() { w.Write("/sys/block/nbd0/pid", string(pid)) }}
	r.Force = true
	require.NoError(t, w.conn.Detach(t.Context(), r))
	paths, err := w.conn.Paths(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, paths)
	require.Equal(t, []string{"--device", "/dev/nbd1"}, j.spare())
	w.Remove("/sys/block/nbd0/pid")
	require.Empty(t, w.Left())
}

// holding does something after rbd-nbd has unmapped.
type holding struct {
	connector.Runner

	after func()
}

func (h holding) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	r, err := h.Runner.Run(ctx, c)
	if len(c.Args) > 1 && c.Args[1] == "unmap" {
		h.after()
	}
	return r, err
}
