// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"math"
	"strconv"
	"strings"
)

// Int reads an integer: a number, with a fraction or an exponent if its value is
// integral, or a text that holds one, which Oslo's integer field takes as well.
func (d *Decoder) Int() (int, error) {
	n, _, err := d.integer()
	return n, err
}

// integer tells as well whether the text is the one AppendInt would write.
func (d *Decoder) integer() (n int, exact bool, err error) {
	switch d.Kind() {
	case KindNumber:
	case KindString:
		start := d.pos
		s, err := d.String()
		if err != nil {
			return 0, false, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			d.pos = start
			return 0, false, d.unexpected(KindNumber)
		}
		return n, false, nil
	default:
		return 0, false, d.unexpected(KindNumber)
	}
	start := d.pos
	text, integral, err := d.number()
	if err != nil {
		return 0, false, err
	}
	if integral {
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return 0, false, errorf(start, "the number is out of range")
		}
		return n, text[0] != '-' || n != 0, nil
	}
	// Beyond 2^53 a float does not say which integer it is.
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(f) > 1<<53 {
		return 0, false, errorf(start, "the number is out of range")
	}
	if f != math.Trunc(f) {
		return 0, false, errorf(start, "expected an integer, found a fraction")
	}
	return int(f), false, nil
}

// number reads a number's text and tells whether it is written as an integer.
func (d *Decoder) number() (text []byte, integral bool, err error) {
	start, p := d.pos, d.pos
	if d.at(p) == '-' {
		p++
	}
	switch c := d.at(p); {
	case c == '0':
		p++
	case c >= '1' && c <= '9':
		p = d.digits(p)
	default:
		return nil, false, d.badNumber(p)
	}
	integral = true
	if d.at(p) == '.' {
		integral = false
		q := d.digits(p + 1)
		if q == p+1 {
			return nil, false, d.badNumber(q)
		}
		p = q
	}
	if c := d.at(p); c == 'e' || c == 'E' {
		integral = false
		p++
		if c := d.at(p); c == '+' || c == '-' {
			p++
		}
		q := d.digits(p)
		if q == p {
			return nil, false, d.badNumber(q)
		}
		p = q
	}
	d.pos = p
	return d.data[start:p], integral, nil
}

func (d *Decoder) badNumber(p int) error {
	d.pos = p
	return errorf(p, "expected a digit, found %s", d.found())
}

// at gives the byte at p, 0 behind the end.
func (d *Decoder) at(p int) byte {
	if p < len(d.data) {
		return d.data[p]
	}
	return 0
}

func (d *Decoder) digits(p int) int {
	for p < len(d.data) && d.data[p] >= '0' && d.data[p] <= '9' {
		p++
	}
	return p
}
