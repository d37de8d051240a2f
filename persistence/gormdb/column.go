// SPDX-License-Identifier: Apache-2.0

package gormdb

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gocinder/cinderlib/persistence"
)

// form is what a column holds.
type form int

const (
	text    form = iota // VARCHAR of size characters
	long                // TEXT
	number              // INTEGER
	boolean             // BOOLEAN
	instant             // DATETIME, UTC
)

// column is one column of a table and its place in the records of type T.
type column[T any] struct {
	name string
	form form
	size int // of text, in characters
	// required columns are NOT NULL: it is Cinder's volume_type_id.
	required bool

	get func(*T) any // nil is NULL
	set func(*T, any) error
}

// str is a text column; empty text is NULL.
func str[T any, S ~string](name string, size int, at func(*T) *S) column[T] {
	return column[T]{
		name: name, form: text, size: size,
		get: func(r *T) any {
			if s := *at(r); s != "" {
				return string(s)
			}
			return nil
		},
		set: func(r *T, v any) (err error) {
			s, err := asText(v)
			*at(r) = S(s)
			return err
		},
	}
}

// label is a text column in which empty text is itself, as Python writes it.
func label[T any](name string, at func(*T) *string) column[T] {
	c := str(name, 255, at)
	c.get = func(r *T) any { return *at(r) }
	return c
}

func integer[T any](name string, at func(*T) *int) column[T] {
	return column[T]{
		name: name, form: number,
		get: func(r *T) any { return int64(*at(r)) },
		set: func(r *T, v any) (err error) {
			*at(r), err = asInt(v)
			return err
		},
	}
}

// flag is a boolean column; absent is what NULL means.
func flag[T any](name string, absent bool, at func(*T) *bool) column[T] {
	return column[T]{
		name: name, form: boolean,
		get: func(r *T) any { return *at(r) },
		set: func(r *T, v any) (err error) {
			*at(r), err = asBool(v, absent)
			return err
		},
	}
}

func date[T any](name string, at func(*T) *time.Time) column[T] {
	return column[T]{
		name: name, form: instant,
		get: func(r *T) any {
			if t := *at(r); !t.IsZero() {
				return t
			}
			return nil
		},
		set: func(r *T, v any) (err error) {
			*at(r), err = asTime(v)
			return err
		},
	}
}

// check refuses a value that the column of a strict database would not take, or
// that would not be read as it was written.
func (c *column[T]) check(value any) error {
	switch v := value.(type) {
	case string:
		if c.form == text {
			return checkLength(c.name, v, c.size)
		}
		return checkLength(c.name, v, len(v))
	case time.Time:
		if year := v.UTC().Year(); year < 1 || year > 9999 {
			return persistence.Errorf(persistence.ErrInvalid, "%s is in the year %d", c.name, year)
		}
	}
	return nil
}

// checkLength refuses text of more than size characters, and what is no text.
func checkLength(name, s string, size int) error {
	if !utf8.ValidString(s) {
		return persistence.Errorf(persistence.ErrInvalid, "%s is no valid UTF-8", name)
	}
	if len(s) > size && utf8.RuneCountInString(s) > size {
		return persistence.Errorf(persistence.ErrInvalid, "%s has %d characters, the database has room for %d",
			name, utf8.RuneCountInString(s), size)
	}
	return nil
}

// Drivers give a value as the type they have for its column, or as text.

func asText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", unexpected(v, "text")
}

func asInt(v any) (int, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		return int(v), nil
	case string, []byte:
		s, _ := asText(v)
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, unexpected(v, "a number")
		}
		return n, nil
	}
	return 0, unexpected(v, "a number")
}

func asBool(v any, absent bool) (bool, error) {
	switch v := v.(type) {
	case nil:
		return absent, nil
	case bool:
		return v, nil
	}
	n, err := asInt(v)
	if err != nil {
		return false, unexpected(v, "a boolean")
	}
	return n != 0, nil
}

// timeLayout is how SQLAlchemy stores times in sqlite; MySQL reads it, too.
const timeLayout = "2006-01-02 15:04:05.000000"

func asTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		if v.IsZero() { // what the driver of sqlite makes of text that is no time
			return time.Time{}, unexpected("", "a time")
		}
		return v.UTC(), nil
	case string, []byte:
		s, _ := asText(v)
		t, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if err != nil {
			return time.Time{}, unexpected(v, "a time")
		}
		return t, nil
	}
	return time.Time{}, unexpected(v, "a time")
}

// unexpected does not show the value: it may be a secret in the wrong column.
func unexpected(v any, wanted string) error {
	return fmt.Errorf("%T where %s is expected", v, wanted)
}
