// SPDX-License-Identifier: Apache-2.0

// Package ovo reads and writes the JSON of Python's Oslo versioned objects, in
// the form in which cinderlib writes it: an envelope with a name, a namespace, a
// version and the data. It does no I/O and knows no record: a Schema is told, by
// the package that owns the record, which fields there are and where they live.
//
// What was read is written again as the same document, whatever it held: see
// Wire. Decoder and the Append functions are the parser and the writer below
// Schema, for the parts of a document that are not envelopes.
package ovo
