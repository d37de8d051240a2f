// SPDX-License-Identifier: Apache-2.0

// Package secret holds the string type that prints as *** everywhere.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Mask is what a non-empty Text shows of itself.
const Mask = "***"

// Text is a password, key or token. Formatting, logging and JSON all show the
// mask; only Reveal, or a conversion to string, gives the text.
type Text string

// Reveal returns the text itself.
func (t Text) Reveal() string { return string(t) }

// String returns the mask, or nothing when there is no text.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return Mask
}

// Format writes the mask whatever the verb, so that %d or %x leak nothing.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns the mask.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns the mask. Formats that must carry secrets reveal them
// on purpose.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
