// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

const (
	id    = "1f0c1b9e-4d1e-4d0c-9f3e-1d2c3b4a5968"
	iqnOf = "iqn.2010-10.org.openstack:volume-" + id
)

// What is stored is what Python's Cinder stores, and the other way round.
func TestLocation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options map[string]any
		want    string
	}{
		{nil, "192.0.2.1:3260,"},
		{map[string]any{"target_ip_address": "10.0.0.1", "target_secondary_ip_addresses": "10.0.1.1", "target_port": 3262}, "10.0.0.1:3262;10.0.1.1:3262,"},
		{map[string]any{"target_ip_address": "2001:db8::1", "target_secondary_ip_addresses": []string{"10.0.1.1"}}, "[2001:db8::1]:3260;10.0.1.1:3260,"},
	} {
		r := newRig(t)
		d := r.open(c.options)
		v := &drivers.Volume{ID: id, Size: 1}
		_, err := d.CreateVolume(t.Context(), v)
		require.NoError(t, err)
		u, err := d.Export(t.Context(), v)
		require.NoError(t, err)
		assert.Equal(t, c.want+iqnOf+" "+iqnOf+" 0", *u.ProviderLocation)
		assert.Regexp(t, `^CHAP [A-Za-z2-9]{20} [A-Za-z2-9]{16}$`, u.ProviderAuth.Reveal())
		assert.Equal(t, id, r.target.export(iqnOf).Serial)
		assert.True(t, r.target.export(iqnOf).Discard, "thin volumes can give room back")
	}
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"10.0.0.1:3260,iqn.x:y iqn.x:y 0":               {"10.0.0.1:3260"},
		"10.0.0.1:3260,1 iqn.x:y 0":                     {"10.0.0.1:3260"}, // the id of tgt
		"10.0.0.1:3260,None iqn.x:y 0":                  {"10.0.0.1:3260"},
		"10.0.0.1:3260;10.0.1.1:3260,iqn.x:y iqn.x:y 0": {"10.0.0.1:3260", "10.0.1.1:3260"},
		"[2001:db8::1]:3260,iqn.x:y iqn.x:y 0":          {"[2001:db8::1]:3260"},
		"10.0.0.1:3260 iqn.x:y":                         {"10.0.0.1:3260"},
		"":                                              nil,
		"10.0.0.1:3260,1":                               nil,
		",1 iqn.x:y 0":                                  nil,
	} {
		portals, iqn, ok := parseLocation(text)
		if want == nil {
			assert.False(t, ok, text)
			continue
		}
		assert.True(t, ok, text)
		assert.Equal(t, want, portals, text)
		assert.Equal(t, "iqn.x:y", iqn, text)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	assert.Equal(t, [3]int{8, 24, 25}, [3]int{len(groups[0]), len(groups[1]), len(groups[2])})
	for _, c := range []string{"0", "1", "I", "O", "l"} { // which are taken for one another
		assert.NotContains(t, strings.Join(groups[:], ""), c)
	}
	seen, used := map[string]bool{}, map[rune]bool{}
	for range 500 {
		s := secret(16)
		assert.Len(t, s, 16)
		assert.False(t, seen[s])
		seen[s] = true
		for _, c := range s {
			used[c] = true
			assert.Contains(t, strings.Join(groups[:], ""), string(c))
		}
		for _, g := range groups {
			assert.True(t, strings.ContainsAny(s, g), "%s has none of %s", s, g)
		}
	}
	assert.Len(t, used, 57)
}

// The password stays what it is, whoever made it: an initiator that logs in again
// after a start of the host has the old one.
func TestCredentialsStay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.created(d, 1)
	v.ProviderAuth = drivers.Secret("CHAP user_of-python pass.word")
	v.ProviderLocation = "198.51.100.9:3260,1 iqn.2010-10.org.openstack:" + v.NameOnArray() + " 0"
	u, err := d.Export(t.Context(), v)
	require.NoError(t, err)
	assert.Nil(t, u.ProviderAuth)
	require.NotNil(t, u.ProviderLocation, "the portals are others now")
	u.Apply(v)
	u, err = d.Export(t.Context(), v)
	require.NoError(t, err)
	assert.Nil(t, u.ProviderLocation)
	assert.Nil(t, u.ProviderAuth)
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite})
	require.NoError(t, err)
	data := info.Data.(*connector.ISCSIData)
	assert.Equal(t, "user_of-python", data.AuthUsername)
	assert.Equal(t, "pass.word", data.AuthPassword.Reveal())
	iqn := "iqn.2010-10.org.openstack:" + v.NameOnArray()
	assert.Equal(t, "pass.word", r.target.export(iqn).acls[host(0).Initiator].Password.Reveal())

	for _, broken := range []string{"CHAP x", "chap", "BASIC a b", "CHAP a b c"} {
		v.ProviderAuth = drivers.Secret(broken)
		u, err := d.Export(t.Context(), v)
		require.NoError(t, err)
		require.NotNil(t, u.ProviderAuth, broken)
		_, err = d.Connect(t.Context(), v, &drivers.Attachment{Host: host(0)})
		require.ErrorIs(t, err, drivers.ErrPrecondition, "it has not been stored")
	}
}

// A target that has another prefix keeps its name.
func TestTargetStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.exported(d, r.created(d, 1))
	old := "iqn.2010-10.org.openstack:" + v.NameOnArray()
	other := r.open(map[string]any{"target_prefix": "iqn.1994-05.com.example:"})
	v = r.exported(other, v)
	assert.Contains(t, v.ProviderLocation, old)
	require.NoError(t, other.Unexport(t.Context(), v))
	assert.Nil(t, r.target.export(old))
	fresh := r.exported(other, r.created(other, 1))
	assert.Contains(t, fresh.ProviderLocation, " iqn.1994-05.com.example:volume-")
}

// A disk that somebody is logged in to keeps the serial that it has; when nobody
// is, it gets the volume's.
func TestOtherSerial(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.exported(d, r.created(d, 1))
	iqn := "iqn.2010-10.org.openstack:" + v.NameOnArray()
	r.target.export(iqn).Serial = "made by rtslib"
	r.target.login(iqn, host(0).Initiator)
	_, err := d.Export(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, "made by rtslib", r.target.export(iqn).Serial)
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite})
	require.NoError(t, err)
	assert.Equal(t, []string{"naa.6001405" + "adebb" + strings.Repeat("0", 20)}, info.Data.Common().DeviceWWIDs, "the digits of that serial")
	r.target.logout(iqn)
	_, err = d.Export(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, v.ID, r.target.export(iqn).Serial)
}

// Somebody else holds the volume.
func TestExportBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.created(d, 1)
	r.set(func() { r.lvs[v.NameOnArray()].open = 1 })
	_, err := d.Export(t.Context(), v)
	require.ErrorIs(t, err, drivers.ErrInUse)
	require.ErrorContains(t, err, "lvm: export "+v.NameOnArray())
}

func TestConnectionJSON(t *testing.T) {
	t.Parallel()
	const auth = `"auth_method":"CHAP","auth_username":"user","auth_password":"pass"`
	const one = `"target_portal":"192.0.2.1:3260","target_iqn":"` + iqnOf + `","target_lun":0`
	const lists = `"target_portals":["192.0.2.1:3260"],"target_iqns":["` + iqnOf + `"],"target_luns":[0]`
	const common = `"target_discovered":false,"volume_id":"` + id + `","device_wwids":["naa.60014051f0c1b9e4d1e4d0c9f3e1d2c3"]`
	multipath := host(0)
	multipath.Multipath = true
	for name, c := range map[string]struct {
		options map[string]any
		change  func(*drivers.Volume)
		a       drivers.Attachment
		want    string
	}{
		"single": {nil, nil, drivers.Attachment{Host: host(0), Mode: connector.ReadWrite},
			one + "," + auth + "," + common + `,"access_mode":"rw","encrypted":false`},
		"multipath": {nil, nil, drivers.Attachment{Host: multipath, Mode: connector.ReadWrite},
			one + "," + lists + "," + auth + "," + common + `,"access_mode":"rw","encrypted":false`},
		"several portals": {
			map[string]any{"target_secondary_ip_addresses": "2001:db8::1"}, nil, drivers.Attachment{Host: host(0), Mode: connector.ReadWrite},
			one + `,"target_portals":["192.0.2.1:3260","[2001:db8::1]:3260"],"target_iqns":["` + iqnOf + `","` + iqnOf + `"],"target_luns":[0,0],` +
				auth + "," + common + `,"access_mode":"rw","encrypted":false`,
		},
		"read only": {nil, nil, drivers.Attachment{Host: host(0), Mode: connector.ReadOnly},
			one + "," + auth + "," + common + `,"access_mode":"ro","encrypted":false`},
		"discard": {map[string]any{"report_discard_supported": true}, nil, drivers.Attachment{Host: host(0), Mode: connector.ReadWrite},
			one + "," + auth + "," + common + `,"access_mode":"rw","encrypted":false,"discard":true`},
		"encrypted, geometry": {
			nil, func(v *drivers.Volume) { v.EncryptionKeyID, v.ProviderGeometry = "key", "4096 512" },
			drivers.Attachment{Host: host(0), Mode: connector.ReadWrite},
			one + "," + auth + "," + common + `,"access_mode":"rw","encrypted":true,"physical_block_size":"4096","logical_block_size":"512"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			d := r.open(c.options)
			v := &drivers.Volume{ID: id, Size: 1, ProviderAuth: drivers.Secret("CHAP user pass")}
			if c.change != nil {
				c.change(v)
			}
			_, err := d.CreateVolume(t.Context(), v)
			require.NoError(t, err)
			v = r.exported(d, v)
			info, err := d.Connect(t.Context(), v, &c.a)
			require.NoError(t, err)
			text, err := json.Marshal(info)
			require.NoError(t, err)
			assert.JSONEq(t, `{"driver_volume_type":"iscsi","data":{`+c.want+`}}`, string(text))
			assert.Equal(t, c.a.Mode == connector.ReadOnly, r.target.export(iqnOf).acls[host(0).Initiator].ReadOnly)
			assert.NotContains(t, fmt.Sprintf("%+v %v", info.Data, info), "pass\"", "no secret is printed")
		})
	}
}

func TestISER(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(map[string]any{"target_protocol": "iser"})
	v := r.exported(d, r.created(d, 1))
	assert.True(t, r.target.export("iqn.2010-10.org.openstack:"+v.NameOnArray()).ISER)
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite})
	require.NoError(t, err)
	assert.Equal(t, connector.ProtocolISER, info.Protocol)
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.created(d, 1)
	_, err := d.Connect(t.Context(), v, &drivers.Attachment{Host: host(0)})
	require.ErrorIs(t, err, drivers.ErrPrecondition, "it is not exported")
	v = r.exported(d, v)
	_, err = d.Connect(t.Context(), v, &drivers.Attachment{Host: &connector.Properties{}})
	require.ErrorIs(t, err, drivers.ErrInvalid)
	require.NoError(t, d.Disconnect(t.Context(), v, &drivers.Attachment{Host: &connector.Properties{}}), "nobody was let in by that name")
}

// One connection for writing and one for reading of the same host: it may write.
func TestReadOnlyAndMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.open(nil)
	v := r.exported(d, r.created(d, 1))
	upper := host(0)
	upper.Initiator = strings.ToUpper(upper.Initiator)
	write := &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite}
	read := &drivers.Attachment{Host: upper, Mode: connector.ReadOnly, Others: []*connector.Properties{host(0)}}
	for _, a := range []*drivers.Attachment{write, read} {
		_, err := d.Connect(t.Context(), v, a)
		require.NoError(t, err)
	}
	x := r.target.export("iqn.2010-10.org.openstack:" + v.NameOnArray())
	assert.Len(t, x.acls, 1)
	assert.False(t, x.acls[host(0).Initiator].ReadOnly)
	require.NoError(t, d.Disconnect(t.Context(), v, read))
	assert.Len(t, x.acls, 1)
	read.Others = nil
	require.NoError(t, d.Disconnect(t.Context(), v, read))
	assert.Empty(t, x.acls)
}

// A host that is still logged in keeps its access, unless it is forced out.
func TestDisconnectLoggedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.open(nil)
		v := r.exported(d, r.created(d, 1))
		a := &drivers.Attachment{Host: host(0), Mode: connector.ReadWrite}
		_, err := d.Connect(t.Context(), v, a)
		require.NoError(t, err)
		iqn := "iqn.2010-10.org.openstack:" + v.NameOnArray()
		x := r.target.export(iqn)
		r.target.login(iqn, host(0).Initiator)
		err = d.Disconnect(t.Context(), v, a)
		require.ErrorIs(t, err, drivers.ErrInUse)
		require.ErrorContains(t, err, host(0).Initiator+" is logged in to "+iqn)
		assert.Len(t, x.acls, 1)

		time.AfterFunc(time.Second, func() { r.target.logout(iqn) })
		start := time.Now()
		require.NoError(t, d.Disconnect(t.Context(), v, a), "it was on its way out")
		assert.InDelta(t, 1, time.Since(start).Seconds(), 0.15)
		assert.Empty(t, x.acls)

		_, err = d.Connect(t.Context(), v, a)
		require.NoError(t, err)
		r.target.login(iqn, host(0).Initiator)
		r.target.login(iqn, host(1).Initiator)
		a.Force = true
		require.NoError(t, d.Disconnect(t.Context(), v, a))
		assert.Empty(t, x.acls)
		assert.Len(t, x.sessions, 1, "of the other host")
	})
}

// A volume whose LV is not active, as after a start of the host.
func TestExportActivates(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, _ bool) {
		r := newRig(t)
		d := r.open(o)
		v := r.created(d, 1)
		r.set(func() { r.deactivate(r.lvs[v.NameOnArray()]) })
		assert.Equal(t, 1, r.count(func() error { _, err := d.Export(t.Context(), v); return err }))
		assert.True(t, r.lv(v.NameOnArray()).active)
		_, err := d.Export(t.Context(), volume(1))
		require.ErrorIs(t, err, drivers.ErrNotFound)
	})
}

func TestQoS(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o map[string]any, _ bool) {
		r := newRig(t)
		d := r.open(o)
		src := r.created(d, 1)
		s := r.snapped(d, src)
		for consumer, ok := range map[string]bool{"front-end": true, "Front-End": true, "back-end": false, "both": false, "": false} {
			v := volume(1)
			v.VolumeType = &drivers.VolumeType{QoS: &drivers.QoSSpecs{Consumer: consumer, Specs: map[string]string{"total_iops_sec": "1"}}}
			_, create := d.CreateVolume(t.Context(), v)
			require.NoError(t, d.DeleteVolume(t.Context(), v))
			_, clone := d.CloneVolume(t.Context(), v, src)
			require.NoError(t, d.DeleteVolume(t.Context(), v))
			_, from := d.VolumeFromSnapshot(t.Context(), v, s, src)
			require.NoError(t, d.DeleteVolume(t.Context(), v))
			for _, err := range []error{create, clone, from} {
				assert.Equal(t, ok, err == nil, "%q: %v", consumer, err)
				assert.Equal(t, !ok, errors.Is(err, errors.ErrUnsupported))
			}
			v.VolumeType.QoS.Specs = nil
			_, err := d.CreateVolume(t.Context(), v)
			require.NoError(t, err, "nothing is asked for")
			require.NoError(t, d.DeleteVolume(t.Context(), v))
		}
		assert.Equal(t, []string{snapName(s), src.NameOnArray()}, r.names())
	})
}
