// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"slices"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

func attachDetach(w *world) {
	r := w.attach(w.volume())
	require.NotEmpty(w, w.paths(r))
	size, err := w.host.Size(r.Device.Path)
	require.NoError(w, err)
	require.GreaterOrEqual(w, size, r.SizeBytes)
	w.detach(r)
}

func attachTwice(w *world) {
	r := w.volume()
	first := w.attach(r)
	paths := w.paths(r)
	require.Equal(w, first.Device, w.attach(r).Device, "without the device, as after a kill")
	require.Equal(w, first.Device, w.attach(first).Device, "with the device")
	require.Equal(w, paths, w.paths(r))
	w.detach(first)
}

// attachTogether attaches one volume from several goroutines, some times.
func attachTogether(w *world) {
	for range 5 {
		r := w.volume()
		before := w.paths(r)
		devices := make([]*connector.Device, 8)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range devices {
			wg.Go(func() {
				<-start
				var err error
				devices[i], err = w.conn.Attach(w.Context(), r)
				assert.NoError(w, err)
			})
		}
		close(start)
		wg.Wait()
		for _, d := range devices {
			require.Equal(w, devices[0], d)
		}
		r.Device = devices[0]
		w.detach(r)
		require.Equal(w, before, w.paths(r))
	}
}

func attachAgain(w *world) {
	r := w.volume()
	w.detach(w.attach(r))
	w.detach(w.attach(r))
}

func detachTwice(w *world) {
	r := w.attach(w.volume())
	w.detach(r)
	w.detach(r)
	r.Device = nil
	w.detach(r)
}

func detachWithoutDevice(w *world) {
	r := w.volume()
	before := w.paths(r)
	w.attach(r)
	w.detach(r)
	require.Equal(w, before, w.paths(r))
}

func detachNeverAttached(w *world) {
	r := w.volume()
	before := w.paths(r)
	w.detach(r)
	require.Equal(w, before, w.paths(r))
}

func detachByForce(w *world) {
	r := w.volume()
	before := w.paths(r)
	r = w.attach(r)
	r.Force = true
	w.detach(r)
	require.Equal(w, before, w.paths(r))
	w.detach(r)
}

func pathsComeAndGo(w *world) {
	r := w.volume()
	require.Empty(w, w.paths(r), "before")
	attached := w.attach(r)
	require.NotEmpty(w, w.paths(r), "attached")
	require.Equal(w, w.paths(r), w.paths(attached))
	w.detach(attached)
	require.Empty(w, w.paths(r), "after")
}

func extend(w *world) {
	require.NotNil(w, w.harness.Grow, "Harness.Grow, or a reason to skip")
	r := w.attach(w.volume())
	for range 2 {
		r.SizeBytes *= 2
		w.harness.Grow(w.T, w.host, r, r.SizeBytes)
		size, err := w.conn.Extend(w.Context(), r)
		require.NoError(w, err)
		require.GreaterOrEqual(w, size, r.SizeBytes)
		require.NoError(w, w.host.Check(w.Context(), r))
	}
	// Repeated, and without the device.
	again := r
	again.Device = nil
	size, err := w.conn.Extend(w.Context(), again)
	require.NoError(w, err)
	require.GreaterOrEqual(w, size, r.SizeBytes)
	// An attach that is repeated sees the size as well.
	require.Equal(w, r.Device, w.attach(again).Device)
	w.detach(r)
}

// tooSmall: a device that is not the volume's size is another volume's.
func tooSmall(w *world) {
	r := w.volume()
	before := w.paths(r)
	r.SizeBytes++
	d, err := w.conn.Attach(w.Context(), r)
	require.ErrorIs(w, err, connector.ErrWrongDevice)
	require.Nil(w, d)
	require.Equal(w, before, w.paths(r), "nothing is left")
}

func invalidRequest(w *world) {
	for _, info := range []*connector.ConnInfo{
		nil,
		{},
		{Protocol: "no-such-protocol", Data: &connector.RawData{}},
	} {
		r := connector.Request{Info: info}
		_, err := w.conn.Attach(w.Context(), r)
		require.ErrorIs(w, err, connector.ErrInvalid)
		require.ErrorIs(w, w.conn.Detach(w.Context(), r), connector.ErrInvalid)
		_, err = w.conn.Extend(w.Context(), r)
		require.ErrorIs(w, err, connector.ErrInvalid)
		_, err = w.conn.Paths(w.Context(), r)
		require.ErrorIs(w, err, connector.ErrInvalid)
	}
}

// otherVolumeUntouched: what is done with one volume is not done with another.
func otherVolumeUntouched(w *world) {
	one, other := w.attach(w.volume()), w.attach(w.volume())
	require.NotEqual(w, one.Device.Path, other.Device.Path)
	paths := w.paths(other)
	for _, p := range w.paths(one) {
		require.False(w, slices.Contains(paths, p), p)
	}
	w.detach(one)
	one.Force = true
	w.detach(one)
	require.Equal(w, paths, w.paths(other))
	require.NoError(w, w.host.Check(w.Context(), other))
	w.detach(other)
}
