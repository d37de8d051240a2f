// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-sql-driver/mysql"

	"github.com/gocinder/cinderlib/persistence"
)

// target is the database that a SQLAlchemy URL names.
type target struct {
	dialect string        // sqlite or mysql
	path    string        // of the sqlite file; empty is a database in memory
	mysql   *mysql.Config // nil for sqlite
}

var (
	urlDialect = regexp.MustCompile(`^[\w+]+$`)
	// SQLAlchemy, too, ends the password at the first @ of several.
	urlUser    = regexp.MustCompile(`^([^:/]*)(?::([^@]*))?@`)
	urlAddress = regexp.MustCompile(`^(?:\[([^][]+)\]|([^][:]*))(?::([0-9]+))?$`)

	// Python's drivers make no difference here.
	mysqlDrivers = []string{"aiomysql", "asyncmy", "mariadbconnector", "mysqlconnector", "mysqldb", "pymysql"}
	urlDrivers   = map[string][]string{"sqlite": {"pysqlite"}, "mysql": mysqlDrivers, "mariadb": mysqlDrivers}

	// The keys of a query. One that is known and not read below has no meaning here.
	sqliteKeys = []string{"check_same_thread", "timeout"}
	mysqlKeys  = []string{
		"autocommit", "binary_prefix", "charset", "connect_timeout", "local_infile", "mysql_sql_mode", "plugin",
		"read_timeout", "sql_mode", "ssl_ca", "ssl_cert", "ssl_check_hostname", "ssl_key", "ssl_verify_cert",
		"ssl_verify_identity", "unix_socket", "use_unicode", "write_timeout",
	}
)

func urlErrorf(format string, args ...any) error {
	return persistence.Errorf(persistence.ErrInvalid, "connection: "+format, args...)
}

// parseURL reads a URL as SQLAlchemy does (lib/sqlalchemy/engine/url.py), which
// is a little more lenient. An error never quotes what may be of a password,
// even if that was written without the percent-encoding it needs.
func parseURL(text string) (target, error) {
	const example = "such as sqlite:////var/lib/cl.sqlite"
	if text == "" {
		return target{}, urlErrorf("a database URL is required, " + example)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return target{}, urlErrorf("the URL has a control character in it, perhaps a line break")
	}
	name, rest, ok := strings.Cut(text, "://")
	if !ok || !urlDialect.MatchString(name) {
		return target{}, urlErrorf("a database URL starts with a dialect and ://, " + example)
	}
	dialect, driver, plus := strings.Cut(name, "+")
	drivers, ok := urlDrivers[dialect]
	if !ok {
		return target{}, urlErrorf("dialect %q is not known (known: mariadb, mysql, sqlite)", dialect)
	}
	if plus && !slices.Contains(drivers, driver) {
		return target{}, urlErrorf("driver %q of %s is not known (known: %s)", driver, dialect, strings.Join(drivers, ", "))
	}
	var user, password string
	if m := urlUser.FindStringSubmatch(rest); m != nil {
		user, password, rest = unescapeURL(m[1]), unescapeURL(m[2]), rest[len(m[0]):]
	}
	before, query, _ := strings.Cut(rest, "?")
	address, database, _ := strings.Cut(before, "/")

	if dialect == "sqlite" {
		if user != "" || password != "" || address != "" {
			return target{}, urlErrorf("sqlite has no host: write three slashes before a relative path (sqlite:///cl.sqlite), four before an absolute one (sqlite:////var/lib/cl.sqlite)")
		}
		if q := parseQuery(query, sqliteKeys); q.err != nil {
			return target{}, q.err
		}
		if database == ":memory:" {
			database = ""
		}
		return target{dialect: "sqlite", path: database}, nil
	}

	if strings.Contains(rest, "@") {
		return target{}, urlErrorf("an @ must be written as %%40, but for the one before the host")
	}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = user, password, database
	if err := configureMySQL(cfg, address, query); err != nil {
		return target{}, err
	}
	return target{dialect: "mysql", mysql: cfg}, nil
}

// configureMySQL sets all but the user and the database.
func configureMySQL(cfg *mysql.Config, address, query string) error {
	m := urlAddress.FindStringSubmatch(address)
	if m == nil {
		return urlErrorf("the address is not host:port with a number as port and brackets around an IPv6 host; is the @ before it missing?")
	}
	host, port := cmp.Or(m[1], m[2], "localhost"), cmp.Or(m[3], "3306")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return urlErrorf("the port is not between 1 and 65535")
	}
	if cfg.DBName == "" {
		return urlErrorf("the name of the database is required, as in mysql://user:password@host/database")
	}
	q := parseQuery(query, mysqlKeys)
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(host, port)
	if socket := q.values["unix_socket"]; socket != "" {
		cfg.Net, cfg.Addr = "unix", socket
	}
	switch charset := q.values["charset"]; strings.ToLower(charset) {
	case "", "utf8", "utf8mb3", "utf8mb4":
	default:
		q.fault("charset %q would lose text (known: utf8, utf8mb3, utf8mb4)", charset)
	}
	cfg.Timeout = q.seconds("connect_timeout", 10*time.Second) // PyMySQL's default
	cfg.ReadTimeout = q.seconds("read_timeout", 0)
	cfg.WriteTimeout = q.seconds("write_timeout", 0)
	cfg.TLS = q.tls(host)
	if q.err != nil {
		return q.err
	}
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.ClientFoundRows = true // a row counts as updated even if nothing changed
	cfg.InterpolateParams = true
	cfg.Params = map[string]string{"sql_mode": "'TRADITIONAL'"} // oslo.db's default: text too long is an error, not cut
	return cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_general_ci"))
}

// unescapeURL keeps what is no valid escape, which net/url refuses.
func unescapeURL(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// urlQuery has the keys of a URL that have a value, and the first fault found.
type urlQuery struct {
	values map[string]string
	err    error
}

func parseQuery(text string, known []string) *urlQuery {
	q := &urlQuery{values: map[string]string{}}
	for pair := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		key, value = unescapeURL(key), unescapeURL(value)
		switch {
		case pair == "":
		case !slices.Contains(known, key):
			q.fault("query key %q is not known (known: %s)", key, strings.Join(known, ", "))
		case q.values[key] != "":
			q.fault("query key %s is given twice", key)
		case value != "":
			q.values[key] = value
		}
	}
	return q
}

func (q *urlQuery) fault(format string, args ...any) {
	if q.err == nil {
		q.err = urlErrorf(format, args...)
	}
}

func (q *urlQuery) seconds(key string, missing time.Duration) time.Duration {
	text, given := q.values[key]
	if !given {
		return missing
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		q.fault("%s is not a number of seconds above 0", key)
	}
	return time.Duration(n) * time.Second
}

// flag takes the words that SQLAlchemy takes.
func (q *urlQuery) flag(key string, missing bool) bool {
	switch strings.ToLower(q.values[key]) {
	case "":
		return missing
	case "true", "yes", "on", "y", "t", "1":
		return true
	case "false", "no", "off", "n", "f", "0":
		return false
	}
	q.fault("%s is neither true nor false", key)
	return false
}

// tls is nil if no key asks for it. With SQLAlchemy and PyMySQL a CA file has
// the certificate and its host checked, and without one neither is: so here,
// unless a key says otherwise. A check of the host includes the certificate.
func (q *urlQuery) tls(host string) *tls.Config {
	asked := false
	for key := range q.values {
		asked = asked || strings.HasPrefix(key, "ssl_")
	}
	if !asked {
		return nil
	}
	cfg := &tls.Config{ServerName: host}
	ca, cert, key := q.values["ssl_ca"], q.values["ssl_cert"], q.values["ssl_key"]
	if ca != "" {
		cfg.RootCAs = x509.NewCertPool()
		if pem, err := os.ReadFile(ca); err != nil {
			q.fault("ssl_ca: %w", err)
		} else if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			q.fault("ssl_ca: there is no PEM certificate in %s", ca)
		}
	}
	if cert != "" {
		key = cmp.Or(key, cert)
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			q.fault("ssl_cert %s with key %s: %w", cert, key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	} else if key != "" {
		q.fault("ssl_key is given without ssl_cert")
	}
	checkCert := q.flag("ssl_verify_cert", ca != "")
	checkHost := q.flag("ssl_verify_identity", q.flag("ssl_check_hostname", checkCert)) // PyMySQL's, SQLAlchemy's name
	cfg.InsecureSkipVerify = !checkHost
	if checkCert && !checkHost {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: x509.NewCertPool()}
			for _, c := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return cfg
}
