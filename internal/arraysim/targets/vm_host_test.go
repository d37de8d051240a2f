// SPDX-License-Identifier: Apache-2.0

package targets_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/arraysim/targets"
	"github.com/gocinder/cinderlib/internal/hostfile"
	"github.com/gocinder/cinderlib/internal/poll"
)

// What follows runs against the real kernel, as root, in a VM with iscsid; see
// tools/vm. Target and initiator are the same kernel.

const (
	address = "10.97.0.1"
	portal  = address + ":3260"
	gib     = 1 << 30
	other   = "iqn.2000-01.org.example:other" // an initiator beside the machine's own
	user    = "prj1"
	secret  = "canary-initi"
)

type object = map[string]any

// lab is a plane, a cluster on it, and a host.
type lab struct {
	*testing.T
	plane     *targets.Plane
	dir       string
	cluster   *solidfire.Cluster
	account   int64
	initiator string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("CINDERLIB_VM is not 1: this needs a machine of its own, with LIO and iscsid")
	}
	l := &lab{T: t, dir: filepath.Join(t.TempDir(), "volumes")}
	l.plane = l.open()
	var err error
	l.cluster, err = solidfire.New(solidfire.Options{SVIP: address, Data: l.plane})
	require.NoError(t, err)
	l.initiator = l.sh("sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
	_, _ = l.try("ip addr add %s/32 dev lo", address)
	_, err = l.try("iscsiadm -m iface -I other")
	if err != nil {
		l.sh("iscsiadm -m iface -I other -o new && iscsiadm -m iface -I other -o update -n iface.initiatorname -v %s", other)
	}
	t.Cleanup(func() {
		_, _ = l.try("multipath -F; iscsiadm -m node -u; iscsiadm -m node -o delete")
		assert.NoError(t, l.plane.Close(context.WithoutCancel(t.Context())))
		l.nothingLeft()
	})
	if l.initiator == "" {
		l.initiator = "iqn.none"
	}
	l.account = l.number("accountID", "AddAccount", object{"username": user, "initiatorSecret": secret, "targetSecret": "canary-target"})
	return l
}

func (l *lab) open() *targets.Plane {
	l.Helper()
	p, err := targets.New(l.dir, targets.Options{Modprobe: func(ctx context.Context, module string) error {
		return exec.CommandContext(ctx, "modprobe", module).Run()
	}})
	require.NoError(l, err)
	return p
}

func (l *lab) nothingLeft() {
	l.Helper()
	for _, glob := range []string{
		"/sys/kernel/config/target/iscsi/iqn.*", "/sys/kernel/config/target/core/fileio_*", l.dir + "*",
		"/sys/class/iscsi_session/*", "/sys/block/sd*", "/etc/iscsi/nodes/*",
	} {
		found, _ := filepath.Glob(glob)
		require.Empty(l, found, glob)
	}
}

func (l *lab) try(format string, args ...any) (string, error) {
	line := fmt.Sprintf(format, args...)
	out, err := exec.CommandContext(context.WithoutCancel(l.Context()), "bash", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (l *lab) sh(format string, args ...any) string {
	l.Helper()
	out, err := l.try(format, args...)
	require.NoError(l, err, "%s: %s", fmt.Sprintf(format, args...), out)
	return out
}

// call asks the cluster.
func (l *lab) call(method string, params object) object {
	l.Helper()
	text, err := l.cluster.Call(l.Context(), method, params)
	require.NoError(l, err, method)
	var result object
	require.NoError(l, json.Unmarshal(text, &result))
	return result
}

func (l *lab) number(name, method string, params object) int64 {
	l.Helper()
	n, ok := l.call(method, params)[name].(float64)
	require.True(l, ok, "%s has no %s", method, name)
	return int64(n)
}

// volume is one as the cluster tells of it.
type vol struct {
	VolumeID        int64
	IQN             string
	ScsiNAADeviceID string
	TotalSize       int64
}

func (l *lab) seen(id int64) vol {
	l.Helper()
	text, err := l.cluster.Call(l.Context(), "ListVolumes", object{"volumeIDs": []int64{id}})
	require.NoError(l, err)
	var list struct{ Volumes []vol }
	require.NoError(l, json.Unmarshal(text, &list))
	require.Len(l, list.Volumes, 1)
	return list.Volumes[0]
}

func (l *lab) create(name string, emulates512 bool) vol {
	l.Helper()
	return l.seen(l.number("volumeID", "CreateVolume", object{
		"name": name, "accountID": l.account, "totalSize": gib, "enable512e": emulates512,
	}))
}

// way is how a host logs in: by CHAP if there is a user, as another initiator, at
// another portal.
type way struct {
	user, password     string
	userIn, passwordIn string
	iface, portal      string
}

func byCHAP() way { return way{user: user, password: secret} }

// login logs in and gives the session's folder.
func (l *lab) login(iqn string, w way) (session string, err error) {
	l.Helper()
	if w.iface == "" {
		w.iface = "default"
	}
	if w.portal == "" {
		w.portal = portal
	}
	before, _ := filepath.Glob("/sys/class/iscsi_session/session*")
	node := fmt.Sprintf("iscsiadm -m node -T %s -p %s -I %s", iqn, w.portal, w.iface)
	line := node + " -o new && " + node + " -o update -n node.session.initial_login_retry_max -v 1 -n node.session.timeo.replacement_timeout -v 5 -n 'node.conn[0].timeo.login_timeout' -v 3"
	line += " -n node.session.auth.authmethod -v " + map[bool]string{true: "CHAP", false: "None"}[w.user != ""]
	for name, value := range map[string]string{
		"username": w.user, "password": w.password, "username_in": w.userIn, "password_in": w.passwordIn,
	} {
		if value != "" {
			line += " -n node.session.auth." + name + " -v " + value
		}
	}
	out, err := l.try("%s && %s --login", line, node)
	if err != nil {
		l.sh("%s -o delete", node)
		return "", fmt.Errorf("%w: %s", err, out)
	}
	after, _ := filepath.Glob("/sys/class/iscsi_session/session*")
	after = slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
	require.Len(l, after, 1)
	return after[0], nil
}

func (l *lab) in(iqn string, w way) string {
	l.Helper()
	session, err := l.login(iqn, w)
	require.NoError(l, err)
	return session
}

func (l *lab) out(session string) {
	l.Helper()
	l.sh("iscsiadm -m session -r %s -u", strings.TrimPrefix(filepath.Base(session), "session"))
}

// disk waits for a session's disk, and gives its name.
func (l *lab) disk(session string, lun int) string {
	l.Helper()
	found := ""
	l.until("no disk", func() bool {
		disks, _ := filepath.Glob(fmt.Sprintf("%s/device/target*/*:%d/block/sd*", session, lun))
		if len(disks) == 1 {
			found = filepath.Base(disks[0])
		}
		_, err := os.Stat("/dev/" + found)
		return found != "" && err == nil
	})
	return found
}

// luns lists what a session sees.
func (l *lab) luns(session string) []string {
	l.Helper()
	l.sh("udevadm settle")
	disks, _ := filepath.Glob(session + "/device/target*/*:*/block/sd*")
	for i, d := range disks {
		at := filepath.Base(filepath.Dir(filepath.Dir(d)))
		disks[i] = at[strings.LastIndexByte(at, ':')+1:]
	}
	slices.Sort(disks)
	return disks
}

func (l *lab) until(what string, look func() bool) {
	l.Helper()
	done, err := poll.Until(l.Context(), 30*time.Second, func() (bool, error) { return look(), nil })
	require.NoError(l, err)
	require.True(l, done, what)
}

// sysfs waits for an attribute: some come after the disk.
func (l *lab) sysfs(disk, name string) string {
	l.Helper()
	var text []byte
	l.until("no "+name, func() bool {
		var err error
		text, err = hostfile.Read("/sys/block/" + disk + "/" + name)
		return err == nil
	})
	return strings.TrimSpace(string(text))
}

func (l *lab) bytes(disk string) int64 {
	l.Helper()
	n, err := strconv.ParseInt(l.sysfs(disk, "size"), 10, 64)
	require.NoError(l, err)
	return n * 512
}

// grown has the host look for the size of a disk.
func (l *lab) grown(disk string, want int64) {
	l.Helper()
	l.sh("echo 1 > /sys/block/%s/device/rescan", disk)
	l.until("the size is the old one", func() bool { return l.bytes(disk) == want })
}

// put writes a mebibyte of b, up to the volume.
func (l *lab) put(disk string, b byte, off int64) error {
	l.Helper()
	_, err := l.try("head -c 1M /dev/zero | tr '\\0' %c | dd of=/dev/%s bs=1M iflag=fullblock oflag=direct conv=notrunc seek=%d", b, disk, off/mib)
	return err
}

// has tells whether a mebibyte of the volume is all b.
func (l *lab) has(disk string, b byte, off int64) bool {
	l.Helper()
	f, err := os.Open("/dev/" + disk)
	require.NoError(l, err)
	require.NoError(l, hostfile.DropBuffers(f))
	require.NoError(l, f.Close())
	return all(l.T, "/dev/"+disk, b, off, mib)
}

// sockets are the ports of the host's connections: a session that was logged in
// anew has another one.
func (l *lab) sockets() []string {
	l.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	require.NoError(l, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", 3260)) {
			found = append(found, f[1])
		}
	}
	slices.Sort(found)
	return found
}
