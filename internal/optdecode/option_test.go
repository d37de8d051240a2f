// SPDX-License-Identifier: Apache-2.0

package optdecode_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/optdecode"
	"github.com/gocinder/cinderlib/internal/secret"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	list := optdecode.Describe[options]()
	require.Len(t, list, 13)
	assert.Equal(t, optdecode.Option{Name: "volume_backend_name", Type: "string", Required: true, Help: "name"}, list[0])
	assert.Equal(t, optdecode.Option{
		Name: "filter_function", Aliases: []string{"old_filter"}, Type: "string", Ignored: "there is no scheduler",
	}, list[1])
	types := make([]string, len(list))
	for i, o := range list {
		types[i] = o.Type
		assert.Equal(t, o.Name == "san_password", o.Secret)
	}
	assert.Equal(t, []string{
		"string", "string", "string", "string", "boolean", "integer", "integer",
		"float", "duration", "string", "list", "dict", "dicts",
	}, types)

	text, err := json.Marshal(list[5])
	require.NoError(t, err)
	assert.JSONEq(t, `{"name": "port", "aliases": ["api_port", "http_port"], "type": "integer",
		"default": "443", "min": 1, "max": 65535}`, string(text))
}

func TestWrongTagsPanic(t *testing.T) {
	t.Parallel()
	type twice struct {
		A string `option:"a"`
		B string `option:"b" aliases:"a"`
	}
	type noTag struct{ A string }
	type misspelt struct {
		A string `option:"a" dflt:"x"`
	}
	type required struct {
		A string `option:"a" required:"yes"`
	}
	type ignored struct {
		A string `option:"a" required:"true" ignored:"why"`
	}
	type badDefault struct {
		A int `option:"a" default:"x"`
	}
	type outOfBounds struct {
		A int `option:"a" default:"1" min:"2"`
	}
	type noChoice struct {
		A string `option:"a" default:"x" choices:"y"`
	}
	type badBound struct {
		A int `option:"a" max:"many"`
	}
	type boundText struct {
		A string `option:"a" max:"1"`
	}
	type choiceNumber struct {
		A int `option:"a" choices:"1,2"`
	}
	type badType struct {
		A secret.Text `option:"a"`
		B *string     `option:"b"`
	}
	type hidden struct {
		a string `option:"a"` //nolint:unused // the mistake under test
	}
	for what, describe := range map[string]func() []optdecode.Option{
		"twice.*name a twice":                          optdecode.Describe[twice],
		"A: has no option tag":                         optdecode.Describe[noTag],
		"A: has the unknown tag dflt":                  optdecode.Describe[misspelt],
		"A: required is neither":                       optdecode.Describe[required],
		"A: is both required":                          optdecode.Describe[ignored],
		"A: default: given \"x\", want a whole number": optdecode.Describe[badDefault],
		"A: default: .*at least 2":                     optdecode.Describe[outOfBounds],
		"A: default: .*one of y":                       optdecode.Describe[noChoice],
		"A: max is no number":                          optdecode.Describe[badBound],
		"A: only numbers":                              optdecode.Describe[boundText],
		"A: only strings and lists":                    optdecode.Describe[choiceNumber],
		`B: has the type \*string`:                     optdecode.Describe[badType],
		"a: has tags and is not":                       optdecode.Describe[hidden],
		"string is no struct":                          optdecode.Describe[string],
	} {
		func() {
			defer func() { assert.Regexp(t, what, recover()) }()
			describe()
		}()
	}
}
