// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// measure says how long a call takes.
func measure(t *testing.T, what string, call func() error) {
	t.Helper()
	begin := time.Now()
	require.NoError(t, call(), what)
	t.Logf("%s: %s", what, time.Since(begin).Round(10*time.Microsecond))
}

type netListener struct{ net.ListenConfig }

func (l *netListener) open(ctx context.Context, at string) (net.Listener, error) {
	return l.Listen(ctx, "tcp", at)
}

// mortal lets the first calls through and then none.
type mortal struct {
	files
	left int
}

func (m *mortal) die() error {
	if m.left--; m.left < 0 {
		return syscall.EIO
	}
	return nil
}

func (m *mortal) mkdir(ctx context.Context, p string) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.files.mkdir(ctx, p)
}

func (m *mortal) rmdir(ctx context.Context, p string) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.files.rmdir(ctx, p)
}

func (m *mortal) symlink(ctx context.Context, to, p string) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.files.symlink(ctx, to, p)
}

func (m *mortal) unlink(ctx context.Context, p string) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.files.unlink(ctx, p)
}

func (m *mortal) write(ctx context.Context, p, v string) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.files.write(ctx, p, v)
}

// BenchmarkKernel is one export, and its end, among others: with
// -test.benchtime 20x in a VM.
func BenchmarkKernel(b *testing.B) {
	if os.Getenv("CINDERLIB_VM") != "1" {
		b.Skip("CINDERLIB_VM is not 1")
	}
	disk := strings.Fields(os.Getenv("VM_DISKS"))[0]
	for _, others := range []int{0, 100} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			k := &Kernel{}
			h := k.host()
			require.NoError(b, k.Ready(b.Context()))
			for i := range others { // half made targets take time as whole ones do
				require.NoError(b, h.mkdir(b.Context(), fmt.Sprintf("%s/iblock_%d", coreDir, i)))
				require.NoError(b, h.mkdir(b.Context(), fmt.Sprintf("%s/iblock_%d/other", coreDir, i)))
			}
			e := Export{IQN: iqn1, Device: disk, Serial: id1, Portals: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3260")}}
			i := Initiator{IQN: host1, User: "u", Password: chap}
			var export, again, allow, unexport time.Duration
			spent := func(sum *time.Duration, call func() error) {
				begin := time.Now()
				require.NoError(b, call())
				*sum += time.Since(begin)
			}
			for b.Loop() {
				spent(&export, func() error { return k.Export(b.Context(), e) })
				spent(&again, func() error { return k.Export(b.Context(), e) })
				spent(&allow, func() error { return k.Allow(b.Context(), iqn1, i) })
				spent(&unexport, func() error { return k.Unexport(b.Context(), iqn1) })
			}
			for unit, sum := range map[string]time.Duration{"export": export, "again": again, "allow": allow, "unexport": unexport} {
				b.ReportMetric(float64(sum.Microseconds())/float64(b.N), unit+"-µs")
			}
			for i := range others {
				require.NoError(b, h.rmdir(b.Context(), fmt.Sprintf("%s/iblock_%d/other", coreDir, i)))
				require.NoError(b, h.rmdir(b.Context(), fmt.Sprintf("%s/iblock_%d", coreDir, i)))
			}
		})
	}
}
