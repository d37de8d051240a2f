// SPDX-License-Identifier: Apache-2.0

package cinderlib

import "github.com/gocinder/cinderlib/persistence"

// StoreOf gives tests the store of a backend's library.
func StoreOf(b *Backend) persistence.Store { return b.lib.Persistence() }

// LibraryOf gives tests the library of a backend.
func LibraryOf(b *Backend) *Library { return b.lib }

// ForgetDefault lets a test set the default library up, whatever ran before it.
func ForgetDefault() {
	standard.Lock()
	defer standard.Unlock()
	standard.lib = nil
}
