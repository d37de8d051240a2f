// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

// tryOpen opens a driver that logs.
func (l *lab) tryOpen(t *testing.T, log *bytes.Buffer) (*Driver, error) {
	t.Helper()
	o, _, err := optdecode.Decode[Options](l.options, false)
	require.NoError(t, err)
	env := driverstest.Env(t, "solidfire")
	env.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return openWith(t.Context(), env, o, quick)
}

// TestTrouble: what is wrong with the set-up is told when the backend is opened.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cluster solidfire.Options
		options map[string]any
		change  func(*lab)
		is      error
		text    string
	}{
		"password":       {options: map[string]any{"san_password": "another-canary"}, is: drivers.ErrUnauthenticated, text: `refuses the user "admin"`},
		"certificate":    {change: func(l *lab) { delete(l.options, "driver_ssl_cert_path") }, is: drivers.ErrPrecondition, text: "is not trusted"},
		"no certificate": {options: map[string]any{"driver_ssl_cert_path": "/nowhere"}, is: drivers.ErrInvalid, text: "/nowhere"},
		"nobody there":   {options: map[string]any{"sf_api_port": 1}, is: drivers.ErrUnavailable, text: "127.0.0.1:1"},
		"old":            {cluster: solidfire.Options{APIVersion: "7.4"}, is: drivers.ErrPrecondition, text: `"7.4"`},
		"not an array": {
			change: func(l *lab) { _ = l.AddFault(arraysim.Fault{Kind: arraysim.Status, Status: 404, HTML: true}) },
			is:     drivers.ErrNotFound, text: "404",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.cluster, c.options)
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
		l := newLab(t, solidfire.Options{}, map[string]any{"driver_ssl_cert_verify": false})
		delete(l.options, "driver_ssl_cert_path")
		var log bytes.Buffer
		d, err := l.tryOpen(t, &log)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		assert.Contains(t, log.String(), "is not verified")
	})
}

// TestIPv6: management and targets have such addresses, in brackets or without.
func TestIPv6(t *testing.T) {
	t.Parallel()
	array, err := solidfire.New(solidfire.Options{SVIP: "fd00::9"})
	require.NoError(t, err)
	authority, err := arraysim.NewAuthority()
	require.NoError(t, err)
	certificate, err := authority.Issue("::1")
	require.NoError(t, err)
	endpoint, err := arraysim.NewServer(array, arraysim.Options{User: "admin", Password: password}).Listen(t.Context(), "[::1]:0", certificate)
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip("this machine has no IPv6")
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, endpoint.Close(context.WithoutCancel(t.Context()))) })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, authority.PEM(), 0o600))
	for _, address := range []string{"::1", "[::1]"} {
		l := &lab{options: map[string]any{
			"volume_backend_name": "solidfire", "volume_driver": "solidfire",
			"san_ip": address, "sf_api_port": endpoint.Addr.Port, "san_password": password, "driver_ssl_cert_path": ca,
		}}
		d := l.opened(t)
		v := aVolume()
		u, err := d.CreateVolume(t.Context(), v)
		require.NoError(t, err, address)
		u.Apply(v)
		assert.Contains(t, v.ProviderLocation, "[fd00::9]:3260 iqn.")
		info, err := d.Connect(t.Context(), v, &drivers.Attachment{ID: "a", Host: host})
		require.NoError(t, err)
		assert.Equal(t, "[fd00::9]:3260", info.Data.(*connector.ISCSIData).TargetPortal) //nolint:forcetypeassert // a panic says the same
	}
}

// TestSecrets: no log line and no error has the password or a CHAP secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	var log bytes.Buffer
	d, err := l.tryOpen(t, &log)
	require.NoError(t, err)
	v := aVolume()
	u, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	u.Apply(v)
	secret := strings.Fields(v.ProviderAuth.Reveal())[2]
	require.Len(t, secret, 12)
	var told strings.Builder
	for _, name := range []string{"xInternalError", "xInvalidParameter"} {
		require.NoError(t, l.AddFault(arraysim.Fault{Kind: arraysim.Refuse, Name: name, Times: 1}))
		_, err = d.Export(t.Context(), aVolume())
		require.Error(t, err)
		told.WriteString(err.Error())
	}
	require.NoError(t, l.AddFault(arraysim.Fault{Kind: arraysim.Malformed, Operation: "GetAccountByName"}))
	_, err = d.CreateVolume(t.Context(), aVolume())
	require.Error(t, err)
	told.WriteString(err.Error() + fmt.Sprintf("%+v %v", v, u))
	require.NoError(t, d.Close())
	for _, text := range []string{secret, password} {
		assert.NotContains(t, log.String(), text)
		assert.NotContains(t, told.String(), text)
	}
}

func aVolume() *drivers.Volume {
	return &drivers.Volume{ID: uuid.NewString(), Size: 1, ProjectID: "project", CreatedAt: time.Now()}
}

// TestAccounts: whose volumes are whose.
func TestAccounts(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	var other struct{ AccountID int64 }
	l.ask(t, "AddAccount", map[string]any{"username": "a-project-of-others"}, &other)
	d := l.opened(t)
	v := aVolume()
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	made := l.volumes(t)
	require.Len(t, made, 1)
	assert.NotEqual(t, other.AccountID, made[0].AccountID, "its name has the project's in it")

	// Somebody's volume has the name.
	w := aVolume()
	var foreign struct{ VolumeID int64 }
	l.ask(t, "CreateVolume", map[string]any{"name": "UUID-" + w.ID, "accountID": other.AccountID, "totalSize": drivers.GiB, "enable512e": true}, &foreign)
	_, err = d.CreateVolume(t.Context(), w)
	require.NoError(t, err)
	require.NoError(t, d.DeleteVolume(t.Context(), w))
	left := l.volumes(t)
	require.Len(t, left, 2)
	assert.Equal(t, foreign.VolumeID, left[1].ID)

	// The account was removed and made anew by others, with two different secrets.
	var two struct{ AccountID int64 }
	l.ask(t, "AddAccount", map[string]any{"username": "second", "initiatorSecret": "initiator-secr", "targetSecret": "target-secret"}, &two)
	x := aVolume()
	x.ProjectID = "second"
	u, err := d.CreateVolume(t.Context(), x)
	require.NoError(t, err)
	assert.Equal(t, "CHAP second initiator-secr", u.ProviderAuth.Reveal())
}

// TestSecretChanged: the secret of an account is what it is when a host connects.
func TestSecretChanged(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	d := l.opened(t)
	v := aVolume()
	u, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	u.Apply(v)
	id, _ := parseIDs(v.ProviderID, d.cluster.UUID)
	l.ask(t, "ModifyAccount", map[string]any{"accountID": id.second, "initiatorSecret": "another-secret"}, &struct{}{})
	info, err := d.Connect(t.Context(), v, &drivers.Attachment{ID: "a", Host: host})
	require.NoError(t, err)
	l.login(t, info, host.Initiator)

	// Somebody gave the volume to another account.
	var other struct{ AccountID int64 }
	l.ask(t, "AddAccount", map[string]any{"username": "another"}, &other)
	l.ask(t, "ModifyVolume", map[string]any{"volumeID": id.first, "accountID": other.AccountID}, &struct{}{})
	info, err = d.Connect(t.Context(), v, &drivers.Attachment{ID: "a", Host: host})
	require.NoError(t, err)
	l.login(t, info, host.Initiator)
}

// TestManageByID: what is adopted is what has the id, and nothing else.
func TestManageByID(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	d := l.opened(t)
	v := aVolume()
	_, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	_, err = d.ManageVolume(t.Context(), v, "4711")
	require.ErrorIs(t, err, drivers.ErrNotFound)
	_, err = d.ManageVolume(t.Context(), v, "its name")
	require.ErrorIs(t, err, drivers.ErrNotFound)

	// Somebody else's, until Cinder lets it go, which leaves its uuid.
	id := l.volumes(t)[0].ID
	w := aVolume()
	_, err = d.ManageVolume(t.Context(), w, strconv.FormatInt(id, 10))
	require.ErrorIs(t, err, drivers.ErrExists)
	l.ask(t, "ModifyVolume", map[string]any{"volumeID": id, "attributes": map[string]any{
		"uuid": v.ID, "os_imported_at": "2020-01-01T00:00:00+00:00", "os_exported_at": "2020-01-02T00:00:00+00:00",
	}}, &struct{}{})
	_, err = d.ManageVolume(t.Context(), w, strconv.FormatInt(id, 10))
	require.NoError(t, err)
	assert.Equal(t, w.ID, l.volumes(t)[0].attribute(uuidAttribute))
}

// TestFullAccount: a second account takes over.
func TestFullAccount(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes two thousand volumes")
	}
	l := newLab(t, solidfire.Options{}, nil)
	var first struct{ AccountID int64 }
	l.ask(t, "AddAccount", map[string]any{"username": "project"}, &first)
	for n := range fullAccount {
		var made struct{ VolumeID int64 }
		l.ask(t, "CreateVolume", map[string]any{"name": fmt.Sprint("other-", n), "accountID": first.AccountID, "totalSize": drivers.GiB, "enable512e": true}, &made)
	}
	d := l.opened(t)
	v := aVolume()
	u, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	assert.Contains(t, u.ProviderAuth.Reveal(), "CHAP project_ ")
	state, err := d.InspectVolume(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, int64(drivers.GiB), state.SizeBytes)
	require.NoError(t, d.DeleteVolume(t.Context(), v))
}

// TestGroups: groups of others are used, and left; a table that is full makes room.
func TestGroups(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{Limits: solidfire.Limits{VolumeAccessGroups: 3}}, map[string]any{"sf_enable_vag": true})
	d := l.opened(t)
	v := aVolume()
	u, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	u.Apply(v)
	groups := func() []accessGroup {
		var found struct{ VolumeAccessGroups []accessGroup }
		l.ask(t, "ListVolumeAccessGroups", map[string]any{}, &found)
		return found.VolumeAccessGroups
	}
	var made struct{ VolumeAccessGroupID int64 }
	l.ask(t, "CreateVolumeAccessGroup", map[string]any{"name": "admins", "initiators": []string{strings.ToUpper(host.Initiator)}}, &made)
	a := &drivers.Attachment{ID: "a", Host: host}
	_, err = d.Connect(t.Context(), v, a)
	require.NoError(t, err)
	require.Len(t, groups(), 1)
	assert.Len(t, groups()[0].Volumes, 1)
	require.NoError(t, d.Disconnect(t.Context(), v, a))
	require.Len(t, groups(), 1, "it is not ours")
	assert.Empty(t, groups()[0].Volumes)

	for n := range 2 {
		l.ask(t, "CreateVolumeAccessGroup", map[string]any{"name": fmt.Sprint("left-", n), "attributes": map[string]any{"openstack": n == 0}}, &made)
	}
	second := *host
	second.Initiator = "iqn.1994-05.com.example:host-1"
	b := &drivers.Attachment{ID: "b", Host: &second}
	_, err = d.Connect(t.Context(), v, b)
	require.NoError(t, err)
	names := make([]string, 0, 3)
	for _, g := range groups() {
		names = append(names, g.Name)
	}
	assert.ElementsMatch(t, []string{"admins", "left-1", "iqn-1994-05-com-example-host-1"}, names, "an empty one of ours has made room")
	third := *host
	third.Initiator = "iqn.1994-05.com.example:host-2"
	_, err = d.Connect(t.Context(), v, &drivers.Attachment{ID: "c", Host: &third})
	require.ErrorIs(t, err, drivers.ErrExhausted)
}

func TestQoS(t *testing.T) {
	t.Parallel()
	typed := func(specs, extra map[string]string) *drivers.Volume {
		v := aVolume()
		v.VolumeType = &drivers.VolumeType{ID: v.ID, ExtraSpecs: extra}
		if specs != nil {
			v.VolumeType.QoS = &drivers.QoSSpecs{Specs: specs}
		}
		return v
	}
	three := func(low, high, burst string) map[string]string {
		return map[string]string{"minIOPS": low, "maxIOPS": high, "burstIOPS": burst}
	}
	scaled := three("100", "200", "300")
	scaled["scaledIOPS"], scaled["scaleMin"], scaled["scaleMax"], scaled["scaleBurst"] = "True", "10", "20", "30"
	tenant := aVolume()
	tenant.Metadata = map[string]string{"sf-qos": "fast"}
	off := aVolume()
	off.Metadata = map[string]string{"sf-qos": "off"}
	odd := aVolume()
	odd.Metadata = map[string]string{"sf-qos": "warp"}
	for name, c := range map[string]struct {
		v    *drivers.Volume
		want *qos
		bad  bool
	}{
		"none":            {v: aVolume()},
		"of the type":     {v: typed(three("500", "1000", "2000"), three("1", "2", "3")), want: &qos{500, 1000, 2000}},
		"extra specs":     {v: typed(nil, map[string]string{"qos:minIOPS": "200", "qos:maxIOPS": "300", "qos:burstIOPS": "400"}), want: &qos{200, 300, 400}},
		"into its bounds": {v: typed(three("1", "1000000", "1000000"), nil), want: &qos{100, 200000, 200000}},
		"scaled":          {v: typed(scaled, nil), want: &qos{190, 380, 570}},
		"a preset":        {v: tenant, want: &qos{500, 1000, 1000}},
		"off":             {v: off},
		"no preset":       {v: odd, bad: true},
		"out of order":    {v: typed(three("1000", "500", "2000"), nil), bad: true},
		"one is missing":  {v: typed(map[string]string{"minIOPS": "500"}, nil), bad: true},
		"no number":       {v: typed(three("many", "500", "2000"), nil), bad: true},
		"below zero":      {v: typed(three("-1", "500", "2000"), nil), bad: true},
	} {
		d := &Driver{o: Options{TenantQoS: true}}
		got, err := d.qos(c.v, 10)
		if c.bad {
			require.ErrorIs(t, err, drivers.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
	d := &Driver{}
	got, err := d.qos(tenant, 10)
	require.NoError(t, err)
	assert.Nil(t, got, "metadata do not count without sf_allow_tenant_qos")
}

// TestRetype: the quality of service changes, and nothing else may.
func TestRetype(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	d := l.opened(t)
	v := aVolume()
	v.VolumeType = &drivers.VolumeType{ExtraSpecs: map[string]string{"SFAttribute:tier": "gold"}}
	u, err := d.CreateVolume(t.Context(), v)
	require.NoError(t, err)
	u.Apply(v)
	typed := func(specs map[string]string) *drivers.VolumeType {
		specs["SFAttribute:tier"] = "gold"
		return &drivers.VolumeType{ExtraSpecs: specs}
	}
	l.Reset()
	_, err = d.RetypeVolume(t.Context(), v, typed(map[string]string{"minIOPS": "500", "maxIOPS": "600", "burstIOPS": "700"}))
	require.NoError(t, err)
	assert.Equal(t, 2, l.Totals().Requests)
	now := l.volumes(t)[0]
	assert.Equal(t, &qos{500, 600, 700}, now.QoS)
	assert.Equal(t, "gold", now.attribute("tier"))
	assert.Equal(t, v.ID, now.attribute(uuidAttribute))
	assert.NotEmpty(t, now.attribute("retyped_at"))
	_, err = d.RetypeVolume(t.Context(), v, typed(map[string]string{}))
	require.NoError(t, err)
	assert.Equal(t, &usual, l.volumes(t)[0].QoS)

	_, err = d.RetypeVolume(t.Context(), v, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported, "without its attribute")
	_, err = d.RetypeVolume(t.Context(), v, typed(map[string]string{"minIOPS": "500"}))
	require.ErrorIs(t, err, drivers.ErrInvalid)
}

// TestCloneQoS: a clone does not have its source's, and grows with its own.
func TestCloneQoS(t *testing.T) {
	t.Parallel()
	l := newLab(t, solidfire.Options{}, nil)
	d := l.opened(t)
	src := aVolume()
	src.VolumeType = &drivers.VolumeType{ExtraSpecs: map[string]string{
		"minIOPS": "500", "maxIOPS": "600", "burstIOPS": "700", "scaledIOPS": "1", "scaleMin": "1", "SFAttribute:tier": "gold",
	}}
	_, err := d.CreateVolume(t.Context(), src)
	require.NoError(t, err)
	_, err = d.CloneVolume(t.Context(), aVolume(), src)
	require.NoError(t, err)
	require.NoError(t, d.ExtendVolume(t.Context(), src, 3))
	all := l.volumes(t)
	require.Len(t, all, 2)
	assert.Equal(t, &qos{502, 600, 700}, all[0].QoS)
	assert.Equal(t, "gold", all[0].attribute("tier"))
	assert.Equal(t, &usual, all[1].QoS)
}
