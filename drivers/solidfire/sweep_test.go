// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

// verb is done to an empty cluster, after what comes before it.
type verb struct{ name, before, run string }

func (v verb) connects() bool { return strings.ContainsAny(v.run, "!.") }

var verbs = []verb{
	{"create", "", "a+"},
	{"create another", "a+", "b+"},
	{"delete", "a+", "a-"},
	{"extend", "a+", "a="},
	{"snapshot", "a+", "a*"},
	{"delete a snapshot", "a+ a*", "a/"},
	{"revert", "a+ a*", "a<"},
	{"retype", "a+", "a%"},
	{"clone", "a+", "a>b"},
	{"from a snapshot", "a+ a*", "a*>b"},
	{"connect", "a+", "a!"},
	{"connect another", "a+ b+ a!", "b!"},
	{"disconnect", "a+ a!", "a."},
	{"disconnect one of two", "a+ b+ a! b!", "a."},
	{"statistics", "a+", "?"},
}

// trouble is each kind of it.
var trouble = map[string]arraysim.Fault{
	"busy":             {Kind: arraysim.Refuse, Name: "xDBVersionMismatch"},
	"not ready":        {Kind: arraysim.Refuse, Name: "xNotReadyForIO"},
	"internal error":   {Kind: arraysim.Refuse, Name: "xInternalError"},
	"no more":          {Kind: arraysim.Refuse, Name: "xExceededLimit"},
	"status 500":       {Kind: arraysim.Status, Status: 500, HTML: true},
	"status 503":       {Kind: arraysim.Status, Status: 503},
	"status 401":       {Kind: arraysim.Status, Status: 401},
	"malformed answer": {Kind: arraysim.Malformed},
	"dropped before":   {Kind: arraysim.DropBefore},
	"dropped after":    {Kind: arraysim.DropAfter},
	"delivered twice":  {Kind: arraysim.Twice},
	"slow":             {Kind: arraysim.SlowAnswer, Delay: 5 * time.Millisecond},
}

// TestFaultSweep has each request of each verb go wrong in each way. Then store and
// cluster agree, or Recover has them agree, and all can be deleted.
func TestFaultSweep(t *testing.T) {
	t.Parallel()
	var tried, failed atomic.Int32
	t.Run("with", func(t *testing.T) {
		for name, options := range map[string]map[string]any{"CHAP": nil, "access groups": {"sf_enable_vag": true}} {
			for _, v := range verbs {
				if name != "CHAP" && !v.connects() {
					continue // it is the same without
				}
				t.Run(name+", "+v.name, func(t *testing.T) {
					t.Parallel()
					l := newLab(t, solidfire.Options{}, options)
					w, err := openWorld(t.Context(), t.TempDir(), l.options)
					require.NoError(t, err)
					t.Cleanup(func() { assert.NoError(t, w.Lib.Close(context.WithoutCancel(t.Context()))) })
					for n, reached := 0, true; reached; n++ {
						for kind, f := range trouble {
							where := fmt.Sprintf("%s, request %d, %s", v.name, n+1, kind)
							require.NoError(t, w.Do(t.Context(), v.before), where)
							l.Reset()
							f.After, f.Times = n, 1
							require.NoError(t, l.AddFault(f))
							err := w.Do(t.Context(), v.run)
							reached = l.Totals().Requests > n
							l.ClearFaults()
							if reached {
								tried.Add(1)
							} else {
								require.NoError(t, err, where)
							}
							if err != nil {
								failed.Add(1)
								require.NotContains(t, err.Error(), password, where)
							}
							where = fmt.Sprintf("%s: %v", where, err)
							require.NoError(t, w.Settle(t.Context()), where)
							l.requireAgreement(t, w, where)
							require.NoError(t, w.Clear(t.Context()), where)
							l.requireEmpty(t, where)
						}
					}
				})
			}
		}
	})
	t.Logf("%d faults, %d of the verbs failed", tried.Load(), failed.Load())
	assert.Greater(t, int(tried.Load()), 400)
}
