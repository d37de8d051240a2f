// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"bytes"
	"encoding/json"
)

// What follows finds values in a JSON text that is known to be valid: decoding
// the file of a host with a thousand targets took five times as long.

// span is where a value is in a text.
type span struct{ from, to int }

// member finds the value of a key of the object that text is; of several it is
// the last, as for Python.
func member(text []byte, key string) (at span, found bool) {
	values := elements(text)
	for i := 0; i+1 < len(values); i += 2 {
		var name string
		if json.Unmarshal(text[values[i].from:values[i].to], &name) == nil && name == key {
			at, found = values[i+1], true
		}
	}
	return at, found
}

// elements finds the values of the list that text is, or the keys and values of
// the object, by turns.
func elements(text []byte) []span {
	var found []span
	i := bytes.IndexAny(text, "[{") + 1
	for {
		for bytes.IndexByte([]byte(" \t\r\n,:"), text[i]) >= 0 {
			i++
		}
		if text[i] == ']' || text[i] == '}' {
			return found
		}
		end := skip(text, i)
		found = append(found, span{i, end})
		i = end
	}
}

// skip gives the end of the value that begins at i.
func skip(text []byte, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
		default:
			// A number or a word goes on up to what cannot be in one.
			if depth > 0 || i+1 < len(text) && bytes.IndexByte([]byte(" \t\r\n,:]}"), text[i+1]) < 0 {
				continue
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}
