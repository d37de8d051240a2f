// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

// Registration is what is known of a driver before it is opened.
type Registration struct {
	Name        string   // short: lvm, rbd
	Aliases     []string // class paths of Cinder, and other names
	Description string
	Version     string
	Options     []Option

	open func(ctx context.Context, env Env, options map[string]any, lenient bool) (Driver, error)
}

// About adds to a registration; it is made by Alias and Describe.
type About func(*Registration)

// Alias registers further names: each class path that the driver has or had in
// Cinder, so that configurations, dumps and databases of the Python library work
// unchanged.
func Alias(names ...string) About {
	return func(r *Registration) { r.Aliases = append(r.Aliases, names...) }
}

// Describe gives the driver's version and one line about it.
func Describe(version, text string) About {
	return func(r *Registration) { r.Version, r.Description = version, text }
}

// NewRegistration describes a driver whose options are the tagged struct O.
// open returns a driver that works, or an error and nothing left open. It panics
// if O's tags are wrong, which is a mistake in the program.
func NewRegistration[O any](name string, open func(context.Context, Env, O) (Driver, error), about ...About) Registration {
	r := Registration{Name: name, Options: optdecode.Describe[O]()}
	for _, a := range about {
		a(&r)
	}
	r.open = func(ctx context.Context, env Env, values map[string]any, lenient bool) (Driver, error) {
		options, notes, err := optdecode.Decode[O](values, lenient)
		for _, n := range notes {
			env.Log.LogAttrs(ctx, n.Level, n.Text, slog.String("option", n.Option))
		}
		if err != nil {
			return nil, err
		}
		return open(ctx, env, options)
	}
	return r
}

// Open decodes the options and opens the driver. An option that is unknown,
// missing or of the wrong type is ErrInvalid, all of them in one error; lenient
// turns unknown ones into warnings, as Cinder has it.
func (r Registration) Open(ctx context.Context, env Env, options map[string]any, lenient bool) (Driver, error) {
	d, err := r.open(ctx, env, options, lenient)
	if err != nil {
		return nil, fmt.Errorf("driver %s: %w", r.Name, err)
	}
	return d, nil
}

var registry struct {
	sync.RWMutex
	byName map[string]Registration // by name and alias
}

// Register makes a driver known by name; a driver's package calls it in init.
// It panics if a name is taken.
func Register[O any](name string, open func(context.Context, Env, O) (Driver, error), about ...About) {
	r := NewRegistration(name, open, about...)
	registry.Lock()
	defer registry.Unlock()
	for _, n := range append([]string{r.Name}, r.Aliases...) {
		if old, taken := registry.byName[n]; taken {
			panic(fmt.Sprintf("drivers: %s registers the name %s of %s", r.Name, n, old.Name))
		}
	}
	if registry.byName == nil {
		registry.byName = map[string]Registration{}
	}
	for _, n := range append([]string{r.Name}, r.Aliases...) {
		registry.byName[n] = r
	}
}

// Lookup finds a driver by its name or one of its aliases. The error for a name
// that is not known lists those that are.
func Lookup(name string) (Registration, error) {
	registry.RLock()
	r, ok := registry.byName[name]
	registry.RUnlock()
	if ok {
		return r, nil
	}
	names := make([]string, 0, 8)
	for _, r := range Registered() {
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		names = append(names, "none")
	}
	return Registration{}, fault.Errorf(ErrInvalid,
		"volume_driver %q is not registered (registered: %s); is an import of its package, or of drivers/all, missing?",
		name, strings.Join(names, ", "))
}

// Registered lists the drivers by name.
func Registered() []Registration {
	registry.RLock()
	defer registry.RUnlock()
	var list []Registration
	for _, n := range slices.Sorted(maps.Keys(registry.byName)) {
		if r := registry.byName[n]; r.Name == n {
			list = append(list, r)
		}
	}
	return list
}
