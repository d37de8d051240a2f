// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lock"
)

func TestReady(t *testing.T) {
	t.Parallel()
	bare := func(modules ...string) *world {
		w := newWorld(t)
		w.nodes, w.loaded = map[string]*node{}, map[string]bool{}
		w.unused, w.isMounted = true, false
		for _, m := range modules {
			w.loaded[m] = true
		}
		w.boot()
		return w
	}
	t.Run("from nothing", func(t *testing.T) {
		t.Parallel()
		w := bare()
		w.nodes[configDir] = nil
		delete(w.nodes, configDir)
		list, err := w.Targets(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
		require.ErrorIs(t, w.Unexport(t.Context(), iqn1), fault.ErrPrecondition)
		w.dir(debianFolder)
		require.NoError(t, w.Ready(t.Context()))
		assert.Equal(t, debianFolder, w.get(dbroot))
		assert.True(t, w.isMounted)
		require.NoError(t, w.Ready(t.Context()))
		require.NoError(t, w.Export(t.Context(), export1()))
		assert.True(t, w.loaded["target_core_iblock"])
		assert.NotEmpty(t, w.saved[debianFolder+"/saveconfig.json"])
	})
	t.Run("export alone", func(t *testing.T) {
		t.Parallel()
		w := bare()
		require.NoError(t, w.Export(t.Context(), export1()))
	})
	t.Run("modules loaded, nothing exported", func(t *testing.T) {
		t.Parallel()
		w := bare("configfs")
		w.isMounted = true
		require.NoError(t, w.Unexport(t.Context(), iqn1))
	})
	t.Run("no modprobe", func(t *testing.T) {
		t.Parallel()
		for want, loaded := range map[string][]string{
			"module configfs":           nil,
			"module target_core_mod":    {"configfs"},
			"module iscsi_target_mod":   {"configfs", "target_core_mod"},
			"module target_core_iblock": {"configfs", "target_core_mod", "iscsi_target_mod"},
		} {
			w := bare(loaded...)
			w.Modprobe = nil
			err := w.Export(t.Context(), export1())
			require.ErrorIs(t, err, fault.ErrPrecondition)
			assert.ErrorContains(t, err, want)
		}
	})
	t.Run("may not mount", func(t *testing.T) {
		t.Parallel()
		w := bare("configfs")
		w.noMount = syscall.EPERM
		require.ErrorIs(t, w.Ready(t.Context()), fault.ErrPermission)
	})
	t.Run("read-only", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.fs = readOnly{w.fakeKernel}
		require.ErrorIs(t, w.Export(t.Context(), export1()), fault.ErrPermission)
	})
}

type readOnly struct{ *fakeKernel }

func (readOnly) mkdir(context.Context, string) error { return syscall.EROFS }

// A step that does not come back from the kernel.
func TestBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.Export(t.Context(), export1()))
	require.NoError(t, w.Export(t.Context(), export2()))
	require.NoError(t, w.Allow(t.Context(), iqn1, initiator1()))
	synctest.Test(t, func(t *testing.T) {
		var locks lock.Keyed
		w.Lock = locks.Lock
		back := make(chan struct{})
		acl := iscsiDir + "/" + iqn1 + "/tpgt_1/acls/" + host1
		w.hang = map[string]chan struct{}{"rmdir " + acl: back}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.Unexport(ctx, iqn1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "rmdir "+acl+" still blocks")

		// The target is refused, the others wait for the lock.
		err = w.Unexport(t.Context(), iqn1)
		require.ErrorIs(t, err, fault.ErrUnavailable)
		assert.ErrorContains(t, err, acl)
		short, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		require.ErrorIs(t, w.Unexport(short, iqn2), context.DeadlineExceeded)

		// But not for ever.
		begin := time.Now()
		require.NoError(t, w.Unexport(t.Context(), iqn2))
		assert.Less(t, time.Since(begin), longest)
		assert.Contains(t, w.logs.String(), "lock released")
		require.ErrorIs(t, w.Unexport(t.Context(), iqn1), fault.ErrUnavailable)

		// Nor is the work undone that came to its end after all: it stops after
		// the step, and the next call goes on from there.
		close(back)
		synctest.Wait()
		assert.Equal(t, "absent", w.get(acl))
		assert.NotEqual(t, "absent", w.get(path1))
		require.NoError(t, w.Unexport(t.Context(), iqn1))
		assert.Equal(t, "absent", w.get(path1))
	})
}

const path1 = iscsiDir + "/" + iqn1

// Cancelled between two steps, a call stops and takes back what it made.
func TestCancel(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w := newWorld(t)
		before := w.String()
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		w.on = func(string, string) {
			if n++; n == at {
				cancel(errors.New("enough"))
			}
		}
		err := w.Export(ctx, export1())
		w.on = nil
		cancel(nil)
		if n < at {
			require.Greater(t, at, 30)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, before, w.String(), at)
		}
		require.NoError(t, w.Export(t.Context(), export1()))
	}
}

// Two programs on one host, and a third that does not lock.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := &Kernel{fs: w.fakeKernel, Lock: w.Lock}
	const volumes = 12
	for i := range volumes {
		w.devices["/dev/vg/c"+strconv.Itoa(i)] = &fakeDevice{device: device{254, uint32(i)}}
	}
	var once sync.Once
	w.on = func(op, file string) {
		if op == "mkdir" && file == coreDir+"/iblock_3" {
			once.Do(func() {
				w.fakeKernel.mu.Lock()
				defer w.fakeKernel.mu.Unlock()
				assert.NoError(t, w.doMkdir(file)) // targetcli was quicker
				assert.NoError(t, w.doMkdir(file+"/foreign"))
			})
		}
	}
	var wg sync.WaitGroup
	for i := range volumes {
		for _, k := range []*Kernel{w.Kernel, other} {
			wg.Go(func() {
				e := Export{IQN: prefix + "c" + strconv.Itoa(i), Device: "/dev/vg/c" + strconv.Itoa(i), Serial: id1, Portals: addr("10.0.0.1:3260")}
				assert.NoError(t, k.Export(t.Context(), e))
				assert.NoError(t, k.Allow(t.Context(), e.IQN, initiator1()))
				_, err := k.Targets(t.Context())
				assert.NoError(t, err)
			})
		}
	}
	wg.Wait()
	list, err := w.Targets(t.Context())
	require.NoError(t, err)
	require.Len(t, list, volumes)
	for _, s := range list {
		assert.True(t, s.Complete)
		assert.Equal(t, []string{host1}, s.Initiators)
	}
	for i := range volumes {
		for _, k := range []*Kernel{w.Kernel, other} {
			wg.Go(func() {
				assert.NoError(t, k.Disallow(t.Context(), prefix+"c"+strconv.Itoa(i), host1))
				assert.NoError(t, k.Unexport(t.Context(), prefix+"c"+strconv.Itoa(i)))
			})
		}
	}
	wg.Wait()
	text := w.String()
	assert.Contains(t, text, "/core/iblock_3/foreign")
	assert.NotContains(t, text, prefix)
}
