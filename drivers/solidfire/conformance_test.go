// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/driverstest"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/optdecode"
	"github.com/gocinder/cinderlib/internal/rest"
)

const password = "canary-Password-7"

// quick has a simulated cluster asked again at once.
var quick = rest.Retry{Tries: 5, First: time.Millisecond, Longest: 4 * time.Millisecond}

// lab is a simulated cluster with its data.
type lab struct {
	*arraysim.Running

	data    *arraysim.Memory
	options map[string]any
	client  *http.Client
}

func newLab(t testing.TB, cluster solidfire.Options, options map[string]any) *lab {
	t.Helper()
	l := &lab{data: arraysim.NewMemory()}
	cluster.Data = l.data
	array, err := solidfire.New(cluster)
	require.NoError(t, err)
	l.Running = arraysim.Start(t, array, arraysim.Options{User: "admin", Password: password})
	l.client = l.Client()
	t.Cleanup(l.client.CloseIdleConnections)
	l.options = map[string]any{
		"volume_backend_name": "solidfire", "volume_driver": "solidfire", "san_ip": l.Host, "sf_api_port": l.Port,
		"san_password": password, "driver_ssl_cert_path": l.CAFile,
	}
	maps.Copy(l.options, options)
	return l
}

func (l *lab) open(t testing.TB) *Driver {
	t.Helper()
	o, _, err := optdecode.Decode[Options](l.options, false)
	require.NoError(t, err)
	d, err := openWith(t.Context(), driverstest.Env(t, "solidfire"), o, quick)
	require.NoError(t, err)
	d.patience = 200 * time.Millisecond
	return d
}

// opened is closed when the test ends.
func (l *lab) opened(t *testing.T) *Driver {
	t.Helper()
	d := l.open(t)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

// ask is another client of the cluster.
func (l *lab) ask(t testing.TB, method string, p map[string]any, into any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"method": method, "params": p, "id": 1})
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL+"/json-rpc/8.0", bytes.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth("admin", password)
	resp, err := l.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var answer struct {
		Result json.RawMessage
		Error  any
	}
	require.NoError(t, json.Unmarshal(text, &answer), string(text))
	require.Nil(t, answer.Error, "%s: %s", method, text)
	require.NoError(t, json.Unmarshal(answer.Result, into))
}

// login is what a host does with the answer of Connect.
func (l *lab) login(t testing.TB, info *connector.ConnInfo, initiator string) *arraysim.Disk {
	t.Helper()
	d, ok := info.Data.(*connector.ISCSIData)
	require.True(t, ok)
	require.Equal(t, "CHAP", d.AuthMethod)
	disk, err := l.data.Login(d.TargetIQN, initiator, d.AuthUsername, d.AuthPassword.Reveal(), d.TargetLUN)
	require.NoError(t, err)
	require.Equal(t, []string{"naa." + disk.NAA}, d.Shared.DeviceWWIDs)
	return disk
}

func (l *lab) array(groups bool) *driverstest.Array {
	a := &driverstest.Array{
		Open: func(t *testing.T) drivers.Driver { return l.open(t) },
		Data: func(t *testing.T, info *connector.ConnInfo) driverstest.Data {
			return l.login(t, info, "iqn.1994-05.com.example:somebody")
		},
		Foreign: func(t *testing.T, size int64) string {
			var account struct{ AccountID int64 }
			l.ask(t, "AddAccount", map[string]any{"username": "foreign-" + strconv.FormatInt(time.Now().UnixNano(), 36)}, &account)
			var made struct{ VolumeID int64 }
			l.ask(t, "CreateVolume", map[string]any{"name": "foreign", "accountID": account.AccountID, "totalSize": size, "enable512e": true}, &made)
			return strconv.FormatInt(made.VolumeID, 10)
		},
	}
	if groups {
		a.Access = func(t *testing.T, v *drivers.Volume, h *connector.Properties) bool {
			var found struct{ Volumes []volume }
			l.ask(t, "ListVolumes", map[string]any{"volumeName": "UUID-" + v.ID}, &found)
			if len(found.Volumes) == 0 {
				return false
			}
			_, err := l.data.Login(found.Volumes[0].IQN, h.Initiator, "", "", 0)
			return err == nil
		}
	}
	return a
}

// setUps are ways to use the driver, and kinds of clusters.
var setUps = map[string]struct {
	cluster solidfire.Options
	options map[string]any
}{
	"as it is":      {},
	"access groups": {options: map[string]any{"sf_enable_vag": true}},
	"an old cluster": {cluster: solidfire.Options{
		APIVersion: "8.0", ErrorStatus: 500, KeepCase: true, SizeUnit: 4096, BareAnswers: true, RollbackKeepsSize: true,
	}},
	"a slow cluster": {cluster: solidfire.Options{
		CloneTime: 20 * time.Millisecond, CloneHidden: 2, CreatingReads: 2, FirstCloneError: "xSliceNotRegistered",
	}},
	"its own names": {options: map[string]any{
		"sf_account_prefix": "lab", "sf_volume_prefix": "v-", "sf_emulate_512": false, "sf_provisioning_calc": "usedSpace", "sf_svip": "10.1.0.1",
	}},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, s := range setUps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driverstest.Run(t, driverstest.Harness{New: func(t *testing.T) *driverstest.Array {
				return newLab(t, s.cluster, s.options).array(strings.HasPrefix(name, "access"))
			}})
		})
	}
}
