// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"database/sql"
	"errors"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
	"github.com/gocinder/cinderlib/persistence/persistencetest"
)

func freshMySQL(t *testing.T) string { return mysqltest.Fresh(t) }

func TestConformanceMySQL(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(freshMySQL))
	})
	t.Run("mariadb-soft", func(t *testing.T) {
		t.Parallel()
		persistencetest.Run(t, harness(freshMySQL, gormdb.WithSoftDeletes()))
	})
}

// A server says what it does not take of a value; that may be a secret.
func TestRefusedValueIsNotShown(t *testing.T) {
	t.Parallel()
	url := mysqltest.Fresh(t)
	s := open(t, url)
	mysqltest.Exec(t, url, "ALTER TABLE volumes MODIFY provider_auth VARCHAR(256) CHARACTER SET utf8mb3")
	err := s.Write(t.Context(), persistence.Insert(&drivers.Volume{ID: "v", ProviderAuth: "CHAP user 😀hush"}))
	require.ErrorIs(t, err, persistence.ErrInvalid)
	assert.ErrorContains(t, err, "provider_auth")
	assert.NotContains(t, err.Error(), "hu")
}

// foreign is the dialector of a database that is not supported.
type foreign struct{ gorm.Dialector }

func (foreign) Name() string { return "postgres" }

func TestOpenDialectorMySQL(t *testing.T) {
	t.Parallel()
	url := mysqltest.Fresh(t)
	dialector := func(foundRows bool) gorm.Dialector {
		cfg := mysqltest.Config(t, url)
		cfg.ClientFoundRows, cfg.ParseTime, cfg.InterpolateParams = foundRows, true, true
		connector, err := driver.NewConnector(cfg)
		require.NoError(t, err)
		return mysql.New(mysql.Config{Conn: sql.OpenDB(connector)})
	}
	_, err := gormdb.OpenDialector(t.Context(), dialector(false))
	require.ErrorIs(t, err, persistence.ErrInvalid)
	assert.ErrorContains(t, err, "clientFoundRows")
	_, err = gormdb.OpenDialector(t.Context(), foreign{dialector(true)})
	require.ErrorIs(t, err, errors.ErrUnsupported)

	own, err := gormdb.OpenDialector(t.Context(), dialector(true))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, own.Close()) })
	unlock, err := own.Locks().Lock(t.Context(), "x")
	require.NoError(t, err)
	defer unlock()
	_, ok, err := open(t, url).Locks().TryLock(t.Context(), "x")
	require.NoError(t, err)
	assert.False(t, ok, "locks are the database's, however it was opened")
}
