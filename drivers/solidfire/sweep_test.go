// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"os"
	"testing"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/arraytest"
)

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

// sweeps are of all verbs, and with access groups of those that have to do with them.
func sweeps() map[string]*arraytest.Sweep {
	sweep := func(options map[string]any, verbs []arraytest.Verb) *arraytest.Sweep {
		return &arraytest.Sweep{Open: openWorld, Verbs: verbs, Canary: password, New: func(t *testing.T) arraytest.Array {
			return swept{newLab(t, solidfire.Options{}, options)}
		}}
	}
	return map[string]*arraytest.Sweep{
		"CHAP":          sweep(nil, arraytest.Verbs("")),
		"access groups": sweep(map[string]any{"sf_enable_vag": true}, arraytest.Connecting()),
	}
}

type swept struct{ *lab }

func (s swept) Options() map[string]any { return s.options }

// TestFaultSweep has each request of each verb go wrong in each way. Then store and
// cluster agree, or Recover has them agree, and all can be deleted.
func TestFaultSweep(t *testing.T) {
	t.Parallel()
	arraytest.Faults(t, sweeps(), trouble, 400)
}

func TestMain(m *testing.M) { os.Exit(arraytest.Main(m, openWorld)) }

// TestKillSweep: two requests open the driver.
func TestKillSweep(t *testing.T) {
	t.Parallel()
	arraytest.Kills(t, sweeps(), 2, 60)
}
