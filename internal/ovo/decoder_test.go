// SPDX-License-Identifier: Apache-2.0

package ovo_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// texts are JSON texts, and some that are none.
var texts = []string{
	`null`, `true`, `false`, `0`, `-0`, `-1`, `1.5`, `1e3`, `1E-3`, `0.0e+0`, `123456789012345678901234567890`,
	`""`, `"a"`, `"\u00f1"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, "\"\xff\xc3\"", "\"ñ\x7f\"",
	`"\"\\\/\b\f\n\r\t"`, `[]`, `[ ]`, `[1,2]`, `{}`, ` { } `, `{"a":1,"b":[{"c":null}]}`, `{"a":1,"a":2}`,
	"\t[\n1 , 2\r]", strings.Repeat("[", 100) + strings.Repeat("]", 100),

	``, ` `, `nul`, `nulll`, `tru`, `truex`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `NaN`, `Infinity`,
	`"`, `"a`, `"\`, `"\u`, `"\u12`, `"\u12g4"`, `"\x"`, "\"\n\"", "\"\x00\"", `'a'`,
	`[`, `[1`, `[1,`, `[1,]`, `[,]`, `[1 2]`, `[}`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`,
	`{"a":1}}`, `1 2`, `[]]`, "\ufeff1", "\v1",
}

func TestSkipAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		d := ovo.NewDecoder([]byte(text))
		err := d.Skip()
		if err == nil {
			err = d.End()
		}
		assert.Equal(t, json.Valid([]byte(text)), err == nil, "%q: %v", text, err)
		if err != nil {
			assert.ErrorIs(t, err, fault.ErrInvalid)
		}
	}
}

// plainValue is what Value gives, with the numbers of encoding/json.
func plainValue(v any) any {
	switch v := v.(type) {
	case int64:
		f, _ := json.Number(string(mustAppend(v))).Float64()
		return f
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = plainValue(v[k])
		}
		return m
	}
	return v
}

func mustAppend(v any) []byte {
	text, err := ovo.AppendValue(nil, v)
	if err != nil {
		panic(err)
	}
	return text
}

func TestValueAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		var want any
		if json.Unmarshal([]byte(text), &want) != nil {
			continue
		}
		got, err := ovo.NewDecoder([]byte(text)).Value()
		require.NoError(t, err, text)
		assert.Equal(t, want, plainValue(got), text)
		again := mustAppend(got)
		var back any
		require.NoError(t, json.Unmarshal(again, &back), text)
		assert.Equal(t, want, back, text)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"[", `{"a":`} {
		text := strings.Repeat(open, 1_000_000)
		err := ovo.NewDecoder([]byte(text)).Skip()
		require.ErrorIs(t, err, fault.ErrInvalid)
		assert.ErrorContains(t, err, "deeper than 100 levels")
		_, err = ovo.NewDecoder([]byte(text)).Value()
		require.ErrorIs(t, err, fault.ErrInvalid)
		assert.Less(t, len(err.Error()), 1000)
	}
	// Siblings are not deep.
	_, err := ovo.NewDecoder([]byte("[" + strings.Repeat("[],{},", 200) + "0]")).Value()
	assert.NoError(t, err)
}

func TestInt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`0`: 0, `-7`: -7, `7.0`: 7, `70e-1`: 7, `7E0`: 7, `"7"`: 7, `" -7 "`: -7, `9007199254740993`: 9007199254740993,
	} {
		n, err := ovo.NewDecoder([]byte(text)).Int()
		require.NoError(t, err, text)
		assert.Equal(t, want, n, text)
	}
	for text, want := range map[string]string{
		`7.5`:                   "expected an integer, found a fraction (at byte 0)",
		`1e400`:                 "the number is out of range (at byte 0)",
		`99999999999999999999`:  "the number is out of range (at byte 0)",
		` "seven"`:              "expected a number, found a string (at byte 1)",
		`null`:                  "expected a number, found null (at byte 0)",
		`{}`:                    "expected a number, found an object (at byte 0)",
		`-x`:                    `expected a digit, found "x" (at byte 1)`,
		``:                      "expected a number, found the end of the text (at byte 0)",
		`"99999999999999999999`: "a string is not closed (at byte 21)",
	} {
		_, err := ovo.NewDecoder([]byte(text)).Int()
		require.ErrorIs(t, err, fault.ErrInvalid, text)
		assert.EqualError(t, err, want, text)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	t.Parallel()
	own := errors.New("no such thing")
	for text, want := range map[string]string{
		`{"a":{"b":[0,{"c":x}]}}`:             `a.b[1].c: expected a value, found "x" (at byte 18)`,
		`{"a b":"x"}`:                         `"a b": no such thing (at byte 7)`,
		`{"":"x"}`:                            `"": no such thing (at byte 4)`,
		`{"a":[1,2`:                           `a: expected , or ], found the end of the text (at byte 9)`,
		`{"a":1 "b"`:                          `expected , or }, found a string (at byte 7)`,
		`{"a":1,null`:                         `expected a key, found null (at byte 7)`,
		`{"\u0061":"x"}`:                      `a: no such thing (at byte 10)`,
		`{"` + strings.Repeat("k", 99) + `":`: `"` + strings.Repeat("k", 64) + `"...: expected a value, found the end of the text (at byte 103)`,
	} {
		d := ovo.NewDecoder([]byte(text))
		var walk func() error
		walk = func() error {
			switch d.Kind() {
			case ovo.KindObject:
				return d.Object(func([]byte) error { return walk() })
			case ovo.KindArray:
				return d.Array(func(int) error { return walk() })
			case ovo.KindString:
				return own
			}
			return d.Skip()
		}
		err := walk()
		require.Error(t, err, text)
		assert.EqualError(t, err, want, text)
		assert.Equal(t, !errors.Is(err, fault.ErrInvalid), errors.Is(err, own), text)
	}
}

func TestReadingNothingSkips(t *testing.T) {
	t.Parallel()
	d := ovo.NewDecoder([]byte(`{"a": {"x": [1, 2]}, "b": [ 1 , {} ]} `))
	var keys []string
	require.NoError(t, d.Object(func(key []byte) error {
		keys = append(keys, string(key))
		if string(key) == "b" {
			return d.Array(func(int) error { return nil })
		}
		return nil
	}))
	assert.Equal(t, []string{"a", "b"}, keys)
	assert.NoError(t, d.End())
}

func TestSeek(t *testing.T) {
	t.Parallel()
	d := ovo.NewDecoder([]byte(`[{"a": 1}, 2]`))
	var at int
	require.NoError(t, d.Array(func(i int) error {
		if i == 0 {
			at = d.Offset()
		}
		return d.Skip()
	}))
	end := d.Offset()
	d.Seek(at)
	raw, err := d.Raw()
	require.NoError(t, err)
	assert.Equal(t, `{"a": 1}`, string(raw))
	d.Seek(end)
	assert.NoError(t, d.End())
	assert.False(t, d.Null())
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                     `""`,
		"plain <&> text":       `"plain <&> text"`,
		"\"\\/\b\f\n\r\t\x00~": `"\"\\/\b\f\n\r\t\u0000~"`,
		"\x7f":                 `"\u007f"`,
		"ñandú\u2028":          `"\u00f1and\u00fa\u2028"`,
		"😀":                    `"\ud83d\ude00"`,
		"a\xffb\xc3":           `"a\ufffdb\ufffd"`,
	} {
		assert.Equal(t, want, string(ovo.AppendString(nil, s)))
		assert.Equal(t, want, string(ovo.AppendString(nil, []byte(s))))
	}
}

// depth is how deep a valid text nests.
func depth(text []byte) int {
	n, deepest, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			n++
			deepest = max(deepest, n)
		case c == ']' || c == '}':
			n--
		}
	}
	return deepest
}

func FuzzDecoder(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := ovo.NewDecoder(text)
		raw, err := d.Raw()
		if err == nil {
			err = d.End()
		}
		valid := json.Valid(text)
		if err != nil {
			assert.ErrorIs(t, err, fault.ErrInvalid)
			assert.Less(t, len(err.Error()), 10_000)
			if valid {
				require.Greater(t, depth(text), ovo.MaxDepth, "%v", err)
			}
			return
		}
		require.True(t, valid)

		v, err := ovo.NewDecoder(raw).Value()
		require.NoError(t, err)
		var want any
		require.NoError(t, jsonUnmarshal(text, &want))
		again := mustAppend(v)
		for _, c := range again {
			require.True(t, c >= ' ' && c < 0x7f, "not ASCII: %q", again)
		}
		var back any
		require.NoError(t, jsonUnmarshal(again, &back))
		require.Equal(t, want, back)
	})
}

// jsonUnmarshal keeps numbers as they are written.
func jsonUnmarshal(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	return d.Decode(v)
}
