// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"unicode/utf16"
	"unicode/utf8"
)

// String reads a string.
func (d *Decoder) String() (string, error) {
	if d.Kind() != KindString {
		return "", d.unexpected(KindString)
	}
	text, itself, err := d.quoted()
	if err != nil {
		return "", err
	}
	if !itself {
		text = unquote(text)
	}
	return string(text), nil
}

// quoted reads a string and returns what stands between its quotes, and
// whether that is the string itself: ASCII without escapes.
func (d *Decoder) quoted() (text []byte, itself bool, err error) {
	data, start := d.data, d.pos+1
	itself = true
	for p := start; p < len(data); p++ {
		switch c := data[p]; {
		case c == '"':
			d.pos = p + 1
			return data[start:p:p], itself, nil
		case c == '\\':
			itself = false
			n := escape(data[p:])
			if n == 0 {
				return nil, false, errorf(p, "invalid escape in a string")
			}
			p += n - 1
		case c < ' ':
			return nil, false, errorf(p, "control character in a string")
		case c >= utf8.RuneSelf:
			itself = false
		}
	}
	return nil, false, errorf(len(data), "a string is not closed")
}

// escape gives the length of the escape that text begins with, 0 if it is none.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex4(text) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 gives the code unit of an escape \uXXXX, -1 if text does not begin with
// one.
func hex4(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range text[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unquote resolves the escapes of a text that quoted found valid, and replaces
// what is not Unicode by U+FFFD.
func unquote(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\\' && text[i+1] == 'u':
			r := hex4(text[i:])
			i += 6
			if utf16.IsSurrogate(r) {
				pair := utf16.DecodeRune(r, hex4(text[i:]))
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
		case c == '\\':
			out = append(out, unescaped(text[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(text[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return out
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// AppendString writes a string as Python's json.dumps does: in ASCII, with
// nothing escaped that need not be.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		n := 1
		switch {
		case c >= utf8.RuneSelf:
			dst, n = appendRune(dst, s[i:min(i+utf8.UTFMax, len(s))])
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = appendUnit(dst, rune(c))
		}
		i += n
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// appendRune writes the first rune of s, which is not ASCII, as escapes.
func appendRune[S ~string | ~[]byte](dst []byte, s S) (_ []byte, size int) {
	var buf [utf8.UTFMax]byte
	r, n := utf8.DecodeRune(buf[:copy(buf[:], s)])
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, hi), lo), n
	}
	return appendUnit(dst, r), n
}

func appendUnit(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// appendCompact writes a valid JSON text without white space and in ASCII.
func appendCompact(dst, text []byte) []byte {
	inString := false
	for i := 0; i < len(text); {
		c := text[i]
		n := 1
		switch {
		case inString && c == '\\':
			n = 2 // the escaped character, which may be a quote
			dst = append(dst, text[i:i+2]...)
		case inString && c >= utf8.RuneSelf:
			dst, n = appendRune(dst, text[i:])
		case inString && c == 0x7f:
			dst = appendUnit(dst, 0x7f)
		case !inString && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
		default:
			inString = inString != (c == '"')
			dst = append(dst, c)
		}
		i += n
	}
	return dst
}
