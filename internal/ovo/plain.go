// SPDX-License-Identifier: Apache-2.0

package ovo

import (
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Plain reads a document, of a resource or an envelope, and gives its content
// without envelopes: each becomes {"<name in lower case>": {fields}}, and a list
// object the list. Values are those of Decoder.Value.
func Plain(doc []byte) (map[string]any, error) {
	d := NewDecoder(doc)
	v, err := d.value(strip)
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fault.Errorf(fault.ErrInvalid, "the document is no resource")
	}
	if _, ok := object["class"]; ok {
		if object, ok = object["ovo"].(map[string]any); !ok {
			return nil, fault.Errorf(fault.ErrInvalid, "the document has no ovo")
		}
	}
	return object, nil
}

// strip takes the envelope off an object if it has one.
func strip(object map[string]any) any {
	name, ok := object[keyName].(string)
	if !ok {
		return object
	}
	data, ok := object[keyData].(map[string]any)
	if !ok {
		return object
	}
	if list, ok := data[keyObjects].([]any); ok && strings.HasSuffix(name, "List") {
		return list
	}
	return map[string]any{strings.ToLower(name): data}
}
