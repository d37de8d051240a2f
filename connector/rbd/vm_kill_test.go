// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/poll"
)

// TestVMCephSilentMonitor: the monitor does not answer, and does later. A call ends with
// its context, and what it has begun is undone behind it.
func TestVMCephSilentMonitor(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		resume := l.pause("mon.a")
		ctx, took := l.limited(time.Second)
		_, err := l.conn.Attach(ctx, r)
		took()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, dataIn(r).Name)
		t.Log(err)
		ctx, took = l.limited(time.Second)
		require.ErrorIs(t, l.conn.Detach(ctx, r), context.DeadlineExceeded, "the image is locked")
		took()
		resume()
		l.settled(r)
		require.Empty(t, l.left())
		l.detach(l.attach(r))

		// Longer than the library has patience.
		resume = l.pause("mon.a")
		usual := l.conn.limits
		l.conn.limits.add, l.conn.limits.nbd = 2*time.Second, 2*time.Second
		ctx, took = l.limited(20 * time.Second)
		_, err = l.conn.Attach(ctx, r)
		require.NoError(t, ctx.Err())
		took()
		require.ErrorIs(t, err, connector.ErrUnavailable)
		require.ErrorContains(t, err, "no answer within 2s")
		t.Log(err)
		l.conn.limits = usual
		resume()
		l.settled(r)
		require.Empty(t, l.left())
		l.detach(l.attach(r))
	})
}

// TestVMCephNobodyListens: there is no monitor. The process ends before the kernel or
// rbd-nbd gives up, which takes a minute.
func TestVMCephNobodyListens(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		start := time.Now()
		out, err := l.child(with(r, func(d *connector.RBDData) { d.Ports = []string{"1"} }), "hasty").CombinedOutput()
		t.Logf("%s", out)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 2*time.Second+slack)
		l.kill(l.programs("rbd-nbd")...)
		l.detach(l.attach(r))
	})
}

// kill kills processes, and waits until they are gone.
func (l *lab) kill(pids ...string) {
	l.Helper()
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		require.NoError(l, err)
		require.NoError(l, syscall.Kill(pid, syscall.SIGKILL))
		require.Eventually(l, func() bool { _, err := os.Stat("/proc/" + text); return err != nil }, time.Minute, 20*time.Millisecond)
	}
}

// midst waits until a map is under way that the monitor does not answer.
func (l *lab) midst(program string) {
	l.Helper()
	_, port := l.monitor("v1") // which the kernel speaks to, and nobody else here
	number, err := strconv.Atoi(port)
	require.NoError(l, err)
	connected := fmt.Sprintf(" 0100007F:%04X 01 ", number) // proc_pid_net(5): the other end, established
	is, err := poll.Until(l.Context(), time.Minute, func() (bool, error) {
		if program != "" {
			return len(l.programs(program)) > 0, nil
		}
		table, err := os.ReadFile("/proc/net/tcp")
		return strings.Contains(string(table), connected), err
	})
	require.NoError(l, err)
	require.True(l, is)
}

// TestVMCephKilled: the process is killed in the midst of a map. Whoever comes next has
// one device, and then none.
func TestVMCephKilled(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		for _, again := range []bool{true, false} {
			resume := l.pause("mon.a")
			child := l.child(r, "attach")
			require.NoError(t, child.Start())
			l.midst(map[string]string{"nbd": "rbd-nbd"}[l.way])
			require.NoError(t, child.Process.Kill())
			require.Error(t, child.Wait())
			l.after(r, resume, again)
		}
	})
}

// after lets the monitor answer while somebody attaches, or detaches, what a killed
// process has begun.
func (l *lab) after(r connector.Request, resume func(), again bool) {
	l.Helper()
	done := make(chan error, 1)
	go func() {
		if !again {
			done <- l.conn.Detach(l.Context(), r)
			return
		}
		_, err := l.conn.Attach(l.Context(), r)
		done <- err
	}()
	resume()
	require.NoError(l, <-done)
	if again {
		require.Len(l, l.paths(r), 1)
		l.attach(r)
	}
	l.detach(r)
}

// TestVMCephKilledOrdinaryUser: as before, and the root helper lives on.
func TestVMCephKilledOrdinaryUser(t *testing.T) {
	l := newLab(t, "krbd")
	r := l.volume()
	l.needTester()
	l.sh("modprobe rbd single_major=Y")
	for _, again := range []bool{true, false} {
		resume := l.pause("mon.a")
		child := l.child(r, "attach", asTester...)
		require.NoError(t, child.Start())
		l.midst("")
		require.NotEmpty(t, l.programs("tee"))
		require.NoError(t, child.Process.Kill())
		require.Error(t, child.Wait())
		l.after(r, resume, again)
	}
}

// TestVMCephSilentOSD: what was written cannot be flushed. A detach ends with its
// context, by force too, and what it has begun is done when the cluster is back.
func TestVMCephSilentOSD(t *testing.T) {
	each(t, func(l *lab) {
		t := l.T
		r := l.volume()
		a := l.attach(r)
		f, err := os.OpenFile(a.Device.Path, os.O_WRONLY, 0)
		require.NoError(t, err)
		resume := l.pause("osd.0")
		_, err = f.Write(make([]byte, 64<<10)) // into the page cache
		require.NoError(t, err)
		closed := make(chan error, 1)
		go func() { closed <- f.Close() }() // it waits for the flush

		ctx, took := l.limited(2 * time.Second)
		err = l.conn.Detach(ctx, a)
		took()
		t.Log(err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{a.Device.Path}, l.paths(r), "it stays")

		a.Force = true
		l.conn.limits.forced = time.Second
		ctx, took = l.limited(3 * time.Second)
		err = l.conn.Detach(ctx, a)
		took()
		t.Logf("by force: %v; left: %v", err, l.left())
		require.Error(t, err)
		resume()
		l.settled(r)
		require.NoError(t, <-closed)
		a.Force = false
		l.detach(a)
		a = l.attach(r)
		write(t, a.Device.Path, "again")
		l.detach(a)
	})
}
