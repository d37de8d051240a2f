// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Wire keeps what a document held that the fields of a record cannot say, so
// that writing the record again gives the same document. A record made here has
// none (nil). A Wire is never changed after decoding: copies of a record share
// it.
//
// The texts in a Wire may be secrets, so it prints nothing of itself.
type Wire struct {
	// Version is the envelope's version text as read; records are written back
	// with it.
	Version string
	// Odd holds, for a field whose own encoding would differ from what was
	// read, the text that was read, without white space and in ASCII; an empty
	// text means that the key was absent. It is used while the field still has
	// the value it was read with.
	Odd map[string]json.RawMessage
	// Extra holds the keys that the schema does not know, in order.
	Extra []Extra
}

// Extra is one unknown key with its value as it was read, without white space
// and in ASCII.
type Extra struct {
	Name  string
	Value json.RawMessage
}

// Format writes nothing but the type's name, whatever the verb.
func (Wire) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "wire") }

// LogValue returns nothing but the type's name.
func (Wire) LogValue() slog.Value { return slog.StringValue("wire") }

// MarshalJSON writes null: a Wire is read and written by a Schema only, and the
// JSON handler of slog must not show it.
func (Wire) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Format writes the key, whatever the verb.
func (e Extra) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Name) }
