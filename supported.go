// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

// ListSupportedDrivers lists the drivers that this program has imported, with
// the schema of their options.
func ListSupportedDrivers() []drivers.Registration { return drivers.Registered() }

// SupportedDrivers is ListSupportedDrivers in the form of the Python library: by
// class name, with the keys version, class_name, class_fqn, desc, ci_wiki_name,
// supported and driver_options. Output version 1 has every value of an option as
// text, 2 has native values. Others are ErrInvalid.
func SupportedDrivers(outputVersion int) (map[string]map[string]any, error) {
	if outputVersion != 1 && outputVersion != 2 {
		return nil, invalid("output version %d: acceptable versions are 1 and 2", outputVersion)
	}
	all := map[string]map[string]any{}
	for _, r := range drivers.Registered() {
		fqn := r.Name
		if len(r.Aliases) > 0 {
			fqn = r.Aliases[0]
		}
		class := fqn[strings.LastIndex(fqn, ".")+1:]
		options := make([]map[string]any, len(r.Options))
		for i, o := range r.Options {
			options[i] = pythonOption(o, outputVersion)
		}
		all[class] = map[string]any{
			"version": r.Version, "class_name": class, "class_fqn": fqn, "desc": r.Description,
			"ci_wiki_name": nil, "supported": true, "driver_options": options,
		}
	}
	return all, nil
}

// native is the default as a value of the option's type. Describe has checked
// that it is one.
func native(o drivers.Option) any {
	switch o.Type {
	case "boolean":
		b, _ := strconv.ParseBool(o.Default)
		return b
	case "integer":
		n, _ := strconv.ParseInt(o.Default, 10, 64)
		return n
	case "float":
		f, _ := strconv.ParseFloat(o.Default, 64)
		return f
	case "list":
		return strings.Split(o.Default, ",")
	}
	return o.Default
}

// pythonOption describes an option with the keys of oslo.config.
func pythonOption(o drivers.Option, outputVersion int) map[string]any {
	var value any
	if o.Default != "" {
		value = native(o)
	}
	deprecated := []any{}
	for _, alias := range o.Aliases {
		deprecated = append(deprecated, alias)
	}
	m := map[string]any{
		"name": o.Name, "dest": strings.ReplaceAll(o.Name, "-", "_"), "default": value, "help": o.Help,
		"required": o.Required, "secret": o.Secret, "advanced": false, "mutable": false, "positional": false,
		"metavar": nil, "short": nil, "sample_default": nil, "deprecated_for_removal": false,
		"deprecated_opts": deprecated, "deprecated_reason": nil, "deprecated_since": nil,
		"type": map[string]any{"type_class": o.Type, "type_name": o.Type + " value", "choices": o.Choices, "min": o.Min, "max": o.Max},
	}
	if outputVersion == 2 {
		return m
	}
	m["type"] = o.Type
	for k, v := range m {
		switch v := v.(type) {
		case string:
		case nil:
			m[k] = "None"
		case bool:
			m[k] = map[bool]string{true: "True", false: "False"}[v]
		default:
			m[k] = fmt.Sprint(v)
		}
	}
	return m
}
