// SPDX-License-Identifier: Apache-2.0

package drivers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// samples are documents that Python cinderlib wrote, by file name.
func samples(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("../testdata/python/*")
	require.NoError(tb, err)
	docs := make(map[string][]byte)
	for _, f := range files {
		if strings.Contains(f, "to_dict") {
			continue // no envelopes
		}
		text, err := os.ReadFile(f)
		require.NoError(tb, err)
		docs[filepath.Base(f)] = text
	}
	require.NotEmpty(tb, docs)
	return docs
}

// envelopes calls fn with the text of every envelope of an object in a document.
func envelopes(tb testing.TB, text []byte, name string, fn func(text []byte)) {
	tb.Helper()
	d := ovo.NewDecoder(text)
	var walk func() error
	walk = func() error {
		switch d.Kind() {
		case ovo.KindArray:
			return d.Array(func(int) error { return walk() })
		case ovo.KindObject:
			start, found := d.Offset(), false
			err := d.Object(func(key []byte) error {
				if string(key) != "versioned_object.name" {
					return walk()
				}
				s, err := d.String()
				found = s == name
				return err
			})
			if found && err == nil {
				fn(text[start:d.Offset()])
			}
			return err
		}
		return d.Skip()
	}
	require.NoError(tb, walk())
}

// rewrite decodes an envelope and writes it again; relations pass through as
// they are.
func rewrite[T any](s *ovo.Schema[T], text []byte) (rec *T, out []byte, err error) {
	relations := map[string][]byte{}
	d := ovo.NewDecoder(text)
	rec, err = s.Decode(d, func(d *ovo.Decoder, name string) error {
		raw, err := d.Raw()
		relations[name] = raw
		return err
	})
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, nil, err
	}
	return rec, s.Append(nil, rec, func(dst []byte, name string) ([]byte, bool) {
		raw, ok := relations[name]
		return append(dst, raw...), ok
	}), nil
}

func value(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(tb, d.Decode(&v))
	return v
}

func survives[T any](t *testing.T, s *ovo.Schema[T]) {
	t.Helper()
	total := 0
	for file, text := range samples(t) {
		envelopes(t, text, s.Name, func(text []byte) {
			total++
			_, out, err := rewrite(s, text)
			require.NoError(t, err, file)
			assert.Equal(t, value(t, text), value(t, out), file)

			// With keys in order of the alphabet the data comes before the name.
			sorted, err := json.Marshal(value(t, text))
			require.NoError(t, err)
			_, again, err := rewrite(s, sorted)
			require.NoError(t, err, file)
			assert.Equal(t, value(t, text), value(t, again), file)
		})
	}
	assert.Greater(t, total, 40)
}

func TestVolumesOfPythonSurvive(t *testing.T) {
	t.Parallel()
	survives(t, drivers.VolumeSchema())
}

func TestSnapshotsOfPythonSurvive(t *testing.T) {
	t.Parallel()
	survives(t, drivers.SnapshotSchema())
}

// everyField sets one field of a record after the other and looks whether the
// schema tells the difference, carries it over and writes it.
func everyField[T any](t *testing.T, s *ovo.Schema[T]) {
	t.Helper()
	for i := range reflect.TypeFor[T]().NumField() {
		name := reflect.TypeFor[T]().Field(i).Name
		if name == "Wire" {
			continue
		}
		var none, rec, merged T
		f := reflect.ValueOf(&rec).Elem().Field(i)
		switch v := f.Addr().Interface().(type) {
		case *string:
			*v = "text"
		case *drivers.Secret:
			*v = "text"
		case *bool:
			*v = true
		case *int:
			*v = 7
		case *time.Time:
			*v = time.Date(2024, 1, 31, 12, 0, 0, 123456000, time.UTC)
		case *map[string]string:
			*v = map[string]string{"a": "b"}
		case **drivers.VolumeType:
			*v = &drivers.VolumeType{
				ID: "a", Name: "b", Description: "c", IsPublic: true, Projects: []string{"d"}, ExtraSpecs: map[string]string{"e": "f"},
				QoSSpecsID: "g", CreatedAt: time.Unix(1, 0).UTC(), UpdatedAt: time.Unix(2, 0).UTC(), DeletedAt: time.Unix(3, 0).UTC(), Deleted: true,
				QoS: &drivers.QoSSpecs{
					ID: "h", Name: "i", Consumer: "j", Specs: map[string]string{"k": "l"},
					CreatedAt: time.Unix(1, 0).UTC(), UpdatedAt: time.Unix(2, 0).UTC(), DeletedAt: time.Unix(3, 0).UTC(), Deleted: true,
				},
			}
		default:
			require.Fail(t, "this test knows no such type", name)
		}
		assert.Len(t, s.Changed(&none, &rec), 1, name)
		s.Merge(&merged, &none, &rec)
		assert.Equal(t, rec, merged, name)
		back, _, err := rewrite(s, s.Append(nil, &rec, nil))
		require.NoError(t, err, name)
		assert.Equal(t, &rec, back, name)
	}
}

func TestSchemasHaveEveryField(t *testing.T) {
	t.Parallel()
	everyField(t, drivers.VolumeSchema())
	everyField(t, drivers.SnapshotSchema())
}

// What Python wrote compactly we write byte for byte: order, escapes, times.
func TestSameTextAsPython(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"memory.brief.all-dumps.txt", "db.brief.all-dumps.txt"} {
		text := samples(t)[file]
		envelopes(t, text, "Volume", func(text []byte) {
			_, out, err := rewrite(drivers.VolumeSchema(), text)
			require.NoError(t, err)
			assert.Equal(t, string(text), string(out))
		})
		envelopes(t, text, "Snapshot", func(text []byte) {
			_, out, err := rewrite(drivers.SnapshotSchema(), text)
			require.NoError(t, err)
			assert.Equal(t, string(text), string(out))
		})
	}
}

// A record of the memory samples needs no Wire: it could have been made here.
func TestRecordsOfPythonAreAsOurs(t *testing.T) {
	t.Parallel()
	text := samples(t)["memory.brief.volume-with-specs-json.json"]
	found := 0
	envelopes(t, text, "Volume", func(text []byte) {
		found++
		v, _, err := rewrite(drivers.VolumeSchema(), text)
		require.NoError(t, err)
		id := "00000001-0000-4000-8000-000000000005"
		assert.Equal(t, &drivers.Volume{
			ID: id, UserID: "cinderlib", ProjectID: "cinderlib", UseQuota: true,
			Host: "sample-host@sample#sample", Size: 5, Status: "available", AttachStatus: "detached",
			Name: "vol-with-specs", VolumeTypeID: id, SharedTargets: true,
			CreatedAt: time.Date(2024, 1, 31, 12, 0, 0, 123456000, time.UTC),
			VolumeType: &drivers.VolumeType{
				ID: id, Name: id, IsPublic: true, QoSSpecsID: id,
				ExtraSpecs: map[string]string{"thin": "true", "volume_backend_name": "sample"},
				QoS: &drivers.QoSSpecs{
					ID: id, Name: id, Consumer: "back-end", Specs: map[string]string{"maxIOPS": "500"},
				},
			},
		}, v)
	})
	assert.Equal(t, 1, found)
}

// oddVolumes are data of envelopes that no record made here would have.
var oddVolumes = map[string]string{
	"nothing at all":       ``,
	"a later version":      `"id":"a","from_the_future":[1,{"a":null}],"size":1`,
	"null for text":        `"display_name":null,"display_description":null`,
	"empty for null":       `"id":"a","status":"","host":"","provider_auth":""`,
	"null for flags":       `"deleted":null,"bootable":null,"use_quota":null,"shared_targets":null`,
	"null for a number":    `"size":null`,
	"text for a number":    `"size":"7"`,
	"a float for a number": `"size":7.0`,
	"null for maps":        `"metadata":null,"admin_metadata":null,"glance_metadata":null`,
	"maps with null":       `"metadata":{"a":null,"b":"c"}`,
	"what we never hold":   `"cluster":{"x":1},"group":[],"consistencygroup":false`,
	"null for relations":   `"volume_attachment":null,"snapshots":null`,
	"a type in full": `"volume_type":{"versioned_object.name":"VolumeType","versioned_object.namespace":"cinder",` +
		`"versioned_object.version":"1.2","versioned_object.data":{"id":"a","description":null,"projects":[],` +
		`"deleted":false,"created_at":null,"extra_specs":{"a":null},"more":0,"qos_specs":null}}`,
}

func volumeEnvelope(version, data string) string {
	return `{"versioned_object.name":"Volume","versioned_object.namespace":"cinder",` +
		`"versioned_object.version":"` + version + `","versioned_object.data":{` + data + `}}`
}

func TestOddVolumesSurvive(t *testing.T) {
	t.Parallel()
	for name, data := range oddVolumes {
		for _, version := range []string{"1.9", "1.6", "1.20"} {
			text := []byte(volumeEnvelope(version, data))
			_, out, err := rewrite(drivers.VolumeSchema(), text)
			require.NoError(t, err, name)
			assert.Equal(t, value(t, text), value(t, out), name)
			rec, out2, err := rewrite(drivers.VolumeSchema(), out)
			require.NoError(t, err, name)
			assert.Equal(t, string(out), string(out2), name)
			require.NotNil(t, rec.Wire, name)
			assert.Equal(t, version, rec.Wire.Version)
		}
	}
}

// What was odd is so only as long as the field keeps its value.
func TestChangedFieldsAreWrittenAnew(t *testing.T) {
	t.Parallel()
	v, _, err := rewrite(drivers.VolumeSchema(), []byte(volumeEnvelope("1.6",
		`"size":"7","display_name":null,"status":"","metadata":{"a":null},"new":1`)))
	require.NoError(t, err)
	assert.Equal(t, 7, v.Size)
	assert.True(t, v.UseQuota)
	assert.True(t, v.SharedTargets)
	v.Size = 8
	v.Name = "n"
	v.Status = "available"
	v.Metadata["b"] = "c"
	v.UseQuota = false
	out := value(t, drivers.VolumeSchema().Append(nil, v, nil)).(map[string]any)
	assert.Equal(t, "1.6", out["versioned_object.version"])
	assert.Equal(t, map[string]any{
		"size": json.Number("8"), "display_name": "n", "status": "available", "use_quota": false,
		"metadata": map[string]any{"a": "", "b": "c"}, "new": json.Number("1"),
	}, out["versioned_object.data"])
}

// No way of showing a record shows its secrets, not even those in its Wire.
func TestRecordsShowNoSecrets(t *testing.T) {
	t.Parallel()
	v, _, err := rewrite(drivers.VolumeSchema(), []byte(volumeEnvelope("1.9",
		`"provider_auth":"s3cret","password":"s3cret","cluster":"s3cret"`)))
	require.NoError(t, err)
	require.Equal(t, "s3cret", v.ProviderAuth.Reveal())
	s := &drivers.Snapshot{ProviderAuth: "s3cret", Wire: v.Wire}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("m", slog.Any("v", v), slog.Any("s", s), slog.Any("value", *v))
	}
	asJSON, err := json.Marshal([]any{v, s})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v", v, v, v), fmt.Sprintf("%v %+v %#v", *v, *v, *v),
		fmt.Sprintf("%v %+v %#v", s, s, *s), fmt.Sprintf("%+v %#v", []any{v, &v}, map[string]any{"v": *v}),
		log.String(), string(asJSON),
	} {
		assert.NotContains(t, text, "s3cret")
		assert.NotContains(t, text, fmt.Sprintf("%x", "s3cret"))
	}
}
