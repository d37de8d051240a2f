// SPDX-License-Identifier: Apache-2.0

package ovo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/internal/secret"
)

type inner struct {
	ID    string
	Specs map[string]string
	Wire  *ovo.Wire
}

type thing struct {
	ID      string
	Name    string
	Key     secret.Text
	On      bool
	Off     bool
	Size    int
	At      time.Time
	Meta    map[string]string
	List    []string
	Inner   *inner
	Left    string // two fields in one key
	Right   string
	Comment string
	Wire    *ovo.Wire
}

var innerSchema = ovo.New("Inner", "1.3", func(i *inner) **ovo.Wire { return &i.Wire },
	ovo.String("id", func(i *inner) *string { return &i.ID }),
	ovo.StringMap("specs", func(i *inner) *map[string]string { return &i.Specs }),
)

var thingSchema = ovo.New("Thing", "1.9", func(t *thing) **ovo.Wire { return &t.Wire },
	ovo.String("id", func(t *thing) *string { return &t.ID }),
	ovo.EmptyString("name", func(t *thing) *string { return &t.Name }),
	ovo.String("key", func(t *thing) *secret.Text { return &t.Key }),
	ovo.Bool("on", func(t *thing) *bool { return &t.On }, true),
	ovo.Bool("off", func(t *thing) *bool { return &t.Off }, false),
	ovo.Int("size", func(t *thing) *int { return &t.Size }),
	ovo.Time("at", func(t *thing) *time.Time { return &t.At }),
	ovo.StringMap("meta", func(t *thing) *map[string]string { return &t.Meta }),
	ovo.StringList("list", func(t *thing) *[]string { return &t.List }),
	ovo.Object("inner", func(t *thing) **inner { return &t.Inner }, innerSchema),
	ovo.Relation[thing]("others"),
	ovo.Null[thing]("never"),
	ovo.Custom("pair", func(t *thing) *thing { return t }, ovo.Codec[thing]{
		Append: func(dst []byte, t *thing) []byte { return ovo.AppendStrings(dst, []string{t.Left, t.Right}) },
		Read: func(d *ovo.Decoder, t *thing) (bool, error) {
			n := 0
			err := d.Array(func(i int) (err error) {
				n++
				switch i {
				case 0:
					t.Left, err = d.String()
				case 1:
					t.Right, err = d.String()
				}
				return err
			})
			return n == 2, err
		},
		Equal: func(a, b *thing) bool { return a.Left == b.Left && a.Right == b.Right },
		Copy:  func(dst, src *thing) { dst.Left, dst.Right = src.Left, src.Right },
		Absent: func(t *thing) {
			t.Left, t.Right = "", ""
		},
		Revise: func(dst []byte, t *thing, odd []byte) []byte {
			return ovo.AppendStrings(dst, []string{t.Left, t.Right, "was " + string(odd)})
		},
	}),
	ovo.String("comment", func(t *thing) *string { return &t.Comment }).OmitZero(),
)

func envelope(name, version, data string) string {
	return `{"versioned_object.name":"` + name + `","versioned_object.namespace":"cinder","versioned_object.version":"` +
		version + `","versioned_object.data":{` + data + `}}`
}

func decode(text string) (*thing, error) {
	d := ovo.NewDecoder([]byte(text))
	v, err := thingSchema.Decode(d, nil)
	if err == nil {
		err = d.End()
	}
	return v, err
}

func write(v *thing) string { return string(thingSchema.Append(nil, v, nil)) }

const zeroThing = `"id":null,"name":"","key":null,"on":false,"off":false,"size":0,"at":null,"meta":{},"list":null,` +
	`"inner":null,"never":null,"pair":["",""]`

func TestNewRecordsAreWrittenInOrder(t *testing.T) {
	t.Parallel()
	assert.Equal(t, envelope("Thing", "1.9", zeroThing), write(&thing{}))

	full := &thing{
		ID: "i", Name: "ñ", Key: "s3cret", On: true, Off: true, Size: -3,
		At:   time.Date(2024, 1, 31, 12, 0, 0, 123456000, time.UTC),
		Meta: map[string]string{"b": "2", "a": "1"}, List: []string{"x", "y"},
		Inner: &inner{ID: "j"}, Left: "l", Right: "r", Comment: "c",
	}
	text := envelope("Thing", "1.9", `"id":"i","name":"\u00f1","key":"s3cret","on":true,"off":true,"size":-3,`+
		`"at":"2024-01-31T12:00:00.123456Z","meta":{"a":"1","b":"2"},"list":["x","y"],`+
		`"inner":`+envelope("Inner", "1.3", `"id":"j","specs":{}`)+`,"never":null,"pair":["l","r"],"comment":"c"`)
	assert.Equal(t, text, write(full))

	back, err := decode(text)
	require.NoError(t, err)
	assert.Equal(t, full, back)
	assert.Nil(t, back.Wire)
}

func TestRelations(t *testing.T) {
	t.Parallel()
	others := []string{"x", "y"}
	text := thingSchema.Append(nil, &thing{}, func(dst []byte, name string) ([]byte, bool) {
		assert.Equal(t, "others", name)
		return ovo.AppendList(dst, "ThingList", "1.1", len(others), func(dst []byte, i int) []byte {
			return innerSchema.Append(dst, &inner{ID: others[i]}, nil)
		}), true
	})
	assert.Equal(t, envelope("Thing", "1.9", strings.Replace(zeroThing, `"never"`, `"others":`+
		envelope("ThingList", "1.1", `"objects":[`+envelope("Inner", "1.3", `"id":"x","specs":{}`)+`,`+
			envelope("Inner", "1.3", `"id":"y","specs":{}`)+`]`)+`,"never"`, 1)), string(text))

	var got []string
	read := func(d *ovo.Decoder, _ string) error {
		return ovo.DecodeList(d, "ThingList", func(d *ovo.Decoder) error {
			i, err := innerSchema.Decode(d, nil)
			if err == nil {
				got = append(got, i.ID)
			}
			return err
		})
	}
	v, err := thingSchema.Decode(ovo.NewDecoder(text), read)
	require.NoError(t, err)
	assert.Equal(t, others, got)
	assert.Nil(t, v.Wire)

	_, err = thingSchema.Decode(ovo.NewDecoder(text), nil)
	require.NoError(t, err)

	broken := errors.New("broken")
	_, err = thingSchema.Decode(ovo.NewDecoder(text), func(*ovo.Decoder, string) error { return broken })
	require.ErrorIs(t, err, broken)
	assert.NotErrorIs(t, err, fault.ErrInvalid)
	assert.Contains(t, err.Error(), "versioned_object.data.others: broken")

	bad := strings.Replace(string(text), `"id":"y"`, `"id":7`, 1)
	_, err = thingSchema.Decode(ovo.NewDecoder([]byte(bad)), read)
	require.ErrorIs(t, err, fault.ErrInvalid)
	assert.Contains(t, err.Error(), "versioned_object.data.others.versioned_object.data.objects[1].versioned_object.data.id: expected a string")

	noList := strings.Replace(string(text), `"objects"`, `"things"`, 1)
	_, err = thingSchema.Decode(ovo.NewDecoder([]byte(noList)), read)
	assert.ErrorContains(t, err, "objects is missing")
}

func TestOddDocumentsSurvive(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		``, zeroThing,
		`"id":"","name":null,"key":"","on":null,"off":null,"size":null,"meta":null,"list":[],"never":1,"pair":["a"],"comment":null`,
		`"size":"12","pair":["a","b","c"],"meta":{"k":null},"others":null`,
		`"size":1.0,"never":[1,{"x":"\u00f1"}],"inner":` + envelope("Inner", "1.0", `"more":{"a":[]},"specs":null`),
		`"size":-0,"at":"0001-01-01T00:00:00Z","unknown":"x","another":{},"":0`,
	} {
		text := envelope("Thing", "1.2", data)
		v, err := decode(text)
		require.NoError(t, err, data)
		out := write(v)
		var want, got any
		require.NoError(t, jsonUnmarshal([]byte(text), &want))
		require.NoError(t, jsonUnmarshal([]byte(out), &got))
		assert.Equal(t, want, got, data)
		again, err := decode(out)
		require.NoError(t, err)
		assert.Equal(t, v, again, data)
	}
}

func TestReadValues(t *testing.T) {
	t.Parallel()
	v, err := decode(envelope("Thing", "1.9", `"size":"12","pair":["a","b","c"],"meta":{"k":null,"l":"m"},"list":[]`))
	require.NoError(t, err)
	assert.Equal(t, 12, v.Size)
	assert.True(t, v.On, "absent means true")
	assert.Equal(t, map[string]string{"k": "", "l": "m"}, v.Meta)
	v.Left, v.Size = "z", 13
	assert.JSONEq(t, envelope("Thing", "1.9",
		`"size":13,"pair":["z","b","was [\"a\",\"b\",\"c\"]"],"meta":{"k":null,"l":"m"},"list":[]`), write(v))
}

func TestTextsAreKeptCompactInASCII(t *testing.T) {
	t.Parallel()
	v, err := decode(envelope("Thing", "1.9", ` "never" : { "a b" : [ 1 , "ñ \" 😀" ] } , "more" : " x\\" `))
	require.NoError(t, err)
	assert.Equal(t, json.RawMessage(`{"a b":[1,"\u00f1 \" \ud83d\ude00"]}`), v.Wire.Odd["never"]) //nolint:testifylint // the notation counts
	assert.Equal(t, []ovo.Extra{{Name: "more", Value: json.RawMessage(`" x\\"`)}}, v.Wire.Extra)
	raw := envelope("Thing", "1.9", `"size":1`)
	kept, err := decode(raw)
	require.NoError(t, err)
	assert.Empty(t, kept.Wire.Odd["id"])
	assert.Contains(t, kept.Wire.Odd, "id")
}

func TestKeysTwice(t *testing.T) {
	t.Parallel()
	v, err := decode(envelope("Thing", "1.9", zeroThing+`,"size":null,"size":3,"x":1,"y":2,"x":3,"meta":{"a":"1"},"meta":{"b":"2"},`+
		`"pair":["a","b"],"pair":["c"]`))
	require.NoError(t, err)
	assert.Equal(t, 3, v.Size)
	assert.Equal(t, map[string]string{"b": "2"}, v.Meta)
	assert.Equal(t, []string{"c", ""}, []string{v.Left, v.Right})
	assert.Equal(t, map[string]json.RawMessage{"pair": json.RawMessage(`["c"]`)}, v.Wire.Odd)
	assert.Equal(t, []ovo.Extra{{"y", json.RawMessage("2")}, {"x", json.RawMessage("3")}}, v.Wire.Extra)

	v, err = decode(`{"versioned_object.data":{"id":"a"},"versioned_object.name":"Other","versioned_object.data":{"id":"b"},` +
		`"versioned_object.namespace":"cinder","versioned_object.version":"1.9","versioned_object.name":"Thing"}`)
	require.NoError(t, err)
	assert.Equal(t, "b", v.ID)
}

func TestEnvelopes(t *testing.T) {
	t.Parallel()
	v, err := decode(`{"cinderlib.data":{"x":1},"versioned_object.changes":["id"],"versioned_object.data":{"id":"a"},` +
		`"versioned_object.version":"1.20","versioned_object.namespace":"cinder","versioned_object.name":"Thing"}`)
	require.NoError(t, err)
	assert.Equal(t, "a", v.ID)
	assert.Equal(t, "1.20", v.Wire.Version)

	long := strings.Repeat("x", 1000)
	for text, want := range map[string]string{
		`[]`:                              "expected an object, found an array (at byte 0)",
		`{}`:                              "versioned_object.name is missing (at byte 2)",
		envelope("Snapshot", "1.9", ``):   `expected the object Thing, found "Snapshot"`,
		envelope("Thing", "2.0", ``):      "Thing has version 2.0, this library knows 1.9",
		envelope("Thing", "1", ``):        `versioned_object.version is not a version: "1"`,
		envelope("Thing", "1.x", ``):      `versioned_object.version is not a version: "1.x"`,
		envelope("Thing", long, ``):       `x"... (at byte`,
		envelope("Thing", "1.9", `"x":x`): `versioned_object.data.x: expected a value, found "x" (at byte`,
		`{"versioned_object.name":"Thing","versioned_object.namespace":"nova","versioned_object.version":"1.9","versioned_object.data":{}}`:             `expected the namespace cinder, found "nova"`,
		`{"versioned_object.name":"Thing","versioned_object.namespace":"cinder","versioned_object.version":"1.9"}`:                                      "versioned_object.data is missing",
		`{"versioned_object.name":"Thing","versioned_object.namespace":"cinder","versioned_object.version":1.9}`:                                        "versioned_object.version: expected a string, found a number",
		`{"versioned_object.data":{"size":"x"},"versioned_object.name":"Thing","versioned_object.namespace":"cinder","versioned_object.version":"1.9"}`: `versioned_object.data.size: expected a number, found a string (at byte 33)`,
		envelope("Thing", "1.9", `"on":"true"`):                                           "versioned_object.data.on: expected a boolean, found a string",
		envelope("Thing", "1.9", `"meta":{"a":{}}`):                                       "versioned_object.data.meta.a: expected a string, found an object",
		envelope("Thing", "1.9", `"list":["a",1]`):                                        "versioned_object.data.list[1]: expected a string, found a number",
		envelope("Thing", "1.9", `"inner":`+envelope("Inner", "1.3", `"id":[]`)):          "versioned_object.data.inner.versioned_object.data.id: expected a string, found an array",
		envelope("Thing", "1.9", `"inner":`+envelope("Outer", "1.3", ``)):                 `versioned_object.data.inner.versioned_object.data: expected the object Inner, found "Outer"`,
		envelope("Thing", "1.9", `"at":"yesterday"`):                                      `versioned_object.data.at: expected a time, found "yesterday"`,
		`{"versioned_object.name":"A","versioned_object.name":"Thing","versioned_object.`: "a string is not closed",
	} {
		_, err := decode(text)
		require.ErrorIs(t, err, fault.ErrInvalid, text)
		assert.ErrorContains(t, err, want, text)
		assert.Less(t, len(err.Error()), 300)
	}
}

func TestChangedAndMerge(t *testing.T) {
	t.Parallel()
	old := &thing{
		ID: "i", Meta: map[string]string{"a": "1"}, List: []string{"x"}, At: time.Date(2024, 1, 1, 0, 0, 0, 1500, time.UTC),
		Inner: &inner{ID: "j", Specs: map[string]string{"s": "t"}},
	}
	same := &thing{
		ID: "i", Meta: map[string]string{"a": "1"}, List: []string{"x"}, At: old.At.In(time.FixedZone("", 60)).Truncate(time.Microsecond),
		Inner: &inner{ID: "j", Specs: map[string]string{"s": "t"}},
	}
	assert.Empty(t, thingSchema.Changed(old, same))
	assert.Empty(t, thingSchema.Changed(&thing{Meta: map[string]string{}, List: []string{}}, &thing{}))

	changed := &thing{
		ID: "i", Name: "n", On: true, Size: 2, Key: "k", Meta: map[string]string{"a": "2"}, List: []string{"x", "y"},
		Inner: &inner{ID: "j", Specs: map[string]string{"s": "u"}}, Right: "r", Wire: &ovo.Wire{Version: "1.1"},
	}
	assert.Equal(t, []string{"name", "key", "on", "size", "at", "meta", "list", "inner", "pair"}, thingSchema.Changed(old, changed))

	into := &thing{ID: "i", Comment: "of others", Off: true}
	thingSchema.Merge(into, old, changed)
	assert.Equal(t, &thing{
		ID: "i", Name: "n", On: true, Size: 2, Key: "k", Meta: map[string]string{"a": "2"}, List: []string{"x", "y"},
		Inner: &inner{ID: "j", Specs: map[string]string{"s": "u"}}, Right: "r", Wire: &ovo.Wire{Version: "1.1"},
		Comment: "of others", Off: true,
	}, into)
	changed.Meta["a"], changed.List[0], changed.Inner.Specs["s"] = "later", "later", "later"
	assert.Equal(t, "2", into.Meta["a"])
	assert.Equal(t, "x", into.List[0])
	assert.Equal(t, "u", into.Inner.Specs["s"])

	thingSchema.Merge(into, &thing{Inner: &inner{}}, &thing{})
	assert.Nil(t, into.Inner)
}

func TestWireShowsNothing(t *testing.T) {
	t.Parallel()
	w := &ovo.Wire{
		Odd:   map[string]json.RawMessage{"key": json.RawMessage(`"s3cret"`)},
		Extra: []ovo.Extra{{Name: "more", Value: json.RawMessage(`"s3cret"`)}},
	}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("m", slog.Any("w", w), slog.Any("t", thing{Wire: w, Key: "s3cret"}))
	}
	marshalled, err := json.Marshal(w)
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(w), fmt.Sprintf("%v %+v %#v %s %q %x %d", w, w, w, w, w, w, w), fmt.Sprintf("%+v %#v", *w, *w),
		fmt.Sprintf("%v %+v %#v", w.Extra, w.Extra, w.Extra), fmt.Sprintf("%+v %#v", &thing{Wire: w}, thing{Wire: w}),
		log.String(), string(marshalled),
	} {
		assert.NotContains(t, text, "s3cret")
		assert.NotContains(t, text, fmt.Sprintf("%x", "s3cret"))
	}
}
