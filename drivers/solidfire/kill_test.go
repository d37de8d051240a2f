// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// job is what a process does that is killed.
type job struct {
	Folder, Words string
	Options       map[string]any
}

func TestMain(m *testing.M) {
	os.Exit(libtest.Main(m, func(ctx context.Context, text string) error {
		var j job
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			return err
		}
		w, err := openWorld(ctx, j.Folder, j.Options)
		if err != nil {
			return err
		}
		return w.Do(ctx, j.Words)
	}))
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
							require.NoError(t, w.Do(t.Context(), v.before), where)
							require.NoError(t, w.Lib.Close(t.Context()))
							reached = l.killed(t, job{folder, v.run, l.options}, n, after)
							if reached {
								kills.Add(1)
							}
							w, err = openWorld(t.Context(), folder, l.options)
							require.NoError(t, err)
							require.NoError(t, w.Settle(t.Context()), where)
							l.requireAgreement(t, w, where)
							require.NoError(t, w.Clear(t.Context()), where)
							l.requireEmpty(t, where)
							require.NoError(t, w.Lib.Close(t.Context()))
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
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	ended := make(chan struct{})
	require.NoError(t, l.AddFault(arraysim.Fault{
		Kind: arraysim.Custom, After: openRequests + request, Times: 1,
		Hook: func(_ context.Context, _ *arraysim.Request, do func() arraysim.Answer) arraysim.Answer {
			if after {
				do()
			}
			kill()
			<-ended
			return arraysim.Answer{}
		},
	}))
	defer l.ClearFaults()
	killed, err := libtest.RunChild(ctx, string(text))
	close(ended)
	require.NoError(t, err)
	return killed
}
