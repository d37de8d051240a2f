// SPDX-License-Identifier: Apache-2.0

// Package persistence is the port to the metadata store: which records there
// are, how they are found, how they are written. Store is the contract,
// Connection and KeyValue the records that no other package owns, Register and
// Open the way to a store by name. Copy moves all records from one store to
// another.
//
// Package persistence/memory is the default store, persistence/gormdb has those in
// SQL databases; persistence/persistencetest proves one.
// docs/metadata-persistence.md tells which to choose and shows how to write one.
package persistence
