// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"bytes"
	"context"
	"errors"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

// calls are the methods of a Connector without their results.
var calls = map[string]func(context.Context, connector.Connector, connector.Request) error{
	"Attach": func(ctx context.Context, c connector.Connector, r connector.Request) error {
		_, err := c.Attach(ctx, r)
		return err
	},
	"Detach": func(ctx context.Context, c connector.Connector, r connector.Request) error {
		return c.Detach(ctx, r)
	},
	"Extend": func(ctx context.Context, c connector.Connector, r connector.Request) error {
		_, err := c.Extend(ctx, r)
		return err
	},
	"Paths": func(ctx context.Context, c connector.Connector, r connector.Request) error {
		_, err := c.Paths(ctx, r)
		return err
	},
}

// endedContext: with a context that has ended nothing is done at all.
func endedContext(w *world) {
	r := w.volume()
	attached := w.attach(w.volume())
	before, beforeAttached := w.paths(r), w.paths(attached)
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	for name, call := range calls {
		for _, r := range []connector.Request{r, attached} {
			start := time.Now()
			require.ErrorIs(w, call(ctx, w.conn, r), context.Canceled, name)
			require.Less(w, time.Since(start), time.Second, name)
		}
	}
	require.Equal(w, before, w.paths(r))
	require.Equal(w, beforeAttached, w.paths(attached))
	w.detach(attached)
}

// contextEndsMidway ends the context at several instants of an attach: it gives
// the device, or an error and nothing.
func contextEndsMidway(w *world) {
	for _, after := range []time.Duration{
		0, 10 * time.Microsecond, 30 * time.Microsecond, 100 * time.Microsecond,
		300 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond,
	} {
		r := w.volume()
		before := w.paths(r)
		ctx, cancel := context.WithTimeout(w.Context(), after)
		start := time.Now()
		d, err := w.conn.Attach(ctx, r)
		cancel()
		require.Less(w, time.Since(start), after+time.Second)
		if err != nil {
			require.ErrorIs(w, err, context.DeadlineExceeded)
			require.Nil(w, d)
			require.Equal(w, before, w.paths(r), "left by an attach of %s", after)
			continue
		}
		r.Device = d
		w.detach(r)
	}
}

// eightVolumes goes through the life of eight volumes at the same time.
func eightVolumes(w *world) {
	var wg sync.WaitGroup
	for range 8 {
		r := w.volume()
		wg.Go(func() {
			for range 3 {
				var err error
				r.Device, err = w.conn.Attach(w.Context(), r)
				if !assert.NoError(w, err) {
					return
				}
				assert.NoError(w, w.host.Check(w.Context(), r))
				_, err = w.conn.Extend(w.Context(), r)
				assert.NoError(w, err)
				assert.NoError(w, w.conn.Detach(w.Context(), r))
			}
		})
	}
	wg.Wait()
}

// requestStays: what a call is given belongs to the caller.
func requestStays(w *world) {
	r := w.volume()
	for _, force := range []bool{false, true} {
		r.Force = force
		d, err := w.conn.Attach(w.Context(), r)
		require.NoError(w, err)
		with := r
		with.Device = d
		for _, name := range []string{"Attach", "Paths", "Extend", "Detach", "Detach"} {
			for _, r := range []connector.Request{r, with} {
				before := r
				before.Info, before.Device = r.Info.Clone(), r.Device.Clone()
				// After the first Detach, that there is nothing is fine.
				if err := calls[name](w.Context(), w.conn, r); err != nil {
					require.ErrorIs(w, err, connector.ErrNotFound, name)
				}
				require.Equal(w, before, r, name)
			}
		}
	}
}

// noGoroutineStays labels the goroutines that calls start, and looks for them
// afterwards. Others of the same program, of parallel tests, have other labels.
func noGoroutineStays(w *world) {
	r := w.volume()
	const key = "connectortest"
	pprof.Do(w.Context(), pprof.Labels(key, w.Name()), func(ctx context.Context) {
		d, err := w.conn.Attach(ctx, r)
		require.NoError(w, err)
		r.Device = d
		for _, name := range []string{"Attach", "Paths", "Extend", "Detach", "Detach"} {
			err := calls[name](ctx, w.conn, r)
			require.NoError(w, err)
		}
		ended, cancel := context.WithTimeout(ctx, 50*time.Microsecond)
		defer cancel()
		if _, err := w.conn.Attach(ended, r); err == nil {
			require.NoError(w, w.conn.Detach(ctx, r))
		}
	})
	label := strconv.Quote(key) + ":" + strconv.Quote(w.Name())
	var left []string
	gone := func() bool {
		var profile bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			left = []string{err.Error()}
			return false
		}
		left = nil
		for stack := range strings.SplitSeq(profile.String(), "\n\n") {
			if strings.Contains(stack, label) {
				left = append(left, stack)
			}
		}
		return left == nil
	}
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	for !gone() {
		select {
		case <-deadline.C:
			require.NoError(w, errors.New(strings.Join(left, "\n\n")), "goroutines are left")
		case <-time.After(time.Millisecond):
		}
	}
}
