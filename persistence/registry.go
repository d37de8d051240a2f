// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/internal/optdecode"
)

// Env is what a store is handed when it is opened by name.
type Env struct {
	Log *slog.Logger // never nil
}

// Registration is what is known of a store before it is opened.
type Registration struct {
	Name    string
	Options []optdecode.Option

	open func(ctx context.Context, env Env, options map[string]any) (Store, error)
}

var registry struct {
	sync.RWMutex
	byName map[string]Registration
}

// Register makes a store known by name, with options that are the tagged struct
// O (see drivers.Option for the tags); a store's package calls it in init. It
// panics if the name is taken.
func Register[O any](name string, open func(context.Context, Env, O) (Store, error)) {
	r := Registration{Name: name, Options: optdecode.Describe[O]()}
	r.open = func(ctx context.Context, env Env, values map[string]any) (Store, error) {
		options, _, err := optdecode.Decode[O](values, false)
		if err != nil {
			return nil, err
		}
		return open(ctx, env, options)
	}
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.byName[name]; taken {
		panic("persistence: the name " + name + " is registered twice")
	}
	if registry.byName == nil {
		registry.byName = map[string]Registration{}
	}
	registry.byName[name] = r
}

// Registered lists the stores by name.
func Registered() []Registration {
	registry.RLock()
	defer registry.RUnlock()
	var list []Registration
	for _, n := range slices.Sorted(maps.Keys(registry.byName)) {
		list = append(list, registry.byName[n])
	}
	return list
}

// Open opens the store that a persistence configuration chooses: "storage" is
// the name of a registered store, memory if it is missing, or a Store, which is
// used as it is. The other keys are the store's options; one it does not know is
// ErrInvalid. The caller closes a store opened by name.
func Open(ctx context.Context, env Env, config map[string]any) (Store, error) {
	options := maps.Clone(config)
	storage, given := options["storage"]
	delete(options, "storage")
	if !given || storage == nil {
		storage = "memory"
	}
	switch s := storage.(type) {
	case Store:
		return s, nil
	case string:
		registry.RLock()
		r, ok := registry.byName[s]
		registry.RUnlock()
		if !ok {
			var names []string
			for _, r := range Registered() {
				names = append(names, r.Name)
			}
			return nil, Errorf(ErrInvalid, "persistence storage %q is not registered (registered: %s); is the import of its package missing?",
				s, strings.Join(names, ", "))
		}
		store, err := r.open(ctx, env, options)
		if err != nil {
			return nil, fmt.Errorf("persistence %s: %w", s, err)
		}
		return store, nil
	}
	return nil, Errorf(ErrInvalid, "invalid persistence storage: %T is neither a name nor a Store", storage)
}
