// SPDX-License-Identifier: Apache-2.0

package targets_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/targets"
	"github.com/gocinder/cinderlib/internal/fault"
)

const mib = 1 << 20

func newPlane(t *testing.T, o targets.Options) (*targets.Plane, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volumes")
	p, err := targets.New(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return p, dir
}

func volume(id string, size int64) arraysim.Volume {
	return arraysim.Volume{ID: id, Bytes: size, BlockSize: 512}
}

func write(t *testing.T, path string, b byte, off, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{b}, int(n)), off)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// all tells that bytes of a file are all b.
func all(t *testing.T, path string, b byte, off, n int64) bool {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	has := make([]byte, n)
	_, err = f.ReadAt(has, off)
	require.NoError(t, err)
	return bytes.Equal(has, bytes.Repeat([]byte{b}, int(n)))
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func TestFiles(t *testing.T) {
	t.Parallel()
	p, dir := newPlane(t, targets.Options{})
	file := func(id string) string { return filepath.Join(dir, id) }
	ctx := t.Context()
	require.NoError(t, p.Create(ctx, volume("v", 4*mib)))
	assert.True(t, all(t, file("v"), 0, 0, 4*mib))
	write(t, file("v"), 'a', mib, mib)

	require.NoError(t, p.Copy(ctx,
		arraysim.Copy{From: "v", To: volume("same", 4*mib)},
		arraysim.Copy{From: "v", To: volume("larger", 8*mib)},
		arraysim.Copy{From: "v", To: volume("smaller", mib+mib/2)}))
	write(t, file("v"), 'b', 0, 4*mib)
	for id, n := range map[string]int64{"same": 4 * mib, "larger": 8 * mib, "smaller": mib + mib/2} {
		assert.Equal(t, n, size(t, file(id)))
		end := min(n, 2*mib)
		assert.True(t, all(t, file(id), 0, 0, mib))
		assert.True(t, all(t, file(id), 'a', mib, end-mib))
		assert.True(t, all(t, file(id), 0, end, n-end))
	}

	require.NoError(t, p.Resize(ctx, "v", 6*mib))
	assert.True(t, all(t, file("v"), 0, 4*mib, 2*mib))
	require.NoError(t, p.RollBack(ctx, "v", "same"))
	assert.Equal(t, int64(4*mib), size(t, file("v")))
	assert.True(t, all(t, file("v"), 'a', mib, mib))
	assert.True(t, all(t, file("v"), 0, 2*mib, 2*mib))
	require.NoError(t, p.Resize(ctx, "v", mib))
	require.NoError(t, p.Resize(ctx, "v", 2*mib))
	assert.True(t, all(t, file("v"), 0, 0, 2*mib), "what was cut off is gone")

	require.NoError(t, p.Create(ctx, volume("same", mib)), "once more")
	assert.True(t, all(t, file("same"), 0, 0, mib))
	require.NoError(t, p.Delete(ctx, "v", "none", "same"))
	require.NoError(t, p.Delete(ctx, "v"))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 2)
}

// What fails has changed nothing.
func TestFilesFail(t *testing.T) {
	t.Parallel()
	p, dir := newPlane(t, targets.Options{})
	ctx := t.Context()
	require.NoError(t, p.Create(ctx, volume("v", mib)))
	write(t, filepath.Join(dir, "v"), 'a', 0, mib)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range map[string]error{
		"create":          p.Create(ctx, volume("huge", -1)),
		"resize":          p.Resize(ctx, "v", -1),
		"resize none":     p.Resize(ctx, "none", mib),
		"copy one":        p.Copy(ctx, arraysim.Copy{From: "v", To: volume("c1", mib)}, arraysim.Copy{From: "none", To: volume("c2", mib)}),
		"copy size":       p.Copy(ctx, arraysim.Copy{From: "v", To: volume("c1", -1)}),
		"roll back":       p.RollBack(ctx, "v", "none"),
		"roll back none":  p.RollBack(ctx, "none", "v"),
		"roll back ended": p.RollBack(ended, "v", "v"),
		"outside":         p.Create(ctx, volume("../v", mib)),
		"hidden":          p.Create(ctx, volume(".v", mib)),
		"delete":          p.Delete(ctx, "a/b"),
	} {
		if name == "roll back ended" && err == nil {
			continue // by a reflink
		}
		require.Error(t, err, name)
		t.Log(err)
	}
	require.ErrorIs(t, p.Resize(ctx, "none", mib), fs.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, int64(mib), size(t, filepath.Join(dir, "v")))
	assert.True(t, all(t, filepath.Join(dir, "v"), 'a', 0, mib))
}

func TestSparse(t *testing.T) {
	t.Parallel()
	p, dir := newPlane(t, targets.Options{})
	require.NoError(t, p.Create(t.Context(), volume("v", 1<<40)))
	write(t, filepath.Join(dir, "v"), 'a', 1<<39, mib)
	require.NoError(t, p.Copy(t.Context(), arraysim.Copy{From: "v", To: volume("c", 2<<40)}))
	require.NoError(t, p.RollBack(t.Context(), "v", "c"))
	assert.True(t, all(t, filepath.Join(dir, "v"), 'a', 1<<39, mib))
	assert.Equal(t, int64(2<<40), size(t, filepath.Join(dir, "v")))
}

func TestClose(t *testing.T) {
	t.Parallel()
	p, dir := newPlane(t, targets.Options{})
	require.NoError(t, p.Create(t.Context(), volume("v", mib)))
	require.NoError(t, p.Close(t.Context()))
	assert.NoDirExists(t, dir)

	p, dir = newPlane(t, targets.Options{Keep: true})
	require.NoError(t, p.Create(t.Context(), volume("v", mib)))
	require.NoError(t, p.Close(t.Context()))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".c.new"), nil, 0o600))
	p, err := targets.New(dir, targets.Options{})
	require.NoError(t, err)
	require.NoError(t, p.Copy(t.Context(), arraysim.Copy{From: "v", To: volume("c", mib)}))
	require.NoError(t, p.Close(t.Context()))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "what this one did not make")

	_, err = targets.New(dir+",x", targets.Options{})
	require.ErrorIs(t, err, fault.ErrInvalid)
}

// What cannot be is refused before the kernel is asked.
func TestExposeRefuses(t *testing.T) {
	t.Parallel()
	p, _ := newPlane(t, targets.Options{})
	const naa = "6f47acc1000000006162636400000001"
	lun := arraysim.LUN{Volume: "v", Bytes: mib, BlockSize: 512, NAA: naa, Vendor: "v", Product: "p"}
	other, readOnly, twice := lun, lun, lun
	other.Volume, other.Number = "w", 1
	readOnly.Volume, readOnly.Number, readOnly.ReadOnly = "w", 1, true
	twice.Number, twice.Bytes = 1, 2*mib
	with := func(change func(l *arraysim.LUN)) arraysim.LUN { l := lun; change(&l); return l }
	one := func(l ...arraysim.LUN) []arraysim.Access { return []arraysim.Access{{LUNs: l}} }
	for name, c := range map[string]struct {
		access []arraysim.Access
		want   error
	}{
		"short NAA":        {one(with(func(l *arraysim.LUN) { l.NAA = "5f47acc100000000" })), errors.ErrUnsupported},
		"NAA of another":   {one(with(func(l *arraysim.LUN) { l.NAA = "5" + naa[1:] })), errors.ErrUnsupported},
		"vendor":           {one(with(func(l *arraysim.LUN) { l.Vendor = "SolidFire" })), fault.ErrInvalid},
		"block size":       {one(with(func(l *arraysim.LUN) { l.BlockSize = 520 })), fault.ErrInvalid},
		"number":           {one(lun, with(func(l *arraysim.LUN) { l.Volume = "w" })), fault.ErrInvalid},
		"two descriptions": {one(lun, twice), fault.ErrInvalid},
		"any, half":        {one(lun, readOnly), errors.ErrUnsupported},
		"any, not all":     {append(one(lun), arraysim.Access{Initiator: "iqn.2000-01.a:b", LUNs: []arraysim.LUN{other}}), errors.ErrUnsupported},
		"two entries":      {append(one(lun), one(lun)...), fault.ErrInvalid},
		"initiator":        {[]arraysim.Access{{Initiator: "../a"}}, fault.ErrInvalid},
		"CHAP":             {[]arraysim.Access{{CHAP: &arraysim.CHAP{User: "u", Password: "NULL-canary"}}}, fault.ErrInvalid},
	} {
		err := p.Expose(t.Context(), arraysim.Target{IQN: "iqn.2000-01.a:t", Portals: []string{"127.0.0.1:3260"}, Access: c.access})
		require.ErrorIs(t, err, c.want, name)
		assert.NotContains(t, err.Error(), "canary")
		t.Log(err)
	}
	for _, portal := range []string{"localhost:3260", "127.0.0.1", "127.0.0.1:0"} {
		require.ErrorIs(t, p.Expose(t.Context(), arraysim.Target{IQN: "iqn.2000-01.a:t", Portals: []string{portal}}), fault.ErrInvalid)
	}
	require.ErrorIs(t, p.Hide(t.Context(), "../core"), fault.ErrInvalid)
}
