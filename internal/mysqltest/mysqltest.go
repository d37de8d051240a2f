// SPDX-License-Identifier: Apache-2.0

// Package mysqltest gives tests a database on a real MariaDB, which
// tools/test-mariadb.sh starts.
package mysqltest

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The environment of a test that has a server.
const (
	// URLEnv is the server's URL in SQLAlchemy's form, ending in a slash.
	URLEnv = "CINDERLIB_TEST_MYSQL"
	// FolderEnv is the server's folder, by which tools/mariadb knows it.
	FolderEnv = "CINDERLIB_TEST_MYSQL_DIR"
)

// Need skips a test where there is no server. tools/test-mariadb.sh runs the tests
// with one, and there is then nothing to skip.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(URLEnv) == "" {
		t.Skipf("%s is not set: make test-mariadb starts a server", URLEnv)
	}
}

// Fresh makes a database for one test and returns its URL.
func Fresh(t testing.TB) string {
	t.Helper()
	Need(t)
	base := os.Getenv(URLEnv)
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	Exec(t, base, "CREATE DATABASE "+name)
	t.Cleanup(func() { Exec(t, base, "DROP DATABASE "+name) })
	return base + name
}

// Config is that of the driver for the database of a URL.
func Config(t testing.TB, rawURL string) *mysql.Config {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	return cfg
}

// Pool opens the database of a URL.
func Pool(t testing.TB, rawURL string) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(Config(t, rawURL))
	require.NoError(t, err)
	return sql.OpenDB(connector)
}

// Exec runs statements in the database of a URL.
func Exec(t testing.TB, rawURL string, statements ...string) {
	t.Helper()
	pool := Pool(t, rawURL)
	defer func() { _ = pool.Close() }()
	for _, statement := range statements {
		_, err := pool.ExecContext(context.WithoutCancel(t.Context()), statement)
		require.NoError(t, err, statement)
	}
}

// Server does something to the server: start or kill.
func Server(ctx context.Context, do string) error {
	_, self, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(self), "..", "..", "tools", "mariadb")
	out, err := exec.CommandContext(ctx, script, do, os.Getenv(FolderEnv)).CombinedOutput()
	if err != nil {
		return &exec.Error{Name: script + " " + do + ": " + string(out), Err: err}
	}
	return nil
}
