// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// maxSteps is how many steps of a path an error shows.
const maxSteps = 16

// located is an error with its place in the document.
type located struct {
	path   []string // keys and [indexes], innermost first: they are added on the way out
	offset int
	err    error
}

func (e *located) Error() string {
	var b strings.Builder
	for i, step := range slices.Backward(e.path) {
		if len(e.path) > maxSteps && i >= maxSteps/2 && i < len(e.path)-maxSteps/2 {
			if i == maxSteps/2 { // the middle of a long path tells nothing
				b.WriteString("….")
			}
			continue
		}
		if b.Len() > 0 && step[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.err.Error())
	b.WriteString(" (at byte ")
	b.WriteString(strconv.Itoa(e.offset))
	b.WriteByte(')')
	return b.String()
}

func (e *located) Unwrap() error { return e.err }

// errorf makes a located error of the class ErrInvalid.
func errorf(offset int, format string, args ...any) error {
	return &located{offset: offset, err: fault.Errorf(fault.ErrInvalid, format, args...)}
}

// within adds a step to the path of an error that comes from inside of it.
func within(step string, offset int, err error) error {
	if e, ok := err.(*located); ok { //nolint:errorlint // only one that nobody wrapped is extended
		e.path = append(e.path, step)
		return e
	}
	return &located{path: []string{step}, offset: offset, err: err}
}

// keyStep shows a key in a path: hostile ones are quoted and cut.
func keyStep(key []byte) string {
	if len(key) > 0 && len(key) <= maxShown && plainKey(key) {
		return string(key)
	}
	return quoted(key)
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

func plainKey(key []byte) bool {
	for _, c := range key {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '[' || c == '\\' {
			return false
		}
	}
	return true
}

// maxShown is how much of a text from the document a message repeats.
const maxShown = 64

// quoted shows a text from the document in a message.
func quoted[S ~string | ~[]byte](s S) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(string(s[:maxShown])) + "..."
	}
	return strconv.QuoteToASCII(string(s))
}
