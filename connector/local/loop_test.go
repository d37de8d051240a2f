// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/connectortest"
)

// needLoops skips a test where loop devices cannot be had. In the system tests
// (make test-system) they can, and a skip would hide a fault.
func needLoops(t *testing.T) {
	t.Helper()
	reason := ""
	if os.Geteuid() != 0 {
		reason = "loop devices need root"
	} else if f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0); err != nil {
		reason = "no loop devices here: " + err.Error()
	} else {
		require.NoError(t, f.Close())
	}
	switch {
	case reason == "":
	case os.Getenv("CINDERLIB_SYSTEM") == "1":
		t.Fatal(reason)
	default:
		t.Skip(reason)
	}
}

// loopVolume makes a volume whose loop devices go with the test.
func loopVolume(t *testing.T) connector.Request {
	t.Helper()
	r := volume(t, t.TempDir(), true)
	t.Cleanup(func() { removeLoops(t, dataIn(r).DevicePath) })
	return r
}

// removeLoops takes the file from every loop device that has it.
func removeLoops(t *testing.T, path string) {
	t.Helper()
	c := &local{host: thisHost()}
	b := c.backingOf(&connector.LocalData{DevicePath: path}, "")
	all, err := c.loops(&b, func(*loop, *backing) bool { return true })
	require.NoError(t, err)
	for i := range all {
		f, err := os.Open(all[i].path)
		require.NoError(t, err)
		_ = ioctl(f, loopClrFD, 0) // gone meanwhile
		require.NoError(t, f.Close())
	}
}

// copyOf is the request of another connection to the same volume.
func copyOf(r connector.Request, mode connector.AccessMode, id string) connector.Request {
	d := *dataIn(r)
	d.Shared.AccessMode = mode
	r.ConnectionID = id
	r.Info = &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: &d}
	return r
}

func attach(t *testing.T, c connector.Connector, r connector.Request) string {
	t.Helper()
	d, err := c.Attach(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, "block", d.Type)
	assert.True(t, strings.HasPrefix(d.Path, "/dev/loop"), d.Path)
	return d.Path
}

func paths(t *testing.T, c connector.Connector, r connector.Request) []string {
	t.Helper()
	list, err := c.Paths(t.Context(), r)
	require.NoError(t, err)
	return list
}

func TestLoop(t *testing.T) {
	t.Parallel()
	needLoops(t)
	for mode, name := range map[connector.AccessMode]string{connector.ReadWrite: "rw", connector.ReadOnly: "ro"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.Run(t, connectortest.Harness{
				New: func(*testing.T) (connector.Connector, *connector.Host) {
					h := thisHost()
					return New(h), h
				},
				Request: func(t *testing.T, _ *connector.Host) connector.Request {
					r := loopVolume(t)
					dataIn(r).Shared.AccessMode = mode
					return r
				},
				Grow:   growFile,
				Faults: faults(true),
			})
		})
	}
}

// TestLoopOfEachConnection: detaching one connection leaves the others' devices.
func TestLoopOfEachConnection(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, a := New(thisHost()), loopVolume(t)
	b := copyOf(a, connector.ReadWrite, uuid.NewString())
	ro := copyOf(a, connector.ReadOnly, uuid.NewString())
	pathA, pathB, pathRO := attach(t, c, a), attach(t, c, b), attach(t, c, ro)
	assert.NotEqual(t, pathA, pathB)
	assert.NotEqual(t, pathA, pathRO)
	assert.NotEqual(t, pathB, pathRO)

	require.NoError(t, c.Detach(t.Context(), a))
	a.Force = true
	require.NoError(t, c.Detach(t.Context(), a))
	assert.Empty(t, paths(t, c, a))
	assert.Equal(t, []string{pathB}, paths(t, c, b))
	assert.Equal(t, pathB, attach(t, c, b))

	// What is written through one is in the file when it is detached, and cannot be
	// written through one that is read-only.
	f, err := os.OpenFile(pathB, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("written"), mib)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, c.Detach(t.Context(), b))
	content, err := os.ReadFile(dataIn(a).DevicePath)
	require.NoError(t, err)
	assert.Equal(t, "written", string(content[mib:mib+7]))

	f, err = os.OpenFile(pathRO, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 0)
		require.NoError(t, f.Close())
	}
	require.Error(t, err)
	require.NoError(t, c.Detach(t.Context(), ro))
}

// TestLoopWithoutConnection: without ids there is one device for each mode.
func TestLoopWithoutConnection(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c := New(thisHost())
	named := loopVolume(t)
	rw, ro := copyOf(named, "", ""), copyOf(named, connector.ReadOnly, "")
	pathRW, pathRO, pathNamed := attach(t, c, rw), attach(t, c, ro), attach(t, c, named)
	assert.NotEqual(t, pathRW, pathRO)
	assert.NotEqual(t, pathRW, pathNamed)
	assert.Equal(t, pathRW, attach(t, c, copyOf(named, connector.ReadWrite, "")))

	require.NoError(t, c.Detach(t.Context(), ro))
	assert.Equal(t, []string{pathRW}, paths(t, c, rw))
	require.NoError(t, c.Detach(t.Context(), rw))
	assert.Equal(t, []string{pathNamed}, paths(t, c, named))
	require.NoError(t, c.Detach(t.Context(), named))
}

func TestLoopOfALongName(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, r := New(thisHost()), loopVolume(t)
	one := copyOf(r, "", strings.Repeat("x", 100)+"1")
	two := copyOf(r, "", strings.Repeat("x", 100)+"2")
	pathOne, pathTwo := attach(t, c, one), attach(t, c, two)
	assert.NotEqual(t, pathOne, pathTwo)
	require.NoError(t, c.Detach(t.Context(), one))
	assert.Equal(t, []string{pathTwo}, paths(t, c, two))
	require.NoError(t, c.Detach(t.Context(), two))
}

// TestLoopOfOthers: what another program made is not handed out, nor removed.
func TestLoopOfOthers(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, r := New(thisHost()), loopVolume(t)
	b := (&local{host: thisHost()}).backingOf(dataIn(r), r.ConnectionID)
	b.name = dataIn(r).DevicePath[:20] // as losetup has it
	theirs, err := (&local{host: thisHost()}).newLoop(t.Context(), &b, 0)
	require.NoError(t, err)
	ours := attach(t, c, r)
	assert.NotEqual(t, theirs.Path, ours)
	r.Force = true
	require.NoError(t, c.Detach(t.Context(), r))
	require.NoError(t, c.Detach(t.Context(), copyOf(r, "", "")))

	f, err := os.Open(theirs.Path)
	require.NoError(t, err)
	defer f.Close()
	_, err = status(f)
	require.NoError(t, err, "it has its file still")
}

// TestLoopInUse: a device that somebody has open stays, and works.
func TestLoopInUse(t *testing.T) {
	t.Parallel()
	needLoops(t)
	for name, flag := range map[string]int{"open": 0, "exclusive": syscall.O_EXCL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r := thisHost(), loopVolume(t)
			c := &local{host: h, settle: 50 * time.Millisecond}
			path := attach(t, c, r)
			user, err := os.OpenFile(path, os.O_RDWR|flag, 0)
			require.NoError(t, err)
			defer user.Close()

			err = c.Detach(t.Context(), r)
			require.ErrorIs(t, err, connector.ErrInUse)
			require.ErrorContains(t, err, path+" of "+dataIn(r).DevicePath+": somebody has it open")
			assert.Equal(t, path, attach(t, c, r), "it is still attached")
			_, err = user.WriteAt([]byte("x"), 0)
			require.NoError(t, err)
			require.NoError(t, user.Sync())

			if flag == 0 {
				// The context ends while Detach waits.
				slow := &local{host: h, settle: time.Minute}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // it flushes before
				defer cancel()
				start := time.Now()
				err = slow.Detach(ctx, r)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, connector.ErrInUse)
				assert.Less(t, time.Since(start), 4*time.Second)
				assert.Equal(t, []string{path}, paths(t, c, r))
			}

			force := r
			force.Force = true
			require.NoError(t, c.Detach(t.Context(), force))
			assert.Empty(t, paths(t, c, r))
			_, err = user.WriteAt([]byte("y"), 0)
			require.NoError(t, err, "until it is closed")
			other := attach(t, c, r)
			assert.NotEqual(t, path, other, "one that is going is not handed out")
			require.NoError(t, user.Close())
			require.NoError(t, c.Detach(t.Context(), r))
			gone, err := c.removed(&loop{path: path})
			require.NoError(t, err)
			assert.True(t, gone)
		})
	}
}

// TestLoopClosedInTime: udev and its like have it open for an instant.
func TestLoopClosedInTime(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, r := New(thisHost()), loopVolume(t)
	user, err := os.Open(attach(t, c, r))
	require.NoError(t, err)
	timer := time.AfterFunc(50*time.Millisecond, func() { assert.NoError(t, user.Close()) })
	defer timer.Stop()
	require.NoError(t, c.Detach(t.Context(), r))
	assert.Empty(t, paths(t, c, r))
}

// TestLoopOfARemovedFile: the file was deleted while it was attached.
func TestLoopOfARemovedFile(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, r := New(thisHost()), loopVolume(t)
	path := dataIn(r).DevicePath
	device := attach(t, c, r)
	require.NoError(t, os.Remove(path))
	assert.Empty(t, paths(t, c, r), "it is not the file's any more")
	require.NoError(t, os.WriteFile(path, make([]byte, 4*mib), 0o600))
	fresh := attach(t, c, r)
	assert.NotEqual(t, device, fresh, "another file of the same name")
	require.NoError(t, c.Detach(t.Context(), r))
	for _, p := range []string{device, fresh} {
		f, err := os.Open(p)
		require.NoError(t, err)
		info, err := status(f)
		require.NoError(t, f.Close())
		if err == nil {
			assert.NotEqual(t, "cinderlib:"+r.ConnectionID, info.name())
		}
	}
}

// TestLoopHalfMade: kernels before 5.8 know no LOOP_CONFIGURE, and a kill
// between its two halves leaves a device without a name.
func TestLoopHalfMade(t *testing.T) {
	t.Parallel()
	needLoops(t)
	r := loopVolume(t)
	c := &local{host: thisHost(), settle: settle}
	b := c.backingOf(dataIn(r), r.ConnectionID)
	made := func(name string) string {
		control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
		require.NoError(t, err)
		defer control.Close()
		file, err := os.OpenFile(b.path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer file.Close()
		info := loopInfo{}
		copy(info.FileName[:], name)
		for {
			n, err := ioctlValue(control, loopCtlGetFree, 0)
			require.NoError(t, err)
			device, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
			require.NoError(t, err)
			err = configureInSteps(device, file, info)
			require.NoError(t, device.Close())
			if err == nil {
				return device.Name()
			}
			require.ErrorIs(t, err, syscall.EBUSY)
		}
	}
	whole := made(b.name)
	assert.Equal(t, whole, attach(t, c, r))
	half := made("")
	assert.Equal(t, []string{whole}, paths(t, c, r))
	require.NoError(t, c.Detach(t.Context(), r))
	found, err := c.loops(&b, func(l *loop, b *backing) bool { return l.on(b) })
	require.NoError(t, err)
	assert.Empty(t, found, half)
}

func TestLoopExtendNotAttached(t *testing.T) {
	t.Parallel()
	needLoops(t)
	_, err := New(thisHost()).Extend(t.Context(), loopVolume(t))
	require.ErrorIs(t, err, connector.ErrNotFound)
}

// TestLoopOfADevice: a block device may be given a loop device, too.
func TestLoopOfADevice(t *testing.T) {
	t.Parallel()
	needLoops(t)
	c, below := New(thisHost()), loopVolume(t)
	r := request(attach(t, c, below), true)
	path := attach(t, c, r)
	assert.Equal(t, path, attach(t, c, r))
	err := (&local{host: thisHost(), settle: 50 * time.Millisecond}).Detach(t.Context(), below)
	require.ErrorIs(t, err, connector.ErrInUse)
	require.NoError(t, c.Detach(t.Context(), r))
	require.NoError(t, c.Detach(t.Context(), below))
}

func TestLoopNeedsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may make loop devices")
	}
	c, r := New(thisHost()), volume(t, t.TempDir(), true)
	_, err := c.Attach(t.Context(), r)
	if _, none := os.Stat("/dev/loop-control"); none != nil {
		require.ErrorIs(t, err, connector.ErrUnavailable)
		return
	}
	require.ErrorIs(t, err, connector.ErrPermission)
	require.ErrorContains(t, err, "loop devices need root: CAP_SYS_ADMIN, and access to /dev/loop-control")
	require.NoError(t, c.Detach(t.Context(), r), "there is none")
}
