// SPDX-License-Identifier: Apache-2.0

// Package arraytest has a library work on a simulated array in trouble: each request of
// each verb goes wrong in each way, or the process is killed there. Then the store and
// the array agree, or Backend.Recover has them agree, and all can be deleted. The tests
// of a driver say what agreement is:
//
//	func TestMain(m *testing.M) { os.Exit(arraytest.Main(m, openWorld)) }
//
//	func TestFaultSweep(t *testing.T) {
//		t.Parallel()
//		sweep := &arraytest.Sweep{Open: openWorld, Verbs: arraytest.Verbs(""), New: ...}
//		arraytest.Faults(t, map[string]*arraytest.Sweep{"CHAP": sweep}, trouble, 300)
//	}
//
// Verbs are told in the words of libtest.
package arraytest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// Open opens a library with the driver that is tested.
type Open func(ctx context.Context, folder string, options map[string]any) (*libtest.World, error)

// Verb is done to an empty array, after what comes before it.
type Verb struct{ Name, Before, Run string }

// Verbs are those of all drivers, but for what some cannot do: the signs of libtest for
// it.
func Verbs(without string) []Verb {
	return slices.DeleteFunc(slices.Clone(verbs), func(v Verb) bool { return strings.ContainsAny(v.Run, without) })
}

var verbs = []Verb{
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

// Connecting are those of them that have to do with hosts.
func Connecting() []Verb {
	return slices.DeleteFunc(slices.Clone(verbs), func(v Verb) bool { return !strings.ContainsAny(v.Run, "!.") })
}

// Array is a simulated one and what its driver is opened with.
type Array interface {
	AddFault(f arraysim.Fault) error
	ClearFaults()
	Reset()
	Totals() arraysim.Totals
	Options() map[string]any
	// RequireAgreement: what the array has is in the store, once.
	RequireAgreement(t *testing.T, w *libtest.World, where string)
	RequireEmpty(t *testing.T, where string)
}

// Sweep is what goes wrong, on a new array for each verb.
type Sweep struct {
	Open   Open
	New    func(t *testing.T) Array
	Verbs  []Verb
	Canary string // the password, which is in no error
}

// Faults has each request of each verb go wrong in each way of trouble. There are more
// than some of them.
func Faults(t *testing.T, sweeps map[string]*Sweep, trouble map[string]arraysim.Fault, more int) {
	t.Helper()
	var all tally
	t.Run("with", func(t *testing.T) {
		for name, s := range sweeps {
			t.Run(name, func(t *testing.T) { s.faults(t, &all, trouble) })
		}
	})
	t.Logf("%d faults, %d of the verbs failed", all.tried.Load(), all.failed.Load())
	assert.Greater(t, int(all.tried.Load()), more)
}

type tally struct{ tried, failed atomic.Int32 }

func (s *Sweep) faults(t *testing.T, all *tally, trouble map[string]arraysim.Fault) {
	t.Helper()
	for _, v := range s.Verbs {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			a := s.New(t)
			w, err := s.Open(t.Context(), t.TempDir(), a.Options())
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, w.Lib.Close(context.WithoutCancel(t.Context()))) })
			for n, reached := 0, true; reached; n++ {
				for kind, f := range trouble {
					f.After, f.Times = n, 1
					reached = s.fault(t, a, w, v, f, all, fmt.Sprintf("%s, request %d, %s", v.Name, n+1, kind))
				}
			}
		})
	}
}

func (s *Sweep) fault(t *testing.T, a Array, w *libtest.World, v Verb, f arraysim.Fault, all *tally, where string) (reached bool) {
	t.Helper()
	require.NoError(t, w.Do(t.Context(), v.Before), where)
	a.Reset()
	require.NoError(t, a.AddFault(f))
	err := w.Do(t.Context(), v.Run)
	reached = a.Totals().Requests > f.After
	a.ClearFaults()
	if reached {
		all.tried.Add(1)
	} else {
		require.NoError(t, err, where)
	}
	if err != nil {
		all.failed.Add(1)
		require.NotContains(t, err.Error(), s.Canary, where)
	}
	s.end(t, a, w, fmt.Sprintf("%s: %v", where, err))
	return reached
}

// end is what a program does after trouble.
func (s *Sweep) end(t *testing.T, a Array, w *libtest.World, where string) {
	t.Helper()
	require.NoError(t, w.Settle(t.Context()), where)
	a.RequireAgreement(t, w, where)
	require.NoError(t, w.Clear(t.Context()), where)
	a.RequireEmpty(t, where)
}

// job is what a process does that is killed.
type job struct {
	Folder, Words string
	Options       map[string]any
}

// Main is what TestMain hands to os.Exit, so that Kills works.
func Main(m interface{ Run() int }, open Open) int {
	return libtest.Main(m, func(ctx context.Context, text string) error {
		var j job
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			return err
		}
		w, err := open(ctx, j.Folder, j.Options)
		if err != nil {
			return err
		}
		return w.Do(ctx, j.Words)
	})
}

// Kills kills the process when each request of each verb has come to the array, before
// and after it takes effect. Another process recovers. To open the driver takes some
// requests. There are more kills than some.
func Kills(t *testing.T, sweeps map[string]*Sweep, toOpen, more int) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	var all tally
	t.Run("with", func(t *testing.T) {
		for name, s := range sweeps {
			t.Run(name, func(t *testing.T) { s.kills(t, &all, toOpen) })
		}
	})
	t.Logf("%d kills", all.tried.Load())
	assert.Greater(t, int(all.tried.Load()), more)
}

func (s *Sweep) kills(t *testing.T, all *tally, toOpen int) {
	t.Helper()
	for _, v := range s.Verbs {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			a, folder := s.New(t), t.TempDir()
			for n, reached := 0, true; reached; n++ {
				for _, after := range []bool{false, true} {
					where := fmt.Sprintf("%s, request %d, after it: %t", v.Name, n+1, after)
					s.one(t, a, folder, func(w *libtest.World) { require.NoError(t, w.Do(t.Context(), v.Before), where) })
					reached = kill(t, a, job{folder, v.Run, a.Options()}, toOpen+n, after)
					if reached {
						all.tried.Add(1)
					}
					s.one(t, a, folder, func(w *libtest.World) { s.end(t, a, w, where) })
				}
			}
		})
	}
}

// one is a process.
func (s *Sweep) one(t *testing.T, a Array, folder string, do func(w *libtest.World)) {
	t.Helper()
	w, err := s.Open(t.Context(), folder, a.Options())
	require.NoError(t, err)
	do(w)
	require.NoError(t, w.Lib.Close(t.Context()))
}

// kill runs a job in a process that is killed at a request. It is false if there is no
// such request.
func kill(t *testing.T, a Array, j job, request int, after bool) bool {
	t.Helper()
	text, err := json.Marshal(j)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	require.NoError(t, a.AddFault(arraysim.Fault{
		Kind: arraysim.Custom, After: request, Times: 1,
		Hook: func(_ context.Context, _ *arraysim.Request, do func() arraysim.Answer) arraysim.Answer {
			if after {
				do()
			}
			cancel()
			<-ended
			return arraysim.Answer{}
		},
	}))
	defer a.ClearFaults()
	killed, err := libtest.RunChild(ctx, string(text))
	close(ended)
	require.NoError(t, err)
	return killed
}
