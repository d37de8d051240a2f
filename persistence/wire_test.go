// SPDX-License-Identifier: Apache-2.0

package persistence_test

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

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/persistence"
)

// envelopes calls fn with the text of every VolumeAttachment in a document.
func envelopes(tb testing.TB, text []byte, fn func(text []byte)) {
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
				found = s == "VolumeAttachment"
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

func decode(text []byte) (c *persistence.Connection, volume []byte, err error) {
	d := ovo.NewDecoder(text)
	c, err = persistence.ConnectionSchema().Decode(d, func(d *ovo.Decoder, _ string) error {
		volume, err = d.Raw()
		return err
	})
	if err == nil {
		err = d.End()
	}
	return c, volume, err
}

func encode(c *persistence.Connection, volume []byte) []byte {
	return persistence.ConnectionSchema().Append(nil, c, func(dst []byte, _ string) ([]byte, bool) {
		return append(dst, volume...), volume != nil
	})
}

func value(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(tb, d.Decode(&v))
	return v
}

func survives(t *testing.T, text []byte) *persistence.Connection {
	t.Helper()
	c, volume, err := decode(text)
	require.NoError(t, err, string(text))
	out := encode(c, volume)
	assert.Equal(t, value(t, text), value(t, out))
	again, volume2, err := decode(out)
	require.NoError(t, err)
	assert.Empty(t, persistence.Changed(c, again))
	assert.Equal(t, string(out), string(encode(again, volume2)))
	assert.Equal(t, string(out), string(encode(c.Clone(), volume)))
	return c
}

func TestConnectionsOfPythonSurvive(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/python/*")
	require.NoError(t, err)
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		envelopes(t, text, func(text []byte) {
			total++
			c := survives(t, text)
			assert.Nil(t, c.Wire, "it could be one of ours")
			assert.Equal(t, "iscsi", c.Conn.Protocol)
			assert.NotEmpty(t, c.Connector.Host)
			if c.AttachedHost == "client-2" && c.Device != nil {
				assert.Equal(t, "/dev/sdz", c.Device.Path)
			}
		})
	}
	assert.Greater(t, total, 40)
}

func envelope(data string) []byte {
	return []byte(`{"versioned_object.name":"VolumeAttachment","versioned_object.namespace":"cinder",` +
		`"versioned_object.version":"1.3","versioned_object.data":{` + data + `}}`)
}

// What connection_info and connector hold, each alone, both, at odds, in either
// order.
func TestOddConnectionsSurvive(t *testing.T) {
	t.Parallel()
	const conn = `"conn":{"driver_volume_type":"rbd","data":{"name":"p/i"}}`
	for _, data := range []string{
		``,
		`"connection_info":null,"connector":null`,
		`"connection_info":null,"connector":{"host":"a"}`,
		`"connector":{"host":"a"},"connection_info":null`,
		`"connector":{"host":"a"}`,
		`"connection_info":{}`,
		`"connection_info":{},"connector":{"host":"a"}`,
		`"connection_info":{` + conn + `}`,
		`"connection_info":{` + conn + `},"connector":null`,
		`"connection_info":{` + conn + `},"connector":{"host":"a"}`,
		`"connector":{"host":"a"},"connection_info":{` + conn + `}`,
		`"connection_info":{` + conn + `,"connector":{"host":"a"}}`,
		`"connection_info":{` + conn + `,"connector":{"host":"a"}},"connector":null`,
		`"connector":null,"connection_info":{` + conn + `,"connector":{"host":"a"}}`,
		`"connection_info":{` + conn + `,"connector":{"host":"a"}},"connector":{"host":"b"}`,
		`"connector":{"host":"b"},"connection_info":{` + conn + `,"connector":{"host":"a"}}`,
		`"connection_info":{` + conn + `,"connector":null,"device":null},"connector":{"host":"a"}`,
		`"connection_info":{"conn":null,"connector":{"host":"a"},"device":{"path":"/dev/a"}},"connector":{"host":"a"}`,
		`"connection_info":{"conn":{},"connector":{"host":"a"},"device":{}},"connector":{"host":"a"}`,
		`"connection_info":{"connector":{"host":"a"}},"connector":{"host":"a"}`,
		`"connection_info":{` + conn + `,"connector":{"host":"a"},"more":[1,{"x":"ñ"}]},"connector":{"host":"a"},"attach_mode":""`,
		`"connection_info":{"more":1}`,
		`"volume":null`,
		`"volume":{"any":"thing"},"attach_status":"attached"`,
	} {
		survives(t, envelope(data))
	}
}

func TestConnectorOfEitherPlace(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`"connection_info":{"conn":{}},"connector":{"host":"a"}`:                                    "a",
		`"connector":{"host":"a"},"connection_info":{"conn":{}}`:                                    "a",
		`"connection_info":{"conn":{},"connector":{"host":"b"}},"connector":{"host":"a"}`:           "b",
		`"connector":{"host":"a"},"connection_info":{"conn":{},"connector":{"host":"b"}}`:           "b",
		`"connector":null,"connection_info":{"conn":{},"connector":{"host":"b"}}`:                   "b",
		`"connector":{"host":"x"},"connector":{"host":"a"},"connection_info":{"conn":{}}`:           "a",
		`"connection_info":{"connector":{"host":"x"}},"connection_info":{"connector":{"host":"b"}}`: "b",
	} {
		c, _, err := decode(envelope(data))
		require.NoError(t, err)
		require.NotNil(t, c.Connector, data)
		assert.Equal(t, want, c.Connector.Host, data)
	}
}

func TestUnknownKeysOfConnectionInfoOutliveChanges(t *testing.T) {
	t.Parallel()
	c, _, err := decode(envelope(`"connection_info":{"first":1,"conn":{"driver_volume_type":"local"},"device":null,` +
		`"last":[{"x":"ñ"}]},"connector":{"host":"a"}`))
	require.NoError(t, err)
	c.Device = &connector.Device{Path: "/dev/a"}
	data := func() any {
		return value(t, encode(c, nil)).(map[string]any)["versioned_object.data"].(map[string]any)["connection_info"]
	}
	assert.Equal(t, map[string]any{
		"first": json.Number("1"), "last": []any{map[string]any{"x": "ñ"}}, "conn": map[string]any{"driver_volume_type": "local"},
		"connector": map[string]any{"host": "a"}, "device": map[string]any{"path": "/dev/a"},
	}, data())
	c.Conn, c.Device = nil, nil
	assert.Equal(t, map[string]any{
		"first": json.Number("1"), "last": []any{map[string]any{"x": "ñ"}}, "connector": map[string]any{"host": "a"},
	}, data())

	// Without unknown keys nothing is left of it.
	c, _, err = decode(envelope(`"connection_info":{"conn":{"driver_volume_type":"local"},"device":null},"connector":{"host":"a"}`))
	require.NoError(t, err)
	c.Conn = nil
	assert.Nil(t, data())
}

func TestOwnConnections(t *testing.T) {
	t.Parallel()
	c := &persistence.Connection{ID: "i", VolumeID: "v", AttachMode: connector.ReadOnly, Connector: &connector.Properties{Host: "a"}}
	const head = `"id":"i","volume_id":"v","instance_uuid":null,"attached_host":null,"mountpoint":null,"attach_time":null,` +
		`"detach_time":null,"attach_status":null,"attach_mode":"ro",`
	const tail = `,"connector":{"host":"a"},"created_at":null,"updated_at":null,"deleted_at":null,"deleted":false`
	assert.Equal(t, string(envelope(head+`"connection_info":null`+tail)), string(encode(c, nil)))
	c.Conn = &connector.ConnInfo{Protocol: "rbd", Data: &connector.RBDData{Name: "p/i", Keyring: "s3cret"}}
	c.Device = &connector.Device{Type: "block", Path: "/dev/rbd0"}
	text := encode(c, []byte(`{}`))
	assert.Equal(t, string(envelope(head+`"volume":{},"connection_info":{"conn":{"driver_volume_type":"rbd","data":{"name":"p/i",`+
		`"hosts":[],"ports":[],"auth_enabled":false,"keyring":"s3cret"}},"connector":{"host":"a"},`+
		`"device":{"type":"block","path":"/dev/rbd0"}}`+tail)), string(text))
	back, _, err := decode(text)
	require.NoError(t, err)
	assert.Equal(t, c, back)
}

func TestSchemaHasEveryField(t *testing.T) {
	t.Parallel()
	when := time.Date(2024, 1, 31, 12, 0, 0, 123456000, time.UTC)
	full := &persistence.Connection{
		ID: "a", VolumeID: "b", InstanceUUID: "c", AttachedHost: "d", Mountpoint: "e", AttachTime: when, DetachTime: when,
		AttachStatus: "f", AttachMode: "g", Conn: &connector.ConnInfo{Protocol: "h"}, Connector: &connector.Properties{Host: "i"},
		Device: &connector.Device{Path: "j"}, CreatedAt: when, UpdatedAt: when, DeletedAt: when, Deleted: true,
	}
	for i := range reflect.TypeFor[persistence.Connection]().NumField() {
		f := reflect.ValueOf(full).Elem().Field(i)
		name := reflect.TypeFor[persistence.Connection]().Field(i).Name
		if name == "Wire" {
			continue
		}
		require.False(t, f.IsZero(), name)
		rec := &persistence.Connection{}
		reflect.ValueOf(rec).Elem().Field(i).Set(f)
		assert.NotEmpty(t, persistence.Changed(&persistence.Connection{}, rec), name)
		if name != "ID" {
			merged, err := persistence.Merge(&persistence.Connection{}, &persistence.Connection{}, rec)
			require.NoError(t, err, name)
			assert.Equal(t, rec, merged, name)
		}
	}
	back, _, err := decode(encode(full, nil))
	require.NoError(t, err)
	assert.Equal(t, full, back)
}

func TestWrongConnections(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`"connection_info":[]`:               "versioned_object.data.connection_info: expected an object, found an array (at byte 158)",
		`"connection_info":{"conn":"x"}`:     "versioned_object.data.connection_info.conn: expected an object, found a string (at byte 166)",
		`"connection_info":{"device":7}`:     "connection_info.device: expected an object, found a number",
		`"connection_info":{"connector":[]}`: "connection_info.connector: expected an object, found an array",
		`"connector":true,"id":"i"`:          "versioned_object.data.connector: expected an object, found a boolean (at byte 152)",
		`"connection_info":{"conn":{"a":x}}`: `connection_info.conn: expected a value, found "x"`,
	} {
		_, _, err := decode(envelope(data))
		require.ErrorIs(t, err, persistence.ErrInvalid, data)
		assert.ErrorContains(t, err, want)
	}
}

func TestConnectionsShowNoSecrets(t *testing.T) {
	t.Parallel()
	c, _, err := decode(envelope(`"id":"the-id","connection_info":{"conn":{"driver_volume_type":"iscsi","data":{"auth_password":"s3cret","x":"s3cret"}},` +
		`"connector":{"host":"a","y":"s3cret"},"token":"s3cret"},"connector":{"host":"a"},"password":"s3cret"`))
	require.NoError(t, err)
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("m", slog.Any("c", c), slog.Any("nil", (*persistence.Connection)(nil)))
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%v %+v %#v", *c, *c, *c), fmt.Sprintf("%+v %#v", []any{c, *c}, map[string]any{"c": *c}),
		log.String(),
	} {
		assert.NotContains(t, text, "s3cret")
		assert.Contains(t, text, "iscsi")
	}
	assert.Contains(t, log.String(), "the-id")
}

func BenchmarkConnection(b *testing.B) {
	var text []byte
	sample, err := os.ReadFile("../testdata/python/memory.brief.all-dumps.txt")
	require.NoError(b, err)
	envelopes(b, sample, func(found []byte) { text = found })
	c, _, err := decode(text)
	require.NoError(b, err)
	b.Run("Append", func(b *testing.B) {
		dst := make([]byte, 0, 4096)
		b.ReportAllocs()
		for b.Loop() {
			dst = persistence.ConnectionSchema().Append(dst[:0], c, nil)
		}
		b.SetBytes(int64(len(dst)))
	})
	b.Run("Decode", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := decode(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func FuzzConnection(f *testing.F) {
	sample, err := os.ReadFile("../testdata/python/memory.brief.all-dumps.txt")
	require.NoError(f, err)
	envelopes(f, sample, func(text []byte) { f.Add(text) })
	f.Add(envelope(`"connection_info":{"conn":{},"connector":{"host":"a"},"x":1},"connector":{"host":"b"}`))
	f.Add(envelope(`"connector":{"host":"b"},"connection_info":{"device":null,"conn":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, volume, err := decode(text)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			return
		}
		out := encode(c, volume)
		again, volume, err := decode(out)
		require.NoError(t, err)
		require.Empty(t, persistence.Changed(c, again))
		require.Equal(t, string(out), string(encode(again, volume)))
		was := value(t, text).(map[string]any)["versioned_object.data"].(map[string]any)
		is := value(t, out).(map[string]any)["versioned_object.data"].(map[string]any)
		for _, key := range []string{"connection_info", "connector", "id", "attach_mode", "deleted"} {
			require.Equal(t, was[key], is[key])
		}
	})
}
