// SPDX-License-Identifier: Apache-2.0

package arraysim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// A client that verifies speaks to a server that CA signed, and to no other.
func TestTrust(t *testing.T) {
	t.Parallel()
	a, good := start(t, arraysim.Options{})
	file, err := os.ReadFile(good.CAFile)
	require.NoError(t, err)
	assert.Equal(t, good.CA, file)
	assert.Equal(t, 201, send(t.Context(), t, good, http.MethodPost, "/things", "").status)
	assert.Same(t, a, good.Array())

	bad := arraysim.StartUntrusted(t, &toy{}, arraysim.Options{User: user, Password: password})
	got := send(t.Context(), t, bad, http.MethodPost, "/things", "")
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, got.err, &unknown)
	assert.Zero(t, bad.Count(""))

	blind := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, bad.URL+"/things", nil)
	require.NoError(t, err)
	req.SetBasicAuth(user, password)
	assert.Equal(t, 201, do(blind, req).status, "one that does not verify does not care")
}

// Certificates in a folder are used again as long as they are good.
func TestCertificate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "certs")
	first, ca, err := arraysim.Certificate(dir, "127.0.0.1")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "ca.pem"), ca)
	info, err := os.Stat(filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, _, err := arraysim.Certificate(dir, "127.0.0.1")
	require.NoError(t, err)
	assert.Equal(t, first.Certificate, again.Certificate)

	other, _, err := arraysim.Certificate(dir, "127.0.0.1", "array.example")
	require.NoError(t, err)
	assert.NotEqual(t, first.Certificate, other.Certificate)

	require.NoError(t, os.Remove(ca))
	_, _, err = arraysim.Certificate(dir, "127.0.0.1")
	require.NoError(t, err)
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	now, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	_, err = now.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"})
	require.NoError(t, err)
}

func TestListenFails(t *testing.T) {
	t.Parallel()
	_, err := arraysim.NewServer(&toy{}, arraysim.Options{}).Listen(t.Context(), "127.0.0.1:no-port", tls.Certificate{})
	require.Error(t, err)
}

// The end does not wait for connections that brought no request.
func TestCloseWithUnusedConnection(t *testing.T) {
	t.Parallel()
	authority, err := arraysim.NewAuthority()
	require.NoError(t, err)
	certificate, err := authority.Issue("127.0.0.1")
	require.NoError(t, err)
	endpoint, err := arraysim.NewServer(&toy{}, arraysim.Options{}).Listen(t.Context(), "127.0.0.1:0", certificate)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.PEM())
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", endpoint.Addr.String())
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	require.NoError(t, endpoint.Close(ctx))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	there, err := arraysim.Load(path, &toy{})
	require.NoError(t, err)
	assert.False(t, there)

	require.NoError(t, arraysim.Save(path, &toy{Things: []int{1}, Last: 1}))
	require.NoError(t, arraysim.Save(path, &toy{Things: []int{1, 3}, Last: 3}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, files, 1, "nothing is left over")

	loaded := &toy{}
	there, err = arraysim.Load(path, loaded)
	require.NoError(t, err)
	assert.True(t, there)
	assert.Equal(t, []int{1, 3}, loaded.Things)

	require.NoError(t, os.WriteFile(path, []byte(`{"things": "none"`), 0o600))
	_, err = arraysim.Load(path, loaded)
	require.ErrorIs(t, err, fault.ErrDataLoss)
	assert.Equal(t, []int{1, 3}, loaded.Things)
	require.Error(t, arraysim.Save(filepath.Join(path, "below-a-file"), loaded))
}
