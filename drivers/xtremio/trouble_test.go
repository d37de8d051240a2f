// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/libtest"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

const iscsi, fc = connector.ProtocolISCSI, connector.ProtocolFC

// tryOpen opens a driver that logs.
func (l *lab) tryOpen(t *testing.T, log *bytes.Buffer) (*Driver, error) {
	t.Helper()
	o, _, err := optdecode.Decode[Options](l.options, false)
	require.NoError(t, err)
	env := driverstest.Env(t, "xtremio")
	env.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return openWith(t.Context(), env, o, iscsi, quick)
}

func aVolume() *drivers.Volume { return &drivers.Volume{ID: uuid.NewString(), Size: 1} }

func (l *lab) created(t *testing.T, d *Driver) *drivers.Volume {
	t.Helper()
	v := aVolume()
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	return v
}

func attachment(n int, others ...*connector.Properties) *drivers.Attachment {
	return &drivers.Attachment{ID: fmt.Sprint("a", n), Host: libtest.Host(n), Others: others}
}

// TestTrouble: what is wrong with the set-up is told when the backend is opened.
func TestTrouble(t *testing.T) {
	t.Parallel()
	two := xtremio.Options{Clusters: []xtremio.ClusterOptions{{Name: "north"}, {Name: "south"}}}
	for name, c := range map[string]struct {
		xms     xtremio.Options
		options map[string]any
		change  func(*lab)
		is      error
		text    string
	}{
		"password":        {options: map[string]any{"san_password": "another-canary"}, is: drivers.ErrUnauthenticated, text: `refuses the user "admin"`},
		"certificate":     {change: func(l *lab) { delete(l.options, "driver_ssl_cert_path") }, is: drivers.ErrPrecondition, text: "is not trusted"},
		"no certificate":  {options: map[string]any{"driver_ssl_cert_path": "/nowhere"}, is: drivers.ErrInvalid, text: "/nowhere"},
		"nobody there":    {options: map[string]any{"san_ip": "127.0.0.1:1"}, is: drivers.ErrUnavailable, text: "127.0.0.1:1"},
		"which cluster":   {xms: two, is: drivers.ErrInvalid, text: "north, south"},
		"another cluster": {xms: two, options: map[string]any{"xtremio_cluster_name": "west"}, is: drivers.ErrInvalid, text: `"west" (xtremio_cluster_name), but north, south`},
		"not an array": {
			change: func(l *lab) { _ = l.AddFault(arraysim.Fault{Kind: arraysim.Status, Status: 502, HTML: true}) },
			is:     drivers.ErrUnavailable, text: "502",
		},
		"no JSON": {change: func(l *lab) { _ = l.AddFault(arraysim.Fault{Kind: arraysim.Malformed}) }, is: drivers.ErrInternal, text: "is not what was expected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, iscsi, c.xms, c.options)
			if c.change != nil {
				c.change(l)
			}
			var log bytes.Buffer
			_, err := l.tryOpen(t, &log)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.text)
			assert.NotContains(t, err.Error()+log.String(), "canary")
		})
	}
	t.Run("not verified", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, iscsi, xtremio.Options{}, map[string]any{"driver_ssl_cert_verify": false})
		delete(l.options, "driver_ssl_cert_path")
		var log bytes.Buffer
		d, err := l.tryOpen(t, &log)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		assert.Contains(t, log.String(), "is not verified")
	})
}

// TestSecrets: no log line, error or record has the password or a CHAP secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{Clusters: []xtremio.ClusterOptions{{CHAP: "initiator", DiscoveryCHAP: "initiator"}}}, nil)
	var log bytes.Buffer
	d, err := l.tryOpen(t, &log)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	v := l.created(t, d)
	info, err := d.Connect(t.Context(), v, attachment(0))
	require.NoError(t, err)
	data := info.Data.(*connector.ISCSIData) //nolint:forcetypeassert // a panic says the same
	secrets := []string{data.AuthPassword.Reveal(), data.DiscoveryAuthPassword.Reveal(), password}
	require.Len(t, secrets[0], 12)
	require.NotEqual(t, secrets[0], secrets[1])
	told := ""
	for _, f := range []arraysim.Fault{
		{Operation: "GET initiators", Kind: arraysim.Malformed},
		{Operation: "GET initiators", Kind: arraysim.Refuse, Name: "some_error"},
		{Operation: "POST initiators", Kind: arraysim.Refuse, Name: "some_error"},
		{Operation: "GET volumes", Kind: arraysim.Malformed},
	} {
		require.NoError(t, l.AddFault(f))
		for n := range 2 {
			if _, err := d.Connect(t.Context(), v, attachment(n)); err != nil {
				told += err.Error()
			}
		}
		l.ClearFaults()
	}
	require.NotEmpty(t, told)
	told += log.String() + fmt.Sprintf("%v %+v %#v", info, l.Records(), d.o)
	for _, s := range secrets {
		assert.NotContains(t, told, s)
	}
}

// TestCHAP: what the array wants of hosts may change while they are connected, and
// initiators get what they lack.
func TestCHAP(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{}, nil)
	d := l.opened(t)
	v := l.created(t, d)
	connect := func() *connector.ISCSIData {
		t.Helper()
		info, err := d.Connect(t.Context(), v, attachment(0))
		require.NoError(t, err)
		require.NoError(t, l.login(t, info).Close())
		return info.Data.(*connector.ISCSIData) //nolint:forcetypeassert // a panic says the same
	}
	assert.Empty(t, connect().AuthMethod)
	require.NoError(t, l.xms.SetCHAP(t.Context(), "brick1", "initiator", "disabled"))
	_, err := d.Stats(t.Context()) // what is known of the cluster is renewed
	require.NoError(t, err)
	first := connect()
	assert.Equal(t, "CHAP", first.AuthMethod)
	assert.Empty(t, first.DiscoveryAuthMethod)
	require.NoError(t, l.xms.SetCHAP(t.Context(), "brick1", "initiator", "initiator"))
	_, err = d.Stats(t.Context())
	require.NoError(t, err)
	second := connect()
	assert.Equal(t, first.AuthPassword, second.AuthPassword, "a secret that is there stays")
	assert.Equal(t, "CHAP", second.DiscoveryAuthMethod)
	assert.Len(t, second.DiscoveryAuthPassword.Reveal(), 12)
}

// TestPorts: xtremio_ports says which of the array's hosts use.
func TestPorts(t *testing.T) {
	t.Parallel()
	portals := xtremio.Options{Clusters: []xtremio.ClusterOptions{{
		Portals: []xtremio.Portal{{Address: "10.205.68.5/16"}, {Address: "10.205.68.6/16"}, {Address: "fd00::5/64"}},
		FC:      []xtremio.FCTarget{{WWN: "51:4f:0c:50:A1:b2:c3:00"}, {WWN: "51:4f:0c:50:a1:b2:c3:04"}, {WWN: "51:4f:0c:50:a1:b2:c3:08", Down: true}},
	}}}
	for name, c := range map[string]struct {
		protocol string
		ports    []any
		want     []string
	}{
		"all":              {iscsi, nil, []string{"10.205.68.5:3260", "10.205.68.6:3260", "[fd00::5]:3260"}},
		"one":              {iscsi, []any{" 10.205.68.6 "}, []string{"10.205.68.6:3260"}},
		"IPv6":             {iscsi, []any{"FD00:0::0005"}, []string{"[fd00::5]:3260"}},
		"none":             {iscsi, []any{"10.205.68.7"}, nil},
		"all that run":     {fc, nil, []string{"514f0c50A1b2c300", "514f0c50a1b2c304"}},
		"one by WWN":       {fc, []any{"51:4F:0C:50:A1:B2:C3:04"}, []string{"514f0c50a1b2c304"}},
		"one that is down": {fc, []any{"51:4f:0c:50:a1:b2:c3:08"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.protocol, portals, map[string]any{"xtremio_ports": c.ports})
			d := l.opened(t)
			v := l.created(t, d)
			info, err := d.Connect(t.Context(), v, attachment(0))
			if c.want == nil {
				require.ErrorIs(t, err, drivers.ErrPrecondition)
				require.ErrorContains(t, err, "xtremio_ports")
				assert.Empty(t, l.names(t, "lun-maps"))
				return
			}
			require.NoError(t, err)
			if data, ok := info.Data.(*connector.FCData); ok {
				assert.Equal(t, c.want, data.TargetWWNs)
				assert.Equal(t, map[string][]string{"210000e08b000000": c.want, "210100e08b000000": c.want}, data.InitiatorTargetMap)
				return
			}
			data := info.Data.(*connector.ISCSIData) //nolint:forcetypeassert // a panic says the same
			assert.Equal(t, c.want, data.TargetPortals)
			assert.Equal(t, c.want[0], data.TargetPortal)
			assert.Len(t, data.TargetLUNs, len(c.want))
		})
	}
}

// TestGroups: ports that are in groups already stay there, and a volume has one LUN in
// all groups of a host. Those that a host of another connection is in are kept.
func TestGroups(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.0.3", "4.0.10", "6.2.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, fc, xtremio.Options{Version: version}, nil)
			d := l.opened(t)
			host := libtest.Host(0)
			l.ask(t, http.MethodPost, "initiator-groups", map[string]any{"ig-name": "mine"}, nil)
			l.ask(t, http.MethodPost, "initiators", map[string]any{"initiator-name": colons(host.WWPNs[0]), "port-address": colons(host.WWPNs[0]), "ig-id": "mine"}, nil)
			for lun := range 3 { // 1 to 3 are taken there
				v := l.created(t, d)
				l.ask(t, http.MethodPost, "lun-maps", map[string]any{"vol-id": v.ID, "ig-id": "mine", "lun": lun + 1}, nil)
			}
			v := l.created(t, d)
			for range 2 {
				info, err := d.Connect(t.Context(), v, attachment(0))
				require.NoError(t, err)
				assert.Equal(t, 4, info.Data.(*connector.FCData).TargetLUN) //nolint:forcetypeassert // a panic says the same
			}
			assert.ElementsMatch(t, []string{"mine", host.Host}, l.names(t, "initiator-groups"))
			for _, w := range host.WWPNs {
				assert.True(t, l.mapped(t, v.ID, colons(w)))
			}

			// Another host has a port in one of the groups.
			other := libtest.Host(1)
			l.ask(t, http.MethodPost, "initiators", map[string]any{"initiator-name": colons(other.WWPNs[0]), "port-address": colons(other.WWPNs[0]), "ig-id": "mine"}, nil)
			_, err := d.Connect(t.Context(), v, attachment(1, host))
			require.NoError(t, err)
			require.NoError(t, d.Disconnect(t.Context(), v, attachment(0, other)))
			assert.True(t, l.mapped(t, v.ID, colons(host.WWPNs[0])), "the other host needs that group")
			assert.False(t, l.mapped(t, v.ID, colons(host.WWPNs[1])))
			require.NoError(t, d.Disconnect(t.Context(), v, &drivers.Attachment{ID: "all"}))
			assert.Len(t, l.names(t, "lun-maps"), 3)
		})
	}
}

// TestOneHostAtOnce: many volumes are connected to a new host at the same time.
func TestOneHostAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{Clusters: []xtremio.ClusterOptions{{CHAP: "initiator"}}}, map[string]any{"xtremio_clean_unused_ig": true})
	const volumes = 8
	failures := make(chan error, volumes)
	o, _, err := optdecode.Decode[Options](l.options, false)
	require.NoError(t, err)
	env := driverstest.Env(t, "xtremio") // with the locks that processes share
	for range volumes {
		d, err := openWith(t.Context(), env, o, iscsi, quick)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, d.Close()) })
		v := l.created(t, d)
		go func() {
			for range 3 {
				if _, err := d.Connect(t.Context(), v, attachment(0)); err != nil {
					failures <- err
					return
				}
				if err := d.Disconnect(t.Context(), v, attachment(0)); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for range volumes {
		require.NoError(t, <-failures)
	}
	assert.Empty(t, l.names(t, "lun-maps"))
}

// TestUnnamed: what a call left that was cut off before it gave the name is removed.
func TestUnnamed(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{}, nil)
	d := l.opened(t)
	src := l.created(t, d)
	leave := func(name, kind string) {
		l.ask(t, http.MethodPost, "snapshots", map[string]any{
			"snapshot-set-name": name, "snap-suffix": name, "volume-list": []string{src.ID}, "snapshot-type": kind,
		}, nil)
	}
	clone, s := aVolume(), &drivers.Snapshot{ID: uuid.NewString(), VolumeID: src.ID, VolumeSize: 1}
	clone.SourceVolumeID = src.ID
	for range 2 {
		leave(clone.ID, "regular")
		leave(s.ID, readOnly)
		require.Len(t, l.names(t, "volumes"), 3)
		require.NoError(t, d.DeleteVolume(t.Context(), clone))
		require.NoError(t, d.DeleteSnapshot(t.Context(), s, src))
		require.Equal(t, []string{src.ID}, l.names(t, "volumes"))
	}
	leave(clone.ID, "regular")
	leave(s.ID, readOnly)
	for range 2 {
		_, err := d.CloneVolume(t.Context(), clone, src)
		require.NoError(t, err)
		_, err = d.CreateSnapshot(t.Context(), s, src)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{src.ID, clone.ID, s.ID}, l.names(t, "volumes"))
	}
}

// TestNames: what has the name and is something else is left alone.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.0.3", "4.0.10"} {
		l := newLab(t, iscsi, xtremio.Options{Version: version}, nil)
		d := l.opened(t)
		src, there := l.created(t, d), l.created(t, d)
		_, err := d.CloneVolume(t.Context(), there, src)
		require.ErrorIs(t, err, drivers.ErrExists, version)
		_, err = d.CreateSnapshot(t.Context(), &drivers.Snapshot{ID: there.ID, VolumeID: src.ID, VolumeSize: 1}, src)
		require.ErrorIs(t, err, drivers.ErrExists, version)
		clone := aVolume()
		_, err = d.CloneVolume(t.Context(), clone, src)
		require.NoError(t, err)
		_, err = d.CreateVolume(t.Context(), clone)
		require.ErrorIs(t, err, drivers.ErrExists, version)
		require.ErrorContains(t, err, src.ID)
		assert.ElementsMatch(t, []string{src.ID, there.ID, clone.ID}, l.names(t, "volumes"), version)
	}
}

// TestConsistencyGroup: a volume whose record has a group is made in it, or not at all.
func TestConsistencyGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{}, nil)
	d := l.opened(t)
	l.ask(t, http.MethodPost, "consistency-groups", map[string]any{"consistency-group-name": "g"}, nil)
	v, src := aVolume(), l.created(t, d)
	v.GroupID = "g"
	for range 2 {
		_, err := d.CreateVolume(t.Context(), v)
		require.NoError(t, err)
	}
	clone := aVolume()
	clone.ConsistencyGroupID = "g"
	_, err := d.CloneVolume(t.Context(), clone, src)
	require.NoError(t, err)
	var found struct {
		Content struct {
			Volumes []reference `json:"vol-list"`
		}
	}
	l.ask(t, http.MethodGet, "consistency-groups?name=g", nil, &found)
	assert.Len(t, found.Content.Volumes, 2)
	other := aVolume()
	other.GroupID = "none"
	_, err = d.CreateVolume(t.Context(), other)
	require.ErrorIs(t, err, drivers.ErrNotFound)
	assert.ElementsMatch(t, []string{v.ID, src.ID, clone.ID}, l.names(t, "volumes"))
}

// TestBusy: a busy array is asked as often as the options say, and then it is told.
func TestBusy(t *testing.T) {
	t.Parallel()
	l := newLab(t, iscsi, xtremio.Options{}, nil)
	d := l.opened(t)
	require.NoError(t, l.AddFault(arraysim.Fault{Operation: "POST volumes", Kind: arraysim.Refuse, Name: "system_is_busy", Times: 4}))
	v := l.created(t, d)
	require.NoError(t, l.AddFault(arraysim.Fault{Operation: "PUT volumes", Kind: arraysim.Refuse, Name: "system_is_busy"}))
	l.Reset()
	err := d.ExtendVolume(t.Context(), v, 2)
	require.ErrorIs(t, err, drivers.ErrUnavailable)
	require.ErrorContains(t, err, "tried 5 times: system_is_busy")
	assert.Equal(t, 5, l.Count("PUT volumes"))
}

func TestNewer(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"4.2.0-30": true, "4.2": true, "4.10.0": true, "6.2.1-61_X2": true, "5": true, "4.0.10-34.hotfix1": false, "4": false, "3.9.9": false, "": false, "x.y": false,
	} {
		assert.Equal(t, want, newer(version, 4, 2), version)
	}
}
