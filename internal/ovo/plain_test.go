// SPDX-License-Identifier: Apache-2.0

package ovo_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/ovo"
	"github.com/gocinder/cinderlib/internal/secret"
)

// meant gives Python's to_dict with object lists as plain lists, which is what
// it was meant to give.
func meant(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = meant(v[i])
		}
	case map[string]any:
		for _, name := range []string{"snapshotlist", "volumeattachmentlist"} {
			if list, ok := v[name].(map[string]any); ok {
				return meant(list["objects"])
			}
		}
		for k := range v {
			v[k] = meant(v[k])
		}
	}
	return v
}

func TestPlainIsToDict(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/python/*to_dict.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		dict, err := os.ReadFile(file)
		require.NoError(t, err)
		doc, err := os.ReadFile(strings.Replace(file, "to_dict", "json", 1))
		require.NoError(t, err)
		got, err := ovo.Plain(doc)
		require.NoError(t, err, file)
		var want any
		require.NoError(t, json.Unmarshal(dict, &want))
		assert.Equal(t, meant(want), plainValue(got), file)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	got, err := ovo.Plain([]byte(envelope("Volume", "1.9", `"a":1,"list":`+envelope("SnapshotList", "1.0", `"objects":[]`))))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"volume": map[string]any{"a": int64(1), "list": []any{}}}, got)
	for _, text := range []string{``, `[]`, `null`, `{"class":"Backend"}`, `{"class":"Volume","ovo":[]}`, `{} 1`, `{"a":}`} {
		_, err := ovo.Plain([]byte(text))
		require.ErrorIs(t, err, fault.ErrInvalid, text)
	}
}

func TestAppendValue(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`null`:                nil,
		`{"a":["b"],"c":"s"}`: map[string]any{"c": secret.Text("s"), "a": []string{"b"}},
		`{"a":"b"}`:           map[string]string{"a": "b"},
		`[1,2,3.5,7,1e+21]`:   []any{1, int64(2), 3.5, json.Number("7"), 1e21},
		`[8,true,"\u00f1"]`:   []any{uint8(8), true, "ñ"},
		`{"A":"\u003c\u00f1"}`: struct{ A string }{
			"<ñ",
		},
	} {
		got, err := ovo.AppendValue(nil, v)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	for _, v := range []any{math.NaN(), math.Inf(1), json.Number("1x"), json.Number(""), func() {}, make(chan int)} {
		got, err := ovo.AppendValue(nil, map[string]any{"a": []any{v, 1}})
		require.ErrorIs(t, err, fault.ErrInvalid)
		assert.JSONEq(t, `{"a":[null,1]}`, string(got))
	}
	many, want := map[string]string{}, `{`
	for i := range 40 {
		k := fmt.Sprintf("k%02d", i)
		many[k] = "v"
		want += `"` + k + `":"v",`
	}
	assert.Equal(t, strings.TrimSuffix(want, ",")+"}", string(ovo.AppendStringMap(nil, many)))
}
