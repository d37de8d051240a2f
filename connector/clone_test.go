// SPDX-License-Identifier: Apache-2.0

package connector_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/connector"
)

// fill gives every field, and every element, a value of its own.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(elem, n)
		v.SetMapIndex(key, elem)
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{
			"list": []any{fmt.Sprint(*n), map[string]any{"a": "b"}}, "nil": []any(nil), "texts": []string{"x"}, "ints": []int{1},
			"map": map[string]string{"a": "b"}, "lists": map[string][]string{"a": {"b"}},
		}))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	}
}

// scratch changes everything that a value refers to.
func scratch(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString("scratched")
		}
	case reflect.Int:
		v.SetInt(-1)
	case reflect.Bool:
		v.SetBool(false)
	case reflect.Pointer:
		scratch(v.Elem())
	case reflect.Interface:
		if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice || k == reflect.Pointer {
			scratch(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if e := v.Index(i); e.Kind() == reflect.Interface && e.Elem().Kind() == reflect.String {
				e.Set(reflect.ValueOf("scratched"))
			} else {
				scratch(e)
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if e := v.MapIndex(k); e.Kind() != reflect.String {
				scratch(e)
			}
			v.SetMapIndex(k, reflect.Value{})
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scratch(v.Field(i))
			}
		}
	}
}

func TestCloneIsDeep(t *testing.T) {
	t.Parallel()
	for _, d := range []connector.Data{
		&connector.ISCSIData{}, &connector.FCData{}, &connector.RBDData{}, &connector.LocalData{}, &connector.RawData{},
	} {
		n := 0
		fill(reflect.ValueOf(d).Elem(), &n)
		i := &connector.ConnInfo{Protocol: "p", Data: d}
		c, twin := i.Clone(), i.Clone()
		assert.Equal(t, i, c)
		scratch(reflect.ValueOf(i.Data).Elem())
		assert.NotEqual(t, i, c)
		assert.Equal(t, twin, c)
	}
	n := 0
	p, d := &connector.Properties{}, &connector.Device{}
	fill(reflect.ValueOf(p).Elem(), &n)
	fill(reflect.ValueOf(d).Elem(), &n)
	cp, cd := p.Clone(), d.Clone()
	twinP, twinD := p.Clone(), d.Clone()
	assert.Equal(t, p, cp)
	assert.Equal(t, d, cd)
	scratch(reflect.ValueOf(p).Elem())
	scratch(reflect.ValueOf(d).Elem())
	assert.Equal(t, twinP, cp)
	assert.Equal(t, twinD, cd)
}

func TestCloneOfNil(t *testing.T) {
	t.Parallel()
	assert.Nil(t, (*connector.ConnInfo)(nil).Clone())
	assert.Nil(t, (*connector.Properties)(nil).Clone())
	assert.Nil(t, (*connector.Device)(nil).Clone())
	for _, d := range []connector.Data{
		nil, (*connector.ISCSIData)(nil), (*connector.FCData)(nil), (*connector.RBDData)(nil), (*connector.LocalData)(nil), (*connector.RawData)(nil),
	} {
		assert.Nil(t, (&connector.ConnInfo{Data: d}).Clone().Data)
	}
	assert.Equal(t, &connector.Properties{}, (&connector.Properties{}).Clone())
}
