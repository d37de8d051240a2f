// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"github.com/gocinder/cinderlib/internal/fault"
)

// TLS is whom a client trusts: by default the authorities of the host.
type TLS struct {
	SkipVerify  bool   // trust anybody
	Authorities string // PEM file, or folder of PEM files, of those who sign the array's certificate
}

func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify} //nolint:gosec // an option of Cinder's drivers
	if t.Authorities == "" || t.SkipVerify {
		return config, nil
	}
	files := []string{t.Authorities}
	if info, err := os.Stat(t.Authorities); err == nil && info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(t.Authorities, "*")); err != nil {
			return nil, fault.Errorf(fault.ErrInvalid, "certificates: %w", err)
		}
	}
	config.RootCAs = x509.NewCertPool()
	found := false
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil && f == t.Authorities {
			return nil, fault.Errorf(fault.ErrInvalid, "certificates: %w", err)
		}
		found = config.RootCAs.AppendCertsFromPEM(text) || found
	}
	if !found {
		return nil, fault.Errorf(fault.ErrInvalid, "certificates: there is none in %s", t.Authorities)
	}
	return config, nil
}
