// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	fence  = regexp.MustCompile("^(\\s*)(```+)\\s*([^`]*)$")
	origin = regexp.MustCompile(`^\s*<!--\s*(example|code):\s*(\S+)\s*-->\s*$`)
)

// fill puts the code into the Go blocks of a page. A fault is a line number and
// what is wrong there.
func fill(page string, s *sources) (text string, faults []string) {
	lines := strings.Split(page, "\n")
	var out []string
	fault := func(at int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%d: %s", at+1, fmt.Sprintf(format, args...)))
	}
	from := []string(nil) // the comment before this line
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out = append(out, line)
		open := fence.FindStringSubmatch(line)
		if open == nil {
			if from != nil && strings.TrimSpace(line) != "" {
				fault(i, "no Go block is behind the comment %q", from[0])
				from = nil
			}
			if m := origin.FindStringSubmatch(line); m != nil {
				from = m
			}
			continue
		}
		end := i + 1
		for end < len(lines) && !closes(lines[end], open) {
			end++
		}
		if end == len(lines) {
			fault(i, "the block has no end")
			return strings.Join(append(out, lines[i+1:]...), "\n"), faults
		}
		body := lines[i+1 : end]
		switch language := strings.TrimSpace(open[3]); {
		case language == "go" && from == nil:
			fault(i, "a Go block needs a comment before it: <!-- example: NAME --> or <!-- code: FILE:REGION -->")
		case language == "go":
			code, err := s.code(from[1], from[2])
			if err != nil {
				fault(i, "%v", err)
				break
			}
			body = strings.Split(code, "\n")
		case from != nil:
			fault(i, "the comment %q is before a block of %q", from[0], language)
		}
		out = append(append(out, body...), lines[end])
		from, i = nil, end
	}
	if from != nil {
		fault(len(lines)-1, "no Go block is behind the comment %q", from[0])
	}
	return strings.Join(out, "\n"), faults
}

func closes(line string, open []string) bool {
	text := strings.TrimSpace(line)
	return strings.HasPrefix(text, open[2]) && strings.Trim(text, "`") == ""
}
