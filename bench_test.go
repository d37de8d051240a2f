// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// Each benchmark measures the library on a driver that does nothing and the
// store in memory, with both saves of every verb.

// benchBackend is a new backend that nothing but its user refers to.
func benchBackend(b *testing.B) *cinderlib.Backend { return openNoop(b, memory.New()) }

// A new backend every 1,000 volumes: what is measured is the verb, not the
// garbage collector's work on a store that grows with b.N.
func BenchmarkCreateVolume(b *testing.B) {
	backend := benchBackend(b)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		if i%1000 == 0 {
			b.StopTimer()
			backend = benchBackend(b)
			b.StartTimer()
		}
		if _, err := backend.CreateVolume(b.Context(), 1, cinderlib.WithName("bench")); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeleteVolume deletes and creates one volume in a backend that holds
// others: what it costs must not grow with them. The allocations are the same;
// with GOGC=off, so is the time: the rest is the collector's work on more memory.
func BenchmarkDeleteVolume(b *testing.B) {
	for _, n := range []int{0, 1000, 100000} {
		b.Run(fmt.Sprintf("of-%d", n), func(b *testing.B) {
			backend := benchBackend(b)
			fill(b, backend, n, false)
			_, err := backend.Volumes(b.Context())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				v, err := backend.CreateVolume(b.Context(), 1)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Delete(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	v, err := benchBackend(b).CreateVolume(b.Context(), 1)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.CreateSnapshot(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	v, err := benchBackend(b).CreateVolume(b.Context(), 1)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Clone(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnect connects and disconnects.
func BenchmarkConnect(b *testing.B) {
	v, err := benchBackend(b).CreateVolume(b.Context(), 1)
	require.NoError(b, err)
	host := &connector.Properties{Host: "node", Initiator: "iqn.1994-05.com.example:node"}
	b.ReportAllocs()
	for b.Loop() {
		c, err := v.Connect(b.Context(), host)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Disconnect(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// fill puts n volumes into the backend's store, each with a snapshot if asked.
func fill(b *testing.B, backend *cinderlib.Backend, n int, snapshots bool) {
	b.Helper()
	store := cinderlib.StoreOf(backend)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ops := make([]persistence.Op, 0, 2*n)
	for i := range n {
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
		ops = append(ops, persistence.Insert(&drivers.Volume{
			ID: id, Name: "volume", Size: 1, Status: "available", AttachStatus: "detached", UseQuota: true, SharedTargets: true,
			Host: "sample-host@sample#sample", ProjectID: "cinderlib", UserID: "cinderlib", CreatedAt: start.Add(time.Duration(i) * time.Millisecond),
		}))
		if snapshots {
			ops = append(ops, persistence.Insert(&drivers.Snapshot{
				ID: id, VolumeID: id, Name: "snapshot", VolumeSize: 1, Status: "available", UseQuota: true, Progress: "sample",
				ProjectID: "cinderlib", UserID: "cinderlib", CreatedAt: start,
			}))
		}
	}
	require.NoError(b, store.Write(context.Background(), ops...))
}

// BenchmarkVolumes is the first, lazy load of a backend's volumes.
func BenchmarkVolumes(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprintf("%dk", n/1000), func(b *testing.B) {
			filled := benchBackend(b)
			fill(b, filled, n, false)
			b.ReportAllocs()
			for b.Loop() {
				backend := reader(b, filled)
				volumes, err := backend.Volumes(b.Context())
				if err != nil || len(volumes) != n {
					b.Fatal(err, len(volumes))
				}
			}
		})
	}
}

// reader is a backend of a new library on the same store, that has loaded
// nothing.
func reader(b *testing.B, filled *cinderlib.Backend) *cinderlib.Backend {
	return openNoop(b, cinderlib.StoreOf(filled))
}

func openNoop(b *testing.B, store persistence.Store) *cinderlib.Backend {
	b.Helper()
	lib, err := cinderlib.New(cinderlib.WithStore(store), cinderlib.WithHostName("sample-host"),
		cinderlib.WithDriver(drivers.NewRegistration("noop", func(_ context.Context, env drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			return newNoop(env.Backend), nil
		})))
	require.NoError(b, err)
	backend, err := lib.NewBackend(b.Context(), cinderlib.Options{"volume_backend_name": "sample", "volume_driver": "noop"})
	require.NoError(b, err)
	return backend
}

// BenchmarkDump dumps volumes with a snapshot each, loading them first.
func BenchmarkDump(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("%dk", n/1000), func(b *testing.B) {
			filled := benchBackend(b)
			fill(b, filled, n, true)
			b.ReportAllocs()
			for b.Loop() {
				text, err := reader(b, filled).Dump(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
	}
}

// BenchmarkLoad loads what BenchmarkDump wrote, and saves it.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("%dk", n/1000), func(b *testing.B) {
			filled := benchBackend(b)
			fill(b, filled, n, true)
			text, err := filled.Dump(b.Context())
			require.NoError(b, err)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				backend := benchBackend(b)
				b.StartTimer()
				if _, err := cinderlib.LibraryOf(backend).Load(b.Context(), text, cinderlib.WithSave()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
