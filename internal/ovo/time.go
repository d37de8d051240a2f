// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"strings"
	"time"
)

// AppendTime writes a time as cinderlib does, in UTC with six digits of a
// second: "2024-01-31T12:00:00.123456Z". The zero time, and one of which the format
// cannot hold the year, is null.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if t.IsZero() || year < 1 || year > 9999 {
		return append(dst, "null"...)
	}
	hour, minute, second := t.Clock()
	dst = append(dst, '"')
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	dst = append(appendDigits(dst, day, 2), 'T')
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	dst = append(appendDigits(dst, second, 2), '.')
	dst = appendDigits(dst, t.Nanosecond()/1000, 6)
	return append(dst, 'Z', '"')
}

func appendDigits(dst []byte, n, width int) []byte {
	var buf [6]byte
	for i := width - 1; i >= 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[:width]...)
}

// Time reads a time as Python's readers do: any ISO 8601 date and time, T or a
// space between them, with or without seconds, a fraction and an offset (Z,
// ±hh:mm, or UTC±hh:mm as cinderlib writes zones other than UTC). Without an
// offset it is UTC. What is finer than a microsecond is cut off, as there.
func (d *Decoder) Time() (time.Time, error) {
	start := d.pos
	s, err := d.String()
	if err != nil {
		return time.Time{}, err
	}
	t, ok := parseTime(s)
	if !ok {
		return time.Time{}, errorf(start, "expected a time, found %s", quoted(s))
	}
	return t, nil
}

// clock takes a time's text apart from the left.
type clock struct {
	text string
	ok   bool
}

// number takes exactly so many digits.
func (c *clock) number(digits int) int {
	if len(c.text) < digits {
		c.ok = false
		return 0
	}
	n := 0
	for _, d := range []byte(c.text[:digits]) {
		if d < '0' || d > '9' {
			c.ok = false
			return 0
		}
		n = n*10 + int(d-'0')
	}
	c.text = c.text[digits:]
	return n
}

// next takes one of the characters if it is there.
func (c *clock) next(chars string) byte {
	if c.text == "" || strings.IndexByte(chars, c.text[0]) < 0 {
		return 0
	}
	b := c.text[0]
	c.text = c.text[1:]
	return b
}

// digit tells whether a digit comes next.
func (c *clock) digit() bool { return c.text != "" && c.text[0] >= '0' && c.text[0] <= '9' }

func parseTime(s string) (time.Time, bool) {
	c := clock{text: s, ok: true}
	year := c.number(4)
	c.next("-")
	month := c.number(2)
	c.next("-")
	day := c.number(2)
	var hour, minute, second, micro, offset int
	if c.next("T ") != 0 {
		hour, minute, second, micro = c.timeOfDay()
		offset = c.offset()
	}
	if !c.ok || c.text != "" || year < 1 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, time.UTC)
	if t.Day() != day { // the 31st of a shorter month
		return time.Time{}, false
	}
	if offset != 0 {
		t = t.Add(-time.Duration(offset) * time.Minute)
	}
	return t, t.Year() >= 1 && t.Year() <= 9999
}

// timeOfDay takes hh[:mm[:ss[.fraction]]], the colons being optional.
func (c *clock) timeOfDay() (hour, minute, second, micro int) {
	hour = c.number(2)
	if c.next(":") == 0 && !c.digit() {
		return hour, 0, 0, 0
	}
	minute = c.number(2)
	if c.next(":") == 0 && !c.digit() {
		return hour, minute, 0, 0
	}
	second = c.number(2)
	if c.next(".,") == 0 {
		return hour, minute, second, 0
	}
	if !c.digit() {
		c.ok = false
	}
	for scale := 100000; c.digit(); scale /= 10 {
		micro += int(c.text[0]-'0') * scale
		c.text = c.text[1:]
	}
	return hour, minute, second, micro
}

// offset takes what stands behind the time and gives it in minutes.
func (c *clock) offset() int {
	if c.next("Z") != 0 {
		return 0
	}
	c.text = strings.TrimPrefix(c.text, "UTC")
	sign := c.next("+-")
	if sign == 0 {
		return 0
	}
	minutes := c.number(2) * 60
	if c.next(":") != 0 || c.digit() {
		minutes += c.number(2)
	}
	if minutes >= 24*60 {
		c.ok = false
	}
	if sign == '-' {
		return -minutes
	}
	return minutes
}
