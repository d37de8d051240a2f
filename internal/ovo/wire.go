// SPDX-License-Identifier: Apache-2.0

package ovo

import "encoding/json"

// Wire keeps what a document held that the fields of a record cannot say, so
// that writing the record again gives the same document. A record made here has
// none (nil). A Wire is never changed after decoding: copies of a record share
// it.
type Wire struct {
	// Version is the envelope's version text as read; records are written back
	// with it.
	Version string
	// Odd holds, for a field whose own encoding would differ from what was
	// read, the text that was read; an empty text means that the key was
	// absent. It is used while the field still has the value it was read with.
	Odd map[string]json.RawMessage
	// Extra holds the keys that the schema does not know, in order.
	Extra []Extra
}

// Extra is one unknown key with its value as it was read.
type Extra struct {
	Name  string
	Value json.RawMessage
}
