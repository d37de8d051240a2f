// SPDX-License-Identifier: Apache-2.0

package connector_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

func TestProperties(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	f.Write("/etc/iscsi/initiatorname.iscsi", `## a remark
#InitiatorName=iqn.of:nobody
InitiatorAlias=x
 InitiatorName = iqn.1993-08.org.debian:01:abc  # mine
InitiatorName=iqn.second
`)
	f.Write("/etc/nvme/hostnqn", "nqn.2014-08.org.nvmexpress:uuid:1\n")
	f.Write("/sys/class/dmi/id/product_uuid", "4c4c4544-0000\n")
	for name, state := range map[string]string{"host1": "Online\n", "host2": "Linkdown\n", "host3": "Online\n"} {
		f.Write("/sys/class/fc_host/"+name+"/port_state", state)
		f.Write("/sys/class/fc_host/"+name+"/port_name", "0x1000"+name+"\n")
		f.Write("/sys/class/fc_host/"+name+"/node_name", "0x2000"+name+"\n")
	}
	f.Write("/proc/self/mountinfo", `22 1 0:21 / /proc rw - proc proc rw
25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
`)
	f.Link("/dev/mapper/vg-root", "../dm-1")
	f.Link("/dev/disk/by-uuid/1111-2222", "../../sda1")
	f.Link("/dev/disk/by-uuid/3333-4444", "../../dm-1")

	h := f.Connector()
	h.Name, h.IP = "node1", "192.0.2.1"
	p, err := h.Properties(t.Context(), connector.PropertiesOptions{Multipath: true, EnforceMultipath: true})
	require.NoError(t, err)
	platform := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	assert.Contains(t, p.Platform, platform)
	assert.NotEmpty(t, p.Platform)
	p.Platform = ""
	assert.Equal(t, &connector.Properties{
		OSType: "linux", IP: "192.0.2.1", Host: "node1", Multipath: true, EnforceMultipath: true,
		Initiator: "iqn.1993-08.org.debian:01:abc",
		WWPNs:     []string{"1000host1", "1000host3"}, WWNNs: []string{"2000host1", "2000host3"},
		NQN: "nqn.2014-08.org.nvmexpress:uuid:1", UUID: "3333-4444", SystemUUID: "4c4c4544-0000",
	}, p)
	assert.Zero(t, f.Count(""), "no process")
}

func TestPropertiesOfABareHost(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	h := f.Connector()
	h.Name = ""
	p, err := h.Properties(t.Context(), connector.PropertiesOptions{})
	require.NoError(t, err)
	name, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, &connector.Properties{
		OSType: "linux", Platform: p.Platform, Host: name, Extra: map[string]any{"multipath": false},
	}, p)
	assert.Zero(t, f.Count(""))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Properties(ctx, connector.PropertiesOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPropertiesRootUUID(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ mountinfo, want string }{
		"overlay":        {"25 1 0:30 / / rw - overlay overlay rw\n", ""},
		"by number":      {"25 1 8:2 / / rw - ext4 /dev/root rw\n", "two"},
		"by name, btrfs": {"25 1 0:30 /@ / rw - btrfs /dev/sda1 rw\n", "one"},
		"mounted over":   {"25 1 8:2 / / rw - ext4 /dev/sda2 rw\n26 25 0:30 / / rw - xfs /dev/sda1 rw\n", "one"},
		"damaged":        {"25 1 8:2 / /\n - \n\n", ""},
	} {
		f := fakehost.New(t)
		f.Write("/proc/self/mountinfo", c.mountinfo)
		f.Link("/sys/dev/block/8:2", "../../devices/pci/block/sda/sda2")
		f.Link("/dev/disk/by-uuid/one", "../../sda1")
		f.Link("/dev/disk/by-uuid/two", "../../sda2")
		p, err := f.Connector().Properties(t.Context(), connector.PropertiesOptions{})
		require.NoError(t, err)
		assert.Equal(t, c.want, p.UUID, name)
	}
}

// TestPropertiesInitiatorIsRoots: the file has mode 0600 on most systems.
func TestPropertiesInitiatorIsRoots(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read every file")
	}
	f := fakehost.New(t)
	const file = "/etc/iscsi/initiatorname.iscsi"
	f.Write(file, "")
	require.NoError(t, os.Chmod(f.Path(file), 0))
	p, err := f.Connector().Properties(t.Context(), connector.PropertiesOptions{})
	require.NoError(t, err)
	assert.Empty(t, p.Initiator, "the helper does not help")

	f.Handle("cat", func(_ context.Context, args []string, _ []byte) connector.Result {
		assert.Equal(t, []string{f.Path(file)}, args)
		return connector.Result{Stdout: []byte("InitiatorName=iqn.a:b\n")}
	})
	p, err = f.Connector().Properties(t.Context(), connector.PropertiesOptions{})
	require.NoError(t, err)
	assert.Equal(t, "iqn.a:b", p.Initiator)
	assert.True(t, f.Calls()[0].Root)
}
