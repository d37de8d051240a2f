// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	const naa = "6F47ACC1000000006162636400000001"
	for serial, want := range map[string]string{
		"":                                 "1000000006162636400000001",
		"6162636400000001f47acc0100000000": "1000000006162636400000001",
		"1000000006162636400000001":        "1000000006162636400000001",
		"10-0000006162636400000001-Z":      "1000000006162636400000001",
		"10-00000006162636400000001-Z-2":   "10-00000006162636400000001-Z-2", // is the same to LIO
	} {
		who, err := identify(arraysim.LUN{Volume: "v", Bytes: 1 << 20, BlockSize: 4096, Serial: serial, NAA: naa, Vendor: "v", Product: "p"})
		require.NoError(t, err)
		assert.Equal(t, identity{company: "0xf47acc", serial: want, vendor: "v", product: "p", block: 4096}, who)
	}
	who, err := identify(arraysim.LUN{Volume: "v", Bytes: 1 << 20, BlockSize: 512, Serial: "XY-12", NAA: "6f47acc1300000000000000000000000"})
	require.NoError(t, err)
	assert.Equal(t, "1300000000000000000000000", who.serial)
	who, err = identify(arraysim.LUN{Volume: "v", Bytes: 1 << 20, BlockSize: 512, Serial: "XY-12", NAA: "6f47acc1200000000000000000000000"})
	require.NoError(t, err)
	assert.Equal(t, "XY-12", who.serial, "LIO puts zeros behind it")
}

// The LUNs of the portal group: where they are, or where somebody sees them, or
// somewhere else.
func TestNumber(t *testing.T) {
	t.Parallel()
	lun := func(n int, id string) arraysim.LUN {
		return arraysim.LUN{Number: n, Volume: id, Bytes: 1 << 20, BlockSize: 512, NAA: "6f47acc1000000006162636400000001"}
	}
	for name, c := range map[string]struct {
		access []arraysim.Access
		have   map[int]string
		want   map[string]int
	}{
		"new":       {[]arraysim.Access{{Initiator: "a", LUNs: []arraysim.LUN{lun(3, "v"), lun(5, "w")}}}, nil, map[string]int{"v": 3, "w": 5}},
		"there":     {[]arraysim.Access{{Initiator: "a", LUNs: []arraysim.LUN{lun(3, "v")}}}, map[int]string{7: "/v", 3: "/other"}, map[string]int{"v": 7}},
		"taken":     {[]arraysim.Access{{Initiator: "a", LUNs: []arraysim.LUN{lun(3, "v")}}}, map[int]string{3: "/other"}, map[string]int{"v": 4}},
		"for all":   {[]arraysim.Access{{LUNs: []arraysim.LUN{lun(3, "v")}}}, map[int]string{7: "/v", 3: "/other"}, map[string]int{"v": 3}},
		"last":      {[]arraysim.Access{{Initiator: "a", LUNs: []arraysim.LUN{lun(maxLUN, "v")}}}, map[int]string{maxLUN: "/other"}, map[string]int{"v": 0}},
		"all and a": {[]arraysim.Access{{LUNs: []arraysim.LUN{lun(0, "v")}}, {Initiator: "a", LUNs: []arraysim.LUN{lun(9, "v")}}}, nil, map[string]int{"v": 0}},
	} {
		w, err := newPlan(arraysim.Target{IQN: "IQN.x", Portals: []string{"[::ffff:127.0.0.1]:3260"}, Access: c.access})
		require.NoError(t, err, name)
		assert.Equal(t, map[string]bool{"127.0.0.1:3260": true}, w.portals)
		w.number(c.have, map[string]*store{"v": {dir: "/v"}, "w": {dir: "/w"}})
		assert.Equal(t, c.want, w.numbers, name)
	}
}
