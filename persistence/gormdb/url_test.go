// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/persistence"
)

func TestParseURLSQLite(t *testing.T) {
	t.Parallel()
	for text, path := range map[string]string{
		"sqlite://":           "",
		"sqlite:///":          "",
		"sqlite:///:memory:":  "",
		"sqlite://?timeout=5": "",
		"sqlite+pysqlite://":  "",
		"sqlite+pysqlite:////var/lib/x/cl.sqlite":  "/var/lib/x/cl.sqlite",
		"sqlite:///cl.sqlite":                      "cl.sqlite",
		"sqlite:///rel/path/cl.sqlite":             "rel/path/cl.sqlite",
		"sqlite:////var/lib/x/cl.sqlite":           "/var/lib/x/cl.sqlite",
		"sqlite:////a%20b/c+d.sqlite":              "/a%20b/c+d.sqlite",
		"sqlite:////a b/é@host:1.sqlite":           "/a b/é@host:1.sqlite",
		"sqlite:///file:x":                         "file:x",
		"sqlite:///x?timeout=5&check_same_thread=": "x",
		"sqlite:///x?":                             "x",
		"sqlite://@/x":                             "x",
	} {
		got, err := parseURL(text)
		require.NoError(t, err, text)
		assert.Equal(t, target{dialect: "sqlite", path: path}, got, text)
	}
}

func TestParseURLMySQL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, user, password, network, address, database string }{
		{"mysql+pymysql://user:password@192.168.0.3/cinder?charset=utf8", "user", "password", "tcp", "192.168.0.3:3306", "cinder"},
		{"mysql+pymysql://user:pw@host:3307/db?charset=utf8mb3", "user", "pw", "tcp", "host:3307", "db"},
		{"mysql://user:pw@host/db?charset=UTF8MB4", "user", "pw", "tcp", "host:3306", "db"},
		{"mysql+mysqldb://user@host/db", "user", "", "tcp", "host:3306", "db"},
		{"mysql+mysqlconnector://user:@host/db", "user", "", "tcp", "host:3306", "db"},
		{"mariadb://host/db", "", "", "tcp", "host:3306", "db"},
		{"mariadb+mariadbconnector:///db", "", "", "tcp", "localhost:3306", "db"},
		{"mysql+asyncmy://@:33/db", "", "", "tcp", "localhost:33", "db"},
		{"mysql+aiomysql://u:p@/db", "u", "p", "tcp", "localhost:3306", "db"},
		{"mysql://u:p@[::1]/db", "u", "p", "tcp", "[::1]:3306", "db"},
		{"mysql://[fe80::1%eth0]:33/db", "", "", "tcp", "[fe80::1%eth0]:33", "db"},

		{"mysql://us%40er:p%40ss%2Fword%3A@h/db", "us@er", "p@ss/word:", "tcp", "h:3306", "db"},
		{"mysql://us%3Aer:p%C3%A9%FC@h/db", "us:er", "pé\xfc", "tcp", "h:3306", "db"},
		{"mysql://u+v:p+w%2B%zz%4@h/db", "u+v", "p+w+%zz%4", "tcp", "h:3306", "db"},
		{"mysql://u:p%2540@h/db", "u", "p%40", "tcp", "h:3306", "db"},
		{"mysql://u:p:q/r?s#t@h/db", "u", "p:q/r?s#t", "tcp", "h:3306", "db"},
		{"mysql://us@er:p@h/db", "us@er", "p", "tcp", "h:3306", "db"},
		{"mysql://us@er@h/db", "us@er", "", "tcp", "h:3306", "db"},
		{"mysql://h/d%20b/c#d", "", "", "tcp", "h:3306", "d%20b/c#d"},

		{"mysql://u:p@/db?unix_socket=/run/my+sql%26.sock", "u", "p", "unix", "/run/my sql&.sock", "db"},
		{"mysql://u:p@h:33/db?unix_socket=%40abstract", "u", "p", "unix", "@abstract", "db"},
	} {
		got, err := parseURL(c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, "mysql", got.dialect)
		assert.Empty(t, got.path)
		cfg := got.mysql
		assert.Equal(t, c.user, cfg.User, c.text)
		assert.Equal(t, c.password, cfg.Passwd, c.text)
		assert.Equal(t, c.network, cfg.Net, c.text)
		assert.Equal(t, c.address, cfg.Addr, c.text)
		assert.Equal(t, c.database, cfg.DBName, c.text)
		assert.Nil(t, cfg.TLS, c.text)
	}
}

func TestParseURLMySQLSettings(t *testing.T) {
	t.Parallel()
	got, err := parseURL("mysql://u:p@h/db")
	require.NoError(t, err)
	cfg := got.mysql
	assert.True(t, cfg.ParseTime)
	assert.Equal(t, time.UTC, cfg.Loc)
	assert.True(t, cfg.ClientFoundRows)
	assert.True(t, cfg.InterpolateParams)
	assert.False(t, cfg.MultiStatements)
	assert.True(t, cfg.CheckConnLiveness)
	assert.True(t, cfg.AllowNativePasswords)
	assert.False(t, cfg.AllowCleartextPasswords)
	assert.Equal(t, map[string]string{"sql_mode": "'TRADITIONAL'"}, cfg.Params)
	assert.Equal(t, "utf8mb4_general_ci", cfg.Collation)
	assert.Contains(t, cfg.FormatDSN(), "charset=utf8mb4&")
	assert.Equal(t, 10*time.Second, cfg.Timeout)
	assert.Zero(t, cfg.ReadTimeout)
	assert.Zero(t, cfg.WriteTimeout)

	got, err = parseURL("mysql://u:p@h/db?connect_timeout=1&read_timeout=2&write_timeout=03&&charset=&ssl_ca=" +
		"&use_unicode=1&binary_prefix=true&local_infile=1&autocommit=true&plugin=x&sql_mode=ANSI&mysql_sql_mode=ANSI")
	require.NoError(t, err)
	assert.Equal(t, time.Second, got.mysql.Timeout)
	assert.Equal(t, 2*time.Second, got.mysql.ReadTimeout)
	assert.Equal(t, 3*time.Second, got.mysql.WriteTimeout)
	assert.Equal(t, cfg.Params, got.mysql.Params)
	assert.Equal(t, cfg.AllowAllFiles, got.mysql.AllowAllFiles)
	assert.Nil(t, got.mysql.TLS)
}

// canary stands for a password, which no error may hold.
const canary = "canary"

func refuse(t *testing.T, text string) string {
	t.Helper()
	got, err := parseURL(text)
	require.ErrorIs(t, err, persistence.ErrInvalid, text)
	assert.Empty(t, got)
	for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		assert.NotContains(t, shown, canary)
	}
	assert.True(t, strings.HasPrefix(err.Error(), "connection: "), err.Error())
	return err.Error()
}

func TestParseURLErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "required, such as sqlite:////"},
		{canary, "starts with a dialect"},
		{" mysql://u:canary@h/db", "starts with a dialect"},
		{"u:canary@h/db", "starts with a dialect"},
		{"u:canary://h/db", "starts with a dialect"},
		{"://u:canary@h/db", "starts with a dialect"},
		{"sqlite:/x", "starts with a dialect"},
		{"mysql://u:canary@h/db\n", "control character"},
		{"sqlite:///a\x00b", "control character"},

		{"MySQL://u:canary@h/db", `dialect "MySQL" is not known (known: mariadb, mysql, sqlite)`},
		{"mssql+pyodbc://u:canary@h/db", `dialect "mssql" is not known`},
		{"oracle://u:canary@h/db", `dialect "oracle" is not known`},
		{"postgresql://u:canary@h:5432/db", `dialect "postgresql" is not known`},
		{"postgresql+psycopg2://u:canary@h/db", `dialect "postgresql" is not known (known: mariadb, mysql, sqlite)`},
		{"postgres://u:canary@h/db", `dialect "postgres" is not known`},
		{"mysql+oursql://u:canary@h/db", `driver "oursql" of mysql is not known (known: aiomysql, `},
		{"mysql+://u:canary@h/db", `driver "" of mysql`},
		{"mysql+pymysql+x://u:canary@h/db", `driver "pymysql+x" of mysql`},
		{"sqlite+pysqlcipher://:canary@/x", `driver "pysqlcipher" of sqlite is not known (known: pysqlite)`},

		{"sqlite://foo/bar", "three slashes"},
		{"sqlite://cl.sqlite", "three slashes"},
		{"sqlite://:1/bar", "three slashes"},
		{"sqlite://u@/bar", "three slashes"},
		{"sqlite://:canary@/bar", "three slashes"},
		{"sqlite:///x?mode=memory", `query key "mode" is not known (known: check_same_thread, timeout)`},

		{"mysql://u:canary", "the address is not host:port"},
		{"mysql://u:canary/db", "the address is not host:port"},
		{"mysql://u:1canary/db?canary=1", "the address is not host:port"},
		{"mysql://u:canary@h:/db", "the address is not host:port"},
		{"mysql://u:canary@h:x/db", "the address is not host:port"},
		{"mysql://u:canary@h:+1/db", "the address is not host:port"},
		{"mysql://u:canary@::1/db", "the address is not host:port"},
		{"mysql://u:canary@[::1/db", "the address is not host:port"},
		{"mysql://u:canary@[::1]x/db", "the address is not host:port"},
		{"mysql://u:canary@[]/db", "the address is not host:port"},
		{"mysql://u:canary@h:0/db", "the port is not between 1 and 65535"},
		{"mysql://u:canary@h:65536/db", "the port is not between 1 and 65535"},
		{"mysql://u:canary@h:99999999999999999999/db", "the port is not between 1 and 65535"},
		{"mysql://u:canary@h", "the name of the database is required"},
		{"mysql://u:canary@h/", "the name of the database is required"},
		{"mysql://u:canary@h?charset=utf8", "the name of the database is required"},
		{"mysql://", "the name of the database is required"},

		{"mysql://u:p@canary@h/db", "must be written as %40"},
		{"mysql://u:p@a:canary@h/db", "must be written as %40"},
		{"mysql://u:p@a/canary@h/db", "must be written as %40"},
		{"mysql://u:p@a/b?canary=1&charset=canary@h/db", "must be written as %40"},
		{"mysql://us/er:p?canary@h/db", "must be written as %40"},

		{"mysql://u:canary@h/db?chraset=utf8", `query key "chraset" is not known (known: autocommit, binary_prefix, charset, `},
		{"mysql://h/db?user=u&password=canary", `query key "user" is not known`},
		{"mysql://h/db?password=canary", `query key "password" is not known`},
		{"mysql://h/db?a%3Db", `query key "a=b" is not known`},
		{"mysql://h/db?charset=utf8&charset=utf8", "query key charset is given twice"},
		{"mysql://h/db?charset=latin1", `charset "latin1" would lose text`},
		{"mysql://h/db?connect_timeout=0", "connect_timeout is not a number of seconds above 0"},
		{"mysql://h/db?read_timeout=1.5", "read_timeout is not a number of seconds above 0"},
		{"mysql://h/db?write_timeout=-1", "write_timeout is not a number of seconds above 0"},
		{"mysql://h/db?write_timeout=99999999999", "write_timeout is not a number of seconds above 0"},
		{"mysql://h/db?ssl_verify_cert=maybe", "ssl_verify_cert is neither true nor false"},
		{"mysql://h/db?ssl_verify_identity=required", "ssl_verify_identity is neither true nor false"},
		{"mysql://h/db?ssl_check_hostname=2&charset=latin1", `charset "latin1"`},
	} {
		assert.Contains(t, refuse(t, c.text), c.want, c.text)
	}
}

// certificate makes a self-signed one, and the PEM files of it and of its key.
func certificate(t *testing.T, host string) (cert tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	return cert, certFile, keyFile
}

// handshake lets a client of that configuration meet a server, and returns what
// the server saw.
func handshake(t *testing.T, client *tls.Config, server tls.Certificate) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert,
	})
	require.NoError(t, err)
	defer listener.Close()
	seen := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(seen)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		s := conn.(*tls.Conn)
		_ = s.HandshakeContext(t.Context()) // the client has the error that counts
		seen <- s.ConnectionState()
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	err = tls.Client(conn, client).HandshakeContext(t.Context())
	return <-seen, err
}

func TestParseURLTLSChecks(t *testing.T) {
	t.Parallel()
	server, ca, _ := certificate(t, "db.example")
	_, otherCA, _ := certificate(t, "db.example")
	for _, c := range []struct {
		query                            string // of ssl_ keys, CA standing for the file
		own, otherHost, otherCertificate bool   // whether the server is accepted
	}{
		{"ssl_ca=CA", true, false, false},
		{"ssl_ca=CA&ssl_verify_cert=True", true, false, false},
		{"ssl_ca=CA&ssl_verify_identity=1", true, false, false},
		{"ssl_ca=CA&ssl_check_hostname=false", true, true, false},
		{"ssl_ca=CA&ssl_verify_identity=no", true, true, false},
		{"ssl_ca=CA&ssl_verify_cert=false", true, true, true},
		{"ssl_ca=CA&ssl_verify_cert=false&ssl_verify_identity=true", true, false, false},
		{"ssl_verify_cert=true", false, false, false}, // the system's authorities
		{"ssl_verify_cert=true&ssl_check_hostname=off", false, false, false},
		{"ssl_check_hostname=on", false, false, false},
		{"ssl_verify_cert=0", true, true, true},
		{"ssl_check_hostname=false", true, true, true},
	} {
		for _, with := range []struct {
			host, ca string
			accepted bool
		}{
			{"db.example", ca, c.own}, {"other.example", ca, c.otherHost}, {"db.example", otherCA, c.otherCertificate},
		} {
			text := "mysql://u:p@" + with.host + "/db?" + strings.ReplaceAll(c.query, "CA", with.ca)
			got, err := parseURL(text)
			require.NoError(t, err, text)
			require.NotNil(t, got.mysql.TLS, text)
			assert.Equal(t, with.host, got.mysql.TLS.ServerName)
			_, err = handshake(t, got.mysql.Clone().TLS, server)
			assert.Equal(t, with.accepted, err == nil, "%s: %v", text, err)
		}
	}
}

func TestParseURLTLSFiles(t *testing.T) {
	t.Parallel()
	server, ca, _ := certificate(t, "db.example")
	_, cert, key := certificate(t, "client")
	both := filepath.Join(t.TempDir(), "both.pem")
	var whole []byte
	for _, f := range []string{cert, key} {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		whole = append(whole, data...)
	}
	require.NoError(t, os.WriteFile(both, whole, 0o600))

	const start = "mysql://u:canary@db.example/db?"
	for _, query := range []string{
		"ssl_ca=" + ca + "&ssl_cert=" + cert + "&ssl_key=" + key,
		"ssl_cert=" + cert + "&ssl_key=" + key,
		"ssl_cert=" + both,
	} {
		got, err := parseURL(start + query)
		require.NoError(t, err, query)
		seen, err := handshake(t, got.mysql.TLS, server)
		require.NoError(t, err, query)
		require.Len(t, seen.PeerCertificates, 1, query)
		assert.Equal(t, "client", seen.PeerCertificates[0].Subject.CommonName)
	}

	const gone = "/nonexistent/file.pem"
	for query, want := range map[string]string{
		"ssl_ca=" + gone:                           "ssl_ca: open " + gone,
		"ssl_ca=" + key:                            "ssl_ca: there is no PEM certificate in " + key,
		"ssl_cert=" + gone + "&ssl_key=" + key:     "ssl_cert " + gone,
		"ssl_cert=" + cert + "&ssl_key=" + gone:    "key " + gone,
		"ssl_cert=" + cert:                         "ssl_cert " + cert + " with key " + cert,
		"ssl_key=" + key:                           "ssl_key is given without ssl_cert",
		"ssl_ca=" + gone + "&ssl_verify_cert=nope": "ssl_ca: open " + gone,
	} {
		assert.Contains(t, refuse(t, start+query), want)
	}
	_, err := parseURL(start + "ssl_ca=" + gone)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func FuzzParseURL(f *testing.F) {
	f.Add("mysql+pymysql://user:password@h:3306/db?charset=utf8&ssl_verify_cert=0", "p@ss/word:%")
	f.Add("sqlite:////var/lib/cl.sqlite?timeout=5", "\x00é\xff+ ")
	f.Add("://[::1]:33?a%3", "%40%4")
	f.Add("@h/db?charset=latin1&connect_timeout=x", "?#&=")
	f.Fuzz(func(t *testing.T, text, password string) {
		if _, err := parseURL(text); err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
		}

		got, err := parseURL("mysql://u:" + strings.ReplaceAll(url.PathEscape(password), "@", "%40") + "@h/db")
		require.NoError(t, err)
		assert.Equal(t, password, got.mysql.Passwd)
		assert.Equal(t, "h:3306", got.mysql.Addr)

		// A password that nobody encoded, and one that nobody ended.
		if strings.Contains(text, canary) {
			return
		}
		for _, bare := range []string{"mysql://u:" + text + canary + text + "@h/db", "mysql://u:" + canary + text} {
			if _, err := parseURL(bare); err != nil {
				require.ErrorIs(t, err, persistence.ErrInvalid)
				assert.NotContains(t, err.Error(), canary)
			}
		}
	})
}
