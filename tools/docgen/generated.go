// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

const (
	notice        = "<!-- Written by tools/docgen from the source: do not edit, run make generate. -->\n\n"
	optionsFolder = "docs/options"
)

// generated gives the pages about the drivers.
func generated(root string) (map[string]string, error) {
	f, err := inspect(root)
	if err != nil {
		return nil, err
	}
	registered := drivers.Registered()
	pages := map[string]string{
		"docs/capabilities.md": capabilityPage(registered, f),
		"docs/python-names.md": namesPage(registered),
	}
	for _, r := range registered {
		if f.folder[r.Name] == "" {
			return nil, fmt.Errorf("no package below drivers registers %s", r.Name)
		}
		pages[optionsFolder+"/"+r.Name+".md"] = optionsPage(r, f.folder[r.Name])
	}
	return pages, nil
}

// common are the names of the options that every driver has.
func common() []string {
	type only struct{ drivers.CommonOptions }
	var names []string
	for _, o := range drivers.NewRegistration("", func(context.Context, drivers.Env, only) (drivers.Driver, error) { return nil, nil }).Options {
		names = append(names, o.Name)
	}
	return names
}

func optionsPage(r drivers.Registration, folder string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Options of `%s`\n\n%s", r.Name, notice)
	fmt.Fprintf(&b, "Driver `%s`, version %s: %s. [About the driver](../drivers/%s.md) · "+
		"[options and references](../backends.md#options)\n\n", r.Name, r.Version, r.Description, folder)
	if len(r.Aliases) > 0 {
		fmt.Fprintf(&b, "Other names that `volume_driver` may have: `%s`.\n\n", strings.Join(r.Aliases, "`, `"))
	}
	every := common()
	var own, shared, ignored []drivers.Option
	for _, o := range r.Options {
		switch {
		case o.Ignored != "":
			ignored = append(ignored, o)
		case slices.Contains(every, o.Name):
			shared = append(shared, o)
		default:
			own = append(own, o)
		}
	}
	table(&b, "Of this driver", own)
	table(&b, "Of every driver", shared)
	if len(ignored) > 0 {
		b.WriteString("## Known and ignored\n\n" +
			"Cinder has these options; here they are accepted, change nothing, and are a line in the debug log.\n\n" +
			"| Option | What it is | Why it is ignored |\n|---|---|---|\n")
		for _, o := range ignored {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", o.Name, cell(o.Help), cell(o.Ignored))
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func table(b *strings.Builder, title string, options []drivers.Option) {
	if len(options) == 0 {
		return
	}
	fmt.Fprintf(b, "## %s\n\n| Option | Type | Default | What it does |\n|---|---|---|---|\n", title)
	for _, o := range options {
		value := "none"
		switch {
		case o.Required:
			value = "**required**"
		case o.Default != "":
			value = "`" + o.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, o.Type, cell(value), cell(strings.Join(about(o), "; ")))
	}
	b.WriteString("\n")
}

// about is what there is to say of an option.
func about(o drivers.Option) []string {
	parts := []string{o.Help}
	if len(o.Choices) > 0 {
		parts = append(parts, "one of `"+strings.Join(o.Choices, "`, `")+"`")
	}
	switch {
	case o.Min != "" && o.Max != "":
		parts = append(parts, fmt.Sprintf("from %s to %s", o.Min, o.Max))
	case o.Min != "":
		parts = append(parts, fmt.Sprintf("at least %s", o.Min))
	case o.Max != "":
		parts = append(parts, fmt.Sprintf("at most %s", o.Max))
	}
	if o.Secret {
		parts = append(parts, "secret: never in logs and errors")
	}
	if len(o.Aliases) > 0 {
		parts = append(parts, "also called `"+strings.Join(o.Aliases, "`, `")+"`")
	}
	return parts
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

func capabilityPage(registered []drivers.Registration, f *facts) string {
	var b strings.Builder
	b.WriteString("# Capabilities\n\n" + notice +
		"Every driver creates, deletes, extends and clones volumes, makes and deletes snapshots and makes volumes from them, " +
		"and connects several hosts. What some can beyond that is an interface of package drivers, " +
		"and `Backend.Capabilities` tells it. A verb that a driver lacks is `errors.ErrUnsupported`.\n\n| Driver |")
	for _, c := range f.capabilities {
		fmt.Fprintf(&b, " %s |", c.field)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(f.capabilities)) + "\n")
	for _, r := range registered {
		fmt.Fprintf(&b, "| [`%s`](drivers/%s.md) |", r.Name, f.folder[r.Name])
		for _, c := range f.capabilities {
			fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes", false: "no"}[f.has[r.Name][c.iface]])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, c := range f.capabilities {
		fmt.Fprintf(&b, "- **%s**: %s\n", c.field, c.doc)
	}
	return b.String()
}

func namesPage(registered []drivers.Registration) string {
	var b strings.Builder
	b.WriteString("# Names of drivers in Python\n\n" + notice +
		"`volume_driver` takes the short name of a driver, and the class path that it has or had in Cinder: " +
		"a stanza of `cinder.conf`, a dump or a database that has the class path works unchanged.\n\n")
	var rows strings.Builder
	for _, r := range registered {
		for _, alias := range r.Aliases {
			fmt.Fprintf(&rows, "| `%s` | `%s` |\n", alias, r.Name)
		}
	}
	if rows.Len() == 0 {
		b.WriteString("No driver that exists today has a counterpart in Cinder, so the table is empty.\n")
		return b.String()
	}
	b.WriteString("| Class path | Driver |\n|---|---|\n" + rows.String())
	return b.String()
}
