// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program tells how to reach it, serves, and has its state again when it is
// started once more.
func TestProgram(t *testing.T) {
	t.Parallel()
	const login = `secret:"x"`
	for _, c := range []struct {
		args       []string
		stanza     string // its beginning
		port       string // where the stanza has it
		path, body string // of a request that makes something; %s is its name
		want       []string
	}{
		{
			[]string{"solidfire", "-api", "12.0"},
			"  - volume_backend_name: solidfire\n    volume_driver: cinder.volume.drivers.solidfire.SolidFireDriver\n    san_ip: \"127.0.0.1\"\n",
			`sf_api_port: (\d+)`, "/json-rpc/12.0/", `{"method": "AddAccount", "params": {"username": "%s"}}`,
			[]string{`"accountID":1`, `"accountID":2`},
		},
		{
			[]string{"xtremio", "-xms", "4.2.0", "-portals", "10.1.0.1/16,10.1.0.2/16"},
			"  - volume_backend_name: xtremio\n    volume_driver: cinder.volume.drivers.dell_emc.xtremio.XtremIOISCSIDriver\n    san_ip: \"127.0.0.1:",
			`san_ip: "127.0.0.1:(\d+)"`, "/api/json/v2/types/volumes", `{"vol-name": "%s", "vol-size": "1g"}`,
			[]string{"/volumes/1", "/volumes/2"},
		},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append(c.args, "-password", login, "-state", filepath.Join(dir, "state.json"), "-cert-dir", filepath.Join(dir, "certs"))
			for n, want := range c.want {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out, in := io.Pipe()
				ended := make(chan error, 1)
				go func() {
					err := run(ctx, args, in, io.Discard)
					in.Close()
					ended <- err
				}()
				text := make([]byte, 4096)
				size, err := out.Read(text)
				require.NoError(t, err)
				stanza := string(text[:size])
				assert.Contains(t, stanza, "backends:\n"+c.stanza)
				assert.Contains(t, stanza, `    san_password: "secret:\"x\""`+"\n")
				assert.Contains(t, stanza, "driver_ssl_cert_path: ")
				port := regexp.MustCompile(c.port).FindStringSubmatch(stanza)
				require.NotNil(t, port)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://127.0.0.1:"+port[1]+c.path,
					strings.NewReader(fmt.Sprintf(c.body, strings.Repeat("a", n+1))))
				require.NoError(t, err)
				req.SetBasicAuth("admin", login)
				assert.Contains(t, answer(t, filepath.Join(dir, "certs", "ca.pem"), req), want)
				cancel()
				require.NoError(t, <-ended)
			}
		})
	}
}

func answer(t *testing.T, ca string, req *http.Request) string {
	t.Helper()
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no array named"},
		{[]string{"-help"}, "flag: help requested"},
		{[]string{"solidfire", "-help"}, "flag: help requested"},
		{[]string{"floppy"}, `unknown array "floppy"`},
		{[]string{"solidfire", "more"}, "too many arguments"},
		{[]string{"solidfire", "-api", "ten"}, "APIVersion"},
		{[]string{"xtremio", "-xms", "ten"}, "Version"},
		{[]string{"solidfire", "-listen", "nowhere"}, "nowhere"},
		{[]string{"solidfire", "-state", "/dev/null/below"}, "/dev/null/below"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), c.args, &out, io.Discard), c.want)
		assert.Empty(t, out.String())
	}
}
