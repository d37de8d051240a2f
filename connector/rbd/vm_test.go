// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/lock"
)

// What the tests TestVMCeph… share. They run against the real kernel, as root, in a VM
// with a cluster of tools/ceph in it; see tools/vm.

// slack is what a busy machine may add to the time that a call may take.
const slack = 8 * time.Second

// The features of an image (include/rbd/features.h of Ceph).
const (
	plainImage     = 61  // all that the kernel knows
	journaledImage = 125 // and journaling
)

// lab is this host with its cluster.
type lab struct {
	*testing.T

	way   string
	dir   string // of the cluster
	locks string // the lock file, for other processes
	host  *connector.Host
	conn  *rbd
}

func newLab(t *testing.T, way string) *lab {
	t.Helper()
	if os.Getenv("CINDERLIB_VM") != "1" {
		t.Skip("CINDERLIB_VM is not 1: this needs a machine of its own, with a Ceph cluster")
	}
	l := &lab{T: t, way: way, dir: filepath.Dir(os.Getenv("CEPH_CONF")), locks: filepath.Join(t.TempDir(), "lock")}
	l.host = hostOf(t, way, l.locks)
	l.conn = New(l.host).(*rbd) //nolint:forcetypeassert // it is
	if _, err := os.Stat(bus); way == "nbd" && err == nil {
		l.sh("rmmod rbd")
	}
	t.Cleanup(func() {
		assert.Empty(t, l.left())
		assert.Equal(t, "[]", l.ceph("images()"))
	})
	return l
}

// each runs a test with the kernel's driver, and with rbd-nbd on a host that has none.
func each(t *testing.T, f func(l *lab)) {
	t.Helper()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { f(newLab(t, way)) })
	}
}

func hostOf(t *testing.T, way, locks string) *connector.Host {
	t.Helper()
	file, err := lock.OpenFile(locks)
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	run := connector.NewRunner("sudo", log)
	if way == "nbd" {
		run = withoutKernel{run}
	}
	return &connector.Host{Run: run, Locks: file, Log: log}
}

// withoutKernel is a host without the kernel's driver.
type withoutKernel struct{ connector.Runner }

func (w withoutKernel) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	if c.Args[0] == "modprobe" && c.Args[1] == "rbd" {
		return connector.Result{Code: 1}, errors.New("modprobe: FATAL: Module rbd not found")
	}
	return w.Runner.Run(ctx, c)
}

func (l *lab) sh(format string, args ...any) string {
	l.Helper()
	line := fmt.Sprintf(format, args...)
	out, err := exec.CommandContext(context.WithoutCancel(l.Context()), "bash", "-c", line).CombinedOutput()
	require.NoError(l, err, "%s: %s", line, out)
	return strings.TrimSpace(string(out))
}

// administrator answers Python expressions. Each start of the program rbd would take
// seconds in a VM.
const administrator = `
import json, rados, rbd, sys, time

cluster = rados.Rados(conffile=sys.argv[1], name="client.admin")
cluster.connect(timeout=120)
pools = {p: cluster.open_ioctx(p) for p in ("volumes", "journaled")}

def make(name, size, features):
    pool, image = name.split("/")
    rbd.RBD().create(pools[pool], image, size, old_format=False, features=features)

def on(name, method, *args, **more):
    pool, image = name.split("/")
    with rbd.Image(pools[pool], image) as i:
        getattr(i, method)(*args, **more)

def delete(name):
    pool, image = name.split("/")
    rbd.RBD().remove(pools[pool], image)

def remove(name):
    until = time.monotonic() + 60
    while True:
        try:
            return delete(name)
        except rbd.ImageNotFound:
            return
        except rbd.ImageHasSnapshots:
            on(name, "remove_snap", "one")
        except rbd.ImageBusy: # a dead client counts for 10 s
            if time.monotonic() > until:
                raise
            time.sleep(0.2)

def images():
    return [p + "/" + i for p, io in pools.items() for i in rbd.RBD().list(io)]

for line in sys.stdin:
    try:
        answer = [str(eval(json.loads(line))), ""]
    except Exception as e:
        answer = ["", type(e).__name__ + ": " + str(e)]
    print(json.dumps(answer), flush=True)
`

// admin starts the administrator, who ends with this process.
var admin = sync.OnceValues(func() (func(string) (string, error), error) {
	cmd := exec.Command("/usr/bin/python3", "-c", administrator, os.Getenv("CEPH_CONF"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	var mu sync.Mutex
	return func(expression string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		question, err := json.Marshal(expression)
		if err != nil {
			return "", err
		}
		if _, err := io.WriteString(in, string(question)+"\n"); err != nil {
			return "", err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		var answer [2]string
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			return "", err
		}
		if answer[1] != "" {
			return "", errors.New(answer[1])
		}
		return answer[0], nil
	}, cmd.Start()
})

func (l *lab) tryCeph(format string, args ...any) (string, error) {
	l.Helper()
	ask, err := admin()
	require.NoError(l, err)
	return ask(fmt.Sprintf(format, args...))
}

func (l *lab) ceph(format string, args ...any) string {
	l.Helper()
	answer, err := l.tryCeph(format, args...)
	require.NoError(l, err)
	return answer
}

// volume makes an image of 8 MiB and a request for it.
func (l *lab) volume() connector.Request {
	l.Helper()
	return l.image("volumes/volume-"+uuid.NewString(), plainImage)
}

func (l *lab) image(name string, features int) connector.Request {
	l.Helper()
	l.ceph("make(%q, %d, %d)", name, 8*mib, features)
	r := l.request(name)
	l.Cleanup(func() {
		if l.Failed() { // for the tests after this one
			r.Force = true
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), time.Minute)
			defer cancel()
			l.Log(l.conn.Detach(ctx, r))
		}
		l.ceph("remove(%q)", name)
	})
	return r
}

// request is one for an image that may not be there.
func (l *lab) request(name string) connector.Request {
	l.Helper()
	host, port := l.monitor("v1")
	return connector.Request{
		Info: &connector.ConnInfo{Protocol: connector.ProtocolRBD, Data: &connector.RBDData{
			Name: name, Hosts: []string{host}, Ports: []string{port}, ClusterName: "ceph",
			AuthEnabled: true, AuthUsername: "cinder", SecretType: "ceph", Keyring: l.keyring("cinder"),
		}},
		SizeBytes: 8 * mib,
	}
}

// monitor is where the cluster's listens for a protocol.
func (l *lab) monitor(protocol string) (host, port string) {
	l.Helper()
	conf, err := os.ReadFile(filepath.Join(l.dir, "ceph.conf"))
	require.NoError(l, err)
	found := regexp.MustCompile(protocol + `:([0-9.]+):(\d+)`).FindSubmatch(conf)
	require.Len(l, found, 3)
	return string(found[1]), string(found[2])
}

func (l *lab) keyring(user string) connector.Secret {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "ceph.client."+user+".keyring"))
	require.NoError(l, err)
	return connector.Secret(text)
}

func (l *lab) attach(r connector.Request) connector.Request {
	l.Helper()
	start := time.Now()
	d, err := l.conn.Attach(l.Context(), r)
	require.NoError(l, err)
	l.Logf("attach: %s: %+v", time.Since(start).Round(time.Millisecond), *d)
	require.Contains(l, d.Path, map[string]string{"krbd": "/dev/rbd", "nbd": "/dev/nbd"}[l.way])
	r.Device = d
	require.NoError(l, l.host.Check(l.Context(), r))
	return r
}

// remove detaches one of several volumes.
func (l *lab) remove(r connector.Request) {
	l.Helper()
	start := time.Now()
	require.NoError(l, l.conn.Detach(l.Context(), r))
	l.Logf("detach: %s", time.Since(start).Round(time.Millisecond))
	require.Empty(l, l.paths(r))
}

// detach detaches the only one.
func (l *lab) detach(r connector.Request) {
	l.Helper()
	l.remove(r)
	require.Empty(l, l.left())
}

func (l *lab) paths(r connector.Request) []string {
	l.Helper()
	paths, err := l.conn.Paths(l.Context(), r)
	require.NoError(l, err)
	return paths
}

// settled waits until nothing goes on behind a call any more.
func (l *lab) settled(r connector.Request) {
	l.Helper()
	j, err := l.conn.job(l.Context(), r)
	require.NoError(l, err)
	unlock, err := l.host.Locks.Lock(l.Context(), j.image.lock())
	require.NoError(l, err)
	unlock()
}

// left is what there is of any image on this host.
func (l *lab) left() []string {
	var left []string
	for _, glob := range []string{"/sys/bus/rbd/devices/*", "/dev/rbd[0-9]*", "/sys/block/nbd*/pid", "/run/cinderlib*"} {
		found, _ := filepath.Glob(glob)
		left = append(left, found...)
	}
	for _, pid := range l.programs("rbd-nbd", "tee") {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return left
}

// programs are the processes that run one of some programs.
func (l *lab) programs(names ...string) []string {
	var found []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		line, _ := os.ReadFile(file)
		program, _, _ := strings.Cut(string(line), "\x00")
		if slices.Contains(names, path.Base(program)) {
			found = append(found, path.Base(path.Dir(file)))
		}
	}
	return found
}

// pause stops a daemon until the function is called, or the test ends.
func (l *lab) pause(daemon string) (resume func()) {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "run", daemon+".pid"))
	require.NoError(l, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(l, err)
	require.NoError(l, syscall.Kill(pid, syscall.SIGSTOP))
	resume = sync.OnceFunc(func() { assert.NoError(l, syscall.Kill(pid, syscall.SIGCONT)) })
	l.Cleanup(resume)
	return resume
}

// limited is a context that ends after a time, and took fails the test if a call under
// it has taken much longer than that.
func (l *lab) limited(limit time.Duration) (ctx context.Context, took func()) {
	ctx, cancel := context.WithTimeout(l.Context(), limit)
	start := time.Now()
	return ctx, func() {
		l.Helper()
		cancel()
		l.Logf("took %s of %s", time.Since(start).Round(time.Millisecond), limit)
		require.Less(l, time.Since(start), limit+slack)
	}
}

// child is this program in another process's part: it does the words of verb in turn.
func (l *lab) child(r connector.Request, verb string, before ...string) *exec.Cmd {
	l.Helper()
	info, err := json.Marshal(r.Info)
	require.NoError(l, err)
	args := append(before, os.Args[0], "-test.run", "^TestChild$", "-test.v")
	c := exec.CommandContext(l.Context(), args[0], args[1:]...)
	c.Env = append(os.Environ(), "CINDERLIB_CHILD="+verb, "CINDERLIB_INFO="+string(info), "CINDERLIB_WAY="+l.way)
	if len(before) == 0 { // another user cannot open it
		c.Env = append(c.Env, "CINDERLIB_LOCKS="+l.locks)
	}
	return c
}

// TestChild is what child runs.
func TestChild(t *testing.T) {
	verbs := os.Getenv("CINDERLIB_CHILD")
	if verbs == "" {
		t.Skip("this is for children of other tests")
	}
	locks := os.Getenv("CINDERLIB_LOCKS")
	if locks == "" {
		locks = filepath.Join(t.TempDir(), "lock")
	}
	h := hostOf(t, os.Getenv("CINDERLIB_WAY"), locks)
	c := New(h)
	r := connector.Request{Info: &connector.ConnInfo{}, SizeBytes: 8 * mib}
	require.NoError(t, json.Unmarshal([]byte(os.Getenv("CINDERLIB_INFO")), r.Info))
	for verb := range strings.SplitSeq(verbs, ",") {
		var err error
		start := time.Now()
		switch verb {
		case "attach":
			r.Device, err = c.Attach(t.Context(), r)
			if err == nil {
				err = h.Check(t.Context(), r)
			}
		case "hasty":
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err = c.Attach(ctx, r)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			t.Log(err)
			err = nil
		case "extend":
			_, err = c.Extend(t.Context(), r)
		case "leave":
			err = c.Detach(t.Context(), r)
		}
		require.NoError(t, err, verb)
		t.Logf("%s: %s", verb, time.Since(start).Round(time.Millisecond))
	}
}

// write has the text reach the cluster: librbd keeps what is written until it is told.
func write(t *testing.T, device, text string) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func read(t *testing.T, device string, bytes int) string {
	t.Helper()
	f, err := os.Open(device)
	require.NoError(t, err)
	defer f.Close()
	data := make([]byte, bytes)
	_, err = io.ReadFull(f, data)
	require.NoError(t, err)
	return string(data)
}
