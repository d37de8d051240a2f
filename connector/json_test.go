// SPDX-License-Identifier: Apache-2.0

package connector_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/ovo"
)

func value(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(tb, d.Decode(&v))
	return v
}

// again decodes a text into a T and writes it.
func again[T any](t *testing.T, text []byte) (*T, []byte) {
	t.Helper()
	v := new(T)
	require.NoError(t, json.Unmarshal(text, v), string(text))
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return v, out
}

func survives[T any](t *testing.T, text string) *T {
	t.Helper()
	v, out := again[T](t, []byte(text))
	assert.Equal(t, value(t, []byte(text)), value(t, out))
	v2, out2 := again[T](t, out)
	assert.Equal(t, v, v2)
	assert.Equal(t, string(out), string(out2))
	return v
}

// inside calls fn for every object that is the value of a key, wherever it is in
// a document.
func inside(tb testing.TB, text []byte, key string, fn func(text []byte)) {
	tb.Helper()
	d := ovo.NewDecoder(text)
	var walk func(found bool) error
	walk = func(found bool) error {
		switch d.Kind() {
		case ovo.KindArray:
			return d.Array(func(int) error { return walk(false) })
		case ovo.KindObject:
			start := d.Offset()
			err := d.Object(func(k []byte) error { return walk(string(k) == key) })
			if found {
				fn(text[start:d.Offset()])
			}
			return err
		}
		return d.Skip()
	}
	require.NoError(tb, walk(false))
}

func TestPartsOfPythonSurvive(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/python/*")
	require.NoError(t, err)
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		inside(t, text, "conn", func(text []byte) {
			total++
			i := survives[connector.ConnInfo](t, string(text))
			assert.IsType(t, &connector.ISCSIData{}, i.Data)
		})
		inside(t, text, "connector", func(text []byte) {
			p := survives[connector.Properties](t, string(text))
			assert.NotEmpty(t, p.SystemUUID)
		})
		inside(t, text, "device", func(text []byte) {
			d := survives[connector.Device](t, string(text))
			assert.Equal(t, "/dev/sdz", d.Path)
			assert.Empty(t, d.Extra)
		})
	}
	assert.Greater(t, total, 40)
}

func TestConnInfo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*connector.ConnInfo{
		`{"driver_volume_type":"iscsi","data":{"target_discovered":true,"target_portal":"192.0.2.1:3260","target_iqn":"iqn.a",` +
			`"target_lun":0,"target_portals":["p1","p2"],"target_iqns":["i1","i2"],"target_luns":[0,1],"auth_method":"CHAP",` +
			`"auth_username":"u","auth_password":"s3cret","volume_id":"v","access_mode":"ro","discard":false,"encrypted":true,` +
			`"device_wwids":["naa.1"]}}`: {Protocol: "iscsi", Data: &connector.ISCSIData{
			TargetDiscovered: true, TargetPortal: "192.0.2.1:3260", TargetIQN: "iqn.a",
			TargetPortals: []string{"p1", "p2"}, TargetIQNs: []string{"i1", "i2"}, TargetLUNs: []int{0, 1},
			AuthMethod: "CHAP", AuthUsername: "u", AuthPassword: "s3cret",
			Shared: connector.Common{
				VolumeID: "v", AccessMode: connector.ReadOnly, Discard: new(false), Encrypted: new(true), DeviceWWIDs: []string{"naa.1"},
			},
		}},
		`{"driver_volume_type":"fibre_channel","data":{"target_discovered":false,"target_wwn":["a","b"],"target_lun":3,` +
			`"initiator_target_map":{"i":["a"],"j":["b"]},"enable_wildcard_scan":false,"addressing_mode":"SAM2"}}`: {
			Protocol: "fibre_channel", Data: &connector.FCData{
				TargetWWNs: []string{"a", "b"}, TargetLUN: 3, EnableWildcardScan: new(false), AddressingMode: "SAM2",
				InitiatorTargetMap: map[string][]string{"i": {"a"}, "j": {"b"}},
			},
		},
		`{"driver_volume_type":"rbd","data":{"name":"p/i","hosts":[],"ports":["6789"],"auth_enabled":true,"keyring":"s3cret"}}`: {
			Protocol: "rbd", Data: &connector.RBDData{Name: "p/i", Ports: []string{"6789"}, AuthEnabled: true, Keyring: "s3cret"},
		},
		`{"driver_volume_type":"local","data":{"device_path":"/dev/x","loop":true,"more":{"a":[1,1.50,null]}}}`: {
			Protocol: "local", Data: &connector.LocalData{DevicePath: "/dev/x", Loop: true, Shared: connector.Common{
				Extra: map[string]any{"more": map[string]any{"a": []any{int64(1), json.Number("1.50"), nil}}},
			}},
		},
		`{"driver_volume_type":"nvmeof","data":{"nqn":"n","volume_id":"v","discard":null}}`: {
			Protocol: "nvmeof", Data: &connector.RawData{Values: map[string]any{"nqn": "n"}, Shared: connector.Common{
				VolumeID: "v", Extra: map[string]any{"discard": nil},
			}},
		},
		`{"driver_volume_type":"iscsi"}`: {Protocol: "iscsi"},
		`{}`:                             {},
	} {
		assert.Equal(t, want, survives[connector.ConnInfo](t, text))
		made, err := json.Marshal(want)
		require.NoError(t, err)
		assert.JSONEq(t, text, string(made))
	}
}

// What a field cannot say, and what would not be written, is kept.
func TestOddConnInfoSurvives(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"driver_volume_type":"iscsi","data":{}}`,
		`{"driver_volume_type":"iscsi","data":null}`,
		`{"driver_volume_type":"iscsi","data":"text","vendor":[1]}`,
		`{"driver_volume_type":null,"data":{"a":1}}`,
		`{"driver_volume_type":7}`,
		`{"driver_volume_type":"","data":{}}`,
		`{"driver_volume_type":"fibre_channel","data":{"target_wwn":"one","target_lun":"5","initiator_target_map":null}}`,
		`{"driver_volume_type":"fibre_channel","data":{"target_wwn":[],"target_luns":["1",2],"initiator_target_map":{"i":"t"},"target_discovered":null}}`,
		`{"driver_volume_type":"iscsi","data":{"target_lun":null,"target_portals":[],"auth_password":"","auth_method":null,"discard":null}}`,
		`{"driver_volume_type":"iscsi","data":{"target_lun":1.0,"logical_block_size":512,"qos_specs":null,"big":123456789012345678901234567890}}`,
		`{"driver_volume_type":"rbd","data":{"hosts":null,"ports":[6789],"cluster_name":"","auth_enabled":false}}`,
		`{"driver_volume_type":"local","data":{"loop":false,"device_wwids":"naa.1","encrypted":null}}`,
		`{"driver_volume_type":"other","data":{"volume_id":7,"encrypted":"yes","access_mode":null,"device_wwids":[]}}`,
		// wrong types
		`{"driver_volume_type":"iscsi","data":{"target_lun":"first","target_portal":"p","discard":true}}`,
		`{"driver_volume_type":"iscsi","data":{"target_portals":{"a":1},"target_lun":1.5,"volume_id":"v"}}`,
		`{"driver_volume_type":"iscsi","data":{"target_lun":"99999999999999999999","discard":"no"}}`,
		`{"driver_volume_type":"fibre_channel","data":{"initiator_target_map":[],"target_wwn":[["a"]]}}`,
		`{"driver_volume_type":"rbd","data":{"auth_enabled":"True"}}`,
	} {
		survives[connector.ConnInfo](t, text)
	}
}

func TestOddValuesAreRead(t *testing.T) {
	t.Parallel()
	i := survives[connector.ConnInfo](t, `{"driver_volume_type":"fibre_channel","data":{"target_wwn":"one","target_lun":" 5",`+
		`"target_luns":["1",2],"initiator_target_map":{"i":"t"}}}`)
	fc, ok := i.Data.(*connector.FCData)
	require.True(t, ok)
	assert.Equal(t, []string{"one"}, fc.TargetWWNs)
	assert.Equal(t, 5, fc.TargetLUN)
	assert.Equal(t, []int{1, 2}, fc.TargetLUNs)
	assert.Equal(t, map[string][]string{"i": {"t"}}, fc.InitiatorTargetMap)

	// A field that was changed since counts, others keep their notation.
	fc.TargetLUN = 0
	fc.TargetDiscovered = true
	fc.TargetWWNs = []string{"one", "two"}
	out, err := json.Marshal(i)
	require.NoError(t, err)
	assert.JSONEq(t, `{"driver_volume_type":"fibre_channel","data":{"target_wwn":["one","two"],"target_lun":0,`+
		`"target_discovered":true,"target_luns":["1",2],"initiator_target_map":{"i":"t"}}}`, string(out))

	i = survives[connector.ConnInfo](t, `{"driver_volume_type":"iscsi","data":{"target_lun":"first","target_portal":"p","discard":true}}`)
	assert.IsType(t, &connector.RawData{}, i.Data)
	assert.True(t, *i.Data.Common().Discard)
}

func TestDataByItself(t *testing.T) {
	t.Parallel()
	survives[connector.ISCSIData](t, `{"target_lun":1,"x":null,"discard":null}`)
	survives[connector.FCData](t, `{"target_wwn":"a"}`)
	survives[connector.RBDData](t, `{"name":"a","volume_id":"v"}`)
	survives[connector.LocalData](t, `{}`)
	survives[connector.RawData](t, `{"a":1,"volume_id":2}`)
	for _, text := range []string{`{"target_lun":"x"}`, `{"volume_id":[]}`, `[]`} {
		var d connector.ISCSIData
		require.ErrorIs(t, json.Unmarshal([]byte(text), &d), connector.ErrInvalid, text)
		assert.Zero(t, d)
	}
	var raw connector.RawData
	require.Error(t, json.Unmarshal([]byte(`[]`), &raw))
	var nothing *connector.FCData
	out, err := json.Marshal(connector.ConnInfo{Protocol: "fibre_channel", Data: nothing})
	require.NoError(t, err)
	assert.JSONEq(t, `{"driver_volume_type":"fibre_channel","data":null}`, string(out))
	out, err = json.Marshal(connector.RawData{
		Values: map[string]any{"volume_id": "b", "discard": true, "secret": connector.Secret("s3cret"), "n": []int{1}},
		Shared: connector.Common{VolumeID: "a", Extra: map[string]any{"x": 1, "discard": nil}},
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"volume_id":"a","discard":null,"secret":"s3cret","n":[1],"x":1}`, string(out))
}

func TestPropertiesAndDevice(t *testing.T) {
	t.Parallel()
	p := survives[connector.Properties](t, `{"platform":"x86_64","os_type":"linux","ip":"192.0.2.2","host":"h","multipath":true,`+
		`"enforce_multipath":true,"initiator":"iqn.h","wwpns":["w"],"wwnns":["n"],"nqn":"q","uuid":"u","system uuid":"s","do_local_attach":true}`)
	assert.Equal(t, &connector.Properties{
		Platform: "x86_64", OSType: "linux", IP: "192.0.2.2", Host: "h", Multipath: true, EnforceMultipath: true, Initiator: "iqn.h",
		WWPNs: []string{"w"}, WWNNs: []string{"n"}, NQN: "q", UUID: "u", SystemUUID: "s", DoLocalAttach: true,
	}, p)
	for _, text := range []string{
		`{}`, `{"multipath":false,"initiator":null,"wwpns":[],"ip":"","host_ips":["a"],"nvme_native_multipath":false}`,
		`{"multipath":"True","wwpns":7,"host":["h"]}`,
	} {
		survives[connector.Properties](t, text)
	}
	p = survives[connector.Properties](t, `{"multipath":false,"initiator":null}`)
	p.Multipath, p.Initiator = true, "iqn.h"
	out, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"multipath":true,"initiator":"iqn.h"}`, string(out))

	d := survives[connector.Device](t, `{"type":"block","path":"/dev/sdb","scsi_wwn":"36","multipath_id":"36","conf":"/tmp/c"}`)
	assert.Equal(t, &connector.Device{Type: "block", Path: "/dev/sdb", WWN: "36", MultipathID: "36", Conf: "/tmp/c"}, d)
	survives[connector.Device](t, `{"path":null,"type":7,"more":{"x":"y"}}`)

	for _, v := range []any{new(connector.Properties), new(connector.Device), new(connector.ConnInfo)} {
		require.ErrorIs(t, json.Unmarshal([]byte(`[]`), v), connector.ErrInvalid)
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	t.Parallel()
	bad := map[string]any{"bad": math.NaN()}
	for _, v := range []any{
		connector.ConnInfo{Data: &connector.ISCSIData{Shared: connector.Common{Extra: bad}}},
		connector.ConnInfo{Data: &connector.RawData{Values: bad}},
		connector.Properties{Extra: bad}, connector.Device{Extra: bad},
	} {
		_, err := json.Marshal(v)
		require.ErrorIs(t, err, connector.ErrInvalid)
	}
}

func FuzzConnInfo(f *testing.F) {
	f.Add([]byte(`{"driver_volume_type":"iscsi","data":{"target_lun":"1","target_luns":[1,"2"],"discard":null,"x":1.0}}`))
	f.Add([]byte(`{"driver_volume_type":"fibre_channel","data":{"target_wwn":"1","initiator_target_map":{"a":["b"]}}}`))
	f.Add([]byte(`{"driver_volume_type":"rbd","data":{"hosts":null,"ports":[],"auth_enabled":true,"keyring":""}}`))
	f.Add([]byte(`{"driver_volume_type":"local","data":{"loop":false,"encrypted":"yes"},"more":[]}`))
	f.Add([]byte(`{"driver_volume_type":"x","data":{"volume_id":5,"device_wwids":["a"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var i connector.ConnInfo
		if err := i.UnmarshalJSON(text); err != nil {
			require.ErrorIs(t, err, connector.ErrInvalid)
			return
		}
		out, err := i.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, value(t, text), value(t, out))
		clone, err := i.Clone().MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, string(out), string(clone))
	})
}
