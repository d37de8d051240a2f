// SPDX-License-Identifier: Apache-2.0

package connector_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
)

const canary = "s3cret"

// shown is everything that formatting and logging make of values.
func shown(values ...any) string {
	var b strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&b, verb+"\n", v)
			fmt.Fprintf(&b, verb+"\n", []any{v, &v})
			fmt.Fprintf(&b, verb+"\n", struct{ V any }{v})
		}
		for _, h := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
			slog.New(h).Info("m", slog.Any("v", v), slog.Group("g", slog.Any("v", v)))
		}
	}
	return b.String()
}

func TestNothingShowsSecrets(t *testing.T) {
	t.Parallel()
	var info connector.ConnInfo
	require.NoError(t, json.Unmarshal([]byte(`{"driver_volume_type":"iscsi","vendor":"s3cret","data":{"auth_password":"s3cret",`+
		`"auth_username":"somebody","discovery_auth_password":"s3cret","target_lun":3,"target_portal":"192.0.2.1:3260","token":"s3cret"}}`), &info))
	extra := map[string]any{"token": canary, "deep": map[string]any{"x": []any{canary}}}
	common := connector.Common{VolumeID: "v", Extra: extra}
	rbd := connector.RBDData{Name: "pool/image", Keyring: canary, Shared: common}
	raw := connector.RawData{Values: extra, Shared: common}
	fc := connector.FCData{TargetWWNs: []string{"5000"}, Shared: common}
	local := connector.LocalData{DevicePath: "/dev/x", Shared: common}
	properties := connector.Properties{Host: "h", Extra: extra}
	device := connector.Device{Path: "/dev/sdb", Extra: extra}
	request := connector.Request{Info: &info, Device: &device}

	text := shown(info, &info, info.Data, *info.Data.(*connector.ISCSIData), common, &common, rbd, &rbd, raw, &raw, fc, &fc, local, &local,
		properties, &properties, device, &device, request, &request, connector.ConnInfo{Protocol: "x", Data: &raw})
	assert.NotContains(t, text, canary)
	assert.NotContains(t, text, fmt.Sprintf("%x", canary))
	for _, visible := range []string{"192.0.2.1:3260", "target_lun=3", "somebody", "auth_password=***", "token", "vendor", "pool/image", "5000", "/dev/sdb", "host="} {
		assert.Contains(t, text, visible)
	}
	assert.Equal(t, `ConnInfo{iscsi ISCSIData{target_discovered=false target_portal="192.0.2.1:3260" target_lun=3 auth_username="somebody" `+
		`auth_password=*** discovery_auth_password=*** and ["token"]} and ["vendor"]}`, info.String())

	// The JSON is the one form that has them.
	out, err := json.Marshal(info)
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(string(out), canary))
}

func TestShowingNil(t *testing.T) {
	t.Parallel()
	assert.NotPanics(t, func() {
		_ = shown((*connector.ConnInfo)(nil), (*connector.Device)(nil), connector.ConnInfo{}, connector.ConnInfo{Data: (*connector.FCData)(nil)})
	})
}
