// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/connector"
)

// Bounds of what a caller may give. Texts are bounded by the columns of Cinder's
// tables; ids by what a file name holds beside the driver's prefix.
const (
	maxText = 255
	maxID   = 128
	maxSize = 1<<31 - 1 // GiB; the column is a 32 bit integer
)

// newID is a random UUID.
func newID() string { return uuid.NewString() }

func checkSize(size int) error {
	if size < 1 || size > maxSize {
		return invalid("size %d GiB is not between 1 and %d", size, maxSize)
	}
	return nil
}

// checkID accepts UUIDs or, where others are allowed, what is safe in a file
// name, a URL and a command line.
func checkID(what, id string, free bool) error {
	if id == "" {
		return invalid("%s is empty", what)
	}
	if !free {
		// 8-4-4-4-12 hex digits, dashes optional, as Cinder has it.
		if n := len(id); n == 36 || n == 32 {
			if _, err := uuid.Parse(id); err == nil {
				return nil
			}
		}
		return invalid("%s %q is not a UUID; WithNonUUIDs allows others", what, clip(id))
	}
	if len(id) > maxID {
		return invalid("%s has %d bytes, more than %d", what, len(id), maxID)
	}
	for i, r := range id {
		word := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
		if !word && (i == 0 || !strings.ContainsRune("-.:@+=", r)) {
			return invalid("%s %q has %q at byte %d; letters, digits and _ are allowed, after the first also -.:@+=", what, clip(id), r, i)
		}
	}
	return nil
}

// checkLine accepts text of one line.
func checkLine(what, text string) error {
	if err := checkText(what, text); err != nil {
		return err
	}
	if i := strings.IndexAny(text, "\n\t"); i >= 0 {
		return invalid("%s %q has %q at byte %d", what, clip(text), text[i], i)
	}
	return nil
}

// checkText accepts text that a column of Cinder's tables can hold.
func checkText(what, text string) error {
	if utf8.RuneCountInString(text) > maxText {
		return invalid("%s has more than %d characters", what, maxText)
	}
	if !utf8.ValidString(text) {
		return invalid("%s is not UTF-8: %q", what, clip(text))
	}
	for i, r := range text {
		if (r < ' ' && r != '\n' && r != '\t') || r == 0x7f {
			return invalid("%s %q has the control character %q at byte %d", what, clip(text), r, i)
		}
	}
	return nil
}

func checkMap(what string, m map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k == "" {
			return invalid("%s has an empty key", what)
		}
		if err := checkLine("a key of "+what, k); err != nil {
			return err
		}
		if err := checkText(what+" "+k, m[k]); err != nil {
			return err
		}
	}
	return nil
}

// checkBackendName accepts what can stand between @ and # of a volume's host.
func checkBackendName(name string) error {
	if name == "" {
		return invalid("volume_backend_name is missing")
	}
	if strings.ContainsAny(name, "@#") {
		return invalid("volume_backend_name %q has @ or #, which separate it from host and pool", clip(name))
	}
	return checkLine("volume_backend_name", name)
}

func checkMode(mode connector.AccessMode) error {
	switch mode {
	case connector.ReadWrite, connector.ReadOnly:
		return nil
	}
	return invalid("attach mode %q is neither rw nor ro", mode)
}

// clip shortens text that somebody gave, for an error.
func clip(text string) string {
	if len(text) <= 64 {
		return text
	}
	return text[:64] + "…"
}
