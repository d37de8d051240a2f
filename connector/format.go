// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// How the types of this package print: what fields say, secrets as ***, and of
// what has no field the keys only, because nobody knows which of the values are
// secrets. It is the same for every verb.

// describe writes what each type shows.
func describe(name string, fill func(b *strings.Builder), extra ...map[string]any) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte('{')
	var fields strings.Builder
	fill(&fields)
	var keys []string
	for _, m := range extra {
		keys = slices.AppendSeq(keys, maps.Keys(m))
	}
	if len(keys) > 0 {
		slices.Sort(keys)
		fmt.Fprintf(&fields, " and %q", keys)
	}
	b.WriteString(strings.TrimPrefix(fields.String(), " "))
	b.WriteByte('}')
	return b.String()
}

func (d *ISCSIData) describe(b *strings.Builder) {
	iscsiKeys.show(b, d)
	commonKeys.show(b, &d.Shared)
}

func (d *FCData) describe(b *strings.Builder) {
	fcKeys.show(b, d)
	commonKeys.show(b, &d.Shared)
}

func (d *RBDData) describe(b *strings.Builder) {
	rbdKeys.show(b, d)
	commonKeys.show(b, &d.Shared)
}

func (d *LocalData) describe(b *strings.Builder) {
	localKeys.show(b, d)
	commonKeys.show(b, &d.Shared)
}

// String describes the connection without its secrets.
func (i ConnInfo) String() string {
	return describe("ConnInfo", func(b *strings.Builder) {
		fmt.Fprintf(b, " %s", i.Protocol)
		if i.Data != nil {
			fmt.Fprintf(b, " %v", i.Data)
		}
	}, i.extra)
}

// String describes the data without its secrets.
func (c Common) String() string {
	return describe("Common", func(b *strings.Builder) { commonKeys.show(b, &c) }, c.Extra)
}

// String describes the data without its secrets.
func (d ISCSIData) String() string { return describe("ISCSIData", d.describe, d.Shared.Extra) }

// String describes the data without its secrets.
func (d FCData) String() string { return describe("FCData", d.describe, d.Shared.Extra) }

// String describes the data without its secrets.
func (d RBDData) String() string { return describe("RBDData", d.describe, d.Shared.Extra) }

// String describes the data without its secrets.
func (d LocalData) String() string { return describe("LocalData", d.describe, d.Shared.Extra) }

// String describes the data without its values.
func (d RawData) String() string {
	return describe("RawData", func(b *strings.Builder) { commonKeys.show(b, &d.Shared) }, d.Shared.Extra, d.Values)
}

// String describes the host.
func (p Properties) String() string {
	return describe("Properties", func(b *strings.Builder) { propertiesKeys.show(b, &p) }, p.Extra)
}

// String describes the device.
func (d Device) String() string {
	return describe("Device", func(b *strings.Builder) { deviceKeys.show(b, &d) }, d.Extra)
}

// Format writes what String returns.
func (i ConnInfo) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, i.String()) }

// Format writes what String returns.
func (c Common) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Format writes what String returns.
func (d ISCSIData) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Format writes what String returns.
func (d FCData) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Format writes what String returns.
func (d RBDData) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Format writes what String returns.
func (d LocalData) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Format writes what String returns.
func (d RawData) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// Format writes what String returns.
func (p Properties) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// Format writes what String returns.
func (d Device) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// LogValue returns what String does.
func (i ConnInfo) LogValue() slog.Value { return slog.StringValue(i.String()) }

// LogValue returns what String does.
func (c Common) LogValue() slog.Value { return slog.StringValue(c.String()) }

// LogValue returns what String does.
func (d ISCSIData) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what String does.
func (d FCData) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what String does.
func (d RBDData) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what String does.
func (d LocalData) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what String does.
func (d RawData) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what String does.
func (p Properties) LogValue() slog.Value { return slog.StringValue(p.String()) }

// LogValue returns what String does.
func (d Device) LogValue() slog.Value { return slog.StringValue(d.String()) }

// LogValue returns what formatting does: JSON log handlers would otherwise write
// the JSON of Info.
func (r Request) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%+v", r)) }
