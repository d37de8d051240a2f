// SPDX-License-Identifier: Apache-2.0

// Package gormdb keeps the metadata in an SQL database: an sqlite file, sqlite in
// memory, MySQL or MariaDB. The tables are those of Cinder, so a database that
// Python's cinderlib made opens as it is, and Python can go on with it.
//
// Importing the package registers the stores "db" and "memory_db". Open, OpenFile
// and OpenDialector open one from Go; cinderlib.WithStore uses it. Sqlite needs
// cgo, MySQL does not.
//
// The reading side begins at read.go, the writing side at write.go; column.go and
// tables.go say what is where, schema.go makes and checks the tables.
// docs/metadata-persistence.md tells which store to choose and what it promises,
// docs/database-schema.md what is in the tables.
package gormdb
