// SPDX-License-Identifier: Apache-2.0

package cinderconf

import (
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// defaultSection is the only section whose name is compared as it is written;
// oslo.config (cfg.py, _normalize_group_name) lowers all others.
const defaultSection = "DEFAULT"

// section has the values of each option in the order in which they stand.
type section map[string][]string

func (s section) last(name string) (string, bool) {
	values := s[name]
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

type sections map[string]section

func normalize(name string) string {
	if name == defaultSection {
		return name
	}
	return strings.ToLower(name)
}

// parser goes through the lines as oslo.config does (iniparser.py): a line that
// begins with white space continues the value before it, unless a blank line, a
// comment or a section stands between.
type parser struct {
	all   sections
	in    section
	key   string // of the assignment that may go on; empty if none
	value []string
}

// parse reads the text. Errors name the line and never show it: it may be the
// one with the password.
func parse(text string) (sections, error) {
	p := parser{all: sections{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(strings.TrimRight(line, " \t\r\n\v\f")); err != "" {
			return nil, fault.Errorf(fault.ErrInvalid, "line %d: %s", number, err)
		}
	}
	p.flush()
	return p.all, nil
}

// line takes one line in, and says what is wrong with it.
func (p *parser) line(line string) (fault string) {
	switch {
	case line == "":
		p.flush()
		return ""
	case line[0] == ' ' || line[0] == '\t':
		if p.key == "" {
			return "it is indented, and there is no value that it continues"
		}
		p.value = append(p.value, strings.TrimLeft(line, " \t"))
		return ""
	}
	p.flush()
	switch line[0] {
	case '#', ';':
		return ""
	case '[':
		return p.section(line)
	}
	return p.assignment(line)
}

func (p *parser) section(line string) (fault string) {
	name, closed := strings.CutSuffix(line[1:], "]")
	switch {
	case !closed:
		return "a section's name ends with ]"
	case name == "":
		return "a section has no name"
	}
	name = normalize(name)
	if p.all[name] == nil {
		p.all[name] = section{}
	}
	p.in = p.all[name]
	return ""
}

func (p *parser) assignment(line string) (fault string) {
	at := strings.IndexAny(line, "=:")
	switch {
	case at < 0:
		return "it is neither a section nor NAME = VALUE"
	case p.in == nil:
		return "an option stands before the first section"
	}
	key, value := strings.TrimSpace(line[:at]), strings.TrimSpace(line[at+1:])
	if key == "" {
		return "an option has no name"
	}
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	p.key, p.value = key, []string{value}
	return ""
}

// flush ends the assignment.
func (p *parser) flush() {
	if p.key != "" {
		p.in[p.key] = append(p.in[p.key], strings.Join(p.value, "\n"))
		p.key, p.value = "", nil
	}
}
