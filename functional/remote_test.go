// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
)

// nodeVariable tells this binary to be the second process.
const nodeVariable = "CINDERLIB_FUNCTIONAL_NODE"

// nodeJob is what the second process is given: a connection, and nothing of the
// backend or the store.
type nodeJob struct {
	Connection json.RawMessage
	RootHelper string
	Expect     []byte // what it must find
	Write      []byte // what it must leave
}

// nodeReport is what it tells.
type nodeReport struct {
	PID     int
	Path    string
	Size    int64
	Backend string
}

// node is the main function of the second process.
func node() (exit int) {
	var job nodeJob
	err := json.NewDecoder(os.Stdin).Decode(&job)
	if err == nil {
		var report *nodeReport
		if report, err = job.run(context.Background()); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(report)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "second process:", err)
		return 1
	}
	return 0
}

func (j *nodeJob) run(ctx context.Context) (_ *nodeReport, err error) {
	lib, err := cinderlib.New(cinderlib.WithMissingBackends(), cinderlib.WithRootHelper(j.RootHelper))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lib.Close(ctx)) }()
	c, err := lib.LoadConnection(ctx, j.Connection)
	if err != nil {
		return nil, err
	}
	if c.Backend() != nil || len(lib.Backends()) > 0 {
		return nil, errors.New("there is a backend")
	}
	if err := c.Attach(ctx); err != nil {
		return nil, err
	}
	report := &nodeReport{PID: os.Getpid(), Path: c.Path(), Backend: c.BackendName()}
	report.Size, err = j.use(ctx, device{c.Path(), j.RootHelper})
	return report, errors.Join(err, c.Detach(ctx))
}

// use reads and writes both ends of the device.
func (j *nodeJob) use(ctx context.Context, d device) (size int64, err error) {
	size, err = sizeOf(d.path)
	if err != nil {
		return 0, err
	}
	for _, offset := range []int64{0, size - int64(len(j.Expect))} {
		found, err := d.load(ctx, offset, len(j.Expect))
		if err != nil {
			return size, err
		}
		if !bytes.Equal(found, j.Expect) {
			return size, fmt.Errorf("other data at %d than the first process wrote", offset)
		}
		if err := d.store(ctx, offset, j.Write); err != nil {
			return size, err
		}
	}
	return size, nil
}

// start runs the second process.
func (j *nodeJob) start(t *testing.T) nodeReport {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	in, err := json.Marshal(j)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), nodeVariable+"=1")
	cmd.Stdin = bytes.NewReader(in)
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	require.NoError(t, cmd.Run(), faults.String())
	var report nodeReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), out.String())
	return report
}

func testRemoteConnectThroughJSON(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	c := b.connect(t, v)
	text, err := json.Marshal(c)
	require.NoError(t, err)
	job := nodeJob{Connection: text, RootHelper: b.suite.rootHelper, Expect: data, Write: otherData}
	report := job.start(t)
	assert.NotEqual(t, os.Getpid(), report.PID)
	assert.NotEmpty(t, report.Path)
	assert.Equal(t, b.ID(), report.Backend)
	b.assertSize(t, 1, report.Size)
	assertGone(t, madeFor(c))

	require.NoError(t, c.Refresh(t.Context()))
	assert.False(t, c.Attached(), "what another host does is not in this store")
	b.disconnect(t, v, c)
	assert.Equal(t, otherData, b.read(t, v), "what the second process wrote")
}

func testAttachWithoutBackend(t *testing.T, b *backend) {
	v := b.createVolume(t, 1)
	b.write(t, v, data)
	here := b.connect(t, v)
	text, err := here.Simplified() // without the volume: all that a node needs
	require.NoError(t, err)

	lib, err := cinderlib.New(cinderlib.WithMissingBackends(), cinderlib.WithRootHelper(b.suite.rootHelper))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, lib.Close(context.WithoutCancel(t.Context()))) })
	there, err := lib.LoadConnection(t.Context(), text)
	require.NoError(t, err)
	assert.Nil(t, there.Backend())
	assert.Equal(t, b.ID(), there.BackendName())
	assert.Equal(t, here.ConnInfo(), there.ConnInfo())

	made := b.attachConnection(t, there)
	d := b.device(there)
	size := deviceSize(t, d.path)
	b.assertSize(t, 1, size)
	assert.Equal(t, data, d.read(t, size))
	d.write(t, size, otherData)
	require.ErrorIs(t, there.Disconnect(t.Context()), cinderlib.ErrNoBackend)

	// The one grows it on the array, the other on the host.
	_, err = v.Extend(t.Context(), 2)
	if !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		bytes, err := there.Extend(t.Context())
		b.needPermission(t, err)
		require.NoError(t, err)
		b.assertSize(t, 2, bytes)
		b.assertSize(t, 2, deviceSize(t, d.path))
	}
	require.NoError(t, there.Detach(t.Context()))
	assert.False(t, there.Attached())
	assertGone(t, made)
	b.disconnect(t, v, here)
	c := b.attach(t, v)
	begin, err := b.device(c).load(t.Context(), 0, len(otherData))
	require.NoError(t, err)
	assert.Equal(t, otherData, begin)
	b.detach(t, v)
}
