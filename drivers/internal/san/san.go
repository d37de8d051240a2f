// SPDX-License-Identifier: Apache-2.0

// Package san is what the drivers of arrays with a management address share.
package san

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/rest"
)

// Options say where the management of the array is, and who may use it.
type Options struct {
	Address     string         `option:"san_ip" required:"true" help:"address of the array's management"`
	Login       string         `option:"san_login" default:"admin" help:"user of the management"`
	Password    drivers.Secret `option:"san_password" required:"true" help:"password of san_login"`
	Verify      bool           `option:"driver_ssl_cert_verify" default:"true" help:"refuse an array whose certificate is not trusted; false trusts anybody who answers"`
	Authorities string         `option:"driver_ssl_cert_path" help:"PEM file, or folder of them, with those who sign the array's certificate; the host's own without it"`
}

// TLS is whom the driver trusts. It warns where that is anybody.
func (o *Options) TLS(ctx context.Context, env *drivers.Env) rest.TLS {
	if !o.Verify && !env.QuietTLS {
		env.Log.LogAttrs(ctx, slog.LevelWarn, "the certificate of the array is not verified (driver_ssl_cert_verify)", slog.String("san_ip", o.Address))
	}
	t := rest.TLS{SkipVerify: !o.Verify}
	if o.Authorities != "" {
		t.Authorities = env.Host.Path(o.Authorities)
	}
	return t
}

// URL is that of the management at a port.
func (o *Options) URL(port int) string { return "https://" + HostPort(o.Address, port) }

// HostPort joins an address, which may be an IPv6 one with or without brackets, and
// a port, unless it has one.
func HostPort(address string, port int) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(port))
}

// CHAPSecret is a new one as Cinder makes them: twelve letters and digits.
func CHAPSecret() drivers.Secret {
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // 32: no remainder prefers any
	text := make([]byte, 12)
	_, _ = rand.Read(text) // it never fails
	for i, b := range text {
		text[i] = signs[b%byte(len(signs))]
	}
	return drivers.Secret(text)
}
