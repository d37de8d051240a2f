// SPDX-License-Identifier: Apache-2.0

package optdecode_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/optdecode"
	"github.com/gocinder/cinderlib/internal/secret"
)

type common struct {
	Name string `option:"volume_backend_name" required:"true" help:"name"`
	Old  string `option:"filter_function" aliases:"old_filter" ignored:"there is no scheduler"`
}

type options struct {
	common
	Group    string              `option:"volume_group" default:"cinder-volumes"`
	Password secret.Text         `option:"san_password" aliases:"san_pass"`
	Thin     bool                `option:"thin" default:"true"`
	Port     int                 `option:"port" aliases:"api_port,http_port" default:"443" min:"1" max:"65535"`
	Limit    int64               `option:"limit"`
	Ratio    float64             `option:"ratio" default:"20.0" min:"1"`
	Timeout  time.Duration       `option:"timeout" default:"30" min:"1"`
	Type     string              `option:"type" default:"auto" choices:"auto, thin, default"`
	Helpers  []string            `option:"helpers" choices:"a,b,c"`
	Map      map[string]string   `option:"map"`
	Targets  []map[string]string `option:"targets"`
}

func decode(t *testing.T, values map[string]any) options {
	t.Helper()
	if values["volume_backend_name"] == nil {
		values["volume_backend_name"] = "b"
	}
	o, notes, err := optdecode.Decode[options](values, false)
	require.NoError(t, err)
	assert.Empty(t, notes)
	return o
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := options{
		common: common{Name: "b"}, Group: "cinder-volumes", Thin: true, Port: 443,
		Ratio: 20, Timeout: 30 * time.Second, Type: "auto",
	}
	assert.Equal(t, want, decode(t, map[string]any{}))
	assert.Equal(t, want, decode(t, map[string]any{"port": nil, "volume_group": nil, "ratio": " "}), "null is not given")
	assert.Empty(t, decode(t, map[string]any{"volume_group": ""}).Group, "empty text is given")
}

func TestValues(t *testing.T) {
	t.Parallel()
	type number json.Number
	cases := []struct {
		name  string
		value any
		get   func(options) any
		want  any
	}{
		{"volume_group", 12, func(o options) any { return o.Group }, "12"},
		{"volume_group", 1.5, func(o options) any { return o.Group }, "1.5"},
		{"volume_group", true, func(o options) any { return o.Group }, "true"},
		{"volume_group", " as it is ", func(o options) any { return o.Group }, " as it is "},
		{"san_password", "pw", func(o options) any { return o.Password.Reveal() }, "pw"},
		{"san_password", secret.Text("pw"), func(o options) any { return o.Password.Reveal() }, "pw"},
		{"san_pass", 123456, func(o options) any { return o.Password.Reveal() }, "123456"},
		{"thin", false, func(o options) any { return o.Thin }, false},
		{"thin", "False", func(o options) any { return o.Thin }, false},
		{"thin", " No ", func(o options) any { return o.Thin }, false},
		{"thin", 0, func(o options) any { return o.Thin }, false},
		{"thin", "YES", func(o options) any { return o.Thin }, true},
		{"port", "8443", func(o options) any { return o.Port }, 8443},
		{"port", uint16(8443), func(o options) any { return o.Port }, 8443},
		{"port", 8443.0, func(o options) any { return o.Port }, 8443},
		{"port", json.Number("8443"), func(o options) any { return o.Port }, 8443},
		{"http_port", number("8.443e3"), func(o options) any { return o.Port }, 8443},
		{"limit", int64(1) << 62, func(o options) any { return o.Limit }, int64(1) << 62},
		{"limit", "-9223372036854775808", func(o options) any { return o.Limit }, int64(-1) << 63},
		{"ratio", 2, func(o options) any { return o.Ratio }, 2.0},
		{"ratio", "2.5", func(o options) any { return o.Ratio }, 2.5},
		{"timeout", 90, func(o options) any { return o.Timeout }, 90 * time.Second},
		{"timeout", 1.5, func(o options) any { return o.Timeout }, 1500 * time.Millisecond},
		{"timeout", "2.5", func(o options) any { return o.Timeout }, 2500 * time.Millisecond},
		{"timeout", "1m30s", func(o options) any { return o.Timeout }, 90 * time.Second},
		{"timeout", time.Minute, func(o options) any { return o.Timeout }, time.Minute},
		{"type", "thin", func(o options) any { return o.Type }, "thin"},
		{"type", "", func(o options) any { return o.Type }, ""},
		{"helpers", "a, b,", func(o options) any { return o.Helpers }, []string{"a", "b"}},
		{"helpers", "[a,b]", func(o options) any { return o.Helpers }, []string{"a", "b"}},
		{"helpers", "", func(o options) any { return o.Helpers }, []string{}},
		{"helpers", []any{"a"}, func(o options) any { return o.Helpers }, []string{"a"}},
		{"helpers", []string{"a", "c"}, func(o options) any { return o.Helpers }, []string{"a", "c"}},
		{"map", "a:1, b : x:y", func(o options) any { return o.Map }, map[string]string{"a": "1", "b": "x:y"}},
		{"map", "{a:1}", func(o options) any { return o.Map }, map[string]string{"a": "1"}},
		{"map", map[string]any{"a": 1, "b": "2"}, func(o options) any { return o.Map }, map[string]string{"a": "1", "b": "2"}},
		{"map", map[any]any{1: true}, func(o options) any { return o.Map }, map[string]string{"1": "true"}},
		{"targets", "a:1,b:2", func(o options) any { return o.Targets }, []map[string]string{{"a": "1", "b": "2"}}},
		{"targets", map[string]any{"a": 1}, func(o options) any { return o.Targets }, []map[string]string{{"a": "1"}}},
		{"targets", []any{"a:1", map[string]any{"b": 2}}, func(o options) any { return o.Targets }, []map[string]string{{"a": "1"}, {"b": "2"}}},
		{"targets", "", func(o options) any { return o.Targets }, []map[string]string{}},
	}
	for _, c := range cases {
		assert.Equal(t, c.want, c.get(decode(t, map[string]any{c.name: c.value})), "%s: %#v", c.name, c.value)
	}
}

func TestGivenValuesAreCopied(t *testing.T) {
	t.Parallel()
	helpers, m := []string{"a"}, map[string]string{"k": "v"}
	o := decode(t, map[string]any{"helpers": helpers, "map": m, "targets": []map[string]string{m}})
	helpers[0], m["k"] = "changed", "changed"
	assert.Equal(t, []string{"a"}, o.Helpers)
	assert.Equal(t, "v", o.Map["k"])
	assert.Equal(t, "v", o.Targets[0]["k"])
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		value any
		want  string
	}{
		{"volume_group", []any{1}, `option volume_group: given a list, want text`},
		{"thin", "perhaps", `option thin: given "perhaps", want a boolean: true or false, yes or no, on or off, 1 or 0`},
		{"thin", 2, `option thin: given 2, want a boolean: true or false, yes or no, on or off, 1 or 0`},
		{"port", "10.0", `option port: given "10.0", want a whole number`},
		{"port", 1.5, `option port: given 1.5, want a whole number`},
		{"port", true, `option port: given true, want a whole number`},
		{"port", 1e30, `option port: given 1000000000000000000000000000000, want a whole number`},
		{"port", 0, `option port: given 0, want at least 1`},
		{"api_port", 65536, `option port: (as api_port) given 65536, want at most 65535`},
		{"ratio", "NaN", `option ratio: given "NaN", want a number`},
		{"timeout", "soon", `option timeout: given "soon", want a number of seconds, or a duration such as 1m30s`},
		{"timeout", 1e300, `want a number of seconds`},
		{"timeout", "500ms", `option timeout: given "500ms", want at least 1 seconds`},
		{"type", "thick", `option type: given "thick", want one of auto, thin, default`},
		{"helpers", "a,d", `option helpers: given "a,d", want one of a, b, c`},
		{"helpers", []any{nil}, `option helpers: given a list, want a list of texts`},
		{"map", "password", `option map: given a text, want a dictionary of texts`},
		{"map", "a:1,a:2", `option map: given a text, want a dictionary`},
		{"targets", []any{"a"}, `option targets: given a list, want a list of dictionaries of texts`},
		{"san_password", []any{"hunter2"}, `option san_password: given a list, want text`},
		{"volme_group", "x", `unknown option "volme_group", did you mean "volume_group"?`},
		{"Volume-Group", "x", `unknown option "Volume-Group", did you mean "volume_group"?`},
		{"volume_gruop", "x", `unknown option "volume_gruop", did you mean "volume_group"?`},
		{"netapp_login", "x", `unknown option "netapp_login"`},
	}
	for _, c := range cases {
		_, _, err := optdecode.Decode[options](map[string]any{"volume_backend_name": "b", c.name: c.value}, false)
		require.ErrorIs(t, err, fault.ErrInvalid, "%s: %v", c.name, c.value)
		assert.Contains(t, err.Error(), c.want)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAllFaultsInOneError(t *testing.T) {
	t.Parallel()
	o, _, err := optdecode.Decode[options](map[string]any{"port": "x", "zzz": 1, "thin": "y", "zzzz": secret.Text("s")}, false)
	require.ErrorIs(t, err, fault.ErrInvalid)
	assert.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	assert.Equal(t, strings.Join([]string{
		`option volume_backend_name: is required and not given`,
		`option thin: given "y", want a boolean: true or false, yes or no, on or off, 1 or 0`,
		`option port: given "x", want a whole number`,
		`unknown option "zzz"`,
		`unknown option "zzzz"`,
	}, "; "), err.Error())
	assert.Zero(t, o)

	_, _, err = optdecode.Decode[options](map[string]any{"volume_backend_name": ""}, false)
	require.EqualError(t, err, "option volume_backend_name: is required and empty")
}

func TestAliases(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 7, decode(t, map[string]any{"http_port": "7"}).Port)
	assert.Equal(t, 7, decode(t, map[string]any{"http_port": "7", "port": 7, "api_port": 7.0}).Port, "the same value")
	assert.Equal(t, 7, decode(t, map[string]any{"http_port": "7", "port": ""}).Port, "one is empty")

	_, _, err := optdecode.Decode[options](map[string]any{
		"volume_backend_name": "b", "san_password": "hunter2", "san_pass": "hunter3",
	}, false)
	require.EqualError(t, err, "option san_password: given as san_password and as san_pass, with different values")
}

func TestNotes(t *testing.T) {
	t.Parallel()
	values := map[string]any{"volume_backend_name": "b", "old_filter": []any{1}, "filter_function": "x", "volme_group": 1, "zz": 1}
	_, notes, err := optdecode.Decode[options](values, true)
	require.NoError(t, err)
	assert.Equal(t, []optdecode.Note{
		{Level: slog.LevelDebug, Text: "known and ignored: there is no scheduler", Option: "filter_function"},
		{Level: slog.LevelDebug, Text: "known and ignored: there is no scheduler", Option: "old_filter"},
		{Level: slog.LevelWarn, Text: `unknown option, ignored, did you mean "volume_group"?`, Option: "volme_group"},
		{Level: slog.LevelWarn, Text: `unknown option, ignored`, Option: "zz"},
	}, notes)
}

// FuzzText: whatever the text, decoding ends in a value or in ErrInvalid.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "[", "{a:}", "a:b,", "1e9999", "-0", "0x1p-2", "10ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range optdecode.Describe[options]() {
			_, _, err := optdecode.Decode[options](map[string]any{"volume_backend_name": "b", d.Name: text}, false)
			if err != nil {
				require.ErrorIs(t, err, fault.ErrInvalid)
			}
		}
	})
}
