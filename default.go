// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"context"
	"sync"
)

// standard is the Library of the functions of this package.
var standard struct {
	sync.Mutex
	lib *Library
}

// Setup makes the default Library, once: a second call is ErrAlreadySetup.
func Setup(opts ...Option) (*Library, error) {
	standard.Lock()
	defer standard.Unlock()
	if standard.lib != nil {
		return nil, ErrAlreadySetup
	}
	lib, err := New(opts...)
	if err != nil {
		return nil, err
	}
	standard.lib = lib
	return lib, nil
}

// Default returns the default Library. If Setup was not called, it is made
// without options, and Setup fails from then on.
func Default() *Library {
	standard.Lock()
	defer standard.Unlock()
	if standard.lib == nil {
		lib, err := New()
		if err != nil {
			panic(err) // only a machine without a host name
		}
		standard.lib = lib
	}
	return standard.lib
}

// NewBackend is Library.NewBackend of the default Library.
func NewBackend(ctx context.Context, options Options) (*Backend, error) {
	return Default().NewBackend(ctx, options) //nolint:contextcheck // Default makes a Library without I/O
}

// Backends is Library.Backends of the default Library.
func Backends() map[string]*Backend { return Default().Backends() }

// Load is Library.Load of the default Library.
func Load(ctx context.Context, data []byte, opts ...LoadOption) ([]Object, error) {
	return Default().Load(ctx, data, opts...) //nolint:contextcheck // as above
}

// JSON is Library.MarshalJSON of the default Library.
func JSON() ([]byte, error) { return Default().MarshalJSON() }

// Dump is Library.Dump of the default Library.
func Dump(ctx context.Context) ([]byte, error) {
	return Default().Dump(ctx) //nolint:contextcheck // as above
}
