// SPDX-License-Identifier: Apache-2.0

package arraysim_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := arraysim.NewMemory()
	const mib = 1 << 20
	require.NoError(t, m.Create(ctx, arraysim.Volume{ID: "v", Bytes: mib}))
	show := func(id string, access ...arraysim.Access) {
		for i := range access {
			access[i].LUNs = []arraysim.LUN{{Number: 0, Volume: id}}
		}
		require.NoError(t, m.Expose(ctx, arraysim.Target{IQN: "iqn." + id, Access: access}))
	}
	chap := &arraysim.CHAP{User: "user", Password: "secret"}
	show("v", arraysim.Access{CHAP: chap}, arraysim.Access{Initiator: "iqn.member", CHAP: chap, Optional: true})
	disk, err := m.Login("iqn.v", "iqn.any", "user", "secret", 0)
	require.NoError(t, err)
	_, err = m.Login("iqn.v", "IQN.member", "", "", 0)
	require.NoError(t, err)
	for _, bad := range [][4]string{
		{"iqn.v", "iqn.any", "user", "wrong"}, {"iqn.v", "iqn.any", "", ""}, {"iqn.none", "iqn.any", "user", "secret"},
		{"iqn.v", "iqn.member", "other", "secret"},
	} {
		_, err = m.Login(bad[0], bad[1], bad[2], bad[3], 0)
		require.Error(t, err, bad)
	}
	_, err = m.Login("iqn.v", "iqn.any", "user", "secret", 1)
	require.Error(t, err)

	// Over the edge of two blocks.
	text := []byte(strings.Repeat("0123456789", 8000))
	_, err = disk.WriteAt(text, 60_000)
	require.NoError(t, err)
	read := func(d *arraysim.Disk) string {
		p := make([]byte, len(text))
		_, err := d.ReadAt(p, 60_000)
		require.NoError(t, err)
		return string(p)
	}
	require.NoError(t, m.Copy(ctx, arraysim.Copy{From: "v", To: arraysim.Volume{ID: "s", Bytes: mib}}, arraysim.Copy{From: "v", To: arraysim.Volume{ID: "c", Bytes: 2 * mib}}))
	_, err = disk.WriteAt([]byte("changed"), 60_000)
	require.NoError(t, err)
	show("c", arraysim.Access{})
	clone, err := m.Login("iqn.c", "", "", "", 0)
	require.NoError(t, err)
	assert.Equal(t, string(text), read(clone))
	assert.Equal(t, int64(2*mib), clone.Size())
	require.NoError(t, m.RollBack(ctx, "v", "s"))
	assert.Equal(t, string(text), read(disk))

	// What was cut off does not come back.
	require.NoError(t, m.Resize(ctx, "v", 60_005))
	require.NoError(t, m.Resize(ctx, "v", mib))
	assert.Equal(t, "01234"+strings.Repeat("\x00", len(text)-5), read(disk))
	_, err = disk.WriteAt(text, mib-1)
	require.Error(t, err)
	_, err = disk.ReadAt(text, mib)
	require.Error(t, err)

	assert.Equal(t, []string{"c", "s", "v"}, m.Volumes())
	require.NoError(t, m.Delete(ctx, "v", "s", "none"))
	require.Error(t, m.RollBack(ctx, "v", "s"))
	require.Error(t, m.Resize(ctx, "v", 1))
	require.Error(t, m.Copy(ctx, arraysim.Copy{From: "v"}))
	_, err = disk.ReadAt(text, 0)
	require.Error(t, err)
	require.NoError(t, m.Hide(ctx, "iqn.c"))
	_, err = m.Login("iqn.c", "", "", "", 0)
	require.Error(t, err)
}
