// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"sync"
)

// output keeps what a program writes, up to a limit: its begin, or its tail. It
// takes the rest and drops it, so that the program goes on. A program that was
// left behind may go on writing, hence the lock.
type output struct {
	limit int
	tail  bool

	mu   sync.Mutex
	data []byte
	over bool
}

// Write implements io.Writer and never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p...)
	switch {
	case len(o.data) <= o.limit:
	case o.tail:
		// Twice the limit, so that not every write moves the whole tail.
		if len(o.data) > 2*o.limit {
			o.data = append(o.data[:0], o.data[len(o.data)-o.limit:]...)
		}
		o.over = true
	default:
		o.data = o.data[:o.limit]
		o.over = true
	}
	return len(p), nil
}

// take returns a copy of what is kept.
func (o *output) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.data[max(0, len(o.data)-o.limit):])
}

func (o *output) overflown() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.over
}
