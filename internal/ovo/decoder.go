// SPDX-License-Identifier: Apache-2.0

package ovo

// MaxDepth is how deep objects and arrays may nest. The deepest document that
// cinderlib writes (a list of backends, a snapshot in it, its volume, the
// volume's attachments, their connection data) needs some twenty levels; the
// limit keeps a hostile one from using up the stack.
const MaxDepth = 100

// Kind is what kind of value comes next in a document.
type Kind uint8

// The kinds of values. KindInvalid is the end of the text, or no value.
const (
	KindInvalid Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String returns the kind as a message names it.
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBool:
		return "a boolean"
	case KindNumber:
		return "a number"
	case KindString:
		return "a string"
	case KindArray:
		return "an array"
	case KindObject:
		return "an object"
	}
	return "no value"
}

// Decoder reads a JSON text, value by value, as the caller asks for them. The
// syntax is that of RFC 8259; as in encoding/json, invalid UTF-8 and lone
// surrogates become U+FFFD. Its errors are fault.ErrInvalid and say where in the
// text they are. After an error a Decoder is of no more use.
type Decoder struct {
	data  []byte
	pos   int
	depth int
}

// NewDecoder returns a Decoder at the start of data, which must not be changed
// while it is in use.
func NewDecoder(data []byte) *Decoder { return &Decoder{data: data} }

// Offset returns where the Decoder is in the text. Inside the callbacks of
// Object and Array that is where the value starts.
func (d *Decoder) Offset() int { return d.pos }

// Seek goes to an offset that Offset gave, to read a value that was skipped.
func (d *Decoder) Seek(offset int) { d.pos = offset }

// End checks that nothing but white space follows.
func (d *Decoder) End() error {
	d.space()
	if d.pos < len(d.data) {
		return errorf(d.pos, "unexpected %s after the document", d.found())
	}
	return nil
}

// Kind tells what comes next, which is not checked beyond its start.
func (d *Decoder) Kind() Kind {
	d.space()
	if d.pos >= len(d.data) {
		return KindInvalid
	}
	switch c := d.data[d.pos]; {
	case c == '"':
		return KindString
	case c == '{':
		return KindObject
	case c == '[':
		return KindArray
	case c == '-' || c >= '0' && c <= '9':
		return KindNumber
	case c == 'n' && d.literal("null"):
		return KindNull
	case c == 't' && d.literal("true"), c == 'f' && d.literal("false"):
		return KindBool
	}
	return KindInvalid
}

// Object reads an object: it calls fn for each key, in order, with the Decoder
// at the value. fn reads that one value; if it reads nothing the value is
// skipped. The key stays valid as long as the text. A key may come twice: the
// last one counts.
func (d *Decoder) Object(fn func(key []byte) error) error {
	if err := d.open(KindObject); err != nil {
		return err
	}
	if d.closed('}') {
		return nil
	}
	for {
		key, err := d.key()
		if err != nil {
			return err
		}
		start := d.pos
		err = fn(key)
		if err == nil && d.pos == start {
			err = d.Skip()
		}
		if err != nil {
			return within(keyStep(key), start, err)
		}
		more, err := d.more('}')
		if !more {
			return err
		}
	}
}

// Array reads an array: it calls fn for each element with the Decoder at the
// element. fn reads that one value; if it reads nothing the value is skipped.
func (d *Decoder) Array(fn func(i int) error) error {
	if err := d.open(KindArray); err != nil {
		return err
	}
	if d.closed(']') {
		return nil
	}
	for i := 0; ; i++ {
		d.space()
		start := d.pos
		err := fn(i)
		if err == nil && d.pos == start {
			err = d.Skip()
		}
		if err != nil {
			return within(indexStep(i), start, err)
		}
		more, err := d.more(']')
		if !more {
			return err
		}
	}
}

// Null consumes a null if that is next.
func (d *Decoder) Null() bool {
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != 'n' || !d.literal("null") {
		return false
	}
	d.pos += len("null")
	return true
}

// Bool reads a boolean.
func (d *Decoder) Bool() (bool, error) {
	if d.Kind() != KindBool {
		return false, d.unexpected(KindBool)
	}
	if d.data[d.pos] == 't' {
		d.pos += len("true")
		return true, nil
	}
	d.pos += len("false")
	return false, nil
}

// Raw reads any value and returns its text, which is part of the Decoder's.
func (d *Decoder) Raw() ([]byte, error) {
	d.space()
	start := d.pos
	if err := d.Skip(); err != nil {
		return nil, err
	}
	return d.data[start:d.pos:d.pos], nil
}

// Skip reads any value and checks its syntax.
func (d *Decoder) Skip() error {
	switch d.Kind() {
	case KindNull:
		d.pos += len("null")
	case KindBool:
		_, err := d.Bool()
		return err
	case KindNumber:
		_, _, err := d.number()
		return err
	case KindString:
		_, _, err := d.quoted()
		return err
	case KindArray:
		return d.skipArray()
	case KindObject:
		return d.skipObject()
	default:
		return d.unexpected(KindInvalid)
	}
	return nil
}

func (d *Decoder) skipArray() error {
	if err := d.open(KindArray); err != nil {
		return err
	}
	if d.closed(']') {
		return nil
	}
	for {
		if err := d.Skip(); err != nil {
			return err
		}
		more, err := d.more(']')
		if !more {
			return err
		}
	}
}

func (d *Decoder) skipObject() error {
	if err := d.open(KindObject); err != nil {
		return err
	}
	if d.closed('}') {
		return nil
	}
	for {
		d.space()
		if d.pos >= len(d.data) || d.data[d.pos] != '"' {
			return d.noKey()
		}
		if _, _, err := d.quoted(); err != nil {
			return err
		}
		if err := d.colon(); err != nil {
			return err
		}
		if err := d.Skip(); err != nil {
			return err
		}
		more, err := d.more('}')
		if !more {
			return err
		}
	}
}

// open enters an object or an array.
func (d *Decoder) open(kind Kind) error {
	if d.Kind() != kind {
		return d.unexpected(kind)
	}
	if d.depth >= MaxDepth {
		return errorf(d.pos, "objects and arrays nest deeper than %d levels", MaxDepth)
	}
	d.depth++
	d.pos++
	return nil
}

// closed leaves an object or an array that is empty.
func (d *Decoder) closed(end byte) bool {
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != end {
		return false
	}
	d.pos++
	d.depth--
	return true
}

// more goes on to the next member or, without one, leaves the object or array.
func (d *Decoder) more(end byte) (bool, error) {
	d.space()
	if d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ',':
			d.pos++
			return true, nil
		case end:
			d.pos++
			d.depth--
			return false, nil
		}
	}
	return false, errorf(d.pos, "expected , or %c, found %s", end, d.found())
}

// key reads a key and its colon, and the white space before the value.
func (d *Decoder) key() ([]byte, error) {
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != '"' {
		return nil, d.noKey()
	}
	text, itself, err := d.quoted()
	if err != nil {
		return nil, err
	}
	if !itself {
		text = unquote(text)
	}
	if err := d.colon(); err != nil {
		return nil, err
	}
	d.space()
	return text, nil
}

func (d *Decoder) colon() error {
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != ':' {
		return errorf(d.pos, "expected :, found %s", d.found())
	}
	d.pos++
	return nil
}

func (d *Decoder) noKey() error { return errorf(d.pos, "expected a key, found %s", d.found()) }

// space skips white space. Most often there is none: this much is inlined.
func (d *Decoder) space() {
	if d.pos < len(d.data) && d.data[d.pos] <= ' ' {
		d.skipSpace()
	}
}

func (d *Decoder) skipSpace() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\n', '\t', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *Decoder) literal(text string) bool {
	return len(d.data)-d.pos >= len(text) && string(d.data[d.pos:d.pos+len(text)]) == text
}

// unexpected is the error for another kind than the one wanted; KindInvalid
// wants any.
func (d *Decoder) unexpected(wanted Kind) error {
	if wanted == KindInvalid {
		return errorf(d.pos, "expected a value, found %s", d.found())
	}
	return errorf(d.pos, "expected %s, found %s", wanted, d.found())
}

// found names what is next, without repeating a value: it may be a secret.
func (d *Decoder) found() string {
	if kind := d.Kind(); kind != KindInvalid {
		return kind.String()
	}
	if d.pos >= len(d.data) {
		return "the end of the text"
	}
	return quoted(d.data[d.pos : d.pos+1])
}
