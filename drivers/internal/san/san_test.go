// SPDX-License-Identifier: Apache-2.0

package san_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/internal/san"
	"github.com/gocinder/cinderlib/internal/rest"
)

func TestHostPort(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"10.0.0.1":           "10.0.0.1:443",
		"10.0.0.1:8443":      "10.0.0.1:8443",
		"array.example":      "array.example:443",
		"2001:db8::1":        "[2001:db8::1]:443",
		"[2001:db8::1]":      "[2001:db8::1]:443",
		"[2001:db8::1]:8443": "[2001:db8::1]:8443",
	} {
		assert.Equal(t, want, san.HostPort(address, 443))
	}
	o := san.Options{Address: "2001:db8::1"}
	assert.Equal(t, "https://[2001:db8::1]:442", o.URL(442))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	env := &drivers.Env{Log: slog.New(slog.NewTextHandler(&log, nil)), Host: &connector.Host{Root: "/root"}}
	o := san.Options{Address: "array", Verify: true, Authorities: "/etc/ca.pem"}
	assert.Equal(t, rest.TLS{Authorities: "/root/etc/ca.pem"}, o.TLS(t.Context(), env))
	assert.Empty(t, log.String())
	o.Verify = false
	assert.True(t, o.TLS(t.Context(), env).SkipVerify)
	assert.Contains(t, log.String(), "not verified")
	log.Reset()
	env.QuietTLS = true
	o.TLS(t.Context(), env)
	assert.Empty(t, log.String())
}
