// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	_ "github.com/gocinder/cinderlib/drivers/lvm"
	_ "github.com/gocinder/cinderlib/drivers/rbd"
	"github.com/gocinder/cinderlib/persistence"
	_ "github.com/gocinder/cinderlib/persistence/gormdb"
)

// The addresses of the portals, which tools/test-vm.sh gives the VM.
const (
	firstPortal  = "10.99.0.1"
	secondPortal = "10.99.1.1"
	group        = "cinder-volumes"
)

func need(t testing.TB) {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("needs the VM: tools/test-vm.sh")
	}
}

// world is a library on this host, as one process has it.
type world struct {
	lib   *cinderlib.Library
	b     *cinderlib.Backend
	steps *steps
}

// open makes a world of LVM. Those with the same folder share store and locks.
func open(ctx context.Context, folder string, multipath bool) (*world, error) {
	options := cinderlib.Options{
		"volume_backend_name": "lvm", "volume_driver": "lvm", "volume_group": group, "lvm_type": "thin",
		"target_ip_address": firstPortal,
	}
	if multipath {
		options["target_secondary_ip_addresses"] = []string{secondPortal}
		options["use_multipath_for_image_xfer"] = true
	}
	return openWith(ctx, folder, options)
}

func openWith(ctx context.Context, folder string, options cinderlib.Options) (*world, error) {
	w := &world{steps: newSteps()}
	host := &connector.Host{Run: w.steps, Files: w.steps, IP: firstPortal}
	log := io.Discard
	if os.Getenv("CINDERLIB_VM_LOG") != "" {
		log = os.Stderr
	}
	var err error
	w.lib, err = cinderlib.New(
		cinderlib.WithConnectorHost(host),
		cinderlib.WithFileLocksPath(filepath.Join(folder, "locks")),
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + filepath.Join(folder, "db.sqlite")}),
		cinderlib.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	)
	if err != nil {
		return nil, err
	}
	w.b, err = w.lib.NewBackend(ctx, options)
	if err != nil {
		_ = w.lib.Close(ctx)
		return nil, err
	}
	return w, nil
}

func newWorld(t testing.TB, multipath bool) *world {
	t.Helper()
	need(t)
	wipe(t)
	w, err := open(t.Context(), t.TempDir(), multipath)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, w.lib.Close(context.WithoutCancel(t.Context())))
		requireNothingLeft(t)
	})
	return w
}

// sh runs a script.
func sh(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "-c", "set -e; "+script).CombinedOutput()
	require.NoError(t, err, "%s: %s", script, out)
	return strings.TrimSpace(string(out))
}

// leftovers lists what there is on this host of volumes, exports and attachments.
func leftovers(ctx context.Context) ([]string, error) {
	var found []string
	for _, pattern := range []string{
		"/sys/kernel/config/target/iscsi/iqn.*", "/sys/kernel/config/target/core/iblock_*",
		"/sys/class/iscsi_session/*", "/sys/block/sd*", "/etc/iscsi/nodes/*",
	} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, names...)
	}
	for _, command := range []string{
		"lvs --noheadings -o lv_name | tr -d ' ' | grep -v -- '-pool$' || true",
		"dmsetup ls --target multipath | grep -v '^No devices' || true",
		"dmsetup info -c --noheadings -o name,suspended | grep -i ':Suspended' || true",
	} {
		out, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		found = append(found, strings.Fields(string(out))...)
	}
	return found, nil
}

// wipe removes what a test that has failed left, so that the next one is judged
// by what it does itself.
func wipe(t testing.TB) {
	t.Helper()
	found, err := leftovers(t.Context())
	require.NoError(t, err)
	if len(found) == 0 {
		return
	}
	t.Logf("removing what an earlier test has left: %v", found)
	sh(t, `multipath -F || true
		iscsiadm -m node --logout || true
		iscsiadm -m node --op delete || true
		for t in /sys/kernel/config/target/iscsi/iqn.*; do [ ! -e "$t" ] || targetcli clearconfig confirm=True; done
		lvs --noheadings -o lv_name `+group+` | tr -d ' ' | grep -v -- '-pool$' | while read -r lv; do lvremove -f `+group+`/$lv; done`)
}

// requireNothingLeft gives udev and multipathd the time that they take.
func requireNothingLeft(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found, err := leftovers(ctx)
		require.NoError(c, err)
		require.Empty(c, found, "left on this host")
	}, 20*time.Second, 200*time.Millisecond)
}

// empty deletes all volumes of the world, whatever state they are in.
func (w *world) empty(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, w.b.Refresh(ctx))
	volumes, err := w.b.Volumes(ctx)
	require.NoError(t, err)
	for _, v := range volumes {
		connections, err := v.Connections(ctx)
		require.NoError(t, err)
		for _, c := range connections {
			require.NoError(t, c.Detach(ctx))
			require.NoError(t, c.Disconnect(ctx))
		}
		require.NoError(t, v.Delete(ctx))
	}
	left, err := w.lib.Persistence().Connections(ctx, persistence.ConnectionFilter{})
	require.NoError(t, err)
	require.Empty(t, left)
}

// create makes a volume of 1 GiB.
func (w *world) create(t *testing.T) *cinderlib.Volume {
	t.Helper()
	v, err := w.b.CreateVolume(t.Context(), 1)
	require.NoError(t, err)
	return v
}

func (w *world) attach(t *testing.T, v *cinderlib.Volume) *cinderlib.Connection {
	t.Helper()
	c, err := v.Attach(t.Context())
	require.NoError(t, err)
	return c
}
