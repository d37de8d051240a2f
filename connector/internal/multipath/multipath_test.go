// SPDX-License-Identifier: Apache-2.0

package multipath

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/fakehost"
)

// daemon answers commands on the socket of a host; nil: it never does.
func daemon(t *testing.T, f *fakehost.Host, answer func(string) string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(f.Path("/run"), 0o755))
	folder, err := os.Open(f.Path("/run"))
	require.NoError(t, err)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", fmt.Sprintf("/proc/self/fd/%d/multipathd.socket", folder.Fd()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(); _ = folder.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 4096)
				n, err := conn.Read(buffer)
				if err != nil || n < sizeBytes {
					return
				}
				if answer == nil {
					<-t.Context().Done()
					return
				}
				reply := answer(string(bytes.TrimRight(buffer[sizeBytes:n], "\x00")))
				_, _ = conn.Write(append(appendSize(nil, uint64(len(reply)+1)), append([]byte(reply), 0)...))
			}()
		}
	}()
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	d := Daemon{Host: f.Connector()}
	up, err := d.Running(t.Context())
	require.NoError(t, err)
	assert.False(t, up)
	_, err = d.Paths(t.Context())
	require.ErrorIs(t, err, ErrNotRunning)
	require.ErrorIs(t, err, connector.ErrPrecondition)

	var asked []string
	daemon(t, f, func(command string) string {
		asked = append(asked, command)
		switch command {
		case "show daemon":
			return "pid 1 idle\n"
		case "show paths raw format %d|%w|%m|%t":
			return "sda|3600|mpatha|active\nsdb||[orphan]|undef\nnonsense\n"
		case "del map mpatha":
			return "fail\nmap in use\n"
		}
		return "ok\n"
	})
	up, err = d.Running(t.Context())
	require.NoError(t, err)
	assert.True(t, up)
	paths, err := d.Paths(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Path{{Name: "sda", WWID: "3600", Map: "mpatha", State: "active"}, {Name: "sdb", State: "undef"}}, paths)
	err = d.DelMap(t.Context(), "mpatha")
	require.EqualError(t, err, "multipathd: del map mpatha: fail map in use")
	for want, call := range map[string]func(context.Context, string) error{
		"add path x": d.AddPath, "del path x": d.DelPath, "add map x": d.AddMap, "disablequeueing map x": d.DisableQueueing, "resize map x": d.Resize,
	} {
		asked = nil
		require.NoError(t, call(t.Context(), "x"))
		assert.Equal(t, []string{want}, asked)
	}
}

// TestOrdinaryUser: multipathd asks who asks.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	daemon(t, f, func(string) string { return "permission deny: need to be root\n" })
	f.Handle("multipathd", func(_ context.Context, args []string, _ []byte) connector.Result {
		if strings.Join(args, " ") == "del path sda" {
			return connector.Result{Stdout: []byte("ok\n")}
		}
		return connector.Result{Stdout: []byte("fail\n")}
	})
	d := Daemon{Host: f.Connector()}
	require.NoError(t, d.DelPath(t.Context(), "sda"))
	require.ErrorIs(t, d.DelPath(t.Context(), "sdb"), connector.ErrUnavailable)
	assert.True(t, f.Calls()[0].Root)
}

func TestDaemonThatHangs(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	daemon(t, f, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Daemon{Host: f.Connector()}.Paths(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestMaps(t *testing.T) {
	t.Parallel()
	f := fakehost.New(t)
	for dm, uuid := range map[string]string{"dm-0": "LVM-x", "dm-1": "mpath-36001", "dm-2": "mpath-36002"} {
		f.Write(filepath.Join("/sys/block", dm, "dm/uuid"), uuid+"\n")
		f.Write(filepath.Join("/sys/block", dm, "dm/name"), "name-"+dm+"\n")
	}
	f.AddDisk("sda", 4096, "naa.6001")
	for _, dm := range []string{"dm-0", "dm-1"} {
		f.Link("/sys/block/sda/holders/"+dm, "../../"+dm)
	}
	f.Link("/sys/block/dm-1/slaves/sda", "../../sda")
	h := f.Connector()
	want := &Map{DM: "dm-1", Name: "name-dm-1", WWID: "36001", Disks: []string{"sda"}}
	assert.Equal(t, []*Map{want}, Holding(h, "sda", "", "sdz"))
	assert.Equal(t, []*Map{want}, Of(h, []string{"naa.6001"}))
	assert.Empty(t, Of(h, nil))
	assert.True(t, want.There(h))
	f.Write("/sys/block/dm-1/dm/uuid", "mpath-36009\n")
	assert.False(t, want.There(h), "dm-1 is another map now")
}
