// SPDX-License-Identifier: Apache-2.0

// Package gormdb keeps the metadata in an SQL database: an sqlite file, sqlite in
// memory, MySQL or MariaDB, or what a gorm dialector of the program's brings. The
// tables are those of Cinder, so a database that Python's cinderlib made opens as
// it is.
//
// Importing the package registers the stores "db" and "memory_db". Open, OpenFile
// and OpenDialector open one from Go; cinderlib.WithStore uses it.
//
// The reading side begins at read.go, the writing side at write.go; column.go and
// tables.go say what is where, schema.go makes and checks the tables.
// docs/metadata-persistence.md tells which store to choose.
package gormdb
