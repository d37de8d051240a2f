// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// childEnv has the program of a test be a process that is killed: its job in JSON.
const childEnv = "CINDERLIB_SOLIDFIRE_CHILD"

type job struct {
	Folder, Words string
	Options       map[string]any
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		var w *world
		if w, err = openWorld(context.Background(), j.Folder, j.Options); err == nil {
			err = w.do(context.Background(), j.Words)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestKillSweep kills the process when each of its requests has come to the cluster,
// before and after it takes effect. Another process recovers.
func TestKillSweep(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts some two hundred processes")
	}
	var kills atomic.Int32
	t.Run("with", func(t *testing.T) {
		for name, options := range map[string]map[string]any{"CHAP": nil, "access groups": {"sf_enable_vag": true}} {
			for _, v := range verbs {
				if name != "CHAP" && !v.connects() {
					continue // it is the same without
				}
				t.Run(name+", "+v.name, func(t *testing.T) {
					t.Parallel()
					l := newLab(t, solidfire.Options{}, options)
					folder := t.TempDir()
					for n, reached := 0, true; reached; n++ {
						for _, after := range []bool{false, true} {
							where := fmt.Sprintf("%s, request %d, after it: %t", v.name, n+1, after)
							w, err := openWorld(t.Context(), folder, l.options)
							require.NoError(t, err)
							require.NoError(t, w.do(t.Context(), v.before), where)
							require.NoError(t, w.lib.Close(t.Context()))
							reached = l.killed(t, job{folder, v.run, l.options}, n, after)
							if reached {
								kills.Add(1)
							}
							w, err = openWorld(t.Context(), folder, l.options)
							require.NoError(t, err)
							require.NoError(t, w.settle(t.Context()), where)
							l.requireAgreement(t, w, where)
							require.NoError(t, w.clear(t.Context()), where)
							l.requireEmpty(t, where)
							require.NoError(t, w.lib.Close(t.Context()))
						}
					}
				})
			}
		}
	})
	t.Logf("%d kills", kills.Load())
	assert.Greater(t, int(kills.Load()), 60)
}

// openRequests are those by which a process finds out about the cluster.
const openRequests = 2

// killed runs a job in a process that is killed at a request. It is false if there is
// no such request.
func (l *lab) killed(t *testing.T, j job, request int, after bool) bool {
	t.Helper()
	text, err := json.Marshal(j)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var out bytes.Buffer
	cmd.Stderr = &out
	started, ended := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.AddFault(arraysim.Fault{
		Kind: arraysim.Custom, After: openRequests + request, Times: 1,
		Hook: func(_ context.Context, _ *arraysim.Request, do func() arraysim.Answer) arraysim.Answer {
			if after {
				do()
			}
			<-started
			_ = cmd.Process.Signal(syscall.SIGKILL)
			<-ended
			return arraysim.Answer{}
		},
	}))
	defer l.ClearFaults()
	require.NoError(t, cmd.Start())
	close(started)
	err = cmd.Wait()
	close(ended)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		require.NoError(t, err, out.String())
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%v: %s", err, out.String())
	return true
}
