// SPDX-License-Identifier: Apache-2.0

package gormdb

import "database/sql"

// Pools are the connections of a store, for tests that hold locks or limit it.
func (s *Store) Pools() (reader, writer *sql.DB) {
	reader, _ = s.reader.DB()
	writer, _ = s.writer.DB()
	return reader, writer
}
