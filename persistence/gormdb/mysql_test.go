// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"testing"

	"github.com/gocinder/cinderlib/internal/mysqltest"
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
