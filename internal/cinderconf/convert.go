// SPDX-License-Identifier: Apache-2.0

package cinderconf

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

// The options that Cinder itself needs, and the driver that a backend without
// volume_driver has there (cinder/volume/manager.py).
const (
	enabledBackends = "enabled_backends"
	backendName     = "volume_backend_name"
	volumeDriver    = "volume_driver"
	standardDriver  = "cinder.volume.drivers.lvm.LVMVolumeDriver"
	// sharedSection gives all backends values that they may have of their own.
	sharedSection = "backend_defaults"
)

// Options tells which options a driver knows, by the name that volume_driver
// gives: drivers.Lookup.
type Options func(driver string) ([]optdecode.Option, error)

// Config is what a cinder.conf says.
type Config struct {
	// Backends has the options of each of enabled_backends, in that order.
	Backends []map[string]any
	// Defaults is the section DEFAULT as text: what values of Backends may refer
	// to as $name.
	Defaults map[string]any
	// Dropped lists, by backend, the options in its section that its driver does
	// not know.
	Dropped map[string][]string
}

// Read converts the file at path. A file that is not there is an error.
func Read(path string, known Options) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Convert(string(text), known)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Convert converts the text of a cinder.conf: of each backend that
// enabled_backends names, the options that stand in its section, or in
// backend_defaults, and that its driver knows. Values are of the options' types
// where the text allows. Of an option that stands there several times all values
// count if it is a list, otherwise the last. A backend without
// volume_backend_name is called like its section. What is wrong is ErrInvalid,
// all of it in one error.
func Convert(text string, known Options) (*Config, error) {
	all, err := parse(text)
	if err != nil {
		return nil, err
	}
	names, err := enabled(all[defaultSection])
	if err != nil {
		return nil, err
	}
	c := &Config{Defaults: map[string]any{}, Dropped: map[string][]string{}}
	for name := range all[defaultSection] {
		value, _ := all[defaultSection].last(name)
		c.Defaults[name] = unescape(value)
	}
	var faults []error
	section := map[string]string{} // by backend
	for _, name := range names {
		backend, dropped, err := all.backend(name, known)
		if err != nil {
			faults = append(faults, fmt.Errorf("backend %s: %w", name, err))
			continue
		}
		id := fmt.Sprint(backend[backendName])
		if other, taken := section[id]; taken {
			faults = append(faults, fault.Errorf(fault.ErrInvalid,
				"the backends %s and %s both have the %s %q; it must be unique", other, name, backendName, id))
		}
		section[id] = name
		c.Backends = append(c.Backends, backend)
		if dropped != nil {
			c.Dropped[id] = dropped
		}
	}
	if faults != nil {
		return nil, fault.Join(faults...)
	}
	return c, nil
}

func enabled(defaults section) ([]string, error) {
	text, ok := defaults.last(enabledBackends)
	if !ok {
		return nil, fault.Errorf(fault.ErrInvalid, "section %s has no %s", defaultSection, enabledBackends)
	}
	names := split(text)
	if len(names) == 0 {
		return nil, fault.Errorf(fault.ErrInvalid, "%s names no backend", enabledBackends)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fault.Errorf(fault.ErrInvalid, "%s names %s twice", enabledBackends, name)
		}
	}
	return names, nil
}

// backend converts one backend's section.
func (all sections) backend(name string, known Options) (backend map[string]any, dropped []string, err error) {
	own, ok := all[normalize(name)]
	if !ok {
		return nil, nil, fault.Errorf(fault.ErrInvalid, "there is no section [%s]", name)
	}
	given := maps.Clone(all[sharedSection])
	if given == nil {
		given = section{}
	}
	maps.Copy(given, own)
	driver, ok := given.last(volumeDriver)
	if !ok {
		driver = standardDriver
	}
	options, err := known(driver)
	if err != nil {
		return nil, nil, err
	}
	backend = map[string]any{}
	used := map[string]bool{}
	for _, o := range options {
		// As in oslo.config, the option's own name wins over those it had before.
		for _, key := range append([]string{o.Name}, o.Aliases...) {
			used[key] = true
			if _, done := backend[o.Name]; !done && given[key] != nil {
				backend[o.Name] = convert(o, given[key])
			}
		}
	}
	backend[volumeDriver] = driver
	if id, ok := given.last(backendName); !ok || id == "" {
		backend[backendName] = name
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if !used[key] {
			dropped = append(dropped, key)
		}
	}
	return backend, dropped, nil
}

// convert gives values the type of the option. What is not of that type stays
// text: who decodes it can tell what is wrong with it.
func convert(o optdecode.Option, given []string) any {
	switch o.Type {
	case optdecode.TypeList:
		list := []any{}
		for _, text := range given {
			for _, item := range split(unbracket(text)) {
				list = append(list, unescape(item))
			}
		}
		return list
	case optdecode.TypeDicts:
		list := []any{}
		for _, text := range given {
			list = append(list, unescape(text))
		}
		return list
	}
	text := given[len(given)-1]
	switch o.Type {
	case optdecode.TypeBoolean:
		switch strings.ToLower(text) { // oslo.config, types.Boolean
		case "true", "1", "on", "yes":
			return true
		case "false", "0", "off", "no":
			return false
		}
	case optdecode.TypeInteger:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case optdecode.TypeFloat, optdecode.TypeDuration:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil && n-n == 0 { // neither NaN nor infinite
			return n
		}
	}
	return unescape(text)
}

// unbracket takes off the brackets that oslo.config allows around a list.
func unbracket(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok := strings.CutSuffix(inner, "]"); ok {
			return inner
		}
	}
	return text
}

func split(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// unescape writes a dollar sign that is none of a reference as the library has
// it; oslo.config has \$ beside $$.
func unescape(text string) string { return strings.ReplaceAll(text, `\$`, "$$") }
