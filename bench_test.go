// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
	"github.com/gocinder/cinderlib/persistence/memory"
)

// Each benchmark measures the library on a driver that does nothing, with both
// saves of every verb; where no store is named it is the one in memory.

// benchBackend is a new backend that nothing but its user refers to.
func benchBackend(b *testing.B) *cinderlib.Backend { return openNoop(b, memory.New()) }

// stores are what metadata can be kept in. The files lie in TMPDIR: on tmpfs
// sqlite shows its own cost, on a disk that of waiting for it.
var stores = []struct {
	name string
	open func(testing.TB) persistence.Store
}{
	{"memory", func(testing.TB) persistence.Store { return memory.New() }},
	{"sqlite", func(tb testing.TB) persistence.Store {
		return openDB(tb, "sqlite:///"+filepath.Join(tb.TempDir(), "cl.sqlite"))
	}},
	{"sqlite-nosync", func(tb testing.TB) persistence.Store {
		return openDB(tb, "sqlite:///"+filepath.Join(tb.TempDir(), "cl.sqlite"), gormdb.WithSynchronous(false))
	}},
	{"memory_db", func(tb testing.TB) persistence.Store { return openDB(tb, "sqlite://") }},
	{"mysql", func(tb testing.TB) persistence.Store { return openDB(tb, mysqltest.Fresh(tb)) }},
}

func openDB(tb testing.TB, url string, opts ...gormdb.Option) persistence.Store {
	tb.Helper()
	s, err := gormdb.Open(tb.Context(), url, opts...)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, s.Close()) })
	return s
}

// A new backend every 1,000 volumes: what is measured is the verb, not the
// garbage collector's work on a store that grows with b.N.
func BenchmarkCreateVolume(b *testing.B) {
	for _, s := range stores {
		b.Run(s.name, func(b *testing.B) {
			store := s.open(b)
			backend := openNoop(b, store)
			b.ReportAllocs()
			for i := 1; b.Loop(); i++ {
				if i%1000 == 0 {
					b.StopTimer()
					if s.name == "memory" {
						store = memory.New()
					}
					backend = openNoop(b, store)
					b.StartTimer()
				}
				if _, err := backend.CreateVolume(b.Context(), 1, cinderlib.WithName("bench")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreateTogether creates volumes from 1 and from 8 goroutines.
func BenchmarkCreateTogether(b *testing.B) {
	for _, s := range stores {
		for _, workers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", s.name, workers), func(b *testing.B) {
				backend := openNoop(b, s.open(b))
				var next atomic.Int64
				b.ResetTimer()
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for next.Add(1) <= int64(b.N) {
							if _, err := backend.CreateVolume(b.Context(), 1); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
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
func fill(b testing.TB, backend *cinderlib.Backend, n int, snapshots bool) {
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
	for some := range slices.Chunk(ops, 5000) {
		require.NoError(b, store.Write(b.Context(), some...))
	}
}

// BenchmarkVolumes is the first, lazy load of a backend's volumes.
func BenchmarkVolumes(b *testing.B) {
	for _, s := range stores {
		for _, n := range []int{1000, 10000, 100000} {
			b.Run(fmt.Sprintf("%s/%dk", s.name, n/1000), func(b *testing.B) {
				filled := openNoop(b, s.open(b))
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
}

// BenchmarkGetByID reads one of 10,000 volumes.
func BenchmarkGetByID(b *testing.B) {
	for _, s := range stores {
		b.Run(s.name, func(b *testing.B) {
			backend := openNoop(b, s.open(b))
			fill(b, backend, 10000, false)
			lib := cinderlib.LibraryOf(backend)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := lib.VolumeByID(b.Context(), fmt.Sprintf("%08d-0000-4000-8000-000000000000", i%10000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAllVolumes iterates over a backend's volumes, and reports how much
// memory is in use at most.
func BenchmarkAllVolumes(b *testing.B) {
	for _, s := range stores {
		if s.name == "memory" || s.name == "memory_db" {
			continue // the volumes themselves are in memory there
		}
		for _, n := range []int{1000, 10000, 100000} {
			b.Run(fmt.Sprintf("%s/%dk", s.name, n/1000), func(b *testing.B) {
				backend := openNoop(b, s.open(b))
				fill(b, backend, n, false)
				var most uint64
				for b.Loop() {
					seen, peak := iterate(b, backend)
					if seen != n {
						b.Fatal(seen)
					}
					most = max(most, peak)
				}
				b.ReportMetric(float64(most)/1e6, "peak-MB")
			})
		}
	}
}

// iterate counts a backend's volumes and the bytes that are in use meanwhile.
func iterate(tb testing.TB, backend *cinderlib.Backend) (seen int, peak uint64) {
	tb.Helper()
	var m runtime.MemStats
	for _, err := range backend.AllVolumes(tb.Context(), cinderlib.VolumeFilter{}) {
		require.NoError(tb, err)
		if seen++; seen%500 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	return seen, peak
}

// The iterator holds a page, however many volumes there are.
func TestIteratorMemory(t *testing.T) {
	dir := t.TempDir()
	var used []uint64
	for _, n := range []int{2000, 20000} {
		backend := openNoop(t, openDB(t, fmt.Sprintf("sqlite:///%s/%d.sqlite", dir, n)))
		fill(t, backend, n, false)
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		seen, peak := iterate(t, backend)
		require.Equal(t, n, seen)
		used = append(used, peak-min(peak, before.HeapAlloc))
	}
	t.Logf("in use beside what was before: %d bytes with 2,000 volumes, %d with 20,000", used[0], used[1])
	assert.Less(t, used[1], 2*used[0]+1<<20)
}

// reader is a backend of a new library on the same store, that has loaded
// nothing.
func reader(b *testing.B, filled *cinderlib.Backend) *cinderlib.Backend {
	return openNoop(b, cinderlib.StoreOf(filled))
}

func openNoop(tb testing.TB, store persistence.Store) *cinderlib.Backend {
	tb.Helper()
	backend, err := noopBackend(tb.Context(), store)
	require.NoError(tb, err)
	return backend
}

func noopBackend(ctx context.Context, store persistence.Store, opts ...cinderlib.Option) (*cinderlib.Backend, error) {
	lib, err := cinderlib.New(append(opts, cinderlib.WithStore(store), cinderlib.WithHostName("sample-host"),
		cinderlib.WithDriver(drivers.NewRegistration("noop", func(_ context.Context, env drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			return newNoop(env.Backend), nil
		})))...)
	if err != nil {
		return nil, err
	}
	return lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "sample", "volume_driver": "noop"})
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
