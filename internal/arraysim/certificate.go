// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// valid is how long certificates are good for.
const valid = 365 * 24 * time.Hour

// Authority signs certificates of servers.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a key of its own, which is never written
// anywhere.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := draft("array simulator CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key}, nil
}

// PEM gives the authority's own certificate.
func (a *Authority) PEM() []byte { return block("CERTIFICATE", a.certificate.Raw) }

// Issue makes a certificate for a server that is reached by any of these names
// and IP addresses.
func (a *Authority) Issue(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := draft("array simulator")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(block("CERTIFICATE", der), block("PRIVATE KEY", secret))
}

// draft is what all certificates have. The clocks of client and server may differ
// by an hour.
func draft(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(valid),
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Certificate gives the certificate of a server and the file with that of its
// authority, from a folder: ca.pem, server.pem, server-key.pem. It makes them and
// the folder if they are missing, have expired or are not for all hosts, so that a
// client that trusts ca.pem may do so over many starts.
func Certificate(dir string, hosts ...string) (certificate tls.Certificate, ca string, err error) {
	ca = filepath.Join(dir, "ca.pem")
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")
	certificate, err = tls.LoadX509KeyPair(cert, key)
	if _, missing := os.Stat(ca); err == nil && missing == nil && good(certificate.Leaf, hosts) {
		return certificate, ca, nil
	}
	authority, err := NewAuthority()
	if err != nil {
		return certificate, ca, err
	}
	if certificate, err = authority.Issue(hosts...); err != nil {
		return certificate, ca, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return certificate, ca, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return certificate, ca, err
	}
	for _, f := range []struct {
		path string
		text []byte
		mode os.FileMode
	}{
		{key, block("PRIVATE KEY", secret), 0o600},
		{cert, block("CERTIFICATE", certificate.Certificate[0]), 0o644},
		{ca, authority.PEM(), 0o644},
	} {
		if err := os.WriteFile(f.path, f.text, f.mode); err != nil {
			return certificate, ca, err
		}
	}
	return certificate, ca, nil
}

func good(leaf *x509.Certificate, hosts []string) bool {
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return time.Now().Before(leaf.NotAfter.Add(-24 * time.Hour))
}
