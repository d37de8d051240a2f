// SPDX-License-Identifier: Apache-2.0

package cinderlib

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
)

// How objects show themselves. MarshalJSON has secrets in clear, because the
// documents need them; formatting and logging, with slog's JSON handler too,
// show the kind, the id and the backend, whatever the verb.

func (o Options) text() string {
	return fmt.Sprintf("cinderlib.Options%q", slices.Sorted(maps.Keys(o)))
}

func (l *Library) text() string { return "<cinderlib.Library>" }

func (b *Backend) text() string { return "<cinderlib.Backend " + b.name + ">" }

func (v *Volume) text() string {
	return fmt.Sprintf("<cinderlib.Volume object %s on backend %s>", v.ID(), v.name)
}

func (s *Snapshot) text() string {
	return fmt.Sprintf("<cinderlib.Snapshot object %s on backend %s>", s.ID(), s.name)
}

func (c *Connection) text() string {
	return fmt.Sprintf("<cinderlib.Connection object %s on backend %s>", c.ID(), c.name)
}

// Format writes the names of the options only: values may be secrets.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.text()) }

// Format writes no state, and so no secret.
func (l *Library) Format(f fmt.State, _ rune) { fmt.Fprint(f, l.text()) }

// Format writes the backend's name and nothing of its options.
func (b *Backend) Format(f fmt.State, _ rune) { fmt.Fprint(f, b.text()) }

// Format writes the kind, the id and the backend.
func (v *Volume) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.text()) }

// Format writes the kind, the id and the backend.
func (s *Snapshot) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.text()) }

// Format writes the kind, the id and the backend.
func (c *Connection) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.text()) }

// LogValue is what Format writes.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.text()) }

// LogValue is what Format writes.
func (l *Library) LogValue() slog.Value { return slog.StringValue(l.text()) }

// LogValue is what Format writes.
func (b *Backend) LogValue() slog.Value { return slog.StringValue(b.text()) }

// LogValue is what Format writes.
func (v *Volume) LogValue() slog.Value { return slog.StringValue(v.text()) }

// LogValue is what Format writes.
func (s *Snapshot) LogValue() slog.Value { return slog.StringValue(s.text()) }

// LogValue is what Format writes.
func (c *Connection) LogValue() slog.Value { return slog.StringValue(c.text()) }
