// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
)

// The two-machine test: one VM has the array and the library's store, the other
// attaches. They hand each other JSON in a folder that both see.
const (
	machineEnv = "CINDERLIB_VM_MACHINE" // array or host
	sharedEnv  = "CINDERLIB_VM_SHARED"
	addressEnv = "CINDERLIB_VM_ADDRESS" // of the array
)

// mailbox is the shared folder.
type mailbox struct {
	*testing.T
	dir string
}

func openMailbox(t *testing.T, machine string) mailbox {
	t.Helper()
	need(t)
	if os.Getenv(machineEnv) != machine {
		t.Skip("one of two machines: tools/test-vm.sh")
	}
	return mailbox{t, os.Getenv(sharedEnv)}
}

// put is whole when it shows.
func (m mailbox) put(name string, content []byte) {
	m.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m, os.WriteFile(path+".part", content, 0o600))
	require.NoError(m, os.Rename(path+".part", path))
}

func (m mailbox) get(name string) []byte {
	m.Helper()
	var content []byte
	require.EventuallyWithT(m, func(c *assert.CollectT) {
		var err error
		content, err = os.ReadFile(filepath.Join(m.dir, name))
		require.NoError(c, err)
	}, 4*time.Minute, 100*time.Millisecond, name)
	return content
}

// TestArrayMachine makes volumes and connects them; it never has a device.
func TestArrayMachine(t *testing.T) {
	m := openMailbox(t, "array")
	ctx := t.Context()
	folder := t.TempDir()
	lib, err := cinderlib.New(
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + filepath.Join(folder, "db.sqlite")}),
		cinderlib.WithFileLocksPath(filepath.Join(folder, "locks")),
	)
	require.NoError(t, err)
	b, err := lib.NewBackend(ctx, cinderlib.Options{
		"volume_backend_name": "lvm", "volume_driver": "cinder.volume.drivers.lvm.LVMVolumeDriver", "volume_group": group,
		"target_ip_address": os.Getenv(addressEnv),
	})
	require.NoError(t, err)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	host := &connector.Properties{}
	require.NoError(t, json.Unmarshal(m.get("host.json"), host))
	c, err := v.Connect(ctx, host)
	require.NoError(t, err)
	text, err := c.MarshalJSON()
	require.NoError(t, err)
	m.put("connection.json", text)

	m.get("written")
	assert.ErrorIs(t, c.Disconnect(ctx), cinderlib.ErrInUse, "the host is logged in")
	snap, err := v.CreateSnapshot(ctx)
	require.NoError(t, err)
	_, err = v.Extend(ctx, 2)
	require.NoError(t, err)
	m.put("extended", nil)

	m.get("detached")
	require.NoError(t, c.Disconnect(ctx))
	copied, err := snap.CreateVolume(ctx)
	require.NoError(t, err)
	second, err := copied.Connect(ctx, host)
	require.NoError(t, err)
	text, err = second.MarshalJSON()
	require.NoError(t, err)
	m.put("second.json", text)
	m.get("read")
	require.NoError(t, second.Disconnect(ctx))
	require.NoError(t, copied.Delete(ctx))
	require.NoError(t, snap.Delete(ctx))
	require.NoError(t, v.Delete(ctx))
	require.NoError(t, lib.Close(ctx))
	requireNothingLeft(t)
}

// TestHostMachine attaches what it is told of; it has neither a backend nor a
// store.
func TestHostMachine(t *testing.T) {
	m := openMailbox(t, "host")
	ctx := t.Context()
	lib, err := cinderlib.New(cinderlib.WithMissingBackends(), cinderlib.WithFileLocksPath(t.TempDir()))
	require.NoError(t, err)
	properties, err := lib.HostProperties(ctx, connector.PropertiesOptions{})
	require.NoError(t, err)
	text, err := json.Marshal(properties)
	require.NoError(t, err)
	m.put("host.json", text)

	c := loadConnection(ctx, t, lib, m.get("connection.json"))
	require.NoError(t, c.Attach(ctx))
	want, err := write(c.Path(), 3, 32*mib, nil)
	require.NoError(t, err)
	m.put("written", nil)
	m.get("extended")
	size, err := c.Extend(ctx)
	require.NoError(t, err)
	assert.Equal(t, int64(2<<30), size)
	_, err = write(c.Path(), 4, 32*mib, nil)
	require.NoError(t, err)
	require.NoError(t, c.Detach(ctx))
	m.put("detached", nil)

	c = loadConnection(ctx, t, lib, m.get("second.json"))
	require.NoError(t, c.Attach(ctx))
	assert.Equal(t, want, checksum(t, c.Path(), 32*mib), "what the snapshot froze")
	require.NoError(t, c.Detach(ctx))
	m.put("read", nil)
	require.NoError(t, lib.Close(ctx))
	requireNothingLeft(t)
}

func loadConnection(ctx context.Context, t *testing.T, lib *cinderlib.Library, text []byte) *cinderlib.Connection {
	t.Helper()
	objects, err := lib.Load(ctx, text)
	require.NoError(t, err)
	require.Len(t, objects, 1)
	c, ok := objects[0].(*cinderlib.Connection)
	require.True(t, ok)
	return c
}
