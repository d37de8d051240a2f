// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
	"github.com/gocinder/cinderlib/internal/libtest"
	"github.com/gocinder/cinderlib/internal/optdecode"
	"github.com/gocinder/cinderlib/internal/rest"
)

const password = "canary-Password-7"

// quick has a simulated array asked again at once.
var quick = rest.Retry{Tries: 5, First: time.Millisecond, Longest: time.Millisecond}

// lab is a simulated XMS with the data of its volumes.
type lab struct {
	*arraysim.Running

	xms     *xtremio.XMS
	data    *arraysim.Memory
	options map[string]any
	client  *http.Client
	api     string // base of the newest API that the driver uses
}

func newLab(t testing.TB, protocol string, xms xtremio.Options, options map[string]any) *lab {
	t.Helper()
	l := &lab{data: arraysim.NewMemory(), api: "/api/json/v2/types/"}
	if xms.Version != "" && !newer(xms.Version, 4) {
		l.api = "/api/json/types/"
	}
	xms.Data = l.data
	var err error
	l.xms, err = xtremio.New(xms)
	require.NoError(t, err)
	l.Running = arraysim.Start(t, l.xms, arraysim.Options{User: "admin", Password: password})
	l.client = l.Client()
	t.Cleanup(l.client.CloseIdleConnections)
	l.options = map[string]any{
		"volume_backend_name": "xtremio", "volume_driver": driverName(protocol), "san_ip": fmt.Sprintf("%s:%d", l.Host, l.Port),
		"san_password": password, "driver_ssl_cert_path": l.CAFile,
	}
	maps.Copy(l.options, options)
	return l
}

func driverName(protocol string) string {
	if protocol == connector.ProtocolFC {
		return "xtremio-fc"
	}
	return "xtremio-iscsi"
}

func (l *lab) open(t testing.TB) *Driver {
	t.Helper()
	o, _, err := optdecode.Decode[Options](l.options, false)
	require.NoError(t, err)
	protocol := connector.ProtocolISCSI
	if l.options["volume_driver"] == "xtremio-fc" {
		protocol = connector.ProtocolFC
	}
	d, err := openWith(t.Context(), driverstest.Env(t, "xtremio"), o, protocol, quick)
	require.NoError(t, err)
	return d
}

// opened is closed when the test ends.
func (l *lab) opened(t *testing.T) *Driver {
	t.Helper()
	d := l.open(t)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

// ask is another client of the XMS.
func (l *lab) ask(t testing.TB, verb, path string, body map[string]any, into any) {
	t.Helper()
	if name, ok := l.options["xtremio_cluster_name"]; ok {
		if body == nil {
			body = map[string]any{}
		}
		body["cluster-id"] = name
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), verb, l.URL+l.api+path, bytes.NewReader(text))
	require.NoError(t, err)
	if name, ok := l.options["xtremio_cluster_name"]; ok && verb == http.MethodGet {
		q := r.URL.Query()
		q.Set("cluster-name", fmt.Sprint(name))
		r.URL.RawQuery = q.Encode()
	}
	r.SetBasicAuth("admin", password)
	resp, err := l.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, "%s %s: %s", verb, path, answer)
	if into != nil {
		require.NoError(t, json.Unmarshal(answer, into), string(answer))
	}
}

// login is what one of the hosts does with the answer of Connect, at each portal.
func (l *lab) login(t testing.TB, info *connector.ConnInfo) *arraysim.Disk {
	t.Helper()
	d, ok := info.Data.(*connector.ISCSIData)
	require.True(t, ok)
	var disk *arraysim.Disk
	for i, iqn := range d.TargetIQNs {
		var err error
		for n := range 10 {
			disk, err = l.data.Login(iqn, libtest.Host(n).Initiator, d.AuthUsername, d.AuthPassword.Reveal(), d.TargetLUNs[i])
			if err == nil {
				break
			}
		}
		require.NoError(t, err)
		require.Equal(t, []string{"naa." + disk.NAA}, d.Shared.DeviceWWIDs)
	}
	return disk
}

func (l *lab) array(protocol string) *driverstest.Array {
	a := &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver { return l.open(t).offered() },
		Access: func(t *testing.T, v *drivers.Volume, h *connector.Properties) bool {
			address := h.Initiator
			if protocol == connector.ProtocolFC {
				address = colons(h.WWPNs[0])
			}
			return l.mapped(t, v.NameID(), address)
		},
		Foreign: func(t *testing.T, size int64) string {
			name := "foreign-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			l.ask(t, http.MethodPost, "volumes", map[string]any{"vol-name": name, "vol-size": fmt.Sprintf("%dk", size/kib)}, nil)
			return name
		},
	}
	if protocol == connector.ProtocolISCSI {
		a.Data = func(t *testing.T, info *connector.ConnInfo) driverstest.Data { return l.login(t, info) }
	}
	return a
}

// mapped tells whether an initiator's group sees a volume.
func (l *lab) mapped(t testing.TB, volume, address string) bool {
	t.Helper()
	var found struct {
		Content struct {
			Group reference `json:"ig-id"`
		}
	}
	for _, i := range l.names(t, "initiators") {
		if i != address {
			continue
		}
		l.ask(t, http.MethodGet, "initiators?name="+url.QueryEscape(i), nil, &found)
		var o struct {
			Content struct {
				Mappings []mapping `json:"lun-mapping-list"`
			}
		}
		l.ask(t, http.MethodGet, "volumes?name="+url.QueryEscape(volume), nil, &o)
		for _, m := range o.Content.Mappings {
			if m.Group.Name == found.Content.Group.Name {
				return true
			}
		}
	}
	return false
}

// names are those of all objects of a kind.
func (l *lab) names(t testing.TB, kind string) []string {
	t.Helper()
	var found map[string]json.RawMessage
	l.ask(t, http.MethodGet, kind, nil, &found)
	var rows []struct{ Name string }
	require.NoError(t, json.Unmarshal(found[kind], &rows))
	var all []string
	for _, r := range rows {
		all = append(all, r.Name)
	}
	return all
}

// setUps are ways to use the drivers, and kinds of arrays.
var setUps = map[string]struct {
	protocol string
	xms      xtremio.Options
	options  map[string]any
}{
	"iscsi":            {protocol: connector.ProtocolISCSI, xms: xtremio.Options{Version: "6.2.1", GUIDLinks: xtremio.On}},
	"fibre channel":    {protocol: connector.ProtocolFC, xms: xtremio.Options{Version: "6.2.1"}},
	"iscsi, 4.2":       {protocol: connector.ProtocolISCSI, xms: xtremio.Options{Version: "4.2.0", EmptyAnswers: true, VolumeLinks: true, EarlyNAA: true, RestoreKeepsSize: true}},
	"iscsi, 4.0":       {protocol: connector.ProtocolISCSI},
	"fc, 4.0":          {protocol: connector.ProtocolFC, xms: xtremio.Options{DeleteMapped: true}},
	"iscsi, 3":         {protocol: connector.ProtocolISCSI, xms: xtremio.Options{Version: "3.0.3"}},
	"fibre channel, 3": {protocol: connector.ProtocolFC, xms: xtremio.Options{Version: "3.0.3"}},
	"CHAP":             {protocol: connector.ProtocolISCSI, xms: xtremio.Options{Version: "4.2.0", Clusters: []xtremio.ClusterOptions{{CHAP: "initiator", DiscoveryCHAP: "initiator"}}}},
	"two clusters, groups are cleaned": {
		protocol: connector.ProtocolISCSI, xms: xtremio.Options{Clusters: []xtremio.ClusterOptions{{Name: "a"}, {Name: "b"}}},
		options: map[string]any{"xtremio_cluster_name": "b", "xtremio_clean_unused_ig": true},
	},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, s := range setUps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driverstest.Run(t, driverstest.Harness{
				New: func(t *testing.T) *driverstest.Array {
					return newLab(t, s.protocol, s.xms, s.options).array(s.protocol)
				},
				Host: libtest.Host, OneNamespace: true,
			})
		})
	}
}
